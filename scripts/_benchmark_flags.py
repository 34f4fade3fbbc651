"""Rows of `benchmark.py flags`: whether warnings come with results that are bad, and stay away from good ones.

Every scan is segmented as it is and in degraded copies. A copy should warn when its liver is bad (DSC below BAD
against the reference) or when the copy ends inside the liver; it should not when its DSC is GOOD. Between the two
nothing is asked. The column of the peer is what the mask alone would have warned of, without `low_confidence`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from benchmark import Options, Row

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "LiverSegExtension" / "LiverSeg"), str(ROOT / "LiverSegTraining")]

from liverseg_core import stages  # noqa: E402
from liverseg_core.geometry import Grid, resampled, shrunk  # noqa: E402
from liverseg_core.library import BUNDLE, DEFAULT_MODEL  # noqa: E402
from liverseg_core.measurements.flags import is_cut  # noqa: E402
from liverseg_core.measurements.pieces import piece_of  # noqa: E402
from liverseg_core.models import Model, load_model  # noqa: E402
from liverseg_core.phases import CT_RANGE_HU, PHASES  # noqa: E402
from liverseg_core.pipeline import segment_scan  # noqa: E402
from liverseg_core.reading import read_mask, read_scan  # noqa: E402
from liverseg_core.records import Scan, Segment  # noqa: E402
from liverseg_core.synthetic import CONTRASTS, abdomen  # noqa: E402

BAD, GOOD = 0.80, 0.88  # DSC of the liver, native grid
# what doubts a result; thick_slices, phase_guessed and their like say something of the scan
DOUBTS = {"no_liver_found", "liver_cut_by_scan", "implausible_volume", "islands", "holes", "low_confidence"}
CUT = "cut off"  # how the kinds end whose copies end inside the liver
QUICK = ("whole", "upper third cut off", "noise, very strong", "turned by 180 degrees about z")

Copy = tuple[Scan, np.ndarray]  # with the reference liver, bool [k, j, i]


@dataclass(frozen=True)
class Judged:
    """One segmented copy."""

    case: str
    kind: str
    validation: bool
    dsc: float
    cut: bool
    codes: frozenset[str]

    @property
    def should(self) -> bool | None:
        """Whether a warning is due; None where it may come or not."""
        if self.cut or self.dsc < BAD:
            return True
        return False if self.dsc >= GOOD else None


def rows(options: Options) -> Iterator[Row]:
    model = load_model(BUNDLE / DEFAULT_MODEL)
    took_ms = _timed_confidence()
    judged: list[Judged] = []
    real = bool(_validation_ids())
    for case, scan, liver in _cases(only_validation=options.quick):
        held = not real or case in _validation_ids()
        kinds = QUICK if options.quick else KINDS if held else ("whole",)
        whole = piece_of(Segment("liver", "", liver, scan.grid))
        ends_inside = whole is not None and is_cut(whole)
        for kind in kinds:
            dsc, codes = _segmented(*KINDS[kind](scan, liver), model)
            judged.append(Judged(case, kind, held, dsc, ends_inside or kind.endswith(CUT), codes))
    held_out = [one for one in judged if one.validation]
    words = "validation" if real else "synthetic"
    for kind in dict.fromkeys(one.kind for one in held_out):
        yield from _of_kind(f"{words}, {kind}", [one for one in held_out if one.kind == kind])
    degraded = [one for one in held_out if one.kind != "whole"]
    few = options.quick or not real  # too few to judge by, or none that is real
    yield _sensitivity(f"{words}, all copies", held_out, 0.9 if real else None)
    yield _specificity(f"{words}, whole scans", [one for one in held_out if one.kind == "whole"], 1.0 if real else None)
    yield _specificity(f"{words}, degraded copies", degraded, None if few else 0.9)
    if real and not options.quick:
        yield _specificity("all cases, whole scans", [one for one in judged if one.kind == "whole"], 1.0)
    yield Row(f"median CPU ms that the confidence takes, {len(took_ms)} scans", median(took_ms), None, None, "<= 15", median(took_ms) <= 15)  # fmt: skip


def _of_kind(name: str, judged: Sequence[Judged]) -> Iterator[Row]:
    if any(one.should for one in judged):
        yield _sensitivity(name, judged, None)
    if any(one.should is False for one in judged):
        yield _specificity(name, judged, None)


def _sensitivity(name: str, judged: Sequence[Judged], want: float | None) -> Row:
    asked = [one for one in judged if one.should]
    missed = ", ".join(f"{one.case} {one.kind} {one.dsc:.2f}" for one in asked if not one.codes)
    told = f"{name}: warned of {len(asked)} that are bad or cut{f' (not of {missed})' if missed else ''}"
    return _share(told, [bool(one.codes) for one in asked], [bool(_of_mask(one)) for one in asked], want)


def _specificity(name: str, judged: Sequence[Judged], want: float | None) -> Row:
    asked = [one for one in judged if one.should is False]
    alarms = ", ".join(f"{one.case} {one.kind} {one.dsc:.2f} {'+'.join(sorted(one.codes))}" for one in asked if one.codes)  # fmt: skip
    told = f"{name}: silent on {len(asked)} that are good{f' (not on {alarms})' if alarms else ''}"
    return _share(told, [not one.codes for one in asked], [not _of_mask(one) for one in asked], want)


def _share(name: str, ours: Sequence[bool], mask_alone: Sequence[bool], want: float | None) -> Row:
    share, peer = (float(np.mean(hits)) if hits else None for hits in (ours, mask_alone))
    ok = None if want is None or share is None else share >= want
    return Row(name, share, peer, None, "" if want is None else f">= {want:g}", ok)


def _of_mask(one: Judged) -> frozenset[str]:
    return one.codes - {"low_confidence"}


def _segmented(scan: Scan, liver: np.ndarray, model: Model) -> tuple[float, frozenset[str]]:
    """DSC of the liver, and what was warned of."""
    result = segment_scan(scan, model, device="cpu")
    seen = result.mask.voxels == 1
    dsc = 2.0 * float((seen & liver).sum()) / float(seen.sum() + liver.sum())
    return dsc, frozenset(notice.code for notice in result.report.warnings) & DOUBTS


def _timed_confidence() -> list[float]:
    """CPU milliseconds of every call from now on: other work on the machine does not count."""
    took_ms: list[float] = []
    work = stages._confidence

    def timed(*arguments: Any) -> Any:
        began = time.process_time()
        answer = work(*arguments)
        took_ms.append(1000.0 * (time.process_time() - began))
        return answer

    stages._confidence = timed
    return took_ms


def _cases(*, only_validation: bool) -> Iterator[tuple[str, Scan, np.ndarray]]:
    """The cases of $LIVERSEG_DATA, or synthetic abdomens."""
    if not _validation_ids():
        for contrast in CONTRASTS:
            scan, truth, _ = abdomen(contrast)
            yield contrast, scan, truth.voxels == 1
        return
    from liverseg_training.cases import data_folder, list_cases

    for case in list_cases(data_folder(""), sorted(_validation_ids()) if only_validation else ("*",)):
        yield case.id, read_scan(case.image, case.phase), np.isin(read_mask(case.labels).voxels, (1, 2))


def _validation_ids() -> set[str]:
    split = Path(os.environ.get("LIVERSEG_DATA", "")) / "split.json"
    return set(json.loads(split.read_text(encoding="utf-8"))["validation"]) if split.is_file() else set()


def _cropped(scan: Scan, liver: np.ndarray, *, axis: int, end: int, share: float) -> Copy:
    """Without the part of the scan that holds this share of the liver's extent, from one end of an array axis."""
    along = np.flatnonzero(liver.any(axis=tuple(a for a in range(3) if a != axis)))
    cut = round(share * len(along))
    kept = slice(along[0] + cut, None) if end == 0 else slice(0, along[-1] + 1 - cut)
    where = tuple(kept if a == axis else slice(None) for a in range(3))
    voxels = np.ascontiguousarray(scan.voxels[where])
    grid = scan.grid.cropped([s.start or 0 for s in where[::-1]], voxels.shape[::-1])
    return replace(scan, voxels=voxels, grid=grid), np.ascontiguousarray(liver[where])


