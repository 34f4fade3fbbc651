"""Who trains and who validates: by patient, repeatable, and refused where one side knows the other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from liverseg_core.errors import InputError
from liverseg_training.cases import Case, list_cases
from liverseg_training.experiment import experiment_from
from liverseg_training.fit import cached_sides
from liverseg_training.sections import Split
from liverseg_training.splits import split_cases

NOWHERE = Path("nowhere")


def made_up(count: int, scans_each: int = 1) -> list[Case]:
    """Patients p0, p1 ... with as many scans; every other one is an MR."""
    return [
        Case(f"{phase}_{n}_{scan}", NOWHERE, NOWHERE, phase, (1,), f"p{n}")
        for n in range(count)
        for phase in ["ct_portal" if n % 2 else "mr_t2fs"]
        for scan in range(scans_each)
    ]


def patients(cases: Sequence[Case]) -> set[str]:
    return {case.patient for case in cases}


def test_folds_are_disjoint_and_hold_every_patient_once() -> None:
    cases = made_up(11, scans_each=2)
    parts = [split_cases(cases, Split(kind="kfold", folds=5, fold=n), NOWHERE) for n in range(5)]
    held = [patient for part in parts for patient in patients(part.validation)]
    assert sorted(held) == sorted(patients(cases))
    for part in parts:
        assert not patients(part.training) & patients(part.validation)
        assert len(part.training) + len(part.validation) == len(cases)
        assert {case.phase for case in part.validation} == {"ct_portal", "mr_t2fs"}


def test_a_split_depends_on_its_seed_and_not_on_the_order_of_the_files() -> None:
    cases = made_up(12)
    for split in (Split(kind="kfold", fold=1), Split(kind="ratio")):
        one = split_cases(cases, split, NOWHERE)
        assert patients(split_cases(cases[::-1], split, NOWHERE).validation) == patients(one.validation)
        other = [split_cases(cases, replace(split, seed=n), NOWHERE).validation for n in range(1, 4)]
        assert any(patients(side) != patients(one.validation) for side in other)


def test_ratios_are_kept_in_every_phase() -> None:
    parts = split_cases(made_up(40), Split(kind="ratio", ratios=(0.7, 0.1, 0.2)), NOWHERE)
    for side, expected in ((parts.training, 14), (parts.validation, 2)):
        phases = [case.phase for case in side]
        assert [phases.count(phase) for phase in ("ct_portal", "mr_t2fs")] == [expected, expected]
    assert len(split_cases(made_up(4), Split(kind="ratio", ratios=(0.5, 0.5)), NOWHERE).validation) == 2


def test_what_is_excluded_is_on_neither_side() -> None:
    parts = split_cases(made_up(8), Split(kind="ratio", exclude=("mr_*",)), NOWHERE)
    assert {case.phase for case in (*parts.training, *parts.validation)} == {"ct_portal"}


def test_a_patient_on_both_sides_and_more_folds_than_patients_are_refused(tmp_path) -> None:
    (tmp_path / "split.json").write_text(json.dumps({"validation": ["ct_portal_1_0"]}))
    with pytest.raises(InputError, match="leaks: ct_portal_1_1 trains and ct_portal_1_0 validates, both of patient p1"):
        split_cases(made_up(4, scans_each=2), Split(), tmp_path)
    with pytest.raises(InputError, match="3 patients cannot be dealt into 5 folds"):
        split_cases(made_up(3), Split(kind="kfold"), NOWHERE)


def test_the_same_voxels_under_another_name_are_refused(raw: dict, data: Path, tmp_path) -> None:
    copied = tmp_path / "copied"
    for name in ("one", "held"):
        shutil.copytree(data / "cases" / name, copied / "cases" / name)
    shutil.copytree(data / "cases" / "one", copied / "cases" / "twin")
    (copied / "split.json").write_text(json.dumps({"validation": ["twin"]}))
    raw["data"]["folder"] = str(copied)
    with pytest.raises(InputError, match="leaks: one trains and twin validates, and their voxels are the same"):
        cached_sides(experiment_from(raw, "twins"))
    raw["split"] = {"exclude": ["tw*"]}
    assert [c.case.id for c in cached_sides(experiment_from(raw, "twins")).training] == ["held", "one"]


def test_a_case_says_whose_it_is(tmp_path) -> None:
    for name, extra in (("a", {"patient": "p7"}), ("b", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "meta.json").write_text(json.dumps({"modality": "CT", "labels_ml": {"1": 2.0}, **extra}))
    assert [case.patient for case in list_cases(tmp_path)] == ["p7", ""]


def test_folds_are_runs_of_their_own(raw: dict) -> None:
    raw["split"] = {"kind": "kfold", "folds": 3}
    runs = experiment_from(raw, "folds").folds()
    assert [(run.split.fold, run.out_dir.name) for run in runs] == [(0, "fold_0"), (1, "fold_1"), (2, "fold_2")]
    raw["split"] = {}
    with pytest.raises(InputError, match="kfold"):
        experiment_from(raw, "fixed").folds()
