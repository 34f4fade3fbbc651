"""Batch -> (tensor for the network, target): intensities as scanners vary them, then the stage's own normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from liverseg_core.model_card import Stage
from liverseg_core.phases import CT_RANGE_HU
from liverseg_core.preparation import Normaliser
from torch.nn import functional

from .between import along, spread
from .contrast import random_curve, simulated
from .intensity import channels_by, reach, rule_for
from .organ import veiled
from .sampling import Batch, context_of
from .sections import Augment

_GAMMA = 0.3  # share of samples whose gamma is drawn


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


def shown(batch: Batch, augment: Augment, stage: Stage, rng: np.random.Generator | None = None) -> torch.Tensor:
    """The network's input [n, channels, k, j, i]. CT keeps its units unless its grey values were changed. Each sample is
    decided by its own generator, or by `rng`."""
    return torch.stack([_shown(batch, n, augment, stage, rng or batch.rngs[n]) for n in range(len(batch.image))])


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
    raw = _changed(images, ends, look, _Seen(codes, batch.spacing_mm[n], in_hu), rng) if look.changes else images
    if in_hu and not inside.numpy().all():  # what is outside has no noise
        raw = [new.clamp(min=low).masked_fill_(~inside, low) for new, (low, _) in zip(raw, ends)]
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


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a change of grey values has to know about a sample."""

    codes: torch.Tensor  # uint8 [k, j, i]
    spacing_mm: tuple[float, float, float]  # (x, y, z)
    in_hu: bool


def _changed(
    images: Sequence[torch.Tensor], ends: Sequence[tuple[float, float]], look: Look, seen: _Seen,
    rng: np.random.Generator,
) -> list[torch.Tensor]:  # fmt: skip
    """The images as they would look to another scanner, in the units that they came in."""
    units = [(image - low).div_(high - low).clamp_(0.0, 1.0) for image, (low, high) in zip(images, ends)]
    tissue = [unit.sign() if seen.in_hu else None for unit in units]  # what was clipped has no noise
    if look.simulate:
        units = [simulated(unit, seen.codes, rng) for unit in units]
    elif look.remap:
        units = list(random_curve(torch.stack(units), rng))
    units = _worn(units, look, seen.spacing_mm, rng)
    units = [unit if mask is None else unit.mul_(mask) for unit, mask in zip(units, tissue)]
    return [unit.mul_(high - low).add_(low) for unit, (low, high) in zip(units, ends)]


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

    def sometimes(kind: str, most: float) -> float:
        return float(most * rng.random()) if rng.random() < augment.shares.get(kind, augment.worn) else 0.0

    changed = rng.random() < augment.shares.get("gamma", _GAMMA) and augment.gamma != (1.0, 1.0)
    return Look(
        simulate=bool(kind < augment.simulate),
        remap=bool(augment.simulate <= kind < augment.simulate + augment.remap),
        gamma=float(np.exp(rng.uniform(*np.log(augment.gamma)))) if changed else 1.0,
        bias=sometimes("bias", augment.bias),
        noise=sometimes("noise", augment.noise) ** 2 / max(augment.noise, 1e-6),  # mostly little
        blur_mm=sometimes("blur", augment.blur_mm),
        thick_mm=sometimes("thick", augment.thick_mm),
        thick_axis=int(rng.choice(3, p=(0.7, 0.15, 0.15) if dims == 3 else (0.0, 0.5, 0.5))),  # of (k, j, i)
        flat=dims == 2,
    )


def _worn(
    units: Sequence[torch.Tensor], look: Look, spacing_mm: tuple[float, float, float], rng: np.random.Generator
) -> list[torch.Tensor]:
    """Gamma, bias field, blur, thick slices, noise, in the order in which a scanner makes them. Only noise differs between
    the volumes of one scan."""
    field = torch.from_numpy(rng.normal(0, look.bias, (3, 4, 4))).float() if look.bias > 0 else None
    return [_worn_alone(unit, look, field, spacing_mm, rng) for unit in units]


def _worn_alone(
    unit: torch.Tensor, look: Look, field: torch.Tensor | None, spacing_mm: tuple[float, float, float],
    rng: np.random.Generator,
) -> torch.Tensor:  # fmt: skip
    if look.gamma != 1.0:
        unit = unit.pow_(look.gamma)
    if field is not None:
        unit = unit.mul_(spread(field, unit.shape).exp_())
    if look.blur_mm > 0:
        unit = blurred(
            unit, [0.0 if look.flat and n == 0 else look.blur_mm / s for n, s in enumerate(spacing_mm[::-1])]
        )
    if look.thick_mm > spacing_mm[2 - look.thick_axis]:
        unit = thick(unit, look.thick_axis, look.thick_mm / spacing_mm[2 - look.thick_axis])
    if look.noise > 0:
        own = torch.Generator().manual_seed(int(rng.integers(2**62)))  # draws twice as fast as numpy's
        grain = torch.empty_like(unit).normal_(generator=own)
        unit = unit.add_(grain, alpha=look.noise * float(unit.std()))
    return unit


def blurred(volume: torch.Tensor, sigma: list[float]) -> torch.Tensor:
    """Gaussian blur of [k, j, i] with a standard deviation in voxels for each axis; its border goes on."""
    for axis, s in enumerate(sigma):
        if s > 0:
            half = max(1, int(np.ceil(2.5 * s)))
            kernel = torch.exp(-0.5 * (torch.arange(-half, half + 1, dtype=torch.float32) / s) ** 2)
            volume = along(volume, axis, partial(_through, kernel=kernel / kernel.sum()))
    return volume


def _through(lines: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    half = len(kernel) // 2
    return functional.conv1d(functional.pad(lines, (half, half), mode="replicate"), kernel[None, None])


def thick(volume: torch.Tensor, axis: int, factor: float) -> torch.Tensor:
    """As a scan with slices `factor` times as thick along `axis`, interpolated back."""
    count = volume.shape[axis]
    coarse = max(2, round(count / factor))

    def fewer(lines: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(functional.adaptive_avg_pool1d(lines, coarse), count, mode="linear")

    return along(volume, axis, fewer)
