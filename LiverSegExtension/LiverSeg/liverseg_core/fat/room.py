"""How much memory an analysis takes, so that it is refused before it begins. No torch where the CPU computes."""

from __future__ import annotations

import numpy as np

from ..errors import MemoryShortageError
from ..memory import demand_memory, spelled
from .regions import body_of

# bytes a voxel of the body, and of them each echo's; measured on 288 000 voxels (three, six and twelve echoes: 202, 257
# and 365 with magnitudes, 532 and 843 with the phases of six and twelve), a fifth added
_BODY, _BODY_ECHO = 180.0, 22.0
_PHASES, _PHASES_ECHO = 90.0, 41.0
_GRID = 60.0  # bytes a voxel of the scan: maps, and numbers of blocks
_ADVICE = "give a smaller part of the scan, or use a machine with more"


def bytes_needed(body: int, voxels: int, echoes: int, *, phases: bool) -> tuple[float, float]:
    """On the device, and beside it for the maps; `body` of `voxels` hold more than air."""
    each = _BODY + _BODY_ECHO * echoes + (_PHASES + _PHASES_ECHO * echoes if phases else 0.0)
    return body * each, voxels * _GRID


def demand_room(magnitude: np.ndarray, *, phases: bool, device: str) -> None:
    """MemoryShortageError where the fit of echoes [n, k, j, i] would not fit into memory."""
    count, *size = magnitude.shape
    on_device, beside = bytes_needed(int(np.count_nonzero(body_of(magnitude))), magnitude[0].size, count, phases=phases)
    what = f"the fit of {count} echoes of {' x '.join(map(str, size[::-1]))} voxels"
    if device == "cpu":
        demand_memory(on_device + beside, what, f"leave out the phases, {_ADVICE}" if phases else _ADVICE)
        return
    import torch

    from ..windows import free_on

    demand_memory(beside, what, _ADVICE)
    free = free_on(torch.device(device))
    if on_device > free:
        raise MemoryShortageError(
            f"{what} needs about {spelled(on_device)} on {device}, {spelled(free)} are free; use --device cpu"
        )
