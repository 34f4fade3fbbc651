"""Pair -> every agreement quantity. Adding a quantity is adding a row to QUANTITIES.

P is the prediction, G the reference; TP, FP, FN, TN count voxels. dP holds for each border voxel of P the distance to
the nearest border voxel of G, dG the reverse (see :mod:`.surfaces`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .pairs import FALSE_POSITIVE_CASE, MISSED_CASE, REASONS, TRUE_NEGATIVE, Pair
from .results import Agreement, Figure, Options

NEVER: frozenset[str] = frozenset()
BOTH_EMPTY = frozenset({TRUE_NEGATIVE})
NO_PREDICTION = frozenset({TRUE_NEGATIVE, MISSED_CASE})
NO_REFERENCE = frozenset({TRUE_NEGATIVE, FALSE_POSITIVE_CASE})
ONE_EMPTY = NO_PREDICTION | NO_REFERENCE
TOLERANCES_MM = (1.0, 2.0, 5.0)  # beside the one that is asked for, so that NSD can be seen to rise with it

_BORDER = "border voxels (6 neighbours, image edge included), distances between voxel centres"


@dataclass(frozen=True)
class Quantity:
    """One way in which two masks agree. `key`, `name` and `definition` are templates of the options."""

    key: str
    name: str
    unit: str
    compute: Callable[[Pair, Options], float]
    definition: str
    source: str
    undefined: frozenset[str]  # the states of a pair in which the value is NaN


def dice(pair: Pair, _: Options) -> float:
    tp, fp, fn, _tn = pair.counts
    return 2 * tp / (2 * tp + fp + fn)


def intersection_over_union(pair: Pair, _: Options) -> float:
    tp, fp, fn, _tn = pair.counts
    return tp / (tp + fp + fn)


def pixel_accuracy(pair: Pair, _: Options) -> float:
    return (pair.counts.tp + pair.counts.tn) / pair.image_voxels


def precision(pair: Pair, _: Options) -> float:
    return pair.counts.tp / (pair.counts.tp + pair.counts.fp)


def recall(pair: Pair, _: Options) -> float:
    return pair.counts.tp / (pair.counts.tp + pair.counts.fn)


def false_discovery_rate(pair: Pair, _: Options) -> float:
    return pair.counts.fp / (pair.counts.tp + pair.counts.fp)


def relative_volume_difference(pair: Pair, _: Options) -> float:
    tp, fp, fn, _tn = pair.counts
    return (fp - fn) / (tp + fn)


def absolute_volume_difference_ml(pair: Pair, _: Options) -> float:
    return abs(pair.counts.fp - pair.counts.fn) * pair.voxel_ml


QUANTITIES: tuple[Quantity, ...] = (
    Quantity("dsc", "Dice similarity coefficient", "1", dice, "2TP/(2TP+FP+FN)", "Dice 1945", BOTH_EMPTY),
    Quantity("iou", "Intersection over union (Jaccard index)", "1", intersection_over_union, "TP/(TP+FP+FN)", "Jaccard 1901", BOTH_EMPTY),
    Quantity("pixel_accuracy", "Pixel accuracy", "1", pixel_accuracy, "(TP+TN)/N over all N = {image_voxels} voxels of the reference's grid: depends on the field of view", "binary classification", NEVER),
    Quantity("precision", "Precision (positive predictive value)", "1", precision, "TP/(TP+FP), voxel by voxel", "binary classification", NO_PREDICTION),
    Quantity("recall", "Recall (sensitivity)", "1", recall, "TP/(TP+FN), voxel by voxel", "binary classification", NO_REFERENCE),
    Quantity("fdr", "False discovery rate", "1", false_discovery_rate, "FP/(TP+FP) = 1 - precision, voxel by voxel", "binary classification", NO_PREDICTION),
    Quantity("rvd", "Relative volume difference", "1", relative_volume_difference, "(|P|-|G|)/|G|, a fraction: positive is larger than the reference", "SLIVER07; LiTS prints the other sign over |P|", NO_REFERENCE),
    Quantity("avd_ml", "Absolute volume difference", "ml", absolute_volume_difference_ml, "||P|-|G|| x voxel volume", "voxel counting", NEVER),
    Quantity("hd", "Hausdorff distance", "mm", lambda pair, _: pair.distances.percentile_mm(100.0), f"max(max dG, max dP); {_BORDER}", "Huttenlocher 1993; CHAOS calls it MSSD", ONE_EMPTY),
    Quantity("hd95", "Hausdorff distance, 95th percentile", "mm", lambda pair, _: pair.distances.percentile_mm(95.0), f"max(percentile 95 of dG, percentile 95 of dP), linear between ranks; {_BORDER}", "as MONAI", ONE_EMPTY),
    Quantity("hd{percentile:g}", "Hausdorff distance, percentile {percentile:g}", "mm", lambda pair, options: pair.distances.percentile_mm(options.percentile), f"max(percentile {{percentile:g}} of dG, percentile {{percentile:g}} of dP), linear between ranks; {_BORDER}", "as MONAI", ONE_EMPTY),
    Quantity("asd_pred_to_ref", "Average surface distance, prediction to reference", "mm", lambda pair, _: float(pair.distances.pred_to_ref_mm.mean()), f"mean dP; {_BORDER}", "as MONAI, symmetric=False", ONE_EMPTY),
    Quantity("asd_ref_to_pred", "Average surface distance, reference to prediction", "mm", lambda pair, _: float(pair.distances.ref_to_pred_mm.mean()), f"mean dG; {_BORDER}", "as MONAI, arguments exchanged", ONE_EMPTY),
    Quantity("assd", "Average symmetric surface distance", "mm", lambda pair, _: pair.distances.assd_mm(), f"(sum dG + sum dP)/(nG + nP), every border voxel alike; {_BORDER}", "SLIVER07; as MONAI, symmetric=True", ONE_EMPTY),
    Quantity("nsd", "Normalised surface distance", "1", lambda pair, options: pair.distances.nsd(options.tolerance_mm), f"(#(dG <= t) + #(dP <= t))/(nG + nP), t = {{tolerance_mm:g}} mm; {_BORDER}", "Nikolov 2018; as MONAI, use_subvoxels=False", BOTH_EMPTY),
    Quantity("centroid_mm", "Distance of the centroids", "mm", lambda pair, _: pair.centroid_mm, "distance between the centres of gravity of P and G", "voxel counting", ONE_EMPTY),
)  # fmt: skip


def agreement_of(pair: Pair, structure: str, options: Options) -> Agreement:
    """Every row of the table for one pair. At 95 the row of the asked percentile is HD95's own."""
    known = {"percentile": options.percentile, "tolerance_mm": options.tolerance_mm, "image_voxels": pair.image_voxels}
    figures: dict[str, Figure] = {}
    for row in QUANTITIES:
        key = row.key.format(**known)
        if key not in figures:
            undefined = pair.state in row.undefined
            value = math.nan if undefined else row.compute(pair, options)
            reason = REASONS[pair.state] if undefined else _remark(key, pair, options)
            figures[key] = Figure(key, value, row.unit, row.definition.format(**known), reason)
    tolerances = sorted({*TOLERANCES_MM, options.tolerance_mm})
    nsd_by_mm = {} if pair.state in BOTH_EMPTY else {t: pair.distances.nsd(t) for t in tolerances}
    return Agreement(structure, tuple(figures.values()), options, nsd_by_mm)


def _remark(key: str, pair: Pair, options: Options) -> str:
    """What a reader must know of a value that is defined."""
    thickest = max(pair.spacing_mm)
    if key == "nsd" and thickest > options.tolerance_mm:
        return f"slices of {thickest:g} mm are thicker than the tolerance of {options.tolerance_mm:g} mm"
    return ""
