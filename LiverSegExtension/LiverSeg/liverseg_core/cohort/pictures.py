"""Two masks -> a small picture of the slice on which they differ most, readable in print and for colour-blind readers."""

from __future__ import annotations

import numpy as np

from ..geometry import Grid, bounding_block, resampled

BOTH, MISSED, EXTRA = (205, 205, 205), (0, 60, 130), (240, 150, 40)  # light, dark and middle in grey, too
_WIDTH_PX = 320
_MARGIN_MM = 10.0


def disagreement(prediction: np.ndarray, reference: np.ndarray, grid: Grid) -> np.ndarray:
    """Boolean masks [k, j, i] of one grid -> uint8 [row, column, 3]: the axial slice with the largest difference, in grey
    what both hold, dark what only the reference holds, orange what only the prediction holds; white elsewhere."""
    code = reference * np.uint8(2) + prediction  # 1 extra, 2 missed, 3 both
    block = bounding_block(code > 0, grid)
    if block is None:
        return np.full((_WIDTH_PX // 4, _WIDTH_PX, 3), 255, np.uint8)
    code = code[block.slices_in(grid)]
    canonical = block.canonical()
    pixel_mm = (canonical.size[0] * canonical.spacing_mm[0] + 2 * _MARGIN_MM) / _WIDTH_PX
    plane = canonical.plane(2, _slice_of(code, block, canonical), pixel_mm)
    margin = round(_MARGIN_MM / pixel_mm)
    width, height, _ = plane.size
    plane = plane.cropped((-margin, -margin, 0), (width + 2 * margin, height + 2 * margin, 1))
    flat = resampled(code, block, plane, nearest=True)[0]
    picture: np.ndarray = np.array([(255, 255, 255), EXTRA, MISSED, BOTH], np.uint8)[flat]
    return picture


def _slice_of(code: np.ndarray, grid: Grid, canonical: Grid) -> int:
    """The canonical slice through the middle of the slice, across the axis nearest to the body's, that differs most."""
    axis = int(np.abs(grid.axes[2]).argmax())  # of (i, j, k)
    across = tuple(n for n in range(3) if n != 2 - axis)
    differing = ((code == 1) | (code == 2)).sum(axis=across)
    most = differing if differing.any() else (code > 0).sum(axis=across)
    middle = (np.asarray(grid.size) - 1) / 2
    middle[axis] = int(most.argmax())
    k = round(float(canonical.index_of(grid.world_mm(middle))[2]))
    return min(max(k, 0), canonical.size[2] - 1)
