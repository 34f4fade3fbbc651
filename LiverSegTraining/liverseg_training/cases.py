"""Folders of cases -> Case rows."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
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
    patient: str = ""  # cases of one patient share it; nothing: a patient of its own

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


def _case(folder: Path) -> Case:
    if (folder / FACTS).exists():
        facts = CaseFacts.load(folder)
        return Case(folder.name, folder / IMAGE, folder / LABELS_FILE, facts.phase, facts.annotated, facts.patient)
    try:
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        phase, annotated = _phase(meta), tuple(sorted(int(code) for code in meta.get("labels_ml", {})))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as problem:
        raise InputError(
            f"{folder / _META} cannot be used ({problem}); expected modality CT or MR, and labels_ml"
        ) from None
    return Case(folder.name, folder / IMAGE, folder / LABELS_FILE, phase, annotated, str(meta.get("patient", "")))


def _phase(meta: dict[str, str]) -> str:
    modality, said = meta["modality"], meta.get("phase", "").lower()
    for word, key in _PHASE_WORDS[modality]:
        if said.startswith(word):
            return key
    return f"{modality.lower()}_unknown"
