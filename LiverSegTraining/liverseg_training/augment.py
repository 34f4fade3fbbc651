"""Batch -> (tensor for the network, target): intensities as scanners vary them, then the stage's own normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from liverseg_core.model_card import Stage
from liverseg_core.phases import CT_RANGE_HU
from liverseg_core.preparation import Normaliser, channel_of
from torch.nn import functional

from .contrast import random_curve, simulated
from .intensity import reach, rule_for
from .sampling import Batch, context_of
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
    flat: bool  # slices of a 2-D stage: nothing is smeared from one to the next

    @property
    def changes(self) -> bool:
        return bool(
            self.simulate or self.remap or self.gamma != 1.0 or self.bias or self.noise or self.blur_mm or self.thick_mm
        )


def shown(batch: Batch, augment: Augment, stage: Stage, rng: np.random.Generator) -> torch.Tensor:
    """The network's input [n, channels, k, j, i]. CT keeps its units unless its grey values were changed."""
    samples = []
    for n, modality in enumerate(batch.modalities):
        look = _drawn(augment, stage.dims, rng)
        image, codes, inside = batch.image[n, 0], batch.codes[n, 0], batch.inside[n, 0]
        anew = look.simulate or look.remap
        in_hu = modality == "CT" and not (anew or (look.gamma != 1.0 and "MR" in stage.normalisation))
        scale = batch.scales[n]
        low, high = CT_RANGE_HU if modality == "CT" else (scale.low, scale.high) if scale else reach(image[inside])
        raw = image
        if look.changes:
            unit = ((image - low) / (high - low)).clamp(0.0, 1.0)
            unit = simulated(unit, codes, rng) if look.simulate else random_curve(unit, rng) if look.remap else unit
            raw = _worn(unit, look, batch.spacing_mm[n], rng) * (high - low) + low
        rule = rule_for(stage, "CT" if in_hu else "MR") if scale is None or anew else scale.rule
        if in_hu and (look.changes or not bool(inside.all())):  # what was clipped has no noise, nor has what is outside
            raw = torch.where(inside & (image > low), raw, low)
        samples.append(_channels(raw, inside, stage, rule))
    return torch.stack(samples)


def _channels(raw: torch.Tensor, inside: torch.Tensor, stage: Stage, rule: Normaliser) -> torch.Tensor:
    """Every channel of the stage, as the corridor makes them, without the slices beside its own."""
    context = context_of(stage)
    laid = [raw.numpy()]
    channels = torch.stack([channel_of(name, laid, inside, rule) for name in stage.channels])
    return channels[:, context : len(raw) - context]


def _drawn(augment: Augment, dims: int, rng: np.random.Generator) -> Look:
    """Each kind of wear comes to its own share of the samples; `simulate` and `remap` exclude each other."""
    kind = rng.random()

    def sometimes(most: float) -> float:
        return float(most * rng.random()) if rng.random() < augment.worn else 0.0

    changed = rng.random() < 0.3 and augment.gamma != (1.0, 1.0)
    return Look(
        simulate=bool(kind < augment.simulate),
        remap=bool(augment.simulate <= kind < augment.simulate + augment.remap),
        gamma=float(np.exp(rng.uniform(*np.log(augment.gamma)))) if changed else 1.0,
        bias=sometimes(augment.bias),
        noise=sometimes(augment.noise) ** 2 / max(augment.noise, 1e-6),  # mostly little
        blur_mm=sometimes(augment.blur_mm),
        thick_mm=sometimes(augment.thick_mm),
        thick_axis=int(rng.choice(3, p=(0.7, 0.15, 0.15) if dims == 3 else (0.0, 0.5, 0.5))),  # of (k, j, i)
        flat=dims == 2,
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
        unit = blurred(
            unit, [0.0 if look.flat and n == 0 else look.blur_mm / s for n, s in enumerate(spacing_mm[::-1])]
        )
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
        if s == 0:
            continue
        half = max(1, int(np.ceil(2.5 * s)))
        x = torch.arange(-half, half + 1, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (x / s) ** 2)
        shape, pad = [1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]
        shape[2 + axis] = len(x)
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = half
        out = functional.conv3d(functional.pad(out, pad, mode="replicate"), (kernel / kernel.sum()).reshape(shape))
    return out[0, 0]


def thick(volume: torch.Tensor, axis: int, factor: float) -> torch.Tensor:
    """As a scan with slices `factor` times as thick along `axis`, interpolated back."""
    shape = list(volume.shape)
    coarse = shape.copy()
    coarse[axis] = max(2, round(shape[axis] / factor))
    fewer = functional.adaptive_avg_pool3d(volume[None, None], (coarse[0], coarse[1], coarse[2]))
    return functional.interpolate(fewer, shape, mode="trilinear", align_corners=False)[0, 0]
