"""Warnings about the liver: each with an input that calls for it and one beside it that does not."""

from __future__ import annotations

import numpy as np
import pytest
from liverseg_core.geometry import Grid
from liverseg_core.measurements import LIMITS, notices_about
from liverseg_core.measurements.flags import Confidence
from liverseg_core.records import LabelMask, Notice
from liverseg_core.segments import cut_segments

GRID = Grid((40, 30, 30), (5.0, 5.0, 5.0))  # 8 voxels are 1 ml
LIVER = (slice(5, 25), slice(5, 25), slice(3, 23))  # 1000 ml
Block = tuple[slice, slice, slice]


def notices(*blocks: tuple[int, Block], grid: Grid = GRID, codes: tuple[int, ...] = (1, 2, 6)) -> list[Notice]:
    voxels = np.zeros(grid.array_shape, np.uint8)
    for code, where in blocks:
        voxels[where] = code
    return list(notices_about(cut_segments(LabelMask(voxels, grid), codes)))


def codes_of(*blocks: tuple[int, Block], grid: Grid = GRID) -> list[str]:
    return [notice.code for notice in notices(*blocks, grid=grid)]


def box(k: int, j: int, i: int, *, at: tuple[int, int, int]) -> Block:
    return (slice(at[0], at[0] + k), slice(at[1], at[1] + j), slice(at[2], at[2] + i))


def test_a_whole_liver_in_one_piece_calls_for_no_warning() -> None:
    assert codes_of((1, LIVER), (2, box(4, 4, 4, at=(8, 8, 8)))) == []
    assert notices(codes=(3,)) == []


