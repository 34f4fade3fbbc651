"""The noise of echoes, found in them, what it leaves of every estimate, and the signal of many voxels together."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from fat_phantoms import Tissue, echoes_of, noisy, protocol, signal
from liverseg_core.fat.complexes import fit_complex
from liverseg_core.fat.magnitude import Fit, fit_magnitude, fit_power
from liverseg_core.fat.noise import sigma_of_air, sigma_of_magnitudes, sigma_of_residuals, uncertainty
from liverseg_core.fat.pooled import pooled
from liverseg_core.fat.protocol import Protocol


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
