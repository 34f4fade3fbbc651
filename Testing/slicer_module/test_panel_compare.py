"""The section Compare: pairs, what the worker is given, the real worker's table, the errors in the slices."""

# ruff: noqa: F401, F811  (fixtures that are imported)
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slicer_module.test_panel import SlowJob, module, panel, status, wait

SHIFTED = 2  # voxels


@pytest.fixture
def result(panel: Any, volume: Any, tmp_path: Path) -> Any:
    from slicer_module.panel_scenes import ai_result

    return ai_result(panel, volume, tmp_path / "run")


@pytest.fixture
def truth(panel: Any, result: Any, volume: Any) -> Any:
    """The liver with its lesion as one segment, moved by two voxels; and a spleen under another name."""
    from slicer_module.lab import volumes
    from slicer_module.panel_scenes import GRID
    from slicer_module.scene_results import organs

    codes = organs(GRID)
    masks = {"LIVER": np.roll((codes == 1) | (codes == 2), SHIFTED, axis=2), "Milz": codes == 3}
    node = volumes.segmentation_node(volume, masks, "truth")
    panel.ui.referenceSelector.setCurrentNode(node)
    return node


def pairs(panel: Any) -> dict[str, tuple[str, str]]:
    """Segment -> (partner, how) as the table shows them."""
    table = panel.ui.pairsTable
    return {
        table.item(row, 0).text(): (table.cellWidget(row, 1).currentText, table.item(row, 2).text())
        for row in range(table.rowCount)
    }


def partner(panel: Any, name: str, other: str) -> None:
    table = panel.ui.pairsTable
    row = [table.item(row, 0).text() for row in range(table.rowCount)].index(name)
    combo = table.cellWidget(row, 1)
    combo.currentIndex = [combo.itemText(n) for n in range(combo.count)].index(other)


def codes_in(path: str) -> set[int]:
    import SimpleITK as sitk

    return {int(code) for code in np.unique(sitk.GetArrayFromImage(sitk.ReadImage(path)))}


def test_pairs_are_matched_and_corrected_by_hand(panel: Any, truth: Any) -> None:
    shown = pairs(panel)
    assert shown["Liver without lesions"] == ("LIVER", "same name")  # the liver is the liver
    assert shown["Spleen"] == ("not compared", "")
    partner(panel, "Spleen", "Milz")
    assert pairs(panel)["Spleen"] == ("Milz", "by hand")
    partner(panel, "Right kidney", "Milz")  # a partner is of one segment alone
    assert pairs(panel)["Right kidney"] == ("Milz", "by hand")
    assert pairs(panel)["Spleen"] == ("not compared", "by hand")
    truth.GetSegmentation().AddEmptySegment("new", "Spleen")
    panel.changed()
    assert pairs(panel)["Right kidney"] == ("Milz", "by hand")
    assert pairs(panel)["Spleen"] == ("not compared", "by hand")
    assert panel.log == []


def test_the_table_is_the_real_workers(panel: Any, truth: Any, result: Any) -> None:
    from LiverSegLib.job import WorkerJob
    from slicer_module.panel_scenes import GRID, cells, shown_value
    from slicer_module.scene_results import organs

    panel.new_job = WorkerJob
    partner(panel, "Spleen", "Milz")
    panel.ui.percentileSpin.value = 90.0
    panel.ui.compareButton.click()
    assert panel.ui.compareButton.text == "Cancel"
    assert wait(panel, "compare").status.name == "DONE", panel.controllers["compare"].report()
    liver = np.isin(organs(GRID), (1, 2))
    moved = np.roll(liver, SHIFTED, axis=2)
    dsc = 2 * (liver & moved).sum() / (liver.sum() + moved.sum())
    view = panel.ui.agreementTable
    assert shown_value(view, "Liver", "DSC") == f"{dsc:.4f}"
    assert shown_value(view, "Spleen", "DSC") == "1.0000"
    assert float(shown_value(view, "Liver", "Centroid")) == pytest.approx(2.0 * SHIFTED, abs=0.01)
    assert any(row[1] == "HD90" for row in cells(view))
    assert panel.ui.compareMessage.text == f"DSC: Liver {dsc:.4f}, Spleen 1.0000."
    assert view.mrmlTableNode().GetName() == f"{result.GetName()} and truth"
    panel.ui.copyAgreementButton.click()
    import slicer

    assert f"Liver\tDSC\t{dsc:.4f}" in slicer.app.clipboard().text()


