"""Scan and mask -> PNG pictures with outlines. NumPy and SimpleITK only."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..geometry import Grid, bounding_block, resampled
from ..labels import LABELS, LESION, LIVER
from ..phases import PHASES
from ..records import LabelMask, Scan

Rgb = np.ndarray  # uint8 [row, column, 3]
_VIEW_PX = 460  # height of the three views
_TILE_PX = 190
_GAP_PX = 6


def three_views(scan: Scan, mask: LabelMask) -> Rgb:
    """Axial, coronal and sagittal through the liver's middle (the scan's, when there is none), side by side."""
    canvas = _Canvas(scan, mask)
    picture = _row([canvas.view(axis, int(canvas.middle[axis]), _VIEW_PX) for axis in (2, 1, 0)])
    return _stamped(picture) if any(notice.code == "synthetic" for notice in scan.notices) else picture


def montage(scan: Scan, mask: LabelMask, most: int = 24, columns: int = 6) -> Rgb:
    """Axial slices from the top of the liver to its bottom, evenly spaced, head first."""
    canvas = _Canvas(scan, mask)
    first, last = canvas.span
    count = min(most, last - first)
    chosen = np.unique(np.round(np.linspace(last - 1, first, count)).astype(int))[::-1]
    tiles = [canvas.view(2, int(k), _TILE_PX) for k in chosen]
    rows = [_row(tiles[n : n + columns]) for n in range(0, len(tiles), columns)]
    width = max(row.shape[1] for row in rows)
    return np.concatenate([_padded(row, width) for row in rows])


def png_bytes(picture: Rgb) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        save_png(picture, path)
        return path.read_bytes()


def save_png(picture: Rgb, path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(picture, isVector=True), str(path))


class _Canvas:
    """Draws planes of one scan with the outlines of one mask."""

    def __init__(self, scan: Scan, mask: LabelMask) -> None:
        self.scan, self.mask = scan, mask
        self.grid = scan.grid.canonical()
        liver = (mask.voxels == LIVER) | (mask.voxels == LESION)
        block = bounding_block(liver if liver.any() else mask.voxels > 0, mask.grid) or scan.grid
        first, last = self.grid.overlap(block)
        self.span = (int(first[2]), int(last[2]))
        self.middle = (first + last - 1) // 2
        if liver.any():
            centre = self.grid.index_of(
                mask.grid.world_mm(np.argwhere(liver)[:: max(1, liver.sum() // 5000), ::-1]).mean(axis=0)
            )
            self.middle = np.clip(np.round(centre).astype(int), 0, np.asarray(self.grid.size) - 1)
        self.low, self.high = _display_range(scan, liver)
        self.extent_mm = np.asarray(self.grid.size) * self.grid.spacing_mm

    def view(self, axis: int, index: int, height_px: int) -> Rgb:
        """One plane drawn at the size it is shown at, so that outlines keep their width; flat ones are padded."""
        rows_mm = self.extent_mm[1] if axis == 2 else self.extent_mm[2]
        widest_mm = self.extent_mm[1] if axis == 0 else self.extent_mm[0]
        pixel_mm = float(max(rows_mm / height_px, widest_mm / (2 * height_px)))
        plane = self.grid.plane(axis, index, pixel_mm)
        grey = resampled(self.scan.voxels, self.scan.grid, plane, outside=self.low)[0]
        shade = (np.clip((grey - self.low) / (self.high - self.low), 0, 1) * 255).astype(np.uint8)
        picture = np.repeat(shade[..., None], 3, axis=-1)
        codes, block = self._near(plane)
        for code in (int(c) for c in np.unique(codes) if c):
            inside = resampled((codes == code).astype(np.uint8), block, plane)[0] >= 0.5
            picture[_outline(inside)] = LABELS[code].colour
        missing = max(0, height_px - len(picture))
        return np.pad(picture, ((missing // 2, missing - missing // 2), (0, 0), (0, 0)))[:height_px]

    def _near(self, plane: Grid) -> tuple[np.ndarray, Grid]:
        """The part of the mask around a plane, so that outlines are interpolated and not the whole volume."""
        first, last = self.mask.grid.overlap(plane, margin_mm=1.01 * max(self.mask.grid.spacing_mm))
        block = self.mask.grid.cropped(first, last - first)
        return self.mask.voxels[block.slices_in(self.mask.grid)], block


def _outline(inside: np.ndarray) -> np.ndarray:
    """Two pixels wide, on the border of the region."""
    padded = np.pad(inside, 1)
    eroded = padded[1:-1, 1:-1] & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    edge = inside & ~eroded
    out: np.ndarray = edge.copy()
    out[1:] |= edge[:-1] & inside[1:]
    out[:, 1:] |= edge[:, :-1] & inside[:, 1:]
    return out


def _display_range(scan: Scan, liver: np.ndarray) -> tuple[float, float]:
    """The phase's window on CT; on MR from black to what is bright in and around the liver."""
    window = PHASES[scan.phase].display
    if window is not None:
        return window[0] - window[1] / 2, window[0] + window[1] / 2
    values = scan.voxels.ravel()[:: max(1, scan.voxels.size // 400_000)]
    low, high = (float(q) for q in np.percentile(values, (1.0, 99.7)))
    if liver.any():
        high = max(min(high, 3.5 * float(np.median(scan.voxels[liver])) - 2.5 * low), low + 0.3 * (high - low))
    return low, max(high, low + 1e-3)


_LETTERS = {  # five by seven, a row a number
    "S": (15, 16, 16, 14, 1, 1, 30), "Y": (17, 17, 10, 4, 4, 4, 4), "N": (17, 25, 21, 19, 17, 17, 17),
    "T": (31, 4, 4, 4, 4, 4, 4), "H": (17, 17, 17, 31, 17, 17, 17), "E": (31, 16, 16, 30, 16, 16, 31),
    "I": (14, 4, 4, 4, 4, 4, 14), "C": (14, 17, 16, 16, 16, 17, 14),
}  # fmt: skip


def _stamped(picture: Rgb, word: str = "SYNTHETIC", scale: int = 3) -> Rgb:
    """The word across the lower left corner: a made-up scan must never pass for a patient."""
    rows = [[[row >> (4 - n) & 1 for n in range(5)] + [0] for row in _LETTERS[letter]] for letter in word]
    ink = np.kron(np.concatenate([np.array(letter) for letter in rows], axis=1), np.ones((scale, scale))) > 0
    out = picture.copy()
    corner = out[-ink.shape[0] - 8 : -8, 8 : 8 + ink.shape[1]]
    corner[ink[:, : corner.shape[1]]] = (86, 180, 233)
    return out


def _row(pictures: Sequence[Rgb]) -> Rgb:
    height = max(p.shape[0] for p in pictures)
    gap = np.zeros((height, _GAP_PX, 3), np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


def _padded(row: Rgb, width: int) -> Rgb:
    return np.pad(row, ((0, _GAP_PX), (0, width - row.shape[1]), (0, 0)))
