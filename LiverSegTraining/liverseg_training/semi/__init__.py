"""What cases without a reference add to the loss. Adding a kind is adding a row to KINDS.

`section.py` is the table [semi], `streams.py` says which cases keep their references, `imitated.py` makes phases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch

from ..demands import one_of
from ..rates import Moment
from .cps import CrossPseudoSupervision
from .section import Semi


class SemiSupervision(Protocol):
    """How many networks learn beside each other, and what they teach each other on one batch."""

    seeds: tuple[int, ...]  # one for each network, added to the experiment's seed for its first weights
    unlabelled: bool  # whether it needs samples without a reference

    def __call__(
        self, answers: Sequence[Sequence[torch.Tensor]], known: torch.Tensor, at: Moment
    ) -> torch.Tensor | None:
        """The term of the loss; `answers` are the heads of each network for the same batch, `known` is bool [n, labels]:
        a sample of which nothing is known has no reference. None: nothing to add."""


class Supervised:
    """One network, and nothing beside the references."""

    seeds: tuple[int, ...] = (0,)
    unlabelled = False

    def __call__(
        self, answers: Sequence[Sequence[torch.Tensor]], known: torch.Tensor, at: Moment
    ) -> torch.Tensor | None:
        del answers, known, at
        return None


KINDS: Mapping[str, Callable[[Semi], SemiSupervision]] = {
    "none": lambda _: Supervised(),
    "cps": CrossPseudoSupervision,
}


def semi_of(semi: Semi) -> SemiSupervision:
    """The row of KINDS; InputError names the kinds there are."""
    one_of("semi.kind", semi.kind, tuple(KINDS))
    return KINDS[semi.kind](semi)
