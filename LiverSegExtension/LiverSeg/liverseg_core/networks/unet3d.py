"""A lean U-Net for whole-organ crops: few channels where voxels are many, most parameters where they are few.

The usual encoder-decoder (Cicek et al. 2016) with instance normalisation and strided convolutions (Isensee et al.
2021). The finest level has a single convolution each way, which is where a CPU spends its time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class _Block(nn.Sequential):
    """Convolution, instance normalisation, leaky ReLU; kernel and stride act on the last `dims` axes."""

    def __init__(self, inward: int, outward: int, dims: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv3d(inward, outward, _axes(3, dims), _axes(stride, dims), _axes(3, dims, pad=True), bias=False),
            nn.InstanceNorm3d(outward, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        )


class UNet3d(nn.Module):
    """Logits at full resolution, and in training one head for each of the next `heads - 1` coarser levels."""

    def __init__(self, channels: int, labels: int, dims: int, widths: Sequence[int], heads: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([_Block(channels, widths[0], dims)])
        self.lift = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for fine, coarse in zip(widths, widths[1:]):
            self.encoder.append(nn.Sequential(_Block(fine, coarse, dims, stride=2), _Block(coarse, coarse, dims)))
            self.lift.append(nn.ConvTranspose3d(coarse, fine, _axes(2, dims), _axes(2, dims)))
            doubled = fine != widths[0]
            self.decoder.append(
                nn.Sequential(_Block(2 * fine, fine, dims), *([_Block(fine, fine, dims)] if doubled else []))
            )
        self.heads = nn.ModuleList(nn.Conv3d(width, labels, 1) for width in widths[:heads])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Layer by layer, not block by block: a block would hold its input until its last layer is through, which is
        what decides how large a window fits into memory. For the same reason each skip is taken off its pile."""
        skips = []
        for level in self.encoder:
            for layer in _layers(level):
                x = layer(x)
            skips.append(x)
        skips.pop()
        answers = []
        for depth in reversed(range(len(skips))):
            x = self.lift[depth](x)
            x = torch.cat([x, skips.pop()], dim=1)
            for layer in _layers(self.decoder[depth]):
                x = layer(x)
            if depth == 0 or (self.training and depth < len(self.heads)):
                answers.append(self.heads[depth](x))
        return answers[::-1]


def _layers(block: nn.Module) -> list[nn.Module]:
    """What a nest of Sequentials does, in order."""
    return [layer for part in block for layer in _layers(part)] if isinstance(block, nn.Sequential) else [block]


def _axes(size: int, dims: int, *, pad: bool = False) -> tuple[int, int, int]:
    size, flat = (size // 2, 0) if pad else (size, 1)
    return (size if dims == 3 else flat, size, size)


def build(
    *, channels: int, labels: int, dims: int = 3, widths: Sequence[int] = (16, 32, 64, 128, 192), heads: int = 3
) -> nn.Module:
    """`widths` are the feature counts of the levels, fine to coarse; each level halves the size."""
    return UNet3d(channels, labels, dims, widths, heads)
