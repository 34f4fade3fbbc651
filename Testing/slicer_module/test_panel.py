"""The panel as a whole: from volume to table, opened, moved, closed and reloaded. A real scene, and the worker of today."""

# ruff: noqa: F811 (a fixture is named where it is imported and where it is used)

from __future__ import annotations

import gc
import sys
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from slicer_module.panel_desk import (  # noqa: F401
    DOOR,
    SMALL,
    SlowJob,
    chosen,
    module,
    panel,
    pick,
    rows,
    small_abdomen,
    status,
    wait,
)


def test_from_volume_to_table_by_clicks_with_the_real_worker(
    panel: Any, chosen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicer
    from LiverSegLib.job import WorkerJob

    room = tmp_path / "Bäuche und Lebern" / ("x" * 100) / ("y" * 100)  # where the panel and the worker exchange files
    room.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(room))
    panel.new_job = WorkerJob
    pick(panel.ui.qualityCombo, "fast")
    panel.ui.segmentButton.click()
    assert panel.ui.segmentButton.text == "Cancel"
    state = wait(panel, "segment")
    assert state.status.name == "DONE", panel.controllers["segment"].report()
    node = panel.segmentation()
    truth = small_abdomen()[1].voxels == 1
    liver = node.GetSegmentation().GetSegmentIdBySegmentName("Liver")
    found = slicer.util.arrayFromSegmentBinaryLabelmap(node, liver, chosen) > 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.8
    assert panel.ui.segmentationSelector.currentNode() is node
    panel.ui.updateButton.click()
    assert wait(panel, "volumetry").status.name == "DONE", panel.controllers["volumetry"].report()
    table = panel.ui.volumetryTable.mrmlTableNode()
    cells = [[table.GetCellText(r, c) for c in range(4)] for r in range(table.GetNumberOfRows())]
    volumes = {structure: value for structure, quantity, value, _unit in cells if quantity == "Volume"}
    assert float(volumes["Liver"]) == pytest.approx(found.sum() * SMALL.voxel_ml, rel=0.02)


def test_every_button_answers_before_anything_is_chosen(panel: Any) -> None:
    import qt

    for button in panel.page.findChildren(qt.QPushButton):
        if button.objectName in vars(panel.ui) and button.isEnabled():
            panel.say("")
            button.click()
            assert panel.log == [], f"{button.objectName}: {panel.log}"
    panel.controllers["setup"].drop("the test is over")


def test_every_control_can_be_moved_with_nothing_chosen(panel: Any) -> None:
    import qt

    for box in panel.page.findChildren(qt.QCheckBox):
        box.click()
        box.click()
    for combo in panel.page.findChildren(qt.QComboBox):
        for row in range(combo.count):
            combo.currentIndex = row
    for spin in panel.page.findChildren(qt.QDoubleSpinBox):
        for value in (spin.minimum, spin.maximum):
            spin.value = value
    for section in panel.page.findChildren(qt.QAbstractButton):
        if section.inherits("ctkCollapsibleButton"):
            section.click()
    assert panel.log == []


def test_a_closed_scene_leaves_a_panel_that_works(panel: Any, chosen: Any) -> None:
    import slicer
    from slicer_module.lab import volumes

    slicer.mrmlScene.Clear(False)
    assert panel.volume() is None
    assert panel.ui.detectedLabel.text == "No volume chosen."
    panel.ui.volumeSelector.setCurrentNode(volumes.volume_node("plain"))
    assert panel.volume().GetName() == "phantom"
    panel.ui.segmentButton.click()
    assert status(panel) == "RUNNING"


def test_the_panel_is_drawn_in_a_twentieth_of_a_second(panel: Any, chosen: Any) -> None:
    times = []
    for _turn in range(5):
        begin = time.perf_counter()
        panel.changed()
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.05


def test_what_is_chosen_is_saved_with_the_scene(panel: Any, chosen: Any, tmp_path: Path) -> None:
    import slicer

    pick(panel.ui.qualityCombo, "best")
    panel.ui.percentileSpin.value = 90.0
    panel.ui.showHelpersCheck.click()
    slicer.util.saveScene(str(tmp_path / "case.mrb"))
    slicer.mrmlScene.Clear(False)
    assert panel.parameters.quality == "standard"
    slicer.util.loadScene(str(tmp_path / "case.mrb"))
    assert panel.parameters.quality == "best"
    assert panel.ui.percentileSpin.value == 90.0
    assert panel.ui.showHelpersCheck.checked
    assert panel.volume().GetName() == "abdomen"
    assert panel.ui.volumeSelector.currentNode() is panel.volume()


