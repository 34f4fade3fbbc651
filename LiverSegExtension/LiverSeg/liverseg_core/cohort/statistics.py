"""Values of a cohort -> the numbers that a paper prints. Pure functions; SciPy where it has them.

Intervals come from a bootstrap over patients (BCa, 9999 resamples, a fixed seed): all cases of a patient are drawn
together. Every statistic is a function of sums over cases, so that a resample is a sum of its patients' sums.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 9999
_BATCH = 4_000_000  # numbers that a bootstrap holds at a time: 32 MB
_RNG = "rng" if "rng" in signature(stats.bootstrap).parameters else "random_state"  # its name before SciPy 1.15

Values = Sequence[float] | np.ndarray
Statistic = Callable[[np.ndarray], np.ndarray]  # sums [..., m] -> [...]


class Interval(NamedTuple):
    """95 %; NaN where there is none."""

    low: float
    high: float


NOTHING = Interval(math.nan, math.nan)


@dataclass(frozen=True)
class Summary:
    """The distribution of one number. `n` cases have it, `missing` are undefined; the interval is that of the mean."""

    n: int
    missing: int
    patients: int
    mean: float
    sd: float
    median: float
    q1: float
    q3: float
    least: float
    most: float
    interval: Interval


@dataclass(frozen=True)
class BlandAltman:
    """Differences d = measured - expected. Limits of agreement are bias -+ 1.96 sd; intervals take cases as independent."""

    n: int
    bias: float
    sd: float
    low: float
    high: float
    bias_interval: Interval
    low_interval: Interval
    high_interval: Interval
    slope: float  # of d over the mean of both; not 0 where the differences grow with the size
    slope_p: float


@dataclass(frozen=True)
class Concordance:
    """ICC(2,1), absolute agreement of single measurements (Shrout and Fleiss), and Lin's coefficient."""

    n: int
    patients: int
    icc: float
    icc_interval: Interval
    ccc: float
    ccc_interval: Interval


@dataclass(frozen=True)
class Paired:
    """Two models on the same patients: differences one - other, a patient's cases averaged."""

    patients: int
    mean: float
    interval: Interval
    median: float
    hodges_lehmann: float
    p: float  # Wilcoxon signed ranks, two-sided; NaN where no patient differs
    reason: str = ""


def summary(values: Values, patients: Sequence[str]) -> Summary:
    """Undefined values (NaN) are left out and counted."""
    every = np.asarray(values, float)
    there = ~np.isnan(every)
    known, whose = every[there], [who for who, yes in zip(patients, there) if yes]
    n = known.size
    if not n:
        nan = math.nan
        return Summary(0, every.size, 0, nan, nan, nan, nan, nan, nan, nan, NOTHING)
    q1, median, q3 = (float(q) for q in np.percentile(known, (25, 50, 75)))
    sd = float(known.std(ddof=1)) if n > 1 else math.nan
    interval = bootstrap_interval(patient_sums([known, np.ones(n)], whose), ratio)
    return Summary(
        n, every.size - n, len(set(whose)), float(known.mean()), sd, median, q1, q3, float(known.min()),
        float(known.max()), interval,
    )  # fmt: skip


def patient_sums(columns: Sequence[Values], patients: Sequence[str]) -> np.ndarray:
    """[patients, columns]: each column summed over the cases of a patient."""
    names, which = np.unique(np.asarray(patients, str), return_inverse=True)
    return np.stack([np.bincount(which, np.asarray(c, float), minlength=names.size) for c in columns], axis=1)


def bootstrap_interval(sums: np.ndarray, statistic: Statistic, resamples: int = RESAMPLES) -> Interval:
    """Of statistic(sums over all patients). BCa; percentiles where that is undefined (all patients alike)."""
    n, width = sums.shape
    if n < 2:
        return NOTHING

    def of(chosen: np.ndarray, axis: int = -1) -> np.ndarray:
        del axis  # always the last one
        return statistic(sums[chosen.astype(np.intp)].sum(axis=-2))

    more = {_RNG: np.random.default_rng(0), "batch": max(1, _BATCH // (n * width)), "vectorized": True, "axis": -1}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # what is degenerate is NaN, and seen below
        found = stats.bootstrap((np.arange(n),), of, n_resamples=resamples, method="BCa", **more)
        low, high = found.confidence_interval
        if math.isnan(low) or math.isnan(high):
            tails = (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE))
            low, high = np.nanpercentile(found.bootstrap_distribution, tails)
    return Interval(float(low), float(high))


def ratio(sums: np.ndarray) -> np.ndarray:
    """First column over second: a mean of cases, or found lesions over all."""
    share: np.ndarray = sums[..., 0] / sums[..., 1]
    return share


def bland_altman(measured: Values, expected: Values) -> BlandAltman:
    """Bland and Altman, Lancet 1986; the error of a limit is sqrt(3/n) sd, as there. At least three pairs."""
    one, other = np.asarray(measured, float), np.asarray(expected, float)
    d, n = one - other, one.size
    bias, sd = float(d.mean()), float(d.std(ddof=1))
    t = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1))
    low, high = bias - 1.96 * sd, bias + 1.96 * sd
    middle = (one + other) / 2
    trend = stats.linregress(middle, d) if np.ptp(middle) > 0 else None

    def around(value: float, error: float) -> Interval:
        return Interval(value - t * error, value + t * error)

    wide = sd * math.sqrt(3 / n)
    return BlandAltman(
        n, bias, sd, low, high, around(bias, sd / math.sqrt(n)), around(low, wide), around(high, wide),
        float(trend.slope) if trend else math.nan, float(trend.pvalue) if trend else math.nan,
    )  # fmt: skip


