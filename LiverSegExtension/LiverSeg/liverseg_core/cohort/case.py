"""One Case -> its folder of results, whole or not at all. Here the rooms meet, as they do in the corridor."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..agreement import COLUMNS, Comparison, Options, compare, placed, rows_of, structure
from ..errors import InputError, LiverSegError, OutputError
from ..fat import Options as FatOptions
from ..fat_pipeline import FatRequest, fat_files
from ..labels import LABELS, LIVER
from ..measurements import Patient, Study, measure, notices_about, patient_from
from ..output import written_whole
from ..pipeline import Request, segment_file
from ..reading import geometry_notices, read_mask
from ..reading.echoes import Told
from ..records import LabelMask, Measurement, Notice
from ..reporting import save_png, save_rows
from ..segments import cut_segments
from .ledger import LEDGER, asked, save_ledger, stamps
from .pictures import disagreement
from .records import AGREEMENT, EXPECTED, MEASURED, NOTICE, Acquisition, Case, Outcome, Row, Settings

PICTURE = "disagreement.png"
_CODES = {label.key: code for code, label in LABELS.items()}


def work_on(case: Case, settings: Settings, out: Path) -> str:
    """Do one case; the answer is its error, or nothing. Whatever happens here happens to this case alone."""
    try:
        _work(case, settings, out / case.folder)
    except LiverSegError as problem:
        return str(problem)
    except MemoryError:
        return "not enough memory for this case; use fewer --workers, or a machine with more"
    except Exception as problem:
        return _own_fault(problem)
    return ""


def failed(case: Case, error: str) -> Outcome:
    return Outcome(case.case, case.folder, case.person, case.group, phase="", body=dict(case.body), error=error)


def _own_fault(problem: Exception) -> str:
    told = " ".join(str(problem).split())
    return f"LiverSeg itself failed ({type(problem).__name__}: {told}); please report it"


def _work(case: Case, settings: Settings, folder: Path) -> None:
    if case.problem:
        raise InputError(case.problem)
    patient = patient_from(case.body, f"the patient of {case.case}") if case.body else None
    if folder.is_dir() and any(folder.iterdir()) and not (folder / LEDGER).exists():
        raise OutputError(f"{folder} holds files that are not of a cohort; move them, or choose another --out")
    question, inputs = asked(case, settings), stamps(case)
    with written_whole(folder) as room:
        try:
            outcome = _done(case, settings, patient, room)
        except RuntimeError as problem:  # torch says it so; it has nothing to do with writing
            raise LiverSegError(_own_fault(problem)) from problem
        save_ledger(outcome, question, inputs, room)


def _done(case: Case, settings: Settings, patient: Patient | None, room: Path) -> Outcome:
    if case.prediction is not None:
        return _compared(case, case.prediction, settings, patient, room)
    if case.scan is not None:
        return _segmented(case, case.scan, settings, room)
    if case.fat is not None:
        return _quantified(case, case.fat, settings, room)
    raise InputError(f"{case.case} has neither a scan nor a prediction nor echoes")


def _segmented(case: Case, scan: Path, settings: Settings, room: Path) -> Outcome:
    """Through the corridor; with a reference, compared as well."""
    with TemporaryDirectory() as aside:
        patient = Path(aside) / "patient.json"
        patient.write_text(json.dumps(dict(case.body)), encoding="utf-8")
        request = Request(
            scan, room, phase=case.phase, model=case.model or settings.model, device=settings.device,
            quality=settings.quality, reference=case.reference, series=case.series, volume=case.volume,
            allow_unfit=settings.allow_unfit, overwrite=True, patient=patient if case.body else None,
        )  # fmt: skip
        result = segment_file(request)
    report = result.report
    rows, notices = [*_measured(MEASURED, report.measurements)], list(report.warnings)
    picture = "preview.png"
    if case.reference is not None:
        reference = read_mask(case.reference)
        known = {m.structure for m in report.measurements}
        agreement, told = _agreement(result.mask, reference, settings, room, known)
        rows, notices, picture = [*rows, *agreement], [*notices, *told], PICTURE
    return _outcome(case, [*rows, *_told(notices)], picture, model=report.model["name"], phase=report.phase["used"])


def _quantified(case: Case, fat: Acquisition, settings: Settings, room: Path) -> Outcome:
    """Fat and iron, through their own corridor."""
    told = Told(fat.echo_times_ms, fat.field_t, fat.tr_ms, fat.flip_deg)
    request = FatRequest(
        fat.echoes, room, fat.phase_image, fat.mask, case.model or settings.model, told, FatOptions(device=settings.device),
        overwrite=True,
    )  # fmt: skip
    report = fat_files(request)
    rows = [*_measured(MEASURED, report.measurements), *_told(report.warnings)]
    drew = "" if fat.mask is not None else report.model["name"]
    return _outcome(case, rows, "preview.png", model=drew, phase=report.phase["used"])


def _compared(case: Case, path: Path, settings: Settings, patient: Patient | None, room: Path) -> Outcome:
    """Masks alone: what the prediction measures and, with a reference, how well they agree. No network, no scan."""
    prediction = read_mask(path)
    segments = cut_segments(prediction, sorted({LIVER, *_held(prediction)}))
    measurements = measure(segments, None if patient is None else Study(patient=patient))
    columns = ("structure", "quantity", "value", "unit", "reason")
    save_rows([{key: getattr(m, key) for key in columns} for m in measurements], room / "measurements.csv")
    rows = _measured(MEASURED, measurements)
    notices = [*geometry_notices(prediction.grid), *notices_about(segments)]
    picture = ""
    if case.reference is not None:
        agreement, told = _agreement(prediction, read_mask(case.reference), settings, room)
        rows, notices, picture = [*rows, *agreement], [*notices, *told], PICTURE
    phase = "" if case.phase == "auto" else case.phase
    return _outcome(case, [*rows, *_told(notices)], picture, phase=phase)


def _agreement(
    prediction: LabelMask, reference: LabelMask, settings: Settings, room: Path, known: Iterable[str] | None = None
) -> tuple[list[Row], tuple[Notice, ...]]:
    """Rows of the agreement and of what the reference measures; a table and a picture of where they differ.

    `known` are the structures that the model knows, where that is known: no other one can be missing.
    """
    ours, moved = placed(prediction, reference)
    held = _held(reference)
    codes = held if known is None else held & {_CODES[key] for key in known if key in _CODES}
    found = compare(ours, reference, Options(tolerance_mm=settings.tolerance_mm), codes=sorted(codes) or None)
    table = rows_of(found)
    save_rows(table, room / "agreement.csv")
    compared = [_CODES[agreement.structure] for agreement in found.agreements]
    first = compared[0]
    save_png(disagreement(structure(ours, first), structure(reference, first), reference.grid), room / PICTURE)
    expected = measure(cut_segments(reference, compared))
    rows = [Row(AGREEMENT, **{key: row[key] for key in COLUMNS}) for row in table]  # type: ignore[arg-type]
    return [*_measured(EXPECTED, expected), *rows], (*moved, *found.notices, *_flags(found))


def _flags(found: Comparison) -> tuple[Notice, ...]:
    """A mask that is empty where the other is not makes distances undefined: said once, beside their blanks."""
    for agreement in found.agreements:
        reason = next((figure.reason for figure in agreement.figures if figure.quantity == "assd"), "")
        if reason:
            return (Notice("empty_mask", f"{LABELS[_CODES[agreement.structure]].name}: {reason}."),)
    return ()


def _outcome(case: Case, rows: list[Row], picture: str, *, model: str = "", phase: str = "") -> Outcome:
    return Outcome(
        case.case,
        case.folder,
        case.person,
        case.group,
        model or case.group,
        phase,
        dict(case.body),
        tuple(rows),
        picture,
    )


def _measured(source: str, measurements: Iterable[Measurement]) -> list[Row]:
    return [Row(source, m.structure, m.quantity, m.value, m.unit, m.reason, m.definition) for m in measurements]


def _told(notices: Iterable[Notice]) -> list[Row]:
    """Each once: the report of a case may know what its agreement told."""
    return [Row(NOTICE, "", notice.code, float("nan"), "", notice.text) for notice in dict.fromkeys(notices)]


def _held(mask: LabelMask) -> set[int]:
    """The codes of a mask, a slice at a time."""
    counts = sum(np.bincount(plane.ravel(), minlength=256) for plane in mask.voxels)
    return set(np.flatnonzero(counts).tolist()) - {0}
