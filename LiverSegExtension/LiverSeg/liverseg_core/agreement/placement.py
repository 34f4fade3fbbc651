"""Two label masks on grids of their own -> the prediction on the reference's grid, and what that cost."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..geometry import Grid, bounding_block, resampled
from ..labels import LABELS
from ..records import LabelMask, Notice

_SAME_GRID = 0.01  # of the finest voxel: headers differ by the rounding of single precision
_SHEAR = 1e-4
_TOUCH = 1e-6  # of a voxel: two blocks that only touch share no space


def on_grid_of(mask: LabelMask, reference: LabelMask) -> LabelMask:
    """`mask` on the reference's grid (nearest voxel); InputError when the two do not share any space."""
    return placed(mask, reference)[0]


def placed(prediction: LabelMask, reference: LabelMask) -> tuple[LabelMask, tuple[Notice, ...]]:
    """The prediction on the reference's grid, with a notice where it had to be resampled.

    InputError when the two fields of view do not overlap, or when the axes of the reference are not at right angles:
    distances are taken along them.
    """
    _refuse_sheared(reference.grid)
    if prediction.grid.matches(reference.grid, tolerance_mm=_SAME_GRID * min(reference.grid.spacing_mm)):
        return LabelMask(prediction.voxels, reference.grid), ()
    if _apart(prediction.grid, reference.grid) or _apart(reference.grid, prediction.grid):
        raise InputError(
            "prediction and reference do not lie in the same place; expected two masks of one scan, or of one patient "
            "in one position"
        )
    voxels, lost = _moved(prediction, reference.grid)
    text = (
        f"The prediction ({_lattice(prediction.grid)}) was resampled to the reference's grid "
        f"({_lattice(reference.grid)}), nearest voxel.{lost}"
    )
    return LabelMask(voxels, reference.grid), (Notice("resampled", text),)


def _refuse_sheared(grid: Grid) -> None:
    if np.abs(grid.axes.T @ grid.axes - np.eye(3)).max() > _SHEAR:
        raise InputError(
            "the axes of the reference are not at right angles, so its voxels have no distances; "
            "expected a mask without shear: resample it first"
        )


def _apart(grid: Grid, other: Grid) -> bool:
    """True when a face of `grid` has all of `other` in front of it."""
    corners = grid.index_of(other.corners_mm())
    end = np.asarray(grid.size) - 0.5
    return bool((corners.min(axis=0) > end - _TOUCH).any() or (corners.max(axis=0) < _TOUCH - 0.5).any())


def _moved(mask: LabelMask, grid: Grid) -> tuple[np.ndarray, str]:
    """The voxels on another grid, and a sentence for what lies outside it. Only the block that holds something moves."""
    voxels = np.zeros(grid.array_shape, mask.voxels.dtype)
    block = bounding_block(mask.voxels, mask.grid)
    if block is None:
        return voxels, ""
    held = mask.voxels[block.slices_in(mask.grid)]
    first, last = grid.overlap(block)
    target = grid.cropped(first, last - first)
    voxels[target.slices_in(grid)] = resampled(held, block, target, nearest=True)
    return voxels, _lost(held, block, grid)


def _lost(held: np.ndarray, block: Grid, field: Grid) -> str:
    corners = field.index_of(block.corners_mm())
    end = np.asarray(field.size) - 0.5
    if (corners.min(axis=0) > -0.5 - _TOUCH).all() and (corners.max(axis=0) < end + _TOUCH).all():
        return ""
    seen = resampled(np.ones(field.array_shape, np.uint8), field, block, nearest=True)
    outside = np.bincount(held[seen == 0], minlength=1)
    parts = [
        f"{count * block.voxel_ml:.1f} ml of {LABELS[code].key if code in LABELS else f'code {code}'}"
        for code, count in enumerate(outside.tolist())
        if code and count
    ]
    return f" Outside that grid, and not counted: {', '.join(parts)}." if parts else ""


def _lattice(grid: Grid) -> str:
    return f"{' x '.join(map(str, grid.size))} voxels of {' x '.join(f'{s:.4g}' for s in grid.spacing_mm)} mm"
