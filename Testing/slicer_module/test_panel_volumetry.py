"""The section Volumetry: the real worker's numbers, measured again after edits, cut by a plane or into parts."""

# ruff: noqa: F401, F811  (fixtures that are imported)
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slicer_module.test_panel import SlowJob, module, panel, pick, status, wait


@pytest.fixture
def result(panel: Any, volume: Any, tmp_path: Path) -> Any:
    from slicer_module.panel_scenes import ai_result

    return ai_result(panel, volume, tmp_path / "run")


def liver_ml(*codes: int) -> float:
    from slicer_module.panel_scenes import GRID
    from slicer_module.scene_results import organs

    return float(np.isin(organs(GRID), codes or (1, 2)).sum()) * GRID.voxel_ml


def fate(panel: Any, name: str, key: str) -> None:
    table = panel.ui.remnantTable
    row = [table.item(row, 0).text() for row in range(table.rowCount)].index(name)
    pick(table.cellWidget(row, 1), key)


def answered(measurements: list[dict[str, Any]], warnings: tuple[dict[str, str], ...] = ()) -> None:
    """The last job ends with these measurements."""
    job = SlowJob.made[-1]
    out = Path(job.arguments[job.arguments.index("--out") + 1])
    out.mkdir()
    rows = [{"unit": "ml", "reason": "", "definition": "d", **row} for row in measurements]
    (out / "report.json").write_text(json.dumps({"measurements": rows, "warnings": list(warnings)}), encoding="utf-8")
    job.ends(0)


LIVER = {"structure": "liver", "quantity": "volume", "value": 1500.0}


def test_the_numbers_are_the_real_workers(panel: Any, result: Any) -> None:
    from LiverSegLib.job import WorkerJob
    from slicer_module.panel_scenes import cells, shown_value

    panel.new_job = WorkerJob
    panel.ui.heightSpin.value, panel.ui.weightSpin.value = 170.0, 70.0
    panel.ui.planeCheck.click()  # through the middle
    panel.ui.updateButton.click()
    assert wait(panel, "volumetry").status.name == "DONE", panel.controllers["volumetry"].report()
    view = panel.ui.volumetryTable
    assert shown_value(view, "Liver", "Volume") == f"{liver_ml():.1f}"
    assert shown_value(view, "Liver lesion", "Volume") == f"{liver_ml(2):.1f}"
    assert shown_value(view, "Liver", "Tumour burden") == f"{100 * liver_ml(2) / liver_ml():.1f}"
    assert shown_value(view, "Spleen", "Volume") == f"{liver_ml(3):.1f}"
    assert float(shown_value(view, "Liver", "Standard volume")) == pytest.approx(1510.0, abs=5)  # Vauthey, 1.818 m2
    assert float(shown_value(view, "Remnant", "FLR")) == pytest.approx(50.0, abs=1.5)
    assert cells(view)[0][:2] == ["Liver", "Volume"]
    assert panel.ui.staleLabel.text == ""
    assert view.enabled


def test_a_plane_is_shifted_and_turned_by_the_panel(panel: Any, result: Any) -> None:
    panel.ui.planeCheck.click()
    plane = panel.parameters.plane
    assert panel.ui.planeCheck.checked
    assert not panel.ui.remnantTable.enabled
    panel.ui.updateButton.click()
    answered([LIVER])
    assert panel.ui.volumetryTable.enabled
    before = np.array(plane.GetCenterWorld())
    panel.ui.planeSlider.value = -10.0
    np.testing.assert_allclose(before - 10.0 * np.array(plane.GetNormalWorld()), plane.GetCenterWorld(), atol=1e-6)
    assert panel.sections["volumetry"].stale
    assert not panel.ui.volumetryTable.enabled
    panel.ui.planeSlider.maximum += 5.0
    low, high = panel.ui.planeSlider.minimum, panel.ui.planeSlider.maximum
    here, there = np.array(plane.GetCenterWorld()), np.array(plane.GetNormalWorld())
    panel.ui.flipPlaneButton.click()
    assert panel.ui.planeSlider.value == 10.0
    assert (panel.ui.planeSlider.minimum, panel.ui.planeSlider.maximum) == (-high, -low)
    np.testing.assert_allclose(plane.GetCenterWorld(), here, atol=1e-6)
    np.testing.assert_allclose(plane.GetNormalWorld(), -there, atol=1e-6)
    panel.ui.planeCheck.click()
    assert panel.sections["volumetry"].remnant.plane() == ""
    assert panel.ui.remnantTable.enabled


