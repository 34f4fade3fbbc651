"""Segments -> what a reader must be warned of: what the liver's mask shows, and what the network said of it. The
thresholds are LIMITS."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..records import Notice, Segment
from .pieces import Piece, piece_of


@dataclass(frozen=True)
class Limit:
    """Where a warning begins, and why there."""

    value: float
    unit: str
    reason: str


@dataclass(frozen=True)
class Confidence:
    """What the network's own answer says of its liver: functions of `confidence`, by their names. NaN: nothing."""

    doubt: float = math.nan  # as a share of the liver's volume
    voxel_mm: float = math.nan  # side of a voxel of the network
    accord: float = math.nan  # DSC of the coarse and the fine stage
    apart: float = math.nan  # of an ensemble: mean total variation of its members in the liver, 0 to 1


LIMITS: Mapping[str, Limit] = {
    "cut": Limit(200.0, "mm2", "more liver than this on a face of the scan, and the scan ends inside the liver; a tip that just reaches it is less"),
    "smallest": Limit(400.0, "ml", "whole adult livers are larger"),
    "largest": Limit(4500.0, "ml", "whole adult livers are smaller, polycystic ones apart"),
    "island": Limit(5.0, "ml", "a ball of 21 mm: more than noise and partial volume leave behind, and enough to be part of another organ"),
    "hole": Limit(1.0, "ml", "enclosed voxels of noise sum to less; more is a cyst, a vessel or a lesion that was left out"),
    "doubt": Limit(11.5, "%/mm", "of the liver's volume for each mm of the network's voxels, which is how wide an honest outline is: the any-phase model has at most 9.5 on whole scans that it draws well, and more than 11.5 at 3 mm in nine bad results of ten"),
    "accord": Limit(0.65, "DSC", "coarse and fine stage of the any-phase model agree on whole scans to 0.84 and more, and on half of the bad results to less than 0.65"),
}  # fmt: skip


def notices_about(segments: Iterable[Segment], confidence: Confidence | None = None) -> tuple[Notice, ...]:
    """Warnings about the liver, with what its network said of it where one drew it; none where none was looked for."""
    segments = tuple(segments)
    liver = next((segment for segment in segments if segment.key == "liver"), None)
    if liver is None:
        return ()
    piece = piece_of(liver)
    if piece is None:
        return (Notice("no_liver_found", "No liver was found in this scan."),)
    doubts = _doubt_notices(confidence or Confidence())
    return (*_size_notices(piece), *doubts, *_island_notices(piece), *_hole_notices(piece, liver, segments))


def is_cut(liver: Piece) -> bool:
    """Whether the scan ends inside the liver."""
    return max(liver.face_mm2()) > LIMITS["cut"].value


def _size_notices(liver: Piece) -> tuple[Notice, ...]:
    if is_cut(liver):
        area_cm2 = max(liver.face_mm2()) / 100
        text = f"The scan ends inside the liver ({area_cm2:.1f} cm2 of it lie on the edge): the volume is a part."
        return (Notice("liver_cut_by_scan", text),)
    low, high = LIMITS["smallest"].value, LIMITS["largest"].value
    volume = liver.volume_ml
    if not low <= volume <= high:
        text = f"A liver of {volume:.0f} ml is unusual (expected {low:.0f} to {high:.0f} ml): look at the outline."
        return (Notice("implausible_volume", text),)
    return ()


def _doubt_notices(confidence: Confidence) -> tuple[Notice, ...]:
    """One warning, whatever it rests on. What is NaN is on no side of a limit."""
    told = []
    most = LIMITS["doubt"].value * confidence.voxel_mm
    if 100 * confidence.doubt > most:
        told.append(
            f"The network is less than 90 % sure of voxels that make {100 * confidence.doubt:.1f} % of the liver's volume "
            f"(on its grid of {confidence.voxel_mm:.1f} mm up to {most:.1f} % is usual)."
        )
    if confidence.accord < LIMITS["accord"].value:
        told.append(
            f"The coarse and the fine pass disagree about the liver: their DSC is {confidence.accord:.2f} "
            f"(expected {LIMITS['accord'].value:.2f} or more)."
        )
    return (Notice("low_confidence", " ".join((*told, "Look at the outline."))),) if told else ()


def _island_notices(liver: Piece) -> tuple[Notice, ...]:
    parts, count = _components(liver.mask, corners_touch=True)
    if count < 2:
        return ()
    sizes = np.sort(np.bincount(parts[liver.mask])[1:])[::-1] * liver.grid.voxel_ml
    large = sizes[sizes >= LIMITS["island"].value]
    if large.size < 2:
        return ()
    listed = ", ".join(f"{ml:.0f}" for ml in large[:5]) + (", ..." if large.size > 5 else "")
    text = f"The liver lies in {large.size} pieces ({listed} ml): all but the first may be another organ."
    return (Notice("islands", text),)


def _hole_notices(liver: Piece, segment: Segment, segments: tuple[Segment, ...]) -> tuple[Notice, ...]:
    """What the liver encloses on all sides and no other structure claims."""
    flat = [all(ends) and n == 1 for ends, n in zip(liver.at_edge, liver.mask.shape)]  # a single slice encloses in 2-D
    outside = ~np.pad(liver.mask, [(0, 0) if alone else (1, 1) for alone in flat])
    parts, count = _components(outside, corners_touch=False)
    if count < 2:
        return ()
    holes = outside & (parts != parts[0, 0, 0])
    holes = holes[tuple(slice(None) if alone else slice(1, -1) for alone in flat)]
    where = liver.grid.slices_in(segment.grid)
    for other in segments:
        if other.mask.shape == segment.mask.shape:
            holes &= ~other.mask[where]
    volume = float(np.count_nonzero(holes)) * liver.grid.voxel_ml
    if volume < LIMITS["hole"].value:
        return ()
    text = f"The liver's outline encloses holes of {volume:.1f} ml in all, which its volume leaves out: look at them."
    return (Notice("holes", text),)


def _components(mask: np.ndarray, *, corners_touch: bool) -> tuple[np.ndarray, int]:
    """Labels from 1 (the background is 0) and their number; with one component the labels are the mask itself."""
    finder = sitk.ConnectedComponentImageFilter()
    finder.SetFullyConnected(corners_touch)
    image = finder.Execute(sitk.GetImageFromArray(mask.view(np.uint8)))
    count = int(finder.GetObjectCount())
    return (sitk.GetArrayViewFromImage(image).astype(np.int32), count) if count > 1 else (mask, count)
