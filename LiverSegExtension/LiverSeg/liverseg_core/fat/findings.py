"""What is said of the whole liver alone: how uneven it is, its sides, discs as a reader draws them, iron and grades."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..geometry import Grid
from ..records import Measurement
from .options import Options
from .protocol import Protocol
from .regions import Region, blocks
from .statistics import UNITS, Number, uneven
from .tables import STEATOSIS, calibration_for, iron_bands

Found = Mapping[tuple[str, str], Measurement]


def findings(
    roi: np.ndarray, grid: Grid, maps: Mapping[str, np.ndarray], rows: Sequence[Measurement], protocol: Protocol,
    options: Options,
) -> Iterator[Measurement]:  # fmt: skip
    """`roi` is the measured part, `maps` hold pdff and r2star [k, j, i], `rows` what was measured region by region."""
    yield from unevenness(roi, grid, maps, rows)
    found = {(row.structure, row.quantity): row for row in rows}
    yield _iron(found[("liver", "r2star_median")], protocol, options)
    yield from _grades(found, protocol, options)


def unevenness(
    roi: np.ndarray, grid: Grid, maps: Mapping[str, np.ndarray], rows: Sequence[Measurement]
) -> Iterator[Measurement]:
    """Blocks, sides and discs of every map; arguments as for `findings`."""
    numbers = blocks(roi, grid)
    for kind, values in maps.items():
        number = uneven(values, numbers, kind)
        yield Measurement("liver", f"{kind}_{number.name}", number.value, number.unit, number.reason)
    yield from _sides_and_discs({(row.structure, row.quantity): row for row in rows}, list(maps))


def measured(region: Region, kind: str, number: Number) -> Measurement:
    """A number of one map in one region."""
    return Measurement(region.name, f"{kind}_{number.name}", number.value, number.unit, number.reason)


def measured_share(roi: np.ndarray, liver: np.ndarray, grid: Grid) -> Measurement:
    """How much of the mask the numbers hold."""
    count = np.count_nonzero(roi)
    told = f"{count / np.count_nonzero(liver):.0%} of the mask: without its rim"
    return Measurement("liver", "measured_volume", float(count) * grid.voxel_ml, "ml", told)


def _sides_and_discs(found: Found, kinds: Sequence[str]) -> Iterator[Measurement]:
    for kind in kinds:
        right, left = (found.get((side, f"{kind}_median")) for side in ("right_half", "left_half"))
        if right is not None and left is not None:
            yield Measurement("liver", f"{kind}_right_minus_left", right.value - left.value, UNITS[kind],
                              "" if math.isfinite(right.value - left.value) else right.reason or left.reason)  # fmt: skip
        discs = [
            row.value
            for (name, quantity), row in found.items()
            if name.startswith("disc_") and quantity == f"{kind}_mean"
        ]
        known = [value for value in discs if math.isfinite(value)]
        yield Measurement(
            "liver", f"{kind}_discs_mean", float(np.mean(known)) if known else math.nan, UNITS[kind],
            f"mean of {len(known)} discs" if known else "no disc could be measured",
        )  # fmt: skip


def _iron(rate: Measurement, protocol: Protocol, options: Options) -> Measurement:
    """LIC by the calibration of this field; another field is refused, and a rate beyond the first echo has no value."""
    row = calibration_for(options.calibration, protocol.field_t)
    if row is None:
        reason = f"{options.calibration} has no calibration for {protocol.field_t:.2f} T"
        return Measurement("liver", "lic", math.nan, "mg/g", reason)
    told = f"{row.formula()}; {row.source}"
    if not rate.value <= protocol.fastest_rate:
        return Measurement("liver", "lic", math.nan, "mg/g", rate.reason or "R2* is not known", told)
    value = row(rate.value)
    remarks = ("below 0.5" if value < 0.5 else "", rate.reason)
    return Measurement("liver", "lic", max(value, 0.0), "mg/g", "; ".join(filter(None, remarks)), told)


def _grades(found: Found, protocol: Protocol, options: Options) -> Iterator[Measurement]:
    """Grades as numbers (0 is none), with their names and sources as remarks; no verdict."""
    steatosis, bands = STEATOSIS[options.steatosis], iron_bands(protocol.field_t)
    fat, rate = found[("liver", "pdff_median")], found[("liver", "r2star_median")]
    if math.isnan(fat.value):
        yield Measurement("liver", "steatosis_grade", math.nan, "1", fat.reason, steatosis.source)
    else:
        name = steatosis.grade(fat.value)
        yield Measurement("liver", "steatosis_grade", float(steatosis.names.index(name)), "1", name, steatosis.source)
    if bands is None or math.isnan(rate.value):
        reason = f"no bands for {protocol.field_t:.2f} T" if bands is None else rate.reason
        yield Measurement("liver", "iron_band", math.nan, "1", reason)
    else:
        name = bands.grade(rate.value)
        yield Measurement("liver", "iron_band", float(bands.names.index(name)), "1", name, bands.source)
