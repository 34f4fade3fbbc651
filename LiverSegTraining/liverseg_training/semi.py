"""What cases without a reference add to the loss. Adding a kind is adding a row to KINDS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch

from .rates import Moment
from .sections import Semi, one_of


class SemiSupervision(Protocol):
    """How many networks learn beside each other, and what they teach each other on one batch."""

    networks: int

    def __call__(self, answers: Sequence[Sequence[torch.Tensor]], at: Moment) -> torch.Tensor | None:
        """The term of the loss; `answers` are the heads of each network for the same batch. None: nothing to add."""


class Supervised:
    """One network, and nothing beside the references."""

    networks = 1

    def __call__(self, answers: Sequence[Sequence[torch.Tensor]], at: Moment) -> torch.Tensor | None:
        del answers, at
        return None


KINDS: Mapping[str, Callable[[Semi], SemiSupervision]] = {"none": lambda _: Supervised()}


def semi_of(semi: Semi) -> SemiSupervision:
    """The row of KINDS; InputError names the kinds there are."""
    one_of("semi.kind", semi.kind, tuple(KINDS))
    return KINDS[semi.kind](semi)
