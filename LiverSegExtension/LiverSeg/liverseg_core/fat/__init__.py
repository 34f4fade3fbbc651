"""Fat and iron: the echoes of a liver -> PDFF and R2*. Start at analysis.py, which needs torch; this file does not."""

from __future__ import annotations

from .options import METHODS, Options
from .protocol import Protocol
from .spectra import SPECTRA
from .tables import CALIBRATIONS, STEATOSIS

__all__ = ["CALIBRATIONS", "METHODS", "SPECTRA", "STEATOSIS", "Options", "Protocol"]
