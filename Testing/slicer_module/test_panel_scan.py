"""The section Scan: what is loaded, what it is taken for, which models fit, and what is refused."""

# ruff: noqa: F811 (a fixture is named where it is imported and where it is used)

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from slicer_module.panel_desk import SlowJob, chosen, module, panel, pick, rows, status, wait  # noqa: F401


def test_the_phase_is_preset_from_the_tags_with_the_reason_beside_it(panel: Any, chosen: Any) -> None:
    import slicer
    from LiverSegLib.scene.volumes import DICOM_TAGS

    header = {"Modality": "MR", "SeriesDescription": "t2_tse_fs_tra", "EchoTime": "80"}
    slicer.dicomDatabase._h_add("1.2.3", "a.dcm", {DICOM_TAGS[keyword]: text for keyword, text in header.items()})
    chosen.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    panel.ui.volumeSelector.setCurrentNode(None)
    panel.ui.volumeSelector.setCurrentNode(chosen)
    assert panel.ui.phaseCombo.currentText.startswith("T2-weighted, fat suppressed")
    assert "SeriesDescription" in panel.ui.detectedLabel.text


def test_a_volume_without_tags_is_taken_for_ct_or_mr_by_its_voxels(panel: Any, chosen: Any) -> None:
    assert panel.ui.phaseCombo.currentText == "CT, phase not known"
    assert "no DICOM tags" in panel.ui.detectedLabel.text


def test_a_corrected_phase_stays_with_its_volume(panel: Any, chosen: Any, volume_on: Callable[[str], Any]) -> None:
    pick(panel.ui.phaseCombo, "ct_native")
    panel.ui.volumeSelector.setCurrentNode(volume_on("plain"))
    assert panel.ui.phaseCombo.currentText == "CT, phase not known"
    panel.ui.volumeSelector.setCurrentNode(chosen)
    assert panel.ui.phaseCombo.currentText == "CT without contrast agent"


