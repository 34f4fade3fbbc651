"""Grades, bands and calibrations as rows: every number of a reader stands beside where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True)
class Calibration:
    """Liver iron concentration in mg/g dry weight = offset + slope * R2*^power, for fields in [low, high] T."""

    low_t: float
    high_t: float
    offset: float
    slope: float
    source: str
    power: float = 1.0

    def formula(self) -> str:
        offset = f"{self.offset:g} + " if self.offset else ""
        power = f"^{self.power:g}" if self.power != 1 else ""
        return f"LIC = {offset}{self.slope:g} R2*{power}"

    def __call__(self, rate: float) -> float:
        return self.offset + self.slope * max(rate, 0.0) ** self.power


CALIBRATIONS: Mapping[str, tuple[Calibration, ...]] = {
    "hernando2023": (
        Calibration(1.4, 1.6, -0.16, 2.603e-2, "Hernando 2023, Radiology, 1.5 T"),
        Calibration(2.85, 2.95, -0.03, 1.400e-2, "Hernando 2023, Radiology, 2.89 T"),
        Calibration(2.95, 3.1, -0.03, 1.349e-2, "Hernando 2023, Radiology, 3.0 T"),
    ),
    "wood2005": (Calibration(1.4, 1.6, 0.202, 0.0254, "Wood 2005, 1.5 T"),),
    "garbowski2014": (Calibration(1.4, 1.6, 0.0, 0.0290, "Garbowski 2014, JCMR 16:40, 1.5 T", 1.014),),
    "hankins2009": (Calibration(1.4, 1.6, -0.454, 0.028, "Hankins 2009, 1.5 T"),),
}
DEFAULT_CALIBRATION = "hernando2023"


def calibration_for(name: str, field_t: float) -> Calibration | None:
    """The row of this field, None where the calibration has none; InputError for an unknown name."""
    if name not in CALIBRATIONS:
        raise InputError(f"unknown calibration {name!r}; expected one of: {', '.join(CALIBRATIONS)}")
    return next((row for row in CALIBRATIONS[name] if row.low_t <= field_t < row.high_t), None)


@dataclass(frozen=True)
class Grading:
    """Grades that begin at `limits`; below the first is `names[0]`."""

    limits: tuple[float, ...]
    names: tuple[str, ...]
    source: str

    def grade(self, value: float) -> str:
        return self.names[sum(value >= limit for limit in self.limits)]


STEATOSIS: Mapping[str, Grading] = {  # of the PDFF in per cent, which is not the per cent of histology
    "tang": Grading((6.4, 17.4, 22.1), ("S0", "S1", "S2", "S3"), "Tang, as in PMC5124376, table 1"),
    "permutt": Grading(
        (8.9, 16.3, 25.0), ("S0", "S1", "S2", "S3"), "Permutt: means of the groups, PMC5124376, table 1"
    ),
}
DEFAULT_STEATOSIS = "tang"
_BANDS = ("normal", "mild", "moderate", "severe")
IRON: Mapping[float, Grading] = {  # of R2* in 1/s, by field
    1.5: Grading((66.0, 225.0, 476.0), _BANDS, "PMC8528353, table 7, 1.5 T"),
    3.0: Grading((120.0, 436.0, 953.0), _BANDS, "PMC8528353, table 7, 3 T"),
}


def iron_bands(field_t: float) -> Grading | None:
    """The bands of R2* at this field; None between the fields that were studied."""
    return next((row for field, row in IRON.items() if abs(field - field_t) <= 0.16), None)
