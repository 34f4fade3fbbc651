"""Magnitudes that can be fitted: finite, not negative; what is empty or saturated is said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import InputError
from ...records import Notice

_LEAST_SATURATED = 20  # voxels at the very top
_TOP = 0.98  # of the largest value: noise leaves fewer voxels at the top than just below it
_NEGATIVE = 0.02  # of the largest value: what interpolation leaves


def usable(magnitude: np.ndarray, source: str) -> tuple[np.ndarray, tuple[Notice, ...]]:
    """float32 [n, k, j, i] and what there is to say. A voxel that is missing in one echo is zero in all."""
    voxels = magnitude.astype(np.float32)
    notices: list[Notice] = []
    lost = ~np.isfinite(voxels).all(axis=0)
    if lost.any():
        notices.append(Notice("nan_voxels", f"{int(lost.sum())} voxels were not numbers and are not measured."))
        voxels[:, lost] = 0.0
    top = voxels.max(axis=(1, 2, 3))
    if (top <= 0).any():
        which = _listed(np.flatnonzero(top <= 0) + 1)
        raise InputError(f"echo {which} of {source} holds nothing but zeros; expected an image in every echo")
    if voxels.min() < -_NEGATIVE * top.max():
        raise InputError(
            f"{source} holds values down to {voxels.min():g}; expected magnitudes (phases belong to --phase-image)"
        )
    np.maximum(voxels, 0.0, out=voxels)
    notices += _empty_slices(voxels)
    notices += _saturated(voxels, top)
    return voxels, tuple(notices)


def _empty_slices(voxels: np.ndarray) -> list[Notice]:
    """Slices that are empty in any echo become so in all: half a decay measures nothing."""
    empty = (voxels.max(axis=(2, 3)) <= 0).any(axis=0)
    if not empty.any():
        return []
    voxels[:, empty] = 0.0
    which = _listed(np.flatnonzero(empty) + 1)
    return [Notice("empty_slices", f"Slices {which} are empty in an echo: nothing is measured there.")]


def _saturated(voxels: np.ndarray, top: np.ndarray) -> list[Notice]:
    """Echoes in which more voxels share the largest value than lie just below it: the scale ended there."""
    told = []
    for n, (echo, largest) in enumerate(zip(voxels, top)):
        at_top = int((echo >= largest).sum())
        if at_top >= _LEAST_SATURATED and at_top > int(((echo >= _TOP * largest) & (echo < largest)).sum()):
            told.append(f"{at_top} voxels of echo {n + 1} at {largest:g}")
    if not told:
        return []
    return [Notice("saturated", f"The scale ended there: {', '.join(told)}. Fat and iron read wrong in these voxels.")]


def _listed(numbers: Sequence[int] | np.ndarray, most: int = 8) -> str:
    shown = ", ".join(str(int(n)) for n in numbers[:most])
    return f"{shown} and {len(numbers) - most} more" if len(numbers) > most else shown
