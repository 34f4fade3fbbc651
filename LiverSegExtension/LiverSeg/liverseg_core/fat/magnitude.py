"""Magnitudes of the echoes -> water, fat and R2*, every voxel at once.

Variable projection over a dictionary finds the start, batched Levenberg-Marquardt the minimum, and where the last echoes
lie on the noise floor a second pass fits the mean of the Rice distribution instead of the magnitude itself. Inside the
liver there is one start, the water-dominant one: a choice between two by the residual swaps up to a third of the voxels
at the noise of a liver. The minor species may turn negative, because a bound at zero lifts the mean of a lean liver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from .descent import Limits, Normal, descended

_RATES = 16  # of the dictionary, 1/s: 0, then from 10 to 1200 in equal steps of the logarithm
_SHARES = 11  # fat, over the half that the dominant species leaves
_CHUNK = 1 << 14  # voxels at a time: what a cache holds
_LOWEST_MINOR = -0.25  # of the dominant species
_LOWEST_RATE, _HIGHEST_RATE = -20.0, 2000.0  # 1/s
_STEPS = (1e-5, 1e-5, 1e-2)  # of the signal, of the share of fat, in 1/s: a thousandth of a point
_SMALL = 1e-9
_NEGATIVE = _LOWEST_MINOR / (1 + _LOWEST_MINOR)  # share of the minor species in both
Floor = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]  # amplitude, noise -> seen, its slope
SHARES: Mapping[str, tuple[float, float]] = {"water": (_NEGATIVE, 0.5), "fat": (0.5, 1 - _NEGATIVE)}  # of fat


@dataclass(frozen=True, eq=False)
class Echoes:
    """What the signal model knows: `times_s` [n], and the phasor of fat, `real` and `imag` [n]; float64."""

    times_s: torch.Tensor
    real: torch.Tensor
    imag: torch.Tensor

    def to(self, device: torch.device) -> Echoes:
        return Echoes(self.times_s.to(device), self.real.to(device), self.imag.to(device))


@dataclass(frozen=True, eq=False)
class Fit:
    """One value a voxel, float64 [v]: water and fat in the units of the signal, R2* in 1/s, and the root of the mean
    squared residual."""

    water: torch.Tensor
    fat: torch.Tensor
    rate: torch.Tensor
    residual: torch.Tensor

    def __getitem__(self, where: torch.Tensor | slice) -> Fit:
        """Some of the voxels."""
        return Fit(self.water[where], self.fat[where], self.rate[where], self.residual[where])

    def pdff(self) -> torch.Tensor:
        """100 F / (W + F) in per cent, not clamped; NaN where nothing is left to divide by."""
        total = self.water + self.fat
        return torch.where(total > _SMALL, 100.0 * self.fat / total, torch.nan)


def fit_magnitude(signals: torch.Tensor, echoes: Echoes, sigma: float = 0.0, *, dominant: str = "water") -> Fit:
    """`signals` [n, v], magnitudes in any unit; `sigma` is their noise (of one channel), 0 for a fit without a floor.

    Magnitudes tell fat from water up to a half of each: `dominant` is the species that is taken for the larger one.
    Voxels that are zero in every echo come back as zeros.
    """
    echoes = echoes.to(signals.device)
    parts = [_fit_chunk(part, echoes, sigma, SHARES[dominant]) for part in torch.split(signals, _CHUNK, dim=1)]
    return _joined(parts)


def fit_power(power: torch.Tensor, echoes: Echoes, sigma: float) -> Fit:
    """As `fit_magnitude` for squares of magnitudes [n, v] that were averaged over many voxels: the noise adds 2 sigma^2
    to them, and it is the model that bears it. Taking it off the echoes would cut those short that fall below."""
    echoes, signals = echoes.to(power.device), power.clamp_min(0.0).sqrt()
    parts = [
        _fit_chunk(part, echoes, sigma, SHARES["water"], floor=_root) for part in torch.split(signals, _CHUNK, dim=1)
    ]
    return _joined(parts)


def forward(water: torch.Tensor, fat: torch.Tensor, rate: torch.Tensor, echoes: Echoes) -> torch.Tensor:
    """Noise-free magnitudes [n, v]."""
    real = water + echoes.real[:, None] * fat
    return torch.hypot(real, echoes.imag[:, None] * fat) * torch.exp(-echoes.times_s[:, None] * rate)


def rice_mean(amplitude: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of a Rician magnitude (Koay 2006) and its derivative by the amplitude; scaled Bessel functions, no overflow."""
    half = (amplitude / sigma).square() / 4.0
    i0, i1 = torch.special.i0e(half), torch.special.i1e(half)
    mean = sigma * (torch.pi / 2) ** 0.5 * ((1 + 2 * half) * i0 + 2 * half * i1)
    slope = (torch.pi / 8) ** 0.5 * amplitude / sigma * (i0 + i1)
    return mean, slope


