"""A file or a DICOM folder -> a volume node, through Slicer's own readers and its DICOM database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..controller import UserError

PATTERNS = "Scans (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.dcm);;All files (*)"
_SERIES_UID, _DESCRIPTION, _MODALITY, _NUMBER = "0020,000E", "0008,103E", "0008,0060", "0020,0011"
_SKIPPED = frozenset({"SEG", "SR", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE"})  # these hold no scan


@dataclass(frozen=True)
class Series:
    uid: str
    text: str


def is_dicom(path: Path) -> bool:
    """The four letters that a DICOM file carries behind its preamble of 128 bytes."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def load_file(path: Path) -> Any:
    """The volume, or of a file with several the one that shows them; UserError where Slicer cannot read it."""
    if not path.is_file():
        raise UserError(_("{0} does not exist; choose a NIfTI, NRRD or MetaImage file.").format(path))
    try:
        return slicer.util.loadVolume(str(path), properties={"show": True})
    except Exception as problem:
        shown = _first_of_several(path)
        if shown is not None:
            return shown
        reason = str(problem).strip().splitlines() or [""]
        raise UserError(_("Slicer cannot read {0} as a volume: {1}").format(path.name, reason[-1])) from None


def _first_of_several(path: Path) -> Any:
    """The volume that stands for a file of several (4-D); None where Slicer finds no such sequence in it."""
    try:
        node = slicer.util.loadSequence(str(path))
    except Exception:  # whatever the reader raises: it cannot read it
        return None
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(node)
    shown = browser.GetProxyNode(node) if browser is not None else None
    return shown if shown is not None and shown.IsA("vtkMRMLScalarVolumeNode") else None


def series_in(folder: Path) -> list[Series]:
    """The series of scans in a DICOM folder, after it was added to Slicer's DICOM database; by series number."""
    database = _database()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and is_dicom(path)]
    if not files:
        raise UserError(_("{0} holds no DICOM file; choose the folder that holds the series.").format(folder))
    from DICOMLib import DICOMUtils

    DICOMUtils.importDicom(str(folder), database)
    images: dict[str, list[str]] = {}
    for path in files:
        uid = database.seriesForFile(str(path)) or database.fileValue(str(path), _SERIES_UID)
        if uid:
            images.setdefault(uid, []).append(str(path))
    found = [_series(database, uid, paths) for uid, paths in images.items()]
    kept = [series for _number, series in sorted(found, key=lambda row: row[0]) if series is not None]
    if not kept:
        raise UserError(_("{0} holds no CT or MR series; choose another folder.").format(folder))
    return kept


def load_series(uid: str) -> Any:
    """The first volume that Slicer's readers make of a series (the proxy volume of a sequence)."""
    _database()
    from DICOMLib import DICOMUtils

    nodes = [slicer.mrmlScene.GetNodeByID(node_id) for node_id in DICOMUtils.loadSeriesByUID([uid]) or ()]
    for node in nodes:
        if node is not None and node.IsA("vtkMRMLSequenceBrowserNode"):
            nodes.append(node.GetProxyNode(node.GetMasterSequenceNode()))
    volumes = [node for node in nodes if node is not None and node.IsA("vtkMRMLScalarVolumeNode")]
    if not volumes:
        raise UserError(_("Slicer found no volume in this series; choose another one."))
    return volumes[0]


def _database() -> Any:
    database = getattr(slicer, "dicomDatabase", None)
    if database is None or not database.isOpen:
        raise UserError(_("Slicer's DICOM database is not open; open the module DICOM once, then try again."))
    return database


def _series(database: Any, uid: str, paths: list[str]) -> tuple[int, Series | None]:
    number, modality, description = (database.fileValue(paths[0], tag) for tag in (_NUMBER, _MODALITY, _DESCRIPTION))
    order = int(number) if str(number).strip().isdigit() else 1 << 30
    if modality in _SKIPPED:
        return order, None
    return order, Series(uid, f"{number or '?'}: {description or modality} ({len(paths)} images)")
