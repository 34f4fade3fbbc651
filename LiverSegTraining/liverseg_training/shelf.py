"""Batches that worker processes made -> the run, through memory that both share.

To send a batch gives both sides new pages for it, which costs about a third of what it takes to make one. Here it is laid
into a place that was used before, and copied out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch

_ALIGNED = 64  # bytes: where a tensor may begin


@dataclass(frozen=True)
class Laid:
    """A place of the shelf, and of each tensor there: its first byte, its type and its shape."""

    place: int
    tensors: tuple[tuple[int, torch.dtype, tuple[int, ...]], ...]


class Shelf:
    """Places of `place_bytes` each, one more than batches are on their way at once: a place is laid full again only after
    what was in it has been taken out."""

    def __init__(self, places: int, place_bytes: int) -> None:
        self.rows = torch.empty((places, place_bytes), dtype=torch.uint8)
        self.rows.share_memory_()  # type: ignore[no-untyped-call]

    def lay(self, number: int, tensors: Sequence[torch.Tensor]) -> Laid | None:
        """What is given to the other side, or None for what does not fit. Numbers come in order, each once."""
        place, begin, parts = number % len(self.rows), 0, []
        for tensor in tensors:
            parts.append((begin, tensor.dtype, tuple(tensor.shape)))
            begin += -(-tensor.nbytes // _ALIGNED) * _ALIGNED
        if begin > self.rows.shape[1]:
            return None
        laid = Laid(place, tuple(parts))
        for room, tensor in zip(self._at(laid), tensors):
            room.copy_(tensor)
        return laid

    def take(self, laid: Laid) -> list[torch.Tensor]:
        """Copies, so that the place is free."""
        return [room.clone() for room in self._at(laid)]

    def _at(self, laid: Laid) -> list[torch.Tensor]:
        row = self.rows[laid.place]
        return [
            row[begin : begin + prod(shape) * dtype.itemsize].view(dtype).reshape(shape)
            for begin, dtype, shape in laid.tensors
        ]