def test_nothing_of_a_closed_panel_is_left(module: Any, desk: Any, volume: Any, tmp_path: Path) -> None:
    """Observers, the error overlay, the panel itself: after a result was shown, cut and compared."""
    import slicer
    from slicer_module.lab.boot import observers
    from slicer_module.panel_scenes import ai_result

    before = observers(slicer.mrmlScene), observers(volume)
    page = module.widgetRepresentation()
    door = page.self()
    door.panel.sections["setup"]._asked = True
    page.enter()
    door.panel.new_job = SlowJob
    result = ai_result(door.panel, volume, tmp_path / "run")
    door.panel.ui.planeCheck.click()
    door.panel.ui.compareAiButton.click()
    door.panel.ui.overlayCheck.click()
    nodes = [result, result.GetSegmentation(), door.panel.parameters.plane, door.panel.parameters.parameterNode]
    assert all(observers(node) for node in nodes)
    page.exit()
    panel = weakref.ref(door.panel)
    door.cleanup()
    SlowJob.made.clear()  # the run was given up, and only the test still holds its job
    desk.settle()
    gc.collect()
    assert panel() is None
    assert not any(observers(node) for node in nodes)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2  # the result, and as the AI drew it
    assert (observers(slicer.mrmlScene), observers(volume)) == before


def test_a_reload_ends_the_run_and_brings_fresh_code(module: Any, panel: Any, chosen: Any) -> None:
    import LiverSegLib.widget

    old = LiverSegLib.widget
    panel.ui.segmentButton.click()
    job = SlowJob.made[-1]
    module.widgetRepresentation().self().onReload()
    assert job.cancels == 2
    assert sys.modules["LiverSegLib.widget"] is not old
    fresh = module.widgetRepresentation().self().panel
    assert fresh is not panel
    assert fresh.volume() is chosen
    job.ends(0)
    assert fresh.log == []


def test_cleanup_is_safe_after_a_setup_that_failed(desk: Any, scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer

    module = desk.open_module(DOOR)
    door = module.widgetRepresentation().self()
    door.cleanup()
    from LiverSegLib import widget

    def broken(_path: str) -> Any:
        raise RuntimeError("no such file")

    monkeypatch.setattr(slicer.util, "loadUI", broken)
    half = widget.Panel(door.parent)
    with pytest.raises(RuntimeError):
        half.build()
    half.close()
    half.close()
    door.cleanup()


def test_what_comes_after_the_panel_was_closed_changes_nothing(
    module: Any, panel: Any, desk: Any, tmp_path: Path
) -> None:
    """A file dialog that was left open, and a reload."""
    late = panel.guarded(panel.sections["scan"].load)
    module.widgetRepresentation().self().cleanup()
    desk.settle()  # its widgets are gone
    late(str(tmp_path / "missing.nii"))
    assert panel.log == []


def test_a_handler_that_fails_says_so_and_keeps_the_traceback(panel: Any) -> None:
    def bad(_number: int) -> None:
        raise ZeroDivisionError("three over nothing")

    panel.guarded(bad)(1, 2, 3)
    assert "itself failed: three over nothing" in panel.ui.messageLabel.text
    assert "ZeroDivisionError" in panel.log[-1]


@pytest.mark.parametrize("worker", [pytest.param("real", marks=pytest.mark.slow), "bare"])
def test_the_self_test_passes_with_a_worker_and_without_one(
    module: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, worker: str
) -> None:
    module.widgetRepresentation()
    import LiverSegLib.job
    from LiverSeg import LiverSegTest

    if worker == "bare":  # a Python without any package
        program = [sys.executable, "-S", "-m", "liverseg_core"]
        monkeypatch.setattr(LiverSegLib.job, "worker_program", lambda: program)
    caplog.set_level("INFO")
    LiverSegTest().runTest()
    assert "a pretended run: passed" in caplog.text
    for step in ("a real run", "fat and iron"):
        assert f"{step}: {'passed' if worker == 'real' else 'skipped'}" in caplog.text
