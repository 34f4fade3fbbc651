"""A network with a known answer: channel n is brighter than level n. For tests and for a first run without weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Threshold(nn.Module):
    """Logit of label n is `x - levels[n]` while x is below the next level: bands of brightness are labels."""

    def __init__(self, labels: int, levels: Sequence[float]) -> None:
        super().__init__()
        if len(levels) != labels - 1:
            raise TypeError(f"{labels - 1} structures need as many levels, not {len(levels)}")
        self.levels = nn.Parameter(torch.tensor([float(level) for level in levels]))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        above = torch.cat([x[:, :1] - level for level in self.levels], dim=1)
        return [torch.cat([-above[:, :1], *(above[:, n : n + 1] * (n + 1) for n in range(len(self.levels)))], dim=1)]


def build(*, channels: int, labels: int, dims: int = 3, levels: Sequence[float] = (0.5,)) -> nn.Module:
    del channels, dims  # it reads the first channel voxel by voxel
    return Threshold(labels, levels)
