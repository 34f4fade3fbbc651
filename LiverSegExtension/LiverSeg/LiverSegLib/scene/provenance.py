"""Who drew a segmentation, kept on its node and in its segments' DICOM tags; and how far its correction is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import slicer

from .terminology import tag_of

BASELINE = "LiverSeg.baseline"  # role of the reference to the AI result as it came
ALGORITHM_TYPE, ALGORITHM_NAME = "DICOM.SegmentAlgorithmType", "DICOM.SegmentAlgorithmName"
AUTOMATIC, SEMIAUTOMATIC = "AUTOMATIC", "SEMIAUTOMATIC"
_ATTRIBUTES = {  # field of Provenance -> attribute of the node
    "model": "LiverSeg.model", "model_version": "LiverSeg.modelVersion", "sha256": "LiverSeg.sha256",
    "version": "LiverSeg.version", "device": "LiverSeg.device", "date": "LiverSeg.date", "phase": "LiverSeg.phase",
    "quality": "LiverSeg.quality",
}  # fmt: skip


@dataclass(frozen=True)
class Provenance:
    """Everything that tells how an AI result came about; what is not known is empty."""

    model: str = ""
    model_version: str = ""
    sha256: str = ""
    version: str = ""  # of LiverSeg
    device: str = ""
    date: str = ""  # ISO 8601, local time
    phase: str = ""
    quality: str = ""

    @property
    def algorithm(self) -> str:
        """As the command line writes it into segmentation.seg.nrrd."""
        return " ".join(word for word in ("LiverSeg", self.version, self.model, self.model_version) if word)


def provenance_of(report: Mapping[str, Any]) -> Provenance:
    """From the content of a report.json."""
    model, phase = report.get("model") or {}, report.get("phase") or {}
    return Provenance(
        model=str(model.get("name", "")),
        model_version=str(model.get("version", "")),
        sha256=str(model.get("sha256", "")),
        version=str(report.get("version", "")),
        device=str(report.get("device", "")),
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
        phase=str(phase.get("used", "")),
        quality=str(report.get("quality", "")),
    )


def write_provenance(node: Any, provenance: Provenance) -> None:
    for field, value in asdict(provenance).items():
        if value:
            node.SetAttribute(_ATTRIBUTES[field], value)


def read_provenance(node: Any) -> Provenance | None:
    """None for a segmentation that LiverSeg did not make."""
    found = {field: node.GetAttribute(name) or "" for field, name in _ATTRIBUTES.items()}
    return Provenance(**found) if any(found.values()) else None


def mark_automatic(segment: Any, algorithm: str) -> None:
    """The tags by which DICOM SEG names the algorithm, as the AI left the segment: nobody has looked at it yet."""
    segment.SetTag(ALGORITHM_TYPE, AUTOMATIC)
    segment.SetTag(ALGORITHM_NAME, algorithm)
    set_status(segment, _logic().NotStarted)


def mark_edited(segment: Any) -> None:
    """Voxels of an AI segment were changed by hand. A flag that was set stays; what was not begun or done is in progress."""
    if tag_of(segment, ALGORITHM_TYPE) == AUTOMATIC:
        segment.SetTag(ALGORITHM_TYPE, SEMIAUTOMATIC)
    if status_of(segment) in (_logic().NotStarted, _logic().Completed):
        set_status(segment, _logic().InProgress)


def status_of(segment: Any) -> int:
    """0 not started, 1 in progress, 2 completed, 3 flagged: Slicer's own numbers."""
    return int(_logic().GetSegmentStatus(segment))


def set_status(segment: Any, status: int) -> None:
    _logic().SetSegmentStatus(segment, status)


def _logic() -> Any:
    return slicer.vtkSlicerSegmentationsModuleLogic
