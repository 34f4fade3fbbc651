"""The section Segments, by clicks: looks, status, the segment editor, and the way back to the AI result."""

# ruff: noqa: F401, F811  (fixtures that are imported)
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slicer_module.test_panel import SlowJob, module, panel

pytestmark = pytest.mark.usefixtures("scene")


@pytest.fixture
def result(panel: Any, volume: Any, tmp_path: Path) -> Any:
    from slicer_module.panel_scenes import ai_result

    return ai_result(panel, volume, tmp_path / "run")


def visible(node: Any) -> set[str]:
    display = node.GetDisplayNode()
    return {id_ for id_ in node.GetSegmentation().GetSegmentIDs() if display.GetSegmentVisibility(id_)}


def statuses(node: Any) -> dict[str, int]:
    from LiverSegLib.scene import status_of

    return {id_: status_of(node.GetSegmentation().GetSegment(id_)) for id_ in node.GetSegmentation().GetSegmentIDs()}


def test_the_result_stands_in_table_editor_and_3d_button(panel: Any, result: Any, volume: Any) -> None:
    ui = panel.ui
    assert ui.segmentsTable.segmentationNode() is result
    assert ui.show3DButton.segmentationNode() is result
    editor = ui.editorWidget.mrmlSegmentEditorNode()
    assert editor.GetSingletonTag() == "LiverSeg"
    assert editor.GetOverwriteMode() == editor.OverwriteAllSegments
    assert ui.editorWidget.segmentationNode() is result
    assert ui.editorWidget.sourceVolumeNode() is volume


def test_helper_organs_are_hidden_until_they_are_asked_for(panel: Any, result: Any) -> None:
    assert visible(result) == {"liver", "lesion"}
    panel.ui.showHelpersCheck.click()
    assert visible(result) == {"liver", "lesion", "spleen", "kidney_right", "kidney_left"}
    result.GetDisplayNode().SetSegmentVisibility("spleen", False)
    panel.changed()
    assert "spleen" not in visible(result)  # what was hidden by hand stays so
    panel.ui.showHelpersCheck.click()
    assert visible(result) == {"liver", "lesion"}


def test_opacity_and_outline_reach_the_display_and_come_back(panel: Any, result: Any) -> None:
    display = result.GetDisplayNode()
    panel.ui.opacitySlider.value = 0.4
    panel.ui.outlineCheck.click()
    assert display.GetOpacity() == pytest.approx(0.4)
    assert (display.GetVisibility2DFill(), display.GetVisibility2DOutline()) == (False, True)
    display.SetOpacity(0.333)
    panel.changed()
    assert display.GetOpacity() == 0.333  # what the slider rounds to is not written back
    panel.ui.segmentationSelector.setCurrentNode(None)
    panel.ui.opacitySlider.value = 0.9
    assert display.GetOpacity() == 0.333


def test_the_status_is_that_of_the_selected_segments_or_of_all(panel: Any, result: Any) -> None:
    ui = panel.ui
    ui.segmentsTable.setSelectedSegmentIDs(["lesion"])
    choose(ui.statusCombo, 3)
    assert statuses(result)["lesion"] == 3
    assert statuses(result)["liver"] == 0
    ui.segmentsTable.clearSelection()
    assert ui.statusCombo.currentIndex == -1
    choose(ui.statusCombo, 2)
    assert set(statuses(result).values()) == {2}
    assert ui.statusCombo.currentText == "Completed"


def choose(combo: Any, row: int) -> None:
    combo.currentIndex = row
    combo.activated.emit(row)


def test_an_edit_is_noticed_and_the_ai_result_can_be_had_back(panel: Any, result: Any, volume: Any) -> None:
    import slicer
    from slicer_module.panel_scenes import paint

    before = slicer.util.arrayFromSegmentBinaryLabelmap(result, "liver", volume).copy()
    paint(result, volume, "liver", lambda voxels: voxels * (np.indices(voxels.shape)[2] < 20))
    assert statuses(result)["liver"] == 1
    assert panel.sections["volumetry"].stale
    panel.ui.segmentsTable.setSelectedSegmentIDs(["liver"])
    panel.ui.restoreButton.click()
    np.testing.assert_array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(result, "liver", volume), before)
    assert "restored" in panel.ui.messageLabel.text
    panel.ui.editorWidget.undo()
    assert slicer.util.arrayFromSegmentBinaryLabelmap(result, "liver", volume).sum() < before.sum()


def test_a_drawing_by_hand_has_no_ai_result(panel: Any, volume: Any) -> None:
    from slicer_module.lab import volumes

    panel.ui.segmentationSelector.setCurrentNode(volumes.liver_node(volume))
    for button in (panel.ui.restoreButton, panel.ui.compareAiButton):
        panel.say("")
        button.click()
        assert "AI result" in panel.ui.messageLabel.text
    assert not SlowJob.made


def test_compare_with_the_ai_result_starts_a_comparison(panel: Any, result: Any) -> None:
    panel.ui.compareAiButton.click()
    assert SlowJob.made[-1].arguments[0] == "compare"
    assert not panel.ui.compareSection.collapsed
    assert panel.ui.referenceSelector.currentNode() is None
    assert "AI result" in panel.ui.referenceSelector.noneDisplay


@pytest.mark.parametrize("button", ["restoreButton", "compareAiButton"])
def test_with_nothing_chosen_a_sentence_says_so(panel: Any, button: str) -> None:
    getattr(panel.ui, button).click()
    assert panel.ui.messageLabel.text.startswith("Choose a segmentation first")
    assert panel.log == []


def test_the_editor_lets_go_when_the_module_is_left(panel: Any, result: Any, module: Any) -> None:
    from slicer_module.lab import standins

    editor = panel.ui.editorWidget
    standins.calls.clear()
    module.widgetRepresentation().exit()
    assert standins.calls["qMRMLSegmentEditorWidget.uninstallKeyboardShortcuts"] == 1
    assert standins.calls["qMRMLSegmentEditorWidget.removeViewObservations"] == 1
    assert standins.calls["qMRMLSegmentEditorWidget.setActiveEffect"] == 1
    module.widgetRepresentation().enter()
    assert editor.segmentationNode() is result


def test_a_deleted_segmentation_and_a_closed_scene_leave_nothing_behind(panel: Any, result: Any) -> None:
    import slicer
    from slicer_module.lab.boot import observers

    inner = result.GetSegmentation()
    assert observers(inner) > 0
    slicer.mrmlScene.RemoveNode(result)
    assert panel.segmentation() is None
    assert panel.ui.segmentsTable.segmentationNode() is None
    assert observers(inner) == 0
    slicer.mrmlScene.Clear(False)
    panel.ui.restoreButton.click()
    assert panel.log == []
