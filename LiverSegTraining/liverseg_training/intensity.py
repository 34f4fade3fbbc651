"""A cached case -> what its whole volume says about grey values, for samples that show only a part of it.

In use a stage normalises all that it is given; a patch or a slice alone would be normalised otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from liverseg_core.model_card import Stage, last_echo
from liverseg_core.phases import CT_RANGE_HU
from liverseg_core.preparation import NORMALISATIONS, Normaliser, channel_of

from .cache import CachedCase

_EDGE = 1e-4  # nearer to its ends than this a clipped value says nothing about the line


@dataclass(frozen=True)
class Line:
    """A normalisation as it acts on one volume: a straight line, clipped at both ends."""

    slope: float
    offset: float
    low: float
    high: float

    def __call__(self, x: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        scaled = (x * self.slope).add_(self.offset).clamp_(self.low, self.high)
        return scaled if inside.numpy().all() else scaled.masked_fill_(~inside, self.low)


@dataclass(frozen=True)
class Scale:
    """Darkest and (nearly) brightest value of a case, and its normalisation; the same of each other volume it has."""

    low: float
    high: float
    rule: Line
    others: tuple[Scale, ...] = ()

    @property
    def volumes(self) -> tuple[Scale, ...]:
        return (self, *self.others)


def scale_of(case: CachedCase, stage: Stage) -> Scale:
    inside = torch.zeros(case.image.shape, dtype=torch.bool)
    inside[tuple(slice(int(a), int(b)) for a, b in zip(case.first, case.last))] = True
    made = []
    for held in (volume for volume in case.volumes if volume is not None):
        volume = torch.from_numpy(np.array(held, np.float32))
        low, high = CT_RANGE_HU if case.modality == "CT" else reach(volume[inside])
        made.append(Scale(low, high, line_of(rule_for(stage, case.modality), volume, inside)))
    return replace(made[0], others=tuple(made[1:]))


def line_of(rule: Normaliser, volume: torch.Tensor, inside: torch.Tensor) -> Line:
    """The clipped line that a row of NORMALISATIONS is on this volume."""
    seen, raw = rule(volume, inside)[inside], volume[inside]
    low, high = float(seen.min()), float(seen.max())
    between = (seen > low + _EDGE) & (seen < high - _EDGE)
    if not bool(between.any()):
        return Line(0.0, low, low, high)
    x, y = raw[between].double(), seen[between].double()
    first, last = int(x.argmin()), int(x.argmax())
    slope = float((y[last] - y[first]) / (x[last] - x[first]).clamp_min(1e-12))
    return Line(slope, float(y[first] - slope * x[first]), low, high)


def rule_for(stage: Stage, modality: str) -> Normaliser:
    """The row of NORMALISATIONS for a modality; a stage that knows one modality normalises everything its way."""
    table = stage.normalisation
    return NORMALISATIONS[table.get(modality) or next(iter(table.values()))]


def channels_by(
    stage: Stage, volumes: Sequence[torch.Tensor | None], inside: torch.Tensor, rules: Sequence[Normaliser]
) -> torch.Tensor:
    """Every channel of the stage [channel, k, j, i], as the corridor makes them, each volume by a rule of its own; zero where
    a volume is missing. The first volume is always there."""
    laid = [(inside if volume is None else volume).numpy() for volume in volumes]
    made = []
    for name in stage.channels:
        n = last_echo([name]) - 1
        missing = volumes[n] is None
        made.append(torch.zeros(inside.shape) if missing else channel_of(name, laid, inside, rules[n]))
    return made[0][None] if len(made) == 1 else torch.stack(made)


def reach(values: torch.Tensor) -> tuple[float, float]:
    """Darkest and (nearly) brightest: percentiles 0.5 and 99.8 of what the scan holds."""
    if values.numel() == 0:
        return 0.0, 1.0
    thinned = values[:: max(1, values.numel() // 50_000)]
    low, high = (float(q) for q in torch.quantile(thinned, torch.tensor([0.005, 0.998])))
    return low, max(high, low + 1e-3)
