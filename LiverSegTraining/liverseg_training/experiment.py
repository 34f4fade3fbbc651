"""TOML -> Experiment: everything that is decided about one training run. An unknown key names its nearest neighbour."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from liverseg_core.errors import InputError
from liverseg_core.model_card import Stage, frozen

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Pair = tuple[float, float]


@dataclass(frozen=True)
class Run:
    """[experiment]"""

    name: str
    out_dir: str
    max_steps: int
    seed: int = 0
    amp: str = "bf16"  # bf16 | off
    device: str = "auto"
    checkpoint_every: int = 250
    log_every: int = 25
    ema: float = 0.999  # decay of the averaged weights that are exported; 0: none
    note: str = ""

    def __post_init__(self) -> None:
        _one_of("experiment.amp", self.amp, ("bf16", "off"))
        _demand(
            self.max_steps > 0 and self.checkpoint_every > 0,
            "experiment.max_steps and checkpoint_every must be positive",
        )


@dataclass(frozen=True)
class Data:
    """[data]"""

    folder: str = ""  # default: $LIVERSEG_DATA
    layout: str = "cases"
    cache: str = "cache"
    labels: tuple[int, ...] = (1, 3, 4, 5)  # what the network answers
    merge: Mapping[str, int] = field(default_factory=lambda: {"2": 1})  # lesions belong to the liver
    include: tuple[str, ...] = ("*",)  # case ids, with wildcards
    weights: Mapping[str, float] = field(default_factory=dict)  # modality -> share of the drawn cases

    def __post_init__(self) -> None:
        _one_of("data.layout", self.layout, ("cases",))
        for modality in self.weights:
            _one_of("data.weights", modality, ("CT", "MR"))


@dataclass(frozen=True)
class Split:
    """[split]"""

    kind: str = "fixed"
    file: str = "split.json"

    def __post_init__(self) -> None:
        _one_of("split.kind", self.kind, ("fixed",))


@dataclass(frozen=True)
class Preprocess:
    """[preprocess]: the part of the stage that decides what the network sees; mm are (x, y, z)."""

    spacing_mm: tuple[float | None, float | None, float | None]
    normalisation: Mapping[str, str]
    channels: tuple[str, ...] = ("image",)
    crop: str = "none"
    margin_mm: float = 0.0


@dataclass(frozen=True)
class Network:
    """[network]"""

    kind: str
    dims: int = 3
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Loss:
    """[loss]: terms are {kind, weight}; `supervision` weighs the heads, finest first."""

    terms: tuple[Mapping[str, Any], ...] = ({"kind": "dice", "weight": 1.0}, {"kind": "ce", "weight": 1.0})
    supervision: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for term in self.terms:
            _known(term, ("kind", "weight"), "loss.terms")


@dataclass(frozen=True)
class Sampler:
    """[sampler]: organ (the block of the organs, with the coarse stage's errors) or scan (all of it)."""

    kind: str = "organ"
    batch: int = 1
    jitter_mm: float = 20.0  # each face of the block moves by up to this
    partial: float = 0.15  # share of samples in which the scan ends inside the block
    below: float = 0.0  # share in which the scan ends below the liver
    empty: float = 0.0  # share that is a made-up body without any organ (negatives.py)


@dataclass(frozen=True)
class Augment:
    """[augment]: probabilities and ranges. There is no left-right flip for models that can be chosen."""

    rotate_deg: tuple[float, float, float] = (8.0, 8.0, 15.0)  # about x, y, z
    scale: Pair = (0.85, 1.2)
    flip: Mapping[str, float] = field(default_factory=dict)  # axis "j" or "k" -> probability
    simulate: float = 0.0  # share of samples whose contrast is drawn anew (contrast.py)
    remap: float = 0.0  # share whose grey values go through a random curve
    gamma: Pair = (1.0, 1.0)
    bias: float = 0.0  # largest strength of the bias field (log units)
    noise: float = 0.0  # largest standard deviation, in units of the image's own
    blur_mm: float = 0.0
    thick_mm: float = 0.0  # thickest slice that is imitated

    def __post_init__(self) -> None:
        for axis in self.flip:
            _one_of("augment.flip", axis, ("j", "k"))


@dataclass(frozen=True)
class Optim:
    """[optim]"""

    kind: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-2
    clip: float = 1.0


@dataclass(frozen=True)
class Schedule:
    """[schedule]: warm up, hold, then fall to zero over the last `cooldown` of max_steps."""

    kind: str = "hold"
    warmup: int = 100
    cooldown: float = 0.3

    def __post_init__(self) -> None:
        _one_of("schedule.kind", self.kind, ("hold",))


@dataclass(frozen=True)
class Infer:
    """[infer]"""

    window: tuple[int, int, int]
    snap: tuple[int, int, int] | None = None
    sure: float = 0.0


@dataclass(frozen=True)
class Card:
    """[card]: what the exported model says about itself."""

    version: str = "0.1.0"
    licence: str = ""
    fit_phases: tuple[str, ...] = ()
    training_data: tuple[str, ...] = ()
    intended_use: str = ""
    known_failures: tuple[str, ...] = ()


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
    post: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    card: Card = field(default_factory=Card)

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
            labels=self.data.labels,
            spacing_mm=self.preprocess.spacing_mm,
            window=self.infer.window,
            snap=self.infer.snap,
            sure=self.infer.sure,
            normalisation=self.preprocess.normalisation,
            crop=self.preprocess.crop,
            margin_mm=self.preprocess.margin_mm,
            mirror=tuple(sorted(axis for axis, share in self.augment.flip.items() if share > 0)),
            post=self.post,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


_SECTIONS: Mapping[str, type] = {
    "experiment": Run, "data": Data, "split": Split, "preprocess": Preprocess, "network": Network, "loss": Loss,
    "sampler": Sampler, "augment": Augment, "optim": Optim, "schedule": Schedule, "infer": Infer, "card": Card,
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
    _known(raw, [f.name for f in fields(Experiment)], where)
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
    _known(raw, [f.name for f in fields(kind)], where)
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
        "str": (str,), "int": (int,), "float": (int, float), "tuple": (tuple,), "Pair": (tuple,), "Mapping": (Mapping,)
    }  # fmt: skip
    allowed = kinds[expected.partition("[")[0].partition(" ")[0]]
    _demand(
        isinstance(value, allowed) and not isinstance(value, bool), f"{where} must be of type {expected}, not {value!r}"
    )
    return value


def _one_of(where: str, value: str, allowed: Sequence[str]) -> None:
    _demand(value in allowed, f"{where} must be one of {', '.join(allowed)}, not {value!r}")


def _demand(condition: bool, sentence: str) -> None:  # noqa: FBT001
    if not condition:
        raise InputError(sentence)


def _known(raw: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for key in raw:
        if key not in allowed:
            near = get_close_matches(key.lower(), allowed, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(allowed)}"
            raise InputError(f"{where}: unknown key {key!r}; {hint}")


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
