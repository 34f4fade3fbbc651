"""Case -> Looked: read once, everything asked of it, a small picture made. Runs in worker processes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from liverseg_core.errors import LiverSegError
from liverseg_core.geometry import Grid
from liverseg_core.phases import CT_RANGE_HU
from liverseg_core.records import LabelMask, Scan
from liverseg_core.reporting.pictures import png_bytes, three_views

from .cases import Case
from .dataset_findings import Finding, Looked
from .dataset_rules import Fault, faults_of, thinned
from .layouts import layout_named
from .layouts._layout import UnfitError
from .layouts._volumes import unplaced

_SAME_MM = 0.1
_FINEST_MM, _COARSEST_MM = 0.2, 20.0
_LEVELS = 1 << 16
_SMALLER = 3  # of the picture of a report, for a thumbnail


def look_at(case: Case, layout: str, *, picture: bool = True) -> Looked:
    """Everything that can be said of one case alone. A case that cannot be read is one with a finding."""
    row = layout_named(layout)
    looked = Looked(case.id, layout, case.phase, case.part, case.patient, case.source, annotated=case.annotated)
    try:
        scan, mask = case.read()
    except UnfitError as problem:
        return _with(looked, [(problem.code, str(problem))])
    except (LiverSegError, OSError) as problem:
        return _with(looked, [("unreadable", str(problem))])
    looked = replace(looked, size=scan.grid.size, spacing_mm=scan.grid.spacing_mm, digest=digest_of(scan))
    found = [*_told(scan), *_placed(scan.grid, mask.grid), *_unsaid(case, mask)]
    if any(kind == "grids_differ" for kind, _ in found):
        return _with(looked, found)
    thin = thinned(scan, mask, case.annotated, row.liver_hu)
    del scan, mask  # what follows takes room of its own, and the whole volumes are not needed for it
    thumbnail = _thumbnail(thin.scan, LabelMask(thin.codes, thin.grid)) if picture else b""
    looked = replace(looked, liver_ml=thin.liver_ml, liver_mean=thin.liver_mean, thumbnail=thumbnail)
    return _with(looked, [*found, *faults_of(thin)])


def digest_of(scan: Scan) -> str:
    """The same for the same voxels however they are turned, and on CT however far beyond the liver's range they are kept:
    a hash of how often each value occurs. Copies of a scan differ in orientation, type and clipping."""
    low, high = CT_RANGE_HU if scan.phase.startswith("ct_") else (float(scan.voxels.min()), float(scan.voxels.max()))
    whole = scan.voxels.dtype.kind in "iu" or scan.phase.startswith("ct_")
    scale = 1.0 if whole and high - low < _LEVELS else (_LEVELS - 1) / max(high - low, 1e-12)
    counts = np.zeros(_LEVELS, np.int64)
    for plane in scan.voxels:
        if scale == 1.0 and plane.dtype.kind in "iu":  # the same numbers, without a copy in double precision
            values = np.clip(plane.astype(np.int64), round(low), round(high)) - round(low)
        else:
            values = np.rint((np.clip(plane, low, high).astype(np.float64) - low) * scale).astype(np.int64)
        counts += np.bincount(values.ravel(), minlength=_LEVELS)
    return hashlib.sha256(f"{sorted(scan.voxels.shape)}".encode() + counts.tobytes()).hexdigest()[:32]


def _told(scan: Scan) -> Iterator[Fault]:
    """What the reader had to see through."""
    for notice in scan.notices:
        yield notice.code, notice.text


def _placed(grid: Grid, of_mask: Grid) -> Iterator[Fault]:
    if not of_mask.matches(grid, _SAME_MM):
        yield (
            "grids_differ",
            f"The image has {grid.size_text} voxels and the labels {of_mask.size_text}, or they lie elsewhere.",
        )
    if min(grid.spacing_mm) < _FINEST_MM or max(grid.spacing_mm) > _COARSEST_MM:
        spacing = " x ".join(f"{s:.3g}" for s in grid.spacing_mm)
        yield "spacing", f"The voxels have {spacing} mm; expected {_FINEST_MM:g} to {_COARSEST_MM:g}."
    for notice in unplaced(grid):
        yield notice.code, notice.text


def _unsaid(case: Case, mask: LabelMask) -> Iterator[Fault]:
    present = {
        code for plane in mask.voxels for code in np.flatnonzero(np.bincount(plane.ravel(), minlength=2)).tolist()
    }
    strange = sorted(present - {0, *case.annotated})
    if strange:
        yield "annotated_unsaid", f"The labels hold the codes {strange}, which the case does not name as annotated."


def _with(looked: Looked, found: list[Fault]) -> Looked:
    """Each kind and sentence once: a reader may have said what the grid says, too."""
    return replace(looked, findings=tuple(Finding(looked.case, *fault) for fault in dict.fromkeys(found)))


def _thumbnail(scan: Scan, mask: LabelMask) -> bytes:
    picture = three_views(scan, mask)
    height, width = (n - n % _SMALLER for n in picture.shape[:2])
    blocks = picture[:height, :width].reshape(height // _SMALLER, _SMALLER, width // _SMALLER, _SMALLER, 3)
    return png_bytes(blocks.mean(axis=(1, 3)).astype(np.uint8))
