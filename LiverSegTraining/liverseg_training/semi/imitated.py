"""A fat-suppressed T2-weighted scan -> scans that look as other phases do, from its grey values alone.

No reference is asked for, so a case whose reference is hidden stays hidden: tissue is told by how bright it is. What this
makes has the contrast of a phase, not its physics: no lesion takes up contrast agent, no coil and no field is another one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from liverseg_core.errors import InputError
from torch.nn import functional

from ..cache import CachedCase
from ..intensity import reach

IMITATED_FROM = ("mr_t2", "mr_t2fs")
# Grey values of T2-SPIR as shares of the reach (median of 14 livers 0.40, of spleens 0.80, of right kidneys 0.87):
# air, noise, fat, muscle, liver, between, spleen, kidney, fluid
_KNOTS = (0.0, 0.025, 0.07, 0.18, 0.40, 0.55, 0.80, 0.90, 1.0)
_RECIPE = "1"  # raised when a phase is made otherwise, so that old files are not taken for new ones


@dataclass(frozen=True)
class Imitation:
    """Grey values at _KNOTS; `rims`: dark borders between fat and water; `blur`: passes of a 3 x 3 mean in the slice."""

    heights: tuple[float, ...]
    rims: bool = False
    blur: int = 0


IMITATIONS: Mapping[str, Imitation] = {
    "mr_t1_native": Imitation((0.0, 0.02, 0.15, 0.45, 0.75, 0.55, 0.40, 0.35, 0.12)),
    "mr_t1_hbp": Imitation((0.0, 0.02, 0.12, 0.35, 1.00, 0.60, 0.38, 0.50, 0.08)),
    "mr_t1_in": Imitation((0.0, 0.02, 0.95, 0.45, 0.62, 0.52, 0.42, 0.40, 0.20)),
    "mr_t1_opposed": Imitation((0.0, 0.02, 0.75, 0.45, 0.58, 0.50, 0.42, 0.40, 0.20), rims=True),
    "mr_dwi": Imitation((0.0, 0.01, 0.03, 0.08, 0.25, 0.45, 0.90, 0.80, 0.55), blur=2),
}


def imitation(unit: torch.Tensor, phase: str, rng: np.random.Generator) -> torch.Tensor:
    """Grey values in [0, 1] [k, j, i] as `phase` has them: every height moves by up to 0.08, air stays dark."""
    row = IMITATIONS[phase]
    heights = np.clip(np.array(row.heights) + rng.uniform(-0.08, 0.08, len(_KNOTS)), 0.0, 1.0)
    heights[:2] = row.heights[:2]
    drawn = torch.from_numpy(np.interp(unit.numpy(), _KNOTS, heights)).float()
    for _ in range(row.blur):
        drawn = _mean(drawn)
    if row.rims:
        fat = ((unit > _KNOTS[1]) & (unit < 0.5 * (_KNOTS[2] + _KNOTS[3]))).float()
        share = _mean(fat)
        drawn = drawn * (1.0 - 3.2 * share * (1.0 - share)).clamp_min(0.0)
    return drawn


def imitated(case: CachedCase, phase: str, folder: Path) -> CachedCase:
    """The case as another phase, kept in `folder` and memory-mapped; the same case is always made the same."""
    if phase not in IMITATIONS:
        raise InputError(f"{phase} cannot be imitated; known: {', '.join(IMITATIONS)}")
    if case.case.phase not in IMITATED_FROM:
        raise InputError(
            f"{case.case.id} is {case.case.phase}; phases are imitated from {' and '.join(IMITATED_FROM)} alone"
        )
    file = folder / f"{case.case.id}-{case.digest[:16]}-{phase}-{_RECIPE}.image.npy"
    if not file.exists():
        _save(_made(case, phase), file)
    own = replace(case.case, id=f"{case.case.id} as {phase}", phase=phase)
    return replace(case, case=own, image=np.load(file, mmap_mode="r"))


def _made(case: CachedCase, phase: str) -> np.ndarray:
    volume = torch.from_numpy(np.array(case.image, np.float32))
    low, high = reach(volume[tuple(slice(int(a), int(b)) for a, b in zip(case.first, case.last))].flatten())
    rng = np.random.default_rng([int(case.digest[:8], 16), *phase.encode()])
    return (1000.0 * imitation(((volume - low) / (high - low)).clamp(0.0, 1.0), phase, rng)).numpy().astype(np.float16)


def _mean(volume: torch.Tensor) -> torch.Tensor:
    """Of 3 x 3 voxels of each slice: slices are thick."""
    return functional.avg_pool2d(functional.pad(volume[:, None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[:, 0]


def _save(voxels: np.ndarray, path: Path) -> None:
    """Beside, then renamed: a file that exists is whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, voxels)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
