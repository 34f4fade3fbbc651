"""Masks so simple that their agreement is worked out by hand, and the answers."""

from __future__ import annotations

import math

import numpy as np
from liverseg_core.agreement import Agreement, Options, agreement_of, check_identities, pair_of
from liverseg_core.geometry import Grid
from liverseg_core.records import LabelMask

NAN = math.nan
ROOT2, ROOT3 = math.sqrt(2), math.sqrt(3)
KEYS = [
    "dsc", "iou", "pixel_accuracy", "precision", "recall", "fdr", "rvd", "avd_ml", "hd", "hd95", "asd_pred_to_ref",
    "asd_ref_to_pred", "assd", "nsd", "centroid_mm",
]  # fmt: skip


def cuboid(shape: tuple[int, int, int], start: tuple[int, int, int], size: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, a + n) for a, n in zip(start, size))] = True
    return mask


def record_of(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, float, float] = (1, 1, 1), **options: float
) -> Agreement:
    return check_identities(agreement_of(pair_of(prediction, reference, spacing_mm), "liver", Options(**options)))


def labels(mask: np.ndarray, grid: Grid, code: int = 1) -> LabelMask:
    return LabelMask(mask.astype(np.uint8) * code, grid)


CUBE = cuboid((8, 8, 9), (2, 2, 2), (4, 4, 4))
LINE = cuboid((3, 3, 40), (1, 1, 2), (1, 1, 20))
BEYOND = LINE | cuboid((3, 3, 40), (1, 1, 31), (1, 1, 1))
VOXEL = cuboid((3, 3, 6), (1, 1, 0), (1, 1, 1))
MOVED = cuboid((3, 3, 6), (2, 1, 4), (1, 1, 1))
EMPTY, ONE = np.zeros((3, 3, 3), bool), cuboid((3, 3, 3), (1, 1, 1), (1, 1, 1))
SLAB2, SLAB3 = cuboid((4, 4, 4), (0, 0, 0), (2, 4, 4)), cuboid((4, 4, 4), (0, 0, 0), (3, 4, 4))
INNER, OUTER = cuboid((8, 8, 8), (2, 2, 2), (4, 4, 4)), cuboid((8, 8, 8), (1, 1, 1), (6, 6, 6))
OUTER_ASD = (96 + 48 * ROOT2 + 8 * ROOT3) / 152  # faces, edges and corners of the outer cube

WORKED = {  # prediction, reference, spacing (i, j, k), NSD's tolerance, answers
    "shifted by one voxel": (np.roll(CUBE, 1, 2), CUBE, (1, 1, 1), 1.0, {
        "dsc": 0.75, "iou": 0.6, "precision": 0.75, "recall": 0.75, "fdr": 0.25, "rvd": 0, "avd_ml": 0, "hd": 1, "hd95": 1,
        "asd_pred_to_ref": 20 / 56, "asd_ref_to_pred": 20 / 56, "assd": 20 / 56, "nsd": 1, "centroid_mm": 1,
        "pixel_accuracy": 1 - 32 / 576}),
    "cube within a cube": (INNER, OUTER, (1, 1, 1), 1.0, {
        "dsc": 128 / 280, "iou": 64 / 216, "precision": 1, "recall": 64 / 216, "fdr": 0, "rvd": 64 / 216 - 1,
        "avd_ml": 0.152, "hd": ROOT3, "hd95": ROOT2 + 0.45 * (ROOT3 - ROOT2), "asd_pred_to_ref": 1,
        "asd_ref_to_pred": OUTER_ASD, "assd": (56 + 152 * OUTER_ASD) / 208, "nsd": 152 / 208, "centroid_mm": 0}),
    "3-4-5 triangle": (MOVED, VOXEL, (1, 1, 3), 2.0, {
        "dsc": 0, "iou": 0, "rvd": 0, "hd": 5, "hd95": 5, "assd": 5, "nsd": 0, "centroid_mm": 5}),
    "3-4-5 triangle within 5 mm": (MOVED, VOXEL, (1, 1, 3), 5.0, {"nsd": 1}),
    "identical": (CUBE, CUBE, (0.7, 0.7, 5.0), 2.0, {
        "dsc": 1, "iou": 1, "pixel_accuracy": 1, "precision": 1, "recall": 1, "fdr": 0, "rvd": 0, "avd_ml": 0, "hd": 0,
        "hd95": 0, "asd_pred_to_ref": 0, "asd_ref_to_pred": 0, "assd": 0, "nsd": 1, "centroid_mm": 0}),
    "one voxel beyond a line": (BEYOND, LINE, (1, 1, 1), 1.0, {
        "hd": 10, "hd95": 0, "asd_pred_to_ref": 10 / 21, "asd_ref_to_pred": 0, "assd": 10 / 41, "nsd": 40 / 41,
        "rvd": 0.05, "precision": 20 / 21, "recall": 1}),
    "slabs that touch the image's faces": (SLAB3, SLAB2, (1, 1, 5), 1.0, {
        "dsc": 0.8, "iou": 2 / 3, "rvd": 0.5, "avd_ml": 0.08, "hd": 5, "hd95": 5, "asd_pred_to_ref": 80 / 44,
        "asd_ref_to_pred": 4 / 32, "assd": 84 / 76, "nsd": 60 / 76, "centroid_mm": 2.5}),
}  # fmt: skip
