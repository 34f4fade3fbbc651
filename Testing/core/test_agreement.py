"""Every agreement quantity against answers worked out by hand, and every way in which there is none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from liverseg_core.agreement import (
    COLUMNS,
    QUANTITIES,
    Agreement,
    Options,
    agreement_of,
    check_identities,
    compare,
    comparison,
    dsc,
    on_grid_of,
    pair_of,
    rows_of,
    structure,
)
from liverseg_core.errors import InputError, LiverSegError
from liverseg_core.geometry import Grid
from liverseg_core.records import LabelMask
from phantoms import GRIDS, OBLIQUE, ellipsoid

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


CUBE = cuboid((8, 8, 9), (2, 2, 2), (4, 4, 4))
LINE = cuboid((3, 3, 40), (1, 1, 2), (1, 1, 20))
BEYOND = LINE | cuboid((3, 3, 40), (1, 1, 31), (1, 1, 1))
VOXEL = cuboid((3, 3, 6), (1, 1, 0), (1, 1, 1))
MOVED = cuboid((3, 3, 6), (2, 1, 4), (1, 1, 1))
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


@pytest.mark.parametrize("name", WORKED)
def test_worked_answers(name: str) -> None:
    prediction, reference, spacing, tolerance, answers = WORKED[name]
    values = record_of(prediction, reference, spacing, tolerance_mm=tolerance).values()
    assert {key: values[key] for key in answers} == pytest.approx(answers, abs=1e-6)


def test_a_half_filled_image_has_the_pixel_accuracy_of_its_definition() -> None:
    record = record_of(SLAB3, SLAB2)
    assert record.values()["pixel_accuracy"] == 0.75
    assert "64 voxels" in next(f.definition for f in record.figures if f.quantity == "pixel_accuracy")


EMPTY, ONE = np.zeros((3, 3, 3), bool), cuboid((3, 3, 3), (1, 1, 1), (1, 1, 1))
NAN = math.nan
DEGENERATE = {  # prediction, reference, what is defined; everything else is NaN
    "true negative": (EMPTY, EMPTY, {"pixel_accuracy": 1, "avd_ml": 0}),
    "false positive case": (ONE, EMPTY, {
        "dsc": 0, "iou": 0, "pixel_accuracy": 26 / 27, "precision": 0, "fdr": 1, "avd_ml": 0.03, "nsd": 0}),
    "missed case": (EMPTY, ONE, {
        "dsc": 0, "iou": 0, "pixel_accuracy": 26 / 27, "recall": 0, "rvd": -1, "avd_ml": 0.03, "nsd": 0}),
}  # fmt: skip


@pytest.mark.parametrize("name", DEGENERATE)
def test_an_empty_mask_leaves_undefined_what_it_must_and_says_why(name: str) -> None:
    prediction, reference, defined = DEGENERATE[name]
    record = record_of(prediction, reference, (2.0, 3.0, 5.0), tolerance_mm=5.0)
    assert record.values() == pytest.approx(dict.fromkeys(KEYS, NAN) | defined, nan_ok=True)
    for figure in record.figures:
        assert figure.reason == "" if figure.quantity in defined else name in figure.reason


def test_a_mask_that_fills_the_image_has_the_image_s_faces_as_border() -> None:
    full = np.ones((5, 5, 5), bool)
    values = record_of(full, cuboid((5, 5, 5), (2, 2, 2), (1, 1, 1))).values()
    assert values["hd"] == pytest.approx(2 * ROOT3)
    assert values["asd_ref_to_pred"] == 2


def test_every_quantity_of_the_contract_has_a_row_with_a_definition_and_a_source() -> None:
    record = record_of(CUBE, CUBE)
    assert [figure.quantity for figure in record.figures] == KEYS
    assert all(row.name and row.definition and row.source and row.unit in ("1", "mm", "ml") for row in QUANTITIES)


def test_definitions_name_their_parameters() -> None:
    figures = {f.quantity: f for f in record_of(INNER, OUTER, percentile=90, tolerance_mm=1.5).figures}
    assert list(figures) == [*KEYS[:10], "hd90", *KEYS[10:]]
    assert "percentile 95" in figures["hd95"].definition
    assert "percentile 90" in figures["hd90"].definition
    assert "t = 1.5 mm" in figures["nsd"].definition
    assert figures["hd90"].value == pytest.approx(ROOT2)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"percentile": 0}, "percentile"), ({"percentile": 101}, "percentile"), ({"percentile": NAN}, "percentile"),
     ({"tolerance_mm": -1}, "tolerance"), ({"tolerance_mm": math.inf}, "tolerance"), ({"tolerance_mm": NAN}, "tolerance")],
)  # fmt: skip
def test_impossible_options_are_refused(options: dict[str, float], word: str) -> None:
    with pytest.raises(InputError, match=word):
        Options(**options)


def test_slices_thicker_than_the_tolerance_are_said_beside_nsd() -> None:
    def reason(spacing: tuple[float, float, float]) -> str:
        return next(f.reason for f in record_of(CUBE, CUBE, spacing).figures if f.quantity == "nsd")

    assert reason((1, 1, 2)) == ""
    assert "5 mm are thicker than the tolerance of 2 mm" in reason((1, 1, 5))


# what must hold between the figures of any record

RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize("share", [0.003, 0.1, 0.5, 0.95])
def test_identities_hold_for_random_masks(share: float) -> None:
    for spacing in ((1, 1, 1), (0.7, 0.9, 4.0)):
        prediction, reference = (RANDOM.random((9, 14, 17)) < share for _ in range(2))
        record = record_of(prediction, reference, spacing, percentile=80)
        assert list(record.nsd_by_mm) == [1.0, 2.0, 5.0]


BREACHES = {
    "DSC = 2 IoU": {"iou": 0.5},
    "between precision and recall": {"precision": 0.9, "fdr": 0.1, "recall": 0.9},
    "FDR = 1": {"fdr": 0.3},
    "precision = recall": {"rvd": -0.5},
    "HD >= HD95": {"hd95": 4.0},
    "HD >= ASD, prediction": {"asd_pred_to_ref": 3.0},
    "HD >= ASD, reference": {"asd_ref_to_pred": 3.0},
    "ASSD lies between": {"assd": 1.5},
    "undefined is NaN": {"centroid_mm": NAN},
    "nothing is infinite": {"centroid_mm": math.inf},
    "rises with its rank": {"hd90": 1.7},
    "NSD is the one": {"nsd": 0.5},
}


@pytest.mark.parametrize("sentence", BREACHES)
def test_a_broken_identity_is_an_internal_error(sentence: str) -> None:
    record = record_of(INNER, OUTER, percentile=90)
    figures = [replace(f, value=BREACHES[sentence].get(f.quantity, f.value)) for f in record.figures]
    with pytest.raises(LiverSegError, match=sentence) as caught:
        check_identities(replace(record, figures=tuple(figures)))
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("curve", "sentence"),
    [({1.0: 0.8, 1.5: 0.7, 2.0: 1.0}, "rises with its tolerance"), ({1.0: 0.7, 2.0: 0.9}, "reaches HD")],
)
def test_a_broken_nsd_curve_is_an_internal_error(curve: dict[float, float], sentence: str) -> None:
    with pytest.raises(LiverSegError, match=sentence):
        check_identities(replace(record_of(INNER, OUTER), nsd_by_mm=curve))


def test_exchanged_arguments_are_caught_by_the_identity_of_rvd() -> None:
    record, exchanged = record_of(INNER, OUTER), record_of(OUTER, INNER).values()
    figures = [replace(f, value=exchanged["rvd"]) if f.quantity == "rvd" else f for f in record.figures]
    with pytest.raises(LiverSegError, match="RVD"):
        check_identities(replace(record, figures=tuple(figures)))


def test_compare_checks_every_record(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(record_of(INNER, OUTER), nsd_by_mm={1.0: 0.9, 2.0: 0.8})
    monkeypatch.setattr(comparison, "agreement_of", lambda *_: broken)
    with pytest.raises(LiverSegError, match="NSD rises"):
        compare(labels(INNER, Grid((8, 8, 8))), labels(OUTER, Grid((8, 8, 8))))


# grids


def labels(mask: np.ndarray, grid: Grid, code: int = 1) -> LabelMask:
    return LabelMask(mask.astype(np.uint8) * code, grid)


@pytest.mark.parametrize("direction", [OBLIQUE, (1, 0, 0, 0, 1, 0, 0, 0, 1)], ids=["oblique", "straight"])
def test_distances_do_not_depend_on_how_the_grid_is_turned(direction: tuple[float, ...]) -> None:
    grid = Grid((9, 8, 8), (1, 1, 1), (5.0, -3.0, 11.0), direction)
    compared = compare(labels(np.roll(CUBE, 1, 2), grid), labels(CUBE, grid))
    answers = WORKED["shifted by one voxel"][4] | {"nsd": 1}
    values = compared.values()["liver"]
    assert {key: values[key] for key in answers} == pytest.approx(answers)
    assert compared.notices == ()


@pytest.mark.parametrize("name", GRIDS)
def test_a_prediction_on_a_finer_grid_is_resampled_and_that_is_said(name: str) -> None:
    grid = GRIDS[name]
    mask = ellipsoid(grid)
    fine = np.repeat(np.repeat(np.repeat(mask, 2, 0), 2, 1), 2, 2)
    finer = grid.respaced(tuple(s / 2 for s in grid.spacing_mm))
    compared = compare(labels(fine, finer), labels(mask, grid), Options(tolerance_mm=5.0))
    assert compared.values()["liver"]["dsc"] == 1
    (notice,) = compared.notices
    assert notice.code == "resampled"
    assert f"{finer.spacing_mm[0]:g}" in notice.text
    assert "Outside" not in notice.text


def test_headers_that_differ_by_rounding_are_the_same_grid() -> None:
    grid = GRIDS["oblique"]
    rounded = replace(grid, origin_mm=tuple(float(np.float32(o)) for o in grid.origin_mm),
                      direction=tuple(float(np.float32(d)) for d in grid.direction))  # fmt: skip
    mask = ellipsoid(grid)
    assert compare(labels(mask, rounded), labels(mask, grid), Options(tolerance_mm=5.0)).notices == ()
    moved = replace(grid, origin_mm=(grid.origin_mm[0] + 0.1, *grid.origin_mm[1:]))
    assert [n.code for n in compare(labels(mask, moved), labels(mask, grid), Options(tolerance_mm=5)).notices] == [
        "resampled"
    ]


def test_what_lies_outside_the_reference_is_said_in_ml() -> None:
    grid = Grid((10, 10, 10), (2.0, 2.0, 2.0))
    half = grid.cropped((0, 0, 0), (10, 10, 5))
    prediction = labels(cuboid((10, 10, 10), (3, 2, 2), (5, 5, 5)), grid)
    compared = compare(prediction, labels(cuboid((5, 10, 10), (3, 2, 2), (2, 5, 5)), half))
    assert compared.values()["liver"]["dsc"] == 1
    assert "not counted: 0.6 ml of liver." in compared.notices[0].text  # 3 of 5 slices, each 25 voxels of 8 mm3


TURNED = Grid((10, 10, 10), (1, 1, 1), (14.2, 7.8, 0.0), (ROOT2 / 2, -ROOT2 / 2, 0, ROOT2 / 2, ROOT2 / 2, 0, 0, 0, 1))


@pytest.mark.parametrize(
    "elsewhere",
    [Grid((10, 10, 10), (1, 1, 1), (0, 0, 50.0)), Grid((10, 10, 10), (1, 1, 1), (10.0, 0, 0)), TURNED],
    ids=["above", "touching", "turned, its box overlaps"],
)
def test_masks_in_different_places_are_refused(elsewhere: Grid) -> None:
    here = Grid((10, 10, 10))
    full = np.ones((10, 10, 10), bool)
    for one, other in ((here, elsewhere), (elsewhere, here)):
        with pytest.raises(InputError, match="same place"):
            on_grid_of(labels(full, one), labels(full, other))


def test_a_sheared_reference_is_refused() -> None:
    grid = Grid((4, 4, 4), (1, 1, 1), (0, 0, 0), (1, 0.1, 0, 0, 1, 0, 0, 0, 1))
    with pytest.raises(InputError, match="right angles"):
        compare(labels(SLAB2, grid), labels(SLAB2, grid))


# structures


def test_the_liver_is_parenchyma_and_lesions_together() -> None:
    voxels = np.array([[[0, 1, 2, 3]]], np.uint8)
    mask = LabelMask(voxels, Grid((4, 1, 1)))
    assert structure(mask, 1).tolist() == [[[False, True, True, False]]]
    assert structure(mask, 2).tolist() == [[[False, False, True, False]]]
    assert dsc(structure(mask, 1), structure(mask, 2)) == pytest.approx(2 / 3)
    assert math.isnan(dsc(EMPTY, EMPTY))


def test_what_the_reference_does_not_know_is_not_compared_and_named() -> None:
    grid = Grid((9, 8, 8))
    prediction = LabelMask(np.where(CUBE, 2, 0).astype(np.uint8), grid)
    prediction.voxels[0] = 3
    compared = compare(prediction, labels(CUBE, grid))
    assert list(compared.values()) == ["liver"]
    assert compared.values()["liver"]["dsc"] == 1  # its lesions are liver
    assert compared.lesions is None
    assert [(n.code, "lesion, spleen" in n.text) for n in compared.notices] == [("not_compared", True)]
    both = compare(prediction, labels(CUBE, grid), codes=(1, 3)).values()
    assert both["spleen"]["dsc"] == 0
    assert math.isnan(both["spleen"]["hd"])


@pytest.mark.parametrize(
    ("prediction", "reference", "structures"), [(3, 0, ["spleen"]), (0, 3, ["spleen"]), (0, 0, ["liver"])]
)
def test_an_empty_reference_is_compared_with_what_was_predicted(
    prediction: int, reference: int, structures: list[str]
) -> None:
    grid = Grid((9, 8, 8))
    assert list(compare(labels(CUBE, grid, prediction), labels(CUBE, grid, reference)).values()) == structures


def test_codes_that_no_table_knows_are_refused() -> None:
    grid = Grid((9, 8, 8))
    for arguments in ({"codes": (1, 99)}, {}):
        with pytest.raises(InputError, match="99"):
            compare(labels(CUBE, grid, 99), labels(CUBE, grid), **arguments)


def test_thick_slices_are_a_notice() -> None:
    grid = Grid((9, 8, 8), (1, 1, 7.7))
    assert [n.code for n in compare(labels(CUBE, grid), labels(CUBE, grid)).notices] == ["thick_slices"]
    assert compare(labels(CUBE, grid), labels(CUBE, grid), Options(tolerance_mm=7.7)).notices == ()


def test_rows_have_the_columns_of_the_contract() -> None:
    grid = Grid((9, 8, 8))
    rows = rows_of(compare(labels(CUBE, grid, 2), labels(CUBE, grid, 2)))
    assert all(tuple(row) == COLUMNS for row in rows)
    assert {row["structure"] for row in rows} == {"lesion", "lesion_1"}
    assert [row["quantity"] for row in rows][: len(KEYS)] == KEYS
    assert all(row["reason"] for row in rows if math.isnan(row["value"]))


def test_masks_of_two_shapes_are_our_own_fault() -> None:
    with pytest.raises(LiverSegError, match="one grid"):
        pair_of(EMPTY, CUBE, (1, 1, 1))
