"""Several networks of one architecture as one: their mean probabilities, as logits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import torch
from torch import nn


class Ensemble(nn.Module):
    """Every head is the logarithm of the members' mean softmax; a stage of an ensemble decides as of any network."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        answers = [member(x) for member in self.members]
        return [_mean([logits.float() for logits in heads]) for heads in zip(*answers)]

    def weighed(self, x: torch.Tensor) -> torch.Tensor:
        """The finest head, and behind its last channel how far the members are apart, 0 to 1."""
        finest = [member(x)[0].float() for member in self.members]
        return torch.cat([_mean(finest), _apart(finest)], dim=1)


def _mean(logits: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([one.log_softmax(dim=1) for one in logits]).logsumexp(dim=0) - math.log(len(logits))


def _apart(logits: list[torch.Tensor]) -> torch.Tensor:
    """[n, 1, ...]: total variation of the two members that are furthest apart, half the sum of the differences of their
    probabilities: 0 where all say the same, 1 where each is sure of another answer."""
    likely = [one.softmax(dim=1) for one in logits]
    pairs = [0.5 * (a - b).abs().sum(dim=1, keepdim=True) for a, b in combinations(likely, 2)]
    return torch.stack(pairs).amax(dim=0)


def build(
    *,
    channels: int,
    labels: int,
    dims: int = 3,
    of: str = "mecse_unet",
    members: int = 2,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """`members` networks named `of`, each built with `options`."""
    from . import build as built

    if of == "ensemble" or members < 2 or labels < 2:
        raise TypeError(f"an ensemble needs two or more networks of another name and two labels, not {members} of {of}")
    every = [built(of, channels=channels, labels=labels, dims=dims, **(options or {})) for _ in range(members)]
    return Ensemble(every)
