"""Folders of cases -> Case rows."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Protocol

from liverseg_core.case_folder import FACTS, IMAGE, LABELS_FILE, CaseFacts
from liverseg_core.errors import InputError
from liverseg_core.phases import PHASES
from liverseg_core.reading import read_mask, read_scan
from liverseg_core.records import LabelMask, Scan

ECHOES = "echoes.nii.gz"  # 4-D, the first volume is the image; echoes.json beside it says their times
META = "meta.json"
_PHASE_WORDS = {  # what the development data call a phase -> our key
    "CT": (("portal", "ct_portal"), ("arterial", "ct_arterial"), ("native", "ct_native"), ("delayed", "ct_delayed")),
    "MR": (
        ("t2-spir", "mr_t2fs"), ("t1-dual in", "mr_t1_in"), ("t1-dual out", "mr_t1_opposed"),
        ("multi-echo", "mr_multiecho"),
    ),
}  # fmt: skip


class Reader(Protocol):
    """Makes a scan and a mask of our codes from files that are not so on disk (layouts/). What it had to see through is
    said in the scan's notices."""

    def read(self, phase: str) -> tuple[Scan, LabelMask]: ...

    def files(self) -> Sequence[Path]:
        """All that `read` depends on."""

    @property
    def recipe(self) -> str:
        """What `read` does beyond the files' content: two readers with one recipe make the same of the same files."""


@dataclass(frozen=True)
class Case:
    """One scan with its reference. A code that is not in `annotated` is unknown there, not background."""

    id: str
    image: Path
    labels: Path
    phase: str
    annotated: tuple[int, ...]
    patient: str = ""  # cases of one patient share it; nothing: a patient of its own
    reader: Reader | None = None  # None: `image` and `labels` are read as they are
    part: str = ""  # of the data set's own split: training | validation | test
    source: str = ""  # the scan in the data set that published it first ("lits/28"), where others repeat it
    echoes: Path | None = None  # all echoes of one acquisition, where `image` is the first

    @property
    def modality(self) -> str:
        return "CT" if self.phase.startswith("ct_") else "MR"

    def read(self) -> tuple[Scan, LabelMask]:
        """The scan and its reference. InputError for whatever cannot be used."""
        if self.reader is not None:
            return self.reader.read(self.phase)
        return read_scan(self.image, self.phase), read_mask(self.labels)

    def files(self) -> Sequence[Path]:
        return (self.image, self.labels) if self.reader is None else self.reader.files()


def data_folder(configured: str) -> Path:
    folder = configured or os.environ.get("LIVERSEG_DATA", "")
    if not folder:
        raise InputError("no data folder: set [data] folder in the experiment or the variable LIVERSEG_DATA")
    if not Path(folder).is_dir():
        raise InputError(f"the data folder {folder} does not exist")
    return Path(folder)


def list_cases(folder: Path, include: Sequence[str] = ("*",), also: Sequence[str] = ()) -> tuple[Case, ...]:
    """Every case below `folder`, and below the further data folders `also`: image.nii.gz, labels.nii.gz and meta.json
    (layout `cases`) or case.json (corrected); echoes.nii.gz where there are more echoes than one."""
    roots = [f / "cases" if (f / "cases").is_dir() else f for f in (folder, *(data_folder(name) for name in also))]
    found = [p for root in roots for p in sorted({p.parent for name in (META, FACTS) for p in root.glob(f"*/{name}")})]
    cases = tuple(case_in(p) for p in found if any(fnmatch(p.name, pattern) for pattern in include))
    if not cases:
        raise InputError(
            f"{', '.join(map(str, roots))} holds no case that matches {', '.join(include)}; expected CASE/image.nii.gz, labels.nii.gz and meta.json or case.json"
        )
    twice = sorted(name for name, count in Counter(case.id for case in cases).items() if count > 1)
    if twice:
        raise InputError(f"two data folders hold a case {twice[0]}; expected each name once")
    return cases


def case_in(folder: Path) -> Case:
    """One folder of layout `cases`, or of a corrected case."""
    image, labels, echoes = (folder / name for name in (IMAGE, LABELS_FILE, ECHOES))
    several = echoes if echoes.exists() else None
    if (folder / FACTS).exists():
        facts = CaseFacts.load(folder)
        return Case(folder.name, image, labels, facts.phase, facts.annotated, facts.patient, echoes=several)
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        phase, annotated = _phase(meta), tuple(sorted(int(code) for code in meta.get("labels_ml", {})))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as problem:
        raise InputError(
            f"{folder / META} cannot be used ({problem}); expected modality CT or MR, and labels_ml"
        ) from None
    patient, part, source = (str(meta.get(key, "")) for key in ("patient", "part", "source"))
    return Case(folder.name, image, labels, phase, annotated, patient, part=part, source=source, echoes=several)


def _phase(meta: Mapping[str, Any]) -> str:
    modality, said = meta["modality"], meta.get("phase", "").lower()
    if said in PHASES:
        return said
    for word, key in _PHASE_WORDS[modality]:
        if said.startswith(word):
            return key
    return f"{modality.lower()}_unknown"
