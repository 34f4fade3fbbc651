"""Planes -> a volume on a regular grid: ordered by position, evenly spaced, straight. SliceThickness is never asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from ...errors import InputError
from ...geometry import Grid, grid_of_planes
from ...records import Notice
from .headers import Frame
from .series import SAME_PLACE_MM

_UNEVEN, _UNEVEN_MM = 0.02, 0.06  # of the gap between slices, or in mm: what rounding of positions explains
_LARGEST_GAP = 3.0  # times the usual gap: what lies in a larger one cannot be interpolated
_MOST_FILLED = 0.25  # of all slices
_TILT_PX = 0.5  # a drift of the whole stack within its planes that is smaller needs no shearing
_SHIFTED_MM = 0.5  # from the straight line of a tilted gantry


def ordered(frames: Sequence[Frame], path: Path) -> tuple[Frame, ...]:
    """From feet to head, or whatever the slice axis says; InputError where the planes do not belong together."""
    _demand_alike(frames, path)
    depths = _depths(frames)
    return tuple(frames[n] for n in np.argsort(depths, kind="stable"))


def without_copies(
    frames: Sequence[Frame], planes: Sequence[np.ndarray], path: Path
) -> tuple[tuple[Frame, ...], list[np.ndarray], tuple[Notice, ...]]:
    """Ordered frames of which none repeats the one before; InputError where two differ and share a place."""
    kept = [0]
    for n in range(1, len(frames)):
        apart_mm = float(np.diff(_depths([frames[kept[-1]], frames[n]]))[0])
        if apart_mm > SAME_PLACE_MM:
            kept.append(n)
        elif not np.array_equal(planes[kept[-1]], planes[n]):
            raise InputError(
                f"{frames[kept[-1]].file.name} and {frames[n].file.name} in {path} lie in the same place and differ, and "
                "no tag tells them apart; keep the files of one acquisition only"
            )
    copies = len(frames) - len(kept)
    notices = (Notice("slices_repeated", f"{copies} slices were there twice and count once."),) if copies else ()
    return tuple(frames[n] for n in kept), [planes[n] for n in kept], notices


def stacked(
    frames: Sequence[Frame], planes: Sequence[np.ndarray], path: Path
) -> tuple[np.ndarray, Grid, tuple[Notice, ...]]:
    """Voxels [k, j, i] and their grid. Tilted gantries are sheared straight and uneven gaps interpolated: then it is said."""
    voxels = np.stack(planes)
    voxels, drift_mm, tilted = _straight(frames, voxels, path)
    depths = _depths(frames)
    voxels, step_mm, uneven = _even(voxels, depths, path)
    first = frames[0]
    if len(frames) == 1:
        step_mm = _thickness_mm(first)
    assert first.axes is not None
    assert first.position_mm is not None
    assert first.pixel_mm is not None
    corner = first.position_mm + drift_mm @ first.axes
    return voxels, grid_of_planes(voxels.shape, first.pixel_mm, step_mm, corner, first.axes), (*tilted, *uneven)


def _thickness_mm(frame: Frame) -> float:
    """The only use of these tags: a single slice has no neighbour that says how far apart they are."""
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        value = frame.tags.get(name)
        if isinstance(value, float) and np.isfinite(value) and value > 0:
            return value
    raise InputError(f"{frame.file} is a single slice without SliceThickness; expected at least two slices, or the tag")


def _demand_alike(frames: Sequence[Frame], path: Path) -> None:
    first = frames[0]
    for frame in frames:
        if frame.shape != first.shape:
            one, other = (f"{f.shape[1]} x {f.shape[0]} ({f.file.name})" for f in (first, frame))
            raise InputError(f"the slices in {path} differ in size: {one} and {other}; expected one size")
        if not np.allclose(_pixel_mm(frame), _pixel_mm(first), rtol=1e-3):
            raise InputError(f"the slices in {path} differ in PixelSpacing: {first.pixel_mm} and {frame.pixel_mm} mm")


def _pixel_mm(frame: Frame) -> np.ndarray:
    assert frame.pixel_mm is not None
    return np.array(frame.pixel_mm)


def _depths(frames: Sequence[Frame]) -> np.ndarray:
    """Along the slice axis, mm."""
    assert frames[0].axes is not None
    return np.array([frame.position_mm for frame in frames]) @ np.cross(*frames[0].axes)


def _straight(
    frames: Sequence[Frame], voxels: np.ndarray, path: Path
) -> tuple[np.ndarray, np.ndarray, tuple[Notice, ...]]:
    """Slices of a tilted gantry lie in a row that is not at right angles to them: each is shifted within its plane.

    Returns the voxels (in-plane size grown so that nothing is lost), by how much their first pixel lies before the
    first frame's own (mm along row and column), and what there is to say.
    """
    assert frames[0].axes is not None
    offsets = (np.array([f.position_mm for f in frames]) - frames[0].position_mm) @ frames[
        0
    ].axes.T  # [n, (row, column)]
    depths = _depths(frames)
    pixel = _pixel_mm(frames[0])
    if len(frames) == 1 or (np.abs(offsets) < _TILT_PX * pixel).all():
        return voxels, np.zeros(2), ()
    slope = np.linalg.lstsq(depths[:, None] - depths[0], offsets, rcond=None)[0][0]
    if np.abs(offsets - (depths[:, None] - depths[0]) * slope).max() > _SHIFTED_MM:
        raise InputError(f"the slices in {path} are shifted against each other, and not as a tilted gantry does it")
    low = np.floor(offsets.min(axis=0) / pixel).astype(int)
    high = np.ceil(offsets.max(axis=0) / pixel).astype(int)
    sheared = np.full((len(voxels), *(np.array(voxels.shape[1:]) + (high - low)[::-1])), voxels.min(), voxels.dtype)
    for plane, target, offset in zip(voxels, sheared, offsets / pixel - low):
        whole = np.floor(offset).astype(int)
        moved = ndimage.shift(
            np.pad(plane, ((0, 1), (0, 1)), mode="edge"), (offset - whole)[::-1], order=1, mode="nearest"
        )
        i, j = whole
        fitting = moved[: target.shape[0] - j, : target.shape[1] - i]
        target[j : j + fitting.shape[0], i : i + fitting.shape[1]] = fitting
    degrees = float(np.degrees(np.arctan(np.linalg.norm(slope))))
    text = f"The gantry was tilted by {degrees:.1f} degrees: the slices were sheared straight."
    return sheared, low * pixel, (Notice("resampled", text),)


def _even(voxels: np.ndarray, depths: np.ndarray, path: Path) -> tuple[np.ndarray, float, tuple[Notice, ...]]:
    """Slices at one distance: as they are where rounding explains the differences, interpolated where few are missing."""
    if len(depths) == 1:
        return voxels, 1.0, ()
    gaps = np.diff(depths)
    mean = float((depths[-1] - depths[0]) / (len(depths) - 1))
    if np.abs(depths - depths[0] - mean * np.arange(len(depths))).max() <= max(_UNEVEN * mean, _UNEVEN_MM):
        return voxels, mean, ()
    step = float(np.median(gaps))
    count = round(float(depths[-1] - depths[0]) / step) + 1
    widest = int(np.argmax(gaps))
    if gaps[widest] > _LARGEST_GAP * step or count - len(depths) > _MOST_FILLED * count:
        raise InputError(
            f"the slices in {path} lie {gaps.min():.2f} to {gaps.max():.2f} mm apart, mostly {step:.2f}: too many are "
            f"missing, the widest gap is after slice {widest + 1} of {len(depths)}; copy the whole series"
        )
    places = np.linspace(depths[0], depths[-1], count)
    below = np.clip(np.searchsorted(depths, places, side="right") - 1, 0, len(depths) - 2)
    share = ((places - depths[below]) / gaps[below]).astype(np.float32)[:, None, None]
    filled = voxels[below] + share * (voxels[below + 1].astype(np.float32) - voxels[below])
    even = filled if voxels.dtype.kind == "f" else np.round(filled).astype(voxels.dtype)
    text = (
        f"The slices lie {gaps.min():.2f} to {gaps.max():.2f} mm apart: {count} evenly spaced ones, {step:.2f} mm apart, "
        f"were interpolated from {len(depths)}."
    )
    return even, float((depths[-1] - depths[0]) / (count - 1)), (Notice("resampled", text),)
