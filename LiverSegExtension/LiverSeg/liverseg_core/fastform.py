"""A network as inference wants it: the same function, in the types and the memory layout that the device is fast at.

Training keeps the plain network: there the plain form is the faster one.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext

import torch
from torch import nn

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (nn.InstanceNorm2d, nn.InstanceNorm3d)
_FIRST_WITH_BFLOAT16 = (8, 0)  # compute capability: Ampere; older GPUs emulate it


def half_type(device: torch.device) -> torch.dtype | None:
    """The 16-bit type that pays on a device, or None: emulated bfloat16 is slower than float32.

    bfloat16 on CPUs with AVX512-BF16 or AMX and on GPUs since Ampere, float16 on older NVIDIA GPUs.
    """
    if device.type == "cpu":
        checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return torch.bfloat16 if any(check() for check in checks if check is not None) else None
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= _FIRST_WITH_BFLOAT16 else torch.float16
    return None


def fast_form(network: nn.Module, device: torch.device, half: torch.dtype | None) -> nn.Module:
    """A copy on `device` with the weights of its convolutions in `half`, to be run under autocast to that type.

    On a CPU it also keeps channels last, which is what oneDNN computes in, and a network that can be `lean` with its
    memory is. `network` stays as it was.
    """
    memo: dict[int, object] = {}
    for module in network.modules():
        if half is not None and type(module) in _CONVOLUTIONS:
            for weights in module.parameters(recurse=False):
                memo[id(weights)] = nn.Parameter(weights.detach().to(device, half), requires_grad=False)
    form: nn.Module = copy.deepcopy(network, memo).to(device).eval()
    if device.type == "cpu":
        form = _normalised_by_group(form)
        for weights in form.parameters():
            if weights.ndim == 5:  # cloned: of one channel both layouts are contiguous, convolutions take the other
                weights.data = weights.data.clone(memory_format=torch.channels_last_3d)
    return form


class FastForm(nn.Module):
    """The fast form at work: a block on `device` -> the finest logits there, and behind them `beyond` channels of what
    else the network says of every voxel. A 2-D network gets slices as a batch."""

    def __init__(self, network: nn.Module, dims: int, device: torch.device, half: torch.dtype | None) -> None:
        super().__init__()
        self.form, self.dims = fast_form(network, device, half), dims
        self.device, self.short = device, half
        self.beyond = 1 if hasattr(network, "weighed") else 0  # how far the members of an ensemble are apart
        self.bytes_a_voxel: float | None = None  # what it holds for each voxel of its window, once that was measured

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, self.short) if self.short is not None else nullcontext():
            if self.dims == 3:
                return self._finest(x)
            folded = self._finest(x[0].transpose(0, 1)[:, :, None])  # of [k, channel, 1, j, i]
            return folded[:, :, 0].transpose(0, 1)[None]

    def _finest(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.form.weighed(x) if self.beyond else self.form(x)[0]  # type: ignore[operator]
        return answer


def laid_out(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A block [n, channel, k, j, i] on the device, in the layout of the fast form."""
    if device.type == "cpu":
        return x.contiguous(memory_format=torch.channels_last_3d)
    if device.type == "cuda":
        return x.contiguous().pin_memory().to(device, non_blocking=True)
    return x.to(device)


class _GroupOfOne(nn.Module):
    """Instance normalisation as a group normalisation with one channel a group: the same arithmetic, but it keeps
    channels last, where F.instance_norm answers with channels first and makes every convolution repack."""

    def __init__(self, norm: nn.InstanceNorm2d | nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.group_norm(x, x.shape[1], self.weight, self.bias, self.eps)


def _normalised_by_group(network: nn.Module) -> nn.Module:
    if hasattr(network, "lean"):
        network.lean = True  # type: ignore[assignment]
    for name, child in network.named_children():
        if isinstance(child, _NORMS) and not child.track_running_stats:
            setattr(network, name, _GroupOfOne(child))
        else:
            _normalised_by_group(child)
    return network