@pytest.mark.parametrize("lesion", ["", "LESION"])
def test_lesions_without_a_partner_count_for_the_liver(panel: Any, truth: Any, lesion: str, tmp_path: Path) -> None:
    if lesion:
        truth.GetSegmentation().GetSegment("Milz").SetName("Liver lesion")
        panel.changed()
    panel.ui.compareButton.click()
    _verb, prediction, reference = SlowJob.made[-1].arguments[:3]
    assert codes_in(prediction) == ({0, 1, 2} if lesion else {0, 1})
    assert codes_in(reference) == ({0, 1, 2} if lesion else {0, 1})


def test_errors_are_drawn_for_the_selected_pair_and_go_with_the_box(panel: Any, truth: Any, volume: Any) -> None:
    import slicer
    from slicer_module.panel_scenes import GRID
    from slicer_module.scene_results import organs

    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    panel.ui.overlayCheck.click()
    overlay = panel.sections["compare"]._overlay
    assert list(overlay.GetSegmentation().GetSegmentIDs()) == ["missed", "false"]
    drawn = np.isin(organs(GRID), (1, 2))  # the lesions count for the liver, as in the numbers
    true = np.roll(drawn, SHIFTED, axis=2)
    missed, false = (
        slicer.util.arrayFromSegmentBinaryLabelmap(overlay, id_, volume) > 0 for id_ in ("missed", "false")
    )
    np.testing.assert_array_equal(missed, true & ~drawn)
    np.testing.assert_array_equal(false, drawn & ~true)
    panel.ui.pairsTable.selectRow(0)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == count + 1
    panel.ui.overlayCheck.click()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == count


@pytest.mark.parametrize(("row", "ids"), [(0, ["liver", "lesion"]), (1, ["lesion"])])
def test_the_errors_are_those_of_what_is_measured(panel: Any, truth: Any, row: int, ids: list[str]) -> None:
    """The liver with its lesions, also where they have a partner of their own; a lesion alone."""
    truth.GetSegmentation().GetSegment("Milz").SetName("Liver lesion")
    panel.changed()
    panel.ui.pairsTable.setCurrentCell(row, 0)
    _prediction, ours, _reference, theirs, _name = panel.sections["compare"]._selected()
    assert ours == ids
    assert theirs == (["LIVER", "Milz"] if row == 0 else ["Milz"])


def test_an_edit_makes_the_numbers_grey(panel: Any, truth: Any, result: Any, volume: Any) -> None:
    from LiverSegLib.tables import Line, Table
    from slicer_module.panel_scenes import paint

    section = panel.sections["compare"]
    section.results.show(Table((Line("liver", "dsc", 0.9, "1", "2TP/(2TP+FP+FN)"),)), "agreement")
    assert panel.ui.agreementTable.enabled
    paint(result, volume, "liver", lambda voxels: voxels * 0)
    assert not panel.ui.agreementTable.enabled


def test_the_table_and_its_definitions_come_back_with_the_scene(panel: Any, tmp_path: Path) -> None:
    import slicer
    from LiverSegLib.tables import Line, Table

    section = panel.sections["compare"]
    section.results.show(Table((Line("liver", "dsc", 0.9, "1", "2TP/(2TP+FP+FN)"),)), "agreement")
    assert slicer.util.saveScene(str(tmp_path / "a.mrb"))
    slicer.mrmlScene.Clear(False)
    assert section.results.table == Table()
    assert panel.ui.agreementTable.mrmlTableNode() is None
    slicer.util.loadScene(str(tmp_path / "a.mrb"))
    assert section.results.table.tips == ["Liver: DSC\n2TP/(2TP+FP+FN)"]
    model = panel.ui.agreementTable.model()
    section.results._tip(model.index(0, 2))
    assert panel.ui.agreementTable.toolTip == "Liver: DSC\n2TP/(2TP+FP+FN)"


