"""Which code a segment gets in a mask for the worker: a pair under one code, the liver with its lesions."""

from __future__ import annotations

import pytest
from liverseg_core.labels import LABELS
from LiverSegLib.coding import codes_of_pairs, parts_of
from LiverSegLib.controller import UserError


@pytest.mark.parametrize(
    ("ours", "theirs", "pairs", "left", "right"),
    [
        ({"a": 1}, {"x": 1}, {"a": "x"}, {"a": 1}, {"x": 1}),
        ({"a": 1}, {}, {"a": "x"}, {"a": 1}, {"x": 1}),  # one side knows what it is
        ({}, {"x": 3}, {"a": "x"}, {"a": 3}, {"x": 3}),
        ({"a": 1, "l": 2}, {"x": 1}, {"a": "x"}, {"a": 1, "l": 1}, {"x": 1}),  # lesions count for the liver
        ({"a": 1, "l": 2}, {"x": 1, "m": 2}, {"a": "x", "l": "m"}, {"a": 1, "l": 2}, {"x": 1, "m": 2}),
        ({"a": 3, "l": 2}, {"x": 3}, {"a": "x"}, {"a": 3}, {"x": 3}),  # no liver, nothing to count for
        ({"l": 2}, {"m": 2}, {"l": "m"}, {"l": 2}, {"m": 2}),
    ],
)
def test_a_pair_lies_under_one_code(ours, theirs, pairs, left, right) -> None:
    assert codes_of_pairs(ours, theirs, pairs) == (left, right)


def test_a_pair_of_the_users_own_takes_a_code_that_means_nothing_else() -> None:
    ours, theirs = codes_of_pairs({"liver": 1, "spleen": 3}, {"other": 4}, {"liver": "x", "mine": "y", "again": "z"})
    assert ours["liver"] == 1
    assert {ours["mine"], ours["again"]}.isdisjoint({1, 2, 3, 4})
    assert ours["mine"] != ours["again"]
    assert theirs == {"x": 1, "y": ours["mine"], "z": ours["again"]}


def test_two_segments_of_one_structure_get_two_codes() -> None:
    ours, theirs = codes_of_pairs({"a": 1, "b": 1}, {"x": 1}, {"a": "x", "b": "y"})
    assert ours["a"] == theirs["x"] == 1
    assert ours["b"] == theirs["y"]
    assert ours["b"] not in (1, 2)


def test_too_few_and_too_many_are_refused_in_a_sentence() -> None:
    with pytest.raises(UserError, match="No segment has a partner"):
        codes_of_pairs({}, {}, {})
    most = len(LABELS) - 2  # the liver's and the lesions' codes are given to nothing else
    assert len(set(codes_of_pairs({}, {}, {f"a{n}": f"x{n}" for n in range(most)})[0].values())) == most
    with pytest.raises(UserError, match="too many"):
        codes_of_pairs({}, {}, {f"a{n}": f"x{n}" for n in range(most + 1)})
    assert parts_of(["left", "right"]) == {"left": 1, "right": 2}
    with pytest.raises(UserError, match="too many"):
        parts_of([str(n) for n in range(len(LABELS) + 1)])
