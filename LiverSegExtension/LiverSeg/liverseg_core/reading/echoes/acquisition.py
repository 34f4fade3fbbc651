"""Frames of any number of series -> the planes of the one multi-echo acquisition among them, echo by echo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..dicom.headers import Frame
from ..dicom.series import Series, list_series
from .vendors import IMAGINARY, MADE, MAGNITUDE, PHASE, REAL, Extra, extras_of, part_of

Echoes = Mapping[float, Sequence["Plane"]]  # by echo time in ms, rising


@dataclass(frozen=True, eq=False)
class Plane:
    """A frame, and which part of the complex signal it shows."""

    frame: Frame
    part: str
    extra: Extra

    @property
    def te_ms(self) -> float:
        """Rounded to microseconds; 0 where the frame does not say it."""
        value = self.frame.tags.get("EchoTime", 0.0)
        return round(value, 3) if isinstance(value, float) else 0.0


def acquisition_of(
    frames: Sequence[Frame], te_ms: Sequence[float], path: Path, forced: str | None = None
) -> dict[str, Echoes]:
    """Part (a key of vendors) -> its echoes. `te_ms` is what the user said: needed where the tags do not tell echoes apart.

    `forced` is the part that the user said these are. InputError where no acquisition, or more than one, is found.
    """
    fit = [series for series in list_series(frames) if not series.unfit and series.modality == "MR"]
    extras: dict[Path, list[Extra]] = {}
    groups: dict[Any, list[tuple[Series, list[Plane]]]] = {}
    for series in fit:
        planes = [plane for plane in (_plane(frame, extras, forced) for frame in series.frames) if plane.part != MADE]
        if planes:
            groups.setdefault(_key(series.frames[0]), []).append((series, planes))
    several = [group for group in groups.values() if _has_echoes(group)]
    if not several:
        raise InputError(
            f"{path} holds no multi-echo acquisition ({len(fit)} MR series without several echoes in one place); expected the "
            "echoes of one gradient echo"
        )
    if len(several) > 1 or _repeated(several[0]):
        listed = [str(part) for group in several for part, _ in group]
        raise InputError(
            f"{path} holds several multi-echo acquisitions; put the series of one into a folder of its own: {'; '.join(listed)}"
        )
    planes = [plane for _, part in several[0] for plane in part]
    parts = [part for part in (MAGNITUDE, PHASE, REAL, IMAGINARY) if any(plane.part == part for plane in planes)]
    return {part: _echoes([plane for plane in planes if plane.part == part], te_ms, path) for part in parts}


def _plane(frame: Frame, extras: dict[Path, list[Extra]], forced: str | None) -> Plane:
    if frame.file not in extras:
        extras[frame.file] = extras_of(frame.file)
    extra = extras[frame.file][frame.number]
    part = part_of(frame.tags, extra)
    return Plane(frame, forced if forced is not None and part == MAGNITUDE else part, extra)


def _key(frame: Frame) -> Any:
    """What the series of one acquisition share."""
    assert frame.axes is not None
    assert frame.pixel_mm is not None
    tags = frame.tags
    times = tuple(tags.get(name, "") for name in ("StudyInstanceUID", "PatientID", "RepetitionTime", "FlipAngle"))
    return times, frame.shape, tuple(frame.axes.round(2).ravel() + 0.0), tuple(round(mm, 3) for mm in frame.pixel_mm)


def _has_echoes(group: Sequence[tuple[Series, Sequence[Plane]]]) -> bool:
    """Several times, or several planes of one part in one place, of magnitudes or of real parts (or of phases alone)."""
    for wanted in (MAGNITUDE, REAL, PHASE):
        planes = [plane for _, part in group for plane in part if plane.part == wanted]
        if planes:
            return len({plane.te_ms for plane in planes}) > 1 or len(planes) > len(_places(planes))
    return False


def _repeated(group: Sequence[tuple[Series, Sequence[Plane]]]) -> bool:
    """Whether two series show the same part of the same echo in the same place: then they are two acquisitions."""
    if len({plane.te_ms for _, part in group for plane in part}) < 2:
        return False
    seen: set[Any] = set()
    for _, part in group:
        own = {(plane.part, plane.te_ms, _place(plane)) for plane in part}
        if own & seen:
            return True
        seen |= own
    return False


def _place(plane: Plane) -> tuple[float, ...]:
    assert plane.frame.position_mm is not None
    return tuple(plane.frame.position_mm.round(1) + 0.0)


def _places(planes: Sequence[Plane]) -> dict[tuple[float, ...], list[Plane]]:
    found: dict[tuple[float, ...], list[Plane]] = {}
    for plane in planes:
        found.setdefault(_place(plane), []).append(plane)
    return found


def _echoes(planes: Sequence[Plane], te_ms: Sequence[float], path: Path) -> Echoes:
    """Told apart by their times; where all carry one time, by GE's number and the times that the user gives."""
    times = sorted({plane.te_ms for plane in planes})
    if len(times) > 1:
        return {time: [plane for plane in planes if plane.te_ms == time] for time in times}
    places = list(_places(planes).values())
    count = max(len(group) for group in places)
    if count == 1:
        return {times[0]: planes}
    if len(te_ms) != count:
        raise InputError(
            f"the {count} echoes in {path} all carry the echo time {times[0]:g} ms, as some GE exports do; give theirs with "
            f"--echo-times-ms, {count} times in ms"
        )
    ordered = [_ordered(group, count, path) for group in places]
    return {time: [group[n] for group in ordered] for n, time in enumerate(sorted(te_ms))}


def _ordered(group: Sequence[Plane], count: int, path: Path) -> list[Plane]:
    """The planes of one place in the order of their echoes."""
    for rank in (_echo_number, _run):
        if len(group) == count == len({rank(plane) for plane in group}):
            return sorted(group, key=rank)
    raise InputError(f"nothing in {path} says the order of its {count} echoes; export them with their echo times")


def _echo_number(plane: Plane) -> float:
    value = plane.frame.tags.get("EchoNumbers", 0.0)
    return value if isinstance(value, float) else 0.0


def _run(plane: Plane) -> float:
    return plane.extra.run or 0.0
