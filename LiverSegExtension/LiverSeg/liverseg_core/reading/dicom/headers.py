"""DICOM files -> frames: one record for every plane, whatever file it lies in, with the tags that decide what it is."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, EnhancedMRImageStorage, MRImageStorage

from ...errors import InputError

Tags = Mapping[str, Any]  # keyword -> str, float, or a tuple of those

# what a series, a volume and a phase are told by; functional groups of multi-frame files are searched for the same
KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "Modality", "Manufacturer",
    "StudyDescription", "SeriesDescription", "ProtocolName", "SequenceName", "BodyPartExamined", "ImageType",
    "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SpacingBetweenSlices", "SliceThickness", "RescaleSlope", "RescaleIntercept", "RescaleType", "BitsAllocated",
    "ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType", "AngioFlag", "EchoTime", "EchoNumbers",
    "RepetitionTime", "InversionTime", "FlipAngle", "MagneticFieldStrength", "DiffusionBValue",
    "ContrastBolusAgent", "ContrastBolusStartTime", "ContrastBolusVolume", "ContrastBolusRoute",
    "AcquisitionDateTime", "AcquisitionTime", "ContentTime", "SeriesTime", "TriggerTime", "AcquisitionNumber",
    "InstanceNumber", "TemporalPositionIdentifier", "NumberOfTemporalPositions", "KVP", "ConvolutionKernel",
)  # fmt: skip
_ALIASES = {  # what multi-frame files call it
    "EffectiveEchoTime": "EchoTime",
    "FrameType": "ImageType",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "FrameAcquisitionDateTime": "AcquisitionDateTime",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "NominalCardiacTriggerDelayTime": "TriggerTime",
}
_B_VALUES = {  # where vendors kept b before the standard had a place; GE adds 1e9 to some
    (0x0019, "SIEMENS MR HEADER", 0x0C),
    (0x0043, "GEMS_PARM_01", 0x39),
    (0x2001, "Philips Imaging DD 001", 0x03),
}
_SEQUENCES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_IMAGES = (CTImageStorage, MRImageStorage, EnhancedCTImageStorage, EnhancedMRImageStorage)
_RIGHT_ANGLE = 1e-2  # of the products of two directions
_MAGIC_AT = 128
_WANTED: list[Any] = [tag_for_keyword(name) for name in (*KEYWORDS, *_SEQUENCES)]
_KEPT = {name: name for name in KEYWORDS} | _ALIASES


@dataclass(frozen=True, eq=False)
class Frame:
    """One plane: where it lies (None where the tags do not say it), and what its stored values mean."""

    file: Path
    number: int  # which frame of the file, from 0
    tags: Tags
    position_mm: np.ndarray | None  # of the first pixel's centre, LPS
    axes: np.ndarray | None  # (2, 3): along a row, along a column
    pixel_mm: tuple[float, float] | None  # (from column to column, from row to row)

    @property
    def shape(self) -> tuple[int, int]:
        return _count(self.tags.get("Rows")), _count(self.tags.get("Columns"))

    @property
    def placed(self) -> bool:
        return self.position_mm is not None and self.axes is not None and self.pixel_mm is not None


def frames_below(path: Path) -> tuple[Frame, ...]:
    """Every frame of a DICOM file, or of all DICOM files below a folder; other files are passed over.

    A file that is stored twice counts once. InputError for a DICOM file that is damaged.
    """
    files = [path] if path.is_file() else sorted(_files_below(path))
    seen: set[str] = set()
    frames: list[Frame] = []
    with warnings.catch_warnings():  # odd values are met later, where they matter
        warnings.simplefilter("ignore")
        for file in files:
            found = _frames_in(file)
            uid = str(found[0].tags.get("SOPInstanceUID", file)) if found else ""
            if uid not in seen:
                seen.add(uid)
                frames += found
    return tuple(frames)


def whole_dataset(file: Path) -> Dataset:
    """Every tag of a DICOM file, pixels included."""
    return pydicom.dcmread(file, force=_kind(file) == "bare")


def is_dicom(file: Path) -> bool:
    return _kind(file) is not None


def _kind(file: Path) -> str | None:
    """ "part10" with its preamble, "bare" without one (it must begin with group 8, as all old files do)."""
    with file.open("rb") as opened:
        head = opened.read(_MAGIC_AT + 4)
    if head[_MAGIC_AT:] == b"DICM":
        return "part10"
    return "bare" if head[:2] == b"\x08\x00" and head[3:4] == b"\x00" and len(head) > _MAGIC_AT else None


def _files_below(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place) / name for name in names if (Path(place) / name).is_file())


def _frames_in(file: Path) -> list[Frame]:
    kind = _kind(file)
    if kind is None:
        return []
    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_WANTED, force=kind == "bare")
        sop_class = str(dataset.file_meta.get("MediaStorageSOPClassUID", "") or dataset.get("SOPClassUID", ""))
        whole = "Rows" in dataset or (sop_class != "" and sop_class not in _IMAGES)
        if whole:
            _add_b_value(file, dataset)
            return list(_frames_of(file, dataset))
    except Exception:  # pydicom answers damaged bytes with whatever they lead it to
        pass
    if kind == "bare":
        return []  # it may be anything that happens to begin with these bytes
    raise InputError(f"{file} is a damaged DICOM file; copy the series again")


def _frames_of(file: Path, dataset: Dataset) -> Iterator[Frame]:
    common = _plain(dataset)
    shared = _flat(dataset.get(_SEQUENCES[0]))
    each = dataset.get(_SEQUENCES[1]) or [None] * max(1, int(common.get("NumberOfFrames") or 1))
    for number, group in enumerate(each):
        tags = {**common, **shared, **(_flat([group]) if group is not None else {})}
        yield Frame(file, number, tags, *_place(tags))


def _flat(groups: Any) -> dict[str, Any]:
    """Functional groups nest a sequence a topic; the keywords inside are unique, so that nesting adds nothing."""
    found: dict[str, Any] = {}
    for item in groups or ():
        found |= _plain(item)
        for element in item:
            if element.VR == "SQ":
                found |= _flat(element.value)
    return found


def _plain(dataset: Dataset) -> dict[str, Any]:
    tags: dict[str, Any] = {}
    for element in dataset:
        name = _KEPT.get(element.keyword)
        if name is not None and not element.is_empty:
            tags[name] = _value(element.value)
    return tags


def _value(value: Any) -> Any:
    """Python's own types: numbers as float, several values as a tuple, everything else as text."""
    if isinstance(value, MultiValue | list | tuple):
        return tuple(_value(part) for part in value)
    if isinstance(value, int | float):
        return float(value)
    return str(value).strip()


