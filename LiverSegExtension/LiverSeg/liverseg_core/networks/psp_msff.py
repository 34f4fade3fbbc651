"""PSP-EffB0-MSFF: an EfficientNet-B0 trunk, pyramid pooling, and a fusion of four scales, for slices of MR.

The published summary names the three parts and the cost alone; strides, widths and the fusion are ours, chosen so that
320 x 320 costs 14.7 GFLOP (the paper says 14.91 without a size). 7,475,710 parameters with 3 channels and 2 labels.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ._efficientnet import TAP_WIDTHS, EfficientNetB0
from ._slicewise import ConvNorm, Slicewise, enlarged, only_2d

DIMS = (2,)
_BINS = (1, 2, 3, 6)
_HIDDEN, _FUSED = 512, 128


class PyramidPooling(nn.Module):
    """Means over 1, 2, 3 and 6 cells a side, each through a 1 x 1 convolution and back to the plane (Zhao 2017)."""

    def __init__(self, width: int, norm: str = "batch") -> None:
        super().__init__()
        if norm not in ("batch", "group"):
            raise TypeError(f"ppm_norm must be batch or group, not {norm!r}")
        narrow = width // len(_BINS)
        self.ways = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(cells),
                nn.Conv2d(width, narrow, 1, bias=False),
                nn.BatchNorm2d(narrow) if norm == "batch" else nn.GroupNorm(8, narrow),
                nn.ReLU(inplace=True),
            )
            for cells in _BINS
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, *(enlarged(way(x), x.shape[2:]) for way in self.ways)], dim=1)


class PspMsff(nn.Module):
    """[n, channels, j, i] -> [logits] on the same plane."""

    def __init__(self, channels: int, labels: int, output_stride: int, dropout: float, ppm_norm: str) -> None:
        super().__init__()
        self.encoder = EfficientNetB0(channels, output_stride)
        deepest = TAP_WIDTHS[-1]
        self.pyramid = PyramidPooling(deepest, ppm_norm)
        self.bottleneck = ConvNorm(2 * deepest, _HIDDEN)
        self.laterals = nn.ModuleList(ConvNorm(width, _FUSED, 1) for width in (*TAP_WIDTHS[:3], _HIDDEN))
        self.fusion = nn.Sequential(ConvNorm(4 * _FUSED, _FUSED), nn.Dropout2d(dropout), ConvNorm(_FUSED, _FUSED))
        self.head = nn.Conv2d(_FUSED, labels, 1)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        fine, middle, coarse, deepest = self.encoder(x)
        scales = (fine, middle, coarse, self.bottleneck(self.pyramid(deepest)))
        size = fine.shape[2:]
        fused = self.fusion(torch.cat([enlarged(lay(y), size) for lay, y in zip(self.laterals, scales)], dim=1))
        return [functional.interpolate(self.head(fused), size=x.shape[2:], mode="bilinear", align_corners=False)]


def build(
    *,
    channels: int,
    labels: int,
    dims: int = 2,
    output_stride: int = 16,
    dropout: float = 0.1,
    ppm_norm: str = "batch",
) -> nn.Module:
    """`ppm_norm = "group"` for batches of one slice, which batch normalisation of a single cell cannot bear."""
    only_2d(dims)
    return Slicewise(PspMsff(channels, labels, output_stride, dropout, ppm_norm))
