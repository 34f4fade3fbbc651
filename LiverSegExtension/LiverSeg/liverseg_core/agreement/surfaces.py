"""Two masks -> how far each one's surface lies from the other's, in millimetres.

The surface is the border voxels: those with at least one of the six face neighbours outside the mask, where the edge
of the image counts as outside. Distances are Euclidean between voxel centres, as in MONAI and medpy.

Only border voxels need a distance, and most of them lie within a few voxels of the other border. So each looks around
itself, shell by shell in the order of physical length (:mod:`.shells`). For those that are farther away, or where a
prediction is noise and there are too many of them, see :mod:`.far`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..geometry import Triple
from .far import far_mm, parted, transform_lookups, transformed_mm
from .shells import Lattice, Voxels, border, lattice_around, walked
from .twice import twice

_FAR = 1500  # what a voxel costs that no shell finds, in lookups
_STRIDE = 2039  # every so manieth voxel is the sample that says whether to walk; a prime keeps out of step
_ROUNDING_MM = 1e-6  # a distance that equals a tolerance counts as within it, whatever the last bit says


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """One distance for each border voxel, in no order; infinite where the other mask is empty."""

    pred_to_ref_mm: np.ndarray
    ref_to_pred_mm: np.ndarray

    def percentile_mm(self, percentile: float) -> float:
        """The larger of the two directed percentiles, interpolated linearly; 100 is the Hausdorff distance."""
        both = (self.pred_to_ref_mm, self.ref_to_pred_mm)
        return max(float(d.max() if percentile == 100.0 else np.percentile(d, percentile)) for d in both)

    def assd_mm(self) -> float:
        """The mean over both surfaces together: each border voxel weighs the same."""
        total = self.pred_to_ref_mm.sum() + self.ref_to_pred_mm.sum()
        return float(total / (self.pred_to_ref_mm.size + self.ref_to_pred_mm.size))

    def nsd(self, tolerance_mm: float) -> float:
        """The share of both surfaces that lies within the tolerance of the other."""
        limit = tolerance_mm + _ROUNDING_MM
        near = np.count_nonzero(self.pred_to_ref_mm <= limit) + np.count_nonzero(self.ref_to_pred_mm <= limit)
        return float(near / (self.pred_to_ref_mm.size + self.ref_to_pred_mm.size))


def surface_distances(prediction: np.ndarray, reference: np.ndarray, spacing_mm: Triple) -> SurfaceDistances:
    """Boolean masks [k, j, i] of one shape; spacing_mm is (i, j, k)."""
    k, j, i = prediction.shape
    lattice = lattice_around((k, j, i), spacing_mm)
    ours, theirs = border(prediction, lattice), border(reference, lattice)
    return SurfaceDistances(*twice(prediction.size, _directed, (ours, theirs, lattice), (theirs, ours, lattice)))


def _directed(ours: Voxels, theirs: Voxels, lattice: Lattice) -> np.ndarray:
    """The distance of each voxel of our border to the nearest of theirs, mm."""
    if not theirs.count:
        return np.full(ours.count, np.inf)
    noise = parted(theirs, lattice)
    if noise is not None:
        near, outer = noise
        walk = walked(Voxels(ours.flat & near.flat).parts(), theirs, lattice)
        away = np.concatenate([walk.left, *Voxels(ours.flat & ~near.flat).parts()])
        return _joined(walk.found_mm, away, outer, lattice)
    many = ours.count * (lattice.steps + _FAR) > transform_lookups(theirs.flat.size)
    if many and _crowded(ours, theirs, lattice):
        return transformed_mm(ours.parts(), ours.count, theirs, lattice)
    walk = walked(ours.parts(), theirs, lattice)
    return _joined(walk.found_mm, walk.left, theirs, lattice)


def _joined(found_mm: list[tuple[float, int]], left: np.ndarray, theirs: Voxels, lattice: Lattice) -> np.ndarray:
    """What the shells found, and the distances of those that they left."""
    lengths, counts = np.array(found_mm).reshape(-1, 2).T
    near = np.repeat(lengths, counts.astype(int))
    return np.concatenate([near, far_mm(left, theirs, lattice)]) if left.size else near


def _crowded(ours: Voxels, theirs: Voxels, lattice: Lattice) -> bool:
    """Whether so many voxels are so far away that a transform of all costs less: tried on a sample."""
    sample = np.flatnonzero(ours.flat[::_STRIDE]) * _STRIDE
    walk = walked([sample], theirs, lattice, farther=False)
    return _STRIDE * (walk.lookups + _FAR * walk.left.size) > transform_lookups(theirs.flat.size)
