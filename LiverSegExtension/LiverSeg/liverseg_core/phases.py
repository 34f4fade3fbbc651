"""Every acquisition the product understands. Adding a phase is adding a row to PHASES."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import InputError

CT_RANGE_HU = (-125.0, 275.0)  # every CT is clipped to this before anything else, in training and in use


@dataclass(frozen=True)
class Phase:
    """One kind of scan. `display` is (level, width) in HU, or None where the units are arbitrary."""

    modality: str  # DICOM (0008,0060): "CT" | "MR"
    meaning: str
    display: tuple[float, float] | None = None


_CT = (60.0, 360.0)
PHASES: dict[str, Phase] = {
    "ct_native": Phase("CT", "CT without contrast agent", (50.0, 250.0)),
    "ct_arterial": Phase("CT", "CT, arterial phase", _CT),
    "ct_portal": Phase("CT", "CT, portal venous phase", _CT),
    "ct_delayed": Phase("CT", "CT, delayed phase", _CT),
    "ct_unknown": Phase("CT", "CT, phase not known", _CT),
    "mr_t1_native": Phase("MR", "T1-weighted, before contrast agent"),
    "mr_t1_in": Phase("MR", "T1-weighted gradient echo, in phase"),
    "mr_t1_opposed": Phase("MR", "T1-weighted gradient echo, opposed phase"),
    "mr_water": Phase("MR", "Dixon water image"),
    "mr_fat": Phase("MR", "Dixon fat image"),
    "mr_t1_arterial": Phase("MR", "T1-weighted, arterial phase"),
    "mr_t1_portal": Phase("MR", "T1-weighted, portal venous phase"),
    "mr_t1_delayed": Phase("MR", "T1-weighted, delayed or transitional phase"),
    "mr_t1_hbp": Phase("MR", "T1-weighted, hepatobiliary phase (GED4)"),
    "mr_t2": Phase("MR", "T2-weighted"),
    "mr_t2fs": Phase("MR", "T2-weighted, fat suppressed (SPIR, SPAIR, STIR)"),
    "mr_dwi": Phase("MR", "Diffusion-weighted"),
    "mr_adc": Phase("MR", "Apparent diffusion coefficient map"),
    "mr_multiecho": Phase("MR", "One echo of a multi-echo gradient echo"),
    "mr_unknown": Phase("MR", "MR, phase not known"),
}


def phase_named(key: str) -> Phase:
    """The row of a phase key; InputError names the keys there are."""
    try:
        return PHASES[key]
    except KeyError:
        raise InputError(f"unknown phase {key!r}; expected one of: {', '.join(PHASES)}") from None