def _noisy(scan: Scan, liver: np.ndarray, *, level: float) -> Copy:
    """CT: Gaussian, sd `level` x 400 HU. MR: Rician, sd `level` x the 99th percentile."""
    rng = np.random.default_rng(0)
    sd = level * (400.0 if _is_ct(scan) else float(np.percentile(scan.voxels, 99)))
    real = scan.voxels + rng.normal(0, sd, scan.voxels.shape)
    voxels = real if _is_ct(scan) else np.hypot(real, rng.normal(0, sd, scan.voxels.shape))
    return replace(scan, voxels=voxels.astype(np.float32)), liver


def _turned(scan: Scan, liver: np.ndarray, *, axes: tuple[int, int], times: int) -> Copy:
    """The patient turned about an axis, while the header says that nothing was."""
    spacing = list(scan.grid.spacing_mm[::-1])
    if times % 2:
        spacing[axes[0]], spacing[axes[1]] = spacing[axes[1]], spacing[axes[0]]
    voxels, liver = (np.ascontiguousarray(np.rot90(array, times, axes)) for array in (scan.voxels, liver))
    k, j, i = voxels.shape
    grid = Grid((i, j, k), (spacing[2], spacing[1], spacing[0]), scan.grid.origin_mm, scan.grid.direction)
    return replace(scan, voxels=voxels, grid=grid), liver


