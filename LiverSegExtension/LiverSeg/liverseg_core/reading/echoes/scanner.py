"""DICOM folders -> magnitudes and phases of one acquisition, each echo laid on the same grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...geometry import Grid
from ...records import Notice
from .. import dicom
from ..dicom.headers import Frame, frames_below
from ..dicom.pixels import in_units, stored_planes
from ..dicom.stack import ordered, stacked, without_copies
from .acquisition import Plane, acquisition_of
from .parts import Part, field_t_of
from .vendors import IMAGINARY, MAGNITUDE, PHASE, REAL

_SAME_GRID_MM = 0.05
Stored = Mapping[int, np.ndarray]  # by the identity of a frame


@dataclass(frozen=True, eq=False)
class Volume:
    """One echo of one part."""

    voxels: np.ndarray
    grid: Grid
    notices: tuple[Notice, ...]


def read_scanner(
    paths: Sequence[Path], phase_paths: Sequence[Path], te_ms: Sequence[float]
) -> tuple[Part, Part | None]:
    """Magnitudes and phases; from real and imaginary parts where there are no magnitudes.

    The sign that GE changes from slice to slice in real and imaginary parts turns all echoes of a voxel alike, which the
    fit leaves free. A phase is never interpolated: where slices must be, it is dropped.
    """
    path = paths[0]
    parts = acquisition_of(_frames(paths), te_ms, path)
    if phase_paths:
        parts |= {PHASE: acquisition_of(_frames(phase_paths), te_ms, phase_paths[0], PHASE).get(PHASE, {})}
    planes = [plane for echoes in parts.values() for echo in echoes.values() for plane in echo]
    frames = [plane.frame for plane in planes]
    stored = {id(frame): pixels for frame, pixels in zip(frames, stored_planes(frames))}
    read = {part: {te: _volume(echo, stored, path) for te, echo in echoes.items()} for part, echoes in parts.items()}
    if MAGNITUDE not in read:
        read |= _from_complex(read, path)
    scales = _scale_notices([plane for plane in planes if plane.part in (MAGNITUDE, REAL)])
    magnitude = _part(read[MAGNITUDE], planes, path, scales)
    if PHASE not in read:
        return magnitude, None
    same = list(read[PHASE]) == list(read[MAGNITUDE])
    straight = not any(notice.code == "resampled" for volume in read[PHASE].values() for notice in volume.notices)
    if not same or not straight:
        why = "could not be laid on one grid without interpolation" if same else "are not of the same echoes"
        notice = Notice("phase_unusable", f"The phase images {why}: the magnitudes alone were used.")
        return _part(read[MAGNITUDE], planes, path, (*scales, notice)), None
    return magnitude, _part(read[PHASE], planes, path)


def _frames(paths: Sequence[Path]) -> list[Frame]:
    frames = [frame for path in paths for frame in frames_below(path)]
    if not frames:
        raise InputError(f"{paths[0]} holds no DICOM pictures; expected the echoes of one gradient echo")
    return frames


def _volume(planes: Sequence[Plane], stored: Stored, path: Path) -> Volume:
    """The planes of one echo in the order of their positions, in the unit that all echoes share."""
    extras = {id(plane.frame): plane.extra for plane in planes}
    frames = ordered([plane.frame for plane in planes], path)
    frames, pixels, copies = without_copies(frames, [stored[id(frame)] for frame in frames], path)
    pixels, units = in_units(frames, pixels, "MR", path)
    if planes[0].part != PHASE:
        scales = [(extras[id(frame)].scale or 0.0) * float(frame.tags.get("RescaleSlope", 1.0)) for frame in frames]
        if all(scales):
            pixels = [pixel.astype(np.float32) / np.float32(scale) for pixel, scale in zip(pixels, scales)]
    voxels, grid, geometry = stacked(frames, pixels, path)
    return Volume(voxels, grid, (*copies, *units, *geometry))


def _from_complex(read: Mapping[str, Mapping[float, Volume]], path: Path) -> dict[str, dict[float, Volume]]:
    """Length and angle of what was stored as real and imaginary parts."""
    real, imaginary = read.get(REAL, {}), read.get(IMAGINARY, {})
    if not real or list(real) != list(imaginary):
        raise InputError(f"{path} holds neither magnitudes nor real and imaginary parts of the same echoes")
    made: dict[str, dict[float, Volume]] = {MAGNITUDE: {}, PHASE: {}}
    for te, one in real.items():
        other = imaginary[te]
        if one.voxels.shape != other.voxels.shape:
            raise InputError(f"real and imaginary parts in {path} differ in size; expected the same slices of both")
        made[MAGNITUDE][te] = Volume(np.hypot(one.voxels, other.voxels, dtype=np.float32), one.grid, one.notices)
        angle = np.arctan2(other.voxels.astype(np.float32), one.voxels.astype(np.float32))
        kept = tuple(notice for notice in one.notices if notice.code != "resampled")  # both parts were, not the angle
        made[PHASE][te] = Volume(angle, one.grid, kept)
    return made


def _part(volumes: Mapping[float, Volume], planes: Sequence[Plane], path: Path, notices: Sequence[Notice] = ()) -> Part:
    """All echoes on the grid of the first; what was said of each of them is said once."""
    grid = next(iter(volumes.values())).grid
    for te, volume in volumes.items():
        if not volume.grid.matches(grid, tolerance_mm=_SAME_GRID_MM):
            one, other = grid.size_text, volume.grid.size_text
            raise InputError(
                f"the echoes in {path} differ in size or place: {one} voxels, and {other} at {te:g} ms; copy the whole series"
            )
    tags = [plane.frame.tags for plane in planes]
    said = dict.fromkeys(notice for volume in volumes.values() for notice in volume.notices)
    return Part(
        np.stack([volume.voxels for volume in volumes.values()]), grid, tuple(volumes),
        field_t_of((p.extra.frequency_mhz or 0.0 for p in planes), _numbers(tags, "MagneticFieldStrength"), str(path)),
        next(iter(_numbers(tags, "RepetitionTime")), None), next(iter(_numbers(tags, "FlipAngle")), None),
        (*said, *notices),
    )  # fmt: skip


def _numbers(tags: Sequence[dicom.headers.Tags], name: str) -> list[float]:
    return [value for one in tags if isinstance(value := one.get(name), float)]


def _scale_notices(planes: Sequence[Plane]) -> tuple[Notice, ...]:
    """Slopes that differ from echo to echo and nothing that undoes them: the decay may be the scanner's own."""
    slopes = {float(plane.frame.tags.get("RescaleSlope", 1.0)) for plane in planes}
    if len(slopes) < 2 or all(plane.extra.scale for plane in planes):
        return ()
    text = "Each echo has a rescale slope of its own and no scale slope: R2* is wrong if they are only for display."
    return (Notice("rescale_differs", text),)
