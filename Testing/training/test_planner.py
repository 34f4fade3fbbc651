"""A plan has the answers that nnU-Net's own rules give, says why, and is an experiment that resolves; coverage counts files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from liverseg_core.errors import InputError, MemoryShortageError
from liverseg_core.geometry import IntTriple
from liverseg_training.__main__ import main
from liverseg_training.cases import Case, list_cases
from liverseg_training.coverage import coverage_lines, phase_coverage, volume_consistency, volume_differences
from liverseg_training.experiment import load_experiment
from liverseg_training.planner import Fingerprint, fingerprints, planned, pooled, stunet_bytes, target_spacing

ISOTROPIC = [[2, 2, 2]] * 4


def voxels(patch: IntTriple, strides: object, batch: int) -> float:
    """A device that holds so many voxels, whatever the network."""
    return float(np.prod(patch)) * batch


def prints(spacings: list[tuple[float, ...]], size: IntTriple) -> list[Fingerprint]:
    return [Fingerprint(spacing, size, "MR") for spacing in spacings]


# what the published planner's rules answer for the same fingerprints and the same measure of memory
@pytest.mark.parametrize(
    ("spacings", "size", "room", "spacing", "patch", "strides"),
    [
        ([(1.0, 1.0, 1.0)] * 30, (200, 250, 250), 4e6, (1, 1, 1), (112, 128, 128), [*ISOTROPIC, [1, 2, 2]]),
        ([(2.0, 2.0, 2.0)] * 4, (60, 70, 80), 1e12, (2, 2, 2), (64, 80, 80), [*ISOTROPIC, [1, 1, 1]]),
        (
            [(float(z), 0.8, 0.8) for z in (4, 5, 5, 5, 6, 5, 5, 5, 5, 7)], (40, 400, 400), 5e6, (4.9, 0.8, 0.8),
            (32, 256, 256), [[1, 2, 2], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2]],
        ),
        ([(2.5, 1.0, 1.0)] * 30, (90, 300, 350), 6e6, (2.5, 1, 1), (64, 192, 224), [[1, 2, 2], *ISOTROPIC]),
        (
            [(float(z), 1.5, 1.5) for z in (1.0, *[6] * 8, 1.2)], (50, 300, 300), 6e6, (1.5, 1.5, 1.5),
            (112, 160, 160), [*ISOTROPIC, [1, 2, 2]],
        ),
    ],
)  # fmt: skip
def test_a_plan_is_what_the_published_rules_give(spacings, size, room, spacing, patch, strides) -> None:
    plan = planned(prints(spacings, size), voxels, room)
    assert plan.spacing_mm == pytest.approx(spacing, abs=1e-4)
    assert plan.patch == patch
    assert [list(stride) for stride in plan.strides] == strides
    assert plan.batch >= 2
    assert voxels(plan.patch, (), 2) <= room


def test_a_batch_is_what_fits_and_no_more_than_a_twentieth_of_all_voxels() -> None:
    scans = prints([(2.0, 2.0, 2.0)] * 40, (64, 64, 64))
    assert planned(scans, voxels, 64**3 * 10.0).batch == 2  # 10 fit, and 2 are 5 % of 40
    assert planned(scans * 4, voxels, 64**3 * 6.0).batch == 6
    assert planned(scans * 4, voxels, 64**3 * 60.0).batch == 8
    assert "6 would fit, and 8 are 5 % of all voxels" in planned(scans * 4, voxels, 64**3 * 6.0).reasons[3]


def test_poolings_stop_at_four_voxels_and_a_lone_axis_at_twelve() -> None:
    assert pooled((3.0, 2.0, 2.0), (48, 96, 96)) == ((48, 96, 96), [(2, 2, 2)] * 3 + [(1, 2, 2)], (8, 16, 16))
    assert pooled((1.0, 1.0, 1.0), (11, 3, 3)) == ((11, 3, 3), [], (1, 1, 1))
    assert pooled((1.0, 1.0, 1.0), (12, 3, 3)) == ((12, 3, 3), [(2, 1, 1)], (2, 1, 1))
    assert pooled((1.0, 1.0, 1.0), (13, 17, 8))[0] == (14, 18, 8)
    assert pooled((1.0, 1.0, 1.0), (13, 24, 8))[0] == (14, 24, 8)


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(InputError, match="no scan to plan for"):
        planned([], voxels, 1e9)
    with pytest.raises(MemoryShortageError, match="not even a batch of 2 patches"):
        planned(prints([(2.0, 2.0, 2.0)], (64, 64, 64)), voxels, 10.0)
    assert "its finest tenth counts" in target_spacing(prints([(7.7, 1.25, 1.25)] * 3, (36, 256, 256)))[1]
    assert "finest tenth" not in target_spacing(prints([(7.7, 1.25, 1.25)] * 3, (200, 256, 256)))[1]


def test_the_command_reads_headers_says_why_and_writes_lines_that_resolve(data: Path, tmp_path, capsys) -> None:
    out = tmp_path / "plan.toml"
    assert main(["plan", str(data), "--include", "one,two", "--memory-gb", "2", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    for words in (
        "ct_portal: 1 of 2 patients",
        "two lacks ct_portal",
        "spacing: the median of 2 scans is 4 x 4 x 4 mm",
    ):
        assert words in told
    assert out.read_text().startswith("# spacing: the median")
    lines = out.read_text() + '\n[experiment]\nname = "x"\nout_dir = "x"\nmax_steps = 1\n'
    (tmp_path / "whole.toml").write_text(lines)
    experiment = load_experiment(tmp_path / "whole.toml")
    assert experiment.infer.window == (40, 40, 48)
    assert experiment.preprocess.spacing_mm == (4.0, 4.0, 4.0)
    assert experiment.preprocess.normalisation == {"CT": "ct_fixed", "MR": "body_zscore"}
    assert len(experiment.network.options["strides"]) == 5
    one = fingerprints(list_cases(data, ["one"]))[0]
    assert (one.size, one.modality) == ((36, 40, 44), "CT")


def test_more_memory_is_a_larger_patch_of_the_real_network() -> None:
    held = stunet_bytes("S", ["MR"])
    small, large = (held(patch, [(2, 2, 2)] * 5, 2) for patch in ((32, 32, 32), (64, 32, 32)))
    assert small < large < 2 * small


def scan(patient: str, phase: str, n: int = 0) -> Case:
    return Case(f"{patient}-{phase}-{n}", Path(), Path(), phase, (1,), patient)


def test_coverage_counts_the_scans_of_each_patient_and_names_what_is_missing(data: Path) -> None:
    cases = [scan("a", "mr_t2fs"), scan("a", "mr_dwi"), scan("a", "mr_dwi", 1), scan("b", "mr_t2fs")]
    assert phase_coverage(cases) == [
        {"patient": "a", "mr_dwi": 2, "mr_t2fs": 1, "missing": ""},
        {"patient": "b", "mr_dwi": 0, "mr_t2fs": 1, "missing": "mr_dwi"},
    ]
    assert coverage_lines(cases) == ["mr_dwi: 1 of 2 patients", "mr_t2fs: 2 of 2 patients", "b lacks mr_dwi"]
    rows = phase_coverage(list_cases(data))
    files = [json.loads(meta.read_text())["modality"] for meta in (data / "cases").glob("*/meta.json")]
    assert sum(row["ct_portal"] for row in rows) == files.count("CT")
    assert sum(row["mr_t2fs"] for row in rows) == files.count("MR")


def test_volumes_of_one_patient_are_compared_phase_by_phase() -> None:
    assert volume_differences({"b": 900.0, "a": 1100.0}) == {("a", "b"): pytest.approx(0.2)}
    assert volume_differences({"a": 0.0, "b": 900.0}) == {("a", "b"): 2.0}
    assert volume_differences({"a": 0.0, "b": 0.0}) == {}
    assert volume_differences({"a": 1.0, "b": float("nan")}) == {}
    told = volume_consistency({"p": {"a": 1100.0, "b": 900.0}, "q": {"a": 1000.0, "b": 1000.0}, "r": {"a": 5.0}})
    assert told == {("a", "b"): (pytest.approx(0.1), pytest.approx(0.2), 2)}
    with pytest.raises(InputError, match="none below 0"):
        volume_differences({"a": -1.0})
