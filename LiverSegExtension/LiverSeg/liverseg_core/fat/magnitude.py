"""Magnitudes of the echoes -> water, fat and R2*, every voxel at once.

Variable projection over a dictionary finds the start, batched Levenberg-Marquardt the minimum, and where the last echoes
lie on the noise floor a second pass fits the mean of the Rice distribution instead of the magnitude itself. Inside the
liver there is one start, the water-dominant one: a choice between two by the residual swaps up to a third of the voxels
at the noise of a liver. The minor species may turn negative, because a bound at zero lifts the mean of a lean liver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

_RATES = 32  # of the dictionary, 1/s: 0, then from 10 to 1200 in equal steps of the logarithm
_SHARES = 21  # fat, from 0 to a half
_CHUNK = 1 << 14  # voxels at a time: what a cache holds
_MOST_STEPS = 20
_LOWEST_MINOR = -0.25  # of the dominant species
_LOWEST_RATE, _HIGHEST_RATE = -20.0, 2000.0  # 1/s
_SMALL = 1e-9

Bounds = Callable[[torch.Tensor], torch.Tensor]  # (W, F, R) -> the nearest that the dominant species allows


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
    bounded = _BOUNDS[dominant]
    parts = [_fit_chunk(part, echoes, sigma, bounded) for part in torch.split(signals, _CHUNK, dim=1)]
    return Fit(*(torch.cat([getattr(part, name) for part in parts]) for name in ("water", "fat", "rate", "residual")))


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


def _fit_chunk(signals: torch.Tensor, echoes: Echoes, sigma: float, bounded: Bounds) -> Fit:
    largest = signals.amax(dim=0)
    there = largest > 0
    scale = torch.where(there, largest, 1.0).double()
    scaled = signals.double() / scale
    state = _descend(scaled, echoes, _start(scaled, echoes, bounded), None, bounded)
    modelled = _amplitudes(state, echoes)[0]
    low = _on_the_floor(state, modelled, echoes, sigma / scale)
    if bool(low.any()):
        floor = (sigma / scale)[low]
        state[:, low] = _descend(scaled[:, low], echoes, state[:, low], floor, bounded)
        modelled[:, low] = _rice(_amplitudes(state[:, low], echoes)[0], floor)[0]
    residual = (scaled - modelled).square().mean(dim=0).sqrt()
    zero = torch.zeros_like(scale)
    values = (state[0] * scale, state[1] * scale, state[2], residual * scale)
    return Fit(*(torch.where(there, value, zero) for value in values))


def _on_the_floor(state: torch.Tensor, amplitudes: torch.Tensor, echoes: Echoes, sigma: torch.Tensor) -> torch.Tensor:
    """Voxels in which the noise lifts an echo by more than half a per cent; elsewhere the second pass would change
    nothing. Generous, because a choice that leans on the voxel's own noise biases what is chosen."""
    return (sigma > 0) & ((state[2] * echoes.times_s[-1] > 2.0) | (amplitudes.amin(dim=0) < 10.0 * sigma))


def _start(signals: torch.Tensor, echoes: Echoes, bounded: Bounds) -> torch.Tensor:
    """The atom of the dictionary that points most nearly where the signal points -> (W, F, R) [3, v]."""
    device = signals.device
    first = 0.0 if bounded is _by_water else 0.5
    shares = torch.linspace(first, first + 0.5, _SHARES, dtype=torch.float64, device=device)
    rates = torch.cat([torch.zeros(1), torch.logspace(1, 3.0792, _RATES - 1)]).double().to(device)
    share, rate = (grid.reshape(-1) for grid in torch.meshgrid(shares, rates, indexing="ij"))
    atoms = forward(1 - share, share, rate, echoes)
    length = atoms.norm(dim=0)
    best = ((atoms / length).T.float() @ signals.float()).argmax(dim=0)
    height = (atoms[:, best] * signals).sum(dim=0) / length[best].square()
    return torch.stack([(1 - share[best]) * height, share[best] * height, rate[best]])


