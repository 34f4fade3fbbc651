"""What vendors write beside the standard: which part of the complex signal a plane shows, its frequency, its scale.

Sources: DICOM PS3.3 C.8.13.3 (ComplexImageComponent); GE private 0043,102F (0 magnitude, 1 phase, 2 real, 3 imaginary) and
0019,10A2 (run number, rising with the echo where every echo carries the shortest time); Philips 2005,100E (scale slope:
the quantitative value is the displayed one divided by rescale slope times scale slope).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from ..dicom.headers import Tags, is_dicom

MAGNITUDE, PHASE, REAL, IMAGINARY, MADE = "magnitude", "phase", "real", "imaginary", "made of echoes"
_COMPONENTS = (MAGNITUDE, PHASE, REAL, IMAGINARY)
_WORDS: Mapping[str, frozenset[str]] = {  # values of ImageType
    MADE: frozenset((
        "WATER", "FAT", "W", "F", "FF", "WF", "IP", "OP", "IN_PHASE", "OUT_PHASE", "OPP_PHASE", "R2_STAR", "T2_STAR", "R2STAR",
        "T2STAR", "R2*", "T2*", "FAT_FRACTION", "WATER_FRACTION", "FATFRACTION", "PDFF", "B0", "FIELD_MAP", "MPR", "RESAMPLED",
    )),
    MAGNITUDE: frozenset(("M", "M_FFE", "MAGNITUDE")),
    PHASE: frozenset(("P", "P_FFE", "PHASE", "PHASE MAP", "PHASE_MAP")),
    REAL: frozenset(("R", "R_FFE", "REAL")),
    IMAGINARY: frozenset(("I", "I_FFE", "IMAGINARY")),
}  # fmt: skip
_GE_KIND, _GE_RUN = (0x0043, "GEMS_PARM_01", 0x2F), (0x0019, "GEMS_ACQU_01", 0xA2)
_PHILIPS_SCALE = (0x2005, "Philips MR Imaging DD 001", 0x0E)
_PER_FRAME, _SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"


@dataclass(frozen=True)
class Extra:
    """Beside the tags that every reader looks at; None for what a plane does not say."""

    component: str | None
    frequency_mhz: float | None
    run: float | None  # orders the echoes where their times do not
    scale: float | None  # Philips: divide by it and by the rescale slope


def extras_of(file: Path) -> list[Extra]:
    """One a frame, in the order of the file."""
    whole = pydicom.dcmread(file, stop_before_pixels=True, force=is_dicom(file))
    shared = list(whole.get(_SHARED, ()))
    return [_extra([*group, *shared, whole]) for group in _groups(whole)]


def part_of(tags: Tags, extra: Extra) -> str:
    """A key of this module; magnitude where nothing is said, as most scanners leave it."""
    said = tags.get("ImageType", ())
    values = {str(v).upper() for v in (said if isinstance(said, tuple) else (said,))}
    if values & _WORDS[MADE]:
        return MADE
    if extra.component is not None:
        return extra.component
    return next((part for part in _COMPONENTS if values & _WORDS[part]), MAGNITUDE)


def _groups(whole: Dataset) -> Iterator[list[Dataset]]:
    if _PER_FRAME in whole:
        yield from ([group] for group in whole[_PER_FRAME].value)
    else:
        yield from ([] for _ in range(max(1, int(whole.get("NumberOfFrames") or 1))))


def _extra(levels: list[Dataset]) -> Extra:
    """From the innermost level that says it."""
    said = str(_first(levels, "ComplexImageComponent") or "").lower()
    kind = _private(levels, _GE_KIND)
    by_ge = _COMPONENTS[int(kind)] if kind in (0.0, 1.0, 2.0, 3.0) else None
    frequency = _first(levels, "TransmitterFrequency") or _first(levels, "ImagingFrequency")
    return Extra(
        said if said in _COMPONENTS else by_ge,
        _number(frequency),
        _private(levels, _GE_RUN),
        _private(levels, _PHILIPS_SCALE),
    )


def _first(levels: list[Dataset], keyword: str) -> Any:
    for level in levels:
        if keyword in level:
            return level[keyword].value
        for element in level:
            if element.VR == "SQ" and element.keyword not in (_PER_FRAME, _SHARED):
                found = _first(list(element.value), keyword)
                if found is not None:
                    return found
    return None


def _private(levels: list[Dataset], place: tuple[int, str, int]) -> float | None:
    """A private number, by its creator; nested private sequences are searched, too."""
    group, creator, element = place
    for level in levels:
        try:
            return _number(level.private_block(group, creator)[element].value)
        except KeyError:
            pass
        for inner in level:
            if inner.VR == "SQ" and inner.keyword not in (_PER_FRAME, _SHARED):
                found = _private(list(inner.value), place)
                if found is not None:
                    return found
    return None


def _number(value: Any) -> float | None:
    first = value[0] if isinstance(value, MultiValue | list | tuple) and value else value
    try:
        number = float(first)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
