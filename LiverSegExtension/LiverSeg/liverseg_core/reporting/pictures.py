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
from .marks import DASHED, STAMP, Colour, Ink, Rgb, inked, lettered, outline, scale_bar, written

PAGE_PX = 1038  # the width at which the page shows a picture: drawn so, lines and letters keep theirs
_TALLEST_PX = 700  # of the three views: a scan from head to foot is drawn smaller
GAP_PX = 6
STRIP_PX = 26  # under a slice, for a line of letters
_ENDS = (("R", "L"), ("A", "P"), ("F", "H"))  # where the axes of LPS come from and go to
AXIAL, _CORONAL, _SAGITTAL = 2, 1, 0


def three_views(scan: Scan, mask: LabelMask) -> Rgb:
    """Axial, coronal and sagittal through the liver's middle (the scan's, when there is none), all at one scale."""
    canvas = Canvas(scan, mask)
    x_mm, y_mm, z_mm = canvas.grid.size * np.asarray(canvas.grid.spacing_mm)
    pixel_mm = max((2 * x_mm + y_mm) / (PAGE_PX - 2 * GAP_PX - 3), max(y_mm, z_mm) / _TALLEST_PX)
    planes = [canvas.grid.plane(axis, int(canvas.middle[axis]), pixel_mm) for axis in (AXIAL, _CORONAL, _SAGITTAL)]
    height = max(plane.size[1] for plane in planes)
    views = [lettered(_framed(canvas.drawn(plane), height), _directions(plane)) for plane in planes]
    if any(notice.code == "synthetic" for notice in scan.notices):  # a made-up scan must never pass for a patient
        views[0] = lettered(views[0], [(written("SYNTHETIC", 3), 1, 0)], STAMP)
    return side_by_side(views)


