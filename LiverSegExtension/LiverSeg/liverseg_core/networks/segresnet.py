"""MONAI's SegResNet (Myronenko 2018, without the auto-encoder), a baseline."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ._monai import behind


def build(
    *,
    channels: int,
    labels: int,
    dims: int = 3,
    width: int = 16,
    down: Sequence[int] = (1, 2, 2, 4),
    up: Sequence[int] = (1, 1, 1),
) -> nn.Module:
    from monai.networks.nets import SegResNet

    network = SegResNet(
        spatial_dims=dims, init_filters=width, in_channels=channels, out_channels=labels,
        blocks_down=tuple(down), blocks_up=tuple(up),
    )  # fmt: skip
    return behind(network, dims, 2 ** (len(down) - 1))
