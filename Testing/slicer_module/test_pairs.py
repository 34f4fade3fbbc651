"""Which segment is compared with which."""

from __future__ import annotations

import pytest
from liverseg_core.labels import LABELS, terminology
from LiverSegLib.pairs import SegmentFacts, matched


def found(left: list[SegmentFacts], right: list[SegmentFacts]) -> dict[str, str | None]:
    return {pair.left: pair.right for pair in matched(left, right)}


def test_terminology_comes_before_names() -> None:
    left = [SegmentFacts("a", "Segment_1", terminology(1)), SegmentFacts("b", "Liver", terminology(3))]
    right = [SegmentFacts("x", "Liver", terminology(1)), SegmentFacts("y", "Milz", terminology(3))]
    assert found(left, right) == {"a": "x", "b": "y"}
    assert [pair.how for pair in matched(left, right)] == ["same terminology"] * 2


def test_the_side_belongs_to_the_type() -> None:
    left = [SegmentFacts(str(code), LABELS[code].name, terminology(code)) for code in (4, 5)]
    right = [SegmentFacts("left", "kidney", terminology(5)), SegmentFacts("right", "kidney", terminology(4))]
    assert found(left, right) == {"4": "right", "5": "left"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Liver", "LIVER", True), ("liver_1", "Liver 1", True), ("liver1", "liver-1", True), ("Léber", "leber", True),
        ("Liver", "Liver 1", False), ("Liver", "Lever", False), ("", "", False),
    ],
)  # fmt: skip
def test_names_are_compared_without_dress(one, other, same) -> None:
    assert found([SegmentFacts("a", one)], [SegmentFacts("x", other)]) == {"a": "x" if same else None}


def test_nothing_is_used_twice_and_order_is_kept() -> None:
    left = [SegmentFacts("a", "Liver"), SegmentFacts("b", "liver"), SegmentFacts("c", "Spleen")]
    assert [(p.left, p.right) for p in matched(left, [SegmentFacts("x", "LIVER")])] == [
        ("a", "x"),
        ("b", None),
        ("c", None),
    ]


def test_the_tissue_that_slicer_gives_by_itself_says_nothing() -> None:
    tissue = "Segmentation category and type~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~~^^~^^"
    left, right = [SegmentFacts("a", "Liver", tissue)], [SegmentFacts("x", "Spleen", tissue)]
    assert found(left, right) == {"a": None}