def montage(scan: Scan, mask: LabelMask, most: int = 24) -> Rgb:
    """Axial slices from the top of the liver to its bottom, evenly spaced, head first, in four rows or fewer.

    Each carries its number, counted from 1 at the lowest slice of the scan, and the position of its middle in mm, larger
    toward the head (LPS z).
    """
    canvas = Canvas(scan, mask)
    chosen = _spread(*canvas.span, most)
    columns = max(4, -(-len(chosen) // 4))
    width_px = (PAGE_PX - GAP_PX * (columns - 1)) // columns
    pixel_mm = canvas.grid.size[0] * canvas.grid.spacing_mm[0] / width_px
    tiles = [_numbered(canvas, k, pixel_mm) for k in chosen]
    rows = [side_by_side(tiles[n : n + columns]) for n in range(0, len(tiles), columns)]
    return np.concatenate([padded(row, rows[0].shape[1]) for row in rows])[:-GAP_PX]


def png_bytes(picture: Rgb) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        save_png(picture, path)
        return path.read_bytes()


def save_png(picture: Rgb, path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(picture, isVector=True), str(path))


class Canvas:
    """Draws planes of one scan with the outlines of one mask."""

    def __init__(self, scan: Scan, mask: LabelMask) -> None:
        self.scan, self.mask = scan, mask
        self.grid = scan.grid.canonical()
        liver = (mask.voxels == LIVER) | (mask.voxels == LESION)
        block = bounding_block(liver, mask.grid)
        first, last = self.grid.overlap(block or bounding_block(mask.voxels > 0, mask.grid) or scan.grid)
        self.span = (int(first[2]), int(last[2]))
        self.middle = (first + last - 1) // 2
        bright = None
        if block is not None:
            where = block.slices_in(mask.grid)
            index = np.argwhere(liver[where])[:, ::-1]
            centre = self.grid.index_of(block.world_mm(index[:: max(1, len(index) // 5000)]).mean(axis=0))
            self.middle = np.clip(np.round(centre).astype(int), 0, np.asarray(self.grid.size) - 1)
            bright = scan.voxels[where][liver[where]]
        self.low, self.high = _display_range(scan, bright)

    def drawn(self, plane: Grid) -> Rgb:
        """One plane at the size it is shown at, so that outlines keep their width."""
        grey = resampled(*near(self.scan.voxels, self.scan.grid, plane), plane, outside=self.low)[0]
        shade = (np.clip((grey - self.low) / (self.high - self.low), 0, 1) * 255).astype(np.uint8)
        return inked(np.repeat(shade[..., None], 3, axis=-1), self._outlines(plane))

    def _outlines(self, plane: Grid) -> list[tuple[Ink, Colour]]:
        """Each structure's own; the liver's goes around its lesions, theirs lies within it."""
        codes, block = near(self.mask.voxels, self.mask.grid, plane)
        inks = []
        for code, label in LABELS.items():
            here = codes == code
            if code == LIVER:
                here |= codes == LESION
            if here.any():
                inside = resampled(here.astype(np.uint8), block, plane)[0] >= 0.5
                inks.append((outline(inside, dashed=code in DASHED), label.colour))
        return inks


def near(voxels: np.ndarray, grid: Grid, plane: Grid) -> tuple[np.ndarray, Grid]:
    """The part of a volume around a plane: all that interpolation needs, and little to copy."""
    first, last = grid.overlap(plane, margin_mm=1.01 * max(grid.spacing_mm))
    block = grid.cropped(first, last - first)
    return voxels[block.slices_in(grid)], block


def _display_range(scan: Scan, liver: np.ndarray | None) -> tuple[float, float]:
    """The phase's window on CT; on MR from black to what is bright in and around the liver (its voxels)."""
    window = PHASES[scan.phase].display
    if window is not None:
        return window[0] - window[1] / 2, window[0] + window[1] / 2
    values = scan.voxels.ravel()[:: max(1, scan.voxels.size // 400_000)]
    low, high = (float(q) for q in np.percentile(values, (1.0, 99.7)))
    if liver is not None:
        high = max(min(high, 3.5 * float(np.median(liver)) - 2.5 * low), low + 0.3 * (high - low))
    return low, max(high, low + 1e-3)


def _spread(first: int, last: int, most: int) -> list[int]:
    """Evenly spaced slices of [first, last), the highest first, both ends among them."""
    count = min(most, last - first)
    return [int(k) for k in np.round(np.linspace(last - 1, first, count))]


def _numbered(canvas: Canvas, k: int, pixel_mm: float) -> Rgb:
    """An axial slice; under it, where nothing is hidden, its number and its position."""
    tile = canvas.drawn(canvas.grid.plane(AXIAL, k, pixel_mm))
    i, j, _ = canvas.grid.size
    z_mm = float(canvas.grid.world_mm(((i - 1) / 2, (j - 1) / 2, k))[2])
    words = (str(k + 1), f"{round(z_mm, 1) + 0.0:.1f} mm")  # + 0.0: no minus before a zero
    strip = np.zeros((STRIP_PX, tile.shape[1], 3), np.uint8)
    return np.concatenate([tile, lettered(strip, [(written(word), 0.5, n) for n, word in enumerate(words)])])


def _directions(plane: Grid) -> list[tuple[Ink, float, float]]:
    """A letter on each side, for where in the patient it lies, and the scale bar."""
    (left, right), (top, bottom) = (_ends(plane.axes[:, n]) for n in (0, 1))
    letters = ((left, 0.5, 0.0), (right, 0.5, 1.0), (top, 0.0, 0.5), (bottom, 1.0, 0.5))
    bar = scale_bar(plane.spacing_mm[0], plane.size[0])
    return [*((written(letter), down, across) for letter, down, across in letters), (bar, 1.0, 1.0)]


def _ends(along: np.ndarray) -> tuple[str, str]:
    """The letters at the beginning and the end of a direction in LPS, by its largest part."""
    axis = int(np.abs(along).argmax())
    first, last = _ENDS[axis]
    return (first, last) if along[axis] > 0 else (last, first)


def _framed(picture: Rgb, height: int) -> Rgb:
    missing = height - len(picture)
    return np.pad(picture, ((missing // 2, missing - missing // 2), (0, 0), (0, 0)))


def side_by_side(pictures: Sequence[Rgb]) -> Rgb:
    """Pictures of one height, side by side."""
    gap = np.zeros((len(pictures[0]), GAP_PX, 3), np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


def padded(row: Rgb, width: int) -> Rgb:
    return np.pad(row, ((0, GAP_PX), (0, width - row.shape[1]), (0, 0)))
