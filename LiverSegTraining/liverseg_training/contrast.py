"""Contrasts that no training scan has: grey values drawn anew for each organ. And families that only ever test.

The idea is SynthSeg's (Billot et al. 2023): a network that has seen every contrast needs none in particular. Ours
keeps the scan's own texture, because organs are more than constants, and tissue without a label goes through a
random curve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.nn import functional


def random_curve(unit: torch.Tensor, rng: np.random.Generator, knots: int = 7) -> torch.Tensor:
    """Grey values in [0, 1] through a random piecewise linear curve; air stays dark nine times of ten."""
    heights = rng.uniform(0.0, 1.0, knots)
    if rng.random() < 0.5:  # half of the curves are monotone: ordinary changes of weighting, or an inversion
        heights = np.sort(heights)[:: 1 if rng.random() < 0.7 else -1].copy()
    if rng.random() < 0.9:
        heights[0] = 0.0
    curve = torch.from_numpy(heights).float()
    place = unit.clamp(0.0, 1.0) * (knots - 1)
    low = place.floor().clamp(max=knots - 2).long()
    return torch.lerp(curve[low], curve[low + 1], place - low)


def simulated(unit: torch.Tensor, codes: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A new contrast for one scan in [0, 1] [k, j, i]: a grey value for each organ, a curve for everything else."""
    curve = random_curve(unit, rng)
    present = torch.bincount(codes.flatten().long(), minlength=256)
    level, gain, own = torch.zeros(256), torch.ones(256), torch.zeros(256)
    sums = torch.zeros(256).index_add_(0, codes.flatten().long(), unit.flatten())
    for code in (int(c) for c in torch.nonzero(present)[:, 0] if c > 0):
        own[code] = sums[code] / present[code]
        level[code] = float(rng.uniform(0.05, 0.95))
        gain[code] = float(rng.uniform(0.2, 1.5)) * (1 if rng.random() < 0.7 else -1)
    index = codes.long()
    drawn = torch.where(codes > 0, level[index] + gain[index] * (unit - own[index]), curve)
    if rng.random() < 0.3:  # real and simulated in one image
        share = float(rng.uniform(0.4, 1.0))
        drawn = share * drawn + (1 - share) * unit
    return _softened(drawn.clamp(0.0, 1.2), float(rng.uniform(0.0, 0.6)))


def _softened(volume: torch.Tensor, share: float) -> torch.Tensor:
    """Partial volume at the drawn borders: mixed with its own 3-voxel mean."""
    mean = functional.avg_pool3d(functional.pad(volume[None, None], (1,) * 6, mode="replicate"), 3, stride=1)[0, 0]
    return torch.lerp(volume, mean, share)


# --- families kept out of training for good: `validate --contrast NAME` re-synthesises the cases with them ---------


def rims_epi(unit: torch.Tensor, codes: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Opposed-phase rims at every fat border, fat shifted along the read-out, and echo-planar stretching."""
    fat = ((unit > 0.05) & (unit < 0.22)).float()
    shift = int(rng.integers(2, 5))
    water = torch.where(codes > 0, 0.35 + 0.5 * unit, 0.8 * unit) * (1 - fat)
    moved = torch.roll(fat, shift, dims=2) * 0.6
    border = functional.max_pool3d(fat[None, None], 3, 1, 1)[0, 0] - fat
    image = (water + moved - 0.5 * border * (1 - fat)).clamp(0.0, 1.0)
    k, j, i = (torch.linspace(-1, 1, n) for n in image.shape)
    grid = torch.stack(torch.meshgrid(k, j, i, indexing="ij"), dim=-1).flip(-1)[None]
    bend = torch.from_numpy(rng.normal(0, 0.02, (1, 1, 3, 4, 4))).float()
    grid[..., 1] += functional.interpolate(bend, image.shape, mode="trilinear", align_corners=True)[0, 0]
    return functional.grid_sample(image[None, None], grid, padding_mode="border", align_corners=True)[0, 0]


def ghosted(unit: torch.Tensor, codes: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Breathing ghosts along the phase direction and ringing from a truncated k-space, on an inverted soft tissue."""
    image = torch.where(unit > 0.02, 1.0 - 0.8 * unit, torch.zeros(())) * (1 + 0.25 * (codes == 1))
    space = torch.fft.fft(image, dim=1)
    lines = torch.arange(image.shape[1])
    wobble = 1 + 0.12 * torch.cos(2 * torch.pi * lines / float(rng.uniform(3.0, 6.0)) + float(rng.uniform(0, 6)))
    kept = (torch.fft.fftfreq(image.shape[1]).abs() < 0.36).float()
    return torch.fft.ifft(space * (wobble * kept)[None, :, None], dim=1).real.clamp(0.0, 1.3)


def susceptibility(unit: torch.Tensor, codes: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A T2*-weighted echo of an iron-loaded liver: dark liver, signal loss beside gas and lung, Rician noise."""
    decay = torch.where(codes == 1, 1.6, torch.where(codes == 3, 0.9, 0.5))
    gas = functional.avg_pool3d((unit < 0.01).float()[None, None], 9, 1, 4)[0, 0]
    image = (0.3 + 0.7 * unit) * (unit > 0.02) * torch.exp(-decay - 2.5 * gas)
    grain = torch.from_numpy(rng.standard_normal((2, *image.shape), np.float32)) * 0.02
    return torch.sqrt((image + grain[0]) ** 2 + grain[1] ** 2)


HELD_OUT: Mapping[str, Callable[[torch.Tensor, torch.Tensor, np.random.Generator], torch.Tensor]] = {
    "rims_epi": rims_epi,
    "ghosted": ghosted,
    "susceptibility": susceptibility,
}
