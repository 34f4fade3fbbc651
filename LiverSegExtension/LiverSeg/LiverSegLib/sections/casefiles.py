"""A case of a folder of scans: opened with its AI result and what was corrected, and the correction saved beside it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..cases import ListedCase
from ..controller import UserError
from ..scene.export import scan_of
from ..scene.result import remove_orphans, show_result
from .loading import load_file, load_series, series_in

CASE = "LiverSeg.case"  # attribute of a volume: the case that it was opened for
_SUFFIX = ".seg.nrrd"
_MASK, _REPORT = "segmentation.nii.gz", "report.json"


@dataclass(frozen=True)
class Places:
    """Results and corrections lie beside the folder of scans, because every file in it would count as a case."""

    scans: Path

    @property
    def results(self) -> Path:
        """The folder of the cohort."""
        return self.scans.parent / f"{self.scans.name}-liverseg"

    def corrected(self, name: str) -> Path:
        return self._corrections / f"{name}{_SUFFIX}"

    def all_corrected(self) -> set[str]:
        """The cases that have a correction."""
        return {path.name.removesuffix(_SUFFIX) for path in self._corrections.glob(f"[!.]*{_SUFFIX}")}

    @property
    def _corrections(self) -> Path:
        return self.scans.parent / f"{self.scans.name}-corrected"


def open_scan(case: ListedCase) -> Any:
    """The volume of a case, marked with its name. UserError where Slicer cannot load it."""
    volume = load_series(_only_series(case.scan)) if case.scan.is_dir() else load_file(case.scan)
    volume.SetAttribute(CASE, case.name)
    return volume


def open_segmentation(case: ListedCase, places: Places, volume: Any) -> Any:
    """What was corrected last, over the AI result that it began from; the AI result alone; or None."""
    node = None
    if case.result is not None:
        node = show_result(volume, case.result / _MASK, _report(case.result / _REPORT))
    corrected = places.corrected(case.name)
    if not corrected.is_file():
        return node
    try:
        loaded = slicer.util.loadSegmentation(str(corrected))
    except RuntimeError:
        raise UserError(_("{0} cannot be read; move it away to begin anew.").format(corrected)) from None
    if node is None:
        loaded.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        return loaded
    node.GetSegmentation().DeepCopy(loaded.GetSegmentation())
    slicer.mrmlScene.RemoveNode(loaded)
    return node


def save_segmentation(node: Any, path: Path) -> None:
    """Whole or not at all. UserError where it cannot be written."""
    room = path.with_name(f".{path.name.removesuffix(_SUFFIX)}.part{_SUFFIX}")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(room))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not storage.WriteData(node):
            raise OSError(0, _("nothing could be written"))
        room.replace(path)
    except OSError as problem:
        with suppress(OSError):
            room.unlink(missing_ok=True)
        raise UserError(_("The correction cannot be saved as {0}: {1}.").format(path, problem.strerror)) from None


def put_away(volume: Any, segmentation: Any) -> None:
    """Remove a case from the scene; another segmentation of the scan, which nobody saved, keeps it there."""
    scene = slicer.mrmlScene
    if segmentation is not None:
        scene.RemoveNode(segmentation)
    remove_orphans(scene)
    others = scene.GetNodesByClass("vtkMRMLSegmentationNode")
    others.UnRegister(None)
    if all(scan_of(others.GetItemAsObject(n)) is not volume for n in range(others.GetNumberOfItems())):
        scene.RemoveNode(volume)
    else:
        volume.RemoveAttribute(CASE)


def _only_series(folder: Path) -> str:
    series = series_in(folder)
    if len(series) > 1:
        raise UserError(_("{0} holds {1} series; load the right one under Scan.").format(folder, len(series)))
    return series[0].uid


def _report(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UserError(_("{0} cannot be read: {1}.").format(path, problem)) from None
    if not isinstance(report, dict):
        raise UserError(_("{0} is no report of the worker.").format(path))
    return report
