"""Folders of cases -> Case rows, and the split that says who trains and who validates."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from liverseg_core.case_folder import FACTS, IMAGE, LABELS_FILE, CaseFacts
from liverseg_core.errors import InputError

_META = "meta.json"
_PHASE_WORDS = {  # what the development data call a phase -> our key
    "CT": (("portal", "ct_portal"), ("arterial", "ct_arterial"), ("native", "ct_native"), ("delayed", "ct_delayed")),
    "MR": (("t2-spir", "mr_t2fs"), ("t1-dual in", "mr_t1_in"), ("t1-dual out", "mr_t1_opposed")),
}


@dataclass(frozen=True)
class Case:
    """One scan with its reference. A code that is not in `annotated` is unknown there, not background."""

    id: str
    image: Path
    labels: Path
    phase: str
    annotated: tuple[int, ...]

    @property
    def modality(self) -> str:
        return "CT" if self.phase.startswith("ct_") else "MR"


def data_folder(configured: str) -> Path:
    folder = configured or os.environ.get("LIVERSEG_DATA", "")
    if not folder:
        raise InputError("no data folder: set [data] folder in the experiment or the variable LIVERSEG_DATA")
    if not Path(folder).is_dir():
        raise InputError(f"the data folder {folder} does not exist")
    return Path(folder)


def list_cases(folder: Path, include: Sequence[str] = ("*",)) -> tuple[Case, ...]:
    """Every case below `folder`: image.nii.gz, labels.nii.gz and meta.json (layout `cases`) or case.json (corrected)."""
    root = folder / "cases" if (folder / "cases").is_dir() else folder
    found = sorted({p.parent for name in (_META, FACTS) for p in root.glob(f"*/{name}")})
    cases = tuple(_case(p) for p in found if any(fnmatch(p.name, pattern) for pattern in include))
    if not cases:
        raise InputError(
            f"{root} holds no case that matches {', '.join(include)}; expected CASE/image.nii.gz, labels.nii.gz and meta.json or case.json"
        )
    return cases


def split_cases(cases: Iterable[Case], split_file: Path) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """(training, validation): the file names validation cases and those that never train."""
    held, never = _read_split(split_file)
    every = tuple(cases)
    training = tuple(case for case in every if case.id not in held | never)
    return training, tuple(case for case in every if case.id in held)


def chosen_cases(cases: Sequence[Case], split_file: Path) -> tuple[Case, ...]:
    """The validation cases of a split file, or those of a plain JSON list of ids; all of them must be there."""
    held, _ = _read_split(split_file)
    missing = held - {case.id for case in cases}
    if missing:
        raise InputError(f"{split_file} names cases that are not in the data folder: {', '.join(sorted(missing))}")
    return tuple(case for case in cases if case.id in held)


def _read_split(split_file: Path) -> tuple[set[str], set[str]]:
    """Ids that validate, and ids that must never train."""
    try:
        split = json.loads(split_file.read_text(encoding="utf-8"))
        if isinstance(split, list):
            return set(split), set()
        return set(split["validation"]), set(split.get("lesion_test_never_in_shipped_training", ()))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(
            f"{split_file} is not a split ({problem}); expected JSON with a list `validation` of case ids"
        ) from None


def _case(folder: Path) -> Case:
    if (folder / FACTS).exists():
        facts = CaseFacts.load(folder)
        return Case(folder.name, folder / IMAGE, folder / LABELS_FILE, facts.phase, facts.annotated)
    try:
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        phase = _phase(meta)
    except (ValueError, KeyError) as problem:
        raise InputError(
            f"{folder / _META} cannot be used ({problem}); expected modality CT or MR, and labels_ml"
        ) from None
    annotated = tuple(sorted(int(code) for code in meta.get("labels_ml", {})))
    return Case(folder.name, folder / IMAGE, folder / LABELS_FILE, phase, annotated)


def _phase(meta: dict[str, str]) -> str:
    modality, said = meta["modality"], meta.get("phase", "").lower()
    for word, key in _PHASE_WORDS[modality]:
        if said.startswith(word):
            return key
    return f"{modality.lower()}_unknown"