@pytest.fixture
def more_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models beside those that ship: one for ADC maps alone, and the reproduction of a published one."""
    from liverseg_core.library import BUNDLE, DEFAULT_MODEL
    from liverseg_core.model_card import ModelCard

    card = ModelCard.load(BUNDLE / DEFAULT_MODEL)
    for changed in (replace(card, name="picky", fit_phases=("mr_adc",)), replace(card, name="paper", research=True)):
        folder = tmp_path / "models" / changed.name
        folder.mkdir(parents=True)
        changed.save(folder)
        (folder / "weights.safetensors").write_bytes(bytes(2_000_000))
    monkeypatch.setenv("LIVERSEG_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "own"))


def names(combo: Any) -> list[str]:
    return [combo.itemData(row) for row in range(combo.count)]


def test_a_model_that_does_not_fit_is_offered_only_when_all_are_asked_for(
    more_models: None, panel: Any, chosen: Any
) -> None:
    ui = panel.ui
    assert names(ui.modelCombo) == ["any-phase"]
    assert ui.unfitLabel.isHidden()
    ui.showAllModelsCheck.click()
    assert names(ui.modelCombo) == ["any-phase", "picky"]
    pick(ui.modelCombo, "picky")
    assert "picky was not made for CT, phase not known: the result may be wrong." in ui.unfitLabel.text
    assert "2 MB" in ui.modelFactsLabel.text
    ui.segmentButton.click()
    arguments = SlowJob.made[-1].arguments
    assert "--allow-unfit" in arguments
    assert Path(arguments[arguments.index("--model") + 1]).name == "picky"


def test_reproductions_of_published_systems_come_only_when_they_are_asked_for(
    more_models: None, panel: Any, chosen: Any
) -> None:
    panel.ui.moreModelsCheck.click()
    assert names(panel.ui.modelCombo) == ["any-phase", "paper"]


def test_without_a_model_for_the_phase_the_panel_says_so(more_models: None, panel: Any, chosen: Any) -> None:
    pick(panel.ui.phaseCombo, "mr_fat")
    assert names(panel.ui.modelCombo) == []
    assert panel.ui.unfitLabel.text == "No installed model is made for this phase."
    assert not panel.ui.showAllModelsCheck.isHidden()
    panel.ui.segmentButton.click()
    assert "Show all models" in panel.ui.messageLabel.text
    assert SlowJob.made == []


@pytest.mark.parametrize("kind", ["none", "flat", "vector", "labelmap", "empty", "non-linear"])
def test_what_is_no_scan_is_refused_in_words_and_the_scene_stays(panel: Any, chosen: Any, kind: str) -> None:
    import slicer

    panel.parameters.volume = wrong_volume(kind, chosen)
    before = slicer.mrmlScene.GetNumberOfNodes()
    panel.ui.segmentButton.click()
    sentence = panel.ui.messageLabel.text or panel.controllers["segment"].state.message
    assert sentence.endswith((".", "!")), sentence
    assert "itself failed" not in sentence
    assert SlowJob.made == []
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert panel.log == []


def wrong_volume(kind: str, scan: Any) -> Any:
    import slicer
    import vtk

    if kind == "none":
        return None
    if kind == "non-linear":
        grid = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode")
        spline = vtk.vtkThinPlateSplineTransform()
        grid.SetAndObserveTransformToParent(spline)
        scan.SetAndObserveTransformNodeID(grid.GetID())
        return scan
    name = {"vector": "vtkMRMLVectorVolumeNode", "labelmap": "vtkMRMLLabelMapVolumeNode"}.get(kind)
    node = slicer.mrmlScene.AddNewNodeByClass(name or "vtkMRMLScalarVolumeNode", kind)
    if kind != "empty":
        shape = {"flat": (1, 8, 8), "vector": (4, 8, 8, 3)}.get(kind, (4, 8, 8))
        slicer.util.updateVolumeFromArray(node, np.ones(shape, np.int16))
    return node


def test_a_scan_under_a_crooked_transform_is_offered_as_a_hardened_copy(panel: Any, chosen: Any) -> None:
    import slicer
    import vtk

    assert panel.ui.hardenButton.isHidden()
    shear = vtk.vtkMatrix4x4()
    shear.SetElement(0, 1, 0.3)
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(shear)
    chosen.SetAndObserveTransformNodeID(parent.GetID())
    panel.ui.scanSection.collapsed = True
    panel.ui.segmentButton.click()
    assert status(panel) == "FAILED"
    assert not panel.ui.scanSection.collapsed  # the way out stands there
    assert not panel.ui.hardenButton.isHidden()
    assert "right angles" in panel.ui.stageLabel.text
    panel.ui.hardenButton.click()
    assert panel.volume() is not chosen
    assert panel.volume().GetTransformNodeID() is None
    assert panel.ui.hardenButton.isHidden()
    panel.ui.segmentButton.click()
    assert status(panel) == "RUNNING"


def test_the_only_scan_of_a_scene_is_chosen_when_the_module_is_entered(module: Any, panel: Any, volume: Any) -> None:
    assert panel.volume() is None
    module.widgetRepresentation().exit()
    module.widgetRepresentation().enter()
    assert panel.volume() is volume


def test_a_file_is_loaded_through_slicer_and_chosen(panel: Any, tmp_path: Path) -> None:
    from phantoms import GRIDS, bright_liver, saved_scan

    room = tmp_path / "Bäuche und Lebern"
    room.mkdir()
    panel.sections["scan"].load(str(saved_scan(room / "scan ä.nrrd", bright_liver(GRIDS["plain"]))))
    assert panel.volume().GetName().startswith("scan")
    assert panel.ui.volumeSelector.currentNode() is panel.volume()


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_a_file_of_several_volumes_comes_as_a_sequence_of_echoes(panel: Any, tmp_path: Path, ending: str) -> None:
    """The first volume is chosen as the scan, and under Fat and iron every echo is there with the time of its side-car."""
    import SimpleITK as sitk
    from liverseg_core.cli.sample import save_echoes
    from slicer_module.fat_scenes import small_echoes

    echoes = small_echoes()[0]
    save_echoes(echoes.magnitude, echoes, tmp_path / "multiecho.nii.gz")
    if ending != ".nii.gz":
        sitk.WriteImage(sitk.ReadImage(str(tmp_path / "multiecho.nii.gz")), str(tmp_path / f"multiecho{ending}"))
    panel.sections["scan"].load(str(tmp_path / f"multiecho{ending}"))
    assert panel.volume().GetImageData().GetDimensions() == echoes.grid.size
    panel.ui.fatSection.collapsed = False
    table = panel.ui.echoTable
    assert table.rowCount == 1
    assert table.cellWidget(0, 1).currentText == "magnitude"
    assert table.item(0, 2).text() == "1.15, 2.1, 3.05, 4, 4.95, 5.9"
    assert panel.ui.fieldSpin.specialValueText == "3 T, from the scan"


@pytest.mark.parametrize("name", ["missing.nii", "text.nrrd"])
def test_a_file_that_is_no_scan_is_refused_in_words(panel: Any, tmp_path: Path, name: str) -> None:
    from slicer_module.scene_results import census

    if name.startswith("text"):
        (tmp_path / name).write_text("not a scan")
    before = census()
    panel.guarded(panel.sections["scan"].load)(str(tmp_path / name))
    assert name in panel.ui.messageLabel.text
    assert census() == before
    assert panel.log == []


def dicom_folder(place: Path, series: dict[str, tuple[str, str, str]]) -> None:
    """Files that begin as DICOM does, in Slicer's database: uid -> (number, modality, description)."""
    import slicer

    for uid, (number, modality, description) in series.items():
        tags = {"0020,000E": uid, "0020,0011": number, "0008,0060": modality, "0008,103E": description}
        for n in range(2):
            path = place / f"{uid}-{n}.dcm"
            path.write_bytes(bytes(128) + b"DICM")
            slicer.dicomDatabase._h_add(f"{uid}.{n}", str(path), tags, series=uid)


@pytest.mark.parametrize("count", [1, 2])
def test_a_dicom_folder_offers_its_series(
    panel: Any, tmp_path: Path, monkeypatch: Any, volume: Any, count: int
) -> None:
    series = {"1.1": ("7", "MR", "t2 fs"), "1.2": ("3", "MR", "t1 vibe"), "1.3": ("9", "SEG", "old")}
    dicom_folder(tmp_path, {uid: series[uid] for uid in (["1.2", "1.3"] if count == 1 else series)})
    loaded: list[str] = []
    library = ModuleType("DICOMLib")
    library.DICOMUtils = SimpleNamespace(
        importDicom=lambda folder, database: None,
        loadSeriesByUID=lambda uids: loaded.extend(uids) or [volume.GetID()],
    )
    monkeypatch.setitem(sys.modules, "DICOMLib", library)
    panel.sections["scan"].load(str(tmp_path / "1.2-0.dcm") if count == 1 else str(tmp_path))
    if count == 2:
        assert rows(panel.ui.seriesCombo) == ["3: t1 vibe (2 images)", "7: t2 fs (2 images)"]
        assert loaded == []
        panel.ui.seriesCombo.currentIndex = 1
        panel.ui.loadSeriesButton.click()
    assert loaded == (["1.2"] if count == 1 else ["1.1"])
    assert panel.volume() is volume
