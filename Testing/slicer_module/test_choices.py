"""What the panel offers, against cards and doctors that are written here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from liverseg_core import library
from liverseg_core.phases import PHASES
from LiverSegLib import choices
from LiverSegLib.choices import Past, detected, device_choices, model_choices, phase_choices, seconds_expected

STAGE = {
    "network": "unet3d", "labels": [1], "window": [8, 8, 8], "spacing_mm": [3, 3, 3],
    "normalisation": {"CT": "ct_fixed", "MR": "body_zscore"},
}  # fmt: skip
GPU = {"key": "cuda:0", "name": "Big GPU", "free_gb": 11.5, "total_gb": 12.0}
CPU = {"key": "cpu", "name": "x86"}
FAST = {"16 bits": "used: this device computes them fast"}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models beside the bundle: another one for CT with lesions, and a reproduction for one MR phase."""
    cards = {
        "lesions": {"fit_phases": ["ct_portal"], "stages": [{**STAGE, "labels": [1, 2]}], "licence": "CC0"},
        "a-paper": {
            "fit_phases": ["mr_t2fs"], "stages": [STAGE], "research": True,
            "measured": {"mr_t2fs": {"dsc": 0.9, "worst": 0.8, "n": 4, "cases": "CHAOS"}},
        },
        "broken": {"fit_phases": ["no_such_phase"], "stages": [STAGE]},
    }  # fmt: skip
    for name, card in cards.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "card.json").write_text(json.dumps({"name": name, "version": "1", **card}), encoding="utf-8")
        (tmp_path / name / library.WEIGHTS).write_bytes(b"0" * 2_000_000)
    monkeypatch.setenv("LIVERSEG_MODELS", str(tmp_path))
    return tmp_path


def names(phase: str, *, more: bool = False) -> list[str]:
    return [choice.name for choice in model_choices(phase, more=more)]


def test_every_phase_is_offered_after_detection() -> None:
    keys = [key for key, _ in phase_choices()]
    assert keys == ["auto", *PHASES]


def test_the_default_model_stands_first_and_reproductions_under_more(models) -> None:
    assert names("ct_portal") == ["any-phase", "lesions"]
    assert names("mr_t2fs") == ["any-phase"]
    assert names("mr_t2fs", more=True) == ["any-phase", "a-paper", "lesions"]
    assert names("auto") == ["any-phase", "lesions"]


def test_a_choice_says_what_was_measured_or_that_nothing_was(models) -> None:
    by_name = {choice.name: choice for choice in model_choices("mr_t2fs", more=True)}
    assert by_name["a-paper"].measured == "Mean DSC 0.900 on 4 real scans (CHAOS)"
    assert by_name["lesions"].facts == "Not measured on real scans · 2 MB · CC0"
    assert by_name["lesions"].knows_lesions
    assert not by_name["a-paper"].knows_lesions


def test_a_model_that_does_not_fit_says_so(models) -> None:
    by_name = {choice.name: choice for choice in model_choices("mr_t2fs", more=True)}
    assert "was not made for T2-weighted, fat suppressed" in choices.unfit(by_name["lesions"], "mr_t2fs")
    assert choices.unfit(by_name["any-phase"], "mr_t2fs") == ""
    assert choices.unfit(by_name["lesions"], "auto") == ""
    assert choices.unfit(None, "ct_portal") == ""


@pytest.mark.parametrize(
    ("doctor", "keys", "first"),
    [
        (None, ["auto", "cpu"], "Automatic (CPU, about 3 s)"),
        ({"torch": {"problem": "torch cannot be imported"}}, ["auto", "cpu"], "Automatic (CPU, about 3 s)"),
        ({"torch": {"devices": [CPU, GPU]}}, ["auto", "cuda:0", "cpu"], "Automatic (Big GPU)"),
        ({"torch": {"devices": [CPU, {"key": "mps"}]}}, ["auto", "mps", "cpu"], "Automatic (mps)"),
    ],
)
def test_devices_are_those_that_the_doctor_found(doctor, keys, first) -> None:
    past = [Past("cpu", "standard", 1_000_000, choices._line(1_000_000, "standard"))]
    offered = device_choices(doctor, 1_000_000, past)
    assert [choice.key for choice in offered] == keys
    assert offered[0].text == first
    if "cuda:0" in keys:
        assert offered[1].text == "cuda:0: Big GPU, 11.5 of 12 GB free"


def test_the_time_beside_the_cpu_is_that_of_the_quality() -> None:
    past = [Past("cpu", "standard", 50_000_000, 20.0)]
    told = {q: device_choices(None, 50_000_000, past, q)[-1].text for q in choices.QUALITY_TEXTS}
    assert told == {"fast": "CPU, about 15 s", "standard": "CPU, about 20 s", "best": "CPU, about 30 s"}


def test_what_was_measured_is_told_by_the_names_of_the_phases(models) -> None:
    by_name = {choice.name: choice for choice in model_choices("auto", more=True)}
    assert by_name["a-paper"].measured == f"Mean DSC on real scans: {PHASES['mr_t2fs'].meaning} 0.900"


def test_the_expected_time_follows_what_runs_took_here() -> None:
    fast = {"torch": FAST, "processors": 8}
    assert seconds_expected(78_643_200, "cpu", "standard", fast) == pytest.approx(4.86, abs=0.01)
    assert seconds_expected(78_643_200, "cpu", "standard", {"processors": 1}) == pytest.approx(4 * 4.86, abs=0.05)
    slow_here = [Past("cpu", "standard", 10_000_000, 28.0), Past("cuda:0", "standard", 10_000_000, 1.0)]
    assert seconds_expected(10_000_000, "cpu", "standard", None, slow_here) == pytest.approx(28.0)
    assert seconds_expected(10_000_000, "cpu", "best", None, slow_here) == pytest.approx(1.4 * 28.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "about 1 s"), (7.4, "about 7 s"), (38, "about 40 s"), (170, "about 3 min")]
)
def test_times_are_spelled_roughly(seconds, text) -> None:
    assert choices.spelled(seconds) == text


def test_tags_say_the_phase_and_why() -> None:
    found = detected({"Modality": "MR", "SeriesDescription": "t2_spair_tra", "EchoTime": 80.0})
    assert found.phase == "mr_t2fs"
    assert "SeriesDescription" in found.sentence


def test_what_is_no_ct_and_no_mr_is_said() -> None:
    found = detected({"Modality": "US"})
    assert found.phase == ""
    assert found.sentence.startswith("Phase not known: a US series")


def test_without_tags_the_intensities_say_ct_or_mr() -> None:
    hu = np.concatenate([np.full(300, -1000.0), np.full(700, 50.0)])
    assert detected({}, hu).phase == "ct_unknown"
    assert detected({}, np.linspace(0, 900, 1000)).phase == "mr_unknown"
    assert "no DICOM tags" in detected({}, hu).why
    assert detected({}).phase == ""
