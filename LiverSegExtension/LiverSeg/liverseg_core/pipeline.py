"""The corridor: the whole journey of one datum, one line per room. Only here do the rooms meet.

What needs torch is imported where the journey needs it, so that `measure` and the module panel open without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import QUALITIES, __version__
from .agreement import dsc, on_grid_of, structure
from .errors import InputError, ModelError
from .geometry import Grid, bounding_block
from .labels import LABELS, LESION, LIVER
from .library import find_model
from .measurements import measure, notices_about
from .model_card import ModelCard
from .output import check_output, written_whole
from .phases import PHASES
from .reading import geometry_notices, read_mask, read_scan
from .records import LabelMask, Notice, Report, Scan, ScanFacts, Segment
from .reporting import montage, save_csv, save_json, save_masks, save_page, save_png, three_views
from .segments import clean, cut_segments
from .walk import Listener, Silence, Walk, peak_memory_mb

if TYPE_CHECKING:
    from .models import Model


@dataclass(frozen=True, eq=False)
class Result:
    """A segmented scan: the mask on the scan's own grid, its segments, and the report (times still open)."""

    mask: LabelMask
    segments: tuple[Segment, ...]
    report: Report


@dataclass(frozen=True)
class Request:
    """Everything `segment` was asked for."""

    scan: Path
    out: Path
    phase: str = "auto"
    model: str = "auto"
    device: str = "auto"
    quality: str = "standard"
    reference: Path | None = None
    series: str | None = None
    volume: int | None = None
    allow_unfit: bool = False
    overwrite: bool = False


def segment_file(request: Request, listener: Listener | None = None) -> Result:
    """From a file to a folder of results. Raises a LiverSegError, and then `out` is as it was."""
    walk = Walk(listener or Silence())
    check_output(request.out, overwrite=request.overwrite, inputs=(request.scan, request.reference))
    with walk.room("reading"):
        find_model(request.model)  # refuse an unknown model or device before the scan is read
        _device_named(request.device)
        reference = None if request.reference is None else read_mask(request.reference)
        scan = read_scan(request.scan, request.phase, volume=request.volume, series=request.series)
        model = _fit_model(find_model(request.model, scan.phase), scan.phase, allow_unfit=request.allow_unfit)
    result = segment_scan(
        scan, model, quality=request.quality, device=request.device, allow_unfit=request.allow_unfit, walk=walk
    )
    if reference is not None:
        result = replace(result, report=replace(result.report, agreement=_agreement(result, reference, model.card)))
    with written_whole(request.out) as folder:
        with walk.room("reporting"):
            _write_masks(result, model.card, folder)
            save_png(_write_page(scan, result, folder, walk), folder / "preview.png")
        report = _write_tables(result, folder, walk)
    return replace(result, report=report)


def segment_scan(
    scan: Scan,
    model: Model,
    *,
    quality: str = "standard",
    device: str = "auto",
    allow_unfit: bool = False,
    walk: Walk | None = None,
) -> Result:
    """The walk itself, on records in memory: stage after stage, then back to the scan's own grid."""
    walk = walk or Walk()
    if quality not in QUALITIES:
        raise InputError(f"unknown quality {quality!r}; expected one of: {', '.join(QUALITIES)}")
    notices = list(scan.notices)
    if scan.phase not in model.card.fit_phases:
        notices.append(_unfit(model.card, scan.phase, allow_unfit=allow_unfit))
    where = _device_named(device)
    mask = _drawn(scan, model, quality, where, walk)
    with walk.room("measurements"):
        codes = model.card.labels if quality != "fast" else model.card.stages[0].labels
        segments = cut_segments(mask, codes)
        measurements = measure(segments)
        notices += notices_about(segments)
    for notice in notices:
        walk.listener.warning(notice)
    card = model.card
    report = Report(
        version=__version__,
        model={"name": card.name, "sha256": card.sha256, "licence": card.licence},
        phase={"used": scan.phase, "how": scan.phase_how},
        device=where,
        scan=_scan_facts(scan.source, scan.grid),
        measurements=measurements,
        warnings=tuple(notices),
        seconds=walk.times(),
        peak_memory_mb=peak_memory_mb(),
    )
    return Result(mask, segments, report)


def measure_file(mask_path: Path, out: Path, *, scan_path: Path | None = None, overwrite: bool = False) -> Report:
    """From a mask to a folder of measurements; with the scan, the page shows it."""
    walk = Walk()
    check_output(out, overwrite=overwrite, inputs=(mask_path, scan_path))
    with walk.room("reading"):
        mask = read_mask(mask_path)
        scan = _scan_for(mask, mask_path, scan_path)
    with walk.room("measurements"):
        codes = sorted({1, *(int(code) for code in np.unique(mask.voxels) if code)})
        segments = cut_segments(mask, codes)
        measurements, notices = measure(segments), (*scan.notices, *notices_about(segments))
    phase = {"used": scan.phase, "how": scan.phase_how} if scan_path is not None else {"used": "", "how": ""}
    report = Report(
        __version__, {"name": "", "sha256": "", "licence": ""}, phase, "cpu", _scan_facts(str(mask_path), mask.grid),
        measurements, notices, walk.times(), peak_memory_mb(),
    )  # fmt: skip
    result = Result(mask, segments, report)
    with written_whole(out) as folder:
        with walk.room("reporting"):
            _write_page(scan, result, folder, walk)
        return _write_tables(result, folder, walk)


