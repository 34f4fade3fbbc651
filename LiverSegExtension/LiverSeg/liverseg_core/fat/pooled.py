"""One signal for a whole region: how reliable its voxels are is decided from that, never voxel by voxel.

Voxels that are dropped because of their own estimated error take their values with them: that alone moves the liver's
PDFF by up to 11 points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from .magnitude import Echoes, fit_power
from .noise import uncertainty


@dataclass(frozen=True)
class Pool:
    """PDFF in per cent and R2* in 1/s of the mean power of a region, and the smallest deviation that one voxel of it can
    have. NaN deviations where the noise is not known: then voxels are trusted."""

    pdff: float
    rate: float
    pdff_sd: float
    rate_sd: float


def pooled(magnitudes: np.ndarray, echoes: Echoes, sigma: float) -> Pool:
    """`magnitudes` [n, v] of the voxels of a region. To their mean power the noise adds what is known."""
    power = (magnitudes.astype(np.float64) ** 2).mean(axis=1)
    known = not math.isnan(sigma) and sigma > 0
    fit = fit_power(torch.from_numpy(power)[:, None].to(echoes.times_s.device), echoes, sigma if known else 0.0)
    sds = [float(sd) for sd in uncertainty(fit, echoes, sigma)] if known else [math.nan, math.nan]
    return Pool(float(fit.pdff()), float(fit.rate), *sds)
