"""Maps -> pictures in colour beside the anatomy, each with the scale that it is drawn with. NumPy and SimpleITK only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry import Grid, resampled
from ..records import LabelMask, Scan
from .marks import STAMP, WHITE, Rgb, inked, lettered, outline, scale_bar, written
from .pictures import AXIAL, GAP_PX, PAGE_PX, STRIP_PX, Canvas, near, padded, side_by_side

_TICKS = 5  # of a colour bar, both ends among them
_BAR_PX = 14
# Viridis of Smith and van der Walt (CC0), every 32nd of 256 colours: light grows with the value, for every reader
_VIRIDIS = np.array([
    (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99), (170, 220, 50),
    (253, 231, 37),
], np.float32)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Coloured:
    """A map [k, j, i] and the largest value of its scale, which begins at 0."""

    values: np.ndarray
    top: float


def scale_top(values: np.ndarray, steps: Sequence[float]) -> float:
    """The first step that holds 95 of 100 values: few scales, so that two patients can be compared by eye."""
    held = values[np.isfinite(values)]
    high = float(np.percentile(held, 95)) if held.size else 0.0
    return next((step for step in steps if high <= step), steps[-1])


def beside_anatomy(
    scan: Scan, liver: LabelMask, measured: np.ndarray, maps: Mapping[str, Coloured], most: int = 4
) -> Rgb:
    """A row a slice, head first: the scan with the liver's outline, then each map; white is what was measured.

    `measured` is bool [k, j, i]. Under each column of maps lies its scale; under each slice its number, counted from 1
    at the lowest slice of the scan.
    """
    canvas = Canvas(scan, liver)
    columns = 1 + len(maps)
    width_px = (PAGE_PX - GAP_PX * (columns - 1)) // columns
    pixel_mm = canvas.grid.size[0] * canvas.grid.spacing_mm[0] / width_px
    rows = []
    for n, k in enumerate(_within(*canvas.span, most)):
        plane = canvas.grid.plane(AXIAL, k, pixel_mm)
        ring = outline(_laid(measured.astype(np.uint8), scan.grid, plane) > 0)
        tiles = [inked(canvas.drawn(plane), [(ring, WHITE)])]
        tiles += [inked(_drawn(one, scan.grid, plane), [(ring, WHITE)]) for one in maps.values()]
        if n == 0:
            tiles[0] = _signed(tiles[0], scan, plane)
        strip = np.zeros((STRIP_PX, tiles[0].shape[1], 3), np.uint8)
        under = [lettered(strip, [(written(str(k + 1)), 0.5, 0.0)]), *(strip for _ in maps)]
        rows.append(side_by_side([np.concatenate(pair) for pair in zip(tiles, under)]))
    width = rows[0].shape[1]
    tile = (width - GAP_PX * (columns - 1)) // columns
    blank = np.zeros((_BAR_PX + STRIP_PX, tile, 3), np.uint8)
    rows.append(side_by_side([blank, *(colour_bar(one.top, tile) for one in maps.values())]))
    return np.concatenate([padded(row, width) for row in rows])[:-GAP_PX]


def coloured(values: np.ndarray, top: float) -> Rgb:
    """0 to `top` through the colours; what lies outside takes those of the ends, NaN is black."""
    known = np.isfinite(values)
    place = np.clip(np.where(known, values, 0.0) / top, 0.0, 1.0) * (len(_VIRIDIS) - 1)
    steps = np.arange(len(_VIRIDIS))
    channels = [np.interp(place, steps, _VIRIDIS[:, n]) for n in range(3)]
    return (np.stack(channels, axis=-1) * known[..., None]).round().astype(np.uint8)


def colour_bar(top: float, width_px: int) -> Rgb:
    """The scale from 0 to `top`, with numbers below."""
    ramp = coloured(np.linspace(0.0, top, width_px)[None].repeat(_BAR_PX, axis=0), top)
    words = [(written(f"{tick:g}"), 0.5, n / (_TICKS - 1)) for n, tick in enumerate(np.linspace(0.0, top, _TICKS))]
    return np.concatenate([ramp, lettered(np.zeros((STRIP_PX, width_px, 3), np.uint8), words)])


def _within(first: int, last: int, most: int) -> list[int]:
    """The middle slices of equal parts of [first, last), the highest first: the ends of a liver show little of it."""
    count = min(most, last - first)
    return [int(first + (n + 0.5) * (last - first) / count) for n in range(count)][::-1]


def _drawn(one: Coloured, grid: Grid, plane: Grid) -> Rgb:
    return coloured(_laid(one.values.astype(np.float32), grid, plane, outside=np.nan), one.top)


def _laid(values: np.ndarray, grid: Grid, plane: Grid, outside: float = 0.0) -> np.ndarray:
    """Voxel by voxel: interpolation would spread what is not known, and blur what was measured."""
    return resampled(*near(values, grid, plane), plane, nearest=True, outside=outside)[0]


def _signed(tile: Rgb, scan: Scan, plane: Grid) -> Rgb:
    """The scale bar, and for a made-up scan the word that says so."""
    tile = lettered(tile, [(scale_bar(plane.spacing_mm[0], plane.size[0]), 1.0, 1.0)])
    made_up = any(notice.code == "synthetic" for notice in scan.notices)
    return lettered(tile, [(written("SYNTHETIC", 2), 0.0, 0.0)], STAMP) if made_up else tile
