"""MONAI's DynUNet, the network of nnU-Net (Isensee 2021), a baseline."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ._monai import behind


def build(
    *, channels: int, labels: int, dims: int = 3, widths: Sequence[int] = (16, 32, 64, 128, 256), heads: int = 2
) -> nn.Module:
    """`heads` counts the full-resolution one; the coarser ones come enlarged to it while training."""
    from monai.networks.nets import DynUNet

    levels = len(widths)
    strides = [1] + [2] * (levels - 1)
    network = DynUNet(
        dims, channels, labels, [3] * levels, strides, strides[1:], filters=list(widths),
        deep_supervision=heads > 1, deep_supr_num=max(1, heads - 1),
    )  # fmt: skip
    return behind(network, dims, 2 ** (levels - 1))
