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
