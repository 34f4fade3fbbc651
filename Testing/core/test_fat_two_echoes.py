"""Two echoes: the fat fraction of magnitude Dixon against its formula, what decay adds to it, and the echoes that cannot tell."""

from __future__ import annotations

import json
import math
import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from fat_phantoms import Tissue, noisy, signal
from liverseg_core.errors import InputError
from liverseg_core.fat import Options, Protocol
from liverseg_core.fat.analysis import FatResult, analyse
from liverseg_core.fat.spectra import SPECTRA, Spectrum
from liverseg_core.fat.two_point import Ratio
from liverseg_core.geometry import Grid

GRID = Grid((20, 20, 3), (2.0, 2.0, 6.0))
PAIRS = [((1.15, 2.3), 3.0), ((2.3, 3.45), 3.0), ((1.15, 2.1), 3.0), ((2.3, 4.6), 1.5), ((2.1, 4.2), 1.5)]


def read(tissue: Tissue, at: Protocol, sigma: float = 0.0, **options: str) -> FatResult:
    """Everything is liver, all of one tissue."""
    shape = (2, *GRID.array_shape)
    values = noisy(signal(tissue, at), math.prod(GRID.array_shape), sigma).abs().reshape(shape).numpy()
    return analyse(values, None, at, GRID, np.ones(GRID.array_shape, bool), Options(**options))


def median(result: FatResult) -> float:
    return next(row.value for row in result.rows if (row.structure, row.quantity) == ("liver", "ff_median"))


@pytest.mark.parametrize(("pair", "fat"), list(product(PAIRS, (0.0, 5.0, 20.0, 45.0))))
def test_without_decay_the_truth_comes_back(pair, fat: float) -> None:
    result = read(Tissue(fat, 0.0), Protocol(*pair))
    np.testing.assert_allclose(result.maps.ff, fat, atol=1e-3)
    np.testing.assert_allclose(result.maps.water, 100 - fat, rtol=1e-4)
    np.testing.assert_allclose(result.maps.fat, fat, atol=2e-3)
    assert median(result) == pytest.approx(fat, abs=1e-3)


def test_of_a_single_peak_it_is_dixons_formula() -> None:
    """(I - O) / (2 I), exactly in and out of phase."""
    half_ms = 500.0 / (42.577478518 * 3.0 * 3.4)
    ratio = Ratio.of(Protocol((half_ms, 2 * half_ms), 3.0), Spectrum((-3.4,), (1.0,), "one peak"))
    assert (ratio.opposed, ratio.other) == (0, 1)
    seen = np.array([1.2, 1.0, 0.7, 0.1])  # O / I
    np.testing.assert_allclose(ratio.share(seen), (1 - seen) / 2, atol=1e-6)


def test_noise_neither_lifts_a_lean_liver_nor_crosses_a_half() -> None:
    at = Protocol((1.15, 2.3), 3.0)
    lean, fat = read(Tissue(0.0, 0.0), at, 2.0), read(Tissue(49.0, 0.0), at, 2.0)
    assert median(lean) == pytest.approx(0.0, abs=0.2)
    assert (lean.maps.ff < 0).mean() > 0.4
    assert float(fat.maps.ff.max()) == pytest.approx(50.0, abs=1e-4)


@pytest.mark.parametrize(("te_ms", "sign"), [((1.15, 2.3), -1), ((2.3, 3.45), 1)])
def test_what_decay_adds_is_said(te_ms: tuple[float, float], sign: int) -> None:
    """Opposed first: the echo in phase has decayed, and fat reads too low; and the other way round."""
    result = read(Tissue(10.0, 40.0), Protocol(te_ms, 3.0))
    added = median(result) - 10.0
    assert math.copysign(1.0, added) == sign
    assert abs(added) > 1.0
    (told,) = (notice for notice in result.notices if notice.code == "two_echoes")
    assert f"adds {added:+.1f} points" in told.text
    assert "not PDFF" in told.text


def test_nothing_is_called_pdff_or_decay() -> None:
    result = read(Tissue(10.0, 40.0), Protocol((1.15, 2.3), 3.0, 8.5, 12.0))
    assert {row.quantity.partition("_")[0] for row in result.rows} == {"ff", "voxels", "measured"}
    assert [notice.code for notice in result.notices] == ["two_echoes", "t1_weighted"]
    assert result.facts["opposed_echo_ms"] == 1.15


@pytest.mark.parametrize(("te_ms", "field_t"), [((2.3, 4.6), 3.0), ((1.15, 3.45), 3.0), ((1.2, 3.1), 1.5)])
def test_echoes_in_which_fat_does_the_same_are_refused(te_ms, field_t: float) -> None:
    with pytest.raises(InputError, match="fat is too much the same in echoes at"):
        read(Tissue(10.0, 0.0), Protocol(te_ms, field_t))


def test_phases_are_not_asked_for_what_they_cannot_tell() -> None:
    with pytest.raises(InputError, match="needs three echoes at least"):
        read(Tissue(10.0, 0.0), Protocol((1.15, 2.3), 3.0), method="complex")


def test_the_spectrum_counts() -> None:
    at = Protocol((1.15, 2.3), 3.0)
    result = read(Tissue(30.0, 0.0), at, spectrum="hernando6")
    assert result.facts["spectrum"] == "hernando6"
    assert abs(median(result) - 30.0) > 0.03
    assert Ratio.of(at, SPECTRA["hernando6"]).falling.min() != Ratio.of(at, SPECTRA["ismrm6"]).falling.min()


def test_a_voxel_without_signal_has_no_fraction() -> None:
    values = np.full((2, *GRID.array_shape), 100.0, np.float32)
    values[:, 1, 10, 10] = 0.0
    liver = np.ones(GRID.array_shape, bool)
    result = analyse(values, None, Protocol((1.15, 2.3), 3.0), GRID, liver)
    assert math.isnan(result.maps.ff[1, 10, 10])
    assert np.isfinite(np.delete(result.maps.ff.ravel(), np.ravel_multi_index((1, 10, 10), GRID.array_shape))).all()


def test_of_a_real_liver_decay_lowers_one_pair_and_lifts_the_next() -> None:
    """Opposed at 1.1 and 3.3 ms, in phase at 2.2 ms: what decay takes from one it gives to the other, and between them lies
    the PDFF of all twelve echoes, 2.25 %."""
    folder = Path(os.environ.get("LIVERSEG_DATA", "")) / "multiecho" / "me_liver_12echo_3T"
    if not (folder / "meta.json").is_file():
        pytest.skip("no development data here")
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    near = (slice(None), slice(None), slice(98 - 20, 98 + 20), slice(116 - 20, 116 + 20))
    magnitude = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "magnitude.nii.gz")))[near]
    j, i = np.ogrid[-20:20, -20:20]
    disc = (j**2 + i**2 <= 16**2)[None]
    fractions = []
    for pair in ((0, 1), (1, 2)):
        at = Protocol(tuple(meta["echo_times_ms"][n] for n in pair), meta["field_T"])
        fractions.append(median(analyse(magnitude[list(pair)], None, at, Grid((40, 40, 1)), disc)))
    assert fractions[0] < 2.25 < fractions[1]
    assert sum(fractions) / 2 == pytest.approx(2.25, abs=0.6)
