"""Send to training set: what the worker is given of a corrected case, after a look for the patient's name in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from liverseg_core.case_folder import CaseFacts, patient_key
from liverseg_core.errors import LiverSegError
from liverseg_core.labels import LESION, LIVER
from liverseg_core.library import user_models_folder
from slicer.i18n import tr as _

from ..cases import training_arguments, travelling_names
from ..controller import Task, UserError
from ..events import Event
from ..scene.export import segments_on, write_segments, write_volume
from ..scene.provenance import BASELINE, read_provenance, status_of
from ..scene.terminology import codes_in
from ..scene.volumes import checked

COMPLETED = 2  # Slicer's number of the status
_PATIENT_TAGS = {
    "PatientName": "0010,0010", "PatientID": "0010,0020", "PatientBirthDate": "0010,0030",
    "AccessionNumber": "0008,0050", "InstitutionName": "0008,0080", "ReferringPhysicianName": "0008,0090",
}  # fmt: skip


def training_task(volume: Any, segmentation: Any, into: str, phase: str, status: str) -> Task:
    """The worker's `case`. Only segments whose status is completed count as looked at. UserError says what is missing."""
    checked(volume)
    if segmentation is None:
        raise UserError(_("Choose the corrected segmentation under Segments first."))
    if not into:
        raise UserError(_("Choose the folder of the training set first."))
    made = read_provenance(segmentation)
    phase = phase if phase not in ("", "auto") else made.phase if made is not None else ""
    if not phase:
        raise UserError(_("Choose the phase of the scan under Scan first; a training case must say it."))
    labels = _annotated(segmentation)
    facts = _facts(volume, phase, labels, status, made.model if made is not None else "")
    baseline, kept = segmentation.GetNodeReference(BASELINE), []

    def prepare(folder: Path) -> list[str]:
        scan, mask, ai = (folder / name for name in ("scan.nrrd", "labels.nrrd", "ai.nrrd"))
        write_volume(volume, scan)
        write_segments(segmentation, labels, volume, mask)
        drawn = baseline is not None and baseline.GetScene() is not None and _written(baseline, volume, ai)
        return training_arguments(scan, mask, Path(into), facts, ai if drawn else None)

    def heard(event: Event) -> None:
        if event.name == "done":
            kept.append(Path(event.facts["out"]).name)

    def finish(_folder: Path) -> str:
        return _("Sent to the training set as {0}.").format(", ".join(kept) or into)

    return Task("case", prepare, finish, heard=heard)


def _annotated(segmentation: Any) -> dict[str, int]:
    """Segment id -> code of what was looked at. Lesions that were not are part of the liver that was: its code in files
    means both."""
    codes, inner = codes_in(segmentation), segmentation.GetSegmentation()
    done = {id_: code for id_, code in codes.items() if status_of(inner.GetSegment(id_)) == COMPLETED}
    if not done:
        raise UserError(_("No segment is completed; set the status of what you have checked under Segments."))
    if LIVER in done.values() and LESION not in done.values():
        done |= {id_: LIVER for id_, code in codes.items() if code == LESION}
    return done


def _facts(volume: Any, phase: str, labels: dict[str, int], status: str, model: str) -> CaseFacts:
    patient = _patient(volume)
    try:
        key = patient_key(patient.get("PatientID", ""), user_models_folder().parent / "patients.salt")
        facts = CaseFacts(phase, tuple(sorted(set(labels.values()))), status, model, patient=key)
    except LiverSegError as problem:
        raise UserError(f"{problem}.") from None
    travelling = travelling_names([facts.phase, facts.model, facts.software, facts.patient], patient)
    if travelling:
        raise UserError(_("Nothing was written: it would tell the patient's {0}.").format(", ".join(travelling)))
    return facts


def _patient(volume: Any) -> dict[str, str]:
    """What Slicer's DICOM database knows of the patient; nothing for other files."""
    uids = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if not uids or database is None or not database.isOpen:
        return {}
    return {key: database.instanceValue(uids[0], tag) for key, tag in _PATIENT_TAGS.items()}


def _written(baseline: Any, volume: Any, path: Path) -> bool:
    """False where the AI found nothing: there is no mask to write."""
    codes = codes_in(baseline)
    try:
        segments_on(baseline, codes, volume)
    except UserError:
        return False
    write_segments(baseline, codes, volume, path)
    return True
