"""The sections Segment liver and Models: a run from the first click to its end, the models, this computer."""

# ruff: noqa: F811 (a fixture is named where it is imported and where it is used)

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slicer_module.panel_desk import SlowJob, chosen, module, panel, pick, rows, status, wait  # noqa: F401


def test_the_words_of_a_run_follow_its_events(panel: Any, chosen: Any) -> None:
    ui = panel.ui
    ui.segmentButton.click()
    job = SlowJob.made[-1]
    assert Path(job.arguments[1]).is_file()
    job.says("started", pid=4711, protocol=1)
    job.says("progress", name="inference", done=1, total=2, eta_s=4.0)
    assert ui.progressBar.value > 0
    assert not ui.progressBar.isHidden()
    assert "network looks" in ui.stageLabel.text
    job.says("warning", code="thick_slices", text="slices of 6 mm")
    assert "slices of 6 mm" in ui.stageLabel.text
    job.says("error", kind="memory", text="4 GB are needed.")
    job.ends(4)
    assert status(panel) == "FAILED"
    assert ui.stageLabel.text.startswith("4 GB are needed.")
    assert ui.progressBar.isHidden()
    assert ui.segmentButton.text == "Segment liver"
    assert "4711" in ui.logText.plainText
    ui.logGroup.collapsed = False
    ui.copyLogButton.click()
    assert panel.log == []
    assert ui.messageLabel.text == "The report is on the clipboard."
    import slicer

    assert "4 GB are needed" in slicer.app.clipboard().text()


def test_cancel_comes_from_the_same_button_but_not_from_a_double_click(panel: Any, chosen: Any) -> None:
    panel.ui.segmentButton.click()
    panel.ui.segmentButton.click()
    assert status(panel) == "RUNNING"
    panel.sections["segment"]._began_s -= 5.0
    panel.ui.segmentButton.click()
    assert status(panel) == "CANCELLING"
    assert SlowJob.made[-1].cancels == 1
    SlowJob.made[-1].ends(5)
    assert status(panel) == "CANCELLED"


def full(_volume: Any, path: Path) -> None:
    raise OSError(28, "No space left on device", str(path))


def test_only_a_chosen_graphics_card_that_fails_opens_a_dialog(panel: Any, chosen: Any, monkeypatch: Any) -> None:
    import LiverSegLib.sections.segment
    import slicer

    shown: list[str] = []
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **_: shown.append(text))
    devices = [{"key": "cpu", "name": "x"}, {"key": "cuda:0", "name": "T4", "free_gb": 14.1, "total_gb": 15.0}]
    panel.doctor = {"torch": {"devices": devices}}
    panel.changed()
    assert any("T4, 14.1 of 15 GB free" in row for row in rows(panel.ui.deviceCombo))
    monkeypatch.setattr(LiverSegLib.sections.segment, "write_volume", full)
    pick(panel.ui.deviceCombo, "cuda:0")
    panel.ui.segmentButton.click()  # a full disk is not the card's fault
    assert status(panel) == "FAILED"
    monkeypatch.undo()
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **_: shown.append(text))
    for device, dialogs in (("cpu", 0), ("auto", 0), ("cuda:0", 1)):
        pick(panel.ui.deviceCombo, device)
        panel.ui.segmentButton.click()
        assert SlowJob.made[-1].arguments[SlowJob.made[-1].arguments.index("--device") + 1] == device
        SlowJob.made[-1].ends(4)
        slicer.app.processEvents()
        time.sleep(0.02)
        slicer.app.processEvents()
        assert len(shown) == dialogs


def test_without_a_graphics_card_the_panel_simply_says_how_long_it_takes(panel: Any, chosen: Any) -> None:
    assert any(row.startswith("CPU, about ") for row in rows(panel.ui.deviceCombo))
    assert panel.ui.stageLabel.text.startswith("Expected: about ")


