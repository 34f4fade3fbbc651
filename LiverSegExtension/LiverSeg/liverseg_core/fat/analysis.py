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
from .magnitude import fit_power
from .noise import uncertainty
from .options import Options
from .pooled import Pool, pooled
from .protocol import RENAME_BIAS, Protocol, notices_about
from .regions import Region, body_of, measured_part, parts, planes
from .results import FatResult, Maps
from .spectra import spectrum_named
from .statistics import Number, described
from .two_point import two_point

RELIABLE, BLOCKS_HELP = 5.0, 30.0  # points: Cramer-Rao deviation of a voxel's PDFF, from the pooled signal of a region


def analyse(
    magnitude: np.ndarray,
    phase_rad: np.ndarray | None,
    protocol: Protocol,
    grid: Grid,
    liver: np.ndarray,
    options: Options | None = None,
) -> FatResult:
    """`magnitude` and `phase_rad` [n, k, j, i], echoes in the order of the protocol; `liver` bool [k, j, i].

    Two echoes give a fat fraction without R2*, by magnitudes alone. InputError for an empty liver, and for echoes that
    cannot tell fat from water.
    """
    options = options or Options()
    if not liver.any():
        raise InputError("the liver mask is empty: there is nothing to measure")
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
    rows.append(measured_share(roi, liver, grid))
    rows += list(findings(roi, grid, {"pdff": maps.pdff, "r2star": maps.r2star}, rows, protocol, options))
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
    """The numbers of one region, PDFF as its reliability allows: by voxel, by block of 5 x 5, or not at all."""
    noise = (
        float(np.nanmedian(maps.uncertainty[region.mask]))
        if np.isfinite(maps.uncertainty[region.mask]).any()
        else math.nan
    )
    numbers = described(maps.pdff[region.mask], "pdff", noise)
    if pool.pdff_sd > BLOCKS_HELP:
        reason = f"iron or noise: a voxel's PDFF is uncertain by {pool.pdff_sd:.0f} points"
        numbers = [replace(number, value=math.nan, reason=reason) for number in numbers]
    elif pool.pdff_sd > RELIABLE:
        numbers = _by_blocks(numbers, region, magnitude, signals, drawn, pool)
    for number in numbers:
        yield measured(region, "pdff", number)
    limit = 1000.0 / float(signals.echoes.times_s[0] * 1e3)
    for number in described(maps.r2star[region.mask], "r2star"):
        beyond = number.name in ("mean", "median") and number.value > limit
        yield measured(region, "r2star", replace(number, reason=f"at least: beyond {limit:.0f} 1/s the first echo is gone")
                        if beyond else number)  # fmt: skip
    yield Measurement(region.name, "voxels", float(np.count_nonzero(region.mask)), "1")


def _by_blocks(
    numbers: Sequence[Number], region: Region, magnitude: np.ndarray, signals: Signals, drawn: Drawn, pool: Pool
) -> list[Number]:
    """Fits of the mean power of blocks of 5 x 5 voxels, whose noise is a fifth: median, mean and spread of those."""
    reason = f"of blocks of 5 x 5 voxels: a voxel's PDFF is uncertain by {pool.pdff_sd:.0f} points"
    tiles = planes(region.mask)
    count = int(tiles.max())
    held = np.bincount(tiles.ravel(), minlength=count + 1)[1:]
    power = np.stack(
        [np.bincount(tiles.ravel(), (echo.astype(float) ** 2).ravel(), count + 1)[1:] for echo in magnitude]
    )
    kept = held > 0
    if kept.sum() < 3:
        return [
            replace(number, value=math.nan, reason="iron or noise: too small a region for blocks") for number in numbers
        ]
    mean = torch.from_numpy(power[:, kept] / held[kept]).to(signals.device)
    values = fit_power(mean, signals.echoes, drawn.sigma).pdff().cpu().numpy()
    return [replace(number, reason=reason) for number in described(values, "pdff")]


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
