"""Logits -> LabelMask: the winning code, where the network said it or back in the scan's own geometry."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .geometry import Grid, bounding_block, resampled
from .records import LabelMask, Logits

_SLAB_VOXELS = 1 << 24  # how much of a block is in float32 at once


def restore(logits: Logits, grid: Grid) -> LabelMask:
    """The winning code of every voxel of `grid`: see `restored_block`; outside of it is background."""
    return placed(restored_block(logits, grid), grid)


def restored_block(logits: Logits, grid: Grid) -> LabelMask:
    """Interpolate the codes' logits onto the part of `grid` that any of them won, and keep the winner there.

    Logits, not labels, so that borders stay smooth; one code at a time, only around the voxels that it won, and a
    slab at a time, so that memory is two float volumes of a slab whatever the number of codes.
    """
    won = _winner(logits)
    reach = {code: _around(won == channel, logits.grid, grid) for channel, code in enumerate(logits.labels, start=1)}
    block = _around(won > 0, logits.grid, grid) or grid.cropped((0, 0, 0), (1, 1, 1))
    winner = np.zeros(block.array_shape, np.uint8)
    for slab in _slabs(block):
        inside = slab.slices_in(block)
        best = resampled(logits.tensor[0].numpy(), logits.grid, slab, outside=np.inf)  # outside: background wins
        for channel, code in enumerate(logits.labels, start=1):
            part = _common(reach[code], slab, grid)
            if part is not None:
                here = part.slices_in(slab)
                rival = resampled(logits.tensor[channel].numpy(), logits.grid, part, outside=-np.inf)
                winner[inside][here][rival > best[here]] = code
                np.maximum(best[here], rival, out=best[here])
    return LabelMask(winner, block)


def placed(part: LabelMask, grid: Grid) -> LabelMask:
    """A mask on a block of `grid`, on the whole of it."""
    out = np.zeros(grid.array_shape, np.uint8)
    out[part.grid.slices_in(grid)] = part.voxels
    return LabelMask(out, grid)


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


def _around(won: np.ndarray, source: Grid, grid: Grid) -> Grid | None:
    """The block of `grid` within one voxel of `source` from what was won; None for nothing."""
    block = bounding_block(won, source)
    if block is None:
        return None
    first, last = grid.overlap(block, max(source.spacing_mm))
    return grid.cropped(first, last - first)


def _common(block: Grid | None, slab: Grid, grid: Grid) -> Grid | None:
    """What two blocks of `grid` share."""
    if block is None:
        return None
    spans = [
        (max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(block.slices_in(grid)[::-1], slab.slices_in(grid)[::-1])
    ]
    if any(last <= first for first, last in spans):
        return None
    return grid.cropped([first for first, _ in spans], [last - first for first, last in spans])


def _slabs(block: Grid) -> Iterator[Grid]:
    """The block cut along k."""
    i, j, k = block.size
    thick = max(1, _SLAB_VOXELS // (i * j))
    for first in range(0, k, thick):
        yield block.cropped((0, 0, first), (i, j, min(thick, k - first)))
