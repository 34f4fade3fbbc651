"""The corridor of a corrected case: a scan and its masks from disk -> a folder that the training package reads."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .case_folder import CaseFacts
from .errors import InputError
from .output import written_whole
from .reading import read_mask, read_scan
from .records import LabelMask, Scan
from .reporting.cases import save_case


@dataclass(frozen=True)
class Correction:
    """What is kept of a corrected case. `folder` collects the cases; each gets a name that says nothing."""

    scan: Path
    labels: Path
    folder: Path
    facts: CaseFacts
    ai: Path | None = None


def keep_case(correction: Correction) -> Path:
    """The folder of the new case, whole or not at all. InputError when the masks do not fit the scan or the facts."""
    scan = read_scan(correction.scan, correction.facts.phase)
    labels = _mask(correction.labels, scan)
    ai = None if correction.ai is None else _mask(correction.ai, scan)
    unsaid = sorted(set(np.unique(labels.voxels).tolist()) - {0, *correction.facts.annotated})
    if unsaid:
        raise InputError(f"{correction.labels} holds the codes {unsaid}, which annotated does not name")
    place = correction.folder / f"case-{uuid.uuid4()}"
    with written_whole(place) as room:
        save_case(scan, labels, ai, correction.facts, room)
    return place


def _mask(path: Path, scan: Scan) -> LabelMask:
    mask = read_mask(path)
    if not mask.grid.matches(scan.grid, tolerance_mm=0.05):
        raise InputError(
            f"{path} ({mask.grid.size_text} voxels) does not lie on the grid of the scan ({scan.grid.size_text})"
        )
    return mask
