"""Cross pseudo supervision (Chen et al. 2021): two networks, each taught by what the other one draws."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from ..demands import demand
from ..rates import Moment
from .section import Semi


class CrossPseudoSupervision:
    """Two networks that differ from the first step on; networks that begin alike would only repeat themselves."""

    unlabelled = True

    def __init__(self, semi: Semi) -> None:
        demand(len(semi.seeds) == 2, f"semi.seeds must be two numbers, one for each network, not {list(semi.seeds)}")
        demand(
            semi.seeds[0] != semi.seeds[1],
            f"semi.seeds are both {semi.seeds[0]}: two networks that begin alike teach each other nothing; choose two",
        )
        self.semi, self.seeds = semi, semi.seeds

    def __call__(
        self, answers: Sequence[Sequence[torch.Tensor]], known: torch.Tensor, at: Moment
    ) -> torch.Tensor | None:
        """`weight` times the two cross entropies, of the finest head alone, over the samples without a reference or
        over all of them."""
        shown = torch.ones_like(known[:, 0]) if self.semi.on == "all" else ~known.any(dim=1)
        if not bool(shown.any()):
            return None
        one, other = (heads[0][shown].float() for heads in answers)
        return ramped(self.semi, at) * (taught(one, other) + taught(other, one))


def taught(pupil: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Cross entropy of logits [n, labels, k, j, i] with the labels that win in `teacher`, through which no gradient flows."""
    return functional.cross_entropy(pupil, teacher.detach().argmax(dim=1))


def ramped(semi: Semi, at: Moment) -> float:
    """The weight at a moment: rises along exp(-5 (1 - t/T)^2) over the first `ramp` of the steps (Laine and Aila 2017)."""
    share = min(1.0, at.step / (semi.ramp * at.steps))
    return semi.weight * math.exp(-5.0 * (1.0 - share) ** 2)
