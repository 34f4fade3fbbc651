"""Logits -> how far the network can be believed about its liver. NaN where it says nothing of one."""

from __future__ import annotations

import math

import numpy as np

from .geometry import bounding_block, resampled
from .labels import LESION, LIVER
from .records import LabelMask, Logits

_REACH_MM = 24.0  # around the block of the liver: further off the spleen and the kidneys are doubted, not the liver
_SURE = 0.9  # of one answer; the few per cent that some networks leave everywhere would sum up to much
_SLICES = 8  # how many slices are in probabilities at once


def doubt(logits: Logits, seen: LabelMask) -> float:
    """How many voxels of the liver's block and near it the network is less than 90 % sure of, either way, as a share of
    the liver's own voxels in `seen`; most lie along its outline.

    A lesion is liver. NaN for a network that does not look for the liver, and for an empty one.
    """
    channels = [channel for channel, code in enumerate(logits.labels, start=1) if code in (LIVER, LESION)]
    liver = _liver(seen)
    block = bounding_block(liver, seen.grid)
    if LIVER not in logits.labels or block is None:
        return math.nan
    first, last = seen.grid.overlap(block, _REACH_MM)
    near = logits.tensor[(slice(None), *seen.grid.cropped(first, last - first).slices_in(seen.grid))]
    unsure = 0
    for k in range(0, near.shape[1], _SLICES):
        likely = near[:, k : k + _SLICES].softmax(dim=0)[channels].sum(dim=0)
        unsure += int(((likely > 1.0 - _SURE) & (likely < _SURE)).sum())
    return unsure / int(np.count_nonzero(liver))


def accord(coarse: LabelMask, fine: LabelMask) -> float:
    """DSC of the livers of two stages on the grid of the coarse one, where the fine one says what its nearest voxel
    says and nothing beyond its region. NaN when neither has a liver."""
    one, other = _liver(coarse), _liver(fine)
    first, last = coarse.grid.overlap(fine.grid)
    common = coarse.grid.cropped(first, last - first)
    other = resampled(other.view(np.uint8), fine.grid, common, nearest=True) > 0
    both = float(np.count_nonzero(one[common.slices_in(coarse.grid)] & other))
    voxels = float(np.count_nonzero(one) + np.count_nonzero(other))
    return 2.0 * both / voxels if voxels else math.nan


def apart(logits: Logits, seen: LabelMask) -> float:
    """Mean over the liver of how far the members of an ensemble are apart, 0 to 1. NaN for one network, and without a
    liver."""
    liver = _liver(seen)
    if logits.apart is None or not liver.any():
        return math.nan
    return float(logits.apart.numpy()[liver].mean())


def _liver(mask: LabelMask) -> np.ndarray:
    return (mask.voxels == LIVER) | (mask.voxels == LESION)
