"""A scan and its labels -> what every voxel is made of: the rows of the tissues, and where each lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..geometry import Grid
from ..labels import LESION, LIVER
from ..phases import PHASES
from ..records import LabelMask, Scan

_RIM_MM = 15.0  # subcutaneous fat, where no CT shows it
_AIR_HU = -200.0
_GAP_MM = 10.0  # in the outline of a body
_CONTRAST_HU = 100.0  # what the grey values of a CT are measured in, where they become a texture
_GAS = 0.05  # signal of the gas in an organ
_DISC = ndimage.generate_binary_structure(2, 1)[None]  # within a slice


@dataclass(frozen=True)
class Matter:
    """One row: proton signal at echo time 0 (liver: 1), PDFF in %, R2* in 1/s at 1.5 T and at 3 T."""

    signal: float
    pdff: float
    rates: tuple[float, float]

    def rate(self, field_t: float) -> float:
        """R2* rises with the field; straight through the two strengths that the row knows."""
        low, high = self.rates
        return max(0.0, low + (high - low) * (field_t - 1.5) / 1.5)


_HOLLOW = (7, 12)  # labels that may hold gas
_FLUID = Matter(1.2, 0.0, (4.0, 6.0))
_BLOOD = Matter(1.3, 0.0, (8.0, 16.0))
AIR, LUNG, FAT, LEAN, BONE = range(200, 205)  # what no label names; chosen to be typical, not measured on anyone
MATTERS: Mapping[int, Matter] = {
    AIR: Matter(0.0, 0.0, (0.0, 0.0)),
    LUNG: Matter(0.06, 0.0, (400.0, 600.0)),
    FAT: Matter(1.8, 92.0, (35.0, 50.0)),
    LEAN: Matter(0.7, 2.0, (30.0, 40.0)),
    BONE: Matter(0.8, 45.0, (90.0, 140.0)),
    LIVER: Matter(1.0, 5.0, (30.0, 45.0)),
    LESION: Matter(0.9, 1.0, (18.0, 28.0)),
    3: Matter(0.9, 0.0, (20.0, 40.0)),
    4: Matter(1.0, 1.0, (16.0, 25.0)),
    5: Matter(1.0, 1.0, (16.0, 25.0)),
    6: _FLUID,
    7: _FLUID,
    8: _BLOOD,
    9: _BLOOD,
    10: _BLOOD,
    11: Matter(1.1, 8.0, (22.0, 32.0)),
    12: Matter(0.8, 2.0, (30.0, 40.0)),
    13: Matter(0.9, 10.0, (25.0, 35.0)),
}


@dataclass(frozen=True)
class Body:
    """The rows that the tissues of one body are made of, and how much of the scan's own light and dark their signal keeps:
    relative, for 100 HU of a CT and for its own median of an MR. With a `texture`, gas in the gut of a CT is gas."""

    matters: Mapping[int, Matter] = field(default_factory=lambda: MATTERS)
    texture: float = 0.0


def matter_map(scan: Scan, labels: LabelMask) -> np.ndarray:
    """A key of MATTERS a voxel, uint8 on the grid of the labels."""
    if scan.voxels.shape != labels.voxels.shape:
        raise InputError(f"the scan {scan.voxels.shape} and its labels {labels.voxels.shape} differ in size")
    rest = _by_hu(scan) if PHASES[scan.phase].modality == "CT" else _by_depth(scan)
    return np.where(labels.voxels > 0, labels.voxels, rest).astype(np.uint8)


def _by_hu(scan: Scan) -> np.ndarray:
    """Smoothed first: the noise of a CT is wider than what separates fat from muscle. Where a CT was clipped, its lowest
    value is air."""
    smooth = ndimage.gaussian_filter(scan.voxels.astype(np.float32), 1.0)
    air, fat, lean = _gas(scan, smooth), smooth < -25, smooth < 220
    body = _body(~air, scan.grid)
    return np.select([~body, air, fat, lean], [AIR, LUNG, FAT, LEAN], BONE)


def _gas(scan: Scan, smooth: np.ndarray | None = None) -> np.ndarray:
    """Where a CT, smoothed or as it is, shows air or gas, bool [k, j, i]."""
    low = float(scan.voxels.min())
    return (scan.voxels if smooth is None else smooth) < (_AIR_HU if low < _AIR_HU else low + 8.0)


def _by_depth(scan: Scan) -> np.ndarray:
    """An MR without fat or lung of its own: the body, and a rim of fat under its surface."""
    smooth = ndimage.gaussian_filter(scan.voxels.astype(np.float32), 1.0)
    body = _body(smooth > 0.08 * np.percentile(smooth, 99), scan.grid)
    depth_mm = ndimage.distance_transform_edt(
        np.pad(body, ((0, 0), (1, 1), (1, 1))), (1e3, *scan.grid.spacing_mm[1::-1])
    )
    return np.select([~body, depth_mm[:, 1:-1, 1:-1] < _RIM_MM], [AIR, FAT], LEAN)


def density_map(scan: Scan, matter: np.ndarray, texture: float) -> np.ndarray:
    """What the signal of a tissue is multiplied with, float32 about 1: `texture` times what the scan shows of it. Beside
    the organs of an MR, where nothing else is known, all that the scan shows."""
    ct = PHASES[scan.phase].modality == "CT"
    density = np.ones(matter.shape, np.float32)
    for code in np.unique(matter):
        gain = 1.0 if code == LEAN and not ct else texture
        if gain:
            here = matter == code
            middle = float(np.median(scan.voxels[here]))
            unit = _CONTRAST_HU if ct else max(middle, 1e-6)
            density[here] = np.clip(1.0 + gain * (scan.voxels[here] - middle) / unit, 0.2, 2.0)
    if texture and ct:
        density[_gas(scan) & np.isin(matter, _HOLLOW)] = _GAS
    return density


def _body(dense: np.ndarray, grid: Grid) -> np.ndarray:
    """The largest part, with what it encloses in each slice; gaps of a few mm in its outline are closed."""
    parts, count = ndimage.label(ndimage.binary_opening(dense, _DISC))
    if count == 0:
        raise InputError("the scan shows no body; expected the scan that the labels were drawn on")
    largest = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    reach = max(1, round(_GAP_MM / grid.spacing_mm[0]))
    wide = np.pad(largest, ((0, 0), (reach, reach), (reach, reach)))
    closed = ndimage.binary_closing(wide, _DISC, iterations=reach)[:, reach:-reach, reach:-reach]
    return np.stack([ndimage.binary_fill_holes(plane) for plane in closed])
