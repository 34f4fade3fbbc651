"""Values of one map in one region -> numbers with names. Bins are fixed, never made from the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

_PERCENTS = np.arange(-5.0, 61.0, 1.0)
BINS: Mapping[str, np.ndarray] = {"pdff": _PERCENTS, "ff": _PERCENTS, "r2star": np.arange(0.0, 1005.0, 5.0)}
UNITS: Mapping[str, str] = {"pdff": "%", "ff": "%", "r2star": "1/s"}
_NOISE_OF_FLOATS = 1e-6  # of the mean: values that are equal but for the rounding of float32 have no shape
_LEAST_MEAN = 2.0  # of fat in per cent below which a coefficient of variation says nothing


@dataclass(frozen=True)
class Number:
    """One value; `reason` says why it is undefined, or what to bear in mind."""

    name: str  # without the map's: "mean", "median", ...
    value: float
    unit: str
    reason: str = ""


def described(values: np.ndarray, kind: str, noise: float = math.nan) -> list[Number]:
    """Everything about the values of one map (`kind`: a row of BINS), NaN left out. `noise` is the median Cramer-Rao
    deviation of a voxel: what it explains is taken out of the spread."""
    held = values[np.isfinite(values)]
    unit = UNITS[kind]
    if held.size == 0:
        return [Number(name, math.nan, unit, "no voxel of the region could be measured") for name in _PLAIN]
    p5, p10, q1, median, q3, p90, p95 = np.percentile(held, [5, 10, 25, 50, 75, 90, 95])
    mean, sd = float(held.mean()), float(held.std(ddof=1)) if held.size > 1 else math.nan
    rows = [
        Number("mean", mean, unit), Number("median", float(median), unit), Number("sd", sd, unit),
        Number("iqr", float(q3 - q1), unit), Number("p5", float(p5), unit), Number("p95", float(p95), unit),
        Number("p10", float(p10), unit), Number("p90", float(p90), unit),
        Number("p25", float(q1), unit), Number("p75", float(q3), unit),
    ]  # fmt: skip
    return [*rows, *_shape(held, kind, sd), _spread(mean, sd, kind), _without_noise(sd, noise, unit)]


def histogram(values: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts and edges; what lies outside the bins is counted in the first and the last."""
    edges = BINS[kind]
    held = np.clip(values[np.isfinite(values)], edges[0], np.nextafter(edges[-1], -np.inf))
    return np.histogram(held, edges)[0], edges


def uneven(values: np.ndarray, numbers: np.ndarray, kind: str) -> Number:
    """Standard deviation of the medians of blocks of about 1 ml: how uneven the liver is beyond the noise of a voxel."""
    medians = block_medians(values, numbers)
    if medians.size < 3:
        return Number("blocks_sd", math.nan, UNITS[kind], "fewer than three blocks of 1 ml")
    return Number("blocks_sd", float(medians.std(ddof=1)), UNITS[kind])


def block_medians(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The median of the finite values of each block (numbers from 1), blocks without any left out."""
    where = (numbers > 0) & np.isfinite(values)
    order = np.argsort(numbers[where], kind="stable")
    sorted_numbers, sorted_values = numbers[where][order], values[where][order]
    starts = np.flatnonzero(np.diff(sorted_numbers, prepend=0))
    return np.array([np.median(part) for part in np.split(sorted_values, starts[1:])]) if starts.size else np.zeros(0)


_PLAIN = ("mean", "median", "sd", "iqr", "p5", "p95")


def _shape(held: np.ndarray, kind: str, sd: float) -> list[Number]:
    counts = histogram(held, kind)[0]
    entropy = Number("entropy", float(stats.entropy(counts, base=2)), "bit")
    if held.size < 8 or not sd > _NOISE_OF_FLOATS * abs(float(held.mean())):
        return [entropy]
    skew, excess = float(stats.skew(held)), float(stats.kurtosis(held))
    return [entropy, Number("skewness", skew, "1"), Number("kurtosis", excess, "1", "excess over the normal")]


def _spread(mean: float, sd: float, kind: str) -> Number:
    if UNITS[kind] == "%" and mean < _LEAST_MEAN:
        return Number("cv", math.nan, "1", f"the mean is below {_LEAST_MEAN:g} %")
    return Number("cv", sd / mean if mean > 0 else math.nan, "1", "" if mean > 0 else "the mean is not positive")


def _without_noise(sd: float, noise: float, unit: str) -> Number:
    if math.isnan(noise):
        return Number("sd_without_noise", math.nan, unit, "the noise is not known")
    return Number("sd_without_noise", math.sqrt(max(0.0, sd**2 - noise**2)), unit)
