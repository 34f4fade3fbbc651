"""What the files say of one kind of picture, and what the user says instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.constants import physical_constants

from ...errors import InputError
from ...geometry import Grid
from ...records import Notice

_GAMMA_MHZ_T = physical_constants["proton gyromag. ratio in MHz/T"][0]
_SAME_FIELD = 0.05  # relative: a scanner called 3 T works at 2.89
_SAME_FREQUENCY = 0.005


@dataclass(frozen=True)
class Told:
    """What the user says of the protocol; empty where the files shall say it."""

    te_ms: tuple[float, ...] = ()
    field_t: float | None = None
    tr_ms: float | None = None
    flip_deg: float | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """The magnitudes, or the phases, of all echoes as they lie in the files; None for what no file says."""

    voxels: np.ndarray  # any real type, [n, k, j, i]
    grid: Grid
    te_ms: tuple[float, ...] | None
    field_t: float | None = None
    tr_ms: float | None = None
    flip_deg: float | None = None
    notices: tuple[Notice, ...] = ()


def field_t_of(frequencies_mhz: Iterable[float], strengths_t: Iterable[float], source: str) -> float | None:
    """The field from the frequency where that is known (a scanner called 3 T may work at 2.89), else as it is called.

    InputError where they contradict each other.
    """
    frequencies = sorted(f / 1e6 if f > 1e4 else f for f in frequencies_mhz if f > 0)
    strengths = sorted(s / 1e4 if s > 100 else s for s in strengths_t if s > 0)  # some old files say gauss
    for values, unit in ((frequencies, "MHz"), (strengths, "T")):
        if values and values[-1] / values[0] - 1 > _SAME_FREQUENCY:
            raise InputError(
                f"the echoes of {source} were measured at {values[0]:g} and at {values[-1]:g} {unit}; expected one scanner"
            )
    if not frequencies:
        return strengths[0] if strengths else None
    field_t = sum(frequencies) / len(frequencies) / _GAMMA_MHZ_T
    if strengths and abs(field_t / strengths[0] - 1) > _SAME_FIELD:
        raise InputError(
            f"the tags of {source} contradict each other: {frequencies[0]:g} MHz is {field_t:.2f} T for hydrogen, but the "
            f"field is called {strengths[0]:g} T; correct the tags"
        )
    return field_t
