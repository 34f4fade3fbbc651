"""Batch -> (tensor for the network, target): intensities as scanners vary them, then the stage's own normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from liverseg_core.phases import CT_RANGE_HU
from liverseg_core.preparation import NORMALISATIONS
from torch.nn import functional

from .contrast import random_curve, simulated
from .sampling import Batch
from .sections import Augment


@dataclass(frozen=True)
class Look:
    """What was drawn for one sample."""

    simulate: bool
    remap: bool
    gamma: float
    bias: float
    noise: float
    blur_mm: float
    thick_mm: float
    thick_axis: int


def shown(batch: Batch, augment: Augment, normalisation: Mapping[str, str], rng: np.random.Generator) -> torch.Tensor:
    """The network's input [n, 1, k, j, i]. CT keeps its units unless its grey values were changed."""
    samples = []
    for n, modality in enumerate(batch.modalities):
        look = _drawn(augment, rng)
        image, codes, inside = batch.image[n, 0], batch.codes[n, 0], batch.inside[n, 0]
        in_hu = modality == "CT" and not (look.simulate or look.remap or look.gamma != 1.0)
        low, high = CT_RANGE_HU if modality == "CT" else _reach(image[inside])
        unit = ((image - low) / (high - low)).clamp(0.0, 1.0)
        if look.simulate:
            unit = simulated(unit, codes, rng)
        elif look.remap:
            unit = random_curve(unit, rng)
        unit = _worn(unit, look, batch.spacing_mm, rng)
        raw = unit * (high - low) + low
        rule = NORMALISATIONS[normalisation["CT" if in_hu else "MR"]]
        low_end = torch.full_like(raw, CT_RANGE_HU[0]) if in_hu else raw
        samples.append(rule(torch.where(inside, raw, low_end), inside)[None, None])
    return torch.cat(samples)


def _drawn(augment: Augment, rng: np.random.Generator) -> Look:
    """Half of the samples get each kind of wear; `simulate` and `remap` exclude each other."""
    kind = rng.random()

    def sometimes(most: float) -> float:
        return float(most * rng.random()) if rng.random() < 0.5 else 0.0

    changed = rng.random() < 0.3 and augment.gamma != (1.0, 1.0)
    return Look(
        simulate=bool(kind < augment.simulate),
        remap=bool(augment.simulate <= kind < augment.simulate + augment.remap),
        gamma=float(np.exp(rng.uniform(*np.log(augment.gamma)))) if changed else 1.0,
        bias=sometimes(augment.bias),
        noise=sometimes(augment.noise) ** 2 / max(augment.noise, 1e-6),  # mostly little
        blur_mm=sometimes(augment.blur_mm),
        thick_mm=sometimes(augment.thick_mm),
        thick_axis=int(rng.choice(3, p=(0.7, 0.15, 0.15))),  # of (k, j, i)
    )


def _worn(
    unit: torch.Tensor, look: Look, spacing_mm: tuple[float, float, float], rng: np.random.Generator
) -> torch.Tensor:
    """Gamma, bias field, blur, thick slices, noise, in the order in which a scanner makes them."""
    if look.gamma != 1.0:
        unit = unit**look.gamma
    if look.bias > 0:
        field = torch.from_numpy(rng.normal(0, look.bias, (1, 1, 3, 4, 4))).float()
        unit = unit * functional.interpolate(field, unit.shape, mode="trilinear", align_corners=True)[0, 0].exp()
    if look.blur_mm > 0:
        unit = blurred(unit, [look.blur_mm / s for s in spacing_mm[::-1]])
    if look.thick_mm > spacing_mm[2 - look.thick_axis]:
        unit = thick(unit, look.thick_axis, look.thick_mm / spacing_mm[2 - look.thick_axis])
    if look.noise > 0:
        grain = torch.from_numpy(rng.standard_normal(unit.shape, np.float32))
        unit = unit + grain * (look.noise * float(unit.std()))
    return unit


def blurred(volume: torch.Tensor, sigma: list[float]) -> torch.Tensor:
    """Gaussian blur of [k, j, i] with a standard deviation in voxels for each axis."""
    out = volume[None, None]
    for axis, s in enumerate(sigma):
        reach = max(1, int(np.ceil(2.5 * s)))
        x = torch.arange(-reach, reach + 1, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (x / max(s, 1e-3)) ** 2)
        shape, pad = [1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]
        shape[2 + axis] = len(x)
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = reach
        out = functional.conv3d(functional.pad(out, pad, mode="replicate"), (kernel / kernel.sum()).reshape(shape))
    return out[0, 0]


def thick(volume: torch.Tensor, axis: int, factor: float) -> torch.Tensor:
    """As a scan with slices `factor` times as thick along `axis`, interpolated back."""
    shape = list(volume.shape)
    coarse = shape.copy()
    coarse[axis] = max(2, round(shape[axis] / factor))
    fewer = functional.adaptive_avg_pool3d(volume[None, None], (coarse[0], coarse[1], coarse[2]))
    return functional.interpolate(fewer, shape, mode="trilinear", align_corners=False)[0, 0]


def _reach(values: torch.Tensor) -> tuple[float, float]:
    """Darkest and (nearly) brightest: percentiles 0.5 and 99.8 of what the scan holds."""
    if values.numel() == 0:
        return 0.0, 1.0
    thinned = values[:: max(1, values.numel() // 50_000)]
    low, high = (float(q) for q in torch.quantile(thinned, torch.tensor([0.005, 0.998])))
    return low, max(high, low + 1e-3)
