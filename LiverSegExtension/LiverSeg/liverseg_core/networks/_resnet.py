"""The trunk of ResNet-50 (He 2016; the stride sits in the 3 x 3 convolution, as in torchvision's checkpoints)."""

from __future__ import annotations

import torch
from torch import nn

_BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4
TAP_WIDTHS = (64, 256, 512, 1024, 2048)


class ResNet50(nn.Module):
    """[n, channels, j, i] -> five taps at strides 2, 4, 8, 16, 32. 23,508,032 parameters with 3 channels."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        width = 64
        for n, (blocks, outward) in enumerate(zip(_BLOCKS, TAP_WIDTHS[1:]), start=1):
            layer = []
            for place in range(blocks):
                layer.append(_Bottleneck(width, outward, stride=2 if n > 1 and place == 0 else 1))
                width = outward
            self.add_module(f"layer{n}", nn.Sequential(*layer))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.relu(self.bn1(self.conv1(x)))
        taps, x = [x], self.maxpool(x)
        for n in range(1, 5):
            x = self.get_submodule(f"layer{n}")(x)
            taps.append(x)
        return taps


class _Bottleneck(nn.Module):
    def __init__(self, inward: int, outward: int, stride: int) -> None:
        super().__init__()
        narrow = outward // _EXPANSION
        self.conv1 = nn.Conv2d(inward, narrow, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, outward, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outward)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inward != outward:
            self.downsample = nn.Sequential(nn.Conv2d(inward, outward, 1, stride, bias=False), nn.BatchNorm2d(outward))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        z: torch.Tensor = self.relu(self.bn3(self.conv3(y)) + self.downsample(x))
        return z
