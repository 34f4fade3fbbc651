"""Run folders -> one model folder: card and 8-bit weights, what `liverseg segment --model` obeys."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import torch
from liverseg_core.errors import InputError, OutputError
from liverseg_core.inference import device_named
from liverseg_core.model_card import Measured, ModelCard, Stage
from liverseg_core.models import empty_network, load_model, save_model
from liverseg_core.phases import PHASES
from torch import nn

from .checkpoints import BEST, LAST, Checkpoint, load_checkpoint
from .diary import say
from .experiment import Experiment
from .fit import cached_sides
from .fusing import in_use
from .looks import Looks

_MOST_LOSS = 0.002  # of DSC, that 8 bits may cost; otherwise the weights are kept in 16


def export(
    experiments: Sequence[Experiment],
    name: str,
    folder: Path,
    *,
    bits: int = 8,
    overwrite: bool = False,
    measure: bool = True,
) -> ModelCard:
    """One stage for each experiment, in order; what the model says of itself comes from the last one's [card].

    8 bits are kept where they cost less than 0.002 DSC on the validation cases; with `measure` that is tried.
    """
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise OutputError(f"{folder} already holds files; choose another --out or add --overwrite")
    refuse_recipes(experiments)
    checkpoints = [kept_checkpoint(experiment) for experiment in experiments]
    forms = [exported(e, c) for e, c in zip(experiments, checkpoints)]
    states = [state for _, state in forms]
    card = _card(experiments, checkpoints, name, [stage for stage, _ in forms])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        room = Path(place)
        signed = save_model(card, states, room, bits=bits)
        if bits == 8 and measure:
            cost, told = loss_of_8_bits(experiments, states, room)
            say(told)
            bits = 16 if cost >= _MOST_LOSS else 8
            signed = save_model(replace(card, experiment=(*card.experiment, told)), states, room, bits=bits)
        folder.mkdir(exist_ok=True)
        for file in room.iterdir():
            file.chmod(0o644)  # safetensors writes for its owner alone
            file.replace(folder / file.name)
    return signed


def kept_checkpoint(experiment: Experiment) -> Checkpoint:
    """The best look's checkpoint where there were looks, the last one otherwise."""
    best = experiment.out_dir / BEST
    return load_checkpoint(best if experiment.eval.every and best.exists() else experiment.out_dir / LAST)


def exported(experiment: Experiment, checkpoint: Checkpoint) -> tuple[Stage, dict[str, torch.Tensor]]:
    """The stage as it is used and its weights: the first network's average, or the network itself where none was kept;
    every network's as an ensemble where the experiment says so. InputError where they fit another one."""
    states = checkpoint.averages if experiment.experiment.ema > 0 else checkpoint.networks
    stage = experiment.stage()
    for state in states:
        problem = empty_network(stage).load_state_dict(state, strict=False)
        if problem.missing_keys or problem.unexpected_keys:
            raise InputError(f"the checkpoint of {experiment.experiment.name} is of another network; train it again")
    every = len(states) > 1 and experiment.semi.export == "average"
    return together([in_use(stage, state) for state in (states if every else states[:1])])


def together(members: Sequence[tuple[Stage, dict[str, torch.Tensor]]]) -> tuple[Stage, dict[str, torch.Tensor]]:
    """Several networks of one stage as the stage of their ensemble; one stays as it is."""
    stage, state = members[0]
    if len(members) == 1:
        return stage, state
    options = {"of": stage.network, "members": len(members), "options": stage.options}
    joined = {f"members.{n}.{key}": value for n, (_, own) in enumerate(members) for key, value in own.items()}
    return replace(stage, network="ensemble", options=options), joined


def filled_network(experiment: Experiment) -> nn.Module:
    """The network that `export` would write, in full precision."""
    stage, state = exported(experiment, kept_checkpoint(experiment))
    network = empty_network(stage)
    network.load_state_dict(state)
    return network.eval()


def loss_of_8_bits(
    experiments: Sequence[Experiment], states: Sequence[Mapping[str, torch.Tensor]], folder: Path
) -> tuple[float, str]:
    """The largest loss of DSC of any stage on its validation cases at the cached grid, and the sentence that says so;
    0 and the reason where it cannot be measured."""
    worst, count = 0.0, 0
    rounded = load_model(folder)
    for experiment, state, stage, low in zip(experiments, states, rounded.card.stages, rounded.networks):
        try:
            looks = Looks(experiment, cached_sides(experiment).validation, device_named(experiment.experiment.device))
        except InputError as problem:
            return 0.0, f"what 8 bits cost was not measured: {problem}"
        if not looks.sources:
            return 0.0, "what 8 bits cost was not measured: there is no validation case"
        whole = empty_network(stage)
        whole.load_state_dict(state)
        worst, count = max(worst, looks(whole).score - looks(low).score), count + len(looks.sources)
    kept = "" if worst < _MOST_LOSS else ", so the weights are kept in 16"
    return worst, f"8 bits cost {worst:.4f} DSC ({count} looks at validation cases, cached grid){kept}"


def refuse_recipes(experiments: Sequence[Experiment]) -> None:
    for experiment in experiments:
        if experiment.preprocess.of_a_paper or "_paper" in experiment.experiment.name:
            raise InputError(
                f"{experiment.experiment.name} is a paper's recipe (resize, zoom or left-right flips), which is never exported; `validate` scores it"
            )


def _card(
    experiments: Sequence[Experiment], checkpoints: Sequence[Checkpoint], name: str, stages: Sequence[Stage]
) -> ModelCard:
    own = experiments[-1].card
    return ModelCard(
        name=name,
        version=own.version,
        stages=tuple(stages),
        fit_phases=own.fit_phases,
        licence=own.licence,
        date=datetime.now(timezone.utc).date().isoformat(),
        experiment=tuple(f"{e.experiment.name}, {c.step} steps" for e, c in zip(experiments, checkpoints)),
        training_data=own.training_data,
        intended_use=own.intended_use,
        known_failures=own.known_failures,
        research=own.research,
        measured={phase: Measured() for phase in PHASES},
    )
