"""Two lesion masks -> which reference lesions were found and which predicted ones are real. A rule is a row of RULES."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

LEAST_ML, LEAST_VOXELS = 0.01, 3  # smaller components are noise, in the reference as in the prediction


@dataclass(frozen=True, eq=False)
class Parts:
    """The components of a mask, the largest first."""

    labels: np.ndarray  # int32 [k, j, i]: 0 outside, part n as n + 1
    voxels: np.ndarray  # int64 [n]
    dropped: int = 0  # components that were too small to count


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Every overlapping pair of a reference lesion g and a predicted lesion p, with the voxels that they share."""

    reference_voxels: np.ndarray  # [lesions of the reference]
    predicted_voxels: np.ndarray  # [predicted lesions]
    g: np.ndarray  # [pairs]
    p: np.ndarray  # [pairs]
    shared: np.ndarray  # [pairs]

    @property
    def iou(self) -> np.ndarray:
        return self.shared / (self.reference_voxels[self.g] + self.predicted_voxels[self.p] - self.shared)


@dataclass(frozen=True)
class Detection:
    """The counts of one rule. A ratio without a denominator is NaN; F1 needs one lesion on either side."""

    found: int  # reference lesions that were detected
    missed: int
    real: int  # predicted lesions that belong to a detected one
    false: int

    @property
    def recall(self) -> float:
        return _ratio(self.found, self.found + self.missed)

    @property
    def precision(self) -> float:
        return _ratio(self.real, self.real + self.false)

    @property
    def f1(self) -> float:
        """2PR/(P+R); 0 where one side has no lesion and the other has: a false alarm does not vanish from a mean."""
        if not self.found + self.missed + self.real + self.false:
            return math.nan
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both > 0 else 0.0


class Components(NamedTuple):
    """What a lesion is."""

    corners_touch: bool = True  # 26 neighbours; otherwise 6
    drops_small: bool = True


_COMPONENTS = Components()


@dataclass(frozen=True)
class Rule:
    """When a lesion counts as found: the components, and the match."""

    key: str
    definition: str
    match: Callable[[Overlaps], Detection]
    components: Components = _COMPONENTS


def parts_of(mask: np.ndarray, voxel_ml: float, kind: Components = _COMPONENTS) -> Parts:
    """Connected components of a boolean mask [k, j, i]."""
    neighbours = ndimage.generate_binary_structure(3, 3 if kind.corners_touch else 1)
    labels, count = ndimage.label(mask, structure=neighbours, output=np.int32)
    held = np.flatnonzero(mask)
    names = labels.reshape(-1)[held]
    voxels = np.bincount(names, minlength=count + 1)[1:]
    counts = (voxels >= LEAST_VOXELS) & (voxels * voxel_ml >= LEAST_ML - 1e-9) if kind.drops_small else voxels > 0
    order = np.argsort(-voxels, kind="stable")
    order = order[counts[order]]
    renamed = np.zeros(count + 1, np.int32)
    renamed[order + 1] = np.arange(1, order.size + 1)
    labels.reshape(-1)[held] = renamed[names]
    return Parts(labels, voxels[order], count - int(order.size))


def overlaps_of(prediction: Parts, reference: Parts) -> Overlaps:
    """One pass over the voxels that both hold, whatever the number of components."""
    both = (prediction.labels > 0) & (reference.labels > 0)
    width = prediction.voxels.size
    codes = (reference.labels[both].astype(np.int64) - 1) * width + prediction.labels[both] - 1
    pairs, shared = np.unique(codes, return_counts=True)
    g, p = np.divmod(pairs, width) if width else (pairs, pairs)
    return Overlaps(reference.voxels, prediction.voxels, g, p, shared)