def _flipped(scan: Scan, liver: np.ndarray, *, axis: int) -> Copy:
    """One axis runs the other way than the header says."""
    return replace(scan, voxels=np.ascontiguousarray(np.flip(scan.voxels, axis))), np.flip(liver, axis)


def _averaged(scan: Scan, liver: np.ndarray, *, spacing_mm: tuple[float, float, float]) -> Copy:
    """Over whole blocks of voxels up to about this spacing."""
    target = scan.grid.respaced([max(pair) for pair in zip(spacing_mm, scan.grid.spacing_mm)])
    voxels, grid = shrunk(scan.voxels.astype(np.float32), scan.grid, target)
    return replace(scan, voxels=voxels, grid=grid), resampled(liver.view(np.uint8), scan.grid, grid, nearest=True) > 0


def _shaded(scan: Scan, liver: np.ndarray, *, level: float) -> Copy:
    """CT: a smooth shade of up to `level` x 180 HU added. MR: a bias field of up to e to the 1.8 x `level`."""
    k, j, i = (np.linspace(-1, 1, n, dtype=np.float32) for n in scan.voxels.shape)
    field = 0.5 * np.cos(2.2 * k + 0.5)[:, None, None] + 0.5 * j[None, :, None] - 0.8 * i[None, None, :]
    voxels = scan.voxels + 100 * level * field if _is_ct(scan) else scan.voxels * np.exp(level * field)
    return replace(scan, voxels=voxels.astype(np.float32)), liver


def _inverted(scan: Scan, liver: np.ndarray) -> Copy:
    """Bright is dark: a contrast that nobody has."""
    low, high = CT_RANGE_HU if _is_ct(scan) else (0.0, float(np.percentile(scan.voxels, 99.5)))
    return replace(scan, voxels=np.clip(low + high - scan.voxels.astype(np.float32), low, high)), liver


def _misnamed(scan: Scan, liver: np.ndarray) -> Copy:
    """A CT that is read as MR, an MR that is read as CT."""
    return replace(scan, phase="mr_unknown" if _is_ct(scan) else "ct_unknown"), liver


def _is_ct(scan: Scan) -> bool:
    return PHASES[scan.phase].modality == "CT"


KINDS: Mapping[str, Callable[[Scan, np.ndarray], Copy]] = {
    "whole": lambda scan, liver: (scan, liver),
    f"upper third {CUT}": partial(_cropped, axis=0, end=-1, share=1 / 3),
    f"lower third {CUT}": partial(_cropped, axis=0, end=0, share=1 / 3),
    f"right third {CUT}": partial(_cropped, axis=2, end=0, share=1 / 3),
    f"upper tenth {CUT}": partial(_cropped, axis=0, end=-1, share=0.1),
    "noise": partial(_noisy, level=0.15),
    "noise, strong": partial(_noisy, level=0.4),
    "noise, very strong": partial(_noisy, level=1.0),
    "turned by 90 degrees about z": partial(_turned, axes=(1, 2), times=1),
    "turned by 180 degrees about z": partial(_turned, axes=(1, 2), times=2),
    "turned by 90 degrees about x": partial(_turned, axes=(0, 1), times=1),
    "upside down": partial(_flipped, axis=0),
    "left and right exchanged": partial(_flipped, axis=2),
    "slices of 15 mm": partial(_averaged, spacing_mm=(0.0, 0.0, 15.0)),
    "voxels of 8 mm": partial(_averaged, spacing_mm=(8.0, 8.0, 8.0)),
    "voxels of 16 mm": partial(_averaged, spacing_mm=(16.0, 16.0, 16.0)),
    "shaded": partial(_shaded, level=1.0),
    "shaded, very strong": partial(_shaded, level=2.5),
    "inverted": _inverted,
    "read as the other modality": _misnamed,
}
