"""Maps -> NIfTI on the scan's own grid, with their units. Those of fat and iron have a maps.json that says how they were
made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..geometry import Grid, as_image
from .tables import save_record


@dataclass(frozen=True)
class Map:
    """One row: the unit, and what the map shows; together at most 79 letters, which is what a NIfTI header holds."""

    unit: str
    meaning: str

    def note(self) -> str:
        return f"{self.meaning}; unit {self.unit}"


MAPS: Mapping[str, Map] = {
    "pdff": Map("%", "proton density fat fraction, not clamped"),
    "r2star": Map("1/s", "R2*, decay common to water and fat"),
    "t2star": Map("ms", "T2* = 1000 / R2*"),
    "ff": Map("%", "fat fraction of two echoes, T1- and T2*-weighted: no PDFF"),
    "water": Map("a.u.", "water, at echo time 0 where decay was fitted"),
    "fat": Map("a.u.", "fat, at echo time 0 where decay was fitted, may be negative"),
    "field": Map("Hz", "field, modulo one turn an echo spacing"),
    "residual": Map("a.u.", "root mean square of what the fit leaves"),
    "uncertainty": Map("points", "Cramer-Rao deviation of a voxel's PDFF"),
}


def save_maps(maps: Mapping[str, np.ndarray | None], grid: Grid, facts: Mapping[str, object], folder: Path) -> None:
    """A file for each of `maps` (keys of MAPS), float32 [k, j, i] on `grid`, NaN where nothing was measured; None fills
    a map with NaN.

    `facts` (spectrum, echo times, field strength, sigma, method, flags) go into maps.json with the meaning of each map.
    """
    described = {}
    for name, values in maps.items():
        row = MAPS[name]
        nothing = np.full(grid.array_shape, np.nan, np.float32)
        image = as_image(nothing if values is None else values.astype(np.float32), grid)
        image.SetMetaData("ITK_FileNotes", row.note())
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"), useCompression=True)
        described[f"{name}.nii.gz"] = {"unit": row.unit, "meaning": row.meaning, "measured": values is not None}
    save_record({**facts, "maps": described}, folder / "maps.json")


def save_measured(measured: np.ndarray, grid: Grid, folder: Path) -> None:
    """measured.nii.gz: 1 where the numbers of the liver were taken from."""
    image = as_image(measured.astype(np.uint8), grid)
    image.SetMetaData("ITK_FileNotes", "1 where the numbers were measured")
    sitk.WriteImage(image, str(folder / "measured.nii.gz"), useCompression=True)


def save_disagreement(apart: np.ndarray, grid: Grid, folder: Path) -> None:
    """disagreement.nii.gz: how far the networks of an ensemble are apart, from 0 to 1 in `apart`, as uint8 in %."""
    image = as_image(np.rint(100.0 * apart).astype(np.uint8), grid)
    image.SetMetaData("ITK_FileNotes", "networks of the ensemble apart (total variation); unit %")
    sitk.WriteImage(image, str(folder / "disagreement.nii.gz"), useCompression=True)
