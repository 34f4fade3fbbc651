"""Fat and iron: which volumes are echoes, when they were taken, and which maps come back. No Qt, no MRML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .controller import UserError

MAGNITUDE, PHASE = "magnitude", "phase"
ROLES = {"": "not used", MAGNITUDE: "magnitude", PHASE: "phase"}
METHODS = {"auto": "Automatic", "magnitude": "Magnitudes alone", "complex": "Magnitudes and phases"}
SEGMENTATION = "segmentation"  # where the liver comes from; anything else is the name of a model
_SHORTEST_MS = 0.2  # what is below came in seconds
_SAME_MS = 0.06
_ECHO = re.compile(r"(echo|multi|mag|\bte\b|\be\d)", re.IGNORECASE)
_PHASE = re.compile(r"(phase|\bpha?\b)", re.IGNORECASE)
_PART = re.compile(r"\b(real(?! ?time)|imag|imaginary)\b", re.IGNORECASE)
_PHASE_TYPES = frozenset({"P", "P_FFE", "PHASE", "PHASE MAP", "PHASE_MAP"})  # values of ImageType
_PART_TYPES = frozenset({"R", "R_FFE", "REAL", "I", "I_FFE", "IMAGINARY"})
_SUFFIX = re.compile(r"\.(nii\.gz|nii|nrrd|nhdr|mha|mhd)$", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What a scan tells of how it was taken; None and empty where it does not."""

    te_ms: tuple[float, ...] = ()
    field_t: float | None = None
    tr_ms: float | None = None
    flip_deg: float | None = None
    is_phase: bool = False
    is_part: bool = False  # the real or the imaginary part of the signal

    def or_else(self, other: Facts) -> Facts:
        """What is not known here, as the other knows it."""
        return Facts(
            self.te_ms or other.te_ms, self.field_t or other.field_t, self.tr_ms or other.tr_ms,
            self.flip_deg or other.flip_deg, self.is_phase or other.is_phase, self.is_part or other.is_part,
        )  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A volume of the scene, or a sequence of them, that may hold echoes; `sizes` (i, j, k) has one row a volume."""

    id: str
    name: str
    sizes: tuple[tuple[int, ...], ...]
    facts: Facts = Facts()

    @property
    def te_ms(self) -> tuple[float, ...]:
        """One a volume, or nothing."""
        return self.facts.te_ms if len(self.facts.te_ms) == len(self.sizes) else ()

    @property
    def looks_like_phase(self) -> bool:
        return self.facts.is_phase or bool(_PHASE.search(_spaced(self.name)))

    @property
    def looks_like_part(self) -> bool:
        """Of the real or of the imaginary part, which are not guessed to be magnitudes."""
        return self.facts.is_part or bool(_PART.search(_spaced(self.name)))


@dataclass(frozen=True)
class Row:
    """A candidate as it was chosen: what it is for, and its echo times as they were typed."""

    candidate: Candidate
    role: str
    times: str


@dataclass(frozen=True)
class Echo:
    """One volume of a candidate."""

    id: str
    index: int
    size: tuple[int, ...]
    te_ms: float | None


@dataclass(frozen=True)
class Plan:
    """The echoes by rising time, and their phases (all of them, or none)."""

    magnitude: tuple[Echo, ...]
    phase: tuple[Echo, ...] = ()

    @property
    def te_ms(self) -> tuple[float, ...]:
        return tuple(echo.te_ms for echo in self.magnitude if echo.te_ms is not None)


@dataclass(frozen=True)
class MapRow:
    """A map of the worker: what it is called, its unit, and the ends of its colour scale."""

    key: str
    title: str
    unit: str
    tops: tuple[float, ...]

    @property
    def name(self) -> str:
        return f"{self.title} ({self.unit})"

    def top(self, high: float) -> float:
        """Few scales, so that two patients can be compared by eye: the first that holds `high`."""
        return next((top for top in self.tops if high <= top), self.tops[-1])


MAPS = (  # a run leaves the first and the last, or of two echoes the second
    MapRow("pdff", "PDFF", "%", (20.0, 50.0, 100.0)),
    MapRow("ff", "Fat fraction", "%", (20.0, 50.0)),
    MapRow("r2star", "R2*", "1/s", (100.0, 200.0, 500.0, 1000.0)),
)


def guessed_roles(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Candidate id -> role: the sequence, or the largest set of volumes of one size, that tells of its echoes."""
    candidates = [one for one in candidates if not one.looks_like_part]
    groups = _groups([one for one in candidates if not one.looks_like_phase])
    magnitude = max(groups, key=_count, default=[])
    if not magnitude:
        return {}
    size, count = magnitude[0].sizes[0], _count(magnitude)
    phases = _groups([one for one in candidates if one.looks_like_phase and one.sizes[0] == size])
    phase = next((group for group in phases if _count(group) == count), [])
    return {one.id: MAGNITUDE for one in magnitude} | {one.id: PHASE for one in phase}


