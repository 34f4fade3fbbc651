"""A model before and after it learnt on, on cases that it must not forget. Scores are those of the corridor, native grid."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from liverseg_core.errors import ModelError
from liverseg_core.labels import LABELS, LIVER
from liverseg_core.models import Model

from .cases import Case
from .validate import validate

MOST_LOSS = 0.005  # of mean DSC on the old validation cases
_LIVER = LABELS[LIVER].key


@dataclass(frozen=True)
class Mark:
    """DSC of one structure of one case; NaN where it is undefined."""

    case: str
    phase: str
    structure: str
    dsc: float


@dataclass(frozen=True)
class Before:
    """What one model scores: on the cases that guard, and on corrected ones that were held out."""

    guards: tuple[Mark, ...]
    held_out: tuple[Mark, ...] = ()

    @classmethod
    def of(cls, model: Model, guards: Sequence[Case], held_out: Sequence[Case], device: str, kept: Path) -> Before:
        """Scored once: a run that goes on finds the marks in `kept`, as long as model and cases are the same."""
        asked = [model.card.sha256, [case.id for case in guards], [case.id for case in held_out]]
        try:
            told = json.loads(kept.read_text(encoding="utf-8"))
            if told["asked"] == asked:
                return cls(*(tuple(Mark(**mark) for mark in told[side]) for side in ("guards", "held_out")))
        except (OSError, ValueError, KeyError, TypeError):
            pass
        found = scored(model, guards, held_out, device)
        kept.write_text(json.dumps({"asked": asked, **asdict(found)}, indent=1) + "\n", encoding="utf-8")
        return found

    def sentence(self) -> str:
        old, new = means(self.guards), means(self.held_out)
        told = f"old validation cases: {_listed(old)}"
        return f"{told}; held-out corrected cases: {_listed(new)}" if new else told

    def livers(self) -> dict[str, list[float]]:
        """Phase -> DSC of the liver of each guarding case."""
        found: dict[str, list[float]] = defaultdict(list)
        for mark in self.guards:
            if mark.structure == _LIVER and not math.isnan(mark.dsc):
                found[mark.phase].append(mark.dsc)
        return dict(found)


@dataclass(frozen=True)
class Verdict:
    """Both sides of a comparison."""

    before: Before
    after: Before

    def losses(self) -> Iterator[tuple[str, float, float]]:
        """Of the liver, and of all structures together, what was lost: name, mean DSC before and after."""
        old, new = means(self.before.guards), means(self.after.guards)
        if _LIVER in old:
            yield "liver", old[_LIVER], new.get(_LIVER, 0.0)
        if len(old) > 1:
            yield "structures", sum(old.values()) / len(old), sum(new.get(key, 0.0) for key in old) / len(old)

    def demand(self) -> None:
        """ModelError where more was forgotten than MOST_LOSS."""
        for name, before, after in self.losses():
            if after < before - MOST_LOSS:
                raise ModelError(
                    f"refused: on the old validation cases the mean DSC of the {name} fell from {before:.4f} to {after:.4f}, by more "
                    f"than {MOST_LOSS:g}; nothing was replaced. Take fewer steps, a lower optim.lr, or more old cases (--mix)"
                )


def compared(
    before: Before, model: Model, guards: Sequence[Case], held_out: Sequence[Case], device: str = "auto"
) -> Verdict:
    return Verdict(before, scored(model, guards, held_out, device))


def scored(model: Model, guards: Sequence[Case], held_out: Sequence[Case], device: str = "auto") -> Before:
    sides = (validate(model, cases, device=device) for cases in (guards, held_out))
    return Before(*(tuple(Mark(s.case, s.phase, s.structure, s.dsc) for s in side) for side in sides))


def means(marks: Sequence[Mark]) -> Mapping[str, float]:
    """Structure -> mean DSC over the cases in which it is defined."""
    found: dict[str, list[float]] = defaultdict(list)
    for mark in marks:
        if not math.isnan(mark.dsc):
            found[mark.structure].append(mark.dsc)
    return {structure: sum(own) / len(own) for structure, own in found.items()}


def _listed(found: Mapping[str, float]) -> str:
    return ", ".join(f"{structure} {dsc:.4f}" for structure, dsc in found.items())