def matched(overlaps: Overlaps, least_iou: float) -> np.ndarray:
    """For each reference lesion its predicted partner, or -1: the one-to-one assignment with the largest sum of IoU
    among the pairs whose IoU is larger than `least_iou`. Lesions that no chain of pairs joins are assigned apart."""
    lesions, all_of_them = (
        overlaps.reference_voxels.size,
        overlaps.reference_voxels.size + overlaps.predicted_voxels.size,
    )
    partner = np.full(lesions, -1)
    iou = overlaps.iou
    fit = np.flatnonzero(iou > least_iou)
    g, p = overlaps.g[fit], overlaps.p[fit]
    joined = coo_array((iou[fit], (g, lesions + p)), shape=(all_of_them, all_of_them))
    group = connected_components(joined, directed=False)[1][g]
    alone = np.bincount(group, minlength=1)[group] == 1
    partner[g[alone]] = p[alone]
    rest = np.flatnonzero(~alone)
    rest = rest[np.argsort(group[rest], kind="stable")]
    for some in np.split(rest, np.flatnonzero(np.diff(group[rest])) + 1):
        rows, row = np.unique(g[some], return_inverse=True)
        columns, column = np.unique(p[some], return_inverse=True)
        gain = np.zeros((rows.size, columns.size))
        gain[row, column] = iou[fit[some]]
        chosen = linear_sum_assignment(gain, maximize=True)
        real = gain[chosen] > 0
        partner[rows[chosen[0][real]]] = columns[chosen[1][real]]
    return partner


def _one_to_one(overlaps: Overlaps, least_iou: float) -> Detection:
    found = int(np.count_nonzero(matched(overlaps, least_iou) >= 0))
    return _counted(overlaps, found, found)


def _any_overlap(overlaps: Overlaps) -> Detection:
    return _counted(overlaps, np.unique(overlaps.g).size, np.unique(overlaps.p).size)


def _lits(overlaps: Overlaps) -> Detection:
    """Reference lesions are merged where one predicted lesion, the one that overlaps each of them most, spans them;
    then each predicted lesion goes to the merged lesion that it overlaps most, and those that share one are merged."""
    count = overlaps.reference_voxels.size
    owner = _largest_partner(overlaps.g, overlaps.p, overlaps.shared, count)  # of each g: the p that overlaps it most
    group = np.where(owner >= 0, owner, -1 - np.arange(count))
    names, merged = np.unique(group, return_inverse=True)
    codes, pair = np.unique(overlaps.p * names.size + merged[overlaps.g], return_inverse=True)
    p, goals = np.divmod(codes, names.size) if names.size else (codes, codes)
    shared = np.bincount(pair, weights=overlaps.shared, minlength=codes.size)
    goal = _largest_partner(p, goals, shared, overlaps.predicted_voxels.size)
    kept = goal[p] == goals
    inter = np.bincount(goals[kept], weights=shared[kept], minlength=names.size)
    reference = np.bincount(merged, weights=overlaps.reference_voxels, minlength=names.size)
    taken = goal >= 0
    predicted = np.bincount(goal[taken], weights=overlaps.predicted_voxels[taken], minlength=names.size)
    detected = inter / (reference + predicted - inter) > 0.5
    return _counted(overlaps, int(detected[merged].sum()), int(detected[goal[taken]].sum()))


def _largest_partner(own: np.ndarray, other: np.ndarray, shared: np.ndarray, count: int) -> np.ndarray:
    """For each of `count` lesions the other one that shares most voxels with it, the first of equals; -1 without any."""
    partner = np.full(count, -1)
    order = np.lexsort((-other, shared))  # the last one written stays
    partner[own[order]] = other[order]
    return partner


def _counted(overlaps: Overlaps, found: int, real: int) -> Detection:
    return Detection(found, overlaps.reference_voxels.size - found, real, overlaps.predicted_voxels.size - real)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


_PARTS = f"26-connected components of at least {LEAST_ML:g} ml and {LEAST_VOXELS} voxels"
RULES: Mapping[str, Rule] = {
    rule.key: rule
    for rule in (
        Rule("iou10", f"one-to-one assignment with IoU > 0.1; {_PARTS}", partial(_one_to_one, least_iou=0.1)),
        Rule("iou50", f"one-to-one assignment with IoU > 0.5; {_PARTS}", partial(_one_to_one, least_iou=0.5)),
        Rule("any", f"at least one voxel in common; {_PARTS}", _any_overlap),
        Rule(
            "lits",
            "as LiTS: reference lesions spanned by one predicted lesion merged, predicted ones that share a lesion "
            "merged, IoU > 0.5, a merged lesion counts as many as it joins; 6-connected components of any size",
            _lits,
            Components(corners_touch=False, drops_small=False),
        ),
    )
}


def pooled(detections: Sequence[Detection]) -> Detection:
    """The counts of a cohort: the headline, for ratios of single cases are often undefined."""
    return Detection(
        sum(d.found for d in detections), sum(d.missed for d in detections),
        sum(d.real for d in detections), sum(d.false for d in detections),
    )  # fmt: skip
