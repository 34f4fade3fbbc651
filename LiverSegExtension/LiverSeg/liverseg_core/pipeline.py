"""The corridor: the whole journey of one datum, one line per room. Only here do the rooms meet.

What needs torch is imported where the journey needs it, so that `measure` and the module panel open without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import QUALITIES, __version__
from .agreement import Comparison, Options, compare, measurements_of, rows_of
from .ahead import ModelAhead
from .errors import InputError, ModelError
from .geometry import Grid
from .labels import LESION, LIVER
from .library import find_model
from .measurements import Patient, Plane, Study, measure, notices_about, patient_from
from .measurements.flags import Confidence
from .model_card import ModelCard
from .output import check_output, written_whole
from .phases import PHASES
from .reading import geometry_notices, read_mask, read_patient, read_scan
from .records import LabelMask, Notice, Report, Scan, ScanFacts, Segment
from .reporting import (
    montage,
    save_csv,
    save_disagreement,
    save_json,
    save_masks,
    save_page,
    save_png,
    save_record,
    save_rows,
    three_views,
)  # fmt: skip
from .segments import cut_parts, cut_segments
from .stages import demand_echoes, device_named, drawn
from .walk import Listener, Silence, Walk, peak_memory_mb

if TYPE_CHECKING:
    from .models import Model


@dataclass(frozen=True, eq=False)
class Result:
    """A segmented scan: the mask on the scan's own grid, its segments, and the report (times still open)."""

    mask: LabelMask
    segments: tuple[Segment, ...]
    report: Report
    confidence: Confidence | None = None  # of the network, where one drew it
    apart: np.ndarray | None = None  # of an ensemble: how far its members are apart, float32 [k, j, i] from 0 to 1


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
    patient: Path | None = None
    series: str | None = None
    volume: int | None = None
    allow_unfit: bool = False
    overwrite: bool = False
    report: bool = True  # the page and the preview, for people; tables are written in any case


def segment_file(request: Request, listener: Listener | None = None) -> Result:
    """From a file to a folder of results. Raises a LiverSegError, and then `out` is as it was."""
    walk = Walk(listener or Silence())
    check_output(request.out, overwrite=request.overwrite, inputs=(request.scan, request.reference, request.patient))
    with walk.room("reading"):
        ahead = _begun(request)
        reference = None if request.reference is None else read_mask(request.reference)
        patient = _patient(request.patient)
        scan = read_scan(request.scan, request.phase, volume=request.volume, series=request.series)
        model = _fit_model(ahead, find_model(request.model, scan.phase), scan.phase, allow_unfit=request.allow_unfit)
    result = segment_scan(
        scan, model, quality=request.quality, device=request.device, allow_unfit=request.allow_unfit, patient=patient,
        walk=walk,
    )  # fmt: skip
    if reference is not None:
        result = replace(result, report=_compared(result, reference, model.card, walk.listener))
    with written_whole(request.out) as folder:
        with walk.room("reporting"):
            _write_masks(result, model.card, folder)
            if request.report:
                save_png(_write_page(scan, result, folder, walk), folder / "preview.png")
        report = _write_tables(result, folder, walk)
    return replace(result, report=report)


def segment_scan(  # noqa: PLR0913 - one more than the house allows: a walk on records has no request to hold them
    scan: Scan,
    model: Model,
    *,
    quality: str = "standard",
    device: str = "auto",
    allow_unfit: bool = False,
    patient: Patient | None = None,
    walk: Walk | None = None,
    others: Sequence[Scan] = (),
) -> Result:
    """The walk itself, on records in memory: stage after stage, then back to the scan's own grid. `others` are the echoes
    after the first, where `scan` is that; a model reads as many as it knows."""
    walk = walk or Walk()
    if quality not in QUALITIES:
        raise InputError(f"unknown quality {quality!r}; expected one of: {', '.join(QUALITIES)}")
    notices = list(scan.notices)
    if scan.phase not in model.card.fit_phases:
        notices.append(_unfit(model.card, scan.phase, allow_unfit=allow_unfit))
    drawing = drawn(scan, model, quality, device, walk, others)
    notices += drawing.notices
    with walk.room("measurements"):
        segments = cut_segments(drawing.mask, _codes(model.card, quality))
        measurements = measure(segments, Study(scan, patient))
        notices += notices_about(segments, drawing.confidence)
    for notice in notices:
        walk.listener.warning(notice)
    card = model.card
    report = Report(
        version=__version__,
        model={"name": card.name, "version": card.version, "sha256": card.sha256, "licence": card.licence},
        phase={"used": scan.phase, "how": scan.phase_how},
        device=drawing.device,
        scan=_scan_facts(scan.source, scan.grid),
        measurements=measurements,
        warnings=tuple(notices),
        seconds=walk.times(),
        peak_memory_mb=peak_memory_mb(),
        quality=quality,
        confidence=asdict(drawing.confidence),
    )
    return Result(drawing.mask, segments, report, drawing.confidence, drawing.apart)


