"""A patient's size -> body surface area and the liver volume to be expected. Adding a formula is adding a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from ..errors import InputError

SEXES = ("female", "male")
_RANGES = {"height_cm": (100.0, 230.0), "weight_kg": (20.0, 300.0), "age_years": (0.0, 120.0)}
_SLIPS = {  # another unit that people write by mistake, and how it turns into ours
    "height_cm": ("m", 100.0),
    "weight_kg": ("g", 0.001),
}


@dataclass(frozen=True)
class Patient:
    """What is known of the body; None where it is not. Checked when built: InputError for what cannot be."""

    height_cm: float | None = None
    weight_kg: float | None = None
    sex: str | None = None
    age_years: float | None = None

    def __post_init__(self) -> None:
        for key, (low, high) in _RANGES.items():
            value = getattr(self, key)
            if value is not None:
                _check_number(key, value, low, high)
        if self.sex is not None and self.sex not in SEXES:
            raise InputError(f"sex is {self.sex!r}; expected one of: {', '.join(SEXES)}")

    @property
    def body_size(self) -> tuple[float, float] | None:
        """Height in cm and weight in kg; None where one of them is not known."""
        return None if self.height_cm is None or self.weight_kg is None else (self.height_cm, self.weight_kg)


def patient_from(content: object, source: str = "the patient file") -> Patient:
    """The content of a patient file, parsed: an object with some of height_cm, weight_kg, sex, age_years.

    A null is a value that is not known. InputError for other keys, other types, and sizes that no body has.
    """
    known = [field.name for field in fields(Patient)]
    if not isinstance(content, Mapping):
        raise InputError(f"{source} holds no object; expected one with some of the keys: {', '.join(known)}")
    for key in content:
        if key not in known:
            near = get_close_matches(str(key), known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise InputError(f"{source} has an unknown key {key!r}; {hint}")
    values: dict[str, Any] = dict(content)
    try:
        return Patient(**values)
    except InputError as problem:
        raise InputError(f"{source}: {problem}") from None


def _check_number(key: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{key} is {value!r}; expected a number from {low:g} to {high:g}")
    if low <= value <= high:
        return
    text = f"{key} is {value:g}; expected {low:g} to {high:g}"
    unit, factor = _SLIPS.get(key, ("", 1.0))  # times one, it still lies outside
    if low <= value * factor <= high:
        text += f": is that in {unit}? Then write {value * factor:g}"
    raise InputError(text)


def bsa_mosteller_m2(height_cm: float, weight_kg: float) -> float:
    return math.sqrt(weight_kg * height_cm / 3600.0)


def bsa_dubois_m2(height_cm: float, weight_kg: float) -> float:
    return 0.007184 * weight_kg**0.425 * height_cm**0.725


@dataclass(frozen=True)
class StandardVolume:
    """The liver volume in ml to be expected of an adult's height in cm and weight in kg."""

    formula: str
    source: str
    compute_ml: Callable[[float, float], float]


STANDARD_VOLUMES: Mapping[str, StandardVolume] = {
    "vauthey": StandardVolume(
        "-794.41 + 1267.28 x BSA (Mosteller)", "Vauthey 2002, western adults; as in Ribero, Ann Surg 2013",
        lambda height_cm, weight_kg: -794.41 + 1267.28 * bsa_mosteller_m2(height_cm, weight_kg),
    ),
    "urata": StandardVolume(
        "706.2 x BSA (DuBois) + 2.4", "Urata 1995, Japanese",
        lambda height_cm, weight_kg: 706.2 * bsa_dubois_m2(height_cm, weight_kg) + 2.4,
    ),
    "yu": StandardVolume(
        "21.585 x kg^0.732 x cm^0.225", "Yu 2004, Korean; as in Kim 2013",
        lambda height_cm, weight_kg: 21.585 * weight_kg**0.732 * height_cm**0.225,
    ),
    "heinemann": StandardVolume(
        "1072.8 x BSA (DuBois) - 345.7", "Heinemann 1999, Caucasian",
        lambda height_cm, weight_kg: 1072.8 * bsa_dubois_m2(height_cm, weight_kg) - 345.7,
    ),
}  # fmt: skip
