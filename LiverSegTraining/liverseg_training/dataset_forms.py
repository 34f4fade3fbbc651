"""The two forms that a data set is converted to. A case appears whole or not at all, and its record last."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from liverseg_core.case_folder import IMAGE, LABELS_FILE
from liverseg_core.errors import OutputError
from liverseg_core.geometry import as_image
from liverseg_core.labels import LABELS, LESION, LIVER
from liverseg_core.output import written_whole
from liverseg_core.reading.nifti import check as check_nifti
from liverseg_core.records import LabelMask, Scan
from liverseg_core.reporting.cases import shortest

from .cases import Case
from .dataset_look import digest_of
from .layouts._layout import Layout
from .layouts.nnunet import MANIFEST
from .splits import NEVER

BEGUN = ".conversion.json"  # what a folder is being filled with
_RECORDS = "origins"  # of nnU-Net, beside imagesTr
_META = "meta.json"
_KEY = "converted_from"


def record_of(case: Case, scan: Scan, mask: LabelMask, row: Layout, key: str) -> dict[str, Any]:
    """What stays known of a case: meta.json of the case layout, a line of the provenance."""
    volumes = {code: float(np.count_nonzero(mask.voxels == code)) * mask.grid.voxel_ml for code in case.annotated}
    return {
        "id": case.id, "dataset": row.title, "licence": row.licence, "modality": case.modality, "phase": case.phase,
        "patient": case.patient or case.id, "part": case.part, "source": case.source or case.id,
        "labels_ml": {str(code): round(ml, 1) for code, ml in volumes.items()}, "shape_ijk": list(scan.grid.size),
        "spacing_mm": list(scan.grid.spacing_mm), "seen_through": [notice.text for notice in scan.notices],
        "digest": digest_of(scan), _KEY: key,
    }  # fmt: skip


def kept(name: str, form: str, out: Path, key: str) -> dict[str, Any] | None:
    """The record of a case that is there already, made of the same files."""
    path = out / name / _META if form == "cases" else out / _RECORDS / f"{name}.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if record.get(_KEY) == key else None


def write_case(name: str, scan: Scan, mask: LabelMask, record: dict[str, Any], out: Path) -> None:
    """A folder of layout `cases`."""
    with written_whole(out / name) as room:
        _save(room / IMAGE, shortest(scan.voxels), scan)
        _save(room / LABELS_FILE, mask.voxels, scan)
        (room / _META).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def write_nnunet(
    name: str, scan: Scan, mask: LabelMask, record: dict[str, Any], out: Path, *, codes: tuple[int, ...]
) -> None:
    """imagesTr/NAME_0000.nii.gz and labelsTr/NAME.nii.gz, or Ts for the test part; labels count from 1 without gaps."""
    where = "Ts" if record["part"] == "test" else "Tr"
    table = np.zeros(max(LABELS) + 1, np.uint8)
    for value, code in enumerate(codes, start=1):
        table[code] = value
    if LESION not in codes and LIVER in codes:
        table[LESION] = table[LIVER]  # a lesion that is not told apart is liver
    room = Path(tempfile.mkdtemp(prefix=f".{name[:40]}.", dir=out))
    try:
        image, labels, facts = room / f"{name}_0000.nii.gz", room / f"{name}.nii.gz", room / f"{name}.json"
        _save(image, shortest(scan.voxels), scan)
        _save(labels, table[mask.voxels], scan)
        facts.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        for file, folder in ((image, f"images{where}"), (labels, f"labels{where}"), (facts, _RECORDS)):
            (out / folder).mkdir(exist_ok=True)
            file.replace(out / folder / file.name)
    except OSError as problem:
        raise OutputError(f"{name} cannot be written to {out}: {problem.strerror or problem}") from None
    finally:
        shutil.rmtree(room, ignore_errors=True)


def finish_cases(out: Path, row: Layout, codes: tuple[int, ...], records: Sequence[dict[str, Any]]) -> None:  # noqa: ARG001
    """split.json where the data set has a split of its own."""
    parts = {part: [r["id"] for r in records if r["part"] == part] for part in ("validation", "test")}
    if parts["validation"] or parts["test"]:
        note = f"the split of {row.title}"
        split = {"note": note, "validation": parts["validation"], NEVER: parts["test"]}
        save_text(out / "split.json", json.dumps(split, indent=1))


def finish_nnunet(out: Path, row: Layout, codes: tuple[int, ...], records: Sequence[dict[str, Any]]) -> None:
    """dataset.json, the manifest of what it has no place for, and the data set's split where it has one."""
    modalities = {record["modality"] for record in records}
    training = [record for record in records if record["part"] != "test"]
    described = {
        "channel_names": {"0": "CT" if modalities == {"CT"} else "MR"},
        "labels": {"background": 0, **{LABELS[code].key: n for n, code in enumerate(codes, start=1)}},
        "numTraining": len(training), "file_ending": ".nii.gz", "name": row.title, "licence": row.licence,
        "reference": row.citation,
    }  # fmt: skip
    save_text(out / "dataset.json", json.dumps(described, indent=1))
    told = io.StringIO()
    writer = csv.DictWriter(told, ["case", "phase", "patient", "part", "source"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {"case": r["id"], **{key: r[key] for key in ("phase", "patient", "part", "source")}} for r in records
    )
    save_text(out / MANIFEST, told.getvalue())
    held = [r["id"] for r in training if r["part"] == "validation"]
    if held:
        train = [r["id"] for r in training if r["part"] != "validation"]
        save_text(out / "splits_final.json", json.dumps([{"train": train, "val": held}], indent=1))


def save_text(path: Path, text: str) -> None:
    """Beside, then renamed."""
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _save(path: Path, voxels: np.ndarray, scan: Scan) -> None:
    """OutputError where the file does not hold what was written: a full disk is not always said to be one."""
    try:
        sitk.WriteImage(as_image(voxels, scan.grid), str(path), useCompression=True)
        check_nifti(path)
    except Exception as problem:
        reason = str(problem).strip().splitlines()
        raise OutputError(
            f"{path.name} cannot be written to {path.parent.parent}: {reason[-1] if reason else 'no reason given'}"
        ) from None
