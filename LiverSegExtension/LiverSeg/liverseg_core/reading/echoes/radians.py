"""Phases in whatever unit the vendor chose -> radians, by the range that they fill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...records import Notice

_BINS = 16  # of a full turn
_LEAST_BINS = 12  # that must be filled: what fills less is no phase of a whole slice


@dataclass(frozen=True)
class Unit:
    """One row: the least and the most that the smallest and the largest value may be, and the way to radians."""

    name: str
    smallest: tuple[float, float]
    largest: tuple[float, float]
    radians: Callable[[np.ndarray], np.ndarray]


# Siemens stores 0 to 4095 for -pi to pi, or 2 x - 4096 of it; Philips and GE write milliradians
UNITS = (
    Unit("radians", (-3.3, -2.9), (2.9, 3.3), lambda v: v),
    Unit("radians from 0 to a whole turn", (0.0, 0.4), (5.9, 6.4), lambda v: v),
    Unit("milliradians", (-3300, -2900), (2900, 3300), lambda v: v / 1000.0),
    Unit("degrees", (-181, -165), (165, 181), np.deg2rad),
    Unit("degrees from 0 to 360", (0.0, 15.0), (345, 361), np.deg2rad),
    Unit("12-bit units from 0 to 4095", (0.0, 200.0), (3895, 4096), lambda v: v * (np.pi / 2048) - np.pi),
    Unit("12-bit units from -4096 to 4094", (-4096, -3700), (3700, 4096), lambda v: v * (np.pi / 4096)),
    Unit("12-bit units from -2048 to 2047", (-2048, -1900), (1900, 2048), lambda v: v * (np.pi / 2048)),
)


def as_radians(phase: np.ndarray, source: str) -> tuple[np.ndarray | None, tuple[Notice, ...]]:
    """float32 in [-pi, pi], or None where the values are in no unit that is known; both are said.

    `phase` is of any shape. Its constant rows of zeros (what a scanner masked) do not count.
    """
    measured = phase[np.isfinite(phase) & (phase != 0)]
    low, high = (float(measured.min()), float(measured.max())) if measured.size else (0.0, 0.0)
    unit = next(
        (u for u in UNITS if u.smallest[0] <= low <= u.smallest[1] and u.largest[0] <= high <= u.largest[1]), None
    )
    text = f"The phase images of {source} run from {low:g} to {high:g}"
    if unit is None:
        return None, (Notice("phase_unusable", f"{text}, a unit that is not known: the magnitudes alone were used."),)
    turned = unit.radians(phase.astype(np.float32))
    turned = np.arctan2(np.sin(turned), np.cos(turned)).astype(np.float32)
    turned[~np.isfinite(turned)] = 0.0
    filled = np.histogram(turned[phase != 0], _BINS, (-np.pi, np.pi))[0] > 1e-3 * measured.size / _BINS
    if filled.sum() < _LEAST_BINS:
        text = f"{text} but fill only {filled.sum()} of {_BINS} parts of a turn"
        return None, (Notice("phase_unusable", f"{text}: the magnitudes alone were used."),)
    if unit is UNITS[0]:
        return turned, ()
    return turned, (Notice("phase_converted", f"{text}: they were taken for {unit.name}."),)
