"""Which volumes are echoes, and what is refused before a worker is asked. Plain Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from LiverSegLib.controller import UserError
from LiverSegLib.echoes import (
    MAGNITUDE,
    MAPS,
    PHASE,
    Candidate,
    Facts,
    Row,
    facts_beside,
    facts_of_tags,
    guessed_roles,
    known_facts,
    planned,
    spread_bars,
    times_of,
)

SIZE = (68, 48, 21)


def one(name: str, te_ms: float | None = None, size: tuple[int, ...] = SIZE, **facts: Any) -> Candidate:
    return Candidate(name, name, (size,), Facts(() if te_ms is None else (te_ms,), **facts))


def many(name: str, count: int, te_ms: tuple[float, ...] = (), size: tuple[int, ...] = SIZE) -> Candidate:
    return Candidate(name, name, (size,) * count, Facts(te_ms))


CT, T2 = one("portal"), one("T2", 80.0, (256, 256, 40))
ECHOES = [one(f"v{n}", 1.2 * n + 1.1, tr_ms=9.0) for n in range(3)]
GUESSES: dict[str, tuple[list[Candidate], dict[str, str]]] = {
    "nothing": ([], {}),
    "single scans are no echoes": ([CT, T2, one("T1", 2.3)], {}),
    "volumes that differ in echo time": ([CT, T2, *ECHOES], {"v0": MAGNITUDE, "v1": MAGNITUDE, "v2": MAGNITUDE}),
    "of another repetition time": ([one("T1", 2.3, tr_ms=5.0), *ECHOES[:2]], {"v0": MAGNITUDE, "v1": MAGNITUDE}),
    "by name": ([CT, one("sub_echo-1"), one("sub_echo-2")], {"sub_echo-1": MAGNITUDE, "sub_echo-2": MAGNITUDE}),
    "a sequence by its times": ([many("s", 3, (1.0, 2.0, 3.0)), CT], {"s": MAGNITUDE}),
    "a dynamic sequence is none": ([many("perfusion", 30)], {}),
    "with its phases": (
        [many("multiecho", 6), many("multiecho_phase", 6), many("other_phase", 5)],
        {"multiecho": MAGNITUDE, "multiecho_phase": PHASE},
    ),
    "real and imaginary parts are not": ([many("real", 6), many("multiecho imag", 6)], {}),
    "parts by DICOM beside magnitudes": ([*ECHOES, one("r", 0.9, tr_ms=9.0, is_part=True)], dict.fromkeys(("v0", "v1", "v2"), MAGNITUDE)),
    "phases by DICOM": ([*ECHOES, *(one(f"p{n}", 1.2 * n + 1.1, is_phase=True) for n in range(3))],
        {**dict.fromkeys(("v0", "v1", "v2"), MAGNITUDE), **dict.fromkeys(("p0", "p1", "p2"), PHASE)}),
}  # fmt: skip


@pytest.mark.parametrize("name", GUESSES)
def test_echoes_are_told_from_other_scans(name: str) -> None:
    candidates, expected = GUESSES[name]
    assert guessed_roles(candidates) == expected


def rows(*chosen: tuple[Candidate, str, str]) -> list[Row]:
    return [Row(*one) for one in chosen]


def test_echoes_come_in_the_order_of_their_times_and_phases_with_them() -> None:
    late, early = one("late"), one("early")
    plan = planned(
        rows((late, MAGNITUDE, "3.5"), (early, MAGNITUDE, "1.2"), (one("a"), PHASE, ""), (one("b"), PHASE, ""))
    )
    assert plan.te_ms == (1.2, 3.5)
    assert [echo.id for echo in plan.magnitude] == ["early", "late"]
    assert [echo.id for echo in plan.phase] == ["b", "a"]
    told = planned(
        rows((late, MAGNITUDE, "3.5"), (early, MAGNITUDE, "1.2"), (one("a"), PHASE, "1.21"), (one("b"), PHASE, "3.5"))
    )
    assert [echo.id for echo in told.phase] == ["a", "b"]
    sequence = planned(rows((many("s", 3), MAGNITUDE, "1.15; 2.1 3.05"), (CT, "", "")))
    assert [(echo.id, echo.index) for echo in sequence.magnitude] == [("s", 0), ("s", 1), ("s", 2)]


S = many("s", 3)
REFUSED: dict[str, tuple[list[Row], str]] = {
    "nothing chosen": (rows((CT, "", "")), "No echo is chosen"),
    "one echo": (rows((CT, MAGNITUDE, "1.2")), "portal holds one echo; expected two at least"),
    "sizes": (rows((one("a"), MAGNITUDE, "1"), (one("b", size=(68, 48, 20)), MAGNITUDE, "2")), "68 x 48 x 21 and 68 x 48 x 20"),
    "no times": (rows((S, MAGNITUDE, "")), "Nothing says the echo times"),
    "too few times": (rows((S, MAGNITUDE, "1, 2")), "s has 3 volumes, but 2 echo times"),
    "words": (rows((S, MAGNITUDE, "1, two, 3")), "are no echo times"),
    "seconds": (rows((S, MAGNITUDE, "0.00115, 0.0021, 0.00305")), "look like seconds"),
    "twice": (rows((S, MAGNITUDE, "1, 2, 2")), "Two echoes share a time"),
    "parts": (rows((one("a", 1.0, is_part=True), MAGNITUDE, "1"), (CT, MAGNITUDE, "2")), "a is the real or the imaginary part"),
    "phases lack": (rows((S, MAGNITUDE, "1, 2, 3"), (CT, PHASE, "")), "1 phase images for 3 echoes"),
    "phases of others": (rows((S, MAGNITUDE, "1, 2, 3"), (many("p", 3), PHASE, "1, 2, 4")), "are not those of the magnitudes"),
    "phases of another size": (rows((S, MAGNITUDE, "1, 2, 3"), (many("p", 3, size=(9, 9, 9)), PHASE, "")), "differ in size"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_belong_together_is_refused(name: str) -> None:
    chosen, words = REFUSED[name]
    with pytest.raises(UserError, match=words):
        planned(chosen)


def test_facts_come_from_tags_and_side_cars(tmp_path: Path) -> None:
    tags = {"EchoTime": "2.38", "MagneticFieldStrength": "1.5", "RepetitionTime": "14", "FlipAngle": "5",
            "ImageType": ("ORIGINAL", "PRIMARY", "P", "ND")}  # fmt: skip
    assert facts_of_tags(tags) == Facts((2.38,), 1.5, 14.0, 5.0, True)
    assert facts_of_tags({"EchoTime": "", "ImageType": "PRIMARY"}) == Facts()
    assert facts_of_tags({"ImageType": ("ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE")}) == Facts(is_phase=True)
    assert facts_of_tags({"ImageType": ("ORIGINAL", "PRIMARY", "R_FFE", "R", "FFE")}) == Facts(is_part=True)
    car = {"EchoTime": [0.00115, 0.0021], "MagneticFieldStrength": 3, "RepetitionTime": 0.0085, "FlipAngle": 3}
    (tmp_path / "mag.json").write_text(json.dumps(car), encoding="utf-8")
    assert facts_beside(tmp_path / "mag.nii.gz") == Facts((1.15, 2.1), 3.0, 8.5, 3.0)
    (tmp_path / "bad.json").write_text("no", encoding="utf-8")
    for file in (tmp_path / "bad.nrrd", tmp_path / "none.nii", None):
        assert facts_beside(file) == Facts()
    known = known_facts(
        rows((one("a", 1.0, field_t=1.5), "", ""), (one("b", 2.0, field_t=3.0, tr_ms=9.0), MAGNITUDE, ""))
    )
    assert (known.field_t, known.tr_ms) == (3.0, 9.0)


def test_times_scales_and_bars() -> None:
    assert times_of(" 1.15, 2.1;3.05 ") == (1.15, 2.1, 3.05)
    assert times_of("  ") == ()
    assert [MAPS[0].top(high) for high in (float("nan"), 12.0, 20.0, 20.1, 99.0, 300.0)] == [100, 20, 20, 50, 100, 100]
    histogram = {"edges": [-1.0, 0.0, 1.0, 2.0, 3.0], "counts": [0, 4, 0, 2]}
    assert spread_bars(histogram) == [("0", 4.0), ("1", 0.0), ("2", 2.0)]
    assert spread_bars({}) == spread_bars({"edges": [0, 1], "counts": [0]}) == []
