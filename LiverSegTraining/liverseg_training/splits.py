"""Cases -> who trains and who validates: by patient, and refused where one side knows the other."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from liverseg_core.errors import InputError

from .cases import Case
from .sections import Split

NEVER = "lesion_test_never_in_shipped_training"  # of a split file: cases that are on neither side


@dataclass(frozen=True)
class Parts:
    """The two sides of a split."""

    training: tuple[Case, ...]
    validation: tuple[Case, ...]


def split_cases(cases: Iterable[Case], split: Split, folder: Path) -> Parts:
    """Both sides; `folder` is where a fixed split keeps its file. InputError where a patient is on both."""
    every = tuple(c for c in cases if not any(fnmatch(c.id, pattern) for pattern in split.exclude))
    if split.kind == "fixed":
        held, never = read_split(folder / split.file)
        parts = Parts(
            tuple(c for c in every if c.id not in held | never),
            tuple(c for c in every if c.id in held),
        )
    elif split.kind == "layout":
        parts = Parts(*(tuple(c for c in every if c.part == part) for part in ("training", "validation")))
        if not parts.training or not parts.validation:
            raise InputError("the data set has no split of its own; choose split.kind fixed, ratio or kfold")
    else:
        place = _folds(every, split) if split.kind == "kfold" else _shares(every, split)
        sides = [tuple(c for c in every if place[_patient(c)] == side) for side in (0, 1)]
        parts = Parts(*sides)
    for case in parts.validation:
        twin = next((c for c in parts.training if _patient(c) == _patient(case)), None)
        if twin is not None:
            raise InputError(
                f"the split leaks: {twin.id} trains and {case.id} validates, both of patient {_patient(case)}; put them on one side"
            )
    return parts


def refuse_twins(training: Mapping[str, str], validation: Mapping[str, str]) -> None:
    """InputError where the same voxels are on both sides; the mappings are case id -> digest of the image's voxels."""
    known = {digest: name for name, digest in training.items()}
    for name, digest in validation.items():
        if digest in known:
            raise InputError(
                f"the split leaks: {known[digest]} trains and {name} validates, and their voxels are the same; leave one out with split.exclude"
            )


def chosen_cases(cases: Sequence[Case], split_file: Path) -> tuple[Case, ...]:
    """The validation cases of a split file, or those of a plain JSON list of ids; all of them must be there."""
    held, _ = read_split(split_file)
    missing = held - {case.id for case in cases}
    if missing:
        raise InputError(f"{split_file} names cases that are not in the data folder: {', '.join(sorted(missing))}")
    return tuple(case for case in cases if case.id in held)


def read_split(split_file: Path) -> tuple[set[str], set[str]]:
    """Ids that validate, and ids that must never train."""
    try:
        split = json.loads(split_file.read_text(encoding="utf-8"))
        if isinstance(split, list):
            return set(split), set()
        return set(split["validation"]), set(split.get(NEVER, ()))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(
            f"{split_file} is not a split ({problem}); expected JSON with a list `validation` of case ids"
        ) from None


def _patient(case: Case) -> str:
    return case.patient or case.id


def _dealt(cases: Sequence[Case], seed: int) -> list[list[str]]:
    """The patients of each phase, shuffled: sorted first, so that the order of the files means nothing."""
    strata: dict[str, set[str]] = defaultdict(set)
    seen: dict[str, str] = {}
    for case in sorted(cases, key=lambda c: c.id):
        strata[seen.setdefault(_patient(case), case.phase)].add(_patient(case))
    rng = np.random.default_rng(seed)
    return [[str(name) for name in rng.permutation(sorted(strata[phase]))] for phase in sorted(strata)]


def _folds(cases: Sequence[Case], split: Split) -> dict[str, int]:
    """Patient -> 1 where it validates in the fold of `split`, and 0 where it trains."""
    order = [patient for stratum in _dealt(cases, split.seed) for patient in stratum]
    if len(order) < split.folds:
        raise InputError(f"{len(order)} patients cannot be dealt into {split.folds} folds; lower split.folds")
    return {patient: int(n % split.folds == split.fold) for n, patient in enumerate(order)}


def _shares(cases: Sequence[Case], split: Split) -> dict[str, int]:
    """Patient -> 0 training, 1 validation, 2 neither; in every phase by the same shares."""
    ends = np.cumsum(split.ratios) / sum(split.ratios)
    place: dict[str, int] = {}
    for stratum in _dealt(cases, split.seed):
        for n, patient in enumerate(stratum):
            place[patient] = min(int(np.searchsorted(ends, (n + 0.5) / len(stratum))), len(ends) - 1)
    return place
