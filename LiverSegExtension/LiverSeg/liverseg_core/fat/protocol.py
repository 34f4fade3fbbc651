"""What a multi-echo protocol can separate, and how its flip angle colours the fat fraction. Arithmetic of the tags alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..records import Notice
from .spectra import Spectrum

_FEWEST = 3  # unknowns of the magnitude: water, fat, R2*
_WORST_CONDITION = 12.0  # of the Jacobian of (W, F, R2*), columns scaled; good protocols have 4 to 6
_T1_MS = {1.5: (586.0, 343.0), 3.0: (809.0, 382.0)}  # water of the liver, fat (de Bazelaire 2004)
WARN_BIAS, RENAME_BIAS = 0.05, 0.15  # of the fat fraction, relative


@dataclass(frozen=True)
class Protocol:
    """Echo times in ms, rising; field in tesla (from the imaging frequency where that is known); TR and flip angle
    where they are known. Checked when built: InputError for what cannot be."""

    te_ms: tuple[float, ...]
    field_t: float
    tr_ms: float | None = None
    flip_deg: float | None = None

    def __post_init__(self) -> None:
        steps = np.diff(self.te_ms)
        if len(self.te_ms) < 2:
            raise InputError(f"{len(self.te_ms)} echo cannot tell fat from water; expected two at least, better six")
        if min(self.te_ms) <= 0 or not (steps > 0).all():
            raise InputError(f"echo times {_listed(self.te_ms)} ms must be positive and all different")
        if max(self.te_ms) < 0.2:
            raise InputError(
                f"echo times {_listed(self.te_ms)} ms look like seconds; expected milliseconds, such as 1.15,2.1,3.05"
            )
        if max(self.te_ms) > 200:
            raise InputError(
                f"echo times {_listed(self.te_ms)} ms are too long for fat and iron; expected milliseconds"
            )
        if not 0.2 <= self.field_t <= 12:
            raise InputError(f"a field of {self.field_t:g} T cannot be; expected tesla, such as 1.5 or 3")

    @property
    def fastest_rate(self) -> float:
        """R2* in 1/s at which a third of the signal is left in the first echo: what is faster is only known to be so."""
        return 1000.0 / self.te_ms[0]

    @property
    def equidistant(self) -> bool:
        steps = np.diff(self.te_ms)
        return bool(np.ptp(steps) <= 0.02 * steps.mean())

    def condition(self, spectrum: Spectrum) -> float:
        """Of the Jacobian of the magnitude at 10 % fat and 40 1/s; infinite with fewer than three echoes."""
        if len(self.te_ms) < _FEWEST:
            return math.inf
        c, t = spectrum.phasor(self.te_ms, self.field_t), np.asarray(self.te_ms) * 1e-3
        water, fat, rate = 0.9, 0.1, 40.0
        z = water + fat * c
        decay = np.exp(-rate * t)
        jacobian = np.stack([z.real, water * c.real + fat * abs(c) ** 2, -t * abs(z) ** 2]) / abs(z) * decay
        scaled = jacobian / np.linalg.norm(jacobian, axis=1, keepdims=True)
        values = np.linalg.svd(scaled, compute_uv=False)
        return float(values[0] / values[-1]) if values[-1] > 0 else math.inf

    def t1_bias(self) -> float | None:
        """Relative error of a small fat fraction from T1-weighting: sF/sW - 1 of the spoiled gradient echo, with the T1
        of the nearer field strength. None where TR or flip angle are not known."""
        if self.tr_ms is None or self.flip_deg is None:
            return None
        water, fat = _T1_MS[1.5 if abs(self.field_t - 1.5) < abs(self.field_t - 3.0) else 3.0]
        return _saturation(self.tr_ms, self.flip_deg, fat) / _saturation(self.tr_ms, self.flip_deg, water) - 1.0


def notices_about(protocol: Protocol, spectrum: Spectrum) -> tuple[Notice, ...]:
    """What a reader must know of the protocol before any number."""
    told = []
    if len(protocol.te_ms) >= _FEWEST and protocol.condition(spectrum) > _WORST_CONDITION:
        told.append(Notice("fat_not_separable", f"These {len(protocol.te_ms)} echoes cannot separate fat, water and decay: "
                           "see the times of the echoes; six that fall in and out of phase can."))  # fmt: skip
    bias = protocol.t1_bias()
    if bias is not None and abs(bias) > WARN_BIAS:
        renamed = " It is therefore not called PDFF." if abs(bias) > RENAME_BIAS else ""
        told.append(Notice("t1_weighted", f"TR {protocol.tr_ms:g} ms and flip angle {protocol.flip_deg:g} degrees make "
                           f"fat read {100 * bias:+.0f} % of its value.{renamed}"))  # fmt: skip
    return tuple(told)


def _saturation(tr_ms: float, flip_deg: float, t1_ms: float) -> float:
    """Signal of a spoiled gradient echo in its steady state."""
    e1, flip = math.exp(-tr_ms / t1_ms), math.radians(flip_deg)
    return math.sin(flip) * (1 - e1) / (1 - math.cos(flip) * e1)


def _listed(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
