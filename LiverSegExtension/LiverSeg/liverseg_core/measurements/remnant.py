"""Where the liver is to be cut -> how much of it stays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..geometry import Grid, Triple
from .pieces import Piece


@dataclass(frozen=True)
class Plane:
    """A cut through the liver, LPS mm: the remnant lies on the side to which the normal points."""

    point_mm: Triple
    normal: Triple

    def __post_init__(self) -> None:
        numbers = (*self.point_mm, *self.normal)
        if not all(map(math.isfinite, numbers)):
            raise InputError(f"a plane of {_listed(numbers)} is none; expected six finite numbers x,y,z,nx,ny,nz")
        if not any(self.normal):
            raise InputError("the plane's normal is 0,0,0; expected the direction from the cut toward the remnant")


@dataclass(frozen=True)
class Split:
    """A liver in two, ml; the three add up to the liver."""

    remnant_ml: float  # without lesions
    remnant_lesion_ml: float
    resected_ml: float  # with lesions


def plane_from(numbers: Sequence[float]) -> Plane:
    """x, y, z of a point and nx, ny, nz of the normal, LPS mm. InputError unless they are six and make a plane."""
    if len(numbers) != 6:
        raise InputError(f"a plane of {_listed(numbers)} is none; expected six numbers x,y,z,nx,ny,nz (LPS mm)")
    x, y, z, nx, ny, nz = map(float, numbers)
    return Plane((x, y, z), (nx, ny, nz))


def split_by_plane(plane: Plane, liver: Piece, lesion: np.ndarray | None) -> Split | None:
    """Both sides of the plane; `lesion` is a mask on the liver's block. None where the plane misses the liver.

    A voxel that the plane cuts counts by its part, linear across the voxel's width along the normal: exact for a plane
    along the grid, without bias for any other.
    """
    near = far = near_lesion = 0.0
    for k, part in enumerate(_parts_toward(plane, liver.grid)):
        here = part[liver.mask[k]]
        near += float(here.sum())
        far += here.size - float(here.sum())
        if lesion is not None:
            near_lesion += float(part[lesion[k]].sum())
    if not near or not far:
        return None
    ml = liver.grid.voxel_ml
    return Split((near - near_lesion) * ml, near_lesion * ml, far * ml)


def _parts_toward(plane: Plane, grid: Grid) -> Iterator[np.ndarray]:
    """For each slice k of the block [j, i]: which part of each voxel lies where the normal points, 0 to 1."""
    normal = np.asarray(plane.normal) / np.linalg.norm(plane.normal)
    along_mm = grid.axes.T @ normal * grid.spacing_mm  # how far one step along i, j, k goes toward the remnant
    start_mm = float((grid.world_mm((0, 0, 0)) - plane.point_mm) @ normal)
    i, j, k = (np.arange(n) * step for n, step in zip(grid.size, along_mm))
    in_slice = start_mm + j[:, None] + i[None, :]
    width_mm = float(np.abs(along_mm).sum())
    for height_mm in k:
        yield np.clip(0.5 + (in_slice + height_mm) / width_mm, 0.0, 1.0)


def _listed(numbers: Sequence[float]) -> str:
    return ",".join(f"{n:g}" for n in numbers)
