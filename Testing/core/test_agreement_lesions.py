"""Lesion by lesion: rules of detection, sizes, groups and burden, each on a drawing whose answer is counted by hand."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import SimpleITK as sitk
from liverseg_core.agreement.comparison import compare, rows_of
from liverseg_core.agreement.detection import (
    RULES,
    Components,
    Detection,
    Overlaps,
    matched,
    overlaps_of,
    parts_of,
    pooled,
)
from liverseg_core.agreement.lesions import Lesion, axes_by_agreement, lesion_agreement, recall_by_size, tumour_burden
from liverseg_core.geometry import Grid, as_image, ellipsoid_axes_mm
from liverseg_core.measurements.pieces import piece_of
from liverseg_core.records import LabelMask, Segment

NAN = math.nan
AS_DRAWN = Components(corners_touch=False, drops_small=False)


def drawn(shape: tuple[int, int, int], *boxes: tuple[tuple[int, int, int], tuple[int, int, int]]) -> np.ndarray:
    """Boxes given by their first voxel and their size."""
    mask = np.zeros(shape, bool)
    for start, size in boxes:
        mask[tuple(slice(a, a + n) for a, n in zip(start, size))] = True
    return mask


def judged(rule: str, prediction: np.ndarray, reference: np.ndarray, voxel_ml: float = 0.001) -> Detection:
    row = RULES[rule]
    return row.match(overlaps_of(*(parts_of(mask, voxel_ml, row.components) for mask in (prediction, reference))))


SHAPE = (12, 12, 44)
CUBES = [((2, 2, x), (4, 4, 4)) for x in (2, 12, 22)]
THREE = drawn(SHAPE, *CUBES)
HALF_RIGHT = drawn(SHAPE, CUBES[0], ((2, 2, 14), (4, 4, 4)), ((2, 2, 34), (4, 4, 4)))  # IoU 1, IoU 1/3, one false
PAIR = drawn((5, 5, 9), ((1, 1, 1), (3, 3, 3)), ((1, 1, 5), (3, 3, 3)))
BAR = drawn((5, 5, 9), ((1, 1, 1), (3, 3, 7)))
NOTHING = np.zeros(SHAPE, bool)

DETECTED = {  # rule, prediction, reference: found, missed, real, false
    "two of three": ("iou10", HALF_RIGHT, THREE, (2, 1, 2, 1)),
    "one drawn too far off": ("iou50", HALF_RIGHT, THREE, (1, 2, 1, 2)),
    "any voxel will do": ("any", HALF_RIGHT, THREE, (2, 1, 2, 1)),
    "LiTS is strict": ("lits", HALF_RIGHT, THREE, (1, 2, 1, 2)),
    "a bar over two is one hit": ("iou10", BAR, PAIR, (1, 1, 1, 0)),
    "a bar over two touches two": ("any", BAR, PAIR, (2, 0, 1, 0)),
    "LiTS joins what a bar spans": ("lits", BAR, PAIR, (2, 0, 1, 0)),  # IoU 54/63
    "two halves of one lesion": ("iou10", PAIR, BAR, (1, 0, 1, 1)),
    "LiTS joins two halves": ("lits", PAIR, BAR, (1, 0, 2, 0)),
    "LiTS at an IoU of a half": ("lits", drawn((5, 5, 9), ((1, 1, 1), (2, 2, 2))), drawn((5, 5, 9), ((1, 1, 1), (2, 2, 4))), (0, 1, 0, 1)),
    "no lesion anywhere": ("iou10", NOTHING, NOTHING, (0, 0, 0, 0)),
    "LiTS, no lesion anywhere": ("lits", NOTHING, NOTHING, (0, 0, 0, 0)),
    "false alarms": ("iou10", THREE, NOTHING, (0, 0, 0, 3)),
    "LiTS, false alarms": ("lits", THREE, NOTHING, (0, 0, 0, 3)),
    "all missed": ("any", NOTHING, THREE, (0, 3, 0, 0)),
    "LiTS, all missed": ("lits", NOTHING, THREE, (0, 3, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", DETECTED)
def test_detection_counts(name: str) -> None:
    rule, prediction, reference, counts = DETECTED[name]
    assert judged(rule, prediction, reference) == Detection(*counts)


@pytest.mark.parametrize(
    ("counts", "recall", "precision", "f1"),
    [((2, 1, 2, 1), 2 / 3, 2 / 3, 2 / 3), ((1, 2, 1, 2), 1 / 3, 1 / 3, 1 / 3), ((0, 0, 0, 0), NAN, NAN, NAN),
     ((0, 0, 0, 3), NAN, 0, 0), ((0, 3, 0, 0), 0, NAN, 0), ((2, 0, 1, 0), 1, 1, 1), ((0, 1, 0, 1), 0, 0, 0)],
)  # fmt: skip
def test_ratios_of_a_detection(counts: tuple[int, ...], recall: float, precision: float, f1: float) -> None:
    detection = Detection(*counts)
    assert [detection.recall, detection.precision, detection.f1] == pytest.approx([recall, precision, f1], nan_ok=True)


def test_a_cohort_pools_counts_not_ratios() -> None:
    assert pooled([Detection(1, 0, 1, 0), Detection(0, 9, 0, 4)]) == Detection(1, 9, 1, 4)


def test_lits_gives_a_lesion_to_the_prediction_that_overlaps_it_most() -> None:
    """A takes both lesions, for it holds most of each; B, which holds a corner of the second, is joined to them."""
    reference = drawn((3, 3, 20), ((1, 1, 0), (1, 1, 8)), ((1, 1, 10), (1, 1, 8)))
    prediction = drawn((3, 3, 20), ((1, 1, 0), (1, 1, 15)), ((1, 1, 16), (1, 1, 2)))
    assert judged("lits", prediction, reference) == Detection(2, 0, 2, 0)  # 15 of 18 voxels
    prediction = drawn((3, 3, 20), ((1, 1, 6), (1, 1, 5)), ((1, 1, 12), (1, 1, 6)))
    assert judged("lits", prediction, reference) == Detection(1, 1, 1, 1)  # 2 of 11; 6 of 8
    prediction = drawn((3, 3, 20), ((1, 1, 5), (1, 1, 7)), ((1, 1, 13), (1, 1, 4)))
    assert judged("lits", prediction, reference) == Detection(0, 2, 0, 2)  # 3 of 12; 4 of 8, whatever the first adds


def test_the_assignment_is_the_best_of_all() -> None:
    """Against every possible assignment, on noise that has many partners for each lesion."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        prediction, reference = (rng.random((3, 5, 6)) < 0.25 for _ in range(2))
        overlaps = overlaps_of(*(parts_of(m, 1.0, AS_DRAWN) for m in (prediction, reference)))
        n, width = overlaps.reference_voxels.size, overlaps.predicted_voxels.size
        gain = np.zeros((n, width + n))
        gain[overlaps.g, overlaps.p] = np.where(overlaps.iou > 0.1, overlaps.iou, 0)
        partner = matched(overlaps, 0.1)
        kept = partner[partner >= 0]
        assert len(set(kept.tolist())) == kept.size
        if n <= 6 and width + n <= 9:
            best = max(sum(gain[g, p] for g, p in enumerate(order)) for order in permutations(range(width + n), n))
            assert gain[np.flatnonzero(partner >= 0), kept].sum() == pytest.approx(best)


