"""Echoes and a liver -> maps, numbers and what a reader must know. The corridor of the fat room."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from ..errors import InputError
from ..geometry import Grid
from ..records import Measurement, Notice
from .findings import findings, measured, measured_share
from .fitting import Drawn, Signals
from .magnitude import Fit, fit_power
from .misfit import share_of_misfits, told_of_misfits
from .noise import sigma_of_air, uncertainty
from .options import Options
from .pooled import Pool, pooled
from .protocol import RENAME_BIAS, Protocol, notices_about
from .regions import Region, body_of, measured_part, parts, planes
from .results import FatResult, Maps
from .spectra import spectrum_named
from .statistics import Number, described
from .two_point import two_point

RELIABLE, BLOCKS_HELP = 5.0, 30.0  # points: Cramer-Rao deviation of a voxel's PDFF, from the pooled signal of a region
BLOCK_EDGE = 5  # voxels: the noise of a block is a fifth
RATE_RELIABLE = 0.25  # of R2*: beyond, medians of voxels are off by 4 % and more


def analyse(
    magnitude: np.ndarray,
    phase_rad: np.ndarray | None,
    protocol: Protocol,
    grid: Grid,
    liver: np.ndarray,
    options: Options | None = None,
) -> FatResult:
    """`magnitude` and `phase_rad` [n, k, j, i], echoes in the order of the protocol; `liver` bool [k, j, i]. Voxels that
    are zero in every echo hold no signal and are not measured.

    Two echoes give a fat fraction without R2*, by magnitudes alone. InputError for an empty liver, and for echoes that
    cannot tell fat from water.
    """
    options = options or Options()
    if not liver.any():
        raise InputError("the liver mask is empty: there is nothing to measure")
    whole, liver = liver, liver & magnitude.any(axis=0)
    if not liver.any():
        raise InputError("the echoes hold nothing but zeros under the liver mask; expected the echoes it was drawn on")
    if len(protocol.te_ms) == 2:
        return two_point(magnitude, protocol, grid, liver, options)
    spectrum = spectrum_named(options.spectrum)
    notices = list(notices_about(protocol, spectrum))
    body = body_of(magnitude) | liver
    signals = Signals(magnitude, phase_rad, protocol, body, options)
    drawn = signals.fitted(liver[body])
    notices += drawn.notices
    roi = measured_part(liver, grid)
    regions = (Region("liver", roi), *parts(roi, grid))
    pools = {region.name: pooled(magnitude[:, region.mask], signals.echoes, drawn.sigma) for region in regions}
    maps = _maps(drawn, signals, body)
    rows = [row for region in regions for row in _rows(region, maps, pools[region.name], magnitude, signals, drawn)]
    rows.append(measured_share(roi, whole, grid))
    rows += list(findings(roi, grid, {"pdff": maps.pdff, "r2star": maps.r2star}, rows, protocol, options))
    residual, phases = maps.residual[roi], drawn.method == "complex"
    noise = sigma_of_air(signals.air)  # that of the residuals has grown with what does not fit
    noise = drawn.sigma if math.isnan(noise) else noise
    notices += told_of_misfits(share_of_misfits(residual, noise, len(protocol.te_ms), phases=phases))
    if drawn.half:
        text = "More than half of the signal is fat, which magnitudes cannot tell from water; the phases were used."
        notices.append(Notice("fat_above_half", text))
    return FatResult(maps, _named(rows, protocol), tuple(notices), _facts(protocol, options, drawn), roi, regions)


def _maps(drawn: Drawn, signals: Signals, body: np.ndarray) -> Maps:
    def laid(values: torch.Tensor) -> np.ndarray:
        out = np.full(body.shape, np.nan, np.float32)
        out[body] = values.cpu().numpy()
        return out

    fit = drawn.fit
    known = not math.isnan(drawn.sigma) and drawn.sigma > 0
    deviation = uncertainty(fit, signals.echoes, drawn.sigma, phases=drawn.method == "complex")[0] if known else None
    return Maps(
        pdff=laid(fit.pdff()), r2star=laid(fit.rate),
        t2star=laid(torch.where(fit.rate > 0, 1000.0 / fit.rate, torch.nan)),
        water=laid(fit.water), fat=laid(fit.fat), residual=laid(fit.residual),
        uncertainty=laid(torch.full_like(fit.rate, torch.nan) if deviation is None else deviation),
        field=None if drawn.field_hz is None else laid(drawn.field_hz),
    )  # fmt: skip


def _rows(
    region: Region, maps: Maps, pool: Pool, magnitude: np.ndarray, signals: Signals, drawn: Drawn
) -> Iterator[Measurement]:
    """The numbers of one region, as their reliability allows: by voxel, by block of 5 x 5, of R2* by the mean signal, and of
    PDFF not at all."""
    deviations = maps.uncertainty[region.mask]
    noise = float(np.nanmedian(deviations)) if np.isfinite(deviations).any() else math.nan
    fat = described(maps.pdff[region.mask], "pdff", noise)
    rate = described(maps.r2star[region.mask], "r2star")
    if pool.pdff_sd > RELIABLE:
        blocks = _blocks(region, magnitude, signals, drawn)
        fat, rate = _fat(fat, blocks, pool), _rate(rate, blocks, pool)
    for number in fat:
        yield measured(region, "pdff", number)
    known = math.isfinite(pool.rate_sd)
    error = pool.rate_sd / math.sqrt(np.count_nonzero(region.mask)) if known else 0.0  # of the region's own rate
    for number in rate:
        yield measured(region, "r2star", _at_least(number, signals.protocol.fastest_rate, error))
    yield Measurement(region.name, "voxels", float(np.count_nonzero(region.mask)), "1")


def _fat(numbers: Sequence[Number], blocks: Fit | None, pool: Pool) -> list[Number]:
    """`numbers` are those of the voxels, which are not reliable."""
    told = f"a voxel's PDFF is uncertain by {pool.pdff_sd:.0f} points"
    if pool.pdff_sd > BLOCKS_HELP:
        return _undefined(numbers, f"iron or noise: {told}")
    if blocks is None:
        return _undefined(numbers, "iron or noise: too small a region for blocks")
    return _of_blocks(blocks.pdff(), "pdff", told)


def _rate(numbers: Sequence[Number], blocks: Fit | None, pool: Pool) -> list[Number]:
    """As `_fat`; where not even blocks tell it, one value for the region and no spread."""
    if not pool.rate_sd > RATE_RELIABLE * pool.rate:
        return list(numbers)
    told = f"a voxel's R2* is uncertain by {pool.rate_sd:.0f} 1/s"
    if blocks is not None and pool.pdff_sd <= BLOCK_EDGE * BLOCKS_HELP:
        return _of_blocks(blocks.rate, "r2star", told)
    values = dict.fromkeys(("mean", "median"), pool.rate)
    reason = f"of the mean signal of the region: {told}"
    return [replace(number, value=values.get(number.name, math.nan), reason=reason) for number in numbers]


def _undefined(numbers: Sequence[Number], reason: str) -> list[Number]:
    return [replace(number, value=math.nan, reason=reason) for number in numbers]


def _at_least(number: Number, limit: float, error: float) -> Number:
    """A rate that lies within its own standard error of the limit may lie beyond it."""
    if number.name not in ("mean", "median") or not number.value + error > limit:
        return number
    told = f"at least: beyond {limit:.0f} 1/s the first echo is gone"
    return replace(number, reason=f"{told}; {number.reason}" if number.reason else told)


def _of_blocks(values: torch.Tensor, kind: str, told: str) -> list[Number]:
    """Median, mean and spread of blocks instead of voxels, whose errors no longer lie evenly about the truth."""
    reason = f"of blocks of 5 x 5 voxels: {told}"
    return [replace(number, reason=reason) for number in described(values.cpu().numpy(), kind)]


def _blocks(region: Region, magnitude: np.ndarray, signals: Signals, drawn: Drawn) -> Fit | None:
    """Fits of the mean power of blocks of 5 x 5 voxels, whose noise is a fifth; None for fewer than three blocks."""
    tiles = planes(region.mask)
    count = int(tiles.max())
    held = np.bincount(tiles.ravel(), minlength=count + 1)[1:]
    power = np.stack(
        [np.bincount(tiles.ravel(), (echo.astype(float) ** 2).ravel(), count + 1)[1:] for echo in magnitude]
    )
    kept = held > 0
    if kept.sum() < 3:
        return None
    mean = torch.from_numpy(power[:, kept] / held[kept]).to(signals.device)
    return fit_power(mean, signals.echoes, drawn.sigma)


def _named(rows: Sequence[Measurement], protocol: Protocol) -> tuple[Measurement, ...]:
    """Where T1-weighting colours it too much, a fat fraction is not called PDFF."""
    bias = protocol.t1_bias()
    if bias is None or abs(bias) <= RENAME_BIAS:
        return tuple(rows)
    told = "fat fraction, T1-weighted: not PDFF"
    return tuple(
        replace(row, reason=f"{row.reason}; {told}" if row.reason else told) if row.quantity.startswith("pdff") else row
        for row in rows
    )


def _facts(protocol: Protocol, options: Options, drawn: Drawn) -> dict[str, object]:
    spectrum = spectrum_named(options.spectrum)
    return {
        "method": drawn.method, "spectrum": options.spectrum, "spectrum_source": spectrum.source,
        "echo_times_ms": list(protocol.te_ms), "field_t": protocol.field_t, "tr_ms": protocol.tr_ms,
        "flip_deg": protocol.flip_deg, "t1_bias": protocol.t1_bias(), "sigma": drawn.sigma,
        "bipolar": drawn.bipolar, "precession": drawn.precession,
    }  # fmt: skip
