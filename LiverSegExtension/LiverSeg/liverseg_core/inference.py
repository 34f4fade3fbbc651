"""PreparedScan -> Logits: one window over the region where it fits, overlapping tiles where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import product

import torch
from torch import nn

from .errors import InputError, MemoryShortageError
from .model_card import Stage
from .records import Logits, PreparedScan

Progress = Callable[[int, int], None]  # windows done, windows in all
_OVERLAP = 0.25
_AXES = {"k": 2, "j": 3, "i": 4}  # of [n, channel, k, j, i]


@torch.inference_mode()
def infer(
    prepared: PreparedScan,
    stage: Stage,
    network: nn.Module,
    *,
    device: torch.device,
    half: bool = True,
    mirrored: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Logits:
    """Logits of one stage, float32 on the CPU.

    `half` computes in bfloat16 where the device is fast at it. `mirrored` averages over the axes that training
    flipped. MemoryShortageError when a window does not fit on the device.
    """
    half = half and fast_in_half(device)
    network = network.to(device)
    tiles = list(_tiles(prepared.tensor.shape[2:], stage))
    ways = _ways(stage, mirrored=mirrored)
    total, weight = None, None
    for n, tile in enumerate(tiles):
        x = prepared.tensor[(..., *tile)]
        answer = _averaged(network, x, ways, device, half=half, dims=stage.dims)
        if len(tiles) == 1:
            total = answer
        else:
            blend = _blend(answer.shape[2:])
            if total is None or weight is None:
                total = torch.zeros((1, answer.shape[1], *prepared.tensor.shape[2:]))
                weight = torch.zeros(prepared.tensor.shape[2:])
            total[(..., *tile)] += answer * blend
            weight[tile] += blend
        progress(n + 1, len(tiles))
    assert total is not None
    return Logits((total if weight is None else total / weight)[0], prepared.grid, stage.labels)


def device_named(name: str) -> torch.device:
    """The device that was asked for; `auto` is the best there is. InputError for one that is not there."""
    available = ["cpu"]
    if torch.cuda.is_available():
        available += ["cuda", *(f"cuda:{n}" for n in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available() and _mps_works():
        available.append("mps")
    if name == "auto":
        name = "cuda" if "cuda" in available else "mps" if "mps" in available else "cpu"
    if name not in available:
        raise InputError(f"device {name!r} is not here; available: {', '.join(available)} (or auto)")
    return torch.device(name)


def _mps_works() -> bool:
    """Older builds of torch have no 3-D transposed convolution on Apple's GPUs."""
    try:
        nn.ConvTranspose3d(1, 1, 2, 2, device="mps")(torch.zeros(1, 1, 2, 2, 2, device="mps"))
    except (RuntimeError, NotImplementedError):
        return False
    return True


def fast_in_half(device: torch.device) -> bool:
    """Whether bfloat16 pays: on CUDA, and on CPUs with AVX512-BF16 or AMX; emulated bfloat16 is slower than float32."""
    if device.type == "cpu":
        checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return any(check() for check in checks if check is not None)
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def _tiles(shape: Sequence[int], stage: Stage) -> Iterator[tuple[slice, slice, slice]]:
    """Blocks [k, j, i] that cover the region; 2-D stages see a batch of slices at a time."""
    window = (min(shape[0], 16), *stage.window[1:]) if stage.dims == 2 else stage.window
    spans = [list(_spans(n, w, overlap=stage.dims == 3 or axis > 0)) for axis, (n, w) in enumerate(zip(shape, window))]
    yield from product(*spans)


def _spans(length: int, window: int, *, overlap: bool) -> Iterator[slice]:
    if length <= window:
        yield slice(0, length)
        return
    step = max(1, int(window * (1 - _OVERLAP))) if overlap else window
    count = -(-(length - window) // step) + 1
    for n in range(count):  # evenly spread, the last one ends where the region ends
        first = round(n * (length - window) / (count - 1))
        yield slice(first, first + window)


def _ways(stage: Stage, *, mirrored: bool) -> list[list[int]]:
    """Sets of axes to flip: none, and every combination that training flipped when asked for."""
    ways: list[list[int]] = [[]]
    for axis in stage.mirror if mirrored else ():
        ways += [[*way, _AXES[axis]] for way in ways]
    return ways


def _averaged(
    network: nn.Module, x: torch.Tensor, ways: Sequence[Sequence[int]], device: torch.device, *, half: bool, dims: int
) -> torch.Tensor:
    try:
        with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
            answers = [_seen(network, x.flip(list(way)).to(device), dims).float().cpu().flip(list(way)) for way in ways]
    except (RuntimeError, MemoryError) as problem:
        if "memory" not in str(problem).lower() and not isinstance(problem, MemoryError):
            raise
        size = " x ".join(str(n) for n in x.shape[2:])
        raise MemoryShortageError(
            f"a window of {size} voxels does not fit into the memory of {device}; use --quality fast or another device"
        ) from None
    return torch.stack(answers).mean(dim=0) if len(answers) > 1 else answers[0]


def _seen(network: nn.Module, x: torch.Tensor, dims: int) -> torch.Tensor:
    """The finest logits; a 2-D network gets slices as a batch."""
    if dims == 3:
        return network(x)[0]
    folded = x[0].transpose(0, 1)[:, :, None]  # [k, channel, 1, j, i]
    return network(folded)[0][:, :, 0].transpose(0, 1)[None]


def _blend(shape: Sequence[int]) -> torch.Tensor:
    """Weights that fall off toward the faces of a tile, where a network sees least around it."""
    ramps = [
        torch.minimum(torch.arange(1, n + 1), torch.arange(n, 0, -1)).float().clamp(max=max(1, n // 4)) for n in shape
    ]
    return ramps[0][:, None, None] * ramps[1][None, :, None] * ramps[2][None, None, :]
