"""Volume nodes: which can be segmented, where they come from, and what their DICOM headers say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import slicer

from ..controller import UserError
from .words import _

# what the phase is recognised by (liverseg_core.recognition), and where the standard keeps it
DICOM_TAGS: Mapping[str, str] = {
    "ImageType": "0008,0008",
    "SeriesTime": "0008,0031",
    "AcquisitionTime": "0008,0032",
    "ContentTime": "0008,0033",
    "Modality": "0008,0060",
    "Manufacturer": "0008,0070",
    "StudyDescription": "0008,1030",
    "SeriesDescription": "0008,103E",
    "ContrastBolusAgent": "0018,0010",
    "ScanningSequence": "0018,0020",
    "SequenceVariant": "0018,0021",
    "ScanOptions": "0018,0022",
    "MRAcquisitionType": "0018,0023",
    "SequenceName": "0018,0024",
    "AngioFlag": "0018,0025",
    "RepetitionTime": "0018,0080",
    "EchoTime": "0018,0081",
    "InversionTime": "0018,0082",
    "EchoNumbers": "0018,0086",
    "MagneticFieldStrength": "0018,0087",
    "ProtocolName": "0018,1030",
    "ContrastBolusRoute": "0018,1040",
    "ContrastBolusVolume": "0018,1041",
    "ContrastBolusStartTime": "0018,1042",
    "FlipAngle": "0018,1314",
    "DiffusionBValue": "0018,9087",
}


def checked(volume: Any, *, several: bool = False) -> None:
    """UserError unless this is a 3-D scan with one value in each voxel; with `several` there may be more."""
    if volume is None:
        raise UserError(_("No scan is chosen; choose a volume first."))
    name = volume.GetName()
    if volume.GetScene() is None:
        raise UserError(_("{name} is no longer in the scene; choose another volume.").format(name=name))
    if volume.IsA("vtkMRMLLabelMapVolumeNode"):
        raise UserError(_("{name} is a label map, not a scan; choose the volume it was drawn on.").format(name=name))
    if not volume.IsA("vtkMRMLScalarVolumeNode"):
        raise UserError(
            _("{name} is not a single volume; expected a 3-D scan, or one volume of a sequence.").format(name=name)
        )
    image = volume.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise UserError(_("{name} has no voxels; load the scan again.").format(name=name))
    if image.GetNumberOfScalarComponents() != 1 and not several:
        text = _("{name} has {count} values in each voxel: a colour picture, or several volumes in one.")
        rest = _("Expected a single CT or MR volume; echoes are measured under Fat and iron.")
        raise UserError(f"{text.format(name=name, count=image.GetNumberOfScalarComponents())} {rest}")
    if min(image.GetDimensions()) < 2:
        raise UserError(_("{name} is a single picture; expected a 3-D scan of several slices.").format(name=name))


def tags_of(volume: Any) -> dict[str, object]:
    """DICOM keyword -> text, or a tuple of texts, of a volume that came from Slicer's DICOM database; else nothing."""
    uids = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if not uids or database is None or not database.isOpen:
        return {}
    found: dict[str, object] = {}
    for keyword, tag in DICOM_TAGS.items():
        text = database.instanceValue(uids[0], tag).strip()
        if text:
            found[keyword] = tuple(text.split("\\")) if "\\" in text else text
    return found


def file_of(volume: Any) -> Path | None:
    """Where the volume was loaded from, if that is still known."""
    storage = volume.GetStorageNode()
    name = storage.GetFileName() if storage is not None else None
    return Path(name) if name else None


def place_beside(node: Any, volume: Any) -> None:
    """In the subject hierarchy, under the study of the scan: DICOM export looks for the patient there."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume.GetScene())
    beside = tree.GetItemByDataNode(volume)
    parent = tree.GetItemParent(beside) if beside else tree.GetSceneItemID()
    item = tree.GetItemByDataNode(node) or tree.CreateItem(parent, node)
    tree.SetItemParent(item, parent)
