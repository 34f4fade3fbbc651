"""Masks -> our label codes, Slicer's .seg.nrrd included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..geometry import grid_of
from ..labels import LABELS
from ..records import LabelMask
from .files import check_nrrd, core_of


def as_codes(voxels: np.ndarray, source: str) -> np.ndarray:
    """uint8 codes; refuses fractions, negatives and codes that are not in the table."""
    whole = voxels.dtype.kind != "f" or (np.isfinite(voxels).all() and np.array_equal(voxels, np.round(voxels)))
    if not whole:
        raise InputError(
            f"{source} holds fractions or NaN; expected whole label codes (1 liver, 2 lesion, 3 spleen, ...)"
        )
    present = {int(code) for code in np.unique(voxels)}
    strange = sorted(present - LABELS.keys() - {0})
    if strange:
        raise InputError(
            f"{source} holds the codes {strange[:8]}, which are not in the table; known: 0 to {max(LABELS)}"
        )
    return voxels.astype(np.uint8)


def read_segmentation(path: Path) -> LabelMask:
    """A Slicer segmentation: each segment's code follows from its name or its SNOMED code; without segments, the voxels are codes."""
    check_nrrd(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as problem:
        raise InputError(f"{path} cannot be read: {core_of(problem)}") from None
    header = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    layers = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() == 1:
        layers = layers[..., None]
    out = np.zeros(layers.shape[:3], np.uint8)
    count = 0
    while f"Segment{count}_ID" in header:
        prefix = f"Segment{count}"
        value, layer = int(header.get(f"{prefix}_LabelValue", "1")), int(header.get(f"{prefix}_Layer", "0"))
        out[layers[..., layer] == value] = _code_of(header, prefix, path)
        count += 1
    if count == 0:
        out = as_codes(layers[..., 0], str(path))
    return LabelMask(out, grid_of(image))


def _code_of(header: dict[str, str], prefix: str, path: Path) -> int:
    name, tags = header.get(f"{prefix}_Name", ""), header.get(f"{prefix}_Tags", "")
    for code, label in LABELS.items():
        if name.casefold() in (label.name.casefold(), label.key) or name == f"{label.name} without lesions":
            return code
    for code, label in LABELS.items():
        if not label.laterality and f"^{label.snomed[0]}^" in tags:
            return code
    raise InputError(
        f"{path}: the segment {name!r} is none of ours; rename it to one of: {', '.join(v.name for v in LABELS.values())}"
    )
