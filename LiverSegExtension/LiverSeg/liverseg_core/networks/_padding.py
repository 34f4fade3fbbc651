"""Sizes that a network's strides do not divide: padded on the way in, cut on the way out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional


def padded(x: torch.Tensor, multiples: Sequence[int]) -> torch.Tensor:
    """Zeros after the end of each axis, up to the next multiple."""
    short = [-n % multiple for n, multiple in zip(x.shape[2:], multiples)]
    return functional.pad(x, [pad for n in short[::-1] for pad in (0, n)]) if any(short) else x


def cut(answer: torch.Tensor, size: Sequence[int], whole: Sequence[int]) -> torch.Tensor:
    """What belongs to the first `size` of a padded input of `whole`; a coarser answer is cut in proportion."""
    kept = [-(-n * have // padded) for n, have, padded in zip(size, answer.shape[2:], whole)]
    for axis, n in enumerate(kept, start=2):
        answer = answer.narrow(axis, 0, n)
    return answer
