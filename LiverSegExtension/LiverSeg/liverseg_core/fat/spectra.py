"""Fat as a spectrum: a row is a set of peaks. PDFF depends on which one was used, so its name goes into every result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError

GAMMA_MHZ_T = 42.577478518  # of the proton
DEFAULT = "ismrm6"


@dataclass(frozen=True)
class Spectrum:
    """Peaks of fat: shifts from water in ppm (negative: slower), weights that sum to 1, and where they come from."""

    shifts_ppm: tuple[float, ...]
    weights: tuple[float, ...]
    source: str

    def phasor(self, te_ms: Sequence[float], field_t: float) -> np.ndarray:
        """c_n = sum of weights times exp(i 2 pi gamma B0 shift t_n), complex128, one value an echo; c = 1 at t = 0."""
        hertz = GAMMA_MHZ_T * field_t * np.asarray(self.shifts_ppm)
        turns = np.outer(np.asarray(te_ms, float) * 1e-3, hertz)
        weights = np.asarray(self.weights) / math.fsum(self.weights)
        return np.exp(2j * np.pi * turns) @ weights


SPECTRA: Mapping[str, Spectrum] = {
    "ismrm6": Spectrum(
        (-3.80, -3.40, -2.60, -1.94, -0.39, 0.60), (0.087, 0.693, 0.128, 0.004, 0.039, 0.048),
        "ISMRM water-fat toolbox 2012, after Hamilton 2011; in the body",
    ),
    "hamilton6": Spectrum(
        (-3.80, -3.40, -2.60, -1.95, -0.50, 0.60), (0.088, 0.700, 0.120, 0.006, 0.039, 0.047),
        "Hamilton 2011, six peaks",
    ),
    "hernando6": Spectrum(
        (-3.90, -3.50, -2.70, -2.04, -0.49, 0.50), (0.087, 0.694, 0.128, 0.004, 0.039, 0.048),
        "Hernando 2013: water at 4.8 ppm, for phantoms at room temperature",
    ),
    "hamilton9": Spectrum(
        (-3.80, -3.40, -3.10, -2.68, -2.46, -1.95, -0.50, 0.49, 0.59),
        (0.088, 0.642, 0.058, 0.062, 0.058, 0.006, 0.039, 0.010, 0.037),
        "Hamilton 2011, nine peaks of liver fat",
    ),
    "ren9": Spectrum(
        (-3.80, -3.40, -3.10, -2.68, -2.46, -1.95, -0.50, 0.49, 0.59),
        (0.0899, 0.5834, 0.0599, 0.0849, 0.0599, 0.0150, 0.0400, 0.0100, 0.0569),
        "Ren 2008: marrow and subcutaneous fat",
    ),
}  # fmt: skip


def spectrum_named(name: str) -> Spectrum:
    """The row of a spectrum; InputError names the rows there are."""
    try:
        return SPECTRA[name]
    except KeyError:
        raise InputError(f"unknown spectrum {name!r}; expected one of: {', '.join(SPECTRA)}") from None
