"""Segments -> Measurements, and what a reader must be warned of. Adding a quantity is adding a row to QUANTITIES."""

from __future__ import annotations

from .axial import AxialExtent, axial_extent
from .body import Study
from .flags import LIMITS, notices_about
from .patient import STANDARD_VOLUMES, Patient, patient_from
from .quantities import QUANTITIES, Quantity, measure
from .remnant import Plane, plane_from

__all__ = [
    "LIMITS",
    "QUANTITIES",
    "STANDARD_VOLUMES",
    "AxialExtent",
    "Patient",
    "Plane",
    "Quantity",
    "Study",
    "axial_extent",
    "measure",
    "notices_about",
    "patient_from",
    "plane_from",
]
