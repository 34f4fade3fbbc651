"""Two masks -> how far each one's surface lies from the other's, in millimetres.

The surface is the border voxels: those with at least one of the six face neighbours outside the mask, where the edge
of the image counts as outside. Distances are Euclidean between voxel centres, as in MONAI and medpy.

Only border voxels need a distance, and most of them lie within a few voxels of the other border. So each looks around
itself, shell by shell in the order of physical length, and keeps the first hit: within the reach every offset was
tried in order, which makes the hit the nearest. A KD-tree, exact too, answers for those that are farther away; where
it would be slower than a distance transform of the whole block (a prediction that is noise, or fills the image), the
transform answers, exact as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from ..geometry import Triple

_REACH = 6  # how many of the finest voxels the shells reach out
_FEW = 400  # fewer voxels than this are cheaper in the tree
_WALK_LIMIT = 15  # lookups for each voxel of the block, and the transform is as fast (8 ns against 120 ns a voxel)
_TREE_LIMIT = 2000  # pairs of border voxels for each voxel of the block, and the transform is as fast
_ROUNDING_MM = 1e-6  # a distance that equals a tolerance counts as within it, whatever the last bit says

Shell = tuple[float, list[int]]  # a length in mm, and every flat jump of that length


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """One distance for each border voxel, in no order; infinite where the other mask is empty."""

    pred_to_ref_mm: np.ndarray
    ref_to_pred_mm: np.ndarray

    def percentile_mm(self, percentile: float) -> float:
        """The larger of the two directed percentiles, interpolated linearly; 100 is the Hausdorff distance."""
        return max(float(np.percentile(d, percentile)) for d in (self.pred_to_ref_mm, self.ref_to_pred_mm))

    def assd_mm(self) -> float:
        """The mean over both surfaces together: each border voxel weighs the same."""
        total = self.pred_to_ref_mm.sum() + self.ref_to_pred_mm.sum()
        return float(total / (self.pred_to_ref_mm.size + self.ref_to_pred_mm.size))

    def nsd(self, tolerance_mm: float) -> float:
        """The share of both surfaces that lies within the tolerance of the other."""
        limit = tolerance_mm + _ROUNDING_MM
        near = np.count_nonzero(self.pred_to_ref_mm <= limit) + np.count_nonzero(self.ref_to_pred_mm <= limit)
        return float(near / (self.pred_to_ref_mm.size + self.ref_to_pred_mm.size))


class _Lattice(NamedTuple):
    """The padded block: where a flat index lies."""

    shape: tuple[int, int, int]  # [k, j, i]
    spacing: np.ndarray  # mm (k, j, i)

    def points_mm(self, flat: np.ndarray) -> np.ndarray:
        return np.stack(np.unravel_index(flat, self.shape), axis=1) * self.spacing


def surface_distances(prediction: np.ndarray, reference: np.ndarray, spacing_mm: Triple) -> SurfaceDistances:
    """Boolean masks [k, j, i] of one shape; spacing_mm is (i, j, k)."""
    spacing = np.asarray(spacing_mm[::-1], np.float64)
    offsets, lengths = _shell_offsets(spacing)
    pad = np.maximum(offsets.max(axis=0), 1)  # no offset leaves the block, and the edge of the image is outside
    shape = np.array(prediction.shape) + 2 * pad
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    shells = _grouped(offsets @ strides, lengths)
    ours, theirs = (_border(mask, pad, strides) for mask in (prediction, reference))
    lattice = _Lattice((int(shape[0]), int(shape[1]), int(shape[2])), spacing)
    return SurfaceDistances(_directed(ours, theirs, shells, lattice), _directed(theirs, ours, shells, lattice))


def _shell_offsets(spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every (dk, dj, di) within reach and its length in mm, shortest first; the first is no step at all."""
    radius = _REACH * float(spacing.min())
    reach = np.floor(radius / spacing + 1e-9).astype(int)
    offsets = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.sqrt(((offsets * spacing) ** 2).sum(axis=1))
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] <= radius * (1 + 1e-9)]
    return offsets[order], lengths[order]


def _grouped(jumps: np.ndarray, lengths: np.ndarray) -> list[Shell]:
    """Flat jumps of the same length together: their order does not matter."""
    steps = zip(lengths.tolist(), jumps.tolist())
    shells = [list(group) for _, group in groupby(steps, key=lambda step: round(step[0], 9))]
    return [(shell[0][0], [jump for _, jump in shell]) for shell in shells]


def _border(mask: np.ndarray, pad: np.ndarray, strides: np.ndarray) -> np.ndarray:
    """Flat boolean array of the padded block: true where a voxel of the mask has a face neighbour outside it."""
    flat = np.pad(mask, [(n, n) for n in pad]).ravel()
    inside = flat.copy()
    for stride in strides.tolist():  # a neighbour across the end of a row is padding, so never inside
        inside[stride:] &= flat[:-stride]
        inside[:-stride] &= flat[stride:]
    return np.logical_xor(flat, inside, out=inside)


def _directed(ours: np.ndarray, theirs: np.ndarray, shells: list[Shell], lattice: _Lattice) -> np.ndarray:
    """The distance of each voxel of our border to the nearest of theirs, mm."""
    left = np.flatnonzero(ours)
    if not theirs.any():
        return np.full(left.size, np.inf)
    parts = []
    for length, count, remaining in _walk(left, theirs, shells):
        parts.append(np.full(count, length))
        left = remaining
    if left.size:
        parts.append(_tail(left, theirs, lattice))
    return np.concatenate(parts) if parts else np.zeros(0)


def _walk(left: np.ndarray, theirs: np.ndarray, shells: list[Shell]) -> Iterator[tuple[float, int, np.ndarray]]:
    """For each shell that hits: its length, how many voxels it resolved, and those that are left."""
    ahead = sum(len(jumps) for _, jumps in shells)
    for length, jumps in shells:
        if left.size < _FEW or left.size * ahead > _WALK_LIMIT * theirs.size:
            return
        ahead -= len(jumps)
        hit = theirs[left + jumps[0]]
        for jump in jumps[1:]:
            hit |= theirs[left + jump]
        count = int(np.count_nonzero(hit))
        if count:
            left = left[~hit]
            yield length, count, left


def _tail(left: np.ndarray, theirs: np.ndarray, lattice: _Lattice) -> np.ndarray:
    """Distances of the voxels that no shell resolved, a part at a time so that noise does not fill the memory."""
    goals = np.flatnonzero(theirs)
    parts = np.array_split(left, left.size // 2**20 + 1)
    if left.size * goals.size > _TREE_LIMIT * theirs.size:
        away = ~theirs.reshape(lattice.shape)
        nearest = distance_transform_edt(away, lattice.spacing, return_distances=False, return_indices=True)
        flat = nearest.reshape(3, -1)
        return np.concatenate([
            np.linalg.norm(lattice.points_mm(part) - flat[:, part].T * lattice.spacing, axis=1) for part in parts
        ])  # fmt: skip
    # a tree that is built fast: balanced or compact ones answered slower on borders
    tree = cKDTree(lattice.points_mm(goals), leafsize=128, balanced_tree=False, compact_nodes=False)
    return np.concatenate([tree.query(lattice.points_mm(part))[0] for part in parts])
