"""The U-Net of the multi-echo MR paper: four blocks on each branch, batch normalisation, deep supervision.

Stated: encoder and decoder of four convolutional blocks, deep supervision. Widths, the bottleneck's dropout and the four
heads (at full size, 1/2, 1/4 and 1/8) are ours. 7,762,916 parameters with one channel and one answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ._padding import cut, padded
from ._slicewise import Slicewise

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_LIFT = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


class _Double(nn.Sequential):
    """Twice: convolution of three, batch normalisation, ReLU."""

    def __init__(self, inward: int, outward: int, dims: int, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for width in (inward, outward):
            layers += [
                _CONV[dims](width, outward, 3, padding=1, bias=False), _NORM[dims](outward), nn.ReLU(inplace=True)
            ]  # fmt: skip
        super().__init__(*layers, *([nn.Dropout(dropout)] if dropout else []))


class MecseUnet(nn.Module):
    """[n, channels, (k,) j, i] -> logits, finest first; one head in use. Sizes that 16 does not divide come back whole."""

    def __init__(self, channels: int, labels: int, dims: int, widths: Sequence[int], dropout: float) -> None:
        super().__init__()
        if len(widths) < 3:
            raise TypeError(f"widths need three levels at least, not {len(widths)}")
        self.encoder = nn.ModuleList(
            _Double(fine, coarse, dims) for fine, coarse in zip((channels, *widths[:-2]), widths[:-1])
        )
        self.pool = _POOL[dims](2)
        self.bottleneck = _Double(widths[-2], widths[-1], dims, dropout)
        pairs = list(zip(widths[:0:-1], widths[-2::-1]))
        self.lift = nn.ModuleList(_LIFT[dims](coarse, fine, 2, 2) for coarse, fine in pairs)
        self.decoder = nn.ModuleList(_Double(2 * fine, fine, dims) for _, fine in pairs)
        self.heads = nn.ModuleList(_CONV[dims](fine, labels, 1) for _, fine in pairs)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        size = x.shape[2:]
        x = padded(x, [2 ** len(self.encoder)] * len(size))
        whole, skips = x.shape[2:], []
        for level in self.encoder:
            x = level(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)
        answers = []
        for lift, level, head in zip(self.lift, self.decoder, self.heads):
            x = level(torch.cat([lift(x), skips.pop()], dim=1))
            if self.training or not skips:
                answers.append(head(x))
        return [cut(answer, size, whole) for answer in answers[::-1]]


def build(
    *,
    channels: int,
    labels: int,
    dims: int = 2,
    widths: Sequence[int] = (32, 64, 128, 256, 512),
    dropout: float = 0.2,
) -> nn.Module:
    """`widths` of the levels and, last, of the bottleneck."""
    network = MecseUnet(channels, labels, dims, widths, dropout)
    return network if dims == 3 else Slicewise(network)
