"""How much of what convolutions can reach a whole window reaches; prints one line of JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import torch
from _peers import NnUNetLike
from liverseg_core.fastform import fast_form, half_type, laid_out
from liverseg_core.memory import keep_freed_memory
from torch import nn

CPU = torch.device("cpu")
SHAPES = ((32, 96), (64, 64), (128, 32), (256, 24), (320, 16))  # channels and side of a cube


def main() -> None:
    keep_freed_memory()
    half = half_type(CPU)
    with torch.inference_mode():
        peak = max(_of_convolution(channels, side, half) for channels, side in SHAPES)
        reached = _of_window(half)
    print(json.dumps({"peak": peak, "reached": reached}))


def _of_convolution(channels: int, side: int, half: torch.dtype | None) -> float:
    """GFLOP/s of one 3 x 3 x 3 convolution in the fast form."""
    layer = fast_form(nn.Sequential(nn.Conv3d(channels, channels, 3, padding=1, bias=False)), CPU, half)
    x = laid_out(torch.randn(1, channels, side, side, side).to(half or torch.float32), CPU)
    return 2e-9 * 27 * channels**2 * side**3 / _best(lambda: layer(x), 6)


def _of_window(half: torch.dtype | None) -> float:
    """GFLOP/s of the large network over one window of 128 cubed, convolutions counted alone."""
    network, x = fast_form(NnUNetLike(), CPU, half), laid_out(torch.randn(1, 1, 128, 128, 128), CPU)
    counted: list[float] = []

    def look() -> None:
        with torch.autocast("cpu", half or torch.bfloat16, enabled=half is not None):
            network(x)

    hooks = [
        module.register_forward_hook(lambda m, i, o: counted.append(_flop(m, i[0], o)))
        for module in network.modules()
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d))
    ]
    network.lean = False  # convolutions in one piece, which is how they are counted
    look()
    for hook in hooks:
        hook.remove()
    network.lean = True
    return sum(counted) / 1e9 / _best(look, 3)


def _flop(layer: nn.Module, x: torch.Tensor, answer: torch.Tensor) -> float:
    voxels = x[0, 0].numel() if isinstance(layer, nn.ConvTranspose3d) else answer[0, 0].numel()
    return 2.0 * voxels * next(layer.parameters()).numel()


def _best(work: Callable[[], object], times: int) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


if __name__ == "__main__":
    main()
