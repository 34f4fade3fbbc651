"""The section Cases: list, run, walk through, correct, save, and send to the training set, with the real worker."""

# ruff: noqa: F401, F811  (fixtures that are imported)
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import GRIDS, bright_liver, saved_scan
from slicer_module.test_panel import SlowJob, module, panel, pick, status, wait


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three cases: two scans, one of which has an AI result, and one that is no scan."""
    place = tmp_path / "Fälle A"
    place.mkdir()
    for name in ("a", "b"):
        saved_scan(place / f"{name}.nii.gz", bright_liver(GRIDS["plain"]))
    (place / "c.nii.gz").write_bytes(b"no scan")
    return place


@pytest.fixture
def worked(folder: Path) -> Path:
    """With an AI result of case a, as a cohort leaves it."""
    import SimpleITK as sitk
    from liverseg_core.geometry import grid_of
    from liverseg_core.records import LabelMask
    from liverseg_core.reporting import save_masks
    from slicer_module.scene_results import ALGORITHM, CODES, REPORT, organs

    result = folder.parent / f"{folder.name}-liverseg" / "a"
    result.mkdir(parents=True)
    grid = grid_of(sitk.ReadImage(str(folder / "a.nii.gz")))
    save_masks(LabelMask(organs(GRIDS["plain"]), grid), CODES, ALGORITHM, result)
    (result / "report.json").write_text(json.dumps(REPORT), encoding="utf-8")
    return folder


def opened(panel: Any, folder: Path) -> Any:
    panel.ui.casesFolder.currentPath = str(folder)
    return panel.sections["cases"]


def shown(panel: Any) -> list[list[str]]:
    table = panel.ui.casesTable
    return [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount)]


def test_a_queue_sets_the_order_and_says_why(panel: Any, worked: Path) -> None:
    order = {
        "cases": [
            {"case": "b", "why": "doubt 2.10 of the limit, islands"},
            {"case": "a", "why": "doubt 0.40 of the limit"},
        ]
    }
    (worked.parent / f"{worked.name}-liverseg" / "queue.json").write_text(json.dumps(order), encoding="utf-8")
    opened(panel, worked)
    assert [row[0] for row in shown(panel)] == ["b", "a", "c"]  # c was not ranked
    assert panel.ui.casesTable.item(0, 2).toolTip() == "doubt 2.10 of the limit, islands"


def test_the_folder_is_listed_with_results_and_status(panel: Any, worked: Path) -> None:
    (worked / "liverseg-status.json").write_text('{"status": {"b": "flagged"}}', encoding="utf-8")
    opened(panel, worked)
    assert shown(panel) == [["a", "Not started", "AI result"], ["b", "Flagged", ""], ["c", "Not started", ""]]
    panel.ui.casesFolder.currentPath = str(worked) + "/none"
    assert shown(panel) == []
    assert panel.ui.messageLabel.text == ""


def test_cases_are_walked_through_and_corrections_come_back(panel: Any, worked: Path) -> None:
    import slicer
    from slicer_module.panel_scenes import paint

    cases = opened(panel, worked)
    panel.ui.nextCaseButton.click()
    assert cases.case().name == "a"
    assert panel.segmentation().GetSegmentation().GetSegmentIDs() == (
        "liver",
        "lesion",
        "spleen",
        "kidney_right",
        "kidney_left",
    )
    liver = slicer.util.arrayFromSegmentBinaryLabelmap(panel.segmentation(), "liver", panel.volume()).sum()
    paint(panel.segmentation(), panel.volume(), "liver", lambda voxels: voxels * (np.indices(voxels.shape)[2] < 20))
    assert cases.case().status == "in_progress"
    pick(panel.ui.caseStatusCombo, "completed")
    corrected = worked.parent / f"{worked.name}-corrected" / "a.seg.nrrd"
    assert corrected.is_file()
    paint(panel.segmentation(), panel.volume(), "liver", lambda voxels: voxels * (np.indices(voxels.shape)[2] < 18))
    last = slicer.util.arrayFromSegmentBinaryLabelmap(panel.segmentation(), "liver", panel.volume()).sum()
    panel.ui.nextCaseButton.click()
    assert (cases.case().name, panel.segmentation()) == ("b", None)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    panel.ui.previousCaseButton.click()
    assert shown(panel)[0] == ["a", "Completed", "corrected"]
    found = slicer.util.arrayFromSegmentBinaryLabelmap(panel.segmentation(), "liver", panel.volume()).sum()
    assert 0 < found == last < liver
    panel.ui.restoreButton.click()  # the AI result is still behind it
    again = slicer.util.arrayFromSegmentBinaryLabelmap(panel.segmentation(), "liver", panel.volume()).sum()
    assert again == liver
    panel.ui.previousCaseButton.click()
    assert "first case" in panel.ui.messageLabel.text
    assert panel.log == []


def test_a_status_that_was_set_on_a_segment_is_saved(panel: Any, worked: Path) -> None:
    from LiverSegLib.scene import set_status, status_of

    opened(panel, worked)
    panel.ui.nextCaseButton.click()
    set_status(panel.segmentation().GetSegmentation().GetSegment("spleen"), 3)  # as a click into the table does
    panel.ui.nextCaseButton.click()
    panel.ui.previousCaseButton.click()
    assert status_of(panel.segmentation().GetSegmentation().GetSegment("spleen")) == 3


def test_a_case_that_nobody_touched_writes_nothing(panel: Any, worked: Path) -> None:
    opened(panel, worked)
    panel.ui.nextCaseButton.click()
    panel.ui.nextCaseButton.click()
    assert not (worked.parent / f"{worked.name}-corrected").exists()
    assert not (worked / "liverseg-status.json").exists()


def test_a_correction_that_cannot_be_saved_stays_open(panel: Any, worked: Path) -> None:
    from slicer_module.panel_scenes import paint

    cases = opened(panel, worked)
    panel.ui.nextCaseButton.click()
    paint(panel.segmentation(), panel.volume(), "liver", lambda voxels: voxels * 0)
    (worked.parent / f"{worked.name}-corrected").write_text("a file in the way")
    panel.ui.nextCaseButton.click()
    assert "cannot be saved" in panel.ui.messageLabel.text
    assert cases.case().name == "a"
    assert panel.segmentation() is not None
    assert panel.log == []


def test_a_second_segmentation_of_the_case_is_not_thrown_away(panel: Any, worked: Path) -> None:
    import slicer
    from slicer_module.lab import volumes

    opened(panel, worked)
    panel.ui.nextCaseButton.click()
    other = volumes.liver_node(panel.volume())
    panel.ui.nextCaseButton.click()
    assert other.GetScene() is slicer.mrmlScene
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2


def test_a_file_that_is_no_scan_is_a_sentence(panel: Any, worked: Path) -> None:
    opened(panel, worked)
    panel.ui.casesTable.cellDoubleClicked.emit(2, 0)
    assert "c.nii.gz" in panel.ui.messageLabel.text
    assert panel.log == []


def test_run_all_goes_through_the_real_cohort(panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from LiverSegLib.job import WorkerJob
    from phantoms import saved_model

    place = tmp_path / "scans"
    place.mkdir()
    saved_scan(place / "a.nii.gz", bright_liver(GRIDS["plain"]))
    (place / "b.nii.gz").write_bytes(b"no scan")
    panel.new_job = WorkerJob
    panel.parameters.model = str(saved_model(tmp_path / "known"))
    opened(panel, place)
    panel.ui.runAllButton.click()
    assert panel.ui.runAllButton.text == "Cancel"
    assert wait(panel, "cases").status.name == "DONE", panel.controllers["cases"].report()
    assert "1 of 2 cases have a result" in panel.ui.casesMessage.text
    assert [row[2] for row in shown(panel)] == ["AI result", "failed"]
    assert "b.nii.gz" in panel.ui.casesTable.item(1, 2).toolTip()
    assert (tmp_path / "scans-liverseg" / "cohort.html").is_file()


def test_run_all_can_be_cancelled_and_survives_a_closed_scene(panel: Any, worked: Path) -> None:
    import slicer

    opened(panel, worked)
    panel.ui.runAllButton.click()
    job = SlowJob.made[-1]
    assert job.arguments[:4] == ["cohort", str(worked), "--out", str(worked.parent / f"{worked.name}-liverseg")]
    assert "--resume" in job.arguments
    (worked / "liverseg-status.json").write_text("{", encoding="utf-8")
    job.says("progress", name="cases", done=1, total=3, eta_s=9.0)
    assert status(panel, "cases") == "RUNNING"  # a list that cannot be read is no reason to end the run
    (worked / "liverseg-status.json").unlink()
    assert panel.ui.casesProgress.value > 0
    panel.ui.runAllButton.click()
    assert job.cancels == 1
    job.ends(5)
    assert status(panel, "cases") == "CANCELLED"
    panel.ui.runAllButton.click()
    slicer.mrmlScene.Clear(False)  # the cases lie on the disk: the run goes on
    assert status(panel, "cases") == "RUNNING"
    SlowJob.made[-1].ends(0)
    assert "1 of 3 cases have a result" in panel.ui.casesMessage.text
    assert panel.log == []


@pytest.mark.parametrize("button", ["runAllButton", "nextCaseButton", "previousCaseButton", "sendToTrainingButton"])
def test_with_nothing_chosen_a_sentence_says_so(panel: Any, button: str, tmp_path: Path) -> None:
    getattr(panel.ui, button).click()
    assert panel.ui.messageLabel.text
    panel.ui.casesFolder.currentPath = str(tmp_path)
    panel.ui.nextCaseButton.click()
    assert "holds no case" in panel.ui.messageLabel.text
    assert panel.log == []


@pytest.mark.parametrize("text", ["{", '{"status": 3}'])
def test_a_broken_status_file_is_not_overwritten(panel: Any, worked: Path, text: str) -> None:
    (worked / "liverseg-status.json").write_text(text, encoding="utf-8")
    opened(panel, worked)
    assert "liverseg-status.json cannot be read" in panel.ui.messageLabel.text
    assert (worked / "liverseg-status.json").read_text(encoding="utf-8") == text
    assert panel.log == []
