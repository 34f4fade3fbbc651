"""Two masks -> how well they agree. One implementation for `--reference`, validation and the Slicer panel."""

from __future__ import annotations

import math

import numpy as np

from .errors import InputError
from .geometry import resampled
from .labels import LESION, LIVER
from .records import LabelMask


def dsc(one: np.ndarray, other: np.ndarray) -> float:
    """Dice similarity coefficient of two boolean masks, 2|A and B| / (|A| + |B|); NaN when both are empty."""
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2.0 * np.count_nonzero(one & other) / total if total else math.nan


def on_grid_of(mask: LabelMask, reference: LabelMask) -> LabelMask:
    """`mask` on the reference's grid (nearest voxel); InputError when the two do not share any space."""
    if mask.grid.matches(reference.grid, tolerance_mm=0.05):
        return LabelMask(mask.voxels, reference.grid)
    low, high = mask.grid.corners_mm().min(axis=0), mask.grid.corners_mm().max(axis=0)
    other_low, other_high = reference.grid.corners_mm().min(axis=0), reference.grid.corners_mm().max(axis=0)
    if (low > other_high).any() or (other_low > high).any():
        raise InputError("scan and reference do not lie in the same place; expected a reference of this scan")
    return LabelMask(resampled(mask.voxels, mask.grid, reference.grid, nearest=True), reference.grid)


def structure(mask: LabelMask, code: int) -> np.ndarray:
    """The voxels that count for a code: the liver is parenchyma and lesions together."""
    whole: np.ndarray = mask.voxels == code
    return whole | (mask.voxels == LESION) if code == LIVER else whole