def test_csv_is_saved_with_keys_and_definitions(panel: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from LiverSegLib.sections import results
    from LiverSegLib.tables import Line, Table

    panel.ui.saveAgreementButton.click()
    assert "no table yet" in panel.ui.messageLabel.text
    panel.sections["compare"].results.show(Table((Line("liver", "dsc", 0.9, "1", "formula"),)), "agreement")
    monkeypatch.setattr(results, "ask_save", lambda _title, _patterns, name, then: then(str(tmp_path / "ä b" / name)))
    panel.ui.saveAgreementButton.click()
    assert "cannot be written" in panel.ui.messageLabel.text
    (tmp_path / "ä b").mkdir()
    panel.ui.saveAgreementButton.click()
    lines = (tmp_path / "ä b" / "agreement.csv").read_text(encoding="utf-8").splitlines()
    assert lines == ["structure,quantity,value,unit,definition,reason", "liver,dsc,0.9,1,formula,"]


def far_away(truth: Any) -> None:
    import slicer

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(
        slicer.util.vtkMatrixFromArray(np.array([[1, 0, 0, 900], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    )
    truth.SetAndObserveTransformNodeID(transform.GetID())


def of_another_patient(truth: Any) -> None:
    import slicer

    tree = slicer.mrmlScene.GetSubjectHierarchyNode()
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    for node, uid in ((truth, "B"), (slicer.util.getNode("phantom"), "A")):
        patient = tree.CreateSubjectItem(tree.GetSceneItemID(), uid)
        tree.SetItemUID(patient, constants.GetDICOMUIDName(), uid)
        item = tree.GetItemByDataNode(node) or tree.CreateItem(patient, node)
        tree.SetItemParent(item, patient)
    truth.SetNodeReferenceID(truth.GetReferenceImageGeometryReferenceRole(), None)


def without_partner(truth: Any) -> None:
    truth.GetSegmentation().RemoveAllSegments()


def test_the_ai_result_is_the_reference_of_its_own_segmentation_alone(
    panel: Any, result: Any, volume: Any, tmp_path: Path
) -> None:
    from slicer_module.panel_scenes import ai_result

    panel.ui.compareAiButton.click()
    SlowJob.made[-1].ends(5)
    assert panel.sections["compare"].reference() is not None
    ai_result(panel, volume, tmp_path / "again")
    assert panel.sections["compare"].reference() is None
    assert panel.ui.referenceSelector.noneDisplay == "Select a reference"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (far_away, "does not lie where"),
        (of_another_patient, "of another patient"),
        (without_partner, "No segment has a partner"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(panel: Any, truth: Any, spoil: Any, words: str) -> None:
    spoil(truth)
    panel.changed()
    panel.ui.compareButton.click()
    assert words in panel.ui.messageLabel.text + panel.ui.compareMessage.text
    assert not SlowJob.made
    assert panel.log == []


def test_a_reference_on_a_scan_elsewhere_is_refused_by_the_worker(panel: Any, result: Any, volume: Any) -> None:
    from LiverSegLib.job import WorkerJob
    from slicer_module.lab import volumes

    other = volumes.volume_node("plain", "elsewhere")
    other.SetOrigin(900.0, 0.0, 0.0)
    panel.ui.referenceSelector.setCurrentNode(volumes.liver_node(other))
    panel.new_job = WorkerJob
    panel.ui.compareButton.click()
    assert wait(panel, "compare").status.name == "FAILED"
    assert "do not lie in the same place" in panel.ui.compareMessage.text
    assert panel.log == []


def test_two_that_share_no_voxel_are_said_to_be_of_two_patients(panel: Any, truth: Any, tmp_path: Path) -> None:
    panel.ui.compareButton.click()
    job = SlowJob.made[-1]
    out = Path(job.arguments[job.arguments.index("--out") + 1])
    out.mkdir()
    text = "structure,quantity,value,unit,definition,reason\nliver,dsc,0.0,1,d,\n"
    (out / "agreement.csv").write_text(text, encoding="utf-8")
    job.ends(0)
    assert "share no voxel" in panel.ui.compareMessage.text


@pytest.mark.parametrize("chosen", ["nothing", "prediction alone", "itself"])
def test_with_something_missing_a_sentence_says_what(panel: Any, volume: Any, tmp_path: Path, chosen: str) -> None:
    from slicer_module.panel_scenes import ai_result

    words = {"nothing": "under Segments first", "prediction alone": "as the reference", "itself": "segmentation itself"}
    if chosen != "nothing":
        node = ai_result(panel, volume, tmp_path / "run")
        panel.ui.referenceSelector.setCurrentNode(node if chosen == "itself" else None)
    for control in (panel.ui.compareButton, panel.ui.overlayCheck):
        panel.say("")
        control.click()
        assert words[chosen] in panel.ui.messageLabel.text
    assert not panel.ui.overlayCheck.checked
    assert panel.log == []


def test_the_button_cancels_and_a_closed_scene_drops_the_run(panel: Any, truth: Any) -> None:
    import slicer

    panel.ui.compareButton.click()
    panel.ui.compareButton.click()
    assert SlowJob.made[-1].cancels == 1
    SlowJob.made[-1].ends(5)
    assert status(panel, "compare") == "CANCELLED"
    panel.ui.compareButton.click()
    slicer.mrmlScene.Clear(False)
    assert status(panel, "compare") == "CANCELLED"
    SlowJob.made[-1].ends(0)
    assert panel.ui.pairsTable.rowCount == 0
    assert panel.ui.compareButton.text == "Compare"
    assert panel.log == []
