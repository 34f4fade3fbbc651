"""What an analysis of fat and iron can be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from .spectra import DEFAULT, spectrum_named
from .tables import DEFAULT_CALIBRATION, DEFAULT_STEATOSIS, calibration_for

METHODS = ("auto", "magnitude", "complex")


@dataclass(frozen=True)
class Options:
    """What the analysis was asked for. Checked when built."""

    spectrum: str = DEFAULT
    calibration: str = DEFAULT_CALIBRATION
    steatosis: str = DEFAULT_STEATOSIS
    method: str = "auto"
    device: str = "cpu"

    def __post_init__(self) -> None:
        spectrum_named(self.spectrum)
        calibration_for(self.calibration, 1.5)
        if self.method not in METHODS:
            raise InputError(f"unknown method {self.method!r}; expected one of: {', '.join(METHODS)}")
