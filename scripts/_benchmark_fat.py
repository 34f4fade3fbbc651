"""Rows of `benchmark.py fat`: what the fits of fat and iron are worth, and how fast they are.

Phantoms whose answer is known, real echoes against a voxelwise fit of the same model by scipy, simulated livers under the
mask of a reference and under one with the errors of a network, and the time against the loops that people write. What
needs $LIVERSEG_DATA is left out where that is not set.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmark import Options, Row
from scipy import ndimage, optimize

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "LiverSegExtension" / "LiverSeg"), str(ROOT / "LiverSegTraining")]

import SimpleITK as sitk  # noqa: E402
import torch  # noqa: E402
from liverseg_core import multiecho_synthetic as simulator  # noqa: E402
from liverseg_core.fat import Options as FatOptions  # noqa: E402
from liverseg_core.fat import Protocol  # noqa: E402
from liverseg_core.fat.analysis import BLOCKS_HELP, RELIABLE, FatResult, analyse  # noqa: E402
from liverseg_core.fat.complexes import conventions, fit_complex  # noqa: E402
from liverseg_core.fat.magnitude import Echoes, Fit, fit_magnitude  # noqa: E402
from liverseg_core.fat.noise import sigma_of_magnitudes, uncertainty  # noqa: E402
from liverseg_core.fat.spectra import SPECTRA  # noqa: E402
from liverseg_core.geometry import Grid  # noqa: E402
from liverseg_core.labels import LIVER  # noqa: E402
from liverseg_core.records import LabelMask, MultiEcho, Scan  # noqa: E402
from liverseg_core.synthetic import abdomen  # noqa: E402

DATA = Path(os.environ.get("LIVERSEG_DATA", "")) if os.environ.get("LIVERSEG_DATA") else None
PDFF = (0.0, 5.0, 10.0, 20.0, 30.0, 40.0)
RATES = (40.0, 150.0, 290.0, 400.0, 600.0, 800.0)
CELL = Grid((60, 60, 6), (1.7, 1.7, 6.0))
SCAN_MM = (1.7, 1.7, 6.0)
# name: spectrum, regions (row, column, radius): PDFF and R2* of the magnitudes, PDFF of the phases; quantities.md D.6
REAL: Mapping[str, tuple[str, Mapping[str, tuple[tuple[int, int, int], float, float, float]]]] = {
    "me_liver_12echo_3T": ("ismrm6", {"liver": ((98, 116, 16), 2.25, 48.5, 2.09)}),
    "me_b0nice_99_3T": ("ismrm6", {"liver": ((136, 147, 14), -0.12, 22.7, 0.97)}),
    "aux_phantom_16echo_1p5T": ("hernando6", {
        "top bottle": ((34, 80, 10), -0.01, 8.2, -0.06), "bottom bottle": ((91, 88, 10), 2.34, 65.0, 2.07),
        "left bottle": ((68, 39, 10), 27.78, 10.9, 26.99),
    }),
}  # fmt: skip
VOXELS, LOOPED = 60_000, 400


@dataclass(frozen=True)
class Cell:
    """What the phantom of one tissue read: PDFF in points and R2* relative, less the truth; `error` is the Cramer-Rao
    deviation of a voxel in points."""

    pdff: float
    rate: float
    told: float
    error: float
    swapped: float


def rows(options: Options) -> Iterator[Row]:
    torch.set_num_threads(2)
    for train in ("3t", "1.5t"):
        yield _noise_free(train)
        for snr in (50.0, 20.0):
            yield from _phantom(train, snr, quick=options.quick)
    if DATA is not None:
        for name in REAL:
            yield from _real(name)
    yield from _masks(2 if options.quick else 10)
    yield from _speed(100 if options.quick else LOOPED)


def _noise_free(name: str) -> Row:
    train = simulator.train_named(name)
    truth = simulator.cells(PDFF, RATES, 1, field_t=train.field_t)
    echoes = _scanned(truth, train, np.inf)
    fit = fit_magnitude(torch.from_numpy(echoes.magnitude.reshape(len(train.te_ms), -1)), _echoes_of(echoes))
    worst = float(np.abs(fit.pdff().numpy() - truth.pdff.ravel()).max())
    return Row(f"{name}, no noise: worst error of PDFF, points", worst, None, None, "<= 0.05", worst <= 0.05)


def _phantom(train: str, snr: float, *, quick: bool) -> Iterator[Row]:
    percents, rates = (PDFF[::3], RATES[::3]) if quick else (PDFF, RATES)
    cells = {(p, r): _cell(train, snr, p, r) for p in percents for r in rates}
    told = f"{train}, SNR {snr:g}"
    for low, high, most in ((0.0, RELIABLE, 0.5), (RELIABLE, BLOCKS_HELP, 1.0)):
        those = [c for c in cells.values() if low <= c.error < high and np.isfinite(c.pdff)]
        worst = max((abs(c.pdff) for c in those), default=0.0)
        name = f"{told}: worst bias of PDFF, points, {len(those)} regions with a voxel error of {low:g} to {high:g}"
        yield Row(name, worst, None, None, f"<= {most:g}", worst <= most)
    lost = sum(np.isnan(c.pdff) for c in cells.values())
    yield Row(f"{told}: regions of {len(cells)} without a PDFF (iron or noise)", float(lost), None, None, "", None)
    swapped = max(c.swapped for c in cells.values())
    yield Row(f"{told}: largest share of swapped voxels", swapped, None, None, "<= 0", swapped <= 0)
    for low, high, most in ((0, 300, 2.0), (300, 801, 5.0 if snr == 50 else 10.0)):
        worst = max(100 * abs(c.rate) for (_, rate), c in cells.items() if low <= rate < high)
        yield Row(f"{told}: worst bias of R2* from {low} to {min(high, 800)} 1/s, %", worst, None, None, f"<= {most:g}", worst <= most)  # fmt: skip
    beyond = [_cell(train, snr, p, 1000.0).told for p in percents]
    yield Row(f"{told}: share of livers of 1000 1/s that read `at least`", float(np.mean(beyond)), None, None, ">= 1", min(beyond) == 1)  # fmt: skip


def _cell(name: str, snr: float, pdff: float, rate: float) -> Cell:
    train = simulator.train_named(name)
    ones = np.ones(CELL.array_shape)
    truth = simulator.Truth(LabelMask(ones.astype(np.uint8), CELL), ones > 0, ones, pdff * ones, rate * ones, train.field_t)  # fmt: skip
    echoes = _scanned(truth, train, snr, seed=int(rate * 100 + pdff))
    result = analyse(echoes.magnitude, None, Protocol(train.te_ms, train.field_t), CELL, ones > 0)
    known = Fit(*(torch.tensor([v]).double() for v in (1 - pdff / 100, pdff / 100, rate, 0.0)))
    error = float(uncertainty(known, _echoes_of(echoes), 1 / snr)[0])
    fat, iron = _row(result, "pdff_median"), _row(result, "r2star_median")
    swapped = float((result.maps.pdff > 50.0 + 1e-3).mean())
    return Cell(fat.value - pdff, iron.value / rate - 1, float("at least" in iron.reason), error, swapped)


def _real(name: str) -> Iterator[Row]:
    assert DATA is not None
    spectrum, regions = REAL[name]
    folder = DATA / "multiecho" / name
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    magnitude, phase = (sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{n}.nii.gz"))) for n in ("magnitude", "phase_rad"))  # fmt: skip
    at = Protocol(tuple(meta["echo_times_ms"]), meta["field_T"])
    grid = Grid((magnitude.shape[3], magnitude.shape[2], 1))
    for which, ((row, column, radius), pdff, rate, by_phases) in regions.items():
        j, i = np.ogrid[: magnitude.shape[2], : magnitude.shape[3]]
        disc = ((j - row) ** 2 + (i - column) ** 2 <= radius**2)[None]
        maps = {m: analyse(magnitude, phase, at, grid, disc, FatOptions(method=m, spectrum=spectrum)).maps for m in ("magnitude", "complex")}  # fmt: skip
        fat, iron = (float(values[disc].mean()) for values in (maps["magnitude"].pdff, maps["magnitude"].r2star))
        both = float(maps["complex"].pdff[disc].mean())
        theirs = _looped(_magnitude_loop, magnitude[:, disc].astype(float), at, spectrum)
        told = f"{name}, {which}"
        yield _within(f"{told}: PDFF, points, against scipy voxel by voxel", fat, float(theirs[0].mean()), 0.3)
        yield _within(f"{told}: R2*, 1/s, against scipy voxel by voxel", iron, float(theirs[1].mean()), 0.01 * iron)
        yield _within(f"{told}: PDFF of the phases against the magnitudes", both, fat, 1.2)
        yield _within(f"{told}: PDFF against the tabulated value", fat, pdff, 0.3)
        yield _within(f"{told}: PDFF of the phases against the tabulated value", both, by_phases, 0.3)
        yield _within(f"{told}: R2* against the tabulated value", iron, rate, max(0.5, 0.01 * rate))


def _masks(count: int) -> Iterator[Row]:
    """The liver's medians under two masks of the same simulated scan."""
    pairs = []
    for n, (scan, labels) in enumerate(_label_maps(count)):
        rng = np.random.default_rng(n)
        name = ("3t", "1.5t")[n % 2]
        train = simulator.train_named(name)
        liver = simulator.Liver(rng.uniform(2, 35), rng.uniform(30, 200), rng.uniform(0, 4), rng.uniform(0, 20), left_minus_right=rng.uniform(-4, 4))  # fmt: skip
        truth = simulator.truth_of(scan, labels, labels.grid.respaced(SCAN_MM), liver, field_t=train.field_t, seed=n)
        echoes = simulator.scanned(truth, train, SPECTRA["ismrm6"], snr=30.0, seed=n)
        reference = truth.labels.voxels == LIVER
        found = _misdrawn(reference, truth.labels.grid, rng)
        dsc = 2 * (reference & found).sum() / (reference.sum() + found.sum())
        read = [_near(echoes, mask, reference | found) for mask in (reference, found)]
        pairs.append([[_row(r, q).value for r in read] for q in ("pdff_median", "r2star_median")] + [[dsc, dsc]])
    fat, iron, dsc = np.asarray(pairs).transpose(1, 0, 2)
    told = f"{len(pairs)} simulated livers, masks of DSC {dsc.min():.3f} to {dsc.max():.3f}"
    apart, relative = fat[:, 1] - fat[:, 0], 100 * (iron[:, 1] / iron[:, 0] - 1)
    bias, limits = abs(float(apart.mean())), 1.96 * float(apart.std(ddof=1))
    yield Row(f"{told}: bias of PDFF between them, points", bias, None, None, "<= 0.3", bias <= 0.3)
    yield Row(f"{told}: limits of agreement of PDFF, +- points", limits, None, None, "<= 1.5", limits <= 1.5)
    yield Row(f"{told}: largest difference of R2*, %", float(abs(relative).max()), None, None, "<= 2", bool(abs(relative).max() <= 2))  # fmt: skip
    for kind, values in (("PDFF", fat), ("R2*", iron)):
        yield Row(f"{told}: correlation of {kind}", float(np.corrcoef(values.T)[0, 1]), None, None, "", None)


