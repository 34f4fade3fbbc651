"""Scan and a piece of it -> its attenuation on CT, away from its border."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..geometry import Grid
from ..records import Scan
from .pieces import Piece

KEPT_HU = (-50.0, 200.0)  # fat of the hilum, calcifications and metal are no parenchyma
LEAST_VOXELS = 100  # the mean of fewer is noise


@dataclass(frozen=True)
class Attenuation:
    """HU over the voxels that were kept; NaN where they are fewer than LEAST_VOXELS."""

    mean_hu: float
    median_hu: float


def attenuation(scan: Scan, piece: Piece, margin_mm: float) -> Attenuation:
    """Of the piece without a margin in the plane of the slices, and within KEPT_HU."""
    where = piece.grid.slices_in(scan.grid)
    values = scan.voxels[where][eroded_in_slices(piece.mask, piece.grid, margin_mm)]
    values = values[(values >= KEPT_HU[0]) & (values <= KEPT_HU[1])]
    if values.size < LEAST_VOXELS:
        return Attenuation(math.nan, math.nan)
    return Attenuation(float(values.mean(dtype=np.float64)), float(np.median(values)))


def eroded_in_slices(mask: np.ndarray, grid: Grid, margin_mm: float) -> np.ndarray:
    """Without the voxels that have one outside the mask within `margin_mm` in their slice. Slices lie across the
    thickest axis; of equal ones, the last."""
    spacing = grid.spacing_mm[::-1]
    order = sorted(range(3), key=lambda axis: -round(spacing[axis], 6))
    across = order[0]
    rows_mm, columns_mm = (s for axis, s in enumerate(spacing) if axis != across)
    reach = int(margin_mm / rows_mm + 1e-9)
    halves = [int(math.sqrt(max(margin_mm**2 - (d * rows_mm) ** 2, 0.0)) / columns_mm + 1e-9) for d in range(reach + 1)]
    out = np.zeros_like(mask)
    for plane, kept in zip(np.moveaxis(mask, across, 0), np.moveaxis(out, across, 0)):
        if plane.any():
            kept[...] = _eroded(plane, halves)
    return out


def _eroded(plane: np.ndarray, halves: list[int]) -> np.ndarray:
    """Erosion by a disc whose row d, up or down, reaches `halves[d]` columns either way; the edge is outside."""
    reach = len(halves) - 1
    run = np.pad(plane, ((reach, reach), (halves[0] + 1, halves[0] + 1)))
    rows, out, done = plane.shape[0], np.ones_like(run[: plane.shape[0]]), 0
    for down in range(reach, -1, -1):  # rows farther away are shorter, so that each run continues the one before
        while done < halves[down]:
            run[:, 1:-1] = run[:, :-2] & run[:, 1:-1] & run[:, 2:]
            done += 1
        out &= run[reach + down : reach + down + rows] & run[reach - down : reach - down + rows]
    return out[:, halves[0] + 1 : halves[0] + 1 + plane.shape[1]]