def icc(table: np.ndarray) -> dict[str, float]:
    """[subjects, raters] -> ICC(1,1), ICC(2,1) absolute agreement, ICC(3,1) consistency; Shrout and Fleiss 1979."""
    n, k = table.shape
    grand = table.mean()
    rows = k * float(((table.mean(axis=1) - grand) ** 2).sum()) / (n - 1)
    columns = n * float(((table.mean(axis=0) - grand) ** 2).sum()) / (k - 1)
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + grand
    error = float((rest**2).sum()) / ((n - 1) * (k - 1))
    within = (columns * (k - 1) + error * (n - 1) * (k - 1)) / (n * (k - 1))
    return {
        "icc11": (rows - within) / (rows + (k - 1) * within),
        "icc21": (rows - error) / (rows + (k - 1) * error + k * (columns - error) / n),
        "icc31": (rows - error) / (rows + (k - 1) * error),
    }


def concordance(measured: Values, expected: Values, patients: Sequence[str]) -> Concordance:
    """Both coefficients of pairs, each with its interval over patients."""
    one, other = np.asarray(measured, float), np.asarray(expected, float)
    centre = (one.mean() + other.mean()) / 2  # sums of squares lose no digits about it
    x, y = one - centre, other - centre
    sums = patient_sums([np.ones(x.size), x, y, x * x, y * y, x * y], patients)
    total = sums.sum(axis=0)
    with np.errstate(all="ignore"):
        both = float(_icc21(total)), float(_ccc(total))
    return Concordance(
        x.size, len(sums), both[0], bootstrap_interval(sums, _icc21), both[1], bootstrap_interval(sums, _ccc)
    )


def _ccc(sums: np.ndarray) -> np.ndarray:
    """Lin 1989, moments over n: 2 sxy / (sx2 + sy2 + (mx - my)^2). Columns: n, x, y, xx, yy, xy."""
    n = sums[..., 0]
    mx, my, xx, yy, xy = (sums[..., column] / n for column in range(1, 6))
    value: np.ndarray = 2 * (xy - mx * my) / (xx - mx**2 + yy - my**2 + (mx - my) ** 2)
    return value


def _icc21(sums: np.ndarray) -> np.ndarray:
    """ICC(2,1) of two raters, from the same columns."""
    n, x, y, xx, yy, xy = (sums[..., column] for column in range(6))
    rows = ((xx + yy + 2 * xy) / 2 - (x + y) ** 2 / (2 * n)) / (n - 1)
    columns = (x - y) ** 2 / (2 * n)
    error = ((xx + yy - 2 * xy) / 2 - columns) / (n - 1)
    value: np.ndarray = (rows - error) / (rows + error + 2 * (columns - error) / n)
    return value


def paired(differences: Values, patients: Sequence[str]) -> Paired:
    """One difference a patient, the mean of his cases. Undefined differences must be left out before."""
    sums = patient_sums([differences, np.ones(len(differences))], patients)
    d = sums[:, 0] / sums[:, 1]
    if not d.size:
        return Paired(0, math.nan, NOTHING, math.nan, math.nan, math.nan, "no patient with both")
    interval = bootstrap_interval(np.stack([d, np.ones(d.size)], axis=1), ratio)
    one, other = np.triu_indices(d.size)
    centre = float(np.median((d[one] + d[other]) / 2))
    reason = "fewer than 6 patients: no p below 0.05 is possible" if d.size < 6 else ""
    p = math.nan
    if d.any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ties make it approximate, which the page says
            p = float(stats.wilcoxon(d, zero_method="wilcox", method="auto").pvalue)
    else:
        reason = "no patient differs"
    return Paired(d.size, float(d.mean()), interval, float(np.median(d)), centre, p, reason)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted for as many tests as have a p; the others stay NaN."""
    tested = sorted((p, n) for n, p in enumerate(p_values) if not math.isnan(p))
    out, highest = [math.nan] * len(p_values), 0.0
    for rank, (p, n) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        out[n] = highest
    return out
