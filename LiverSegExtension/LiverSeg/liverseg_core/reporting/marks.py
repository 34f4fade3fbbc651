"""Regions and words -> ink: outlines, letters and scale bars, and how they are laid on a picture. NumPy and SimpleITK only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from ..labels import LESION

Rgb = np.ndarray  # uint8 [row, column, 3]
Ink = np.ndarray  # bool [row, column]: where something is drawn
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
STAMP: Colour = (86, 180, 233)
DASHED = frozenset({LESION})  # told from the organ around it by more than its colour
_DASH_PX = 5
_BARS_MM = (50, 10)  # the first that leaves room for the letters
_MARGIN_PX = 6
_WORD_HALO_PX = 3  # closes the letters: they stand on a dark ground of their own


def inked(picture: Rgb, inks: Sequence[tuple[Ink, Colour]], halo_px: int = 1) -> Rgb:
    """The picture with each ink in its colour. Around them it is darkened: they show on black, grey and white."""
    out = picture.copy()
    if inks:
        shade: Ink = np.logical_or.reduce([ink for ink, _ in inks])
        for _ in range(halo_px):
            shade = _grown(shade)
        out[shade] //= 3
    for ink, colour in inks:
        out[ink] = colour
    return out


def lettered(picture: Rgb, words: Sequence[tuple[Ink, float, float]], colour: Colour = WHITE) -> Rgb:
    """Words and bars in their places: (ink, 0 at the top to 1 at the bottom, 0 at the left to 1 at the right)."""
    sheets = [(_placed(ink, picture.shape, down, across), colour) for ink, down, across in words]
    return inked(picture, sheets, _WORD_HALO_PX)


def outline(inside: Ink, *, dashed: bool = False) -> Ink:
    """Two pixels wide all around, on the border of the region, inside it."""
    line: Ink = inside & _grown(_grown(~np.pad(inside, 1)))[1:-1, 1:-1]
    return _dashed(line, inside) if dashed else line


def written(word: str, scale: int = 2) -> Ink:
    """A word in letters five pixels by seven, each pixel `scale` wide."""
    letters = [[[row >> (4 - n) & 1 for n in range(5)] + [0] for row in _LETTERS[letter]] for letter in word]
    small = np.concatenate([np.array(letter, bool) for letter in letters], axis=1)[:, :-1]
    return np.repeat(np.repeat(small, scale, axis=0), scale, axis=1)


def scale_bar(pixel_mm: float, width_px: int) -> Ink:
    """A bar of 50 mm (10 mm where that takes more than two fifths of the width) below its length in words."""
    length_mm = next((mm for mm in _BARS_MM if mm / pixel_mm <= 0.4 * width_px), _BARS_MM[-1])
    word, length_px = written(f"{length_mm} mm"), round(length_mm / pixel_mm)
    bar = np.zeros((len(word) + 10, max(word.shape[1], length_px)), bool)
    bar[: len(word), bar.shape[1] - word.shape[1] :] = word
    bar[-4:-2, -length_px:] = True
    bar[-6:, [-length_px, 1 - length_px, -2, -1]] = True
    return bar


def _dashed(line: Ink, inside: Ink) -> Ink:
    """With gaps, by the angle about the middle of each part; what is too small for three dashes stays whole."""
    parts = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(inside.astype(np.uint8))))
    out: Ink = line.copy()
    for part in range(1, int(parts.max()) + 1):
        rows, columns = np.nonzero(line & (parts == part))
        dashes = len(rows) // (4 * _DASH_PX)  # dash and gap, two pixels wide
        if dashes >= 3:
            turns = np.arctan2(rows - rows.mean(), columns - columns.mean()) / (2 * np.pi)
            gap = np.floor(2 * dashes * turns) % 2 == 1
            out[rows[gap], columns[gap]] = False
    return out


def _placed(ink: Ink, shape: Sequence[int], down: float, across: float) -> Ink:
    """The ink on an empty sheet, off its edges. What does not fit is left out."""
    sheet = np.zeros(tuple(shape[:2]), bool)
    room = np.array(sheet.shape) - ink.shape - 2 * _MARGIN_PX
    if (room >= 0).all():
        row, column = (_MARGIN_PX + np.round(room * (down, across))).astype(int)
        sheet[row : row + ink.shape[0], column : column + ink.shape[1]] = ink
    return sheet


def _grown(ink: Ink) -> Ink:
    """With the four neighbours of every pixel."""
    wide = np.pad(ink, 1)
    out: Ink = wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return out


_LETTERS = {  # five by seven, a row a number
    " ": (0, 0, 0, 0, 0, 0, 0), "-": (0, 0, 0, 31, 0, 0, 0), ".": (0, 0, 0, 0, 0, 12, 12),
    "0": (14, 17, 19, 21, 25, 17, 14), "1": (4, 12, 4, 4, 4, 4, 14), "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (31, 2, 4, 2, 1, 17, 14), "4": (2, 6, 10, 18, 31, 2, 2), "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14), "7": (31, 1, 2, 4, 8, 8, 8), "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12), "A": (14, 17, 17, 31, 17, 17, 17), "C": (14, 17, 16, 16, 16, 17, 14),
    "E": (31, 16, 16, 30, 16, 16, 31), "F": (31, 16, 16, 30, 16, 16, 16), "H": (17, 17, 17, 31, 17, 17, 17),
    "I": (14, 4, 4, 4, 4, 4, 14), "L": (16, 16, 16, 16, 16, 16, 31), "N": (17, 25, 21, 19, 17, 17, 17),
    "P": (30, 17, 17, 30, 16, 16, 16), "R": (30, 17, 17, 30, 20, 18, 17), "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4), "Y": (17, 17, 10, 4, 4, 4, 4), "m": (0, 0, 26, 21, 21, 21, 21),
}  # fmt: skip