def times_of(text: str) -> tuple[float, ...]:
    """ "1.15, 2.1" -> milliseconds. UserError for anything else."""
    words = re.split(r"[,;\s]+", text.strip()) if text.strip() else []
    try:
        times = tuple(float(word) for word in words)
    except ValueError:
        raise UserError(f"{text!r} are no echo times; expected milliseconds such as 1.15, 2.1, 3.05.") from None
    if times and max(times) < _SHORTEST_MS:
        raise UserError(f"Echo times of {text} look like seconds; type them in milliseconds, such as 1.15, 2.1, 3.05.")
    return times


def spelled_times(te_ms: Iterable[float]) -> str:
    return ", ".join(f"{time:g}" for time in te_ms)


def planned(rows: Sequence[Row]) -> Plan:
    """What the worker is to fit. UserError says what is missing or does not belong together."""
    magnitude, phase = (
        [echo for row in rows if row.role == role for echo in _echoes(row)] for role in (MAGNITUDE, PHASE)
    )
    chosen = [row.candidate.name for row in rows if row.role == MAGNITUDE]
    if not chosen:
        raise UserError("No echo is chosen; set a sequence, or one volume for each echo, to magnitude.")
    part = next((row.candidate.name for row in rows if row.role and row.candidate.facts.is_part), "")
    if part:
        raise UserError(
            f"{part} is the real or the imaginary part of a signal; expected magnitudes and phases. LiverSeg joins the parts "
            "itself where a DICOM folder holds both: name that folder."
        )
    if len(magnitude) < 2:
        raise UserError(f"{chosen[0]} holds one echo; expected two at least, better six, of one acquisition.")
    other = next((echo for echo in (*magnitude, *phase) if echo.size != magnitude[0].size), None)
    if other is not None:
        one, another = (" x ".join(map(str, echo.size)) for echo in (magnitude[0], other))
        raise UserError(f"The echoes differ in size ({one} and {another} voxels); choose those of one acquisition.")
    if any(echo.te_ms is None for echo in magnitude):
        raise UserError("Nothing says the echo times; type them into the table, in milliseconds.")
    times = [echo.te_ms or 0.0 for echo in magnitude]
    if len(set(times)) < len(times):
        raise UserError(f"Two echoes share a time ({spelled_times(times)} ms); correct the times in the table.")
    order = sorted(range(len(times)), key=times.__getitem__)
    return Plan(tuple(magnitude[n] for n in order), tuple(_beside(phase, times)[n] for n in order) if phase else ())


def known_facts(rows: Sequence[Row]) -> Facts:
    """What the chosen magnitudes tell, the first that knows it."""
    told = Facts()
    for row in rows:
        if row.role == MAGNITUDE:
            told = told.or_else(row.candidate.facts)
    return told


