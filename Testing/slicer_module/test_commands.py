"""What the panel asks for is what the command line's own parser understands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from liverseg_core import cli
from LiverSegLib import commands

SCAN = Path("/tmp/a folder/M\u00fcller/scan.nrrd")
OUT = Path("/tmp/a folder/out")


def parsed(arguments: list[str]) -> dict[str, Any]:
    return vars(cli._parser().parse_args(arguments))


ROWS: list[tuple[list[str], dict[str, Any]]] = [
    (
        commands.segment_arguments(SCAN, OUT),
        {"scan": SCAN, "out": OUT, "phase": "auto", "model": "auto", "device": "auto", "quality": "standard",
         "report": False},
    ),
    (
        commands.segment_arguments(
            SCAN, OUT, phase="mr_t1_hbp", model="/m\u00f6dels/a b", device="cuda:1", quality="best", patient=SCAN,
            allow_unfit=True,
        ),
        {"phase": "mr_t1_hbp", "model": "/m\u00f6dels/a b", "device": "cuda:1", "quality": "best", "patient": SCAN,
         "allow_unfit": True},
    ),
    (commands.measure_arguments(SCAN, OUT), {"mask": SCAN, "out": OUT, "scan": None, "remnant": None, "plane": None}),
    (commands.measure_arguments(SCAN, OUT, scan=SCAN, remnant=(2, 3)), {"scan": SCAN, "remnant": "2,3"}),
    (commands.measure_arguments(SCAN, OUT, plane="-1,2,3,0,0,-1"), {"plane": "-1,2,3,0,0,-1"}),
    (
        commands.compare_arguments(SCAN, OUT, OUT, tolerance_mm=1.5, percentile=90),
        {"prediction": SCAN, "reference": OUT, "out": OUT, "tolerance_mm": 1.5, "percentile": 90.0},
    ),
    (
        commands.cohort_arguments(SCAN, OUT, model="m", device="cpu", quality="fast", allow_unfit=True),
        {"table": SCAN, "out": OUT, "model": "m", "device": "cpu", "quality": "fast", "resume": True, "allow_unfit": True},
    ),
    (commands.cohort_arguments(SCAN, OUT, resume=False), {"resume": False, "allow_unfit": False}),
    (
        commands.fat_arguments([SCAN, OUT], OUT, mask=SCAN, te_ms=(1.15, 2.1), field_t=3.0, tr_ms=8.5, flip_deg=3.0),
        {"echoes": [SCAN, OUT], "mask": SCAN, "echo_times_ms": "1.15,2.1", "field_t": 3.0, "tr_ms": 8.5, "flip_deg": 3.0,
         "model": "auto", "method": "auto", "phase_image": [], "report": False},
    ),
    (
        commands.fat_arguments([SCAN], OUT, phase=[SCAN, OUT], model="m", tr_ms=8.5, method="complex", device="cpu"),
        {"phase_image": [SCAN, OUT], "mask": None, "model": "m", "echo_times_ms": None, "field_t": None, "tr_ms": None,
         "flip_deg": None, "method": "complex", "device": "cpu"},
    ),
    (commands.doctor_arguments(), {"verb": "doctor", "json": True}),
    (commands.models_arguments("list"), {"action": "list", "name": None}),
    (commands.models_arguments("import", str(SCAN)), {"action": "import", "name": str(SCAN)}),
    (commands.sample_arguments("mr", OUT, contrast="t2"), {"kind": "mr", "out": OUT, "contrast": "t2", "overwrite": True}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "expected"), ROWS, ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else ""
)
def test_the_command_line_understands(arguments: list[str], expected: dict[str, Any]) -> None:
    options = parsed([*arguments, "--json-lines"])
    assert {key: options[key] for key in expected} == expected
    assert options["json_lines"] is True


@pytest.mark.parametrize("arguments", [row[0] for row in ROWS], ids=lambda a: " ".join(a)[:60])
def test_who_can_be_asked_to_stop_is_what_the_command_line_says(arguments: list[str]) -> None:
    assert ("stop_file" in parsed(arguments)) is commands.takes_stop_file(arguments)


def test_a_stop_file_reaches_the_command() -> None:
    arguments = commands.segment_arguments(SCAN, OUT)
    assert parsed([*arguments, "--stop-file", str(OUT)])["stop_file"] == OUT
    assert not commands.takes_stop_file([])
