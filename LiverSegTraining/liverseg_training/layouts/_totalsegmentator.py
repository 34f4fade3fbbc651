"""What both data sets of TotalSegmentator share: a folder a subject, a binary file a structure, a table with the split."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..cases import Case
from ._files import files_below, folders_below, rows_of
from ._layout import refused
from ._volumes import Layer, Volume, painted_order

STRUCTURES = {
    "liver": 1, "spleen": 3, "kidney_right": 4, "kidney_left": 5, "gallbladder": 6, "stomach": 7, "aorta": 8,
    "inferior_vena_cava": 9, "portal_vein_and_splenic_vein": 10, "pancreas": 11, "esophagus": 12,
    "adrenal_gland_right": 13, "adrenal_gland_left": 13,
}  # fmt: skip
_HEADER = 352  # bytes before the voxels of a NIfTI-1 file
_PARTS = (("train", "training"), ("val", "validation"), ("test", "test"))  # later versions have other splits


def subjects(folder: Path, name: str, image: str, phase: str) -> Iterator[Case]:
    """A case for each subject whose liver file is not empty: many scans show no liver, and that is no fault."""
    parts = _parts(folder)
    seen: set[str] = set()
    for place, match in folders_below(folder, r"(?P<key>s\d+)"):
        key, scan, drawn = match["key"], place / image, place / "segmentations"
        liver = drawn / "liver.nii.gz"
        if not scan.exists() and not drawn.exists():
            continue
        if key in seen:
            yield refused(
                f"{name}_{key}", phase, "case_twice", f"{key} is there twice (again in {place}); keep one of them"
            )
        elif not scan.exists():
            yield refused(f"{name}_{key}", phase, "image_missing", f"{place} has no {image}; unpack the archive again")
        elif not liver.exists():
            yield refused(f"{name}_{key}", phase, "labels_missing", f"{liver} is missing; unpack the archive again")
        elif _holds_something(liver):
            yield _case(f"{name}_{key}", place, image, phase, parts.get(key, ""))
        seen.add(key)


def _case(name: str, place: Path, image: str, phase: str, part: str) -> Case:
    files = {place / "segmentations" / f"{structure}.nii.gz": code for structure, code in STRUCTURES.items()}
    there = {file: code for file, code in files.items() if file.exists()}
    layers = tuple(
        Layer(file, dict.fromkeys(range(1, 256), code))
        for wanted in painted_order(sorted(set(there.values())))
        for file, code in there.items()
        if code == wanted
    )
    annotated = tuple(sorted(set(there.values())))
    liver = place / "segmentations" / "liver.nii.gz"
    return Case(name, place / image, liver, phase, annotated, name, Volume(place / image, layers), part)


def _parts(folder: Path) -> dict[str, str]:
    found = next((path for path, _ in files_below(folder, r"meta\.csv")), None)
    if found is None:
        return {}
    told = {row.get("image_id", ""): row.get("split", "").lower() for row in rows_of(found)}
    return {key: next((part for word, part in _PARTS if said.startswith(word)), "") for key, said in told.items()}


def _holds_something(mask: Path) -> bool:
    """Whether any voxel is drawn, read no further than to the first; what is damaged is found when it is read."""
    try:
        with gzip.open(mask, "rb") as file:
            file.read(_HEADER)
            while block := file.read(1 << 20):
                if block.count(0) != len(block):
                    return True
    except (OSError, EOFError, zlib.error):
        return True
    return False
