"""How noisy the echoes are, and what that leaves of each estimate: the Cramer-Rao bound of a voxel."""

from __future__ import annotations

import math

import torch

from .magnitude import SHARES, Echoes, Fit, fit_magnitude, rice_mean

_FEWEST_FOR_RESIDUALS = 5  # echoes: with fewer, three unknowns follow the noise
_RAYLEIGH = math.sqrt(4 / math.pi - 1)  # sd over mean of a magnitude that is noise alone
_MEDIAN_OF_NOISE = 2 * math.log(2)  # of the square of a magnitude that is noise alone
_RUN = 20  # voxels
_MOST_RUNS = 500
_TURNS = 4
_RIDGE = 1e-9
_CHUNK = 1 << 14  # voxels at a time: a kilobyte each, which a whole body would not have
_SMALL = 1e-12


def sigma_of_magnitudes(signals: torch.Tensor, echoes: Echoes) -> float:
    """Noise of one channel from what the fit leaves of magnitudes [n, v], where the signal is above the
    median; NaN with fewer than five echoes.

    Near the floor magnitudes scatter less, and a fit without a floor leaves more: so fit and noise are found in turns.
    No echo may hold less than noise, which keeps the turns from running away where iron leaves little else. The middle
    over runs of neighbours: vessels and ghosts do not count.
    """
    count = len(echoes.times_s)
    if count < _FEWEST_FOR_RESIDUALS or signals.shape[1] < _RUN:
        return math.nan
    some = _runs_of_strong(signals.double())
    least = math.sqrt(float(some.square().median(dim=1).values.min()) / _MEDIAN_OF_NOISE)
    sigma = 0.0
    for _ in range(_TURNS):
        fit = fit_magnitude(some, echoes, sigma)
        squares, expected = count * fit.residual.square(), _scatter_left(fit, echoes, sigma)
        means = squares.view(-1, _RUN).sum(1) / expected.view(-1, _RUN).sum(1)
        sigma = min(math.sqrt(float(means.median())), least)
        if sigma == 0.0:
            break
    return sigma


def sigma_of_residuals(fit: Fit, echoes: Echoes, *, phases: int = 0) -> float:
    """Noise of one channel from what a fit leaves in voxels with more than the median signal; NaN with fewer than five
    echoes. `phases` is the number of phases that were fitted with complex echoes, 0 for magnitudes well above the noise.
    """
    count = len(echoes.times_s)
    if count < _FEWEST_FOR_RESIDUALS or fit.water.numel() == 0:
        return math.nan
    strength = fit.water + fit.fat
    squares = fit.residual[strength >= strength.median()].square() * count
    free = 2 * count - 3 - phases if phases else count - 3
    return math.sqrt(float(squares.median()) / (free * (1 - 2 / (9 * free)) ** 3))  # chi squared (Wilson and Hilferty)


def sigma_of_air(magnitudes: torch.Tensor) -> float:
    """From voxels [m] that hold nothing but noise: the root of half their mean square. NaN where there are too few, or
    where their spread is not that of noise (a scanner that sets air to zero, ghosts)."""
    if magnitudes.numel() < 100 or float((magnitudes == 0).double().mean()) > 0.05:
        return math.nan
    values = magnitudes.double()
    spread = float(values.std() / values.mean().clamp_min(_SMALL))
    if abs(spread / _RAYLEIGH - 1) > 0.15:
        return math.nan
    return math.sqrt(float(values.square().mean()) / 2)


