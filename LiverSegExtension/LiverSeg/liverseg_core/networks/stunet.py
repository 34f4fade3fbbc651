"""STU-Net (Huang 2023): one residual U-Net in four sizes, whose checkpoints fit by name.

Sizes S, B, L and H have base widths 16, 32, 64 and 96 and 1, 1, 2 and 3 blocks a stage. Parameters with 105 labels:
14,596,941, 58,262,669, 440,302,605 and 1,457,326,221.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import nn
from torch.nn import functional

from ._padding import cut, padded

DIMS = (3,)
SIZES = {"S": (16, 1), "B": (32, 1), "L": (64, 2), "H": (96, 3)}
_FACTORS = (1, 2, 4, 8, 16, 16)
_LEVELS = len(_FACTORS)
Stride = tuple[int, int, int]


class BasicResBlock(nn.Module):
    """Two convolutions with instance normalisation and a way past them; a 1 x 1 x 1 convolution where shapes change."""

    def __init__(self, inward: int, outward: int, stride: Stride = (1, 1, 1), *, change: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inward, outward, 3, stride, padding=1)
        self.norm1 = nn.InstanceNorm3d(outward, affine=True)
        self.act1 = nn.LeakyReLU(0.01, inplace=True)
        self.conv2 = nn.Conv3d(outward, outward, 3, padding=1)
        self.norm2 = nn.InstanceNorm3d(outward, affine=True)
        self.act2 = nn.LeakyReLU(0.01, inplace=True)
        self.conv3 = nn.Conv3d(inward, outward, 1, stride) if change else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(x)))))
        past = x if self.conv3 is None else self.conv3(x)
        z: torch.Tensor = self.act2(y + past)
        return z


class _Upsample(nn.Module):
    """Nearest neighbours to the size of the skip, then a 1 x 1 x 1 convolution."""

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inward, outward, 1)

    def forward(self, x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        y: torch.Tensor = self.conv(functional.interpolate(x, size=tuple(size), mode="nearest"))
        return y


class STUNet(nn.Module):
    """[n, channels, k, j, i] -> logits of every decoder level while training, finest first; of the finest in use."""

    encoder_parts = ("conv_blocks_context.",)  # how the names of its tensors begin: what a checkpoint fills in part
    head_parts = ("seg_outputs.",)

    def __init__(
        self, channels: int, labels: int, base: int, blocks: int, strides: Sequence[Sequence[int]], heads: int
    ) -> None:
        super().__init__()
        widths = [base * factor for factor in _FACTORS]
        self.least = tuple(prod(stride[axis] for stride in strides) for axis in range(3))
        steps: list[Stride] = [(1, 1, 1), *((k, j, i) for k, j, i in strides)]
        self.conv_blocks_context = nn.ModuleList(
            _stage(before, width, blocks, step) for before, width, step in zip([channels, *widths], widths, steps)
        )
        self.upsample_layers = nn.ModuleList(_Upsample(deep, fine) for deep, fine in zip(widths[:0:-1], widths[-2::-1]))
        self.conv_blocks_localization = nn.ModuleList(_stage(2 * fine, fine, blocks) for fine in widths[-2::-1])
        self.seg_outputs = nn.ModuleList(nn.Conv3d(fine, labels, 1) for fine in widths[-2::-1])
        self.heads = heads

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Padded where a window holds no two voxels of the coarsest level: instance normalisation needs them."""
        size = x.shape[2:]
        x = padded(x, self.least)
        if prod(n // step for n, step in zip(x.shape[2:], self.least)) < 2:
            x = padded(x, (*self.least[:2], 2 * self.least[2]))
        whole = x.shape[2:]
        skips = []
        for stage in self.conv_blocks_context:
            x = stage(x)
            skips.append(x)
        skips.pop()
        answers = []
        for level, (up, stage, head) in enumerate(
            zip(self.upsample_layers, self.conv_blocks_localization, self.seg_outputs)
        ):
            skip = skips.pop()
            x = stage(torch.cat([up(x, skip.shape[2:]), skip], dim=1))
            if not skips or (self.training and len(self.seg_outputs) - level <= self.heads):
                answers.append(head(x))
        return [cut(answer, size, whole) for answer in answers[::-1]]


def _stage(inward: int, outward: int, blocks: int, stride: Stride = (1, 1, 1)) -> nn.Sequential:
    first = BasicResBlock(inward, outward, stride, change=True)
    return nn.Sequential(first, *(BasicResBlock(outward, outward) for _ in range(blocks - 1)))


def build(
    *,
    channels: int,
    labels: int,
    dims: int = 3,
    size: str = "S",
    strides: Sequence[Sequence[int]] = ((2, 2, 2),) * (_LEVELS - 1),
    shrink: int = 1,
    heads: int = _LEVELS - 1,
) -> nn.Module:
    """`strides` of the five poolings, (k, j, i); `shrink` divides the base width, for tests; `heads` while training."""
    if dims != 3:
        raise TypeError(f"it sees volumes, so dims must be 3, not {dims}")
    if size not in SIZES:
        raise TypeError(f"size must be one of {', '.join(SIZES)}, not {size!r}")
    if len(strides) != _LEVELS - 1:
        raise TypeError(f"strides need {_LEVELS - 1} rows, not {len(strides)}")
    base, blocks = SIZES[size]
    return STUNet(channels, labels, max(1, base // shrink), blocks, strides, heads)
