"""DLDS, the Duke Liver Dataset: MR of many sequences, cirrhosis included, with masks in DICOM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..cases import Case
from ._dicom import DicomMasks
from ._files import files_below, folders_below, plain, rows_of
from ._layout import Layout, refused

_PHASES = {
    "B": "mr_t1_native", "G": "mr_t1_in", "H": "mr_t1_opposed", "K": "mr_t1_portal", "C": "mr_t1_arterial",
    "O": "mr_t1_arterial", "E": "mr_t1_delayed",
}  # fmt: skip


def _find(folder: Path) -> Iterator[Case]:
    letters = _letters(folder)
    seen: set[str] = set()
    for place, match in folders_below(folder, r"(?P<patient>\d{4})/(?P<series>\d+)"):
        images, masks = place / "images", place / "masks"
        if not images.is_dir() and not masks.is_dir():
            continue  # of Series_Classification, which has no masks
        patient, series = match["patient"], match["series"]
        name = f"dlds_{patient}_{series}"
        phase = _PHASES.get(letters.get((plain(patient), plain(series)), ""), "mr_unknown")
        if name in seen:
            yield refused(name, phase, "case_twice", f"{name} is there twice (again in {place}); keep one of them")
        elif not images.is_dir() or not masks.is_dir():
            code, lost = ("image_missing", images) if not images.is_dir() else ("labels_missing", masks)
            yield refused(name, phase, code, f"{lost} is missing; unpack the archive again")
        else:
            reader = DicomMasks(images, masks, {"": 1}, "MR", two_levels=True)
            yield Case(name, images, masks, phase, (1,), f"dlds_{patient}", reader)
        seen.add(name)


def _letters(folder: Path) -> dict[tuple[str, str], str]:
    """(patient, series) -> the letter of its sequence, by SegmentationKey.csv below the folder or beside it."""
    found = next(
        (path for path, _ in files_below(folder, r"SegmentationKey\.csv")), folder.parent / "SegmentationKey.csv"
    )
    if not found.exists():
        return {}
    return {(plain(row.get("DLDS", "")), plain(row.get("Series", ""))): row.get("Label", "") for row in rows_of(found)}


LAYOUT = Layout(
    title="DLDS, Duke Liver Dataset",
    licence="by request at Zenodo, non-commercial",
    citation="Macdonald et al., Duke Liver Dataset: A Publicly Available Liver MRI Dataset with Liver Segmentation Masks and "
    "Series Labels, Radiology: Artificial Intelligence 5 (2023) e220275",
    address="https://zenodo.org/records/7774566",
    phase="MR, by SegmentationKey.csv: native, in and opposed phase, arterial, portal venous, delayed",
    labels={"above 0": 1},
    split="none: four series of a patient are alike, so split by patient",
    expects="Segmentation/NNNN/SERIES/images and masks with *.dicom, SegmentationKey.csv beside them",
    find=_find,
)
