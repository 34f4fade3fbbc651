"""Made-up lesions in real livers on CT: number, size, shape, grey values and what they push aside are drawn from LAWS.

They stand for what a data set without lesions lacks. Hypodense ones are most, as in portal venous scans; nothing here
was fitted to patients, and a model that saw no others says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from liverseg_core.geometry import Triple
from liverseg_core.labels import LESION, LIVER
from scipy import ndimage, special

Range = tuple[float, float]


@dataclass(frozen=True)
class Kind:
    """One row: how often it is drawn, and from which ranges (uniform) its looks are."""

    share: float
    contrast_hu: Range  # against the liver around it; a fluid's own density where `absolute`
    edge_mm: Range  # over which it fades into the liver
    texture_hu: float  # standard deviation of its own grain, beside the scan's noise
    patchy_hu: float  # of its patches, a third of its radius wide
    rim: float = 0.0  # share that has one
    rim_hu: Range = (0.0, 0.0)
    core: float = 0.0  # share, of those above 25 mm, whose middle differs
    core_hu: Range = (0.0, 0.0)
    absolute: bool = False


KINDS: Mapping[str, Kind] = {
    "metastasis": Kind(0.55, (-60.0, -18.0), (1.5, 4.0), 4.0, 7.0, 0.35, (6.0, 28.0), 0.5, (-30.0, -8.0)),
    "cyst": Kind(0.15, (0.0, 14.0), (0.6, 1.2), 1.5, 0.0, absolute=True),
    "hypervascular": Kind(0.20, (18.0, 60.0), (1.2, 3.0), 5.0, 9.0, 0.25, (-28.0, -10.0), 0.4, (-70.0, -25.0)),
    "ring": Kind(0.10, (-50.0, -22.0), (1.2, 3.0), 4.0, 6.0, 1.0, (18.0, 55.0), 0.5, (-25.0, -8.0)),
}


@dataclass(frozen=True)
class Laws:
    """Where lesions are drawn from, kinds apart."""

    mean_count: float = 3.5  # one at least, geometric
    most: int = 12
    median_mm: float = 15.0  # of the diameter, log-normal
    spread: float = 0.6  # standard deviation of the diameter's logarithm
    smallest_mm: float = 5.0
    largest_mm: float = 80.0
    oblong: float = 0.16  # standard deviation of the logarithm of each half axis
    lumpy: float = 0.30  # largest standard deviation of the radius, as a share of it
    pushed: float = 0.6  # largest share of the lesion's volume that pushes tissue aside; the rest takes its place
    most_burden: float = 0.3  # share of the liver in view that lesions may take
    inside: float = 0.75  # share of a lesion that lies in the liver, at least


LAWS = Laws()
_TRIES = 12  # places for a lesion, each third time of a smaller one
_CALM = 2.5  # in radii: what is pushed aside beyond this is not
_AROUND_MM = 9.0  # over which the liver's own density is averaged
_GRAIN_MM = 2.0  # what is finer than this is the scan's noise
_LUMPS = ((0.5, 0.8), (0.22, 0.35))  # size of the dents, in radii, and their share of the deformation
_BIG_MM = 25.0  # a core is drawn in larger ones alone


@dataclass(frozen=True)
class Lesion:
    """What was drawn for one lesion; `volume_ml` is what it took of the liver in view."""

    kind: str
    centre: tuple[float, float, float]  # voxels k, j, i
    radii_mm: Triple  # half axes, before its surface is deformed
    contrast_hu: float
    edge_mm: float
    rim_hu: float
    core_hu: float
    lumpy: float
    pushed: float
    volume_ml: float = 0.0

    @property
    def diameter_mm(self) -> float:
        return float(2.0 * np.prod(self.radii_mm) ** (1 / 3))


def implanted(
    image: np.ndarray, codes: np.ndarray, spacing_mm: Triple, rng: np.random.Generator, laws: Laws = LAWS
) -> tuple[np.ndarray, np.ndarray, tuple[Lesion, ...]]:
    """Copies of a CT in HU and of its codes, [k, j, i], with lesions (code 2) in the liver, and what was drawn.

    Lesions displace what is around them, the liver's own border and its neighbours too. None where there is too little
    liver in view.
    """
    image, codes = image.astype(np.float32), codes.copy()
    spacing = np.asarray(spacing_mm)[::-1]
    room = laws.most_burden * float((codes == LIVER).sum())
    done: list[Lesion] = []
    for _ in range(min(int(rng.geometric(1.0 / laws.mean_count)), laws.most)):
        lesion = _drawn(laws, rng)
        placed = _placed(lesion, codes, spacing, rng, laws.inside)
        if placed is None or _volume_mm3(placed) / float(spacing.prod()) > room:
            continue
        taken = _implant(placed, image, codes, spacing, rng)
        room -= taken
        done.append(replace(placed, volume_ml=round(taken * float(spacing.prod()) / 1000.0, 3)))
    return image, codes, tuple(done)


def stray_lesions(codes: np.ndarray) -> list[int]:
    """Voxel counts of the lesions that touch no liver, largest first: their reference is wrong, or its liver is."""
    parts, count = ndimage.label(codes == LESION, np.ones((3, 3, 3)))
    if count == 0:
        return []
    near = ndimage.binary_dilation(codes == LIVER, np.ones((3, 3, 3)))
    touching = set(np.unique(parts[near]).tolist())
    sizes = np.bincount(parts.ravel())
    return sorted((int(sizes[n]) for n in range(1, count + 1) if n not in touching), reverse=True)


def _drawn(laws: Laws, rng: np.random.Generator) -> Lesion:
    """Everything about a lesion but its place."""
    names = list(KINDS)
    shares = np.array([KINDS[name].share for name in names])
    name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
    kind = KINDS[name]
    diameter = float(np.clip(laws.median_mm * np.exp(rng.normal(0, laws.spread)), laws.smallest_mm, laws.largest_mm))
    x, y, z = diameter / 2.0 * np.exp(rng.normal(0, laws.oblong, 3))
    draws = rng.random(2)
    return Lesion(
        name, (0.0, 0.0, 0.0), (float(x), float(y), float(z)),
        contrast_hu=float(rng.uniform(*kind.contrast_hu)),
        edge_mm=float(rng.uniform(*kind.edge_mm)),
        rim_hu=float(rng.uniform(*kind.rim_hu)) * bool(draws[0] < kind.rim),
        core_hu=float(rng.uniform(*kind.core_hu)) * bool(draws[1] < kind.core and diameter > _BIG_MM),
        lumpy=float(rng.uniform(0, laws.lumpy)) * (not kind.absolute),
        pushed=float(rng.uniform(0, laws.pushed)),
    )  # fmt: skip


def _placed(
    lesion: Lesion, codes: np.ndarray, spacing: np.ndarray, rng: np.random.Generator, inside: float
) -> Lesion | None:
    """The lesion somewhere in the liver, smaller where it finds no place; None where it finds none at all."""
    spots = np.flatnonzero(codes == LIVER)
    if len(spots) == 0:
        return None
    for n in range(_TRIES):
        place = np.unravel_index(int(spots[int(rng.integers(len(spots)))]), codes.shape)
        here = replace(lesion, centre=(float(place[0]), float(place[1]), float(place[2])))
        ball = _volume_mm3(here) / float(spacing.prod())
        block = _block(here, codes.shape, spacing, 1.3)
        offsets = _offsets(here, block, spacing)
        own = codes[block][(np.square(offsets / np.asarray(here.radii_mm)[::-1]).sum(-1)) < 1.0]
        if np.count_nonzero(own == LIVER) >= inside * max(len(own), 0.7 * ball, 1.0):
            return here
        if n % 3 == 2:
            x, y, z = (0.8 * r for r in lesion.radii_mm)
            lesion = replace(lesion, radii_mm=(x, y, z))
    return None


def _implant(
    lesion: Lesion, image: np.ndarray, codes: np.ndarray, spacing: np.ndarray, rng: np.random.Generator
) -> int:
    """Draw one lesion into image and codes; how many voxels it took."""
    block = _block(lesion, codes.shape, spacing, 1.2 * _CALM)
    offsets = _offsets(lesion, block, spacing)
    turned = offsets @ _turn(rng)
    reach = np.linalg.norm(turned / np.asarray(lesion.radii_mm)[::-1], axis=-1)
    mean_mm = lesion.diameter_mm / 2.0
    lumps = sum(share * _noise(reach.shape, size * mean_mm / spacing, rng) for size, share in _LUMPS)
    reach /= np.exp(lesion.lumpy * lumps - 1.5 * lesion.lumpy**2)  # which keeps the mean volume
    depth_mm = (1.0 - reach) * np.linalg.norm(offsets, axis=-1) / np.maximum(reach, 1e-3)  # positive inside
    depth_mm = np.where(reach < 0.05, mean_mm, depth_mm)
    noise = _noise_of(image[block], codes[block] == LIVER, spacing)
    seen, held = _pushed(lesion, image[block], codes[block], offsets, reach, spacing)
    liver = held == LIVER
    edge = special.expit(4.0 * depth_mm / lesion.edge_mm)
    cover = edge * np.minimum(ndimage.gaussian_filter(liver.astype(np.float32), 0.6) * 1.25, 1.0)
    image[block] = seen + cover * (_greys(lesion, seen, liver, depth_mm, spacing, rng) + noise - seen)
    own = liver & (depth_mm > 0)
    held[own] = LESION
    codes[block] = held
    return int(np.count_nonzero(own))


def _greys(
    lesion: Lesion,
    seen: np.ndarray,
    liver: np.ndarray,
    depth_mm: np.ndarray,
    spacing: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """HU of the lesion at every voxel of its block: level, core, rim, its own grain and patches."""
    kind, radius = KINDS[lesion.kind], lesion.diameter_mm / 2.0
    sigma = _AROUND_MM / spacing
    weight = ndimage.gaussian_filter(liver.astype(np.float32), sigma)
    around = ndimage.gaussian_filter(np.where(liver, seen, 0.0), sigma) / np.maximum(weight, 1e-3)
    level = np.full_like(seen, lesion.contrast_hu) if kind.absolute else around + lesion.contrast_hu
    level += lesion.core_hu * np.clip((depth_mm / radius - 0.35) / 0.3, 0.0, 1.0)
    width = np.clip(0.10 * radius, 1.0, 3.0)
    level += (lesion.rim_hu - min(lesion.contrast_hu, 0.0) * bool(lesion.rim_hu > 0)) * np.exp(
        -np.square((depth_mm - 0.6 * width) / width)
    )
    level += kind.texture_hu * _noise(seen.shape, np.maximum(1.6 / spacing, 0.6), rng)
    level += kind.patchy_hu * _noise(seen.shape, 0.3 * radius / spacing, rng)
    return np.asarray(level, np.float32)


def _noise_of(image: np.ndarray, liver: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The scan's own noise; what is left of vessels' edges is clipped."""
    fine = image - ndimage.gaussian_filter(image, _GRAIN_MM / spacing)
    spread = float(fine[liver].std()) if liver.any() else 0.0
    return np.clip(fine, -2.0 * spread, 2.0 * spread)


