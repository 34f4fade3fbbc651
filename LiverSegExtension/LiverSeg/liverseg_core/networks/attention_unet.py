"""MONAI's AttentionUnet (Oktay 2018), a baseline."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ._monai import behind


def build(
    *, channels: int, labels: int, dims: int = 3, widths: Sequence[int] = (16, 32, 64, 128), dropout: float = 0.0
) -> nn.Module:
    from monai.networks.nets import AttentionUnet

    strides = [2] * (len(widths) - 1)
    network = AttentionUnet(dims, channels, labels, channels=list(widths), strides=strides, dropout=dropout)
    return behind(network, dims, 2 ** len(strides))
