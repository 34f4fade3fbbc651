"""Frames -> series, and a series -> the volumes that it holds. Which one is meant is decided here, or asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...records import Notice
from .headers import Frame

SAME_PLACE_MM = 0.05  # along the slice axis
_SAME_FACING = 0.02  # between the components of two directions
_SCOUT = re.compile(r"locali[sz]er|scout|topogram|surview|scanogram|3[- ]?plane|survey", re.IGNORECASE)
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_FEWEST = 3  # planes of a series that is taken without asking, where others are smaller

# What tells volumes of one series apart, in the order of meaning: (keyword, how a listing shows it)
_TELLS = (
    ("TemporalPositionIdentifier", "time point {:g}"),
    ("DiffusionBValue", "b = {:g} s/mm2"),
    ("EchoTime", "echo time {:g} ms"),
    ("ImageType", "{}"),
    ("InversionTime", "inversion time {:g} ms"),
    ("FlipAngle", "flip angle {:g} degrees"),
    ("AcquisitionNumber", "acquisition {:g}"),
    ("SeriesDescription", "{}"),
)
# Where no tag has one value for each volume, frames of one place follow each other in time
_ORDERS = ("AcquisitionDateTime", "AcquisitionTime", "TriggerTime", "ContentTime", "InstanceNumber")


@dataclass(frozen=True, eq=False)
class Series:
    """Frames that share a series UID and a patient. `unfit` says why it cannot be a scan; empty: it can."""

    uid: str
    patient: str  # never shown
    frames: tuple[Frame, ...]
    modality: str
    description: str
    unfit: str

    @property
    def planes(self) -> int:
        return len(_places(self.frames)) if not self.unfit else len(self.frames)

    def __str__(self) -> str:
        rows, columns = self.frames[0].shape
        size = f"{columns} x {rows} x {self.planes}" if rows else f"{len(self.frames)} files"
        what = f"{self.uid} ({self.modality or 'no modality'}, {self.description or 'no description'}, {size}"
        return f"{what}; {self.unfit})" if self.unfit else f"{what})"


@dataclass(frozen=True, eq=False)
class Volume:
    """Frames of which no two lie in the same place, and what sets them apart from the rest of their series."""

    frames: tuple[Frame, ...]
    told: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{', '.join(self.told) or 'the whole series'} ({len(self.frames)} slices)"


def list_series(frames: Iterable[Frame]) -> tuple[Series, ...]:
    """Every series, the largest first; localiser frames are left out of series that hold other frames."""
    groups: dict[tuple[str, str], list[Frame]] = {}
    for frame in frames:
        key = (str(frame.tags.get("SeriesInstanceUID", "")), str(frame.tags.get("PatientID", "")))
        groups.setdefault(key, []).append(frame)
    found = [_series(uid, patient, group) for (uid, patient), group in groups.items()]
    return tuple(sorted(found, key=lambda series: (-len(series.frames), series.uid)))


def choose_series(every: Sequence[Series], wanted: str | None, path: Path) -> tuple[Series, tuple[Notice, ...]]:
    """The one that was asked for, or the only one that can be a scan: then it is said."""
    if not every:
        raise InputError(f"{path} holds no DICOM pictures; expected a folder of DICOM files, or name one image file")
    if wanted is not None:
        return _wanted(every, wanted, path), ()
    fit = [series for series in every if not series.unfit]
    large = [series for series in fit if series.planes >= _FEWEST] or fit
    if not fit:
        raise InputError(f"{path} holds no CT or MR scan: {_listed(every)}")
    if len(large) > 1:
        patients = len({series.patient for series in large})
        whose = f" of {patients} patients" if patients > 1 else ""
        raise InputError(f"{path} holds {len(large)} series{whose}; choose one with --series UID: {_listed(large)}")
    others = [series for series in every if series is not large[0]]
    if not others:
        return large[0], ()
    return large[0], (Notice("series_chosen", f"Of {len(every)} series this one was taken: {large[0]}."),)


def volumes_of(series: Series) -> tuple[Volume, ...]:
    """A series taken apart: by direction first, then by the tags that differ where frames lie in the same place."""
    facing: list[list[Frame]] = []
    for frame in series.frames:
        group = next((group for group in facing if _same_facing(group[0], frame)), None)
        if group is None:
            facing.append([frame])
        else:
            group.append(frame)
    volumes: list[Volume] = []
    for number, group in enumerate(facing):
        told = (f"direction {number + 1}",) if len(facing) > 1 else ()
        volumes += _parted(Volume(tuple(group), told))
    return tuple(volumes)


def choose_volume(volumes: Sequence[Volume], wanted: int | None, path: Path) -> Volume:
    if wanted is not None and not 0 <= wanted < len(volumes):
        raise InputError(f"--volume {wanted} is not in {path}, which holds {len(volumes)} (counted from 0)")
    if len(volumes) == 1 or wanted is not None:
        return volumes[wanted or 0]
    listed = "; ".join(f"{n}: {volume}" for n, volume in enumerate(volumes))
    raise InputError(
        f"the series in {path} holds {len(volumes)} volumes; choose one with --volume 0 to --volume {len(volumes) - 1}: {listed}"
    )


def _series(uid: str, patient: str, group: Sequence[Frame]) -> Series:
    real = [frame for frame in group if not _is_scout(frame)]
    frames = tuple(real or group)
    tags = frames[0].tags
    modality, description = str(tags.get("Modality", "")), str(tags.get("SeriesDescription", ""))
    return Series(uid, patient, frames, modality, description, "localiser" if not real else _unfit(frames, modality))


def _unfit(frames: Sequence[Frame], modality: str) -> str:
    tags = frames[0].tags
    if min(frames[0].shape) == 0:
        return "no pictures"
    if tags.get("SamplesPerPixel", 1.0) != 1.0:
        return "colour pictures"
    if modality not in ("CT", "MR"):
        return "neither CT nor MR"
    missing = next((frame for frame in frames if not frame.placed), None)
    if missing is None:
        return ""
    if str(tags.get("SOPClassUID", "")).startswith(_SECONDARY_CAPTURE):
        return "secondary capture without a position"
    names = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    lacks = [name for name, part in zip(names, (missing.position_mm, missing.axes, missing.pixel_mm)) if part is None]
    return f"{missing.file.name} has no usable {' and no usable '.join(lacks)}"


def _is_scout(frame: Frame) -> bool:
    kinds = frame.tags.get("ImageType", ())
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    return "LOCALIZER" in kinds or bool(_SCOUT.search(str(frame.tags.get("SeriesDescription", ""))))


def _wanted(every: Sequence[Series], wanted: str, path: Path) -> Series:
    fitting = [series for series in every if series.uid == wanted]
    if not fitting:
        raise InputError(f"{path} holds no series {wanted}; it holds: {_listed(every)}")
    if len(fitting) > 1:
        raise InputError(
            f"{path} holds the series {wanted} of {len(fitting)} patients; put them into folders of their own"
        )
    if fitting[0].unfit:
        raise InputError(f"the series {fitting[0]} is not a CT or MR scan; choose another one")
    return fitting[0]


def _listed(every: Sequence[Series], most: int = 12) -> str:
    more = f"; and {len(every) - most} more" if len(every) > most else ""
    return "; ".join(str(series) for series in every[:most]) + more


def _parted(volume: Volume) -> list[Volume]:
    """Split by the first tag that differs between frames of one place, until no two share a place."""
    places = _places(volume.frames)
    crowded = [group for group in places if len(group) > 1]
    for keyword, text in _TELLS if crowded else ():
        if any(len({_tell(frame, keyword) for frame in group}) > 1 for group in crowded):
            return _split(volume, [_tell(frame, keyword) for frame in volume.frames], text)
    if crowded and len(crowded) == len(places) and len({len(group) for group in places}) == 1:
        for keyword in _ORDERS:
            if all(len({_tell(frame, keyword) for frame in group}) == len(group) for group in places):
                ranks = _ranks(places, keyword)
                return _split(volume, [ranks[id(frame)] for frame in volume.frames], f"number {{:g}} by {keyword}")
    return [volume]  # the stack drops exact copies and refuses the rest


def _split(volume: Volume, values: Sequence[float | str], text: str) -> list[Volume]:
    groups: dict[float | str, list[Frame]] = {}
    for frame, value in zip(volume.frames, values):
        groups.setdefault(value, []).append(frame)
    parts: list[Volume] = []
    for value in sorted(groups, key=lambda v: (isinstance(v, str), v)):
        shown = text.format(value) if isinstance(value, float) or ":g" not in text else value or "without a value"
        parts += _parted(Volume(tuple(groups[value]), (*volume.told, shown)))
    return parts


def _tell(frame: Frame, keyword: str) -> float | str:
    """A value that can be compared and shown; what is missing is an empty text."""
    value = frame.tags.get(keyword, "")
    if isinstance(value, tuple):
        return "/".join(str(part) for part in value)
    return value if isinstance(value, float) else str(value)


def _same_facing(one: Frame, other: Frame) -> bool:
    assert one.axes is not None
    assert other.axes is not None
    return bool(np.abs(one.axes - other.axes).max() < _SAME_FACING)


def _places(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames of one direction, grouped by where they lie along the slice axis."""
    assert frames[0].axes is not None
    normal = np.cross(*frames[0].axes)
    depths = np.array([frame.position_mm for frame in frames]) @ normal
    order = np.argsort(depths, kind="stable")
    begins = np.flatnonzero(np.diff(depths[order], prepend=-np.inf) > SAME_PLACE_MM)
    return [[frames[n] for n in part] for part in np.split(order, begins[1:])]


def _ranks(places: Iterable[Sequence[Frame]], keyword: str) -> dict[int, float]:
    ranks: dict[int, float] = {}
    for group in places:
        ordered = sorted(group, key=lambda frame: _tell(frame, keyword))
        ranks |= {id(frame): float(rank + 1) for rank, frame in enumerate(ordered)}
    return ranks
