"""A model folder and corrected cases -> a better model folder, or a refusal: `guard.py` scores it on the old validation cases.

One stage learns on, the last one that draws the liver; the others stay as they are. What it starts from, which cases it sees
and how it learns is written as an experiment beside its checkpoints.
"""

from __future__ import annotations

import glob
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from fnmatch import fnmatch
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from liverseg_core.errors import InputError, OutputError
from liverseg_core.labels import LESION, LIVER
from liverseg_core.library import find_model
from liverseg_core.model_card import Measured, ModelCard, Stage
from liverseg_core.models import Model, load_model, save_model
from liverseg_core.output import written_whole
from liverseg_core.phases import PHASES
from liverseg_core.stages import parts_of
from safetensors.torch import save_file

from .cases import Case, data_folder, list_cases
from .experiment import Experiment, load_experiment
from .export import exported, kept_checkpoint
from .fit import fit
from .guard import Before, compared
from .splits import read_split

RECIPE, START, SPLIT, MODEL = "finetune.toml", "start.safetensors", "split.json", "model"
_HEADS = [1.0, 0.5, 0.25, 0.125]  # what each head of the network counts for, finest first, as far as it has some
_LEARNING: Mapping[str, Mapping[str, Any]] = {  # short and gentle: what is known already must stay known
    "experiment": {"max_steps": 200, "checkpoint_every": 50, "log_every": 10, "ema": 0.98, "seed": 1},
    "loss": {"supervision": _HEADS},
    "augment": {
        "rotate_deg": [6.0, 6.0, 10.0], "scale": [0.9, 1.1], "simulate": 0.15, "remap": 0.1, "gamma": [0.8, 1.25],
        "worn": 0.3, "bias": 0.25, "noise": 0.2, "blur_mm": 2.0, "thick_mm": 8.0,
    },
    "optim": {"kind": "adamw", "lr": 2e-4, "weight_decay": 0.01, "clip": 1.0},
    "schedule": {"kind": "hold", "warmup": 10, "cooldown": 0.5},
}  # fmt: skip


@dataclass(frozen=True)
class Tuning:
    """What `finetune` was asked for."""

    corrected: Path  # a data folder of corrected cases; those that its split.json names are held out
    model: str  # a name or a folder
    out: Path  # the run folder; the new model is its folder `model`
    old: str = ""  # the data that the model was trained on and is guarded by; default: $LIVERSEG_DATA
    name: str = ""  # of the new model
    mix: int = 3  # old training cases beside each corrected one
    changes: tuple[str, ...] = ()  # SECTION.KEY=VALUE, for the experiment
    device: str = "auto"
    resume: bool = False


@dataclass(frozen=True)
class Sides:
    """Who teaches, and who judges."""

    corrected: tuple[Case, ...]
    mixed: tuple[Case, ...]  # old ones
    held_out: tuple[Case, ...]  # of the corrected ones
    guards: tuple[Case, ...]  # of the old ones


def finetune(tuning: Tuning, tell: Callable[[str], None] = lambda _: None) -> ModelCard:
    """The card of the new model, which lies in `out`/model. ModelError, and nothing is replaced, where it is worse on the
    old validation cases than the model that it began from; InputError where there are none to judge by."""
    folder = find_model(tuning.model)
    model = load_model(folder)
    at = fine_stage(model.card)
    sides = sides_of(tuning, model.card)
    experiment = _prepared(tuning, model, at, sides)
    guards = tuple(c for c in sides.guards if any(fnmatch(c.id, pattern) for pattern in experiment.eval.cases))
    if not guards:
        raise InputError(f"eval.cases {', '.join(experiment.eval.cases)} leaves no old validation case to judge by")
    tell(f"{len(sides.corrected)} corrected and {len(sides.mixed)} old cases teach, {len(guards)} old ones judge")
    before = Before.of(model, guards, sides.held_out, tuning.device, tuning.out / "before.json")
    tell(f"before: {before.sentence()}")
    fit(experiment, resume=tuning.resume)
    states = [dict(network.state_dict()) for network in model.networks]
    _, states[at] = exported(experiment, kept_checkpoint(experiment))
    with tempfile.TemporaryDirectory(dir=tuning.out) as room:
        card = save_model(_card(tuning, model.card, sides), states, Path(room))
        verdict = compared(before, load_model(Path(room)), guards, sides.held_out, tuning.device)
        tell(f"after:  {verdict.after.sentence()}")
        verdict.demand()
        card = replace(card, measured=_measured(verdict.after, guards))
        with written_whole(tuning.out / MODEL) as place:
            save_model(card, states, place)
            for file in place.iterdir():
                file.chmod(0o644)  # safetensors writes for its owner alone
    return card


