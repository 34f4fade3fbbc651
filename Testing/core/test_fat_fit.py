"""Fits of the magnitudes of fat and iron against the formula, against scipy, and in noise."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from fat_phantoms import TE_MS, Tissue, echoes_of, noisy, protocol, signal
from liverseg_core.fat.complexes import fit_complex
from liverseg_core.fat.magnitude import fit_magnitude, rice_mean
from liverseg_core.fat.spectra import SPECTRA
from scipy.optimize import least_squares
from scipy.stats import rice

FIELDS = tuple(TE_MS)


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
