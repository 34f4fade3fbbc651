"""A folder of DICOM files -> voxels, grid and modality. GDCM unpacks, positions decide the geometry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..geometry import Grid, grid_of
from ..records import Notice
from .files import core_of

_UNEVEN_MM = 0.1  # more than this between two gaps of one series, and the slices are not a volume


@dataclass(frozen=True)
class Series:
    uid: str
    files: tuple[str, ...]  # in order of position
    modality: str
    description: str

    def __str__(self) -> str:
        return f"{self.uid} ({self.modality}, {self.description or 'no description'}, {len(self.files)} files)"


def read_series(folder: Path, wanted: str | None) -> tuple[np.ndarray, Grid, str, tuple[Notice, ...]]:
    """Voxels in HU where the tags give them, grid, modality, notices. InputError when no one series can be meant."""
    series = _chosen(folder, wanted)
    if series.modality not in ("CT", "MR"):
        raise InputError(f"{folder} holds a {series.modality or 'nameless'} series; expected CT or MR")
    _check_positions(folder, series)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(series.files)
    try:
        image = reader.Execute()
    except RuntimeError as problem:
        raise InputError(f"the DICOM series in {folder} cannot be read: {core_of(problem)}") from None
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"the DICOM series in {folder} holds colour pictures; expected a CT or MR scan")
    return sitk.GetArrayFromImage(image), grid_of(image), series.modality, ()


def list_series(folder: Path) -> tuple[Series, ...]:
    """Every series below the folder itself, largest first."""
    found = []
    for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        tags = _tags(files[0])
        own = tags.get("0020|000e", uid)  # GDCM appends details to tell apart what one UID holds
        found.append(Series(own, tuple(files), tags.get("0008|0060", ""), tags.get("0008|103e", "")))
    return tuple(sorted(found, key=lambda s: -len(s.files)))


def _chosen(folder: Path, wanted: str | None) -> Series:
    every = list_series(folder)
    if not every:
        raise InputError(f"{folder} holds no DICOM series; expected a folder of DICOM files, or name one image file")
    if wanted is None and len(every) == 1:
        return every[0]
    fitting = [series for series in every if wanted is not None and series.uid == wanted]
    if len(fitting) != 1:
        rows = "; ".join(str(series) for series in every)
        raise InputError(f"{folder} holds {len(every)} series; choose one with --series UID: {rows}")
    return fitting[0]


def _check_positions(folder: Path, series: Series) -> None:
    """Slices must follow each other at one distance: SliceThickness is never asked."""
    places = []
    for file in series.files:
        tags = _tags(file)
        position, orientation = tags.get("0020|0032", ""), tags.get("0020|0037", "")
        try:
            at = np.array([float(n) for n in position.split("\\")])
            row, column = np.reshape([float(n) for n in orientation.split("\\")], (2, 3))
        except ValueError:
            if len(series.files) == 1:
                return
            raise InputError(
                f"{file} has no position or orientation; expected ImagePositionPatient in every slice of {folder}"
            ) from None
        axes = np.stack([row, column, np.cross(row, column)])
        places.append(axes @ at)
    if len(places) > 1 and np.ptp(np.array(places)[:, :2], axis=0).max() > _UNEVEN_MM * len(places):
        raise InputError(
            f"the slices in {folder} are shifted against each other (a tilted gantry); resample the scan first"
        )
    gaps = np.diff([place[2] for place in places])
    if len(gaps) and (np.abs(gaps).min() < 1e-3 or np.ptp(gaps) > _UNEVEN_MM):
        raise InputError(
            f"the slices in {folder} are {np.abs(gaps).min():.2f} to {np.abs(gaps).max():.2f} mm apart: "
            "one is missing, doubled or of another series; expected even gaps"
        )


def _tags(file: str) -> dict[str, str]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    reader.LoadPrivateTagsOff()
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise InputError(f"{file} is a damaged DICOM file; copy the series again") from None
    return {key: reader.GetMetaData(key).strip() for key in reader.GetMetaDataKeys()}
