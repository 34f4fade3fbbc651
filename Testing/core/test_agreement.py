"""Every agreement quantity against answers worked out by hand, and every way in which there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from drawings import CUBE, EMPTY, INNER, KEYS, NAN, ONE, OUTER, ROOT2, ROOT3, SLAB2, SLAB3, WORKED, cuboid, record_of
from liverseg_core.agreement import QUANTITIES, Options, pair_of
from liverseg_core.errors import InputError, LiverSegError


@pytest.mark.parametrize("name", WORKED)
def test_worked_answers(name: str) -> None:
    prediction, reference, spacing, tolerance, answers = WORKED[name]
    values = record_of(prediction, reference, spacing, tolerance_mm=tolerance).values()
    assert {key: values[key] for key in answers} == pytest.approx(answers, abs=1e-6)


def test_a_half_filled_image_has_the_pixel_accuracy_of_its_definition() -> None:
    record = record_of(SLAB3, SLAB2)
    assert record.values()["pixel_accuracy"] == 0.75
    assert "64 voxels" in next(f.definition for f in record.figures if f.quantity == "pixel_accuracy")


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


def test_what_is_compared_depends_neither_on_the_type_nor_on_empty_space_around() -> None:
    expected = record_of(INNER, OUTER).values() | {"pixel_accuracy": 1 - 152 / 12**3}
    wide = [np.pad(mask, 2) for mask in (INNER, OUTER)]
    for kind in (bool, np.uint8, np.int32, np.float64):
        assert record_of(*(mask.astype(kind) for mask in wide)).values() == pytest.approx(expected)


def test_a_mask_that_fills_the_image_has_the_image_s_faces_as_border() -> None:
    full = np.ones((5, 5, 5), bool)
    values = record_of(full, cuboid((5, 5, 5), (2, 2, 2), (1, 1, 1))).values()
    assert values["hd"] == pytest.approx(2 * ROOT3)
    assert values["asd_ref_to_pred"] == 2


def test_the_centroid_of_a_mask_of_many_slices() -> None:
    """A column of 1000 voxels; beside it one of 500, three voxels further on: counts of more than a byte."""
    column = cuboid((1000, 3, 6), (0, 1, 0), (1000, 1, 1))
    both = column | cuboid((1000, 3, 6), (0, 1, 3), (500, 1, 1))
    centroid = record_of(both, column, (1.5, 1.0, 2.0)).values()["centroid_mm"]
    assert centroid == pytest.approx(math.hypot(1.5 * 3 * 500 / 1500, 2.0 * 250 * 500 / 1500))


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


def test_masks_of_two_shapes_are_our_own_fault() -> None:
    with pytest.raises(LiverSegError, match="one grid"):
        pair_of(EMPTY, CUBE, (1, 1, 1))