@pytest.mark.parametrize(("voxels", "expected"), [(39, []), (40, ["islands"])])
def test_an_island_counts_from_5_ml(voxels: int, expected: list[str]) -> None:
    assert (
        codes_of((1, LIVER), (1, box(1, 1, voxels % 8, at=(2, 2, 25))), (1, box(voxels // 8, 1, 8, at=(3, 2, 25))))
        == expected
    )


def test_islands_that_touch_by_a_corner_are_one_piece() -> None:
    assert codes_of((1, LIVER), (1, box(4, 4, 4, at=(1, 1, 23)))) == []
    (told,) = notices((1, LIVER), (1, box(4, 4, 4, at=(1, 1, 24))), (2, box(4, 4, 8, at=(25, 25, 30))))
    assert told.code == "islands"
    assert "3 pieces (1000, 16, 8 ml)" in told.text


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([(0, box(2, 2, 2, at=(10, 10, 10)))], ["holes"]),  # 1 ml
        ([(0, box(2, 2, 1, at=(10, 10, 10)))], []),
        ([(0, box(2, 2, 2, at=(6, 6, 4))), (0, box(1, 1, 1, at=(5, 5, 3)))], ["holes"]),  # a corner is no way out
        ([(0, box(1, 1, 4, at=(10, 10, n)) if n < 20 else box(1, 1, 4, at=(14, 14, 10))) for n in (10, 20)], ["holes"]),
        ([(6, box(2, 2, 2, at=(10, 10, 10)))], []),  # a gallbladder
        ([(2, box(2, 2, 2, at=(10, 10, 10)))], []),  # a lesion is liver
        ([(0, box(2, 2, 9, at=(10, 10, 10))), (0, box(2, 2, 9, at=(10, 10, 16)))], []),  # a tube that opens
    ],
)
def test_holes_are_what_the_liver_encloses_and_nothing_claims(blocks: list, expected: list[str]) -> None:
    assert codes_of((1, LIVER), *blocks) == expected


def test_a_single_slice_has_holes_in_its_plane() -> None:
    grid = Grid((40, 30, 1), (5.0, 5.0, 40.0))
    around = (slice(0, 1), slice(5, 25), slice(3, 33))
    assert codes_of((1, around), grid=grid) == []
    assert codes_of((1, around), (0, (slice(0, 1), slice(10, 12), slice(10, 12))), grid=grid) == ["holes"]


@pytest.mark.parametrize(("depth", "expected"), [(7, "implausible_volume"), (8, None), (20, None)])
def test_a_volume_is_plausible_from_400_ml(depth: int, expected: str | None) -> None:
    assert codes_of((1, (slice(5, 5 + depth), *LIVER[1:]))) == ([expected] if expected else [])


def test_a_huge_liver_is_implausible() -> None:
    grid = Grid((40, 30, 30), (6.0, 6.0, 6.0))
    assert codes_of((1, (slice(1, 29), slice(1, 29), slice(1, 28))), grid=grid) == ["implausible_volume"]


@pytest.mark.parametrize(("axis", "least"), [(0, 21), (1, 11), (2, 5)])
@pytest.mark.parametrize("end", [0, -1])
@pytest.mark.parametrize("enough", [False, True])
def test_a_liver_is_cut_from_more_than_2_cm2_on_any_face(axis: int, least: int, end: int, enough: bool) -> None:
    """A tip reaches a face whose voxels measure 10 (k), 20 (j) or 50 (i) mm2."""
    grid = Grid((60, 30, 30), (2.0, 5.0, 10.0))
    mask = np.zeros(grid.array_shape, np.uint8)
    mask[5:25, 5:25, 5:45] = 1
    tip = np.moveaxis(mask, axis, 0)
    if end == -1:
        tip = tip[::-1]
    for n in range(least if enough else least - 1):
        tip[:16, 10 + n // 5, 10 + n % 5] = 1
    codes = [n.code for n in notices_about(cut_segments(LabelMask(mask, grid), [1]))]
    assert codes == (["liver_cut_by_scan"] if enough else [])


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_says_its_unit_and_why(name: str) -> None:
    assert LIMITS[name].unit in ("ml", "mm2", "%/mm", "DSC")
    assert len(LIMITS[name].reason) > 20


@pytest.mark.parametrize(
    ("confidence", "words"),
    [
        (Confidence(), None),
        (Confidence(doubt=0.3449, voxel_mm=3.0, accord=0.65), None),
        (Confidence(doubt=0.3451, voxel_mm=3.0), "34.5 % of the liver's volume (on its grid of 3.0 mm up to 34.5 %"),
        (Confidence(doubt=0.3451, voxel_mm=6.0), None),  # coarse voxels make wide outlines
        (Confidence(doubt=0.6901, voxel_mm=6.0), "69.0 % of the liver's volume (on its grid of 6.0 mm up to 69.0 %"),
        (Confidence(doubt=0.01, voxel_mm=3.0, accord=0.649), "their DSC is 0.65 (expected 0.65 or more)"),
        (Confidence(doubt=0.5, voxel_mm=3.0, accord=0.2), "their DSC is 0.20 (expected 0.65 or more). Look at"),
        (Confidence(doubt=0.5), None),  # a doubt without its voxels cannot be judged
    ],
)
def test_a_doubt_of_the_network_and_stages_that_disagree_are_one_warning(
    confidence: Confidence, words: str | None
) -> None:
    voxels = np.zeros(GRID.array_shape, np.uint8)
    voxels[LIVER] = 1
    told = notices_about(cut_segments(LabelMask(voxels, GRID), [1]), confidence)
    assert [notice.code for notice in told] == ([] if words is None else ["low_confidence"])
    assert words is None or words in told[0].text
    assert all(notice.text.endswith("Look at the outline.") for notice in told)


def test_where_no_liver_was_found_nothing_is_said_of_its_outline() -> None:
    unsure = Confidence(0.9, 3.0, 0.0)
    empty = LabelMask(np.zeros(GRID.array_shape, np.uint8), GRID)
    assert [n.code for n in notices_about(cut_segments(empty, [1]), unsure)] == ["no_liver_found"]
    assert notices_about(cut_segments(empty, [3]), unsure) == ()
