"""How noisy the echoes are, and what that leaves of each estimate: the Cramer-Rao bound of a voxel."""

from __future__ import annotations

import math

import torch

from .magnitude import Echoes, Fit, forward, rice_mean

_FEWEST_FOR_RESIDUALS = 5  # echoes: with fewer, three unknowns follow the noise
_RAYLEIGH = math.sqrt(4 / math.pi - 1)  # sd over mean of a magnitude that is noise alone
_SMALL = 1e-12


def sigma_of_residuals(fit: Fit, echoes: Echoes, *, phases: int = 0) -> float:
    """Noise of one channel from what the fit leaves in voxels with more than the median signal; NaN with fewer than five
    echoes. The middle of many voxels: ghosts and vessels do not count. `phases` is the number of phases that were
    fitted with complex echoes, 0 for magnitudes.
    """
    count = len(echoes.times_s)
    if count < _FEWEST_FOR_RESIDUALS or fit.water.numel() == 0:
        return math.nan
    strength = fit.water + fit.fat
    strong = fit[strength >= strength.median()]
    free = 2 * count - 3 - phases if phases else count - 3
    middle = free * (1 - 2 / (9 * free)) ** 3  # median of chi squared (Wilson and Hilferty)
    sigma = math.sqrt(float((strong.residual.square() * count).median()) / middle)
    if phases or sigma == 0.0:
        return sigma
    amplitudes = forward(strong.water, strong.fat, strong.rate, echoes)
    shrunk = float(_variance(amplitudes / sigma)[0].mean(dim=0).median())  # near the floor magnitudes scatter less
    return sigma / math.sqrt(shrunk)


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
    information = _of_complex(fit, echoes) if phases else _of_magnitudes(fit, echoes, sigma)
    scaled, scale = _scaled(information)
    inverse = torch.linalg.inv_ex(scaled)[0] * scale[:, :, None] * scale[:, None, :] * sigma**2
    total = (fit.water + fit.fat).clamp_min(_SMALL)
    gradient = torch.stack([-fit.fat, fit.water], dim=1) / total.square()[:, None]
    variance = (gradient[:, :, None] * inverse[:, :2, :2] * gradient[:, None, :]).sum((1, 2))
    return 100 * variance.clamp_min(0).sqrt(), inverse[:, 2, 2].clamp_min(0).sqrt()


def _of_magnitudes(fit: Fit, echoes: Echoes, sigma: float) -> torch.Tensor:
    """J^T V J [v, 3, 3], with the slope and the variance of a Rician magnitude in units of the noise."""
    times = echoes.times_s[:, None]
    real, imag = fit.water + echoes.real[:, None] * fit.fat, echoes.imag[:, None] * fit.fat
    length = torch.hypot(real, imag).clamp_min(_SMALL)
    decay = torch.exp(-times * fit.rate)
    amplitude = length * decay
    by_fat = (echoes.real[:, None] * real + echoes.imag[:, None] * imag) * decay / length
    rows = torch.stack([real * decay / length, by_fat, -times * amplitude])
    variance, slope = _variance(amplitude / sigma)
    weighed = (rows * slope / variance.sqrt()).permute(2, 0, 1)
    return weighed @ weighed.transpose(1, 2)


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
