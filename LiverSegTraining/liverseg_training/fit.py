"""The training loop. Read this file first: everything else in the package serves one of its lines."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from liverseg_core import networks
from liverseg_core.errors import InputError
from liverseg_core.inference import device_named
from torch import nn

from .augment import shown
from .cache import CachedCase, cached
from .cases import data_folder, list_cases, split_cases
from .checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from .experiment import Experiment
from .losses import SegmentationLoss
from .rates import Moment, optimiser_of, turn
from .sampling import BatchSampler

CHECKPOINT = "last.pt"
HISTORY = "history.csv"


@dataclass(frozen=True, eq=False)
class Trainee:
    """What a checkpoint must hold: the network, the average that is exported, and the optimiser."""

    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer


def fit(experiment: Experiment, *, resume: bool = False) -> Path:
    """Train until max_steps and return the run folder. Killed at any moment, `resume` goes on bit by bit the same."""
    run, folder = experiment.experiment, experiment.out_dir
    device = device_named(run.device)
    print(f"training on {device}", flush=True)  # noqa: T201
    sampler = BatchSampler(
        training_cases(experiment), experiment.stage(), experiment.sampler, experiment.augment, experiment.data.weights
    )
    loss_of = SegmentationLoss(experiment.loss.terms, experiment.loss.supervision, experiment.loss.deep)
    trainee = new_trainee(experiment, device)
    begin = _restore(trainee, folder, experiment) if resume else _start(folder, experiment)
    for step in range(begin, run.max_steps):
        started = time.perf_counter()
        rng = np.random.default_rng((run.seed, step))  # every draw of a step depends on its number alone
        batch = sampler.batch(rng)
        image = shown(batch, experiment.augment, experiment.preprocess.normalisation, rng).to(device)
        turn(trainee.optimiser, Moment(step, run.max_steps), experiment.optim, experiment.schedule)
        with torch.autocast(device.type, torch.bfloat16, enabled=run.amp == "bf16"):
            heads = trainee.network(image)
        loss = loss_of(heads, batch.target.to(device), batch.known.to(device))
        if not torch.isfinite(loss):
            torch.save({"image": image, "target": batch.target}, folder / "nan_batch.pt")
            raise InputError(
                f"the loss became {loss.item()} at step {step}; the batch is kept in {folder / 'nan_batch.pt'}"
            )
        trainee.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trainee.network.parameters(), experiment.optim.clip)
        trainee.optimiser.step()
        follow(trainee.average, trainee.network, min(run.ema, (1 + step) / (10 + step)))
        _log(folder, step, loss.item(), time.perf_counter() - started, run.log_every, run.max_steps)
        if (step + 1) % run.checkpoint_every == 0 or step + 1 == run.max_steps:
            save_checkpoint(folder / CHECKPOINT, _checkpoint(trainee, step + 1, experiment))
    return folder


def training_cases(experiment: Experiment) -> tuple[CachedCase, ...]:
    """The cases that train, cached; made first where the cache lacks them."""
    folder = data_folder(experiment.data.folder)
    every = list_cases(folder, experiment.data.include)
    training, _ = split_cases(every, folder / experiment.split.file)
    return tuple(
        cached(case, experiment.stage(), experiment.data.merge, Path(experiment.data.cache)) for case in training
    )


def new_trainee(experiment: Experiment, device: torch.device) -> Trainee:
    """Fresh weights under the experiment's seed; the average begins as a copy."""
    torch.manual_seed(experiment.experiment.seed)
    make = experiment.network
    stage = experiment.stage()
    pair = [
        networks.build(
            make.kind, channels=len(stage.channels), labels=1 + len(stage.labels), dims=make.dims, **make.options
        )
        for _ in range(2)
    ]
    pair[1].load_state_dict(pair[0].state_dict())
    network, average = (n.to(device).train() for n in pair)
    optimiser = optimiser_of([network], experiment.optim)
    return Trainee(network, average.requires_grad_(requires_grad=False), optimiser)


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights (Polyak); decay 0 copies."""
    for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1.0 - decay)
        else:
            kept.copy_(new)


def history(folder: Path) -> Iterator[dict[str, str]]:
    with (folder / HISTORY).open(encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _start(folder: Path, experiment: Experiment) -> int:
    if (folder / CHECKPOINT).exists():
        raise InputError(f"{folder} already holds a run; use `resume`, or another experiment.out_dir")
    folder.mkdir(parents=True, exist_ok=True)
    _write_resolved(folder, experiment)
    (folder / HISTORY).write_text("step,loss,seconds\n", encoding="utf-8")
    return 0


def _restore(trainee: Trainee, folder: Path, experiment: Experiment) -> int:
    checkpoint = load_checkpoint(folder / CHECKPOINT)
    if checkpoint.network_of != _network_of(experiment):
        raise InputError(
            f"{folder / CHECKPOINT} holds {checkpoint.network_of}, the experiment asks for {_network_of(experiment)}"
        )
    trainee.network.load_state_dict(checkpoint.network)
    trainee.average.load_state_dict(checkpoint.average)
    trainee.optimiser.load_state_dict(checkpoint.optimiser)
    _write_resolved(folder, experiment)
    kept = [row for row in history(folder) if int(row["step"]) <= checkpoint.step]
    with (folder / HISTORY).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["step", "loss", "seconds"])
        writer.writeheader()
        writer.writerows(kept)
    return checkpoint.step


def _checkpoint(trainee: Trainee, step: int, experiment: Experiment) -> Checkpoint:
    return Checkpoint(
        step, _network_of(experiment),
        trainee.network.state_dict(), trainee.average.state_dict(), trainee.optimiser.state_dict(),
    )  # fmt: skip


def _network_of(experiment: Experiment) -> str:
    stage = experiment.stage()
    return json.dumps([stage.network, stage.dims, stage.options, stage.channels, stage.labels])


def _write_resolved(folder: Path, experiment: Experiment) -> None:
    (folder / "experiment.json").write_text(json.dumps(experiment.as_dict(), indent=1) + "\n", encoding="utf-8")


def _log(folder: Path, step: int, loss: float, seconds: float, every: int, steps: int) -> None:
    with (folder / HISTORY).open("a", encoding="utf-8") as file:
        file.write(f"{step + 1},{loss:.5f},{seconds:.3f}\n")
    if (step + 1) % every == 0:
        left_min = (steps - step - 1) * seconds / 60
        print(f"step {step + 1}/{steps}  loss {loss:.4f}  {seconds:.2f} s  about {left_min:.0f} min left", flush=True)  # noqa: T201
