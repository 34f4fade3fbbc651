"""Stored values -> HU or arbitrary units. pydicom unpacks what NumPy can; GDCM, through SimpleITK, the compressed rest."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import RLELossless

from ...errors import InputError
from ...memory import demand_memory
from ...recognition.intensities import guess_modality
from ...records import Notice
from .headers import Frame, whole_dataset

_BYTES_A_PIXEL = 6  # as stored, in units, and stacked
_WATER_OFFSET_HU = -1024.0  # what scanners add when air is stored as 0
_PLAUSIBLE_HU = (-5000.0, 32767.0)
_NEEDED = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "NumberOfFrames", "PixelData",
)  # fmt: skip


def stored_planes(frames: Sequence[Frame]) -> list[np.ndarray]:
    """The values as they lie in the files, [j, i] each, in the order of `frames`. InputError for a file cut off."""
    count = sum(rows * columns for rows, columns in (frame.shape for frame in frames))
    demand_memory(
        _BYTES_A_PIXEL * count, f"the series, {len(frames)} slices of {frames[0].shape[1]} x {frames[0].shape[0]},"
    )
    wanted: dict[Path, list[int]] = {}
    for n, frame in enumerate(frames):
        wanted.setdefault(frame.file, []).append(n)
    planes: list[np.ndarray] = [np.empty(0)] * len(frames)
    with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=4) as pool:  # GDCM works beside itself
        warnings.simplefilter("ignore")
        for numbers, volume in zip(wanted.values(), pool.map(_unpacked, wanted)):
            for n in numbers:
                if frames[n].number >= len(volume) or volume.shape[1:] != frames[n].shape:
                    raise InputError(f"{frames[n].file} holds other pictures than its tags say; copy the series again")
                planes[n] = volume[frames[n].number]
    return planes


def in_units(
    frames: Sequence[Frame], planes: Sequence[np.ndarray], modality: str, path: Path
) -> tuple[list[np.ndarray], tuple[Notice, ...]]:
    """Slope and intercept of every plane applied; integers stay integers where that loses nothing."""
    slopes, intercepts = (
        np.array([_number(frame, name, default) for frame in frames])
        for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    notices: list[Notice] = []
    if modality == "CT" and not any("RescaleIntercept" in frame.tags for frame in frames):
        notices.append(_hu_assumed(planes, path))
        intercepts[:] = _WATER_OFFSET_HU
    if modality == "CT" and (other := _other_sign(planes, slopes, intercepts)) is not None:
        planes = other
        text = "PixelRepresentation contradicts the values: read as signed or unsigned, they would not be HU."
        notices.append(Notice("hu_assumed", f"{text} They were read the other way."))
    scaled = [_scaled(plane, slope, intercept) for plane, slope, intercept in zip(planes, slopes, intercepts)]
    kind = np.result_type(*{plane.dtype for plane in scaled})
    return [plane.astype(kind, copy=False) for plane in scaled], tuple(notices)


def _unpacked(file: Path) -> np.ndarray:
    """[frame, j, i] of one file."""
    try:
        dataset = whole_dataset(file)
        if "PixelData" not in dataset:
            raise ValueError("it holds no picture")
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        packed = syntax is not None and syntax.is_encapsulated and syntax != RLELossless
        volume = _through_gdcm(dataset) if packed else _with_pydicom(dataset)
    except Exception as problem:  # decoders answer damaged bytes with whatever they lead them to
        told = str(problem).strip().splitlines() or ["no reason given"]
        raise InputError(f"{file} is damaged or cut off ({told[-1][:120]}); copy the series again") from None
    return volume[None] if volume.ndim == 2 else volume


def _with_pydicom(dataset: Dataset) -> np.ndarray:
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit = bool(dataset.original_encoding[0])
        dataset.file_meta.TransferSyntaxUID = (
            pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
        )
    return pixel_array(dataset)


def _through_gdcm(dataset: Dataset) -> np.ndarray:
    """GDCM gets a file without rescaling and geometry, so that it can only unpack."""
    bare = Dataset()
    for name in _NEEDED:
        if name in dataset:
            bare[name] = dataset[name]
    bare.SOPClassUID, bare.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, pydicom.uid.UID("1.2.3")
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID
    bare.file_meta.MediaStorageSOPInstanceUID = bare.SOPInstanceUID
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "frame.dcm"
        bare.save_as(place, enforce_file_format=True)
        return sitk.GetArrayFromImage(sitk.ReadImage(str(place)))


def _scaled(plane: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    if slope == 1.0 and intercept == 0.0:
        return plane
    if not (slope.is_integer() and intercept.is_integer()):
        return plane.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    whole = plane.astype(np.int32) * int(slope) + int(intercept)
    limits = np.iinfo(np.int16)
    small = limits.min <= whole.min() and whole.max() <= limits.max
    return whole.astype(np.int16) if small else whole


def _number(frame: Frame, name: str, default: float) -> float:
    value = frame.tags.get(name, default)
    if not isinstance(value, float) or not np.isfinite(value) or (name == "RescaleSlope" and value == 0):
        raise InputError(f"{frame.file} has the {name} {value!r}; expected a number")
    return value


def _hu_assumed(planes: Sequence[np.ndarray], path: Path) -> Notice:
    """A CT without RescaleIntercept is taken for stored HU + 1024 when it looks like that, and refused otherwise."""
    sample = np.concatenate([plane.ravel()[::7].astype(np.float32) for plane in planes])
    if sample.min() >= 0:
        guess = guess_modality(sample + _WATER_OFFSET_HU)
        if guess.modality == "CT":
            text = f"The CT has no RescaleIntercept: {_WATER_OFFSET_HU:.0f} was taken, which makes plausible HU."
            return Notice("hu_assumed", text)
    raise InputError(
        f"the CT in {path} has no RescaleIntercept, and its values ({sample.min():.0f} to {sample.max():.0f}) do not look "
        "like HU + 1024; export it again with its rescale tags"
    )


def _other_sign(planes: Sequence[np.ndarray], slopes: np.ndarray, intercepts: np.ndarray) -> list[np.ndarray] | None:
    """The same bits read as the other kind of integer, where only that gives plausible HU."""
    kind = planes[0].dtype
    if kind.kind not in "iu" or kind.itemsize != 2:
        return None
    flipped = np.dtype(np.uint16 if kind.kind == "i" else np.int16)
    own, other = (
        max(_implausible(plane.view(k), s, b) for plane, s, b in zip(planes, slopes, intercepts))
        for k in (kind, flipped)
    )
    return [plane.view(flipped) for plane in planes] if own > 0.001 and other < own / 10 else None


def _implausible(plane: np.ndarray, slope: float, intercept: float) -> float:
    low, high = ((edge - intercept) / slope for edge in _PLAUSIBLE_HU)
    return float(((plane < low) | (plane > high)).mean())
