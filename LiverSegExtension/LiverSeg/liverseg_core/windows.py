"""Which blocks a network sees: one window over the region where memory allows it, overlapping tiles where it does not.

The choice is made before anything large is allocated, from what one small window was seen to take.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from . import memory
from .fastform import laid_out
from .geometry import IntTriple
from .model_card import Stage

Tile = tuple[slice, slice, slice]
OVERLAP = 0.25
_SLICES = 16  # what a 2-D stage sees at a time
_SPARE = 1.5  # over the tensors alone: packed copies in the convolutions, holes between blocks (measured: up to 1.4)


def windows(shape: Sequence[int], stage: Stage) -> list[IntTriple]:
    """Sizes [k, j, i] to try, largest first, each a multiple of the network's stride.

    A stage that crops to what was found may see the whole region at once, as in training; the others stay within
    the card's window. Then the longest side is halved again and again, down to two strides.
    """
    if stage.snap is None:
        return [stage.window]
    first = (min(shape[0], _SLICES), *stage.window[1:]) if stage.dims == 2 else stage.window
    known: list[IntTriple] = [_within(shape, shape)] if stage.crop == "previous" and stage.dims == 3 else []
    window = _within(first, shape)
    while True:
        if window not in known:
            known.append(window)
        least = [min(size, 1 if step == 1 else 2 * step) for size, step in zip(shape, stage.snap)]
        sides = [axis for axis in range(3) if window[axis] > least[axis]]
        if not sides:
            return known
        longest = max(sides, key=lambda axis: window[axis])
        half = -(-window[longest] // 2 // stage.snap[longest]) * stage.snap[longest]
        window = _within([max(half, least[a]) if a == longest else n for a, n in enumerate(window)], shape)


def tiles(shape: Sequence[int], window: Sequence[int], dims: int) -> list[Tile]:
    """Blocks [k, j, i] that cover the region, overlapping by a quarter; slices of a 2-D stage do not overlap."""
    k, j, i = (
        list(_spans(size, side, overlap=dims == 3 or axis > 0)) for axis, (size, side) in enumerate(zip(shape, window))
    )
    return list(product(k, j, i))


def blend(shape: Sequence[int]) -> torch.Tensor:
    """Weights [k, j, i] that fall off toward the faces of a tile, where a network sees least around it."""
    ramps = [
        torch.minimum(torch.arange(1, n + 1), torch.arange(n, 0, -1)).float().clamp(max=max(1, n // 4)) for n in shape
    ]
    return ramps[0][:, None, None] * ramps[1][None, :, None] * ramps[2][None, None, :]


def bytes_a_voxel(look: Callable[[torch.Tensor], object], stage: Stage, device: torch.device) -> float:
    """What `look` holds at most for each voxel of its window, weights aside: measured on the smallest window.

    Every activation of a convolutional network grows with the window, so the small one speaks for the large.
    """
    side = [max(1, min(n, 2 * s)) for n, s in zip(stage.window, stage.snap or stage.window)]
    if stage.dims == 2:
        side[0] = 1
    x = laid_out(torch.zeros(1, len(stage.channels), *side), device)
    with _Ledger() as ledger:
        look(x)
    return _SPARE * ledger.most / prod(side) + x.element_size() * x.shape[1]


def free_on(device: torch.device) -> int:
    """Bytes that a device still has; what is not told counts as plenty."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    if device.type == "mps":
        told = getattr(torch.mps, "recommended_max_memory", None)
        return int(told()) - torch.mps.driver_allocated_memory() if told is not None else sys.maxsize
    return memory.free_bytes()


class _Ledger(TorchFunctionMode):
    """While it is open, sums the tensors that live after each call of torch; `most` is the largest sum, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._living: dict[int, tuple[weakref.ref[torch.Tensor], int, int]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        answer = func(*args, **(kwargs or {}))
        for tensor in answer if isinstance(answer, (tuple, list)) else (answer,):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self._living[id(tensor)] = (weakref.ref(tensor), storage.data_ptr(), storage.nbytes())
        self._living = {key: row for key, row in self._living.items() if row[0]() is not None}
        blocks = {address: size for _, address, size in self._living.values()}  # views share one
        self.most = max(self.most, sum(blocks.values()))
        return answer


def _within(window: Sequence[int], shape: Sequence[int]) -> IntTriple:
    k, j, i = (min(side, size) for side, size in zip(window, shape))
    return (k, j, i)


def _spans(length: int, window: int, *, overlap: bool) -> Iterator[slice]:
    if length <= window:
        yield slice(0, length)
        return
    step = max(1, int(window * (1 - OVERLAP))) if overlap else window
    count = -(-(length - window) // step) + 1
    for n in range(count):  # evenly spread, the last one ends where the region ends
        first = round(n * (length - window) / (count - 1))
        yield slice(first, first + window)
