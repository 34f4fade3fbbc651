"""A lean U-Net for whole-organ crops: few channels where voxels are many, most parameters where they are few.

The usual encoder-decoder (Cicek et al. 2016) with instance normalisation and strided convolutions (Isensee et al.
2021). The finest level has a single convolution each way, which is where a CPU spends its time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import conv3d

_SLAB_VOXELS = 1 << 21  # of what is lifted at a time


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
        self.lean = False  # see `joined`; the fast form asks for it
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
            convolution, *others = _layers(self.decoder[depth])
            x = joined(self.lift[depth], convolution, x, skips, lean=self.lean)
            for layer in others:
                x = layer(x)
            if depth == 0 or (self.training and depth < len(self.heads)):
                answers.append(self.heads[depth](x))
        return answers[::-1]


def joined(
    lift: nn.Module, convolution: nn.Module, x: torch.Tensor, skips: list[torch.Tensor], *, lean: bool
) -> torch.Tensor:
    """`convolution` over the lifted `x` beside the last of `skips`, which is taken off its pile.

    `lean` for use: the two never lie side by side. The convolution of both is the sum of one over each, the skip is
    free after its own, and the other is lifted slab after slab: half of the memory in the same time.
    """
    if not lean:
        both: torch.Tensor = convolution(torch.cat([lift(x), skips.pop()], dim=1))
        return both
    assert isinstance(lift, nn.ConvTranspose3d)
    assert isinstance(convolution, nn.Conv3d)
    lifted, kept = torch.split(convolution.weight, [lift.out_channels, skips[-1].shape[1]], dim=1)
    total = conv3d(skips.pop(), kept, convolution.bias, padding=convolution.padding)
    scale, planes = lift.stride[0], x.shape[2]
    thick = max(1, _SLAB_VOXELS // total[0, 0, 0].numel() // scale)
    for first in range(0, planes, thick):
        last, begun = min(first + thick, planes), max(first - 1, 0)  # a plane more each way is as far as kernels reach
        part = conv3d(lift(x[:, :, begun : last + 1]), lifted, padding=convolution.padding)
        total[:, :, scale * first : scale * last] += part[:, :, scale * (first - begun) :][
            :, :, : scale * (last - first)
        ]
    return total


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
