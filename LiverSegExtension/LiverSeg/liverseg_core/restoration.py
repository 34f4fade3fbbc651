"""Logits -> LabelMask: the winning code, where the network said it or back in the scan's own geometry."""

from __future__ import annotations

import numpy as np

from .geometry import Grid, resampled
from .records import LabelMask, Logits


def restore(logits: Logits, grid: Grid) -> LabelMask:
    """Interpolate each code's logit onto the part of `grid` that the logits cover, and keep the winner.

    Logits, not labels, so that borders stay smooth; one code at a time and only inside the block, so that memory is
    two float volumes of the block whatever the number of codes.
    """
    out = np.zeros(grid.array_shape, np.uint8)
    first, last = grid.overlap(logits.grid)
    block = grid.cropped(first, last - first)
    tensor = logits.tensor.numpy()
    best = resampled(tensor[0], logits.grid, block, outside=np.inf)  # outside: background wins
    winner = np.zeros(block.array_shape, np.uint8)
    for channel, code in enumerate(logits.labels, start=1):
        rival = resampled(tensor[channel], logits.grid, block, outside=-np.inf)
        winner[rival > best] = code
        np.maximum(best, rival, out=best)
    out[block.slices_in(grid)] = winner
    return LabelMask(out, grid)


def decided(logits: Logits, sure: float = 0.0) -> LabelMask:
    """The winning code of every prepared voxel. A code that is nowhere `sure` (its 95th percentile of probability in
    its own voxels stays below) was not found: networks draw something into bodies without organs, but never surely."""
    codes = np.array([0, *logits.labels], np.uint8)
    winner = logits.tensor.argmax(dim=0)
    if sure > 0:
        probability = logits.tensor.softmax(dim=0)
        for channel in range(1, len(codes)):
            own = winner == channel
            if bool(own.any()) and float(np.percentile(probability[channel][own].numpy(), 95)) < sure:
                winner[own] = 0
    return LabelMask(codes[winner.numpy()], logits.grid)