def _near(echoes: MultiEcho, mask: np.ndarray, shown: np.ndarray) -> FatResult:
    """The analysis of the box that holds what is shown: the rest of the body changes nothing in the liver."""
    (box,) = ndimage.find_objects(shown.astype(int))
    magnitude, phase = (np.asarray(values)[(slice(None), *box)] for values in (echoes.magnitude, echoes.phase_rad))
    grid = echoes.grid.cropped([s.start for s in box[::-1]], mask[box].shape[::-1])
    return analyse(magnitude, phase, Protocol(echoes.te_ms, echoes.field_t), grid, mask[box])


def _misdrawn(liver: np.ndarray, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """With a boundary that lies off by 3 mm (standard deviation), smoothly over about 2 cm: what a network leaves."""
    spacing = grid.spacing_mm[::-1]
    depth = ndimage.distance_transform_edt(liver, spacing) - ndimage.distance_transform_edt(~liver, spacing)
    shift = ndimage.gaussian_filter(rng.normal(size=liver.shape), [10.0 / s for s in spacing])
    return np.asarray(depth + 3.0 * shift / shift.std() > 0)


def _label_maps(count: int) -> Iterator[tuple[Scan, LabelMask]]:
    """The CTs of $LIVERSEG_DATA with their labels, or a synthetic abdomen twice."""
    if DATA is None:
        yield from [abdomen("ct")[:2]] * 2
        return
    from liverseg_core.reading import read_mask, read_scan
    from liverseg_training.cases import list_cases

    for case in list_cases(DATA, ("btcv_*",))[:count]:
        yield read_scan(case.image, case.phase), read_mask(case.labels)


def _speed(looped: int) -> Iterator[Row]:
    """Voxels of 3 T, SNR 50, PDFF 0-40 %, R2* 25-250; the loops over some of them, the least of several times."""
    at, signals = _speckled(VOXELS)
    echoes = _echoes_of(at)
    values = torch.from_numpy(signals)
    magnitudes = values.abs()
    ours, fit = _timed(lambda: fit_magnitude(magnitudes, echoes), 5)
    phased, _ = _timed(lambda: fit_complex(values, echoes, fit, bipolar=False), 5)
    protocol, few = Protocol(at.te_ms, at.field_t), signals[:, :looped]
    loops = (
        ("the bounded curve_fit of two starts", ours, _curve_fit_loop, abs(few), 400.0),
        ("the loop of least_squares (lm)", ours, _magnitude_loop, abs(few), 80.0),
        ("complex: the loop of least_squares (lm)", phased, _complex_loop, few, 50.0),
    )
    for name, mine, loop, given, want in loops:
        each = _timed(lambda loop=loop, given=given: _looped(loop, given, protocol, "ismrm6"), 3)[0] / looped
        ratio = each * VOXELS / mine
        yield Row(f"microseconds a voxel against {name}", 1e6 * mine / VOXELS, 1e6 * each, ratio, f">= {want:g}", ratio >= want)  # fmt: skip
    at, signals = _speckled(150_000)
    values, magnitudes = torch.from_numpy(signals), torch.from_numpy(abs(signals))

    def whole() -> Fit:
        return fit_magnitude(magnitudes, echoes, sigma_of_magnitudes(magnitudes, echoes))

    def with_phases() -> Fit:
        start = whole()
        bipolar, precession = conventions(values, echoes, start)
        return fit_complex(values, echoes, start, bipolar=bipolar, precession=precession)

    for name, work, most in (("magnitude, with noise and floor", whole, 1.0), ("complex, with all before it", with_phases, 5.0)):  # fmt: skip
        seconds, _ = _timed(work, 3)
        yield Row(f"a liver of 150000 voxels, {name}, s", seconds, None, None, f"<= {most:g}", seconds <= most)


def _speckled(count: int) -> tuple[MultiEcho, np.ndarray]:
    train, rng = simulator.train_named("3t"), np.random.default_rng(0)
    grid = Grid((count, 1, 1))
    ones = np.ones(grid.array_shape)
    pdff, rate = rng.uniform(0, 40, ones.shape), rng.uniform(25, 250, ones.shape)
    truth = simulator.Truth(LabelMask(ones.astype(np.uint8), grid), ones > 0, ones, pdff, rate, train.field_t)
    echoes = simulator.scanned(truth, train, SPECTRA["ismrm6"], snr=50.0)
    signals = echoes.magnitude.astype(float) * np.exp(1j * np.asarray(echoes.phase_rad, float))
    return echoes, signals.reshape(len(train.te_ms), -1)


def _looped(loop: Callable[..., Sequence[float]], signals: np.ndarray, at: Protocol, spectrum: str) -> np.ndarray:
    """(PDFF in %, R2*) of every voxel by itself, [2, v]."""
    c, t = SPECTRA[spectrum].phasor(at.te_ms, at.field_t), np.asarray(at.te_ms) * 1e-3
    found = np.asarray([loop(voxel, c, t) for voxel in (signals / abs(signals).max()).T]).T
    return np.stack([100 * found[1] / (found[0] + found[1]), found[2]])


def _magnitude_loop(y: np.ndarray, c: np.ndarray, t: np.ndarray) -> Sequence[float]:
    return optimize.least_squares(lambda p: abs(p[0] + p[1] * c) * np.exp(-p[2] * t) - y, (y[0], 0.1 * y[0], 50.0), method="lm", x_scale=(1, 1, 100)).x  # fmt: skip


def _curve_fit_loop(y: np.ndarray, c: np.ndarray, t: np.ndarray) -> Sequence[float]:
    def model(_: np.ndarray, water: float, fat: float, rate: float) -> np.ndarray:
        return np.asarray(abs(water + fat * c) * np.exp(-rate * t))

    starts = ((y[0], 0.1 * y[0], 50.0), (0.1 * y[0], y[0], 50.0))
    fits = [optimize.curve_fit(model, t, y, p0, bounds=((0, 0, 0), (10, 10, 2000)))[0] for p0 in starts]
    return min(fits, key=lambda p: float(np.sum((model(t, *p) - y) ** 2)))


def _complex_loop(y: np.ndarray, c: np.ndarray, t: np.ndarray) -> Sequence[float]:
    def rest(p: np.ndarray) -> np.ndarray:
        left = (p[0] + p[1] * c) * np.exp(1j * (p[4] + 2 * np.pi * p[3] * t) - p[2] * t) - y
        return np.concatenate([left.real, left.imag])

    field = float(np.angle((y[1:] * y[:-1].conj()).sum())) / (2 * np.pi * (t[1] - t[0]))
    start = (abs(y[0]), 0.1 * abs(y[0]), 50.0, field, float(np.angle(y[0])) - 2 * np.pi * field * t[0])
    return optimize.least_squares(rest, start, method="lm", x_scale=(1, 1, 100, 100, 1)).x


def _timed(work: Callable[[], Any], times: int) -> tuple[float, Any]:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        answer = work()
        took.append(time.perf_counter() - began)
    return min(took), answer


def _scanned(truth: simulator.Truth, train: simulator.Train, snr: float, seed: int = 0) -> MultiEcho:
    return simulator.scanned(truth, train, SPECTRA["ismrm6"], snr=snr, seed=seed, uneven=False)


def _echoes_of(scan: MultiEcho) -> Echoes:
    c = SPECTRA["ismrm6"].phasor(scan.te_ms, scan.field_t)
    return Echoes(torch.tensor(scan.te_ms).double() * 1e-3, torch.tensor(c.real), torch.tensor(c.imag))


def _row(result: FatResult, quantity: str) -> Any:
    return next(row for row in result.rows if (row.structure, row.quantity) == ("liver", quantity))


def _within(name: str, one: float, other: float, most: float) -> Row:
    return Row(name, one, other, one - other, f"+- {most:.3g}", abs(one - other) <= most)
