"""What SciPy lacks, against published tables; and the bootstrap, by how often it holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from liverseg_core.cohort.statistics import (
    bland_altman,
    bootstrap_interval,
    concordance,
    holm,
    icc,
    paired,
    patient_sums,
    ratio,
    summary,
)

# Shrout and Fleiss 1979, table 2: six targets, four judges
JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
# Bland and Altman, Lancet 1986, table 1: peak expiratory flow (l/min), first readings of 17 people
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
# Hollander and Wolfe 1973, example 3.1: depression scale of nine patients before and after
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]


def people(count: int) -> list[str]:
    return [f"p{n}" for n in range(count)]


@pytest.mark.parametrize(("form", "published"), [("icc11", 0.17), ("icc21", 0.29), ("icc31", 0.71)])
def test_icc_is_that_of_shrout_and_fleiss(form: str, published: float) -> None:
    assert icc(JUDGES)[form] == pytest.approx(published, abs=0.005)


def test_icc_of_two_raters_from_sums_is_that_of_the_table() -> None:
    one, noise = np.random.default_rng(3).normal(1500.0, 200.0, (2, 25))
    other = 0.8 * one + 0.2 * noise + 30.0
    found = concordance(one, other, people(25))
    assert found.icc == pytest.approx(icc(np.stack([one, other], axis=1))["icc21"], rel=1e-9)
    assert found.icc_interval.low < found.icc < found.icc_interval.high
    assert (found.n, found.patients) == (25, 25)


@pytest.mark.parametrize(
    ("measured", "expected"), [([2, 3, 4, 5, 6], 0.8), ([2, 4, 6, 8, 10], 8 / 19), ([1, 2, 3, 4, 5], 1.0)]
)
def test_concordance_of_small_integers_by_hand(measured: list[float], expected: float) -> None:
    assert concordance([1, 2, 3, 4, 5], measured, people(5)).ccc == pytest.approx(expected, rel=1e-12)


def test_concordance_of_the_peak_flow_meters() -> None:
    """Lin 1989: the correlation times a bias correction, which is written out here another way."""
    one, other = np.array(WRIGHT, float), np.array(MINI, float)
    scale, shift = one.std() / other.std(), (one.mean() - other.mean()) / math.sqrt(one.std() * other.std())
    correction = 2 / (scale + 1 / scale + shift**2)
    found = concordance(one, other, people(17)).ccc
    assert found == pytest.approx(np.corrcoef(one, other)[0, 1] * correction, rel=1e-12)
    assert found == pytest.approx(0.943, abs=0.0005)


def test_concordance_loses_no_digits_far_from_zero() -> None:
    far = np.array([1.0, 2, 3, 4, 5]) + 1e7
    assert concordance(far, far + 1, people(5)).ccc == pytest.approx(0.8, rel=1e-6)


def test_bland_altman_is_that_of_the_lancet() -> None:
    found = bland_altman(WRIGHT, MINI)
    assert (found.n, found.bias, found.sd) == (17, pytest.approx(-2.1, abs=0.05), pytest.approx(38.8, abs=0.05))
    assert found.bias_interval == (pytest.approx(-22.0, abs=0.1), pytest.approx(17.8, abs=0.1))
    # the paper rounds 1.96 to 2 for the limits; the width of their intervals does not depend on it: 34.6 either way
    assert found.low == pytest.approx(found.bias - 1.96 * found.sd)
    assert found.low_interval.high - found.low == pytest.approx((-45.1 + 114.3) / 2, abs=0.1)
    assert found.high_interval.high - found.high == pytest.approx((110.1 - 40.9) / 2, abs=0.1)


def test_limits_of_agreement_by_hand() -> None:
    found = bland_altman([11, 22, 33, 44, 55], [10, 20, 30, 40, 50])
    assert (found.bias, found.high - found.bias) == (3.0, pytest.approx(1.96 * math.sqrt(2.5)))
    assert found.slope == pytest.approx(1 / 10.5)
    assert found.slope_p < 0.001


def test_wilcoxon_and_hodges_lehmann_are_those_of_hollander_and_wolfe() -> None:
    found = paired(np.subtract(BEFORE, AFTER), people(9))
    assert found.p == pytest.approx(0.0390625, rel=1e-9)
    assert found.hodges_lehmann == pytest.approx(0.46, abs=0.005)
    assert (found.patients, found.reason) == (9, "")


@pytest.mark.parametrize(
    ("differences", "reason"),
    [([0, 0, 0, 0, 0, 0, 0], "no patient differs"), ([1, 2], "fewer than 6"), ([], "no patient")],
)
def test_a_test_that_cannot_be_says_why(differences: list[float], reason: str) -> None:
    assert reason in paired(differences, people(len(differences))).reason


def test_a_patients_cases_count_once_in_a_paired_test() -> None:
    found = paired([1, 3, 2, 2, 2, 2, 2], ["a", "a", "b", "c", "d", "e", "f"])
    assert (found.patients, found.mean, found.p) == (6, 2.0, pytest.approx(2 / 2**6))


def test_holm_adjusts_what_has_a_p() -> None:
    """p.adjust(c(.01, .04, .03, .005), "holm") of R."""
    adjusted = holm([0.01, 0.04, math.nan, 0.03, 0.005])
    assert adjusted == pytest.approx([0.03, 0.06, math.nan, 0.06, 0.02], nan_ok=True)
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_summary_counts_what_is_undefined() -> None:
    found = summary([*map(float, range(1, 101)), math.nan], [*people(100), "p0"])
    assert (found.n, found.missing, found.patients) == (100, 1, 100)
    assert (found.mean, found.median, found.q3 - found.q1) == (50.5, 50.5, 49.5)
    assert found.sd == pytest.approx(29.01, abs=0.005)
    nothing = summary([math.nan], ["p0"])
    assert (nothing.n, nothing.missing) == (0, 1)
    assert math.isnan(nothing.mean)


def test_an_interval_of_equal_values_is_that_value_and_of_one_patient_there_is_none() -> None:
    assert summary([0.9] * 5, people(5)).interval == (pytest.approx(0.9), pytest.approx(0.9))
    assert math.isnan(summary([0.9, 0.8], ["p0", "p0"]).interval.low)


def coverage(cases_each: int, *, by_patient: bool) -> float:
    """How often the interval holds the true mean 0: 24 patients of a skewed cohort, 160 cohorts."""
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(160):
        person = np.repeat(rng.exponential(1.0, 24) - 1.0, cases_each)
        values = person + rng.normal(0.0, 0.3, person.size)
        names = np.repeat(people(24), cases_each) if by_patient else np.array(people(person.size))
        low, high = bootstrap_interval(patient_sums([values, np.ones(values.size)], list(names)), ratio, 499)
        held += low <= 0.0 <= high
    return held / 160


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """95 % nominal; 24 skewed values allow a little less. Standard error of 160 cohorts: 1.7 %."""
    assert 0.90 <= coverage(1, by_patient=True) <= 0.985
    assert 0.90 <= coverage(4, by_patient=True) <= 0.985


def test_resampling_cases_instead_of_patients_would_not() -> None:
    assert coverage(4, by_patient=False) < 0.80
