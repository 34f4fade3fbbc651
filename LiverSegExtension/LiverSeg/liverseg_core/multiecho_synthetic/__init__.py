"""Label maps -> multi-echo scans whose fat, iron and field are known: the digital phantom, and training data.

A voxel's signal is that of the model which the fit assumes; what is simulated beside it is what makes the fit hard: partial
volume, an uneven liver, an uneven field, coils, noise, and a read-out that alternates. No patient's signal is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..geometry import Grid, resampled, shrunk
from ..labels import LABELS, LIVER
from ..records import SYNTHETIC, LabelMask, MultiEcho, Scan
from .tissues import MATTERS, Body, Matter, density_map, matter_map

if TYPE_CHECKING:
    from ..fat.spectra import Spectrum

__all__ = [
    "MATTERS", "SOURCE", "TRAINS", "Body", "Liver", "Matter", "Train", "Truth", "cells", "scanned", "train_named", "truth_of",
]  # fmt: skip

SOURCE = "simulated multi-echo scan (signal model on a label map, no patient)"
_FIELD_HZ_T = 25.0  # how uneven the field is, standard deviation per tesla
_COILS = 0.15  # how uneven the coils are, relative


@dataclass(frozen=True)
class Train:
    """One row: echo times in ms, field in tesla, TR in ms, flip angle in degrees, and the alternating phase of a bipolar
    read-out in radians."""

    te_ms: tuple[float, ...]
    field_t: float
    tr_ms: float
    flip_deg: float
    alternation_rad: float = 0.0


def _even(first_ms: float, step_ms: float, count: int = 6) -> tuple[float, ...]:
    return tuple(round(first_ms + n * step_ms, 3) for n in range(count))


TRAINS: Mapping[str, Train] = {  # like those of the vendors, rounded
    "3t": Train(_even(1.15, 0.95), 3.0, 8.5, 3.0),
    "1.5t": Train(_even(1.2, 1.9), 1.5, 14.0, 5.0),
    "3t-wide": Train((1.05, 2.46, 3.69, 4.92, 6.15, 7.38), 2.8936, 9.0, 4.0),
    "1.5t-wide": Train(_even(2.38, 2.38), 1.4941, 15.6, 5.0),
    "3t-short": Train(_even(0.97, 0.7), 3.0, 5.7, 3.0),
    "1.5t-dense": Train(_even(1.1, 0.9, 12), 1.5, 15.0, 5.0),
    "3t-bipolar": Train(_even(1.1, 1.1, 12), 2.8949, 15.0, 3.0, 0.14),
}


@dataclass(frozen=True)
class Liver:
    """PDFF in % and R2* in 1/s of the liver, how unevenly they are spread (standard deviations of smooth patches about
    `grain_mm` wide), and by how much the left end differs from the right end in PDFF."""

    pdff: float = 8.0
    r2star: float = 45.0
    pdff_sd: float = 0.0
    r2star_sd: float = 0.0
    grain_mm: float = 25.0
    left_minus_right: float = 0.0


@dataclass(frozen=True, eq=False)
class Truth:
    """What a simulated scan is made of, on its own grid; arrays [k, j, i]."""

    labels: LabelMask  # the code with the largest share of each voxel
    pure: np.ndarray  # bool: liver and nothing else
    signal: np.ndarray  # water and fat together at echo time 0; a liver's is 1
    pdff: np.ndarray  # %
    r2star: np.ndarray  # 1/s
    field_t: float


def train_named(name: str) -> Train:
    try:
        return TRAINS[name]
    except KeyError:
        raise InputError(f"unknown echo train {name!r}; expected one of: {', '.join(TRAINS)}") from None


def truth_of(
    scan: Scan,
    labels: LabelMask,
    grid: Grid,
    liver: Liver,
    *,
    field_t: float = 3.0,
    seed: int = 0,
    body: Body | None = None,
) -> Truth:
    """What would lie in the voxels of `grid`: each tissue by the share of the voxel that it fills.

    `scan` says what the labels do not name: on CT air, fat, lean tissue and bone by their HU; on MR the body, as light
    and dark as it is there, and a rim of fat.
    """
    body = body or Body()
    matter = matter_map(scan, labels)
    density = density_map(scan, matter, body.texture)
    pdff, rate = _uneven(liver, labels, np.random.default_rng(seed))
    shape = grid.array_shape
    water, fat, decay = (np.zeros(shape, np.float32) for _ in range(3))
    most, codes, own = np.full(shape, 0.5, np.float32), np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
    for code in np.unique(matter):
        here, row = matter == code, body.matters[int(code)]
        share = _laid(here.astype(np.float32), labels.grid, grid)
        dense = share if (density[here] == 1.0).all() else _laid(here * density, labels.grid, grid)
        percent, speed = row.pdff * dense, row.rate(field_t) * dense
        if code == LIVER:
            own = share
            percent, speed = (
                _laid(np.where(here, values * density, 0.0), labels.grid, grid) for values in (pdff, rate)
            )
        if code in LABELS:
            codes[share > most] = code
        water += row.signal * (dense - percent / 100.0)
        fat += row.signal * percent / 100.0
        decay += row.signal * speed
    signal = water + fat
    there = signal > 1e-3
    safe = np.where(there, signal, 1.0)
    return Truth(
        LabelMask(codes, grid), own > 0.999, signal, np.where(there, 100.0 * fat / safe, 0.0),
        np.where(there, decay / safe, 0.0), field_t,
    )  # fmt: skip


def cells(pdffs: tuple[float, ...], rates: tuple[float, ...], count: int, *, field_t: float = 3.0) -> Truth:
    """`count` voxels along i for each PDFF (j) and each R2* (k): all liver, one value a cell."""
    grid = Grid((count, len(pdffs), len(rates)))
    rate, pdff, _ = np.meshgrid(rates, pdffs, np.zeros(count), indexing="ij")
    ones = np.ones(grid.array_shape)
    return Truth(LabelMask(ones.astype(np.uint8), grid), ones > 0, ones, pdff, rate, field_t)


def scanned(
    truth: Truth, train: Train, spectrum: Spectrum, *, snr: float = 50.0, seed: int = 0, uneven: bool = True
) -> MultiEcho:
    """The echoes of a truth. `snr` is the liver's signal at echo time 0 over the noise of one channel; infinity is none.

    With `uneven` the field and the coils vary over the scan; without, every voxel is on resonance and alike.
    """
    rng = np.random.default_rng(seed)
    grid, shape = truth.labels.grid, truth.signal.shape
    hertz, coils, start = (np.zeros(shape), np.ones(shape), np.zeros(shape))
    if uneven:
        hertz = _FIELD_HZ_T * train.field_t * _smooth(grid, rng, 120.0)
        coils = np.exp(_COILS * _smooth(grid, rng, 200.0))
        start = np.pi * _smooth(grid, rng, 150.0)
    fat = spectrum.phasor(train.te_ms, train.field_t)
    magnitude, phase = (np.empty((len(fat), *shape), np.float32) for _ in range(2))
    for n, (te_ms, by_fat) in enumerate(zip(train.te_ms, fat)):
        share = truth.pdff / 100.0
        turn = start + 2e-3 * np.pi * te_ms * hertz + (-1) ** n * train.alternation_rad
        signal = coils * truth.signal * (1 - share + share * by_fat) * np.exp(1j * turn - 1e-3 * te_ms * truth.r2star)
        if np.isfinite(snr):
            signal = signal + (rng.normal(0, 1 / snr, shape) + 1j * rng.normal(0, 1 / snr, shape))
        magnitude[n], phase[n] = np.abs(signal), np.angle(signal)
    return MultiEcho(
        magnitude, phase, train.te_ms, train.field_t, train.tr_ms, train.flip_deg, grid, SOURCE, (SYNTHETIC,)
    )


def _uneven(liver: Liver, labels: LabelMask, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """PDFF and R2* everywhere, so that their means over the liver are what was asked for; none is negative."""
    here = np.isin(labels.voxels, (LIVER,))
    if not here.any():
        raise InputError("the label map holds no liver (code 1); expected one to simulate")
    across = _coordinates(labels.grid)[0]
    span = np.ptp(across[here]) or 1.0
    told = []
    for mean, sd, slope in ((liver.pdff, liver.pdff_sd, liver.left_minus_right), (liver.r2star, liver.r2star_sd, 0.0)):
        patches = _smooth(labels.grid, rng, liver.grain_mm)
        patches = (patches - patches[here].mean()) / max(float(patches[here].std()), 1e-6)
        values = mean + sd * patches + slope * (across - across[here].mean()) / span
        told.append(np.maximum(values, 0.0))
    return told[0], told[1]


def _smooth(grid: Grid, rng: np.random.Generator, width_mm: float) -> np.ndarray:
    """A random field that changes over about `width_mm`: mean 0, standard deviation 1 over the grid."""
    step_mm = width_mm / 4
    coarse = grid.respaced([max(step_mm, s) for s in grid.spacing_mm])
    values = ndimage.gaussian_filter(rng.normal(size=coarse.array_shape), 1.5, mode="wrap")
    fine = ndimage.zoom(values, np.divide(grid.array_shape, values.shape), order=1, mode="nearest", grid_mode=True)
    return (fine - fine.mean()) / max(float(fine.std()), 1e-6)


def _coordinates(grid: Grid) -> np.ndarray:
    """Patient position of every voxel, mm, [3, k, j, i]."""
    k, j, i = np.indices(grid.array_shape)
    points = grid.world_mm(np.stack([i, j, k], axis=-1).reshape(-1, 3))
    return points.T.reshape(3, *grid.array_shape)


def _laid(values: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Averaged over the voxels of `target`."""
    return resampled(*shrunk(values.astype(np.float32), source, target), target)
