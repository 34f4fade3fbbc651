"""The ResNet-50 U-Net for slices of CT: a ResNet-50 trunk and a decoder of transposed convolutions.

Stated: the trunk, its four layers, transposed convolutions, double convolutions with batch normalisation. The widths of
the decoder (512, 256, 128, 64, 32) are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ._resnet import TAP_WIDTHS, ResNet50
from ._slicewise import ConvNorm, Slicewise, enlarged, only_2d

DIMS = (2,)


class _Up(nn.Module):
    """Twice as large, beside the trunk's tap of that scale where there is one, then two convolutions."""

    def __init__(self, inward: int, skip: int, outward: int) -> None:
        super().__init__()
        self.lift = nn.ConvTranspose2d(inward, outward, 2, stride=2)
        self.convolutions = nn.Sequential(ConvNorm(outward + skip, outward), ConvNorm(outward, outward))

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None) -> torch.Tensor:
        x = self.lift(x)
        if skip is not None:
            x = torch.cat([x if x.shape[2:] == skip.shape[2:] else enlarged(x, skip.shape[2:]), skip], dim=1)
        y: torch.Tensor = self.convolutions(x)
        return y


class R50Unet(nn.Module):
    """[n, channels, j, i] -> [logits] on the same plane."""

    def __init__(self, channels: int, labels: int, decoder: Sequence[int]) -> None:
        super().__init__()
        if len(decoder) != len(TAP_WIDTHS):
            raise TypeError(f"decoder needs {len(TAP_WIDTHS)} widths, not {len(decoder)}")
        self.encoder = ResNet50(channels)
        inward, skips = (TAP_WIDTHS[-1], *decoder[:-1]), (*TAP_WIDTHS[-2::-1], 0)
        self.decoder = nn.ModuleList(_Up(*widths) for widths in zip(inward, skips, decoder))
        self.head = nn.Conv2d(decoder[-1], labels, 1)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        *skips, y = self.encoder(x)
        for up, skip in zip(self.decoder, (*skips[::-1], None)):
            y = up(y, skip)
        y = self.head(y)
        return [y if y.shape[2:] == x.shape[2:] else enlarged(y, x.shape[2:])]


def build(*, channels: int, labels: int, dims: int = 2, decoder: Sequence[int] = (512, 256, 128, 64, 32)) -> nn.Module:
    only_2d(dims)
    return Slicewise(R50Unet(channels, labels, decoder))
