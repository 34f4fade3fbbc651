"""A folder of DICOM files (or one multi-frame file) -> voxels, grid, modality and tags.

headers.py finds the frames, series.py decides which of them are meant, pixels.py unpacks them, stack.py lays them on a grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...geometry import Grid
from ...records import Notice
from .headers import frames_below, is_dicom
from .pixels import in_units, stored_planes
from .series import Volume, choose_series, choose_volume, list_series, volumes_of
from .stack import ordered, stacked, without_copies

__all__ = ["DicomVolume", "is_dicom", "read_volume"]


@dataclass(frozen=True, eq=False)
class DicomVolume:
    """One volume of one series. `tags` are those of its middle frame, for recognition of the phase."""

    voxels: np.ndarray  # HU on CT, arbitrary on MR, [k, j, i]
    grid: Grid
    modality: str
    tags: Mapping[str, Any]
    notices: tuple[Notice, ...]


def read_volume(path: Path, wanted: str | None = None, number: int | None = None) -> DicomVolume:
    """`wanted` is a series UID, `number` a volume of that series, from 0. InputError when no one volume can be meant."""
    series, notices = choose_series(list_series(frames_below(path)), wanted, path)
    if path.is_file() and series.planes == 1:
        raise InputError(f"{path} is one slice of a DICOM series; name its folder")
    volumes = volumes_of(series)
    volume = choose_volume(volumes, number, path)
    frames = ordered(volume.frames, path)
    planes = stored_planes(frames)
    frames, planes, copies = without_copies(frames, planes, path)
    planes, units = in_units(frames, planes, series.modality, path)
    voxels, grid, geometry = stacked(frames, planes, path)
    tags = {**frames[len(frames) // 2].tags, "NumberOfEchoes": float(_echoes(volumes))}
    return DicomVolume(voxels, grid, series.modality, tags, (*notices, *copies, *units, *geometry))


def _echoes(volumes: tuple[Volume, ...]) -> int:
    return len({frame.tags["EchoTime"] for volume in volumes for frame in volume.frames if "EchoTime" in frame.tags})
