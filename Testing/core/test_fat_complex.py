"""Fits of complex echoes: the conventions of the scanner are found, and the field may be any."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from fat_phantoms import TE_MS, Tissue, echoes_of, noisy, protocol, signal
from liverseg_core.fat.complexes import conventions, fit_complex
from liverseg_core.fat.magnitude import fit_magnitude

FIELDS = tuple(TE_MS)


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


@pytest.mark.parametrize(("alternation", "precession"), list(product((0.0, 0.14), (1, -1))))
@pytest.mark.parametrize(
    ("field_t", "snr", "most"), [(f, *row) for f in FIELDS for row in ((np.inf, 0.05), (50, 0.5), (20, 0.5))]
)
def test_a_uniform_liver_reads_what_it_holds(field_t, snr, most, alternation, precession) -> None:
    """All of one kind in a field that is not: nothing but the liver tells the scanner's conventions."""
    at, rng, voxels = protocol(field_t), np.random.default_rng(3), 600
    for pdff in (2.0, 12.0, 30.0):
        rows = [Tissue(pdff, 60, f, 1.0, alternation) for f in rng.normal(0, 25 * field_t, voxels)]
        clean = torch.from_numpy(np.stack([signal(row, at, precession=precession) for row in rows], axis=1))
        sigma = 100 / snr
        values = clean + noisy(np.zeros(6, complex), voxels, sigma, seed=4)
        start = fit_magnitude(values.abs(), echoes_of(at), sigma)
        bipolar, sign = conventions(values, echoes_of(at), start)
        fit = fit_complex(values, echoes_of(at), start, bipolar=bipolar, precession=sign)
        bias = fit.pdff() - pdff
        assert float((bias.abs().max() if snr == np.inf else bias.median()).abs()) <= most
        assert float(fit.rate.median()) == pytest.approx(60, rel=0.05)  # 600 voxels


@pytest.mark.parametrize("precession", [1, -1])
@pytest.mark.parametrize("field_t", FIELDS)
def test_fat_that_was_taken_for_water_does_not_turn_the_sign(field_t, precession) -> None:
    """A voxel that magnitudes swapped is nearest to the signal under the wrong sign, and then 12 % read 1 or 10."""
    at, rng = protocol(field_t), np.random.default_rng(5)
    percents = np.repeat([12.0, 80.0], [400, 400])
    rows = [Tissue(p, 60, f, 0.5) for p, f in zip(percents, rng.normal(0, 25 * field_t, 800))]
    clean = torch.from_numpy(np.stack([signal(row, at, precession=precession) for row in rows], axis=1))
    values = clean + noisy(np.zeros(6, complex), 800, 2.0)
    start = fit_magnitude(values.abs(), echoes_of(at), 2.0)
    assert float(start.pdff()[400:].median()) < 40
    assert conventions(values, echoes_of(at), start) == (False, precession)


@pytest.mark.parametrize("alternation", [0.0, 0.14])
def test_a_field_of_half_a_turn_is_not_taken_for_an_alternation(alternation) -> None:
    """Echoes of one polarity cannot tell them apart: the smaller alternation is the one."""
    at = protocol(3.0)
    fields = np.linspace(-500, 500, 41)  # half a turn an echo is 526 Hz
    clean = np.stack([signal(Tissue(12, 60, f, 0.2, alternation), at) for f in fields], axis=1)
    start = fit_magnitude(torch.from_numpy(abs(clean)), echoes_of(at))
    fit = fit_complex(torch.from_numpy(clean), echoes_of(at), start, bipolar=True)
    torch.testing.assert_close(fit.alternation, torch.full((41,), alternation).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(fit.pdff(), torch.full((41,), 12.0).double(), atol=1e-4, rtol=0)


def test_phases_of_twelve_bits_are_not_called_bipolar() -> None:
    at, rng = protocol(3.0), np.random.default_rng(6)
    clean = np.stack([signal(Tissue(12, 60, f, 0.3), at) for f in rng.normal(0, 20, 300)], axis=1)
    stored = np.round(20 * abs(clean)) / 20 * np.exp(1j * np.round(np.angle(clean) * 2048 / np.pi) * np.pi / 2048)
    start = fit_magnitude(torch.from_numpy(abs(stored)), echoes_of(at))
    assert conventions(torch.from_numpy(stored), echoes_of(at), start) == (False, 1)
