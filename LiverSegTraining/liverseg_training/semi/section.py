"""The table [semi] of an experiment. An instance that exists is valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from liverseg_core.phases import PHASES

from ..demands import demand, one_of


@dataclass(frozen=True)
class Semi:
    """[semi]: which training cases keep their references, and what the others add to the loss (semi.KINDS).

    `labelled` cases are drawn by `seed` from those that match `cases`; all other training cases are unlabelled. Their
    stream (sampler.unlabelled) shows `phases` by share, scans of `imitate` made by imitated.py among them.
    """

    kind: str = "none"
    labelled: int = 0  # 0: all that match `cases`
    cases: tuple[str, ...] = ("*",)  # ids, with wildcards
    seed: int = 0
    phases: Mapping[str, float] = field(default_factory=dict)  # phase -> share of the stream; nothing: all cases alike
    imitate: tuple[str, ...] = ()  # phases that are made from every training case's grey values
    seeds: tuple[int, ...] = (0, 101)  # cps: added to the experiment's seed for the weights of each network
    weight: float = 0.1  # cps: of the term, once the ramp is over
    ramp: float = 0.4  # cps: share of the steps over which the weight rises
    on: str = "unlabelled"  # cps: where the networks teach each other, unlabelled or all
    export: str = "first"  # cps: first (one network) or average (of both networks' probabilities)

    def __post_init__(self) -> None:
        one_of("semi.on", self.on, ("unlabelled", "all"))
        one_of("semi.export", self.export, ("first", "average"))
        demand(self.labelled >= 0, f"semi.labelled must not be negative, not {self.labelled}")
        demand(self.weight > 0 and 0 < self.ramp <= 1, "semi.weight must be positive, semi.ramp above 0 and at most 1")
        for phase in (*self.phases, *self.imitate):
            one_of("semi.phases and semi.imitate", phase, tuple(PHASES))
        demand(all(share > 0 for share in self.phases.values()), "semi.phases: each share must be positive")
