"""Two label masks on grids of their own: where they lie, what is compared, and what a reader is told."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from drawings import CUBE, EMPTY, KEYS, ROOT2, SLAB2, WORKED, cuboid, labels
from liverseg_core.agreement import COLUMNS, Options, compare, dsc, on_grid_of, rows_of, structure
from liverseg_core.errors import InputError
from liverseg_core.geometry import Grid
from liverseg_core.records import LabelMask
from phantoms import GRIDS, OBLIQUE, ellipsoid


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


@pytest.mark.parametrize(
    "voxels",
    [CUBE * np.float32(0.5), -CUBE.astype(np.int16), np.arange(CUBE.size, dtype=np.uint16).reshape(CUBE.shape)],
    ids=["soft", "negative", "one label a voxel"],
)
def test_what_is_no_label_code_is_refused(voxels: np.ndarray) -> None:
    grid = Grid((9, 8, 8))
    for masks in ((LabelMask(voxels, grid), labels(CUBE, grid)), (labels(CUBE, grid), LabelMask(voxels, grid))):
        with pytest.raises(InputError, match="uint8, 0 to 13"):
            compare(*masks, codes=(1,))


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
