"""Several convolutions in parallel while training, one convolution with the same answer in use."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ..errors import ModelError


class Rep(nn.Module):
    """Sum of two 3 x 3 x 3 branches, a 1 x 1 x 1 branch and the identity, each with its own batch normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv3d(width, width, kernel, padding=kernel // 2, bias=False), nn.BatchNorm3d(width))
            for kernel in (3, 3, 1)
        )
        self.identity = nn.BatchNorm3d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.identity(x)
        for branch in self.branches:
            y = y + branch(x)
        return y

    @torch.no_grad()
    def single(self) -> nn.Conv3d:
        """The one convolution: W' = W gamma / sqrt(var + eps), b' = beta - mean gamma / sqrt(var + eps), summed."""
        width = self.identity.num_features
        one = nn.Conv3d(width, width, 3, padding=1)
        kernel, bias = torch.zeros_like(one.weight), torch.zeros(width)
        kernel[range(width), range(width), 1, 1, 1] = _gain(self.identity)
        bias += _offset(self.identity)
        for branch in self.branches:
            convolution, norm = branch.children()
            assert isinstance(convolution, nn.Conv3d)
            part = convolution.weight * _gain(norm)[:, None, None, None, None]
            edge = (3 - convolution.kernel_size[0]) // 2
            kernel += nn.functional.pad(part, [edge] * 6)
            bias += _offset(norm)
        one.weight.copy_(kernel)
        if one.bias is not None:
            one.bias.copy_(bias)
        return one.to(self.identity.weight.device)


def fused(network: nn.Module) -> nn.Module:
    """A copy in which every parallel sum is one convolution. Fusing twice changes nothing; ModelError in training mode,
    in which batch normalisation is no fixed map."""
    if network.training:
        raise ModelError("a network is fused in evaluation mode only: call eval() first")
    return _replaced(copy.deepcopy(network))


def _replaced(module: nn.Module) -> nn.Module:
    if isinstance(module, Rep):
        return module.single().eval()
    for name, child in module.named_children():
        setattr(module, name, _replaced(child))
    return module


def _gain(norm: nn.Module) -> torch.Tensor:
    assert isinstance(norm, nn.BatchNorm3d)
    assert norm.running_var is not None
    return norm.weight / torch.sqrt(norm.running_var + norm.eps)


def _offset(norm: nn.Module) -> torch.Tensor:
    assert isinstance(norm, nn.BatchNorm3d)
    assert norm.running_mean is not None
    return norm.bias - norm.running_mean * _gain(norm)
