"""Training cases -> what a batch is drawn from: cases with a reference, and beside them cases whose reference is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from liverseg_core.errors import InputError

from ..cache import CachedCase
from ..demands import demand
from ..diary import say
from ..experiment import Experiment
from ..sampling import Batch, BatchSampler
from . import semi_of
from .imitated import imitated
from .section import Semi

_OF_ONE_SIZE = ("slice", "slab", "patch")


@dataclass(frozen=True)
class Dealt:
    """Who keeps a reference, and who does not."""

    labelled: tuple[CachedCase, ...]
    hidden: tuple[CachedCase, ...]

    def sentence(self) -> str:
        ids = ", ".join(case.case.id for case in self.labelled)
        return f"{len(self.labelled)} labelled cases ({ids}); the references of {len(self.hidden)} others are hidden"


def dealt(cases: Sequence[CachedCase], semi: Semi) -> Dealt:
    """`semi.labelled` of the cases that match, in an order of `semi.seed`: fewer are always among the more."""
    fit = sorted((c for c in cases if any(fnmatch(c.case.id, p) for p in semi.cases)), key=lambda c: c.case.id)
    if len(fit) < max(semi.labelled, 1):
        raise InputError(
            f"semi.labelled asks for {max(semi.labelled, 1)} cases, but {len(fit)} training cases match {', '.join(semi.cases)}"
        )
    order = np.random.default_rng(semi.seed).permutation(len(fit))
    kept = {fit[int(n)].case.id for n in order[: semi.labelled or len(fit)]}
    parts = [tuple(c for c in cases if (c.case.id in kept) == side) for side in (True, False)]
    return Dealt(*parts)


class TwoStreams:
    """A batch of both: first the samples with a reference, then those without."""

    def __init__(self, labelled: BatchSampler, unlabelled: BatchSampler) -> None:
        self.labelled, self.unlabelled = labelled, unlabelled

    @property
    def samples(self) -> int:
        """How many with a reference there are to see."""
        return self.labelled.samples

    def batch(self, rng: np.random.Generator, number: int = 0) -> Batch:
        one, other = (stream.batch(own, number) for stream, own in zip((self.labelled, self.unlabelled), rng.spawn(2)))
        pairs = {f.name: (getattr(one, f.name), getattr(other, f.name)) for f in fields(Batch)}
        joined: dict[str, Any] = {
            name: torch.cat([a, b]) if isinstance(a, torch.Tensor) else a + b for name, (a, b) in pairs.items()
        }
        return Batch(**joined)


def streams_of(experiment: Experiment, cases: Sequence[CachedCase]) -> BatchSampler | TwoStreams:
    """The sampler of an experiment. InputError for an unlabelled stream that nobody fills, or that nobody learns from."""
    semi, sampler, shares = experiment.semi, experiment.sampler, experiment.data.weights
    parts, kind = dealt(cases, semi), semi_of(semi)
    if parts.hidden:
        say(parts.sentence())
    demand(
        not kind.unlabelled or len(parts.labelled) > 1,
        "one labelled case is all that the labelled half would ever show: label two or more (semi.labelled, semi.cases)",
    )
    labelled = BatchSampler(parts.labelled, experiment.stage(), sampler, experiment.augment, shares)
    if not sampler.unlabelled and not (kind.unlabelled and semi.on == "unlabelled"):
        return labelled
    demand(
        kind.unlabelled, f"sampler.unlabelled = {sampler.unlabelled}, but semi.kind = {semi.kind} learns nothing there"
    )
    demand(sampler.unlabelled > 0, f"semi.kind = {semi.kind} needs samples without a reference: set sampler.unlabelled")
    demand(
        sampler.kind in _OF_ONE_SIZE,
        f"sampler {sampler.kind} cuts its blocks by the reference; cases without one need {', '.join(_OF_ONE_SIZE)}",
    )
    anywhere = replace(sampler, batch=sampler.unlabelled, foreground=0.0, liver=0.0, empty=0.0)
    stage, unworn = (
        experiment.stage(),
        replace(experiment.augment, lesions=0.0),
    )  # lesions are made up inside a reference
    demand(
        not stage.inside, "a stage that draws inside another one's organ needs its reference; semi.kind must be none"
    )
    held = unlabelled_cases(parts, semi, Path(experiment.data.cache))
    return TwoStreams(labelled, BatchSampler(held, stage, anywhere, unworn, semi.phases or shares, hidden=True))


def unlabelled_cases(parts: Dealt, semi: Semi, folder: Path) -> tuple[CachedCase, ...]:
    """The hidden cases, and every training case as each phase that is imitated; of the phases that have a share. A scan
    that a patient lacks is not in the list, and so is never drawn."""
    made = tuple(imitated(c, phase, folder) for c in (*parts.labelled, *parts.hidden) for phase in semi.imitate)
    every = (*parts.hidden, *made)
    demand(
        bool(every),
        "the unlabelled stream is empty: every training case is labelled; lower semi.labelled or name phases in semi.imitate",
    )
    there = sorted({c.case.phase for c in every})
    for phase in semi.phases:
        demand(
            phase in there, f"semi.phases asks for {phase}, which no unlabelled case has; there are {', '.join(there)}"
        )
    return tuple(c for c in every if not semi.phases or c.case.phase in semi.phases)
