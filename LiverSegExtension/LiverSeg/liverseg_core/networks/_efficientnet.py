"""The trunk of EfficientNet-B0 (Tan and Le 2019), with an output stride of 16 or 32.

Modules are nested and named as torchvision's `features`, so that its checkpoint fits without the 1280-channel head.
"""

from __future__ import annotations

import torch
from torch import nn

_STEM = 32
_STAGES = (  # expansion, kernel, stride, width, repeats
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
TAPS = (2, 3, 5, 7)  # places in `features` where a scale ends: strides 4, 8, 16 and the output
TAP_WIDTHS = (24, 40, 112, 320)


class EfficientNetB0(nn.Module):
    """[n, channels, j, i] -> the four taps, fine to coarse. 3,595,388 parameters with 3 channels."""

    def __init__(self, channels: int = 3, output_stride: int = 16) -> None:
        super().__init__()
        if output_stride not in (16, 32):
            raise TypeError(f"output_stride must be 16 or 32, not {output_stride}")
        layers: list[nn.Module] = [_convolution(channels, _STEM, 3, stride=2)]
        width, stride, dilation = _STEM, 2, 1
        for expansion, kernel, wanted, outward, repeats in _STAGES:
            step = wanted if stride * wanted <= output_stride else 1
            stride, dilation = stride * step, dilation * wanted // step
            blocks = []
            for n in range(repeats):
                blocks.append(_Inverted(width, outward, expansion, kernel, step if n == 0 else 1, dilation))
                width = outward
            layers.append(nn.Sequential(*blocks))
        self.features = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        taps = []
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in TAPS:
                taps.append(x)
        return taps


class _Inverted(nn.Module):
    """Expand, look around channel by channel, weigh the channels, project; with a way past where shapes agree."""

    def __init__(self, inward: int, outward: int, expansion: int, kernel: int, stride: int, dilation: int) -> None:
        super().__init__()
        wide = inward * expansion
        widen = [_convolution(inward, wide, 1)] if expansion > 1 else []
        self.block = nn.Sequential(
            *widen,
            _convolution(wide, wide, kernel, stride=stride, dilation=dilation, groups=wide),
            _Squeeze(wide, max(1, inward // 4)),
            _convolution(wide, outward, 1)[:2],
        )
        self.passes = stride == 1 and inward == outward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.block(x)
        return x + y if self.passes else y


class _Squeeze(nn.Module):
    """Squeeze and excitation (Hu 2018): each channel weighed by what the whole plane holds."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, narrow, 1)
        self.fc2 = nn.Conv2d(narrow, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        whole = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(nn.functional.silu(self.fc1(whole))))


def _convolution(
    inward: int, outward: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inward, outward, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(outward),
        nn.SiLU(inplace=True),
    )