def test_parts_that_stay_are_measured_in_a_second_run(panel: Any, result: Any, volume: Any) -> None:
    import slicer
    from LiverSegLib.job import WorkerJob
    from slicer_module.panel_scenes import paint, shown_value, spin

    left = result.GetSegmentation().AddEmptySegment("left", "Left half")
    half = np.indices(slicer.util.arrayFromVolume(volume).shape)[2] >= 24
    liver = slicer.util.arrayFromSegmentBinaryLabelmap(result, "liver", volume) > 0
    paint(result, volume, "liver", lambda voxels: voxels * ~half)
    slicer.util.updateSegmentBinaryLabelmapFromArray((liver & half).astype(np.uint8), result, left, volume)
    panel.changed()
    fate(panel, "Left half", "stays")
    panel.new_job = WorkerJob
    panel.ui.updateButton.click()
    wait(panel, "volumetry")
    spin(0.1)
    assert wait(panel, "volumetry").status.name == "DONE", panel.controllers["volumetry"].report()
    panel.ui.planeCheck.click()
    assert panel.sections["volumetry"].remnant.parts()[1] == []  # a plane cuts alone
    view = panel.ui.volumetryTable
    stays, whole = float((liver & half).sum()), float(liver.sum())
    assert float(shown_value(view, "Remnant", "FLR")) == pytest.approx(100 * stays / whole, abs=0.1)
    assert shown_value(view, "Liver", "Volume") == f"{liver_ml():.1f}"  # whatever it was cut into
    assert float(shown_value(view, "Left half", "Volume")) == pytest.approx(stays * 0.008, abs=0.05)


@pytest.mark.parametrize(
    ("lesion", "words"), [(True, "the lesion segment is empty"), (False, "the model any-phase has no lesion label")]
)
def test_no_lesion_and_no_label_are_told_apart(panel: Any, result: Any, volume: Any, lesion: bool, words: str) -> None:
    from slicer_module.panel_scenes import cells, paint

    if lesion:
        paint(result, volume, "lesion", lambda voxels: voxels * 0)
    else:
        result.GetSegmentation().RemoveSegment("lesion")
        assert panel.sections["volumetry"].stale
    panel.ui.updateButton.click()
    answered([LIVER, {"structure": "liver", "quantity": "tumour_burden", "value": None, "unit": "%"}])
    told = {tuple(row[:2]): (row[2], row[4]) for row in cells(panel.ui.volumetryTable)}
    assert told["Liver", "Tumour burden"] == ("0.0" if lesion else "", words)
    assert told["Liver lesion", "Volume"] == ("0.0" if lesion else "", words)


def test_an_edit_is_measured_a_second_later_and_grey_until_then(panel: Any, result: Any, volume: Any) -> None:
    from slicer_module.panel_scenes import paint, spin

    ui = panel.ui
    ui.volumetrySection.click()
    spin(1.2)
    assert len(SlowJob.made) == 1
    answered([LIVER])
    assert ui.volumetryTable.enabled
    spin(1.2)
    assert len(SlowJob.made) == 1  # nothing changed
    paint(result, volume, "liver", lambda voxels: voxels * 0)
    assert not ui.volumetryTable.enabled
    assert "Out of date" in ui.staleLabel.text
    assert len(SlowJob.made) == 1
    spin(1.2)
    assert len(SlowJob.made) == 2
    assert "Measuring" in ui.staleLabel.text


def test_an_edit_during_a_run_is_measured_after_it(panel: Any, result: Any, volume: Any) -> None:
    from slicer_module.panel_scenes import paint, spin

    panel.ui.volumetrySection.click()
    panel.ui.updateButton.click()
    paint(result, volume, "spleen", lambda voxels: voxels * 0)
    spin(1.2)
    assert len(SlowJob.made) == 1
    answered([LIVER])
    assert not panel.ui.volumetryTable.enabled
    spin(1.2)
    assert len(SlowJob.made) == 2


