"""The case list: what is found, what is remembered, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from liverseg_core.case_folder import CaseFacts
from liverseg_core.cli import main
from liverseg_core.errors import InputError
from LiverSegLib import cases
from LiverSegLib.cases import ListedCase, find_cases, load_status, neighbour, save_status, training_arguments


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "Fälle und mehr"
    (place / "dicom").mkdir(parents=True)
    (place / "dicom" / "0001").write_bytes(b"")
    for name in ("b.nii.gz", "a.nrrd", "notes.txt"):
        (place / name).write_bytes(b"")
    return place


def test_the_list_is_what_a_cohort_would_read(folder) -> None:
    save_status(folder, {"b": "completed", "gone": "flagged"})
    found = find_cases(folder)
    assert [(case.name, case.status) for case in found] == [
        ("a", "not_started"), ("b", "completed"), ("dicom", "not_started"),
    ]  # fmt: skip
    assert found[2].scan == folder / "dicom"


def test_results_that_lie_there_are_known(folder, tmp_path) -> None:
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "a" / "report.json").write_text("{}", encoding="utf-8")
    assert [case.result for case in find_cases(folder, tmp_path / "out")] == [tmp_path / "out" / "a", None, None]


def test_what_is_no_folder_of_scans_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        find_cases(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no case"):
        find_cases(tmp_path)


def test_a_status_survives_and_a_broken_file_is_not_overwritten(folder) -> None:
    save_status(folder, {"a": "flagged"})
    assert load_status(folder) == {"a": "flagged"}
    assert [f.name for f in folder.glob(".*")] == []
    (folder / cases.STATUS_FILE).write_text('{"status": {"a": "flag', encoding="utf-8")
    with pytest.raises(InputError, match="move it away"):
        load_status(folder)
    with pytest.raises(InputError, match="unknown status done"):
        save_status(folder, {"a": "done"})


def test_a_status_that_is_not_ours_is_left_out(folder) -> None:
    (folder / cases.STATUS_FILE).write_text(
        json.dumps({"status": {"a": "flagged", "b": 3, "c": "x"}}), encoding="utf-8"
    )
    assert load_status(folder) == {"a": "flagged"}


def test_a_folder_that_cannot_be_written_to_is_said(folder, monkeypatch) -> None:
    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cases.tempfile, "mkstemp", full)
    with pytest.raises(InputError, match="No space left"):
        save_status(folder, {"a": "flagged"})


def test_next_and_previous_skip_what_cannot_be_opened() -> None:
    listed = [ListedCase(name, Path(name), problem="two images" if name == "b" else "") for name in "abc"]

    def step(name: str, by: int) -> str | None:
        found = neighbour(listed, name, by)
        return None if found is None else found.name

    assert [step("a", 1), step("c", -1), step("c", 1), step("a", -1)] == ["c", "a", None, None]
    assert [step("", 1), step("", -1)] == ["a", "c"]


def test_the_arguments_of_a_training_case_are_those_of_the_command(tmp_path, capsys) -> None:
    facts = CaseFacts("mr_t2", (1, 3), model="any-phase 0.2.0", patient="ab12")
    places = (tmp_path / name for name in ("scan.nrrd", "mask.nii.gz", "into"))
    arguments = training_arguments(*places, facts, tmp_path / "ai.nii.gz")
    assert main(arguments) == 2
    assert "scan.nrrd does not exist" in capsys.readouterr().err


def test_a_patients_name_in_what_would_be_written_is_found() -> None:
    patient = {"PatientName": "Mustermann^Erika", "PatientID": "4711", "PatientSex": "F", "PatientBirthDate": ""}
    assert cases.travelling_names(["case of 4711", "liver"], patient) == ["PatientID"]
    assert cases.travelling_names(["F", "any-phase 0.2.0"], patient) == []
