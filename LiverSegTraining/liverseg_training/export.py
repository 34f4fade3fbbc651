"""Run folders -> one model folder: card and 8-bit weights, what `liverseg segment --model` obeys."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from liverseg_core.errors import InputError, OutputError
from liverseg_core.model_card import Measured, ModelCard
from liverseg_core.models import empty_network, save_model
from liverseg_core.phases import PHASES

from .checkpoints import load_checkpoint
from .experiment import Experiment
from .fit import CHECKPOINT


def export(
    experiments: Sequence[Experiment], name: str, folder: Path, *, bits: int = 8, overwrite: bool = False
) -> ModelCard:
    """One stage for each experiment, in order; what the model says of itself comes from the last one's [card]."""
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise OutputError(f"{folder} already holds files; choose another --out or add --overwrite")
    last = experiments[-1]
    checkpoints = [load_checkpoint(experiment.out_dir / CHECKPOINT) for experiment in experiments]
    states = [c.average if e.experiment.ema > 0 else c.network for e, c in zip(experiments, checkpoints)]
    for experiment, state in zip(experiments, states):
        problem = empty_network(experiment.stage()).load_state_dict(state, strict=False)
        if problem.missing_keys or problem.unexpected_keys:
            raise InputError(f"the checkpoint of {experiment.experiment.name} is of another network; train it again")
    card = ModelCard(
        name=name,
        version=last.card.version,
        stages=tuple(experiment.stage() for experiment in experiments),
        fit_phases=last.card.fit_phases,
        licence=last.card.licence,
        date=datetime.now(timezone.utc).date().isoformat(),
        experiment=tuple(f"{e.experiment.name}, {c.step} steps" for e, c in zip(experiments, checkpoints)),
        training_data=last.card.training_data,
        intended_use=last.card.intended_use,
        known_failures=last.card.known_failures,
        measured={phase: Measured() for phase in PHASES},
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as room:
        signed = save_model(card, states, Path(room), bits=bits)
        folder.mkdir(exist_ok=True)
        for file in Path(room).iterdir():
            file.chmod(0o644)  # safetensors writes for its owner alone
            file.replace(folder / file.name)
    return signed