@pytest.mark.parametrize("hidden", ["folded", "left", "nothing chosen"])
def test_nothing_is_measured_where_nobody_looks(panel: Any, result: Any, module: Any, hidden: str) -> None:
    from slicer_module.panel_scenes import spin

    if hidden != "folded":
        panel.ui.volumetrySection.click()
    if hidden == "left":
        module.widgetRepresentation().exit()
    if hidden == "nothing chosen":
        panel.ui.segmentationSelector.setCurrentNode(None)
    panel.ui.heightSpin.value = 180.0
    spin(1.2)
    assert not SlowJob.made
    assert panel.ui.messageLabel.text == ""


def test_the_patient_goes_to_the_worker_as_far_as_known(panel: Any, result: Any) -> None:
    panel.ui.updateButton.click()
    assert "--patient" not in SlowJob.made[-1].arguments
    SlowJob.made[-1].ends(5)
    panel.ui.heightSpin.value = 165.0
    pick(panel.ui.sexCombo, "female")
    panel.ui.updateButton.click()
    arguments = SlowJob.made[-1].arguments
    told = json.loads(Path(arguments[arguments.index("--patient") + 1]).read_text(encoding="utf-8"))
    assert told == {"height_cm": 165.0, "sex": "female"}


def test_a_refusal_of_the_worker_is_a_sentence_and_keeps_the_old_numbers(panel: Any, result: Any) -> None:
    from slicer_module.panel_scenes import shown_value

    panel.ui.updateButton.click()
    answered([LIVER])
    panel.ui.heightSpin.value = 17.0
    panel.ui.updateButton.click()
    SlowJob.made[-1].says("error", kind="input", text="height_cm is 17; expected 100 to 230")
    SlowJob.made[-1].ends(2)
    assert "expected 100 to 230" in panel.ui.volumetryMessage.text
    assert shown_value(panel.ui.volumetryTable, "Liver", "Volume") == "1500.0"
    assert not panel.ui.volumetryTable.enabled


def test_volumes_are_plotted_as_bars(panel: Any, result: Any) -> None:
    import slicer

    panel.ui.volumetryPlotButton.click()
    assert "no volumes yet" in panel.ui.messageLabel.text
    panel.ui.updateButton.click()
    answered([LIVER, {"structure": "spleen", "quantity": "volume", "value": 200.0}])
    panel.ui.volumetryPlotButton.click()
    panel.ui.volumetryPlotButton.click()
    assert panel.log == []
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 1
    series = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotSeriesNode")
    table = series.GetTableNode()
    column = table.GetTable().GetColumnByName(series.GetYColumnName())
    assert [column.GetValue(n) for n in range(3)] == [1500.0, 0.0, 200.0]
    assert [table.GetCellText(n, 0) for n in range(3)] == ["Liver", "Liver lesion", "Spleen"]


def test_a_plane_that_is_deleted_no_longer_cuts(panel: Any, result: Any) -> None:
    import slicer
    from slicer_module.lab.boot import observers

    panel.ui.planeCheck.click()
    plane = panel.parameters.plane
    slicer.mrmlScene.RemoveNode(plane)
    panel.changed()
    assert not panel.ui.planeCheck.checked
    assert observers(plane) == 0
    panel.ui.planeCheck.click()
    assert panel.parameters.plane is not None
    slicer.mrmlScene.Clear(False)
    assert not panel.ui.planeCheck.checked
    assert panel.log == []


@pytest.mark.parametrize(
    "button",
    [
        "updateButton",
        "planeCheck",
        "flipPlaneButton",
        "volumetryPlotButton",
        "copyVolumetryButton",
        "saveVolumetryButton",
    ],
)
def test_with_nothing_chosen_a_sentence_says_so(panel: Any, button: str) -> None:
    getattr(panel.ui, button).click()
    assert panel.ui.messageLabel.text
    assert not panel.ui.planeCheck.checked
    assert panel.log == []


def test_the_scene_may_close_while_it_measures(panel: Any, result: Any) -> None:
    import slicer

    panel.ui.updateButton.click()
    slicer.mrmlScene.Clear(False)
    assert status(panel, "volumetry") == "CANCELLED"
    SlowJob.made[-1].ends(0)
    assert panel.ui.remnantTable.rowCount == 0
    assert panel.ui.updateButton.text == "Update"
    assert panel.log == []