def _drawn(scan: Scan, model: Model, quality: str, device: str, walk: Walk) -> LabelMask:
    """Every stage crops to what the one before it found; nothing found is an empty mask, not an error."""
    import torch

    from .inference import infer
    from .preparation import prepare
    from .restoration import decided, restore

    stages = list(zip(model.card.stages, model.networks, strict=True))[: 1 if quality == "fast" else None]
    found: Grid | None = None
    lost: set[int] = set()  # what a stage looked for and did not find: a later one, sure that it is there, invents it
    mask = LabelMask(np.zeros(scan.grid.array_shape, np.uint8), scan.grid)
    for n, (stage, network) in enumerate(stages):
        with walk.room("preparation"):
            prepared = prepare([scan], stage, found)
        with walk.room("inference"):
            logits = infer(
                prepared, stage, network, device=torch.device(device), mirrored=quality == "best",
                progress=lambda done, total: walk.listener.progress("inference", done, total),
            )  # fmt: skip
        with walk.room("restoration"):
            seen = clean(decided(logits, stage.sure), stage.post)
            lost |= set(stage.labels) - set(np.unique(seen.voxels).tolist())
            found = bounding_block(seen.voxels > 0, seen.grid)
            if found is None:
                break
            if n + 1 == len(stages):
                mask = clean(restore(logits, scan.grid), stage.post)
                mask.voxels[np.isin(mask.voxels, sorted(lost))] = 0
    return mask


def _device_named(name: str) -> str:
    """What was asked for, resolved; imports torch only where a device must be looked for."""
    if name == "cpu":
        return name
    from .inference import device_named

    return str(device_named(name))


def _fit_model(folder: Path, phase: str, *, allow_unfit: bool) -> Model:
    card = ModelCard.load(folder)
    if phase not in card.fit_phases:
        _unfit(card, phase, allow_unfit=allow_unfit)  # refuse before torch is imported
    from .models import load_model

    return load_model(folder)


def _unfit(card: ModelCard, phase: str, *, allow_unfit: bool) -> Notice:
    text = f"{card.name} is not fit for {phase} ({PHASES[phase].meaning})"
    if not allow_unfit:
        raise ModelError(
            f"{text}; fit phases: {', '.join(card.fit_phases)}. Choose another model, or add --allow-unfit"
        )
    return Notice("model_unfit", f"{text}: the result may be wrong.")


def _agreement(result: Result, reference: LabelMask, card: ModelCard) -> dict[str, dict[str, float]]:
    """DSC of each structure that both know, on the reference's grid."""
    ours = on_grid_of(result.mask, reference)
    known = {int(code) for code in np.unique(reference.voxels)}
    codes = [code for code in card.labels if code in known or (code == LIVER and LESION in known)]
    return {LABELS[code].key: {"dsc": dsc(structure(ours, code), structure(reference, code))} for code in codes}


def _scan_for(mask: LabelMask, mask_path: Path, scan_path: Path | None) -> Scan:
    if scan_path is None:
        nothing = np.zeros(mask.grid.array_shape, np.uint8)
        return Scan(nothing, mask.grid, "mr_unknown", str(mask_path), notices=geometry_notices(mask.grid))
    scan = read_scan(scan_path)
    if not mask.grid.matches(scan.grid, tolerance_mm=0.05):
        raise InputError(
            f"{mask_path} ({mask.grid.size} voxels) does not lie on the grid of {scan_path} ({scan.grid.size}); "
            "expected a mask of this scan"
        )
    return scan


def _scan_facts(source: str, grid: Grid) -> ScanFacts:
    x, y, z = (round(s, 4) for s in grid.spacing_mm)
    return ScanFacts(source, grid.size, (x, y, z))


def _write_masks(result: Result, card: ModelCard, folder: Path) -> None:
    save_masks(result.mask, card.labels, f"LiverSeg {__version__} {card.name} {card.version}", folder)


def _write_page(scan: Scan, result: Result, folder: Path, walk: Walk) -> np.ndarray:
    """report.html; returns the three views that it shows."""
    views, slices = three_views(scan, result.mask), montage(scan, result.mask)
    save_page(replace(result.report, seconds=walk.times()), views, slices, folder / "report.html")
    return views


def _write_tables(result: Result, folder: Path, walk: Walk) -> Report:
    """Last, so that the times in report.json include everything before."""
    report = replace(result.report, seconds=walk.times(), peak_memory_mb=peak_memory_mb())
    save_csv(report, folder / "measurements.csv")
    save_json(report, folder / "report.json")
    return report
