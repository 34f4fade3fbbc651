"""Segment -> Piece: the block that holds it, and its size and shape in millimetres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from ..geometry import Grid, bounding_block, ellipsoid_axes_mm
from ..records import Segment

_FEW = 300  # as many points are compared each with each; of more the convex hull is taken first

Faces = tuple[tuple[bool, bool], ...]


@dataclass(frozen=True, eq=False)
class Piece:
    """A segment that is not empty, cut to its block. Each expensive step is taken once, when it is first asked for."""

    mask: np.ndarray  # bool [k, j, i]
    grid: Grid  # of the block
    at_edge: Faces  # [k, j, i][first, last]: whether that face of the block lies on the edge of the segment's grid

    @cached_property
    def voxels(self) -> int:
        return int(np.count_nonzero(self.mask))

    @property
    def volume_ml(self) -> float:
        return self.voxels * self.grid.voxel_ml

    @cached_property
    def centroid_mm(self) -> np.ndarray:
        """Centre of gravity, LPS mm (3,)."""
        return self.grid.world_mm(self._moments[0])

    @cached_property
    def axes_ellipsoid_mm(self) -> tuple[float, float, float]:
        """The full axes, longest first, of the solid ellipsoid with the same second moments."""
        least, middle, most = ellipsoid_axes_mm(self._moments[1], self.grid.spacing_mm)
        return float(most), float(middle), float(least)

    @cached_property
    def major_axis_pyradiomics_mm(self) -> float:
        return float(4 * math.sqrt(max(np.linalg.eigvalsh(self._moments[1])[-1], 0.0)))

    @cached_property
    def longest_mm(self) -> float:
        """The largest distance between the centres of two voxels."""
        points = self.grid.world_mm(self._row_ends())
        if len(points) > _FEW:  # QJ: moved by less than rounding, so that a flat set has a hull, too
            points = points[ConvexHull(points, qhull_options="QJ").vertices]
        return float(pdist(points).max(initial=0.0))

    def border_mm(self, *, open_edges: bool) -> np.ndarray:
        """Centres (n, 3) in LPS mm of the voxels with a face neighbour outside; with `open_edges` the mask is taken
        to go on beyond the edge of its grid, where nobody has seen its surface."""
        inside = self.mask.copy()
        for axis, ends in enumerate(self.at_edge):
            here, there = np.moveaxis(inside, axis, 0), np.moveaxis(self.mask, axis, 0)
            here[1:] &= there[:-1]
            here[:-1] &= there[1:]
            for end, at_edge in zip((0, -1), ends):
                if not (open_edges and at_edge):
                    here[end] = False
        return self.grid.world_mm(np.argwhere(self.mask & ~inside)[:, ::-1])

    def face_mm2(self) -> list[float]:
        """Area on each face of the segment's grid; a single slice has no faces along its axis."""
        areas = [0.0]
        for axis, ends in enumerate(self.at_edge):
            if all(ends) and self.mask.shape[axis] == 1:
                continue
            voxel_mm2 = math.prod(s for n, s in enumerate(self.grid.spacing_mm[::-1]) if n != axis)
            areas += [
                float(np.count_nonzero(self.mask.take(end, axis))) * voxel_mm2
                for end, at_edge in zip((0, -1), ends)
                if at_edge
            ]
        return areas

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean index (i, j, k), and the covariance of the voxels' centres in mm2 along the grid's own axes."""
        index = np.argwhere(self.mask)[:, ::-1]
        spread = np.cov(index.T, bias=True) if len(index) > 1 else np.zeros((3, 3))
        return index.mean(axis=0), spread * np.outer(self.grid.spacing_mm, self.grid.spacing_mm)

    def _row_ends(self) -> np.ndarray:
        """Index (n, 3) of the first and the last voxel of each row: every corner of the convex hull is among them."""
        k, j = np.nonzero(self.mask.any(axis=2))
        rows = self.mask[k, j]
        first, last = rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
        return np.stack([np.concatenate([first, last]), np.tile(j, 2), np.tile(k, 2)], axis=1)


def piece_of(segment: Segment) -> Piece | None:
    """None for an empty segment: what was not found has no size, not one of zero."""
    block = bounding_block(segment.mask, segment.grid)
    if block is None:
        return None
    where = block.slices_in(segment.grid)
    at_edge = tuple((s.start == 0, s.stop == n) for s, n in zip(where, segment.mask.shape))
    return Piece(np.ascontiguousarray(segment.mask[where]), block, at_edge)
