"""MONAI's networks behind the interface of this package: baselines that a published system is compared with."""

from __future__ import annotations

import torch
from torch import nn

from ._padding import cut, padded
from ._slicewise import Slicewise


class Listed(nn.Module):
    """One tensor of logits as a list of one; several heads stacked along axis 1 (DynUNet) as a list, finest first."""

    def __init__(self, network: nn.Module, multiple: int) -> None:
        super().__init__()
        self.network, self.multiple = network, multiple

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Sizes that the strides do not divide are padded, and the answer is cut to what came."""
        whole = padded(x, [self.multiple] * (x.ndim - 2))
        y = self.network(whole)
        heads = list(y.unbind(1)) if y.ndim == x.ndim + 1 else [y]
        return [cut(head, x.shape[2:], whole.shape[2:]) for head in heads]


def behind(network: nn.Module, dims: int, multiple: int) -> nn.Module:
    listed = Listed(network, multiple)
    return listed if dims == 3 else Slicewise(listed)
