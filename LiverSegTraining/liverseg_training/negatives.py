"""Bodies without a liver: heads, pelves, legs and bottles from simple shapes, so that a network learns to find nothing.

Nothing large and one-sided is ever drawn: what lies on the right below a dome may well be a liver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

_AIR, _FAT, _MUSCLE, _BRAIN, _BONE, _WATER = -1000.0, -100.0, 50.0, 36.0, 700.0, 8.0  # HU


def random_body(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], rng: np.random.Generator
) -> torch.Tensor:
    """HU [k, j, i] of one made-up body without abdominal organs; `spacing_mm` is (x, y, z)."""
    axes = [(torch.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing_mm[::-1])]
    z, y, x = torch.meshgrid(*(axis.float() for axis in axes), indexing="ij")
    offset = rng.normal(0, 8.0, 3)
    image = torch.full(shape, _AIR)
    kind = list(BODIES)[int(rng.integers(len(BODIES)))]
    BODIES[kind](image, (x - offset[0], y - offset[1], z - offset[2]), rng)
    grain = torch.from_numpy(rng.standard_normal(shape, np.float32))
    return image + grain * float(rng.uniform(2.0, 15.0))


Coordinates = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _inside(at: Coordinates, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> torch.Tensor:
    return sum(((a - c) / r) ** 2 for a, c, r in zip(at, centre, radii)) <= 1.0  # type: ignore[return-value]


def _tube(at: Coordinates, centre: tuple[float, float], radii: tuple[float, float]) -> torch.Tensor:
    return ((at[0] - centre[0]) / radii[0]) ** 2 + ((at[1] - centre[1]) / radii[1]) ** 2 <= 1.0


def _head(image: torch.Tensor, at: Coordinates, rng: np.random.Generator) -> None:
    size = float(rng.uniform(0.85, 1.15))
    for share, grey in ((1.0, _MUSCLE), (0.94, _BONE), (0.88, _WATER), (0.85, _BRAIN)):
        image[_inside(at, (0, 0, 0), (78 * size * share, 96 * size * share, 92 * size * share))] = grey
    for side in (-1, 1):
        image[_inside(at, (side * 12.0, 0, 10), (8, 28, 16))] = _WATER  # ventricles
        image[_inside(at, (side * 32.0, -80 * size, -20), (13, 13, 13))] = _WATER  # eyes
    if rng.random() < 0.5:
        image[_tube(at, (0, 10), (55 * size, 60 * size)) & (at[2] < -70 * size)] = _MUSCLE  # neck


def _pelvis(image: torch.Tensor, at: Coordinates, rng: np.random.Generator) -> None:
    wide, deep = float(rng.uniform(150, 190)), float(rng.uniform(95, 130))
    image[_tube(at, (0, 0), (wide, deep))] = _FAT
    image[_tube(at, (0, 5), (wide - 22, deep - 18))] = _MUSCLE
    image[_tube(at, (0, -8), (wide - 50, deep - 40))] = _FAT
    for side in (-1, 1):
        image[_inside(at, (side * 90.0, 10, -10), (28, 45, 85))] = _BONE
        image[_tube(at, (side * 45.0, 30), (24, 28))] = _MUSCLE
    image[_tube(at, (0, 65), (32, 24))] = _BONE
    image[_inside(at, (0, -30, float(rng.uniform(-60, 0))), (38, 34, 32))] = _WATER  # bladder
    for _ in range(int(rng.integers(3, 12))):
        x, y, z = rng.uniform(-85, 85), rng.uniform(-50, 10), rng.uniform(-100, 120)
        image[_inside(at, (x, y, z), (18, 15, 18))] = float(rng.choice([35.0, 120.0, -700.0]))  # bowel


def _legs(image: torch.Tensor, at: Coordinates, rng: np.random.Generator) -> None:
    thick = float(rng.uniform(55, 85))
    for side in (-1, 1):
        for share, grey in ((1.0, _FAT), (0.85, _MUSCLE), (0.2, _BONE)):
            image[_tube(at, (side * (thick + 8), 0), (thick * share, thick * share))] = grey


def _bottle(image: torch.Tensor, at: Coordinates, rng: np.random.Generator) -> None:
    radius = float(rng.uniform(50, 150))
    grey = float(rng.uniform(-80, 200))
    image[_tube(at, (0, 0), (radius, radius)) & (at[2].abs() < float(rng.uniform(40, 200)))] = grey


BODIES: Mapping[str, Callable[[torch.Tensor, Coordinates, np.random.Generator], None]] = {
    "head": _head, "pelvis": _pelvis, "legs": _legs, "bottle": _bottle,
}  # fmt: skip
