"""Two masks of one structure on one grid -> a Pair: cut to the block that holds both, counted once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..errors import LiverSegError
from ..geometry import Triple
from ..labels import LESION, LIVER
from ..records import LabelMask
from .surfaces import SurfaceDistances, surface_distances
from .twice import twice

Block = tuple[slice, slice, slice]

# the three ways in which a comparison has less than two masks, and the sentence that a reader gets
TRUE_NEGATIVE, FALSE_POSITIVE_CASE, MISSED_CASE = "true_negative", "false_positive_case", "missed_case"
REASONS = {
    TRUE_NEGATIVE: "both masks are empty (true negative)",
    FALSE_POSITIVE_CASE: "the reference is empty, the prediction is not (false positive case)",
    MISSED_CASE: "the prediction is empty, the reference is not (missed case)",
}


class Counts(NamedTuple):
    """Voxels that both hold (tp), that only the prediction holds (fp), that only the reference holds (fn), the rest."""

    tp: int
    fp: int
    fn: int
    tn: int


@dataclass(frozen=True, eq=False)
class Pair:
    """A prediction and a reference of one structure. Each expensive step is taken once, when it is first asked for."""

    prediction: np.ndarray  # bool [k, j, i], the block that holds both masks
    reference: np.ndarray  # bool [k, j, i]
    spacing_mm: Triple  # (i, j, k)
    image_voxels: int  # of the whole grid, not of the block

    @property
    def state(self) -> str:
        """TRUE_NEGATIVE, FALSE_POSITIVE_CASE or MISSED_CASE where a mask is empty; otherwise nothing."""
        predicted, expected = self.counts.tp + self.counts.fp, self.counts.tp + self.counts.fn
        if predicted and expected:
            return ""
        return FALSE_POSITIVE_CASE if predicted else MISSED_CASE if expected else TRUE_NEGATIVE

    @property
    def voxel_ml(self) -> float:
        return math.prod(self.spacing_mm) / 1000.0

    @cached_property
    def counts(self) -> Counts:
        tp = int(np.count_nonzero(self.prediction & self.reference))
        fp = int(np.count_nonzero(self.prediction)) - tp
        fn = int(np.count_nonzero(self.reference)) - tp
        return Counts(tp, fp, fn, self.image_voxels - tp - fp - fn)

    @cached_property
    def distances(self) -> SurfaceDistances:
        return surface_distances(self.prediction, self.reference, self.spacing_mm)

    @cached_property
    def centroid_mm(self) -> float:
        """Between the centres of gravity of two masks that are not empty."""
        one, other = twice(self.reference.size, _centroid, (self.prediction,), (self.reference,))
        return float(np.linalg.norm((one - other) * self.spacing_mm[::-1]))


def pair_of(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: Triple, *, image_voxels: int | None = None
) -> Pair:
    """Boolean masks [k, j, i] of one shape, voxels of spacing_mm (i, j, k), cut to the block that holds both.

    `image_voxels` is what the masks were cut from, where they are no longer whole.
    """
    if prediction.shape != reference.shape:
        raise LiverSegError(f"masks of {prediction.shape} and {reference.shape} voxels; expected one grid for both")
    where = block_of(prediction, reference)
    one, other = twice(reference.size, np.ascontiguousarray, (prediction[where], bool), (reference[where], bool))
    return Pair(one, other, spacing_mm, image_voxels or reference.size)


def cut_to_foreground(one: LabelMask, other: LabelMask) -> tuple[LabelMask, LabelMask]:
    """Two masks of one grid, both cut to the block that holds every code of either."""
    where = block_of(one.voxels, other.voxels)
    first, last = np.array([s.start for s in where])[::-1], np.array([s.stop for s in where])[::-1]
    block = other.grid.cropped(first, last - first)
    return LabelMask(one.voxels[where], block), LabelMask(other.voxels[where], block)


def dsc(one: np.ndarray, other: np.ndarray) -> float:
    """Dice similarity coefficient of two boolean masks, 2|A and B| / (|A| + |B|); NaN when both are empty."""
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2.0 * np.count_nonzero(one & other) / total if total else math.nan


def structure(mask: LabelMask, code: int) -> np.ndarray:
    """The voxels that count for a code: the liver is parenchyma and lesions together."""
    whole: np.ndarray = mask.voxels == code
    return whole | (mask.voxels == LESION) if code == LIVER else whole


def block_of(one: np.ndarray, other: np.ndarray) -> Block:
    """The smallest block [k, j, i] that holds what either mask holds; no voxel where both are empty."""
    held = twice(one.size, _spans, (one,), (other,))
    spans = [[spans[axis] for spans in held if spans] for axis in range(3)]
    k, j, i = (slice(min((s[0] for s in of), default=0), max((s[1] for s in of), default=0)) for of in spans)
    return k, j, i


def _spans(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and one-past-last index along k, j and i; nothing for an empty mask. Empty slices are looked at once."""
    mask = mask.view(np.uint8) if mask.itemsize == 1 else mask != 0
    slices = np.flatnonzero([plane.any() for plane in mask])
    if not slices.size:
        return []
    footprint = np.bitwise_or.reduce(mask[slices[0] : slices[-1] + 1], axis=0)
    ends = (slices, np.flatnonzero(footprint.any(axis=1)), np.flatnonzero(footprint.any(axis=0)))
    return [(int(found[0]), int(found[-1]) + 1) for found in ends]


def _centroid(mask: np.ndarray) -> np.ndarray:
    """Mean index (k, j, i) of the true voxels."""
    planes = mask.view(np.uint8)
    parts = [
        np.add.reduce(planes[k : k + 255], dtype=np.uint8) for k in range(0, len(planes), 255)
    ]  # of one byte: fast
    plane = np.add.reduce(parts, dtype=np.int64)
    weights = [np.array([np.count_nonzero(one) for one in mask]), plane.sum(axis=1), plane.sum(axis=0)]
    return np.array([np.average(np.arange(len(w)), weights=w) for w in weights])
