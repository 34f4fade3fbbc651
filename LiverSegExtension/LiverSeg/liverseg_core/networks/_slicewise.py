"""The 5-D interface around a network of single slices, and what 2-D networks have in common."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


class Slicewise(nn.Module):
    """[n, channels, k, j, i] -> list of logits: every slice on its own, k of them folded into the batch.

    `plane` maps [n, channels, j, i] to a list of logits, finest first.
    """

    def __init__(self, plane: nn.Module) -> None:
        super().__init__()
        self.plane = plane

    @property
    def encoder(self) -> nn.Module:
        """What a checkpoint of a pre-trained trunk fits into."""
        return self.plane.encoder  # type: ignore[return-value]

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        n, channels, slices, *plane = x.shape
        folded = x.transpose(1, 2).reshape(n * slices, channels, *plane)
        return [y.reshape(n, slices, *y.shape[1:]).transpose(1, 2) for y in self.plane(folded)]


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inward: int, outward: int, kernel: int = 3) -> None:
        super().__init__(
            nn.Conv2d(inward, outward, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outward),
            nn.ReLU(inplace=True),
        )


def enlarged(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bilinear, to a size and never by a factor: odd sizes come back whole."""
    return functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def only_2d(dims: int) -> None:
    if dims != 2:
        raise TypeError(f"it sees slices, so dims must be 2, not {dims}")
