"""Two echoes -> a fat fraction by the magnitudes alone (Dixon 1984): no PDFF, because decay and T1 stay in it.

Where water and fat are nearly in phase in one echo and nearly opposed in the other, the ratio of the two magnitudes falls
as fat rises to a half of the signal. The spectrum says how far: of a single peak (W - F) / (W + F) would be left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..geometry import Grid
from ..records import Measurement, Notice
from .findings import measured, measured_share, unevenness
from .magnitude import SHARES
from .options import Options
from .protocol import Protocol, notices_about
from .regions import Region, body_of, measured_part, parts
from .results import FatResult, TwoPointMaps
from .spectra import Spectrum, spectrum_named
from .statistics import described

_STEPS = 1400  # of the share of fat: between them it is interpolated, to 1e-4 points
_LEAST_SLOPE = 1.0  # of the ratio over the share of fat, which is 2 for a single peak exactly in and out of phase
_LEAN = 0.1
_USUAL_RATE = 40.0  # 1/s, of a liver without iron at 3 T


@dataclass(frozen=True, eq=False)
class Ratio:
    """Magnitude of the opposed echo over that of the other, without decay, for rising shares of fat."""

    shares: np.ndarray
    falling: np.ndarray
    together: np.ndarray  # the magnitude of the other echo for a total of one
    opposed: int  # which echo
    other: int

    @staticmethod
    def of(protocol: Protocol, spectrum: Spectrum) -> Ratio:
        """InputError for echoes in which fat does the same."""
        shares = np.linspace(*SHARES["water"], _STEPS + 1)
        phasor = spectrum.phasor(protocol.te_ms, protocol.field_t)
        left = np.abs(1 + shares * (phasor[:, None] - 1))
        opposed, other = np.argsort(left[:, np.abs(shares - 0.25).argmin()])
        falling = left[opposed] / left[other]
        lean = np.interp((0.0, _LEAN), shares, falling)
        if (lean[0] - lean[1]) / _LEAN < _LEAST_SLOPE or (np.diff(falling) >= 0).any():
            times = " and ".join(f"{t:g}" for t in protocol.te_ms)
            raise InputError(
                f"fat is too much the same in echoes at {times} ms and {protocol.field_t:.4g} T; expected one in which it is "
                "in phase with water and one in which it is opposed, such as 1.15 and 2.3 ms at 3 T, or three echoes or more"
            )
        return Ratio(shares, falling, left[other], int(opposed), int(other))

    def share(self, ratio: np.ndarray) -> np.ndarray:
        """The share of fat that leaves this ratio; beyond the ends of the table its ends."""
        return np.interp(-ratio, -self.falling, self.shares)

    def decayed(self, protocol: Protocol) -> float:
        """What a usual decay adds to a share of a tenth, because nothing takes it out."""
        later_s = 1e-3 * (protocol.te_ms[self.opposed] - protocol.te_ms[self.other])
        clean = np.interp(_LEAN, self.shares, self.falling)
        return float(self.share(clean * np.exp(-_USUAL_RATE * later_s))) - _LEAN


def two_point(magnitude: np.ndarray, protocol: Protocol, grid: Grid, liver: np.ndarray, options: Options) -> FatResult:
    """`magnitude` [2, k, j, i], `liver` bool [k, j, i] and not empty. The quantities are called ff, never pdff."""
    if options.method == "complex":
        raise InputError("--method complex needs three echoes at least; two tell a fat fraction by their magnitudes")
    spectrum = spectrum_named(options.spectrum)
    ratio = Ratio.of(protocol, spectrum)
    maps = _maps(magnitude, ratio, body_of(magnitude) | liver)
    roi = measured_part(liver, grid)
    regions = (Region("liver", roi), *parts(roi, grid))
    rows = [row for region in regions for row in _rows(region, maps.ff)]
    rows += [measured_share(roi, liver, grid), *unevenness(roi, grid, {"ff": maps.ff}, rows)]
    facts = {
        "method": "two-point Dixon of magnitudes", "spectrum": options.spectrum, "spectrum_source": spectrum.source,
        "echo_times_ms": list(protocol.te_ms), "opposed_echo_ms": protocol.te_ms[ratio.opposed],
        "field_t": protocol.field_t, "tr_ms": protocol.tr_ms, "flip_deg": protocol.flip_deg, "t1_bias": protocol.t1_bias(),
    }  # fmt: skip
    notices = (_told(ratio, protocol, options.spectrum), *notices_about(protocol, spectrum))
    return FatResult(maps, tuple(rows), notices, facts, roi, regions)


def _maps(magnitude: np.ndarray, ratio: Ratio, body: np.ndarray) -> TwoPointMaps:
    opposed, other = (magnitude[n][body].astype(np.float64) for n in (ratio.opposed, ratio.other))
    known = other > 0
    share = np.where(known, ratio.share(opposed / np.where(known, other, 1.0)), math.nan)
    total = other / np.interp(share, ratio.shares, ratio.together)
    values = []
    for one in (100 * share, (1 - share) * total, share * total):
        laid = np.full(body.shape, np.nan, np.float32)
        laid[body] = one
        values.append(laid)
    return TwoPointMaps(*values)


def _rows(region: Region, fractions: np.ndarray) -> Iterator[Measurement]:
    for number in described(fractions[region.mask], "ff"):
        yield measured(region, "ff", number)
    yield Measurement(region.name, "voxels", float(np.count_nonzero(region.mask)), "1")


def _told(ratio: Ratio, protocol: Protocol, spectrum: str) -> Notice:
    text = (
        "Two echoes tell a fat fraction, which is not PDFF: T1 and T2* weigh in it (a decay of "
        f"{_USUAL_RATE:g} 1/s alone adds {100 * ratio.decayed(protocol):+.1f} points), it reads {100 * ratio.shares[-1]:.0f} % at "
        f"most, and there is neither R2* nor iron. The peaks of fat are those of {spectrum}."
    )
    return Notice("two_echoes", text)