def _place(tags: Tags) -> tuple[np.ndarray | None, np.ndarray | None, tuple[float, float] | None]:
    position, axes, pixel = (
        _numbers(tags.get(name), count)
        for name, count in (("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2))
    )
    if axes is not None:
        axes = axes.reshape(2, 3)
        axes = axes if np.abs(axes @ axes.T - np.eye(2)).max() < _RIGHT_ANGLE else None
    usable = pixel is not None and bool((pixel > 0).all())
    return position, axes, (float(pixel[1]), float(pixel[0])) if pixel is not None and usable else None


def _count(value: Any) -> int:
    """0 for what is no whole number: damaged headers hold anything."""
    return int(value) if isinstance(value, float) and value.is_integer() and value > 0 else 0


def _numbers(value: Any, count: int) -> np.ndarray | None:
    try:
        numbers = np.array(value, float)
    except (TypeError, ValueError):
        return None
    return numbers if numbers.shape == (count,) and bool(np.isfinite(numbers).all()) else None


def _add_b_value(file: Path, dataset: Dataset) -> None:
    """Vendors' private places are read only where a diffusion series lacks the public one."""
    words = f"{dataset.get('ImageType', '')} {dataset.get('SequenceName', '')} {dataset.get('SeriesDescription', '')}"
    if "DiffusionBValue" in dataset or not any(w in words.lower() for w in ("diff", "dwi", "ep_b", "trace")):
        return
    whole = pydicom.dcmread(file, stop_before_pixels=True, force=True)
    for group, creator, element in _B_VALUES:
        try:
            value = whole.private_block(group, creator)[element].value
            first = value[0] if isinstance(value, MultiValue | list | tuple) else value
            dataset.DiffusionBValue = float(first) % 100_000
        except (KeyError, TypeError, ValueError):
            continue
