"""What a comparison is asked for and what it answers: Options, Figure, Agreement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import InputError


@dataclass(frozen=True)
class Options:
    """The two parameters of the definitions."""

    percentile: float = 95.0  # of the distances, asked for beside HD95
    tolerance_mm: float = 2.0  # within which two surfaces agree (NSD)

    def __post_init__(self) -> None:
        if not 0.0 < self.percentile <= 100.0:
            raise InputError(f"a percentile of {self.percentile:g}; expected more than 0 and at most 100")
        if not 0.0 <= self.tolerance_mm < math.inf:
            raise InputError(f"a tolerance of {self.tolerance_mm:g} mm; expected 0 or more, such as 2")


DEFAULTS = Options()


@dataclass(frozen=True)
class Figure:
    """One number with its definition. Undefined is NaN, and then `reason` says why; a defined one may carry a remark."""

    quantity: str
    value: float
    unit: str  # "1" for a number without unit
    definition: str
    reason: str = ""


@dataclass(frozen=True)
class Agreement:
    """Every figure about one structure, in the order of the table."""

    structure: str
    figures: tuple[Figure, ...]
    options: Options = DEFAULTS
    nsd_by_mm: Mapping[float, float] = field(default_factory=dict)  # tolerance -> NSD, tolerances rising

    def values(self) -> dict[str, float]:
        return {figure.quantity: figure.value for figure in self.figures}