def uncertainty(fit: Fit, echoes: Echoes, sigma: float, *, phases: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Smallest standard deviations that an unbiased estimate can have: of PDFF in points and of R2* in 1/s, [v].

    Of magnitudes, whose noise near the floor is Rice's, or (`phases`) of complex echoes with field and phase unknown.
    """
    spans = [slice(first, first + _CHUNK) for first in range(0, max(len(fit.rate), 1), _CHUNK)]
    parts = [_uncertainty(fit[span], echoes, sigma, phases=phases) for span in spans]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _uncertainty(fit: Fit, echoes: Echoes, sigma: float, *, phases: bool) -> tuple[torch.Tensor, torch.Tensor]:
    information = _of_complex(fit, echoes) if phases else _of_magnitudes(fit, echoes, sigma)
    scaled, scale = _scaled(information)
    inverse = torch.linalg.inv_ex(scaled)[0] * scale[:, :, None] * scale[:, None, :] * sigma**2
    total = (fit.water + fit.fat).clamp_min(_SMALL)
    gradient = torch.stack([-fit.fat, fit.water], dim=1) / total.square()[:, None]
    variance = (gradient[:, :, None] * inverse[:, :2, :2] * gradient[:, None, :]).sum((1, 2))
    return 100 * variance.clamp_min(0).sqrt(), inverse[:, 2, 2].clamp_min(0).sqrt()


def _of_magnitudes(fit: Fit, echoes: Echoes, sigma: float) -> torch.Tensor:
    """J^T V^-1 J [v, 3, 3], with the slope and the variance of a Rician magnitude in units of the noise."""
    rows, variance = _jacobian(fit, echoes, sigma)
    weighed = rows / variance.sqrt()[:, None]
    return weighed @ weighed.transpose(1, 2)


def _jacobian(fit: Fit, echoes: Echoes, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the mean magnitudes over W, F and R2* [v, 3, n], and their variance in units of the noise [v, n]."""
    times = echoes.times_s[:, None]
    real, imag = fit.water + echoes.real[:, None] * fit.fat, echoes.imag[:, None] * fit.fat
    length = torch.hypot(real, imag).clamp_min(_SMALL)
    decay = torch.exp(-times * fit.rate)
    amplitude = length * decay
    by_fat = (echoes.real[:, None] * real + echoes.imag[:, None] * imag) * decay / length
    rows = torch.stack([real * decay / length, by_fat, -times * amplitude])
    if sigma == 0.0:
        return rows.permute(2, 0, 1), torch.ones_like(amplitude).T
    variance, slope = _variance(amplitude / sigma)
    return (rows * slope).permute(2, 0, 1), variance.T


def _scatter_left(fit: Fit, echoes: Echoes, sigma: float) -> torch.Tensor:
    """Sum of squared residuals that noise alone leaves, in units of the noise: the trace of (1 - P) V, [v].

    A share at its bound follows the noise in part: what lies beyond the bound is left, (1 + a^2) - a phi(a) / Phi(-a) of
    it on average where a share of Phi(-a) of the voxels got there.
    """
    rows, variance = _jacobian(fit, echoes, sigma)
    left = variance.sum(1) - _followed(rows, variance)
    share = fit.fat / (fit.water + fit.fat).clamp_min(_SMALL)
    bound = torch.isclose(share, share.new_tensor(SHARES["water"])[:, None], rtol=0, atol=1e-6).any(dim=0)
    many = bound.double().mean().clamp(max=0.5)
    if float(many) == 0.0:
        return left
    beyond = -torch.special.ndtri(many)
    beyond = 1 + beyond.square() - beyond * torch.exp(-beyond.square() / 2) / (math.sqrt(2 * math.pi) * many)
    together = (1 - share)[:, None] * rows[:, 0] + share[:, None] * rows[:, 1]
    fewer = _followed(torch.stack([together, rows[:, 2]], dim=1), variance)
    return torch.where(bound, left + beyond * (variance.sum(1) - fewer - left), left)


def _followed(rows: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """The part of the scatter that the fit takes up: the trace of P V with P the projection on `rows` [v, u, n]."""
    scaled, scale = _scaled(rows @ rows.transpose(1, 2))
    rows = rows * scale[:, :, None]
    ridge = _RIDGE * torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    solved = torch.linalg.solve_ex(scaled + ridge, rows)[0]
    return ((rows * solved).sum(1).clamp(0, 1) * variance).sum(1)


def _runs_of_strong(signals: torch.Tensor) -> torch.Tensor:
    """Some of the runs of neighbours with more than the median energy: chosen by the run, because voxels that are chosen
    by their own signal are chosen by their noise."""
    runs = signals[:, : signals.shape[1] // _RUN * _RUN].reshape(len(signals), -1, _RUN)
    energy = runs.square().sum((0, 2))
    strong = torch.nonzero(energy >= energy.median()).squeeze(1)
    return runs[:, strong[:: -(-len(strong) // _MOST_RUNS)]].flatten(1)


def _variance(amplitude: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of a Rician magnitude, and the slope of its mean, all in units of the noise."""
    mean, slope = rice_mean(amplitude, 1.0)
    return (2 + amplitude.square() - mean.square()).clamp_min(1e-3), slope


def _of_complex(fit: Fit, echoes: Echoes) -> torch.Tensor:
    """J^T J [v, 5, 5] over W, F, R2*, field and phase, at the voxel's own field taken as zero: it cancels."""
    times = echoes.times_s[:, None].to(torch.complex128)
    phasor = torch.complex(echoes.real, echoes.imag)[:, None]
    decay = torch.exp(-echoes.times_s[:, None] * fit.rate)
    signal = (fit.water + fit.fat * phasor) * decay
    rows = [decay + 0j * signal, phasor * decay, -times * signal, 2j * torch.pi * times * signal, 1j * signal]
    jacobian = torch.view_as_real(torch.stack(rows)).permute(2, 0, 1, 3).flatten(2)
    return jacobian @ jacobian.transpose(1, 2)


def _scaled(information: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """With a unit diagonal, because R2* and water have units far apart."""
    scale = 1 / information.diagonal(dim1=1, dim2=2).clamp_min(_SMALL).sqrt()
    return information * scale[:, :, None] * scale[:, None, :], scale
