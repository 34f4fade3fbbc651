"""Send to training set: what reaches it, and what stops it."""

# ruff: noqa: F401, F811  (fixtures that are imported)
from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from phantoms import GRIDS
from slicer_module.test_panel import SlowJob, module, panel, pick, wait
from slicer_module.test_panel_cases import folder, opened, worked


@pytest.fixture
def checked_case(panel: Any, worked: Path) -> Any:
    """Case a is open, and its liver and spleen are completed."""
    from LiverSegLib.scene import set_status

    opened(panel, worked)
    panel.ui.nextCaseButton.click()
    segmentation = panel.segmentation().GetSegmentation()
    for segment_id in ("liver", "spleen"):
        set_status(segmentation.GetSegment(segment_id), 2)
    panel.ui.trainingFolder.currentPath = str(worked.parent / "training")
    pick(panel.ui.phaseCombo, "ct_portal")
    return worked


def test_a_checked_case_reaches_the_training_set(panel: Any, checked_case: Path, monkeypatch: Any) -> None:
    import SimpleITK as sitk
    from LiverSegLib.job import WorkerJob
    from slicer_module.scene_results import organs

    monkeypatch.setenv("XDG_DATA_HOME", str(checked_case.parent / "home"))
    panel.new_job = WorkerJob
    panel.ui.sendToTrainingButton.click()
    assert wait(panel, "cases").status.name == "DONE", panel.controllers["cases"].report()
    (place,) = (checked_case.parent / "training").iterdir()
    assert place.name in panel.ui.casesMessage.text
    assert {file.name for file in place.iterdir()} == {"image.nii.gz", "labels.nii.gz", "ai.nii.gz", "case.json"}
    facts = json.loads((place / "case.json").read_text(encoding="utf-8"))
    assert (facts["phase"], facts["annotated"], facts["model"]) == ("ct_portal", [1, 3], "any-phase")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(place / "labels.nii.gz")))
    codes = organs(GRIDS["plain"])
    assert {int(code) for code in np.unique(labels)} == {0, 1, 3}
    assert (labels == 1).sum() == np.isin(codes, (1, 2)).sum()  # lesions that nobody looked at are part of the liver
    assert (labels == 3).sum() == (codes == 3).sum()
    written = "".join(file.name + str(file.read_bytes()) for file in place.iterdir())
    assert not [word for word in ("Fälle", "F\\xc3\\xa4lle", "a.nii", "liverseg-status") if word in written]


def test_a_patients_name_stops_the_case(panel: Any, checked_case: Path, monkeypatch: Any) -> None:
    import slicer

    monkeypatch.setenv("XDG_DATA_HOME", str(checked_case.parent / "home"))
    header = {"0010,0010": "any-phase", "0010,0020": "4711"}
    database = SimpleNamespace(isOpen=True, instanceValue=lambda _uid, tag: header.get(tag, ""))
    panel.volume().SetAttribute("DICOM.instanceUIDs", "1.2.3")
    with monkeypatch.context() as patch:
        patch.setattr(slicer, "dicomDatabase", database, raising=False)
        panel.ui.sendToTrainingButton.click()
        assert "the patient's PatientName" in panel.ui.messageLabel.text
        assert not SlowJob.made
        header["0010,0010"] = "Doe^Jane"
        panel.ui.sendToTrainingButton.click()
    key = SlowJob.made[-1].arguments[SlowJob.made[-1].arguments.index("--patient-key") + 1]
    assert len(key) == 32
    assert "4711" not in key


def nothing_checked(panel: Any) -> None:
    from LiverSegLib.scene import set_status

    for segment_id in ("liver", "spleen"):
        set_status(panel.segmentation().GetSegmentation().GetSegment(segment_id), 1)


def no_phase(panel: Any) -> None:
    pick(panel.ui.phaseCombo, "auto")
    panel.segmentation().RemoveAttribute("LiverSeg.phase")


def no_folder(panel: Any) -> None:
    panel.ui.trainingFolder.currentPath = ""


def no_segmentation(panel: Any) -> None:
    panel.ui.segmentationSelector.setCurrentNode(None)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(nothing_checked, "No segment is completed"), (no_phase, "Choose the phase"), (no_folder, "folder of the training set"),
     (no_segmentation, "corrected segmentation")],
)  # fmt: skip
def test_what_a_case_lacks_is_said(panel: Any, checked_case: Path, spoil: Any, words: str) -> None:
    spoil(panel)
    panel.ui.sendToTrainingButton.click()
    assert words in panel.ui.messageLabel.text
    assert not SlowJob.made
    assert panel.log == []
