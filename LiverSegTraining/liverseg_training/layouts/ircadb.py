"""3D-IRCADb-01: twenty CTs in DICOM, a folder (or a zip) for the patient and one folder a structure for the masks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..cases import Case
from ._dicom import DicomMasks, marks_in
from ._files import folders_below
from ._layout import Layout, refused
from ._volumes import painted_order

# Anchored: `tumor` (patient 7), `leftsurretumor` and `rightsurretumor` (5) are of the adrenals, cysts are no tumours.
# Not taken: portal vein, hepatic veins and arteries, which are drawn as far as each patient shows them.
_STRUCTURES = {
    r"liver": 1, r"livertumou?rs?\d*": 2, r"spleen": 3, r"rightkidney": 4, r"leftkidney": 5, r"gallbladder": 6,
    r"stomach": 7, r"pancreas": 11,
}  # fmt: skip


def _find(folder: Path) -> Iterator[Case]:
    seen: set[str] = set()
    for place, match in folders_below(folder, r"3Dircadb1\.(?P<key>\d+)"):
        name = f"ircadb_{int(match['key']):02d}"
        nested = place / place.name
        if name in seen:
            yield refused(
                name, "ct_unknown", "case_twice", f"{name} is there twice (again in {place}); keep one of them"
            )
        else:
            yield _case(name, match["key"], nested if nested.is_dir() else place)
        seen.add(name)


def _case(name: str, key: str, place: Path) -> Case:
    images, masks = (_either(place, part) for part in ("PATIENT_DICOM", "MASKS_DICOM"))
    if images is None:
        return refused(name, "ct_unknown", "image_missing", f"{place} has no PATIENT_DICOM; unpack the archive again")
    there = marks_in(masks).slices if masks is not None else {}
    if masks is None or "liver" not in there:
        return refused(
            name, "ct_unknown", "labels_missing", f"{place} has no MASKS_DICOM/liver; unpack the archive again"
        )
    codes = {structure: code for structure in sorted(there) if (code := _code(structure))}
    structures = {
        s: code for wanted in painted_order(sorted(set(codes.values()))) for s, code in codes.items() if code == wanted
    }
    annotated = tuple(sorted({1, 2, *codes.values()}))  # every liver was searched for tumours
    reader = DicomMasks(images, masks, structures, "CT")
    return Case(name, images, masks, "ct_unknown", annotated, name, reader, source=f"ircadb/{int(key)}")


def _code(structure: str) -> int:
    return next((code for rule, code in _STRUCTURES.items() if re.fullmatch(rule, structure, re.IGNORECASE)), 0)


def _either(place: Path, part: str) -> Path | None:
    """The folder, or the zip file that it came in."""
    return next((path for path in (place / part, place / f"{part}.zip") if path.exists()), None)


LAYOUT = Layout(
    title="3D-IRCADb-01",
    licence="CC BY-NC-ND 3.0: it may test, and never trains a model that is passed on",
    citation="Soler et al., 3D image reconstruction for comparison of algorithm database, IRCAD, Strasbourg, 2010",
    address="https://www.ircad.fr/research/data-sets/liver-segmentation-3d-ircadb-01/",
    phase="CT with contrast agent, the phase varies and is not said",
    labels=_STRUCTURES,
    split="none",
    expects="3Dircadb1.1 to 3Dircadb1.20 with PATIENT_DICOM and MASKS_DICOM, as zip files or folders",
    find=_find,
)