def fine_stage(card: ModelCard) -> int:
    """The last stage that draws the liver in the whole scan, or near what the stage before found."""
    stages = [(stage, n) for n, stage in enumerate(card.stages)]
    _, first = parts_of(stages)[0]
    return first[-1][1]


def sides_of(tuning: Tuning, card: ModelCard) -> Sides:
    """Corrected and old cases, split. InputError for a corrected case that the model cannot learn from."""
    corrected, held = _split(tuning.corrected, demanded=False)
    old, guards = _split(data_folder(tuning.old), demanded=True)
    if not corrected:
        raise InputError(
            f"{tuning.corrected} leaves no corrected case to learn from; its split.json holds all of them out"
        )
    unknown = next((c for c in corrected if not set(c.annotated) & {*card.labels, *([LESION, LIVER])}), None)
    if unknown is not None:
        raise InputError(f"{unknown.id} annotates {list(unknown.annotated)}; {card.name} draws {list(card.labels)}")
    twice = {case.id for case in (*corrected, *held)} & {case.id for case in (*old, *guards)}
    if twice:
        raise InputError(f"{sorted(twice)[0]} is a corrected and an old case; expected each name once")
    return Sides(corrected, mixed(old, tuning.mix * len(corrected)), held, guards)


def mixed(cases: Sequence[Case], count: int) -> tuple[Case, ...]:
    """`count` of the cases, the phases in turn, always the same ones."""
    by_phase: dict[str, list[Case]] = defaultdict(list)
    for case in sorted(cases, key=lambda c: c.id):
        by_phase[case.phase].append(case)
    rng = np.random.default_rng(0)
    shuffled = [[own[int(n)] for n in rng.permutation(len(own))] for _, own in sorted(by_phase.items())]
    return tuple(case for turn in zip_longest(*shuffled) for case in turn if case is not None)[:count]


