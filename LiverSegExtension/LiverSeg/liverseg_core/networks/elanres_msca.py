"""ELANRes-MSCA-UNet (Song 2025) for CT: aggregated residual blocks that fuse into single convolutions, and multi-scale
strip attention within each slice.

The paper's tables of widths and parameters are lost; branch lists and widths are the reading of ours that its text
allows. 4,960,936 parameters with one channel and two labels, 3,429,000 fused. `block = "double"` and `attention = false`
give its ablations: plain U-Net, MSCA-UNet, ELANRes-UNet.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from ._padding import cut, padded
from ._reparameterised import Rep
from ._reparameterised import fused as fused_form

DIMS = (3,)
_STRIPS = (7, 11, 21)
_HEADS = 4
_MLP = 4
_SCALE = 1e-2


class ElanRes(nn.Module):
    """Two 1 x 1 x 1 ways in, two re-parameterised steps along one of them, all four joined, and a way past."""

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        half = max(outward // 2, 8)
        self.first, self.second = _pointwise(inward, half), _pointwise(inward, half)
        self.step1, self.step2 = Rep(half), Rep(half)
        self.joined = _pointwise(4 * half, outward)
        self.past: nn.Module = nn.Identity() if inward == outward else _pointwise(inward, outward)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = functional.relu(self.first(x)), functional.relu(self.second(x))
        c = functional.relu(self.step1(b))
        d = functional.relu(self.step2(c))
        return functional.relu(self.joined(torch.cat([a, b, c, d], dim=1)) + self.past(x))


class Double(nn.Sequential):
    """The plain block of the ablation: twice a 3 x 3 x 3 convolution, batch normalisation, ReLU."""

    def __init__(self, inward: int, outward: int) -> None:
        layers: list[nn.Module] = []
        for width in (inward, outward):
            layers += [
                nn.Conv3d(width, outward, 3, padding=1, bias=False),
                nn.BatchNorm3d(outward),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class Msca(nn.Module):
    """Each slice weighed by what lies around each pixel, up to 25 x 25 of them (SegNeXt, Guo 2022), then an MLP; slices
    do not see each other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.enter, self.leave = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.near = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.across = nn.ModuleList(nn.Conv2d(width, width, (1, k), padding=(0, k // 2), groups=width) for k in _STRIPS)
        self.down = nn.ModuleList(nn.Conv2d(width, width, (k, 1), padding=(k // 2, 0), groups=width) for k in _STRIPS)
        self.mix = nn.Conv2d(width, width, 1)
        self.mlp = nn.Sequential(
            nn.Conv2d(width, _MLP * width, 1),
            nn.Conv2d(_MLP * width, _MLP * width, 3, padding=1, groups=_MLP * width),
            nn.GELU(),
            nn.Conv2d(_MLP * width, width, 1),
        )
        self.scale1, self.scale2 = (nn.Parameter(torch.full((width, 1, 1), _SCALE)) for _ in range(2))

    def gate(self, u: torch.Tensor) -> torch.Tensor:
        """What each pixel is multiplied by."""
        near = self.near(u)
        strips = [down(across(near)) for across, down in zip(self.across, self.down)]
        weights: torch.Tensor = self.mix(near + sum(strips))
        return weights

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, width, slices, *plane = x.shape
        y = x.transpose(1, 2).reshape(n * slices, width, *plane)
        u = functional.gelu(self.enter(self.norm1(y)))
        y = y + self.scale1 * self.leave(u * self.gate(u))
        y = y + self.scale2 * self.mlp(self.norm2(y))
        return y.reshape(n, slices, width, *plane).transpose(1, 2)


BLOCKS = {"elanres": ElanRes, "double": Double}


class ElanResMscaUnet(nn.Module):
    """[n, channels, k, j, i] -> logits on the same grid: of four decoder levels while training, of the finest in use."""

    def __init__(self, channels: int, labels: int, widths: Sequence[int], block: str, *, attention: bool) -> None:
        super().__init__()
        make = BLOCKS[block]
        self.encoder = nn.ModuleList(make(inward, width) for inward, width in zip((channels, *widths), widths))
        self.shrink = nn.ModuleList(nn.Conv3d(width, width, 2, stride=2) for width in widths[:-1])
        self.attention = nn.ModuleList(Msca(width) if attention else nn.Identity() for width in widths[1:])
        pairs = list(zip(widths[:0:-1], widths[-2::-1]))
        self.lift = nn.ModuleList(nn.ConvTranspose3d(deep, fine, 2, stride=2) for deep, fine in pairs)
        self.decoder = nn.ModuleList(make(2 * fine, fine) for _, fine in pairs)
        self.heads = nn.ModuleList(nn.Conv3d(fine, labels, 1) for _, fine in pairs[-_HEADS:])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        size = x.shape[2:]
        x = padded(x, [2 ** len(self.shrink)] * 3)
        whole, skips = x.shape[2:], []
        x = self.encoder[0](x)
        for shrink, block, attend in zip(self.shrink, self.encoder[1:], self.attention):
            skips.append(x)
            x = attend(block(shrink(x)))
        answers: list[torch.Tensor] = []
        first = len(self.lift) - len(self.heads)
        for level, (lift, block) in enumerate(zip(self.lift, self.decoder)):
            x = block(torch.cat([lift(x), skips.pop()], dim=1))
            if level >= first and (self.training or not skips):
                answers.append(self.heads[level - first](x))
        return [cut(_enlarged(answer, whole), size, whole) for answer in answers[::-1]]

    def fuse(self) -> nn.Module:
        """For export: the same answers from single convolutions."""
        return fused_form(self)


def _pointwise(inward: int, outward: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(inward, outward, 1, bias=False), nn.BatchNorm3d(outward))


def _enlarged(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    if x.shape[2:] == tuple(size):
        return x
    return functional.interpolate(x, size=tuple(size), mode="trilinear", align_corners=False)


def build(
    *,
    channels: int,
    labels: int,
    dims: int = 3,
    widths: Sequence[int] = (16, 32, 64, 128, 256),
    block: str = "elanres",
    attention: bool = True,
    fused: bool = False,
) -> nn.Module:
    """`fused` builds the exported form, whose weights come from `fuse()`."""
    if dims != 3:
        raise TypeError(f"it sees volumes, so dims must be 3, not {dims}")
    if block not in BLOCKS:
        raise TypeError(f"block must be one of {', '.join(BLOCKS)}, not {block!r}")
    network = ElanResMscaUnet(channels, labels, widths, block, attention=attention)
    return network.eval().fuse() if fused else network
