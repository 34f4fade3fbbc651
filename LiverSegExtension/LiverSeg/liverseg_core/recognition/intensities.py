"""Voxels -> CT or MR, where no tag says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Guess:
    modality: str
    confidence: float  # 0.5 (a coin) to 1
    sentence: str


def guess_modality(voxels: np.ndarray) -> Guess:
    """HU have a zero in the middle: fat and air lie below it, organs just above. MR is hardly ever negative."""
    step = max(1, voxels.size // 500_000)
    values = voxels.ravel()[::step].astype(np.float32)
    below = float((values < -20).mean())
    tissue = values[values >= -20]
    soft = float((tissue < 300).mean()) if tissue.size else 0.0
    in_range = bool(values.min() >= -5000 and values.max() <= 35000)
    if below > 0.03 and soft > 0.5 and in_range:
        sure = 0.99 if below > 0.1 and soft > 0.8 else 0.85
        why = f"{below:.0%} of the voxels are below -20 as fat and air are in HU, and {soft:.0%} of the rest are below 300"
        return Guess("CT", sure, f"Taken for CT from the intensities ({why}), confidence {sure:.2f}")
    sure = 0.95 if below < 0.005 else 0.6
    return Guess(
        "MR", sure, f"Taken for MR from the intensities ({below:.1%} below -20, so not in HU), confidence {sure:.2f}"
    )
