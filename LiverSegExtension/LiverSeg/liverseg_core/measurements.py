"""Segments -> Measurements, and what a reader must be warned of. Adding a quantity is adding a row to QUANTITIES."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from .records import Measurement, Notice, Segment

_ABSENT = "not found in the scan"
_CUT_MM2 = 200.0  # more liver than this on a face of the scan, and the scan ends inside the liver
_PLAUSIBLE_ML = (400.0, 4500.0)  # whole adult livers; anything else is worth a second look


@dataclass(frozen=True)
class Quantity:
    """One thing that can be measured: unit, how, where that comes from, and when it is undefined."""

    unit: str
    compute: Callable[[Segment], float]
    formula: str
    source: str
    undefined: str


def volume_ml(segment: Segment) -> float:
    """NaN for an empty segment: an organ that was not found has no volume, not one of zero."""
    count = int(np.count_nonzero(segment.mask))
    return count * segment.grid.voxel_ml if count else math.nan


QUANTITIES: Mapping[str, Quantity] = {
    "volume": Quantity("ml", volume_ml, "voxels x voxel volume", "voxel counting: no surface, no smoothing", _ABSENT),
}


def measure(segments: Iterable[Segment]) -> tuple[Measurement, ...]:
    """Every quantity of every segment. Undefined is NaN with the reason of its row."""
    rows = []
    for segment in segments:
        for name, quantity in QUANTITIES.items():
            value = quantity.compute(segment)
            reason = quantity.undefined if math.isnan(value) else ""
            rows.append(Measurement(segment.key, name, value, quantity.unit, reason))
    return tuple(rows)


def notices_about(segments: Iterable[Segment]) -> tuple[Notice, ...]:
    """Warnings that follow from the liver's mask alone."""
    liver = next((segment for segment in segments if segment.key == "liver"), None)
    if liver is None:
        return ()
    volume = volume_ml(liver)
    if math.isnan(volume):
        return (Notice("no_liver_found", "No liver was found in this scan."),)
    faces = _cut_faces_mm2(liver)
    if max(faces) > _CUT_MM2:
        text = (
            f"The scan ends inside the liver ({max(faces) / 100:.1f} cm2 of it lie on the edge): the volume is a part."
        )
        return (Notice("liver_cut_by_scan", text),)
    if not _PLAUSIBLE_ML[0] <= volume <= _PLAUSIBLE_ML[1]:
        low, high = _PLAUSIBLE_ML
        text = f"A liver of {volume:.0f} ml is unusual (expected {low:.0f} to {high:.0f} ml): look at the outline."
        return (Notice("implausible_volume", text),)
    return ()


def _cut_faces_mm2(segment: Segment) -> list[float]:
    """Area of the segment on each of the six faces of the scan; a single slice has no faces along its axis."""
    areas = []
    spacing = segment.grid.spacing_mm[::-1]
    for axis in range(3):
        if segment.mask.shape[axis] == 1:
            continue
        voxel_mm2 = math.prod(s for n, s in enumerate(spacing) if n != axis)
        areas += [float(np.count_nonzero(segment.mask.take(end, axis))) * voxel_mm2 for end in (0, -1)]
    return areas or [0.0]