def measure_file(
    mask_path: Path,
    out: Path,
    *,
    scan_path: Path | None = None,
    patient_path: Path | None = None,
    remnant: Plane | tuple[int, ...] | None = None,
    overwrite: bool = False,
) -> Report:
    """From a mask to a folder of measurements; with the scan, the page shows it. A remnant by codes takes the mask's
    codes for numbers of parts of the liver."""
    walk = Walk()
    check_output(out, overwrite=overwrite, inputs=(mask_path, scan_path, patient_path))
    with walk.room("reading"):
        mask = read_mask(mask_path)
        patient = _patient(patient_path)
        scan = _scan_for(mask, mask_path, scan_path)
    with walk.room("measurements"):
        codes = sorted({1, *(int(code) for code in np.unique(mask.voxels) if code)})
        segments = cut_parts(mask) if isinstance(remnant, tuple) else cut_segments(mask, codes)
        measurements = measure(segments, Study(scan if scan_path is not None else None, patient, remnant))
        notices = (*scan.notices, *notices_about(segments))
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


def compare_files(
    prediction: Path, reference: Path, options: Options, out: Path | None = None, *, overwrite: bool = False
) -> Comparison:
    """Two masks, every quantity of the agreement; with `out` as agreement.csv and agreement.json."""
    if out is not None:
        check_output(out, overwrite=overwrite, inputs=(prediction, reference))
    comparison = compare(read_mask(prediction), read_mask(reference), options)
    if out is not None:
        record = {
            "version": __version__, "prediction": str(prediction), "reference": str(reference),
            "tolerance_mm": options.tolerance_mm, "percentile": options.percentile, "agreement": comparison.values(),
            "warnings": [asdict(notice) for notice in comparison.notices],
        }  # fmt: skip
        with written_whole(out) as folder:
            save_rows(rows_of(comparison), folder / "agreement.csv")
            save_record(record, folder / "agreement.json")
    return comparison


def _begun(request: Request) -> ModelAhead:
    """Refuse an unknown model or device before the scan is read; then the likely model loads beside the reading."""
    folder = find_model(request.model, "" if request.phase == "auto" else request.phase)
    if request.device != "auto":
        device_named(request.device)
    return ModelAhead(folder)


def _fit_model(ahead: ModelAhead, folder: Path, phase: str, *, allow_unfit: bool) -> Model:
    card = ModelCard.load(folder)
    if phase not in card.fit_phases:
        _unfit(card, phase, allow_unfit=allow_unfit)
    demand_echoes(card, 1)
    return ahead.take(folder)


def _unfit(card: ModelCard, phase: str, *, allow_unfit: bool) -> Notice:
    text = f"{card.name} is not fit for {phase} ({PHASES[phase].meaning})"
    if not allow_unfit:
        raise ModelError(
            f"{text}; fit phases: {', '.join(card.fit_phases)}. Choose another model, or add --allow-unfit"
        )
    return Notice("model_unfit", f"{text}: the result may be wrong.")


def _compared(result: Result, reference: LabelMask, card: ModelCard, listener: Listener) -> Report:
    """The report with the agreement of every structure that both know, on the reference's grid."""
    known = {int(code) for code in np.unique(reference.voxels)}
    drawn_codes = _codes(card, result.report.quality)
    codes = [code for code in drawn_codes if code in known or (code == LIVER and LESION in known)]
    comparison = compare(result.mask, reference, codes=codes)
    for notice in comparison.notices:
        listener.warning(notice)
    warnings = (*result.report.warnings, *comparison.notices)
    return replace(result.report, agreement=measurements_of(comparison), warnings=warnings)


def _patient(path: Path | None) -> Patient | None:
    return None if path is None else patient_from(read_patient(path), str(path))


def _scan_for(mask: LabelMask, mask_path: Path, scan_path: Path | None) -> Scan:
    if scan_path is None:
        nothing = np.zeros(mask.grid.array_shape, np.uint8)
        return Scan(nothing, mask.grid, "mr_unknown", str(mask_path), notices=geometry_notices(mask.grid))
    scan = read_scan(scan_path)
    if not mask.grid.matches(scan.grid, tolerance_mm=0.05):
        raise InputError(
            f"{mask_path} ({mask.grid.size_text} voxels) does not lie on the grid of {scan_path} ({scan.grid.size_text}); "
            "expected a mask of this scan"
        )
    return scan


def _scan_facts(source: str, grid: Grid) -> ScanFacts:
    x, y, z = (round(s, 4) for s in grid.spacing_mm)
    return ScanFacts(source, grid.size, (x, y, z))


def _write_masks(result: Result, card: ModelCard, folder: Path) -> None:
    codes = _codes(card, result.report.quality)
    save_masks(result.mask, codes, f"LiverSeg {__version__} {card.name} {card.version}", folder)
    if result.apart is not None:
        save_disagreement(result.apart, result.mask.grid, folder)


def _codes(card: ModelCard, quality: str) -> tuple[int, ...]:
    """What was looked for: `fast` is the first stage alone."""
    return card.labels if quality != "fast" else card.stages[0].labels


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
