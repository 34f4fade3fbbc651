"""Where the echoes do not fit together: the model leaves more than the noise does."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from ..records import Notice

_BEYOND = 4.0  # times the squares that noise leaves, at its rarest
_RAREST = 1e-3  # of voxels
_MOST = 0.05  # of the measured liver: vessels stay below, and noise that coils make twice that of the air


def share_of_misfits(residual: np.ndarray, sigma: float, echoes: int, *, phases: bool) -> float:
    """Of voxels [v] whose root mean squared residual is more than twice what noise of one channel `sigma` leaves in one
    of a thousand; NaN where the noise is not known."""
    free = 2 * echoes - 5 if phases else echoes - 3
    if math.isnan(sigma) or sigma <= 0 or free < 1 or residual.size == 0:
        return math.nan
    squares = echoes * np.square(residual.astype(np.float64)) / sigma**2
    return float(np.mean(squares > _BEYOND * stats.chi2.isf(_RAREST, free)))


def told_of_misfits(share: float) -> tuple[Notice, ...]:
    if not share > _MOST:
        return ()
    text = (
        f"In {share:.0%} of the measured liver the echoes do not fit together: motion between echoes, flow or ghosts. See "
        "residual.nii.gz, and do not trust the numbers where it is high."
    )
    return (Notice("residual_high", text),)
