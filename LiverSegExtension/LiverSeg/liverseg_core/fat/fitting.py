"""Every voxel of the body -> water, fat and R2*: magnitudes first, then, where there are phases, the complex fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..errors import InputError
from ..records import Notice
from .complexes import conventions, fit_complex
from .magnitude import Echoes, Fit, fit_magnitude
from .noise import sigma_of_air, sigma_of_magnitudes
from .options import Options
from .protocol import Protocol
from .spectra import spectrum_named

PHASES_DISAGREE = 1.5  # points of PDFF in the liver between complex and magnitude
HALF = 50.0  # per cent: magnitudes cannot tell what is beyond
_FIELDS = ("water", "fat", "rate", "residual")


@dataclass(frozen=True, eq=False)
class Drawn:
    """The fit of every voxel of the body, and how it was come by."""

    fit: Fit
    sigma: float
    method: str
    notices: tuple[Notice, ...] = ()
    field_hz: torch.Tensor | None = None
    half: bool = False
    bipolar: bool | None = None
    precession: int | None = None


class Signals:
    """The echoes of the body as tensors [n, v], and the fits that look at them."""

    def __init__(
        self,
        magnitude: np.ndarray,
        phase_rad: np.ndarray | None,
        protocol: Protocol,
        body: np.ndarray,
        options: Options,
    ) -> None:
        phasor = spectrum_named(options.spectrum).phasor(protocol.te_ms, protocol.field_t)
        times = torch.tensor(protocol.te_ms, dtype=torch.float64) * 1e-3
        self.device = torch.device(options.device)
        self.echoes = Echoes(times, torch.tensor(phasor.real), torch.tensor(phasor.imag)).to(self.device)
        self.values = torch.from_numpy(magnitude[:, body].astype(np.float64)).to(self.device)
        self.phase = (
            None if phase_rad is None else torch.from_numpy(phase_rad[:, body].astype(np.float64)).to(self.device)
        )
        self.air = torch.from_numpy(magnitude[0][~body].astype(np.float64))
        self.protocol, self.body, self.method = protocol, body, options.method
        if options.method == "complex" and phase_rad is None:
            raise InputError("--method complex needs the phases of the echoes; give them with --phase-image")

    def fitted(self, liver: np.ndarray) -> Drawn:
        """Magnitude first; with phases the complex fit after it, which is reported where the two agree."""
        inside = torch.from_numpy(liver).to(self.device)
        sigma = self._sigma(self.values[:, inside])
        within = fit_magnitude(self.values[:, inside], self.echoes, 0.0 if math.isnan(sigma) else sigma)
        magnitude = Drawn(self._around(within, inside), sigma, "magnitude")
        if self.phase is None or self.method == "magnitude":
            return magnitude
        return self._with_phases(magnitude, within, inside)

    def _sigma(self, magnitudes: torch.Tensor) -> float:
        found = sigma_of_magnitudes(magnitudes, self.echoes)
        return sigma_of_air(self.air) if math.isnan(found) else found

    def _around(self, within: Fit, inside: torch.Tensor) -> Fit:
        """The liver's fit, and outside of it the better of both species as the dominant one, voxel by voxel of the
        smoothed residual, without the noise floor: a picture, not a measurement."""
        outside = ~inside
        water, fat = (fit_magnitude(self.values[:, outside], self.echoes, dominant=d) for d in ("water", "fat"))
        smooth = [self._smoothed(fit.residual.square(), outside) for fit in (water, fat)]
        fatty = smooth[1] < smooth[0]
        chosen = Fit(*(torch.where(fatty, getattr(fat, n), getattr(water, n)) for n in _FIELDS))
        return _joined(within, chosen, inside)

    def _smoothed(self, values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """Sums over 5 x 5 voxels of a slice."""
        volume = torch.zeros(self.body.shape, dtype=torch.float64, device=self.device)
        flat = torch.zeros(int(self.body.sum()), dtype=torch.float64, device=self.device)
        flat[where] = values
        body = torch.from_numpy(self.body).to(self.device)
        volume[body] = flat
        summed = torch.nn.functional.avg_pool2d(volume[:, None], 5, stride=1, padding=2)[:, 0]
        return summed[body][where]

    def _with_phases(self, magnitude: Drawn, within: Fit, inside: torch.Tensor) -> Drawn:
        assert self.phase is not None
        signals = torch.polar(self.values, self.phase)
        bipolar, precession = conventions(signals, self.echoes, magnitude.fit)
        fit = fit_complex(signals, self.echoes, magnitude.fit, bipolar=bipolar, precession=precession)
        here = replace(magnitude, bipolar=bipolar, precession=precession)
        ours, theirs = (float(f[inside].pdff().nanmedian()) for f in (fit, magnitude.fit))
        plain = Fit(fit.water, fit.fat, fit.rate, fit.residual)
        worse = float(fit.residual[inside].median()) > 1.5 * float(within.residual.median()) * math.sqrt(2)
        if ours > HALF and not worse:
            return replace(here, fit=plain, method="complex", field_hz=fit.field_hz, half=True)
        if self.method == "auto" and abs(ours - theirs) > PHASES_DISAGREE:
            text = (
                f"Phases and magnitudes disagree about the fat of the liver ({ours:.1f} and {theirs:.1f} %): the phases hold "
                "errors, and the magnitudes are reported."
            )
            return replace(here, notices=(Notice("phase_errors", text),))
        return replace(here, fit=plain, method="complex", field_hz=fit.field_hz)


def _joined(inner: Fit, outer: Fit, inside: torch.Tensor) -> Fit:
    values = []
    for name in _FIELDS:
        whole = torch.empty(inside.shape, dtype=torch.float64, device=inside.device)
        whole[inside], whole[~inside] = getattr(inner, name), getattr(outer, name)
        values.append(whole)
    return Fit(*values)
