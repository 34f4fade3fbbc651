"""Logits -> LabelMask: the winning code, where the network said it or back in the scan's own geometry."""

from __future__ import annotations

import numpy as np
import torch

from .geometry import Grid, bounding_block
from .records import LabelMask, Logits

_SLAB_VOXELS = 1 << 21  # how much of a block is in float32 at once: what caches hold


def restore(logits: Logits, grid: Grid, seen: LabelMask | None = None) -> LabelMask:
    """Where each code leads on `grid`, which runs along the axes of the logits' own; elsewhere is background.

    A code's lead is its logit less the best of the others': interpolated, because borders stay smooth that way, and
    positive where it wins; no two codes lead at once, and what none leads is background. `seen` is the network's mask
    after post-processing: it decides who leads at the network's own voxels, so that an island it lost or a hole it
    filled is lost or filled here. ValueError for a grid that is turned against the logits'.
    """
    if np.abs(logits.grid.axes.T @ grid.axes).max(axis=0).min() < 0.999:
        raise ValueError("the grid must run along the axes of the logits' own; lay the network's grid from the scan's")
    won = (seen or decided(logits)).voxels
    out = np.zeros(grid.array_shape, np.uint8)
    for channel, code in enumerate(logits.labels, start=1):
        own = won == code
        block = bounding_block(own, logits.grid)
        if block is not None:
            near, reach = _widened(block, logits.grid), _around(block, grid, max(logits.grid.spacing_mm))
            where = near.slices_in(logits.grid)
            lead = _lead(logits.tensor[(slice(None), *where)], channel, torch.from_numpy(own[where]))
            _draw(code, lead, near, reach, torch.from_numpy(out[reach.slices_in(grid)]))
    return LabelMask(out, grid)


def joined(mask: LabelMask, drawn: LabelMask, code: int) -> LabelMask:
    """What was drawn inside a code of a mask takes its place there; both lie on one grid."""
    return LabelMask(np.where((mask.voxels == code) & (drawn.voxels > 0), drawn.voxels, mask.voxels), mask.grid)


def decided(logits: Logits, sure: float = 0.0) -> LabelMask:
    """The winning code of every prepared voxel. A code that is nowhere `sure` (its 95th percentile of probability in
    its own voxels stays below) was not found: networks draw something into bodies without organs, but never surely."""
    codes = np.array([0, *logits.labels], np.uint8)
    winner = _winner(logits)
    if sure > 0:
        probability = logits.tensor.softmax(dim=0)
        for channel in range(1, len(codes)):
            own = winner == channel
            if own.any() and float(np.percentile(probability[channel].numpy()[own], 95)) < sure:
                winner[own] = 0
    return LabelMask(codes[winner], logits.grid)


def _winner(logits: Logits) -> np.ndarray:
    """The channel with the largest logit, uint8 [k, j, i]; channel after channel, which is faster than an argmax."""
    best, winner = logits.tensor[0], np.zeros(logits.tensor.shape[1:], np.uint8)
    for channel in range(1, len(logits.tensor)):
        rival = logits.tensor[channel]
        np.copyto(winner, np.uint8(channel), where=(rival > best).numpy())
        best = best.maximum(rival)
    return winner


def _lead(logits: torch.Tensor, channel: int, own: torch.Tensor) -> torch.Tensor:
    """How far a channel is ahead of the best other one, [k, j, i]; its sign is what `own` says."""
    others = [n for n in range(len(logits)) if n != channel]
    lead = (logits[channel] - logits[others].amax(dim=0)).abs_()
    return torch.where(own, lead, -lead)


def _draw(code: int, lead: torch.Tensor, source: Grid, target: Grid, winner: torch.Tensor) -> None:
    """Write `code` into `winner`, which lies on `target`, where the interpolated lead is positive."""
    toward = np.abs(source.axes.T @ target.axes).argmax(axis=0)  # the axis of the source along each of the target
    steps = np.eye(3)
    lines = [
        source.index_of(target.world_mm(np.outer(np.arange(size), steps[axis])))[:, toward[axis]]
        for axis, size in enumerate(target.size)
    ]
    i, j, k = (np.flatnonzero((line > -0.5) & (line < source.size[s] - 0.5)) for line, s in zip(lines, toward))
    if not (i.size and j.size and k.size):
        return
    lead = lead.permute([2 - int(s) for s in toward[::-1]])
    winner = winner[k[0] : k[-1] + 1, j[0] : j[-1] + 1, i[0] : i[-1] + 1]
    thick = max(1, _SLAB_VOXELS // winner[0].numel())
    for first in range(0, len(k), thick):
        line = lines[2][k[first : first + thick]]
        low = max(0, int(line.min()))
        part = _between(_between(lead[low : int(line.max()) + 2], 2, lines[0][i]), 1, lines[1][j])
        winner[first : first + thick].masked_fill_(_between(part, 0, line - low) > 0, code)


def _between(x: torch.Tensor, axis: int, line: np.ndarray) -> torch.Tensor:
    """Linear interpolation along one axis at fractional indices; beyond the last voxel centre its value."""
    place = torch.from_numpy(line).clamp(0, x.shape[axis] - 1)
    low = place.long()
    high = (low + 1).clamp_max(x.shape[axis] - 1)
    weight = (place - low).to(x.dtype).reshape([-1 if n == axis else 1 for n in range(3)])
    return torch.lerp(x.index_select(axis, low), x.index_select(axis, high), weight)


def _widened(block: Grid, whole: Grid) -> Grid:
    """A block and one voxel more each way, which is as far as interpolation carries it."""
    first, last = whole.overlap(block)
    first, last = np.maximum(first - 1, 0), np.minimum(last + 1, whole.size)
    return whole.cropped(first, last - first)


def _around(block: Grid, grid: Grid, margin_mm: float) -> Grid:
    """The part of `grid` within a margin of a block of another."""
    first, last = grid.overlap(block, margin_mm)
    return grid.cropped(first, last - first)
