"""What an analysis of fat and iron answers: maps, numbers, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..records import Measurement, Notice
from .regions import Region


@dataclass(frozen=True, eq=False)
class Maps:
    """One value a voxel, float32 [k, j, i]; NaN where the body ends. PDFF in per cent, not clamped; R2* in 1/s; T2* in
    ms; water, fat and residual in the units of the signal; uncertainty in points of PDFF; field in Hz, only where phases
    were used."""

    pdff: np.ndarray
    r2star: np.ndarray
    t2star: np.ndarray
    water: np.ndarray
    fat: np.ndarray
    residual: np.ndarray
    uncertainty: np.ndarray
    field: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class TwoPointMaps:
    """What two echoes tell, as in Maps: the fat fraction in per cent, water and fat in the units of the signal."""

    ff: np.ndarray
    water: np.ndarray
    fat: np.ndarray


@dataclass(frozen=True, eq=False)
class FatResult:
    """Everything that the report and the files need. `facts` describe how the maps were made (for the side-car);
    `measured` is the part of the liver that the numbers hold, `parts` the regions they are given for."""

    maps: Maps | TwoPointMaps
    rows: tuple[Measurement, ...]
    notices: tuple[Notice, ...]
    facts: Mapping[str, object]
    measured: np.ndarray
    parts: tuple[Region, ...] = ()
