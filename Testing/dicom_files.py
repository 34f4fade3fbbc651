"""Writes the DICOM files of scanners that nobody has at hand: plain series, multi-frame files, and what can go wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from liverseg_core.geometry import Grid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

_PLAIN = {"CT": CTImageStorage, "MR": MRImageStorage}
_ENHANCED = {"CT": EnhancedCTImageStorage, "MR": EnhancedMRImageStorage}
Changes = Mapping[str, Any]


def nothing(_k: int) -> Changes:
    return {}


def write_series(
    folder: Path,
    stored: np.ndarray,
    grid: Grid,
    *,
    modality: str = "CT",
    each: Callable[[int], Changes] = nothing,
    name: Callable[[int], str] = lambda k: f"{97 * k % 1000:03d}{k}",
    syntax: str = ExplicitVRLittleEndian,
    **common: Any,
) -> str:
    """One file a slice, 16 bits stored, without an extension and in no order. A value of None removes a tag.

    `each(k)` overrides tags of slice k, `common` those of all. Returns the series UID.
    """
    folder.mkdir(parents=True, exist_ok=True)
    uid = common.pop("SeriesInstanceUID", generate_uid())
    for k, plane in enumerate(stored):
        dataset = _header(_PLAIN[modality], modality, uid, plane.shape)
        _place(dataset, grid, k)
        dataset.InstanceNumber = k + 1
        if modality == "CT":
            dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1024, "HU"
        _pixels(dataset, plane)
        _change(dataset, {**common, **each(k)})
        save(dataset, folder / name(k), syntax)
    return str(uid)


def write_multiframe(
    path: Path,
    stored: np.ndarray,
    grid: Grid,
    *,
    modality: str = "MR",
    each: Callable[[int], Changes] = nothing,
    **common: Any,
) -> None:
    """One enhanced file; `each(n)` fills the functional groups of frame n: {"MREchoSequence": {"EffectiveEchoTime": 2.3}}.

    Frames run through the grid's slices again and again when there are more of them.
    """
    dataset = _header(_ENHANCED[modality], modality, generate_uid(), stored.shape[1:])
    dataset.NumberOfFrames = len(stored)
    shared, groups = Dataset(), []
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=_orientation(grid))]
    measures = _item(PixelSpacing=[grid.spacing_mm[1], grid.spacing_mm[0]], SliceThickness=99.0)
    shared.PixelMeasuresSequence = [measures]
    for n in range(len(stored)):
        position = grid.world_mm((0, 0, n % grid.size[2])).tolist()
        topics = {"PlanePositionSequence": {"ImagePositionPatient": position}, **each(n)}
        group = Dataset()
        for topic, values in topics.items():
            setattr(group, topic, [_item(**values)])
        groups.append(group)
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], groups
    _pixels(dataset, stored)
    _change(dataset, common)
    save(dataset, path, ExplicitVRLittleEndian)


def save(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> None:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)


def compressed_by_gdcm(folder: Path, compressor: str) -> None:
    """Every file of a folder again, its pixels packed as JPEG 2000 or JPEG (lossless), everything else as it was."""
    for file in sorted(folder.iterdir()):
        dataset = pydicom.dcmread(file)
        writer = sitk.ImageFileWriter()
        packed = file.with_name("packed.dcm")
        writer.SetFileName(str(packed))
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.Execute(sitk.GetImageFromArray(dataset.pixel_array[None]))
        twin = pydicom.dcmread(packed)
        dataset.PixelData = twin.PixelData
        dataset["PixelData"].is_undefined_length = True
        syntax = twin.file_meta.TransferSyntaxUID
        packed.unlink()
        save(dataset, file, syntax)


def _header(sop_class: str, modality: str, uid: str, shape: Sequence[int]) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, generate_uid()
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = uid, "1.2.826.0.1.3680043.8.498.1"
    dataset.PatientID, dataset.PatientName, dataset.Modality = "phantom", "Phantom", modality
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Rows, dataset.Columns = int(shape[0]), int(shape[1])
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    return dataset


def _place(dataset: Dataset, grid: Grid, k: int) -> None:
    dataset.ImagePositionPatient = grid.world_mm((0, 0, k)).tolist()
    dataset.ImageOrientationPatient = _orientation(grid)
    dataset.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[0]]
    dataset.SliceThickness = 99.0  # never to be believed


def _orientation(grid: Grid) -> list[float]:
    return [*grid.axes[:, 0].tolist(), *grid.axes[:, 1].tolist()]


def _pixels(dataset: Dataset, stored: np.ndarray) -> None:
    assert stored.dtype in (np.int16, np.uint16)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(stored.dtype == np.int16)
    dataset.PixelData = np.ascontiguousarray(stored).tobytes()
    dataset["PixelData"].VR = "OW"


def _change(dataset: Dataset, changes: Changes) -> None:
    for name, value in changes.items():
        if value is None:
            if name in dataset:
                delattr(dataset, name)
        else:
            setattr(dataset, name, value)


def _item(**values: Any) -> Dataset:
    item = Dataset()
    _change(item, values)
    return item