def facts_of_tags(tags: Mapping[str, object]) -> Facts:
    """From DICOM keywords of one volume; times in milliseconds, as the standard has them."""
    kind = tags.get("ImageType", ())
    words = (kind,) if isinstance(kind, str) else tuple(kind) if isinstance(kind, tuple) else ()
    time = _number(tags.get("EchoTime"))
    return Facts(
        () if time is None else (time,), _number(tags.get("MagneticFieldStrength")), _number(tags.get("RepetitionTime")),
        _number(tags.get("FlipAngle")), bool(_PHASE_TYPES & set(words)), bool(_PART_TYPES & set(words)),
    )  # fmt: skip


def facts_beside(file: Path | None) -> Facts:
    """From the BIDS record beside an image, which speaks in seconds; nothing where there is none."""
    record = {} if file is None else _record(file)
    said = record.get("EchoTime")
    times = [_number(time) for time in (said if isinstance(said, list) else [said])]
    factor = 1000.0 if all(time is None or time < _SHORTEST_MS for time in times) else 1.0
    tr_s = _number(record.get("RepetitionTimeExcitation")) or _number(record.get("RepetitionTime"))
    return Facts(
        tuple(round(time * factor, 6) for time in times if time is not None),
        _number(record.get("MagneticFieldStrength")), None if tr_s is None else 1000.0 * tr_s,
        _number(record.get("FlipAngle")),
    )  # fmt: skip


def spread_bars(histogram: Mapping[str, Any]) -> list[tuple[str, float]]:
    """(lower edge, voxels) of the bins from the first to the last that holds something."""
    edges, counts = histogram.get("edges", []), histogram.get("counts", [])
    filled = [n for n, count in enumerate(counts) if count]
    return [(f"{edges[n]:g}", float(counts[n])) for n in range(filled[0], filled[-1] + 1)] if filled else []


def _groups(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Sequences that tell of echoes, and sets of two volumes at least of one size, protocol and of different times."""
    told = [one for one in candidates if one.te_ms or _ECHO.search(_spaced(one.name)) or one.looks_like_phase]
    found = [[one] for one in told if len(one.sizes) > 1]
    alone: dict[tuple[Any, ...], dict[Any, Candidate]] = {}
    for one in told:
        if len(one.sizes) == 1:
            alone.setdefault((one.sizes, one.facts.tr_ms), {}).setdefault(one.te_ms or one.id, one)
    return found + [list(group.values()) for group in alone.values() if len(group) > 1]


def _count(group: Sequence[Candidate]) -> int:
    return sum(len(one.sizes) for one in group)


def _echoes(row: Row) -> list[Echo]:
    times, sizes = times_of(row.times), row.candidate.sizes
    if times and len(times) != len(sizes):
        raise UserError(
            f"{row.candidate.name} has {len(sizes)} volumes, but {len(times)} echo times; expected one each."
        )
    return [Echo(row.candidate.id, n, size, times[n] if times else None) for n, size in enumerate(sizes)]


def _beside(phase: Sequence[Echo], times: Sequence[float]) -> list[Echo]:
    """One phase a magnitude, in the order of `times`: by its own time where it has one, else as they follow each other."""
    if len(phase) != len(times):
        raise UserError(f"There are {len(phase)} phase images for {len(times)} echoes; expected one each, or none.")
    if any(echo.te_ms is None for echo in phase):
        return list(phase)
    own = [next((echo for echo in phase if abs((echo.te_ms or 0.0) - time) <= _SAME_MS), None) for time in times]
    found = [echo for echo in own if echo is not None]
    if len(found) != len(times):
        raise UserError(
            "The echo times of the phase images are not those of the magnitudes; correct them in the table."
        )
    return found


def _record(file: Path) -> dict[str, Any]:
    beside = file.with_name(f"{_SUFFIX.sub('', file.name)}.json")
    try:
        content = json.loads(beside.read_text(encoding="utf-8")) if beside != file else {}
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _number(value: object) -> float | None:
    """None for what is no positive number."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if 0.0 < number < float("inf") else None


def _spaced(name: str) -> str:
    """Words of a name that is written with underscores."""
    return name.replace("_", " ").replace("-", " ")