def test_a_pair_below_the_threshold_does_not_keep_one_above_it_apart() -> None:
    """IoU 0.12 for g0-p0; g0-p1 and g1-p0 sum up to more, but neither counts."""
    crossed = Overlaps(
        np.array([100, 100]), np.array([100, 100]), np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([22, 18, 18])
    )
    assert matched(crossed, 0.1).tolist() == [0, -1]
    assert matched(crossed, 0.0).tolist() == [1, 0]


def test_thirty_thousand_lesions_are_matched_without_a_table_of_all_pairs() -> None:
    """Each overlaps its own twin by half and its neighbour's by a fifth; a table would take 7 GB."""
    count = 30_000
    own = np.arange(count)
    g, p = np.concatenate([own, own[1::2]]), np.concatenate([own, own[::2]])
    shared = np.concatenate([np.full(count, 67), np.full(count // 2, 34)])
    hundred = np.full(count, 100)
    assert (matched(Overlaps(hundred, hundred, g, p, shared), 0.1) == own).all()


@pytest.mark.parametrize(
    ("mask", "voxel_ml", "sizes", "dropped"),
    [
        (drawn((9, 9, 9), ((0, 0, 0), (1, 1, 2)), ((3, 3, 3), (1, 1, 3))), 1.0, [3], 1),  # 2 voxels, 3 voxels
        (drawn((9, 9, 9), ((0, 0, 0), (1, 3, 3)), ((4, 4, 4), (1, 2, 5))), 0.001, [10], 1),  # 0.009 ml, 0.010 ml
        (drawn((9, 9, 9), ((0, 0, 0), (2, 2, 2)), ((2, 2, 2), (3, 3, 3))), 1.0, [35], 0),  # a corner joins them
    ],
)
def test_small_components_are_dropped_and_counted(
    mask: np.ndarray, voxel_ml: float, sizes: list[int], dropped: int
) -> None:
    parts = parts_of(mask, voxel_ml)
    assert (parts.voxels.tolist(), parts.dropped) == (sizes, dropped)
    assert np.count_nonzero(parts.labels) == sum(sizes)


def test_lits_counts_components_by_their_faces_and_drops_none() -> None:
    corner = drawn((9, 9, 9), ((0, 0, 0), (2, 2, 2)), ((2, 2, 2), (3, 3, 3)), ((8, 8, 8), (1, 1, 1)))
    assert parts_of(corner, 1.0, AS_DRAWN).voxels.tolist() == [27, 8, 1]


# sizes


def ball(radii: tuple[float, float, float]) -> np.ndarray:
    grid = np.ogrid[tuple(slice(-int(r) - 1, int(r) + 2) for r in radii)]
    return sum((axis / r) ** 2 for axis, r in zip(grid, radii)) <= 1


@pytest.mark.parametrize(
    ("radii", "spacing", "expected"),
    [
        ((20, 20, 20), (1, 1, 1), 39.96),
        ((20, 20, 20), (2, 1, 1), 79.91),
        ((10, 10, 20), (1, 1, 1), 40),
        ((20, 10, 10), (1, 1, 1), 40),
    ],
)
def test_the_major_axis_of_an_ellipsoid_is_its_own(radii: tuple[float, float, float], spacing: tuple[float, float, float], expected: float) -> None:  # fmt: skip
    """Of the lesion that is compared as of the one that is measured."""
    drawn_ball = ball(radii)
    grid = Grid(drawn_ball.shape[::-1], spacing[::-1])
    mask = masked(drawn_ball, drawn_ball, grid)
    axis = lesion_agreement(mask, mask).lesions[0].major_axis_mm
    assert axis == pytest.approx(expected, rel=3e-3)
    assert axis == pytest.approx(piece_of(Segment("lesion", "", drawn_ball, grid)).axes_ellipsoid_mm[0], rel=1e-9)
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(as_image(drawn_ball.astype(np.uint8), grid))
    points_only = max(shape.GetPrincipalMoments(1))  # without the extent of the voxels themselves
    assert axis == pytest.approx(2 * math.sqrt(5 * (points_only + max(spacing) ** 2 / 12)), rel=1e-9)


def test_each_of_many_lesions_has_its_own_axis() -> None:
    """Their moments are taken together, over several slabs of slices."""
    grid = Grid((60, 60, 90), (0.7, 0.8, 1.5))
    noise = np.random.default_rng(2).random(grid.array_shape) < 0.1
    lesions = masked(noise, noise, grid)
    found = lesion_agreement(lesions, lesions).lesions
    parts = parts_of(noise, grid.voxel_ml)
    assert len(found) > 100
    for n in range(0, len(found), 17):
        points = np.argwhere(parts.labels == n + 1) * grid.spacing_mm[::-1]
        expected = ellipsoid_axes_mm(np.cov(points.T, ddof=0), grid.spacing_mm[::-1])[-1]
        assert found[n].major_axis_mm == pytest.approx(expected)


def test_the_axes_of_one_voxel_are_those_of_a_box() -> None:
    assert ellipsoid_axes_mm(np.zeros((3, 3)), (5.0, 1.0, 2.0)) == pytest.approx(
        [2 * math.sqrt(5 * mm**2 / 12) for mm in (1.0, 2.0, 5.0)]
    )


def lesion(dsc: float, axis_mm: float) -> Lesion:
    return Lesion("lesion_1", 1.0, axis_mm, dsc)


def test_groups_and_bins_hold_their_lower_bound() -> None:
    assert axes_by_agreement([(0.0, 10.0), (0.599, 20.0), (0.6, 40.0), (0.9, 60.0)]) == (15.0, 50.0)
    assert axes_by_agreement([(0.7, 30.0)]) == pytest.approx((NAN, 30.0), nan_ok=True)
    shares = recall_by_size([lesion(0.5, 9.99), lesion(0.0, 10.0), lesion(0.5, 19.0), lesion(0.3, 50.0)])
    assert list(shares.values()) == pytest.approx([1.0, 0.5, NAN, 1.0], nan_ok=True)


# a case


def masked(lesions: np.ndarray, liver: np.ndarray, grid: Grid) -> LabelMask:
    return LabelMask(np.where(lesions, 2, np.where(liver, 1, 0)).astype(np.uint8), grid)


GRID = Grid((44, 12, 12), (1.0, 1.0, 1.0))
LIVER = drawn(SHAPE, ((1, 1, 0), (8, 8, 42)))


def test_each_lesion_of_the_reference_has_its_dsc_and_size() -> None:
    found = lesion_agreement(masked(HALF_RIGHT, LIVER, GRID), masked(THREE, LIVER, GRID))
    cube = 2 * math.sqrt(5 * 16 / 12)  # the variance of a box of length 4 is 16/12
    assert [(x.structure, x.volume_ml, x.dsc) for x in found.lesions] == [
        ("lesion_1", 0.064, 1.0), ("lesion_2", 0.064, 0.5), ("lesion_3", 0.064, 0.0),
    ]  # fmt: skip
    assert [x.major_axis_mm for x in found.lesions] == pytest.approx([cube] * 3)
    missed = lesion_agreement(masked(NOTHING, LIVER, GRID), masked(THREE, LIVER, GRID))
    assert [x.dsc for x in missed.lesions] == [0, 0, 0]


def test_a_lesion_has_the_dsc_of_its_own_partner() -> None:
    """The smaller of two lesions has the larger partner."""
    truth = drawn(SHAPE, ((2, 2, 2), (4, 4, 4)), ((2, 2, 12), (3, 3, 4)))
    guess = drawn(SHAPE, ((2, 2, 2), (4, 4, 2)), ((2, 2, 12), (4, 4, 4)))
    found = lesion_agreement(masked(guess, LIVER, GRID), masked(truth, LIVER, GRID)).lesions
    assert [x.dsc for x in found] == pytest.approx([2 * 32 / (64 + 32), 2 * 36 / (36 + 64)])


def test_burden_error_is_prediction_minus_reference_in_points() -> None:
    grid = Grid((10, 10, 10))
    liver = np.ones((10, 10, 10), bool)
    truth = masked(drawn((10, 10, 10), ((0, 0, 0), (1, 10, 10))), liver, grid)
    guess = masked(drawn((10, 10, 10), ((0, 0, 0), (3, 10, 5))), liver, grid)
    found = lesion_agreement(guess, truth)
    assert found.burden == (0.15, 0.1)
    assert found.burden_error_points == pytest.approx(5.0)
    assert math.isnan(tumour_burden(LabelMask(np.full((2, 2, 2), 2, np.uint8), Grid((2, 2, 2)))))
    assert tumour_burden(masked(~liver, liver, grid)) == 0


def rows_by_quantity(prediction: LabelMask, reference: LabelMask) -> dict[tuple[str, str], dict[str, str | float]]:
    return {(row["structure"], row["quantity"]): row for row in rows_of(compare(prediction, reference, codes=(1, 2)))}


def test_the_rows_of_a_case_with_lesions() -> None:
    rows = rows_by_quantity(masked(HALF_RIGHT, LIVER, GRID), masked(THREE, LIVER, GRID))
    expected = {
        "lesions_reference": 3, "lesions_predicted": 3, "lesion_recall_iou10": 2 / 3, "lesion_precision_iou50": 1 / 3,
        "lesion_f1_iou10": 2 / 3, "lesion_f1_lits": 1 / 3, "lesion_false_positives_iou50": 2, "lesion_dsc_found": 0.75,
        "lesion_recall_0_to_10mm": 2 / 3, "major_axis_dsc_below_06": 2 * math.sqrt(5 * 16 / 12), "tumour_burden_error": 0,
        "dsc": 2 * 96 / 384,
    }  # fmt: skip
    assert {key: rows["lesion", key]["value"] for key in expected} == pytest.approx(expected)
    assert rows["lesion_2", "dsc"]["value"] == 0.5
    assert rows["lesion_2", "volume"]["unit"] == "ml"
    assert rows["lesion", "lesion_recall_over_50mm"]["reason"] == "no lesion of this size in the reference"
    assert "IoU > 0.5" in rows["lesion", "lesion_recall_iou50"]["definition"]


def test_the_rows_of_a_case_without_lesions_say_why_they_are_blank() -> None:
    rows = rows_by_quantity(masked(NOTHING, LIVER, GRID), masked(NOTHING, LIVER, GRID))
    for key, reason in {
        "lesion_recall_iou10": "no lesion in the reference", "lesion_precision_lits": "no predicted lesion",
        "lesion_f1_any": "no lesion in either mask", "lesion_dsc_found": "no lesion was found", "dsc": "both masks are empty (true negative)",
    }.items():  # fmt: skip
        assert math.isnan(rows["lesion", key]["value"])
        assert rows["lesion", key]["reason"] == reason
    assert rows["lesion", "tumour_burden_error"]["value"] == 0
    empty = LabelMask(np.zeros(SHAPE, np.uint8), GRID)
    assert rows_by_quantity(empty, empty)["lesion", "tumour_burden_error"]["reason"] == "no liver in one of the masks"