def _split(folder: Path, *, demanded: bool) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Who trains and who validates in a data folder; `demanded` where it must say who validates."""
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist; expected a folder of cases")
    cases, file = list_cases(folder), folder / SPLIT
    if not file.exists() and not demanded:
        return cases, ()
    validation, never = read_split(file)
    held = tuple(case for case in cases if case.id in validation)
    if demanded and not held:
        raise InputError(f"{file} names no validation case that is there; without one nothing guards the model")
    return tuple(case for case in cases if case.id not in validation | never), held


def _prepared(tuning: Tuning, model: Model, at: int, sides: Sides) -> Experiment:
    """The experiment, written as TOML, with the weights to begin from and the split beside it."""
    out = tuning.out.resolve()
    if tuning.resume:
        return load_experiment(out / RECIPE, tuning.changes)
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"{tuning.out} already holds files; choose another --out, or add --resume to go on there")
    raw = recipe(tuning, model.card, at, sides)
    out.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in model.networks[at].state_dict().items()}, out / START)
    split = {"validation": [case.id for case in sides.guards]}
    (out / SPLIT).write_text(json.dumps(split, indent=1) + "\n", encoding="utf-8")
    (out / RECIPE).write_text(as_toml(raw), encoding="utf-8")
    return load_experiment(out / RECIPE, tuning.changes)


def recipe(tuning: Tuning, card: ModelCard, at: int, sides: Sides) -> dict[str, dict[str, Any]]:
    """The tables of the experiment: what the stage is comes from its card, how it learns from above."""
    stage, out, name = card.stages[at], tuning.out.resolve(), _name(tuning, card)
    ids = [glob.escape(case.id) for case in (*sides.corrected, *sides.mixed, *sides.guards)]
    raw: dict[str, dict[str, Any]] = {section: dict(values) for section, values in _LEARNING.items()}
    raw["experiment"] |= {"name": name, "out_dir": str(out), "device": tuning.device}
    raw["data"] = {
        "folder": str(tuning.corrected.resolve()), "also": [str(data_folder(tuning.old).resolve())], "include": ids,
        "cache": str(out / "cache"), "labels": stage.labels, "merge": {} if LESION in stage.labels else {str(LESION): LIVER},
    }  # fmt: skip
    raw["split"] = {"kind": "fixed", "file": str(out / SPLIT)}
    raw["preprocess"] = {
        "spacing_mm": [mm or 0.0 for mm in stage.spacing_mm], "normalisation": stage.normalisation,
        "channels": stage.channels, "crop": stage.crop, "margin_mm": stage.margin_mm,
    }  # fmt: skip
    raw["network"] = {
        "kind": stage.network, "dims": stage.dims, "options": stage.options, "pretrained": str(out / START)
    }  # fmt: skip
    raw["sampler"] = _sampler(stage)
    raw["augment"] |= {"flip": dict.fromkeys(stage.mirror, 0.1), "bend_mm": 8.0 if stage.dims == 3 else 0.0}
    raw["infer"] = {"window": stage.window, "sure": stage.sure, **({"snap": stage.snap} if stage.snap else {})}
    raw["post"] = dict(stage.post)
    raw["card"] = {"version": card.version, "licence": card.licence, "fit_phases": card.fit_phases}
    return raw


def _sampler(stage: Stage) -> dict[str, Any]:
    """Blocks as the stage will see them in use."""
    if stage.dims == 2:
        return {"kind": "slice", "batch": 8}
    if stage.snap is None or stage.crop == "body":
        return {"kind": "patch", "batch": 1, "foreground": 0.5}
    return {
        "kind": "organ" if stage.crop == "previous" else "scan",
        "batch": 1,
        "jitter_mm": stage.margin_mm,
        "partial": 0.2,
    }


def as_toml(raw: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for section, values in raw.items():
        lines += [f"[{section}]", *(f"{_key(key)} = {_value(value)}" for key, value in values.items()), ""]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def _key(key: str) -> str:
    return key if key.isidentifier() else json.dumps(key)


def _name(tuning: Tuning, card: ModelCard) -> str:
    return tuning.name or f"{card.name}-tuned"


def _card(tuning: Tuning, card: ModelCard, sides: Sides) -> ModelCard:
    """What the new model says of itself; what the old one had measured does not hold for it."""
    steps = kept_checkpoint(load_experiment(tuning.out.resolve() / RECIPE, tuning.changes)).step
    taught = f"{len(sides.corrected)} corrected cases ({_phases(sides.corrected)})"
    began = f"fine-tuned from {card.name} {card.version} ({card.sha256[:12]}): {steps} steps, {taught}, {len(sides.mixed)} old"
    return replace(
        card,
        name=_name(tuning, card),
        version=f"{card.version}-tuned",
        date=datetime.now(timezone.utc).date().isoformat(),
        experiment=(*card.experiment, began),
        training_data=(*card.training_data, taught),
        measured={phase: Measured() for phase in PHASES},
    )


def _measured(after: Before, guards: Sequence[Case]) -> dict[str, Measured]:
    said = f"{len(guards)} validation cases: {', '.join(case.id for case in guards)}"
    return {phase: Measured() for phase in PHASES} | {
        phase: Measured(round(sum(own) / len(own), 4), round(min(own), 4), len(own), said)
        for phase, own in after.livers().items()
    }


def _phases(cases: Iterable[Case]) -> str:
    return ", ".join(sorted({case.phase for case in cases}))
