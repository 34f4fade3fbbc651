"""Samplers -> what a step is given, made ahead by worker processes where there are some."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np
import SimpleITK as sitk
import torch
from liverseg_core.memory import keep_freed_memory
from torch.utils.data import DataLoader, Dataset

from .augment import shown
from .experiment import Experiment
from .sampling import Batch
from .shelf import Laid, Shelf

_MOST_WORKERS = 8
_AHEAD = 2  # steps that a worker is ahead


@dataclass(frozen=True, eq=False)
class Shown:
    """One batch as the network sees it."""

    image: torch.Tensor  # float32 [n, channels, k, j, i]
    target: torch.Tensor  # uint8 [n, 1, k, j, i]
    known: torch.Tensor  # bool [n, 1 + labels]

    def on(self, device: torch.device) -> Shown:
        return Shown(*(t.to(device, non_blocking=True) for t in self.tensors()))

    def pin_memory(self) -> Shown:
        return Shown(*(t.pin_memory() for t in self.tensors()))

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return (self.image, self.target, self.known)


class Drawing(Protocol):
    """What draws batches, and how many samples there are to see."""

    @property
    def samples(self) -> int: ...

    def batch(self, rng: np.random.Generator, number: int = 0) -> Batch: ...


class Feed(Dataset[tuple[Shown, ...]]):
    """The batches of step n, as many as are accumulated: every draw depends on (seed, n) and the number of the sample
    alone. Of `processes` that share a step, the process `rank` has every `processes`-th batch."""

    def __init__(self, experiment: Experiment, sampler: Drawing, rank: int = 0, processes: int = 1) -> None:
        self.sampler, self.stage, self.augment = sampler, experiment.stage(), experiment.augment
        self.seed, self.rank, self.processes = experiment.experiment.seed, rank, processes
        self.batches = experiment.experiment.accumulate * processes
        self.each = experiment.experiment.accumulate  # batches of a step
        self.batch_bytes = _bytes_of(experiment)

    def __getitem__(self, step: int) -> tuple[Shown, ...]:
        return tuple(self._batch(step, number) for number in range(self.rank, self.batches, self.processes))

    def _batch(self, step: int, number: int) -> Shown:
        batch = self.sampler.batch(np.random.default_rng((self.seed, step)), number)
        return Shown(shown(batch, self.augment, self.stage), batch.target, batch.known)


class _Shelved(Dataset["tuple[Shown, ...] | list[Laid]"]):
    """A feed in a worker: what fits is laid on the shelf."""

    def __init__(self, feed: Feed, shelf: Shelf) -> None:
        self.feed, self.shelf = feed, shelf

    def __getitem__(self, step: int) -> tuple[Shown, ...] | list[Laid]:
        batches = self.feed[step]
        laid = [self.shelf.lay(step * len(batches) + n, one.tensors()) for n, one in enumerate(batches)]
        return batches if None in laid else laid  # type: ignore[return-value]


def fed(
    feed: Feed, begin: int, end: int, workers: int, device: torch.device
) -> Iterator[tuple[int, tuple[Shown, ...], float]]:
    """Steps, their batches, and when (time.perf_counter) they were asked for; in order."""
    count = workers if workers >= 0 else 0 if device.type == "cpu" else min(_MOST_WORKERS, (os.cpu_count() or 2) - 1)
    shelf = Shelf((count * _AHEAD + 1) * feed.each, feed.batch_bytes) if count else None
    loader: DataLoader[object] = DataLoader(
        _Shelved(feed, shelf) if shelf else feed, batch_size=None, sampler=range(begin, end), num_workers=count,
        prefetch_factor=_AHEAD if count else None, worker_init_fn=_alone,
    )  # fmt: skip
    made = iter(loader)
    for step in range(begin, end):
        asked = time.perf_counter()
        batches: Any = next(made)
        if shelf is not None and isinstance(batches, list):
            batches = tuple(Shown(*shelf.take(laid)) for laid in batches)
        yield step, tuple(one.pin_memory() for one in batches) if device.type == "cuda" else batches, asked


def _alone(worker: int) -> None:
    """Workers share the cores among them: one thread each, as torch does of its own accord. They ask for the same blocks of
    memory again and again, and end with the run."""
    del worker
    keep_freed_memory()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _bytes_of(experiment: Experiment) -> int:
    """Of a batch of full windows, a little more than its tensors have."""
    stage, sampler = experiment.stage(), experiment.sampler
    voxel = 4 * len(stage.channels) + 1
    return (sampler.batch + sampler.unlabelled) * (prod(stage.window) * voxel + 4096)