@dataclass(frozen=True, eq=False)
class _Magnitudes:
    """The problem of the descent over (total, share of fat, R2*). `sigma` [v] is the noise, None without `floor`."""

    signals: torch.Tensor
    echoes: Echoes
    sigma: torch.Tensor | None = None
    floor: Floor | None = None

    def __getitem__(self, where: torch.Tensor) -> _Magnitudes:
        sigma = None if self.sigma is None else self.sigma[where]
        return _Magnitudes(self.signals[:, where], self.echoes, sigma, self.floor)

    def normal(self, state: torch.Tensor) -> Normal:
        amplitude, by_total, by_share = _amplitudes(state, self.echoes)
        by_rate = -self.echoes.times_s[:, None] * amplitude
        if self.sigma is not None and self.floor is not None:
            amplitude, slope = self.floor(amplitude, self.sigma)
            by_total, by_share, by_rate = by_total * slope, by_share * slope, by_rate * slope
        rest = self.signals - amplitude
        rows = (by_total, by_share, by_rate)
        pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
        return Normal(
            rest.square().sum(0),
            torch.stack([(row * rest).sum(0) for row in rows]),
            torch.stack([(rows[a] * rows[b]).sum(0) for a, b in pairs]),
        )


def _joined(parts: Sequence[Fit]) -> Fit:
    return Fit(*(torch.cat([getattr(part, name) for part in parts]) for name in ("water", "fat", "rate", "residual")))


def _rice(amplitude: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, slope = rice_mean(amplitude / sigma, 1.0)
    return mean * sigma, slope


def _root(amplitude: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Root of the mean square of a Rician magnitude."""
    root = (amplitude.square() + 2 * sigma.square()).sqrt()
    return root, amplitude / root


def _fit_chunk(
    signals: torch.Tensor, echoes: Echoes, sigma: float, shares: tuple[float, float], floor: Floor = _rice
) -> Fit:
    largest = signals.amax(dim=0)
    there = largest > 0
    scale = torch.where(there, largest, 1.0).double()
    scaled = signals.double() / scale
    rows = ((_SMALL, 1e9), shares, (_LOWEST_RATE, _HIGHEST_RATE))
    limits = Limits.of(tuple((*row, step) for row, step in zip(rows, _STEPS)), signals.device)
    state = descended(_Magnitudes(scaled, echoes), _start(scaled, echoes, shares), limits)
    modelled, noise = _amplitudes(state, echoes)[0], sigma / scale
    low = noise > 0 if floor is _root else _on_the_floor(state, modelled, echoes, noise)
    if bool(low.any()):
        state[:, low] = descended(_Magnitudes(scaled[:, low], echoes, noise[low], floor), state[:, low], limits)
        modelled[:, low] = floor(_amplitudes(state[:, low], echoes)[0], noise[low])[0]
    residual = (scaled - modelled).square().mean(dim=0).sqrt()
    total, share, rate = state
    values = ((1 - share) * total * scale, share * total * scale, rate, residual * scale)
    return Fit(*(torch.where(there, value, torch.zeros_like(scale)) for value in values))


def _on_the_floor(state: torch.Tensor, amplitudes: torch.Tensor, echoes: Echoes, sigma: torch.Tensor) -> torch.Tensor:
    """Voxels in which the noise lifts an echo by more than half a per cent; elsewhere the second pass would change
    nothing. Generous, because a choice that leans on the voxel's own noise biases what is chosen."""
    return (sigma > 0) & ((state[2] * echoes.times_s[-1] > 2.0) | (amplitudes.amin(dim=0) < 10.0 * sigma))


def _start(signals: torch.Tensor, echoes: Echoes, shares: tuple[float, float]) -> torch.Tensor:
    """The atom of the dictionary that points most nearly where the signal points -> (total, share, R2*) [3, v]. The atoms
    hold neither species below zero."""
    device = signals.device
    first, last = max(shares[0], 0.0), min(shares[1], 1.0)
    fat = torch.linspace(first, last, _SHARES, dtype=torch.float64, device=device)
    rates = torch.cat([torch.zeros(1), torch.logspace(1, 3.0792, _RATES - 1)]).double().to(device)
    share, rate = (grid.reshape(-1) for grid in torch.meshgrid(fat, rates, indexing="ij"))
    atoms = forward(1 - share, share, rate, echoes)
    length = atoms.norm(dim=0)
    best = (signals.T.float() @ (atoms / length).float()).argmax(dim=1)
    height = (atoms[:, best] * signals).sum(dim=0) / length[best].square()
    return torch.stack([height, share[best], rate[best]])


def _amplitudes(state: torch.Tensor, echoes: Echoes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Amplitudes [n, v] and their derivatives by the total and by the share of fat: |1 + share (c - 1)| is what a total
    of one leaves of itself."""
    total, share, rate = state
    lean = echoes.real[:, None] - 1
    toward = share * (lean.square() + echoes.imag[:, None].square()) + lean
    length = (1 + share * (toward + lean)).clamp_min(_SMALL**2).sqrt()
    decay = torch.exp(-echoes.times_s[:, None] * rate)
    by_total = length * decay
    return total * by_total, by_total, total * decay * toward / length
