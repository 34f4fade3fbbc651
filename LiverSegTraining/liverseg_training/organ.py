"""Samples of a stage that draws inside an organ (its card's `inside`), and lesions made up in a sample's liver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from liverseg_core.geometry import Triple
from liverseg_core.labels import LESION, LIVER
from liverseg_core.model_card import Stage
from liverseg_core.preparation import reached
from liverseg_core.records import LabelMask

from .lesions import implanted

if TYPE_CHECKING:
    from .views import Part


def organ_codes(stage: Stage) -> tuple[int, ...]:
    """What a stage's block is laid around: its labels, and the organ in which they lie."""
    return (stage.inside, *stage.labels) if stage.inside else stage.labels


def veiled(
    raw: torch.Tensor, codes: torch.Tensor, stage: Stage, spacing_mm: Triple, reach_mm: float, air: float
) -> torch.Tensor:
    """Grey values [k, j, i] with air where they are further than this from the organ, as in use."""
    near = reached(np.isin(codes.numpy(), organ_codes(stage)), spacing_mm, reach_mm)
    return torch.where(torch.from_numpy(near), raw, air)


def kept_inside(drawn: LabelMask, codes: np.ndarray, stage: Stage) -> LabelMask:
    """What a stage may draw: all of it, or what lies in its organ."""
    if not stage.inside:
        return drawn
    return LabelMask(np.where(np.isin(codes, organ_codes(stage)), drawn.voxels, np.uint8(0)), drawn.grid)


def with_lesions(part: Part, spacing_mm: Triple, labels: Sequence[int], rng: np.random.Generator) -> tuple[Part, bool]:
    """A sample of CT with made-up lesions in its liver, and whether there are any. A network that is not asked for
    lesions is told that they are liver."""
    image, _, codes, inside = part
    seen, held, made = implanted(image[0, 0].numpy(), codes[0, 0].numpy(), spacing_mm, rng)
    if not made:
        return part, False
    channel = np.zeros(256, np.uint8)
    for n, code in enumerate(labels, start=1):
        channel[code] = n
    if LESION not in labels:
        channel[LESION] = channel[LIVER]
    target = torch.from_numpy(channel[held])[None, None] * inside
    return (torch.from_numpy(seen)[None, None], target, torch.from_numpy(held)[None, None], inside), True
