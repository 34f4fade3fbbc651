"""Fits of fat and iron against the formula, against scipy, against Monte Carlo, and where they must refuse to guess."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from fat_phantoms import TE_MS, Tissue, echoes_of, noisy, protocol, signal
from liverseg_core.errors import InputError
from liverseg_core.fat.complexes import conventions, fit_complex
from liverseg_core.fat.magnitude import Fit, fit_magnitude, fit_power, rice_mean
from liverseg_core.fat.noise import sigma_of_air, sigma_of_magnitudes, sigma_of_residuals, uncertainty
from liverseg_core.fat.pooled import pooled
from liverseg_core.fat.protocol import Protocol, notices_about
from liverseg_core.fat.spectra import SPECTRA, spectrum_named
from liverseg_core.fat.tables import CALIBRATIONS, IRON, STEATOSIS, calibration_for, iron_bands
from scipy.optimize import least_squares
from scipy.stats import rice

FIELDS = tuple(TE_MS)


@pytest.mark.parametrize("name", SPECTRA)
def test_the_peaks_of_a_spectrum_sum_to_one_and_turn_as_they_must(name: str) -> None:
    row = SPECTRA[name]
    assert len(row.shifts_ppm) == len(row.weights)
    assert row.phasor([0.0], 3.0) == pytest.approx(1)
    assert abs(row.phasor([1.15, 5.0], 3.0)).max() < 1


def test_a_single_peak_is_two_point_dixon() -> None:
    """In and opposed phase at 3 T: 434 Hz slower turns by a whole and by a half."""
    from liverseg_core.fat.spectra import Spectrum

    peak = Spectrum((-3.4,), (1.0,), "one peak")
    hertz = 42.577478518 * 3.0 * 3.4
    assert hertz == pytest.approx(434.3, abs=0.1)
    assert peak.phasor([1e3 / hertz], 3.0) == pytest.approx(1)
    assert peak.phasor([5e2 / hertz], 3.0) == pytest.approx(-1)


@pytest.mark.parametrize("field_t", FIELDS)
def test_without_noise_the_truth_comes_back(field_t: float) -> None:
    at = protocol(field_t)
    grid = list(product((0, 5, 20, 45), (20, 60, 200, 600)))
    clean = np.stack([signal(Tissue(*row), at) for row in grid], axis=1)
    fit = fit_magnitude(torch.from_numpy(abs(clean)), echoes_of(at))
    truth = torch.tensor(grid, dtype=torch.float64)
    torch.testing.assert_close(fit.pdff(), truth[:, 0], atol=1e-6, rtol=0)
    torch.testing.assert_close(fit.rate, truth[:, 1], atol=1e-5, rtol=0)
    both = fit_complex(torch.from_numpy(clean), echoes_of(at), fit, bipolar=False)
    torch.testing.assert_close(both.pdff(), truth[:, 0], atol=1e-5, rtol=0)


def test_the_fat_dominant_half_is_the_other_one() -> None:
    at = protocol()
    clean = np.stack([abs(signal(Tissue(p, 60), at)) for p in (60, 80, 95)], axis=1)
    fit = fit_magnitude(torch.from_numpy(clean), echoes_of(at), dominant="fat")
    torch.testing.assert_close(fit.pdff(), torch.tensor([60.0, 80, 95]).double(), atol=1e-5, rtol=0)
    assert (fit_magnitude(torch.from_numpy(clean), echoes_of(at)).pdff() <= 50 + 1e-9).all()


def test_the_order_of_the_echoes_does_not_matter() -> None:
    at = protocol()
    values = noisy(signal(Tissue(12, 80), at), 200, 2.0).abs()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    echoes = echoes_of(at)
    shuffled = type(echoes)(echoes.times_s[order], echoes.real[order], echoes.imag[order])
    plain, turned = fit_magnitude(values, echoes), fit_magnitude(values[order], shuffled)
    torch.testing.assert_close(plain.pdff(), turned.pdff(), atol=1e-4, rtol=0)


def test_a_voxel_of_zeros_stays_zero_and_its_neighbours_are_fitted() -> None:
    at = protocol()
    values = torch.from_numpy(np.stack([np.zeros(6), abs(signal(Tissue(10, 50), at))], axis=1))
    fit = fit_magnitude(values, echoes_of(at))
    assert [float(x[0]) for x in (fit.water, fit.fat, fit.rate, fit.residual)] == [0, 0, 0, 0]
    assert math.isnan(float(fit.pdff()[0]))
    assert float(fit.pdff()[1]) == pytest.approx(10, abs=1e-5)


def test_the_minimum_is_scipys() -> None:
    """Voxel by voxel least squares of the same model, started at the truth."""
    at = protocol(1.5)
    values = noisy(signal(Tissue(15, 90), at), 25, 2.0).abs().numpy()
    c, t = SPECTRA["ismrm6"].phasor(at.te_ms, at.field_t), np.array(at.te_ms) / 1e3
    fit = fit_magnitude(torch.from_numpy(values), echoes_of(at))
    for n, voxel in enumerate(values.T):
        found = least_squares(lambda p, y=voxel: abs(p[0] + p[1] * c) * np.exp(-p[2] * t) - y, (85.0, 15.0, 90.0))
        ours = (float(fit.water[n]), float(fit.fat[n]), float(fit.rate[n]))
        assert ours == pytest.approx(tuple(found.x), rel=1e-3, abs=1e-2)


def test_a_minimum_at_the_bound_is_scipys_too() -> None:
    """Half fat: noise takes many voxels to the bound, along which water and R2* are still to be found."""
    at = protocol(3.0)
    values = noisy(signal(Tissue(50, 90), at), 25, 4.0).abs().numpy()
    c, t = SPECTRA["ismrm6"].phasor(at.te_ms, at.field_t), np.array(at.te_ms) / 1e3
    fit = fit_magnitude(torch.from_numpy(values), echoes_of(at))
    at_bound = 0
    for n, voxel in enumerate(values.T):
        found = least_squares(
            lambda p, y=voxel: p[0] * abs(1 - p[1] + p[1] * c) * np.exp(-p[2] * t) - y, (100.0, 0.45, 90.0),
            bounds=([0, -1 / 3, -20], [1e4, 0.5, 2000]), x_scale=(100, 1, 100), xtol=1e-12, ftol=1e-12,
        )  # fmt: skip
        at_bound += found.x[1] > 0.4999
        assert float(fit.pdff()[n]) == pytest.approx(100 * found.x[1], abs=0.02)
        assert float(fit.rate[n]) == pytest.approx(found.x[2], abs=0.1)
    assert at_bound > 5


def test_the_mean_of_a_rician_magnitude_is_scipys_and_its_slope_the_difference() -> None:
    amplitude = torch.tensor([0.0, 0.3, 1.0, 2.5, 7.0, 20.0, 3e4]).double()
    mean, slope = rice_mean(amplitude, 2.0)
    np.testing.assert_allclose(mean[:-1].numpy(), rice.mean(amplitude[:-1].numpy() / 2.0, scale=2.0), rtol=1e-9)
    step = 1e-4
    ahead, behind = (rice_mean(amplitude[1:-1] + d, 2.0)[0] for d in (step, -step))
    torch.testing.assert_close(slope[1:-1], (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-7)
    assert float(mean[-1]) == pytest.approx(3e4, rel=1e-6)


@pytest.mark.parametrize(
    ("field_t", "snr", "pdff", "rate"), [(3.0, 50, 30, 150), (3.0, 20, 15, 150), (1.5, 50, 5, 40), (1.5, 20, 15, 40)]
)
def test_in_noise_no_voxel_swaps_and_the_median_is_true(field_t, snr, pdff, rate) -> None:
    at = protocol(field_t)
    values = noisy(signal(Tissue(pdff, rate), at), 6000, 100 / snr).abs()
    fit = fit_magnitude(values, echoes_of(at), 100 / snr)
    assert float(fit.pdff().median()) == pytest.approx(pdff, abs=0.5)
    assert float(fit.pdff().mean()) == pytest.approx(pdff, abs=0.7)
    assert float(fit.rate.median()) == pytest.approx(rate, rel=0.02 if snr == 50 else 0.03)
    assert float(fit.pdff().max()) <= 50 + 1e-9


def test_a_lean_liver_is_not_lifted_by_a_bound_at_zero() -> None:
    at = protocol(3.0)
    fit = fit_magnitude(noisy(signal(Tissue(0, 40), at), 3000, 5.0).abs(), echoes_of(at), 5.0)
    assert abs(float(fit.pdff().median())) < 0.4
    assert float((fit.fat < 0).double().mean()) > 0.3


def test_the_noise_floor_is_fitted_where_the_last_echoes_lie_on_it() -> None:
    at = protocol(3.0)
    values = noisy(signal(Tissue(5, 800), at), 3000, 2.0).abs()
    plain, floor = (fit_magnitude(values, echoes_of(at), sigma) for sigma in (0.0, 2.0))
    assert float(plain.rate.median()) < 750
    assert float(floor.rate.median()) == pytest.approx(800, rel=0.02)
    bright = noisy(signal(Tissue(5, 40), at), 200, 0.5).abs()
    one, other = (fit_magnitude(bright, echoes_of(at), sigma) for sigma in (0.0, 0.5))
    assert torch.equal(one.rate, other.rate)


@pytest.mark.parametrize(("alternation", "precession"), list(product((0.0, 0.14), (1, -1))))
@pytest.mark.parametrize("field_t", FIELDS)
def test_the_conventions_of_the_scanner_are_found(field_t, alternation, precession) -> None:
    at, rng = protocol(field_t), np.random.default_rng(1)
    rows = [Tissue(p, 60, rng.normal(0, 100), rng.uniform(-3, 3), alternation) for p in np.linspace(0, 40, 300)]
    clean = np.stack([signal(row, at, precession=precession) for row in rows], axis=1)
    values = torch.from_numpy(clean) + noisy(np.zeros(6, complex), 300, 1.0)
    start = fit_magnitude(values.abs(), echoes_of(at))
    bipolar, sign = conventions(values, echoes_of(at), start)
    assert (bipolar, sign) == (alternation > 0, precession)
    fit = fit_complex(values, echoes_of(at), start, bipolar=bipolar, precession=sign)
    truth = torch.linspace(0, 40, 300).double()
    assert float((fit.pdff() - truth).abs().mean()) < 1.2
    if alternation:
        assert float(fit.alternation.median()) == pytest.approx(alternation, abs=0.02)


@pytest.mark.parametrize("alternation", [0.0, 0.05])
@pytest.mark.parametrize("field_t", FIELDS)
def test_a_small_alternation_is_told_from_noise(field_t, alternation) -> None:
    """Too small to halve the residual, and the same in every voxel."""
    at, rng = protocol(field_t), np.random.default_rng(2)
    rows = [Tissue(p, 60, rng.normal(0, 50), 1.0, alternation) for p in np.linspace(0, 40, 600)]
    clean = np.stack([signal(row, at) for row in rows], axis=1)
    values = torch.from_numpy(clean) + noisy(np.zeros(6, complex), 600, 5.0)
    start = fit_magnitude(values.abs(), echoes_of(at), 5.0)
    assert conventions(values, echoes_of(at), start) == (alternation > 0, 1)


def test_a_field_beyond_one_turn_changes_nothing_but_itself() -> None:
    at = protocol(3.0)
    turn = 1e3 / 0.95
    clean = np.stack([signal(Tissue(20, 70, f), at) for f in (30.0, 30.0 + turn, 30.0 - 2 * turn)], axis=1)
    start = fit_magnitude(torch.from_numpy(abs(clean)), echoes_of(at))
    fit = fit_complex(torch.from_numpy(clean), echoes_of(at), start, bipolar=False)
    torch.testing.assert_close(fit.pdff(), torch.full((3,), 20.0).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(fit.field_hz, torch.full((3,), 30.0).double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("field_t", "snr", "pdff", "rate"), [(3.0, 50, 5, 40), (3.0, 20, 5, 400), (1.5, 50, 15, 400)])
def test_the_cramer_rao_deviation_is_that_of_monte_carlo(field_t, snr, pdff, rate) -> None:
    at, sigma = protocol(field_t), 100 / snr
    values = noisy(signal(Tissue(pdff, rate), at), 2500, sigma)
    start = fit_magnitude(values.abs(), echoes_of(at), sigma)
    both = fit_complex(values, echoes_of(at), start, bipolar=False)
    truth = Fit(*(torch.tensor([float(v)]).double() for v in (100 - pdff, pdff, rate, 0)))
    for fit, phases in ((start, False), (both, True)):
        bound = uncertainty(truth, echoes_of(at), sigma, phases=phases)
        for found, expected in zip((fit.pdff(), fit.rate), bound):
            low, high = found.nanquantile(torch.tensor([0.1587, 0.8413]).double())
            assert float(high - low) / 2 == pytest.approx(float(expected), rel=0.12)


@pytest.mark.parametrize(
    ("field_t", "rate", "pdff", "sigma"),
    [(3.0, 40, 5, 3), (3.0, 300, 5, 3), (3.0, 800, 5, 3), (1.5, 400, 40, 3), (1.5, 1000, 10, 5), (3.0, 1000, 5, 5)],
)
def test_the_noise_is_found_in_the_magnitudes_whatever_lies_on_the_floor(field_t, rate, pdff, sigma) -> None:
    at = protocol(field_t)
    values = noisy(signal(Tissue(pdff, rate), at), 12000, sigma)
    assert sigma_of_magnitudes(values.abs(), echoes_of(at)) == pytest.approx(sigma, rel=0.06)


def test_ghosts_and_vessels_are_no_noise() -> None:
    at = protocol(3.0)
    values = noisy(signal(Tissue(5, 60), at), 12000, 2.0).abs()
    values[1::2, 3000:4500] *= 1.5
    assert sigma_of_magnitudes(values, echoes_of(at)) == pytest.approx(2.0, rel=0.06)


def test_noise_is_not_guessed_from_four_echoes_or_from_nothing() -> None:
    at = protocol(3.0)
    values = noisy(signal(Tissue(5, 60), at), 400, 2.0).abs()
    few = Protocol(at.te_ms[:4], 3.0)
    assert math.isnan(sigma_of_magnitudes(values[:4], echoes_of(few)))
    assert math.isnan(sigma_of_magnitudes(values[:, :5], echoes_of(at)))
    assert sigma_of_magnitudes(torch.zeros(6, 400), echoes_of(at)) == 0


def test_the_noise_is_found_in_the_residuals_of_the_phases_and_in_the_air() -> None:
    at = protocol(3.0)
    values = noisy(signal(Tissue(5, 60), at), 3000, 3.0)
    start = fit_magnitude(values.abs(), echoes_of(at), 3.0)
    both = fit_complex(values, echoes_of(at), start, bipolar=False)
    assert sigma_of_residuals(both, echoes_of(at), phases=2) == pytest.approx(3.0, rel=0.05)
    air = noisy(np.zeros(1, complex), 5000, 3.0).abs()[0]
    assert sigma_of_air(air) == pytest.approx(3.0, rel=0.05)
    assert math.isnan(sigma_of_air(air * (air > 4)))  # a scanner that sets air to zero
    assert math.isnan(sigma_of_air(torch.full((500,), 7.0)))


def test_the_mean_power_of_a_block_is_fitted_with_its_noise_and_not_cut_short_by_it() -> None:
    at, sigma = protocol(3.0), 5.0
    grid = list(product((0, 20, 40), (60, 400, 800)))
    clean = np.stack([abs(signal(Tissue(*row), at)) for row in grid], axis=1)
    truth = torch.tensor(grid, dtype=torch.float64)
    fit = fit_power(torch.from_numpy(clean**2 + 2 * sigma**2), echoes_of(at), sigma)
    torch.testing.assert_close(fit.pdff(), truth[:, 0], atol=0.02, rtol=0)
    torch.testing.assert_close(fit.rate, truth[:, 1], atol=0.02, rtol=0)
    tissue = signal(Tissue(5, 600), at)
    power = noisy(tissue, 25 * 600, sigma).abs().square().reshape(6, 600, 25).mean(2)
    assert float(fit_power(power, echoes_of(at), sigma).pdff().median()) == pytest.approx(5, abs=1)


def test_the_pool_of_a_region_is_free_of_the_noise_floor() -> None:
    at = protocol(3.0)
    values = noisy(signal(Tissue(5, 800), at), 4000, 5.0).abs().numpy()
    pool = pooled(values, echoes_of(at), 5.0)
    assert pool.pdff == pytest.approx(5, abs=1.5)
    assert pool.rate == pytest.approx(800, rel=0.03)
    assert 15 < pool.pdff_sd < 60
    assert math.isnan(pooled(values, echoes_of(at), math.nan).pdff_sd)


@pytest.mark.parametrize(
    ("te_ms", "field_t", "words"),
    [
        ((1.2,), 3.0, "1 echo cannot"), ((0.00115, 0.0021, 0.00305), 3.0, "look like seconds"),
        ((1.2, 1.2, 2.2), 3.0, "all different"), ((0.0, 1.0), 3.0, "must be positive"), ((1.0, 2.0), 30.0, "30 T"),
        ((300.0, 600.0), 3.0, "too long"),
    ],
)  # fmt: skip
def test_a_protocol_that_cannot_be_is_refused(te_ms, field_t, words) -> None:
    with pytest.raises(InputError, match=words):
        Protocol(te_ms, field_t)


def test_echoes_that_are_all_in_phase_are_named() -> None:
    period = 1e3 / (42.577478518 * 1.5 * 3.4)
    in_phase = Protocol(tuple(period * n for n in range(1, 7)), 1.5)
    codes = [notice.code for notice in notices_about(in_phase, SPECTRA["ismrm6"])]
    assert codes == ["fat_not_separable"]
    for field_t in FIELDS:
        assert notices_about(protocol(field_t), SPECTRA["ismrm6"]) == ()


@pytest.mark.parametrize(
    ("field_t", "tr_ms", "flip", "reads"),
    [(1.5, 14, 3, 10.2), (1.5, 14, 10, 11.7), (1.5, 14, 20, 13.7), (3.0, 8.5, 3, 10.6), (3.0, 8.5, 10, 13.9), (3.0, 8.5, 20, 16.9)],
)  # fmt: skip
def test_t1_weighting_colours_ten_per_cent_as_tabulated(field_t, tr_ms, flip, reads) -> None:
    gain = 1 + protocol(field_t, tr_ms=tr_ms, flip_deg=flip).t1_bias()
    assert 100 * 0.1 * gain / (0.1 * gain + 0.9) == pytest.approx(reads, abs=0.06)


def test_t1_weighting_warns_above_a_twentieth() -> None:
    assert notices_about(protocol(1.5, tr_ms=14, flip_deg=3), SPECTRA["ismrm6"]) == ()
    (told,) = notices_about(protocol(3.0, tr_ms=8.5, flip_deg=10), SPECTRA["ismrm6"])
    assert told.code == "t1_weighted"
    assert "not called PDFF" in told.text


@pytest.mark.parametrize(
    ("name", "field_t", "at_100"),
    [("hernando2023", 1.5, 2.44), ("hernando2023", 2.8936, 1.37), ("hernando2023", 3.0, 1.32), ("wood2005", 1.5, 2.74),
     ("garbowski2014", 1.5, 3.09), ("hankins2009", 1.5, 2.35)],
)  # fmt: skip
def test_calibrations_read_a_hundred_as_published(name, field_t, at_100) -> None:
    assert calibration_for(name, field_t)(100) == pytest.approx(at_100, abs=0.006)


def test_another_field_has_no_calibration_and_another_name_is_refused() -> None:
    assert calibration_for("wood2005", 3.0) is None
    assert calibration_for("hernando2023", 2.2) is None
    assert iron_bands(2.2) is None
    with pytest.raises(InputError, match="unknown calibration"):
        calibration_for("wood", 1.5)
    with pytest.raises(InputError, match="unknown spectrum"):
        spectrum_named("ismrm")
    assert all(row.source for rows in CALIBRATIONS.values() for row in rows)


def test_grades_begin_at_their_limits() -> None:
    tang = STEATOSIS["tang"]
    assert [tang.grade(v) for v in (-1, 6.3, 6.4, 17.4, 22.1, 60)] == ["S0", "S0", "S1", "S2", "S3", "S3"]
    assert [IRON[1.5].grade(v) for v in (65, 66, 224, 225, 475, 476)] == [
        "normal",
        "mild",
        "mild",
        "moderate",
        "moderate",
        "severe",
    ]
    assert iron_bands(2.8936) is IRON[3.0]
