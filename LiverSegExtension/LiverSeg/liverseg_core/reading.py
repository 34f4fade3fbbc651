"""Disk -> Scan."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from .geometry import grid_of
from .records import LabelMask, Scan


def read_scan(path: Path, phase: str) -> Scan:
    image = sitk.ReadImage(str(path))
    return Scan(sitk.GetArrayFromImage(image), grid_of(image), phase, str(path))


def read_mask(path: Path) -> LabelMask:
    image = sitk.ReadImage(str(path))
    return LabelMask(sitk.GetArrayFromImage(image), grid_of(image))
