"""PreparedScan -> Logits: the fast form of the network over the windows that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import TypeVar

import torch
from torch import nn

from .errors import InputError, MemoryShortageError
from .fastform import FastForm, half_type, laid_out
from .geometry import IntTriple
from .memory import demand_memory, return_large_blocks, spelled
from .model_card import Stage
from .records import Logits, PreparedScan
from .windows import blend, bytes_a_voxel, free_on, tiles, windows

Progress = Callable[[int, int], None]  # windows done, windows in all
Look = Callable[[torch.Tensor], torch.Tensor]
T = TypeVar("T")
_ADVICE = "use --quality fast, a device or machine with more, or close other programs"
_ANSWER_BYTES = 12.0  # a voxel and channel: the sum in float32, one tile's share of it, and one copy on the way
_LARGE_BYTES = 1e9  # a window that needs more is worth giving freed memory back for
_SHORTAGES = ("out of memory", "not enough memory", "can't allocate memory", "could not create a memory")
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
    """Logits of one stage, float32 on the CPU; `network` itself stays as it is. One that is a FastForm already was
    made for this device and type.

    `half` computes in 16 bits where the device is fast at it. `mirrored` averages over the axes that training
    flipped. The largest window that fits is taken, and the next smaller one when the device says that it did not;
    MemoryShortageError when not even the smallest fits.
    """
    form = _formed(network, stage, device, half=half)
    ways, shape = _ways(stage, mirrored=mirrored), prepared.tensor.shape[2:]
    own = 1 + len(stage.labels)
    demand_memory(_ANSWER_BYTES * (own + form.beyond) * prod(shape), "the answer of the network", _ADVICE)
    work = partial(_over, prepared.tensor, stage.dims, form, ways, device)
    each = form.bytes_a_voxel or _tried(lambda: bytes_a_voxel(form, stage, device), device)
    window = (0, 0, 0)
    for window in windows(shape, stage):
        if each is None or each * prod(window) > free_on(device):
            continue
        if device.type == "cpu" and each * prod(window) > _LARGE_BYTES:
            return_large_blocks()
        answer = _tried(partial(work, window, progress), device)
        if answer is not None:
            return Logits(answer[:own], prepared.grid, stage.labels, answer[own] if form.beyond else None)
    raise MemoryShortageError(_too_large(window, each, device))


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


def fast_in_half(device: torch.device) -> bool:
    """Whether 16 bits pay on this device."""
    return half_type(device) is not None


def _mps_works() -> bool:
    """Older builds of torch have no 3-D transposed convolution on Apple's GPUs."""
    try:
        nn.ConvTranspose3d(1, 1, 2, 2, device="mps")(torch.zeros(1, 1, 2, 2, 2, device="mps"))
    except (RuntimeError, NotImplementedError):
        return False
    return True


def _formed(network: nn.Module, stage: Stage, device: torch.device, *, half: bool) -> FastForm:
    if isinstance(network, FastForm):
        return network
    form = _tried(lambda: FastForm(network, stage.dims, device, half_type(device) if half else None), device)
    if form is None:
        raise MemoryShortageError(f"the weights of the network do not fit into the memory of {device}; {_ADVICE}")
    return form


def _over(
    x: torch.Tensor,
    dims: int,
    look: Look,
    ways: Sequence[list[int]],
    device: torch.device,
    window: IntTriple,
    progress: Progress,
) -> torch.Tensor:
    """What the network says of the region, float32 [channel, k, j, i] on the CPU, blended where tiles overlap."""
    laid = tiles(x.shape[2:], window, dims)
    if len(laid) == 1:
        answer = _averaged(x, look, ways, device)
        progress(1, 1)
        return answer
    total, weight = torch.empty(0), torch.zeros(x.shape[2:])
    for n, tile in enumerate(laid):
        answer = _averaged(x[(..., *tile)], look, ways, device)
        total = total if n else torch.zeros((len(answer), *x.shape[2:]))
        share = blend(answer.shape[1:])
        total[(..., *tile)] += answer.mul_(share)
        weight[tile] += share
        progress(n + 1, len(laid))
    return total.div_(weight)


def _averaged(x: torch.Tensor, look: Look, ways: Sequence[list[int]], device: torch.device) -> torch.Tensor:
    """Mean of the logits over the ways to flip the block."""
    total = None
    for way in ways:
        answer = look(laid_out(x.flip(way), device)).cpu().float().flip(way)[0].contiguous()
        total = answer if total is None else total.add_(answer)
    assert total is not None
    return total.div_(len(ways))


def _ways(stage: Stage, *, mirrored: bool) -> list[list[int]]:
    """Sets of axes to flip: none, and every combination that training flipped when asked for."""
    ways: list[list[int]] = [[]]
    for axis in stage.mirror if mirrored else ():
        ways += [[*way, _AXES[axis]] for way in ways]
    return ways


def _tried(work: Callable[[], T], device: torch.device) -> T | None:
    """What `work` answers, or None when memory ran out on the way."""
    try:
        return work()
    except (RuntimeError, MemoryError) as problem:  # torch.OutOfMemoryError is a RuntimeError
        if not isinstance(problem, MemoryError) and not any(words in str(problem).lower() for words in _SHORTAGES):
            raise
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _too_large(window: IntTriple, each: float | None, device: torch.device) -> str:
    size = " x ".join(map(str, window))
    need = "" if each is None else f" (about {spelled(each * prod(window))})"
    return f"even a window of {size} voxels{need} does not fit: {device} has {spelled(free_on(device))} free; {_ADVICE}"