def _descend(
    signals: torch.Tensor, echoes: Echoes, state: torch.Tensor, sigma: torch.Tensor | None, bounded: Bounds
) -> torch.Tensor:
    """Levenberg-Marquardt on every voxel by itself; those that stand still are taken out."""
    done = state.clone()
    at = torch.arange(state.shape[1], device=state.device)
    damping = torch.full_like(state[0], 1e-3)
    cost, gradient, hessian = _normal(signals, echoes, state, sigma)
    for _ in range(_MOST_STEPS):
        step = _solved(hessian, damping, gradient)
        tried = bounded(state + step)
        new = _normal(signals, echoes, tried, sigma)
        better = new[0] <= cost
        moved = (tried - state).abs()
        still = (moved[:2].amax(0) < 1e-7) & (moved[2] < 1e-3) | (~better & (damping > 1e6))
        state = torch.where(better, tried, state)
        cost, gradient, hessian = (
            torch.where(better, fresh, old) for fresh, old in zip(new, (cost, gradient, hessian))
        )
        damping = torch.where(better, damping * 0.1, damping * 10.0)
        if bool(still.any()):
            done[:, at[still]] = state[:, still]
            going = ~still
            if not bool(going.any()):
                return done
            at, signals, state = at[going], signals[:, going], state[:, going]
            cost, gradient, hessian, damping = cost[going], gradient[:, going], hessian[:, going], damping[going]
            sigma = None if sigma is None else sigma[going]
    done[:, at] = state
    return done


def _normal(
    signals: torch.Tensor, echoes: Echoes, state: torch.Tensor, sigma: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cost [v], J^T r [3, v] and the six entries of J^T J [6, v] (00, 01, 02, 11, 12, 22)."""
    amplitude, by_water, by_fat = _amplitudes(state, echoes)
    by_rate = -echoes.times_s[:, None] * amplitude
    if sigma is not None:
        amplitude, slope = _rice(amplitude, sigma)
        by_water, by_fat, by_rate = by_water * slope, by_fat * slope, by_rate * slope
    rest = signals - amplitude
    rows = (by_water, by_fat, by_rate)
    gradient = torch.stack([(row * rest).sum(0) for row in rows])
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    return rest.square().sum(0), gradient, torch.stack([(rows[a] * rows[b]).sum(0) for a, b in pairs])


def _amplitudes(state: torch.Tensor, echoes: Echoes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Amplitudes [n, v] and their derivatives by water and by fat."""
    water, fat, rate = state
    real, imag = water + echoes.real[:, None] * fat, echoes.imag[:, None] * fat
    length = torch.hypot(real, imag).clamp_min(_SMALL)
    decay = torch.exp(-echoes.times_s[:, None] * rate)
    toward = decay / length
    by_fat = (echoes.real[:, None] * real + echoes.imag[:, None] * imag) * toward
    return length * decay, real * toward, by_fat


def _rice(amplitude: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, slope = rice_mean(amplitude / sigma, 1.0)
    return mean * sigma, slope


def _by_water(state: torch.Tensor) -> torch.Tensor:
    water = state[0].clamp_min(_SMALL)
    fat = torch.minimum(torch.maximum(state[1], _LOWEST_MINOR * water), water)
    return torch.stack([water, fat, state[2].clamp(_LOWEST_RATE, _HIGHEST_RATE)])


def _by_fat(state: torch.Tensor) -> torch.Tensor:
    return _by_water(state[[1, 0, 2]])[[1, 0, 2]]


_BOUNDS: Mapping[str, Bounds] = {"water": _by_water, "fat": _by_fat}


def _solved(hessian: torch.Tensor, damping: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """(H + damping diag H) x = gradient for symmetric 3 x 3, by cofactors: a batched solver is slower on so small ones."""
    a, b, c, d, e, f = hessian
    a, d, f = (diagonal * (1 + damping) + 1e-300 for diagonal in (a, d, f))
    c00, c01, c02 = d * f - e * e, c * e - b * f, b * e - c * d
    c11, c12, c22 = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = a * c00 + b * c01 + c * c02
    x, y, z = gradient
    step = torch.stack([c00 * x + c01 * y + c02 * z, c01 * x + c11 * y + c12 * z, c02 * x + c12 * y + c22 * z])
    return torch.nan_to_num(step / determinant, nan=0.0, posinf=0.0, neginf=0.0)
