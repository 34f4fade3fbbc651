"""Disk -> Scan, and disk -> LabelMask. Everything that can be wrong with a file is refused here, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..geometry import Grid, grid_of
from ..phases import phase_named
from ..recognition import recognise
from ..recognition.intensities import guess_modality
from ..records import SYNTHETIC, SYNTHETIC_NOTE, LabelMask, Notice, Scan
from . import dicom, files, segmentations
from .patient import read_patient

sitk.ProcessObject.GlobalWarningDisplayOff()  # what matters is refused below in words; the rest is noise on stderr

__all__ = ["geometry_notices", "read_mask", "read_patient", "read_scan", "take_scan"]


def read_scan(path: Path, phase: str = "auto", *, volume: int | None = None, series: str | None = None) -> Scan:
    """One 3-D volume from a file (NIfTI, NRRD, MetaImage) or from a DICOM folder.

    `volume` chooses from a 4-D file, counted from 0; `series` chooses from a DICOM folder by its UID.
    Raises InputError for whatever is not a usable scan.
    """
    if phase != "auto":
        phase_named(phase)
    with _readable(path):
        return _read_scan(path, phase, volume, series)


def _read_scan(path: Path, phase: str, volume: int | None, series: str | None) -> Scan:
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a scan (NIfTI, NRRD, MetaImage) or a folder of DICOM files")
    if path.is_dir() or dicom.is_dicom(path):
        return _dicom_scan(path, phase, volume, series)
    if series is not None:
        raise InputError(f"--series chooses among DICOM series, but {path} is one file; leave it out")
    image = files.read_image(path, volume)
    notices = (SYNTHETIC,) if files.note_of(image) == SYNTHETIC_NOTE else ()
    return take_scan(
        files.voxels_of(image, path, volume), grid_of(image), phase=phase, source=str(path), notices=notices
    )


def _dicom_scan(path: Path, phase: str, volume: int | None, series: str | None) -> Scan:
    found = dicom.read_volume(path, series, volume)
    how = ""
    if phase == "auto":
        recognition = recognise(found.tags)
        phase, how = recognition.phase, recognition.how
    return take_scan(found.voxels, found.grid, phase=phase, how=how, source=str(path), notices=found.notices)


def take_scan(
    voxels: np.ndarray, grid: Grid, *, phase: str = "auto", how: str = "", source: str, notices: tuple[Notice, ...] = ()
) -> Scan:
    """A Scan from voxels already in memory: finite, not constant. `how` says who knew the phase (default: the user);
    for "auto" CT or MR is guessed from the intensities, and that is said."""
    voxels, found = _finite(voxels, source)
    notices = (*notices, *found, *geometry_notices(grid))
    if phase != "auto":
        return Scan(voxels, grid, phase, source, how or "chosen by the user", notices)
    guess = guess_modality(voxels)
    notices = (*notices, Notice("phase_guessed", f"{guess.sentence}; if that is wrong, choose with --phase."))
    return Scan(voxels, grid, f"{guess.modality.lower()}_unknown", source, guess.sentence, notices)


def read_mask(path: Path) -> LabelMask:
    """Label codes from a file, .seg.nrrd included. Raises InputError for what is not a mask of our codes."""
    with _readable(path):
        return _read_mask(path)


def _read_mask(path: Path) -> LabelMask:
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a mask (NIfTI, NRRD, MetaImage or .seg.nrrd)")
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected one mask file (NIfTI, NRRD, MetaImage or .seg.nrrd)")
    if path.name.lower().endswith(".seg.nrrd"):
        return segmentations.read_segmentation(path)
    image = files.read_image(path, None, chooser="expected one 3-D mask")
    return LabelMask(segmentations.as_codes(files.voxels_of(image, path), str(path)), grid_of(image))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What the system says of a file becomes our sentence; a name that SimpleITK would abort on never reaches it."""
    try:
        str(path).encode()
        yield
    except UnicodeEncodeError:
        raise InputError(f"{str(path)!a} is not a name in UTF-8; rename the file") from None
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror or problem}") from None


def _finite(voxels: np.ndarray, source: str) -> tuple[np.ndarray, tuple[Notice, ...]]:
    """NaN and infinity become background, and the reader is told how many there were."""
    notices: tuple[Notice, ...] = ()
    if voxels.dtype.kind == "f":
        bad = ~np.isfinite(voxels)
        count = int(bad.sum())
        if count == voxels.size:
            raise InputError(f"{source} holds no finite value; expected intensities")
        if count:
            voxels = np.where(bad, voxels[~bad].min(), voxels)
            notices = (Notice("nan_voxels", f"{count} voxels were not numbers and count as background."),)
    if voxels.min() == voxels.max():
        raise InputError(f"{source} has the same value ({voxels.min():g}) everywhere; expected an image")
    return voxels, notices


def geometry_notices(grid: Grid) -> tuple[Notice, ...]:
    if min(grid.size) == 1:
        return (Notice("thick_slices", "The scan is a single slice: its volume is an area times the slice spacing."),)
    if max(grid.spacing_mm) > 8.0:
        return (
            Notice(
                "thick_slices", f"Slices are {max(grid.spacing_mm):.1f} mm apart: volumes and distances are coarse."
            ),
        )
    return ()