def test_what_a_run_hides_stays_hidden_when_its_section_was_folded(panel: Any, chosen: Any) -> None:
    ui = panel.ui
    ui.segmentButton.click()
    assert not ui.progressBar.isHidden()
    ui.segmentSection.collapsed = True
    SlowJob.made[-1].ends(5)
    ui.segmentSection.collapsed = False
    assert ui.progressBar.isHidden()
    ui.casesSection.collapsed = False
    assert ui.casesProgress.isHidden()


def test_the_report_tells_of_every_lane(panel: Any, chosen: Any) -> None:
    import slicer
    from LiverSegLib.controller import Task

    def broken(_folder: Path) -> str:
        raise ZeroDivisionError("three over nothing")

    panel.controllers["volumetry"].start(Task("measure", lambda _folder: ["measure", "mask"], broken))
    SlowJob.made[-1].ends(0)
    assert "Copy the log" in panel.controllers["volumetry"].state.message
    panel.ui.logGroup.collapsed = False
    panel.ui.copyLogButton.click()
    assert "ZeroDivisionError: three over nothing" in slicer.app.clipboard().text()


def end_by_scene(panel: Any, chosen: Any) -> None:
    import slicer

    slicer.mrmlScene.Clear(False)


def end_by_volume(panel: Any, chosen: Any) -> None:
    import slicer

    slicer.mrmlScene.RemoveNode(chosen)


@pytest.mark.parametrize("end", [end_by_scene, end_by_volume])
def test_a_run_is_given_up_when_its_scan_goes(panel: Any, chosen: Any, end: Callable[..., None]) -> None:
    panel.ui.segmentButton.click()
    job = SlowJob.made[-1]
    folder = Path(job.arguments[1]).parent
    end(panel, chosen)
    assert status(panel) == "CANCELLED"
    assert job.cancels == 2
    assert not folder.exists()
    job.ends(0)  # late
    assert status(panel) == "CANCELLED"
    assert panel.log == []


@pytest.mark.parametrize(
    ("lane", "outlives"), [("compare", False), ("volumetry", False), ("cases", True), ("setup", True)]
)
def test_only_what_needs_the_scene_ends_with_it(panel: Any, lane: str, outlives: bool) -> None:
    import slicer
    from LiverSegLib.controller import Task

    panel.controllers[lane].start(Task("measure", lambda _folder: ["measure"], lambda _folder: "Done."))
    slicer.mrmlScene.Clear(False)
    assert status(panel, lane) == ("RUNNING" if outlives else "CANCELLED")
    assert SlowJob.made[-1].cancels == (0 if outlives else 2)


def test_models_are_listed_verified_and_refused_by_the_real_worker(panel: Any, tmp_path: Path) -> None:
    from LiverSegLib.job import WorkerJob

    panel.new_job = WorkerJob
    table = panel.ui.modelsTable
    names = [table.item(row, 0).text() for row in range(table.rowCount)]
    assert "any-phase" in names
    table.selectRow(names.index("any-phase"))
    panel.ui.verifyModelButton.click()
    assert wait(panel, "setup").status.name == "DONE"
    assert table.item(names.index("any-phase"), 2).text() == "verified"
    panel.ui.removeModelButton.click()
    assert "ships with LiverSeg" in panel.ui.messageLabel.text
    with zipfile.ZipFile(tmp_path / "no model.zip", "w") as bad:
        bad.writestr("card.json", "{}")
    panel.sections["setup"].import_model(str(tmp_path / "no model.zip"))
    assert wait(panel, "setup").status.name == "FAILED"
    assert "weights.safetensors" in panel.ui.packagesLabel.text


def test_the_doctor_fills_its_table_and_the_devices(panel: Any) -> None:
    from LiverSegLib.job import WorkerJob

    panel.new_job = WorkerJob
    panel.ui.doctorButton.click()
    assert wait(panel, "setup").status.name == "DONE", panel.controllers["setup"].report()
    table = panel.ui.doctorTable
    told = {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount)}
    assert told["packages torch"][0].isdigit()
    assert panel.ui.packagesLabel.text.startswith("Ready: torch ")
    assert panel.doctor["torch"]["devices"][0]["key"] == "cpu"
