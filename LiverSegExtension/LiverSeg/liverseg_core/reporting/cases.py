"""Scan and masks -> the files of a training case, which carry voxels and geometry and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..case_folder import AI, IMAGE, LABELS_FILE, CaseFacts
from ..errors import OutputError
from ..geometry import as_image
from ..records import LabelMask, Scan

_TELLTALES = (
    "descrip",
    "aux_file",
    "intent_name",
    "ITK_FileNotes",
    "db_name",
)  # fields of a NIfTI header that hold text


def save_case(scan: Scan, labels: LabelMask, ai: LabelMask | None, facts: CaseFacts, folder: Path) -> None:
    """image, labels, ai (where there is one) and case.json; OutputError when a header would carry text along.

    Images are made anew from voxels and geometry, so that no tag of the source can travel; the headers are read
    back all the same. What is burnt into the pixels cannot be seen here.
    """
    files = {IMAGE: as_image(shortest(scan.voxels), scan.grid), LABELS_FILE: as_image(labels.voxels, labels.grid)}
    if ai is not None:
        files[AI] = as_image(ai.voxels, ai.grid)
    for name, image in files.items():
        sitk.WriteImage(image, str(folder / name), useCompression=True)
        said = carried(folder / name)
        if said:
            raise OutputError(f"the header of {name} would carry text along ({', '.join(said)}); nothing was written")
    facts.save(folder)


def carried(path: Path) -> list[str]:
    """The fields of an image header that hold text."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return [key for key in _TELLTALES if reader.HasMetaDataKey(key) and reader.GetMetaData(key).strip()]


def shortest(voxels: np.ndarray) -> np.ndarray:
    """Whole numbers of 16 bits where nothing is lost by it: a third of the file."""
    if np.issubdtype(voxels.dtype, np.floating) and np.abs(voxels).max(initial=0) < 2**15:
        whole = voxels.astype(np.int16)
        if np.array_equal(whole, voxels):
            return whole
    return voxels
