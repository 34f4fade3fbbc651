"""A synthetic abdomen: organs from analytic shapes, the contrasts of CT and MR, and a truth that is known.

It is the phantom of the tests and the scan of a first run. It imitates no patient, and says so wherever it is shown.
Coordinates are LPS mm about the middle of the liver: x toward the left, y toward the back, z toward the head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .errors import InputError
from .geometry import Grid, Triple
from .labels import LABELS
from .records import SYNTHETIC, LabelMask, Scan

Points = np.ndarray  # mm, last axis (x, y, z)
Shape = Callable[[Points], np.ndarray]  # negative inside; about the distance in mm near the surface

CONTRASTS = ("ct", "t1", "t2")
PHASE_OF = {"ct": "ct_portal", "t1": "mr_t1_native", "t2": "mr_t2fs"}
SOURCE = "synthetic abdomen (analytic shapes, no patient)"


@dataclass(frozen=True)
class Tissue:
    """One row: what it is, its code (0: not annotated), its shape, and its grey value on CT (HU), T1 and T2 (a.u.)."""

    name: str
    code: int
    shape: Shape
    grey: tuple[float, float, float]


def ellipsoid(centre: Triple, radii: Triple, tilt_deg: float = 0.0) -> Shape:
    """`tilt_deg` turns it about the z axis."""
    angle = np.deg2rad(tilt_deg)
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])

    def distance(p: Points) -> np.ndarray:
        own = (p - centre) @ turn.T
        scaled = np.linalg.norm(own / radii, axis=-1)
        slope = np.linalg.norm(own / np.square(radii), axis=-1)
        return scaled * (scaled - 1.0) / np.maximum(slope, 1e-6)  # first-order distance of an ellipsoid

    return distance


def tube(start: Triple, end: Triple, radius: float) -> Shape:
    a, along = np.asarray(start), np.subtract(end, start)

    def inside(p: Points) -> np.ndarray:
        share = np.clip((p - a) @ along / (along @ along), 0.0, 1.0)
        return np.linalg.norm(p - (a + share[..., None] * along), axis=-1) - radius

    return inside


def column(centre: tuple[float, float], radii: tuple[float, float], power: float = 2.0) -> Shape:
    """The same cross-section at every height; a higher power makes it boxier."""

    def inside(p: Points) -> np.ndarray:
        scaled = np.abs((p[..., :2] - centre) / radii) ** power
        return (scaled.sum(axis=-1) ** (1 / power) - 1.0) * min(radii)

    return inside


def either(*shapes: Shape) -> Shape:
    return lambda p: np.min([shape(p) for shape in shapes], axis=0)


def both(*shapes: Shape) -> Shape:
    return lambda p: np.max([shape(p) for shape in shapes], axis=0)


def outside_of(shape: Shape, gap_mm: float = 0.0) -> Shape:
    return lambda p: gap_mm - shape(p)


def _above(height: float) -> Shape:
    return lambda p: height - p[..., 2]


def _tissues() -> tuple[Tissue, ...]:
    """Painted in this order: a later tissue covers an earlier one."""
    body = column((0, 0), (165, 112), 2.4)
    wall = column((0, 0), (147, 94), 2.4)
    cavity = column((0, -4), (134, 82), 2.4)
    kidney_right, kidney_left = ellipsoid((-62, 42, -58), (27, 25, 54), 20), ellipsoid((64, 42, -38), (27, 25, 56), -20)
    dome = either(ellipsoid((-68, 0, -8), (82, 88, 92)), ellipsoid((66, 0, -10), (78, 84, 82)))
    liver = both(
        either(ellipsoid((-70, 0, 0), (66, 74, 76)), ellipsoid((-5, -42, 24), (82, 36, 38), -10)),
        cavity,
        outside_of(kidney_right, 4.0),
    )
    spine = column((0, 52), (23, 20))
    return (
        Tissue("fat", 0, body, (-100, 0.95, 0.22)),
        Tissue("muscle", 0, wall, (58, 0.38, 0.18)),
        Tissue("visceral fat", 0, cavity, (-105, 0.95, 0.20)),
        Tissue("lung", 0, both(cavity, _above(20), outside_of(dome)), (-830, 0.03, 0.03)),
        Tissue("heart", 0, ellipsoid((22, -28, 104), (58, 46, 46), 25), (140, 0.36, 0.25)),
        Tissue("bowel", 0, either(*(ellipsoid(c, (22, 20, 22)) for c in _LOOPS)), (35, 0.42, 0.62)),
        Tissue(
            "bowel gas",
            0,
            either(*(ellipsoid((c[0], c[1] - 9, c[2]), (13, 8, 13)) for c in _LOOPS)),
            (-850, 0.02, 0.02),
        ),
        Tissue("stomach", 7, ellipsoid((62, -30, 36), (42, 36, 46), 20), (30, 0.30, 0.85)),
        Tissue("stomach gas", 7, ellipsoid((62, -48, 40), (27, 13, 28), 20), (-880, 0.02, 0.02)),
        Tissue("pancreas", 11, ellipsoid((18, 4, -14), (54, 11, 14), -12), (100, 0.62, 0.40)),
        Tissue("back muscle", 0, either(column((-42, 74), (32, 19)), column((42, 74), (32, 19))), (60, 0.38, 0.18)),
        Tissue("bone", 0, spine, (260, 0.50, 0.28)),
        Tissue("spinal canal", 0, column((0, 80), (9, 8)), (25, 0.18, 0.95)),
        Tissue("aorta", 8, column((12, 24), (10.5, 10.5)), (165, 0.30, 0.10)),
        Tissue("liver", 1, liver, (112, 0.60, 0.33)),
        Tissue("liver vessels", 1, both(liver, either(*_VESSELS)), (150, 0.34, 0.22)),
        Tissue("inferior vena cava", 9, column((-17, 26), (11, 10)), (140, 0.33, 0.14)),
        Tissue("gallbladder", 6, ellipsoid((-42, -50, -46), (13, 14, 26)), (8, 0.22, 1.00)),
        Tissue("spleen", 3, both(ellipsoid((100, 34, 22), (26, 46, 52), 18), cavity), (122, 0.42, 0.66)),
        Tissue("right kidney", 4, kidney_right, (175, 0.46, 0.72)),
        Tissue("left kidney", 5, kidney_left, (175, 0.46, 0.72)),
        Tissue("right sinus", 4, ellipsoid((-50, 38, -58), (9, 8, 20), 20), (-70, 0.85, 0.30)),
        Tissue("left sinus", 5, ellipsoid((52, 38, -38), (9, 8, 20), -20), (-70, 0.85, 0.30)),
    )


_LOOPS: tuple[Triple, ...] = (
    (-70, -35, -105), (-25, -50, -95), (25, -45, -70), (75, -25, -80), (40, -40, -115), (-10, -20, -125), (95, 0, -60),
)  # fmt: skip
_VESSELS = (
    tube((-8, 6, -14), (-45, -2, 4), 7.0),
    tube((-45, -2, 4), (-95, 10, -20), 4.5),
    tube((-45, -2, 4), (-100, -15, 22), 4.5),
    tube((-17, 22, 58), (-75, 5, 30), 5.0),
    tube((-17, 22, 58), (0, -40, 34), 4.5),
)
GRID = Grid((136, 96, 84), (2.6, 2.6, 3.0), (-175.5, -123.5, -132.0))


def abdomen(
    contrast: str = "ct", *, grid: Grid = GRID, seed: int = 0, noise: float = 1.0
) -> tuple[Scan, LabelMask, dict[int, float]]:
    """Scan, truth on its grid, and the volume of each code in ml (from the shapes, finer than the mask).

    Partial volume is the share of a voxel that each shape covers. `noise` scales the default noise; 0 is none.
    """
    if contrast not in CONTRASTS:
        raise InputError(f"unknown contrast {contrast!r} for the synthetic abdomen; known: {', '.join(CONTRASTS)}")
    column_of = CONTRASTS.index(contrast)
    grey = np.full(grid.array_shape, (-1000.0, 0.0, 0.0)[column_of], np.float32)
    shares = np.zeros((len(LABELS) + 1, *grid.array_shape), np.float32)
    shares[0] = 1.0
    for block, points in _slabs(grid):
        for tissue in _tissues():
            cover = _coverage(tissue.shape(points), grid)
            grey[block] += cover * (tissue.grey[column_of] - grey[block])
            shares[:, block] *= 1.0 - cover
            shares[tissue.code, block] += cover
    volumes = {code: float(shares[code].sum()) * grid.voxel_ml for code in LABELS if shares[code].any()}
    mask = LabelMask(shares.argmax(axis=0).astype(np.uint8), grid)
    voxels = _as_scanned(grey, contrast, np.random.default_rng(seed), noise)
    notices = (SYNTHETIC,)
    return Scan(voxels, grid, PHASE_OF[contrast], SOURCE, "made so", notices), mask, volumes


def _slabs(grid: Grid, depth: int = 8) -> Iterator[tuple[slice, Points]]:
    """A few slices at a time, with the patient position of every voxel centre in them."""
    i, j = np.arange(grid.size[0]), np.arange(grid.size[1])
    for first in range(0, grid.size[2], depth):
        last = min(first + depth, grid.size[2])
        k, jj, ii = np.meshgrid(np.arange(first, last), j, i, indexing="ij")
        index = np.stack([ii, jj, k], axis=-1)
        yield slice(first, last), grid.world_mm(index.reshape(-1, 3)).reshape(index.shape).astype(np.float32)


def _coverage(distance_mm: np.ndarray, grid: Grid) -> np.ndarray:
    """Share of each voxel inside a surface at this distance, as if the surface were flat there."""
    width = float(np.cbrt(np.prod(grid.spacing_mm)))
    return np.clip(0.5 - distance_mm / width, 0.0, 1.0)


def _as_scanned(grey: np.ndarray, contrast: str, rng: np.random.Generator, noise: float) -> np.ndarray:
    """CT: Gaussian noise in HU. MR: a smooth bias field, Rician noise, arbitrary units."""
    if contrast == "ct":
        return np.round(grey + rng.normal(0, 12.0 * noise, grey.shape)).clip(-1024, 3071).astype(np.int16)
    ramps = [np.linspace(-1, 1, n) for n in grey.shape]
    field = np.exp(0.15 * (ramps[0][:, None, None] + ramps[1][None, :, None] ** 2 - ramps[2][None, None, :]))
    real = grey * field + rng.normal(0, 0.03 * noise, grey.shape)
    other = rng.normal(0, 0.03 * noise, grey.shape)
    return np.round(900 * np.hypot(real, other)).astype(np.int16)


def truth_rows(volumes: Mapping[int, float]) -> dict[str, float]:
    return {LABELS[code].key: round(ml, 2) for code, ml in volumes.items()}