def _pushed(
    lesion: Lesion, image: np.ndarray, codes: np.ndarray, offsets: np.ndarray, reach: np.ndarray, spacing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The block as it is once the lesion has pushed a part of its own volume aside: as an incompressible medium gives
    way around its middle, and not at all further off than _CALM radii."""
    taper = np.clip((_CALM - reach) / (_CALM - 1.0), 0.0, 1.0)
    share = lesion.pushed * taper * taper * (3.0 - 2.0 * taper)
    back = np.cbrt(np.maximum(reach**3 - share, 0.0)) / np.maximum(reach, 1e-3)
    start = np.indices(reach.shape) + ((back - 1.0)[..., None] * offsets / spacing).transpose(3, 0, 1, 2)
    seen = ndimage.map_coordinates(image, start, order=3, mode="nearest")
    return seen.astype(np.float32), ndimage.map_coordinates(codes, start, order=0, mode="nearest")


def _noise(shape: tuple[int, ...], sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of zero mean and unit variance; `sigma` in voxels."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), sigma, mode="wrap")
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6), np.float32)


def _turn(rng: np.random.Generator) -> np.ndarray:
    """A rotation, evenly drawn."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    return np.asarray(q * np.sign(np.diag(r)))


def _block(lesion: Lesion, shape: tuple[int, ...], spacing: np.ndarray, radii: float) -> tuple[slice, slice, slice]:
    reach = radii * max(lesion.radii_mm) / spacing + 2
    k, j, i = (slice(max(0, int(c - r)), min(n, int(c + r) + 2)) for c, r, n in zip(lesion.centre, reach, shape))
    return k, j, i


def _offsets(lesion: Lesion, block: tuple[slice, slice, slice], spacing: np.ndarray) -> np.ndarray:
    """mm from the lesion's middle, [k, j, i, 3] in the order (z, y, x)."""
    lines = [(np.arange(s.start, s.stop) - c) * mm for s, c, mm in zip(block, lesion.centre, spacing)]
    return np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).astype(np.float32)


def _volume_mm3(lesion: Lesion) -> float:
    return float(4.0 / 3.0 * np.pi * np.prod(lesion.radii_mm))
