"""Batch -> (tensor for the network, target): intensities as scanners vary them, then the stage's own normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from liverseg_core.model_card import Stage
from liverseg_core.phases import CT_RANGE_HU
from liverseg_core.preparation import Normaliser
from torch.nn import functional

from .contrast import random_curve, simulated
from .intensity import channels_by, reach, rule_for
from .organ import veiled
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
    return torch.stack([_shown(batch, n, augment, stage, rng) for n in range(len(batch.image))])


def _shown(batch: Batch, n: int, augment: Augment, stage: Stage, rng: np.random.Generator) -> torch.Tensor:
    """Every channel of one sample."""
    modality, codes, inside, scale = batch.modalities[n], batch.codes[n, 0], batch.inside[n, 0], batch.scales[n]
    look = _drawn(augment, stage.dims, rng)
    kept = _kept(batch.image[n], augment.echo_dropout, rng)
    anew = look.simulate or look.remap
    in_hu = modality == "CT" and not (anew or (look.gamma != 1.0 and "MR" in stage.normalisation))
    images = [batch.image[n, place] for place in kept]
    scales = [scale.volumes[place] for place in kept] if scale else [None] * len(kept)
    ends = [CT_RANGE_HU if modality == "CT" else (s.low, s.high) if s else reach(image[inside])
            for image, s in zip(images, scales)]  # fmt: skip
    raw = images
    if look.changes:
        units = [((image - low) / (high - low)).clamp(0.0, 1.0) for image, (low, high) in zip(images, ends)]
        if look.simulate:
            units = [simulated(unit, codes, rng) for unit in units]
        elif look.remap:
            units = list(random_curve(torch.stack(units), rng))
        units = _worn(units, look, batch.spacing_mm[n], rng)
        raw = [unit * (high - low) + low for unit, (low, high) in zip(units, ends)]
    if in_hu and (look.changes or not bool(inside.all())):  # what was clipped has no noise, nor has what is outside
        raw = [torch.where(inside & (image > low), new, low) for image, new, (low, _) in zip(images, raw, ends)]
    if stage.inside:
        reach_mm = stage.reach_mm * float(rng.uniform(0.5, 2.0))
        raw = [veiled(new, codes, stage, batch.spacing_mm[n], reach_mm, low) for new, (low, _) in zip(raw, ends)]
    volumes: list[torch.Tensor | None] = [None] * batch.image.shape[1]
    rules: list[Normaliser] = [rule_for(stage, "CT" if in_hu else "MR")] * len(volumes)
    for place, image, s in zip(kept, raw, scales):
        volumes[place] = image
        rules[place] = rules[place] if s is None or anew else s.rule
    context = context_of(stage)
    return channels_by(stage, volumes, inside, rules)[:, context : len(inside) - context]


def _kept(volumes: torch.Tensor, dropout: float, rng: np.random.Generator) -> list[int]:
    """Which volumes [n, k, j, i] are shown: of those that are there (the others are NaN) the first always, each later one
    but for the share `dropout`; and for that share of the samples the later ones end somewhere, as those of a shorter
    acquisition do."""
    there = [n for n in range(len(volumes)) if not bool(volumes[n, 0, 0, 0].isnan())]
    if dropout <= 0 or len(there) == 1:
        return there
    end = int(rng.integers(1, len(there))) if rng.random() < dropout else len(there)
    return [n for n in there[:end] if n == 0 or rng.random() >= dropout]


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
    units: Sequence[torch.Tensor], look: Look, spacing_mm: tuple[float, float, float], rng: np.random.Generator
) -> list[torch.Tensor]:
    """Gamma, bias field, blur, thick slices, noise, in the order in which a scanner makes them. Only noise differs between
    the volumes of one scan."""
    field = torch.from_numpy(rng.normal(0, look.bias, (1, 1, 3, 4, 4))).float() if look.bias > 0 else None
    return [_worn_alone(unit, look, field, spacing_mm, rng) for unit in units]


def _worn_alone(
    unit: torch.Tensor, look: Look, field: torch.Tensor | None, spacing_mm: tuple[float, float, float],
    rng: np.random.Generator,
) -> torch.Tensor:  # fmt: skip
    if look.gamma != 1.0:
        unit = unit**look.gamma
    if field is not None:
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
