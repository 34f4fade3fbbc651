"""Which voxels are measured: the liver without its rim, and its parts. All masks are bool [k, j, i]."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..geometry import Grid

_RIM_MM = 3.5  # in plane: what partial volume and breathing mix with the surroundings
_MOST_RIM = 2  # voxels
_BLOCK_ML = 1.0
_DISC_MM = 10.0
_BODY = 0.05  # of the bright voxels of the first echo: what is darker is air
_FEWEST = 100  # voxels of a part that is reported
_THIRDS = ("upper", "middle", "lower")
_SECTORS = ("right", "central", "left")


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the liver by name."""

    name: str
    mask: np.ndarray


def body_of(magnitude: np.ndarray) -> np.ndarray:
    """Where echoes [n, k, j, i] hold more than air, by the first of them; bool [k, j, i]."""
    bright = float(np.percentile(magnitude[0], 99))
    return np.asarray(magnitude[0] > (_BODY * bright if bright > 0 else 0.0))


def measured_part(liver: np.ndarray, grid: Grid) -> np.ndarray:
    """The liver eroded in plane by two voxels (one where two are more than 3.5 mm), without its first and last slice
    where more than four slices hold it. A liver too thin for that stays as it is."""
    rim = min(_MOST_RIM, max(1, round(_RIM_MM / max(grid.spacing_mm[0], grid.spacing_mm[1]))))
    cross = ndimage.generate_binary_structure(2, 1)[None]
    kept = ndimage.binary_erosion(liver, cross, iterations=rim, border_value=1)
    held = np.flatnonzero(liver.any(axis=(1, 2)))
    if held.size > 4:
        kept[[held[0], held[-1]]] = False
    return kept if kept.any() else liver


def parts(mask: np.ndarray, grid: Grid) -> Iterator[Region]:
    """Right and left of the middle of the image, and the nine discs that a reader would draw."""
    side = _sides(mask.shape, grid)
    for name, where in (("right_half", side < 0), ("left_half", side >= 0)):
        part = mask & where
        if np.count_nonzero(part) >= _FEWEST:
            yield Region(name, part)
    yield from discs(mask, grid)


def discs(mask: np.ndarray, grid: Grid) -> Iterator[Region]:
    """Nine discs of up to 10 mm radius, one in each of three levels and three sectors of equal volume, each where the
    part is widest: what a reader's nine circles would hold, without segments drawn."""
    points = np.argwhere(mask)
    if len(points) < 9:
        return
    up = _along(grid, 2)
    across = _along(grid, 0)
    for level, name in enumerate(_THIRDS[::-1]):
        low, high = np.quantile(points @ up, [level / 3, (level + 1) / 3])
        inside = points[((points @ up) >= low) & ((points @ up) <= high)]
        if len(inside) < 3:
            continue
        edges = np.quantile(inside @ across, [0, 1 / 3, 2 / 3, 1])
        for sector, side in enumerate(_SECTORS):
            chosen = inside[((inside @ across) >= edges[sector]) & ((inside @ across) <= edges[sector + 1])]
            part = np.zeros_like(mask)
            part[tuple(chosen.T)] = True
            disc = _widest(chosen, part, grid)
            if disc is not None:
                yield Region(f"disc_{name}_{side}", disc)


def blocks(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Numbers of blocks of about 1 ml, int [k, j, i], 0 outside; blocks less than half full are left out."""
    edge_mm = (1000.0 * _BLOCK_ML) ** (1 / 3)
    size = np.maximum(np.round(edge_mm / np.asarray(grid.spacing_mm[::-1])), 1).astype(int)
    return _tiled(mask, size)


def planes(mask: np.ndarray, edge: int = 5) -> np.ndarray:
    """Numbers of blocks of 5 x 5 voxels within a slice, as `blocks`."""
    return _tiled(mask, np.array([1, edge, edge]))


def _tiled(mask: np.ndarray, size: np.ndarray) -> np.ndarray:
    places = [np.arange(n) // s for n, s in zip(mask.shape, size)]
    counts = [int(place[-1]) + 1 for place in places]
    number = np.asarray(np.ravel_multi_index(np.meshgrid(*places, indexing="ij"), counts)) + 1
    held = np.bincount(number[mask], minlength=int(np.prod(counts)) + 1)
    full: np.ndarray = held >= np.prod(size) / 2
    return np.where(mask & full[number], number, 0)


def _widest(points: np.ndarray, mask: np.ndarray, grid: Grid) -> np.ndarray | None:
    """The disc around the point that lies deepest in its slice, at most 10 mm in radius; None below 4 mm."""
    if len(points) == 0:
        return None
    spacing = grid.spacing_mm[1], grid.spacing_mm[0]
    best: np.ndarray | None = None
    deepest = 4.0
    for k in np.unique(points[:, 0]):
        depth = ndimage.distance_transform_edt(np.pad(mask[k], 1), sampling=spacing)[1:-1, 1:-1]
        here = points[points[:, 0] == k]
        depths = depth[here[:, 1], here[:, 2]]
        if depths.max() > deepest:
            deepest, best = float(depths.max()), here[depths.argmax()]
    if best is None:
        return None
    k, j, i = (int(n) for n in best)
    down, across = np.ogrid[: mask.shape[1], : mask.shape[2]]
    near = np.hypot((down - j) * spacing[0], (across - i) * spacing[1]) <= min(_DISC_MM, deepest)
    disc = np.zeros_like(mask)
    disc[k] = near & mask[k]
    return disc


def _sides(shape: tuple[int, ...], grid: Grid) -> np.ndarray:
    """Millimetres to the patient's left of the middle of the image, on the array's own axes."""
    toward = _along(grid, 0)
    index = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij", sparse=True)
    return np.asarray(sum(axis * weight for axis, weight in zip(index, toward)))


def _along(grid: Grid, axis: int) -> np.ndarray:
    """What a step along k, j, i adds to the LPS coordinate `axis`, in mm."""
    return np.asarray((grid.axes * grid.spacing_mm)[axis][::-1])
