"""CT cases -> the same cases with made-up lesions in their livers, as a data folder with the split of its source."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from liverseg_core.case_folder import IMAGE, LABELS_FILE
from liverseg_core.errors import InputError
from liverseg_core.geometry import as_image
from liverseg_core.labels import LESION, LIVER
from liverseg_core.output import check_output, written_whole
from liverseg_core.records import LabelMask, Scan

from .cases import Case, data_folder, list_cases
from .diary import say
from .lesions import Lesion, implanted
from .splits import NEVER, read_split

NOTE = "real CT with made-up lesions, no finding of a patient"
PREFIX = "lesions_"
_SPLIT = "split.json"


def simulate_files(
    data: str, include: Sequence[str], out: Path, *, seed: int = 0, each: int = 1, overwrite: bool = False
) -> int:
    """`each` scans with lesions of every CT case with a liver that matches, whole or not at all; how many. Cases that the
    split file keeps out of training are left out; those that validate there do so here."""
    folder = data_folder(data)
    check_output(out, overwrite=overwrite, inputs=(folder,))
    held, never = read_split(folder / _SPLIT) if (folder / _SPLIT).exists() else (set[str](), set[str]())
    found = [case for case in list_cases(folder, include) if case.id not in never]
    able = [case for case in found if case.modality == "CT" and LIVER in case.annotated]
    if not able or each < 1:
        raise InputError(
            f"{len(able)} of {len(found)} cases are CT with a liver, {each} scans of each: expected one at least of both"
        )
    validation: list[str] = []
    with written_whole(out) as place:
        for case in able:
            scan, labels = case.read()
            for n in range(each):
                name = f"{PREFIX}{case.id}" + (f"_{n + 1}" if n else "")
                lesions = _save(case, scan, labels, _seeds(seed, case, n), place / "cases" / name)
                validation += [name] * (case.id in held)
                say(f"{name}: {len(lesions)} lesions, {sum(lesion.volume_ml for lesion in lesions):.1f} ml")
        split = {"note": f"as {folder / _SPLIT}", "validation": validation, NEVER: []}
        (place / _SPLIT).write_text(json.dumps(split, indent=1) + "\n", encoding="utf-8")
    return len(able) * each


def _seeds(seed: int, case: Case, n: int) -> np.random.Generator:
    """Of one scan, whatever others are made beside it."""
    return np.random.default_rng((seed, zlib.crc32(case.id.encode()), n))


def _save(case: Case, scan: Scan, labels: LabelMask, rng: np.random.Generator, folder: Path) -> tuple[Lesion, ...]:
    """image.nii.gz, labels.nii.gz with code 2, and meta.json with every lesion."""
    image, codes, lesions = implanted(scan.voxels, labels.voxels, scan.grid.spacing_mm, rng)
    folder.mkdir(parents=True)
    for file, voxels in ((IMAGE, np.round(image).astype(np.int16)), (LABELS_FILE, codes)):
        written = as_image(voxels, scan.grid)
        written.SetMetaData("ITK_FileNotes", NOTE)
        sitk.WriteImage(written, str(folder / file), useCompression=True)
    ml = {str(code): round(float((codes == code).sum()) * scan.grid.voxel_ml, 2) for code in {*case.annotated, LESION}}
    meta = {
        "id": folder.name, "dataset": NOTE, "simulated": True, "modality": "CT", "phase": case.phase,
        "terms": "those of the scan that it was made from", "made_from": case.id, "patient": case.patient or case.id,
        "labels_ml": dict(sorted(ml.items(), key=lambda row: int(row[0]))),
        "lesions": [asdict(lesion) for lesion in lesions],
    }  # fmt: skip
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    return lesions
