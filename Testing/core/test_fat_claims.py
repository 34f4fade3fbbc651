"""What the fat room claims of livers with known fat and iron: bias, swaps, and what it says where it cannot know. Slow."""

from __future__ import annotations

import math
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from fat_phantoms import TE_MS, Tissue, echoes_of, noisy, protocol, signal
from liverseg_core.fat import Options
from liverseg_core.fat.analysis import BLOCKS_HELP, RELIABLE, FatResult, analyse
from liverseg_core.fat.complexes import conventions
from liverseg_core.fat.magnitude import Fit, fit_magnitude
from liverseg_core.fat.noise import uncertainty
from liverseg_core.geometry import Grid
from liverseg_core.records import Measurement

pytestmark = pytest.mark.slow

GRID = Grid((60, 60, 6), (1.7, 1.7, 6.0))
PDFF, RATES, NOISES = (0, 10, 40), (40, 150, 290, 400, 600, 800), (50, 20)
TISSUES = list(product(TE_MS, NOISES, PDFF, RATES))


@cache
def read(field_t: float, snr: float, pdff: float, rate: float) -> FatResult:
    """Everything is liver, all of one tissue."""
    at, shape = protocol(field_t), GRID.array_shape
    values = noisy(signal(Tissue(pdff, rate), at), math.prod(shape), 100 / snr, seed=int(rate + pdff))
    magnitude = values.abs().reshape(-1, *shape).numpy()
    return analyse(magnitude, None, at, GRID, np.ones(shape, bool), Options(method="magnitude"))


def row(result: FatResult, quantity: str) -> Measurement:
    return next(row for row in result.rows if (row.structure, row.quantity) == ("liver", quantity))


@pytest.mark.parametrize(("field_t", "snr", "pdff", "rate"), TISSUES)
def test_fat_is_true_within_what_the_error_of_a_voxel_allows(field_t, snr, pdff, rate) -> None:
    truth = Fit(*(torch.tensor([float(v)]).double() for v in (100 - pdff, pdff, rate, 0)))
    error = float(uncertainty(truth, echoes_of(protocol(field_t)), 100 / snr)[0])
    median = row(read(field_t, snr, pdff, rate), "pdff_median")
    if math.isnan(median.value):
        assert "iron or noise" in median.reason
        assert error > 0.8 * BLOCKS_HELP
    elif error < RELIABLE:
        assert median.value == pytest.approx(pdff, abs=0.5)
    elif error < BLOCKS_HELP:
        assert median.value == pytest.approx(pdff, abs=1.0)


@pytest.mark.parametrize(("field_t", "snr", "pdff", "rate"), TISSUES)
def test_iron_is_true_up_to_800(field_t, snr, pdff, rate) -> None:
    within = 0.02 if rate < 300 else 0.05 if snr == 50 else 0.10
    result = read(field_t, snr, pdff, rate)
    assert row(result, "r2star_median").value == pytest.approx(rate, rel=within)


@pytest.mark.parametrize(("field_t", "snr", "pdff", "rate"), list(product(TE_MS, NOISES, (5, 40), (1000,))))
def test_iron_beyond_the_first_echo_is_at_least(field_t, snr, pdff, rate) -> None:
    assert "at least" in row(read(field_t, snr, pdff, rate), "r2star_median").reason


@pytest.mark.parametrize(("field_t", "snr", "rate"), list(product(TE_MS, NOISES, (40, 150, 290))))
def test_no_voxel_of_the_liver_is_taken_for_fat(field_t, snr, rate) -> None:
    assert float(np.nanmax(read(field_t, snr, 10, rate).maps.pdff)) <= 50 + 1e-3


@pytest.mark.parametrize("echoes", [5, 6, 12])
@pytest.mark.parametrize("field_t", list(TE_MS))
def test_unipolar_scans_are_not_called_bipolar(field_t, echoes) -> None:
    first, step = TE_MS[field_t][0], TE_MS[field_t][1] - TE_MS[field_t][0]
    at = type(protocol())(tuple(first + step * n for n in range(echoes)), field_t)
    for seed, snr in product(range(4), (15, 50)):
        rng = np.random.default_rng(seed)
        rows = [Tissue(p, rng.uniform(30, 120), rng.normal(0, 25 * field_t)) for p in rng.uniform(0, 15, 800)]
        clean = torch.from_numpy(np.stack([signal(tissue, at) for tissue in rows], axis=1))
        values = clean + noisy(np.zeros(echoes, complex), 800, 100 / snr, seed=seed)
        assert not conventions(values, echoes_of(at), fit_magnitude(values.abs(), echoes_of(at)))[0]
