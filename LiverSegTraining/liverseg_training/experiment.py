"""TOML -> Experiment: everything that is decided about one training run. An unknown key names its nearest neighbour."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from liverseg_core.errors import InputError
from liverseg_core.model_card import Stage, frozen, last_echo

from .demands import demand, known_keys, one_of
from .sections import (
    Augment,
    Card,
    Data,
    Eval,
    Infer,
    Loss,
    Network,
    Optim,
    Preprocess,
    Run,
    Sampler,
    Schedule,
    Split,
)  # fmt: skip
from .semi.section import Semi

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Experiment:
    """One training run, resolved."""

    experiment: Run
    preprocess: Preprocess
    network: Network
    infer: Infer
    data: Data = field(default_factory=Data)
    split: Split = field(default_factory=Split)
    loss: Loss = field(default_factory=Loss)
    sampler: Sampler = field(default_factory=Sampler)
    augment: Augment = field(default_factory=Augment)
    optim: Optim = field(default_factory=Optim)
    schedule: Schedule = field(default_factory=Schedule)
    semi: Semi = field(default_factory=Semi)
    eval: Eval = field(default_factory=Eval)
    post: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    card: Card = field(default_factory=Card)

    def __post_init__(self) -> None:
        """What only the whole can know: a recipe of a paper may do what a model that can be chosen may not."""
        if "_paper" not in self.experiment.name:
            for axis in self.augment.flip:
                one_of("augment.flip", axis, ("j", "k"))
            demand(
                not self.preprocess.of_a_paper and self.eval.grid == "native",
                "preprocess.resize, preprocess.zoom and eval.grid = network are for recipes named *_paper",
            )
        demand(
            not (self.schedule.kind == "plateau" or self.schedule.early_stop) or self.eval.every > 0,
            "schedule plateau and early_stop wait for scores: set eval.every",
        )

    @property
    def out_dir(self) -> Path:
        return Path(self.experiment.out_dir)

    def stage(self) -> Stage:
        """The stage of the model card that this run trains."""
        return Stage(
            network=self.network.kind,
            options=self.network.options,
            dims=self.network.dims,
            channels=self.preprocess.channels,
            optional=tuple(c for c in self.preprocess.channels if last_echo([c]) > 1 and self.augment.echo_dropout > 0),
            labels=self.data.labels,
            spacing_mm=tuple(mm or None for mm in self.preprocess.spacing_mm),  # type: ignore[arg-type]
            window=self.infer.window,
            snap=self.infer.snap,
            sure=self.infer.sure,
            normalisation=self.preprocess.normalisation,
            crop=self.preprocess.crop,
            margin_mm=self.preprocess.margin_mm,
            inside=self.preprocess.inside,
            reach_mm=self.preprocess.reach_mm,
            mirror=tuple(sorted(axis for axis, share in self.augment.flip.items() if share > 0 and axis != "i")),
            post=self.post,
        )

    def folds(self) -> tuple[Experiment, ...]:
        """One run for each fold of a k-fold split, in folders inside this one's."""
        demand(self.split.kind == "kfold", f"folds are for split.kind = kfold, not {self.split.kind}")
        return tuple(
            replace(
                self,
                split=replace(self.split, fold=n),
                experiment=replace(self.experiment, out_dir=str(self.out_dir / f"fold_{n}")),
            )
            for n in range(self.split.folds)
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


_SECTIONS: Mapping[str, type] = {
    "experiment": Run, "data": Data, "split": Split, "preprocess": Preprocess, "network": Network, "loss": Loss,
    "sampler": Sampler, "augment": Augment, "optim": Optim, "schedule": Schedule, "semi": Semi, "eval": Eval,
    "infer": Infer, "card": Card,
}  # fmt: skip


def load_experiment(path: Path, changes: Sequence[str] = ()) -> Experiment:
    """Read a TOML file and apply `section.key=value` changes. InputError for anything that is not understood."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected an experiment in TOML") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise InputError(f"{path} is not an experiment in TOML: {problem}") from None
    for change in changes:
        _apply(raw, change)
    return experiment_from(raw, str(path))


def experiment_from(raw: Mapping[str, Any], where: str) -> Experiment:
    """The Experiment that nested tables describe; `where` begins the sentence of a refusal."""
    known_keys(raw, [f.name for f in fields(Experiment)], where)
    built: dict[str, Any] = {}
    for f in fields(Experiment):
        kind = _SECTIONS.get(f.name)
        if kind is None:
            built[f.name] = frozen(raw.get(f.name, {}))
        elif f.name in raw or f.default_factory is MISSING:
            built[f.name] = _section(kind, raw.get(f.name, {}), f"{where} [{f.name}]")
    return Experiment(**built)


def _section(kind: type, raw: Any, where: str) -> Any:
    if not isinstance(raw, Mapping):
        raise InputError(f"{where} must be a table, not {raw!r}")
    known_keys(raw, [f.name for f in fields(kind)], where)
    missing = [f.name for f in fields(kind) if f.default is f.default_factory is MISSING and f.name not in raw]
    if missing:
        raise InputError(f"{where} lacks {', '.join(missing)}")
    types = {f.name: str(f.type) for f in fields(kind)}
    return kind(**{key: _typed(frozen(value), types[key], f"{where} {key}") for key, value in raw.items()})


def _typed(value: Any, expected: str, where: str) -> Any:
    """The value, if it is of the kind that the field's annotation names; a text for a list of texts is split at commas."""
    if expected == "tuple[str, ...]" and isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    kinds: Mapping[str, tuple[type, ...]] = {
        "str": (str,), "int": (int,), "float": (int, float), "tuple": (tuple,), "Pair": (tuple,), "Mapping": (Mapping,),
        "bool": (bool,),
    }  # fmt: skip
    allowed = kinds[expected.partition("[")[0].partition(" ")[0]]
    fits = isinstance(value, bool) if expected == "bool" else isinstance(value, allowed) and not isinstance(value, bool)
    demand(fits, f"{where} must be of type {expected}, not {value!r}")
    return value


def _apply(raw: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and key):
        raise InputError(f"--set {change!r}: expected section.key=VALUE, for example experiment.max_steps=500")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is text
    raw.setdefault(section, {})[key] = value
