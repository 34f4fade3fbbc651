"""The one table of label codes: every file, card and segment speaks these. Adding a structure is adding a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LIVER = 1
LESION = 2


@dataclass(frozen=True)
class Label:
    """One structure: how it is called in files (`key`), on screen, in colour and in SNOMED CT."""

    key: str
    name: str
    colour: tuple[int, int, int]  # sRGB, 0-255; they differ for colour-blind readers, and from grey (test_report)
    snomed: tuple[str, str]  # code value, code meaning
    laterality: str = ""  # "Right" | "Left" for paired organs


LABELS: dict[int, Label] = {
    1: Label("liver", "Liver", (230, 159, 0), ("10200004", "Liver")),
    2: Label("lesion", "Liver lesion", (213, 94, 0), ("52988006", "Lesion")),
    3: Label("spleen", "Spleen", (180, 60, 255), ("78961009", "Spleen")),
    4: Label("kidney_right", "Right kidney", (0, 255, 150), ("64033007", "Kidney"), "Right"),
    5: Label("kidney_left", "Left kidney", (86, 180, 233), ("64033007", "Kidney"), "Left"),
    6: Label("gallbladder", "Gallbladder", (0, 114, 78), ("28231008", "Gallbladder")),
    7: Label("stomach", "Stomach", (240, 228, 66), ("69695003", "Stomach")),
    8: Label("aorta", "Aorta", (200, 40, 40), ("15825003", "Aorta")),
    9: Label("inferior_vena_cava", "Inferior vena cava", (0, 114, 178), ("64131007", "Inferior vena cava")),
    10: Label("portal_splenic_vein", "Portal and splenic vein", (60, 90, 200), ("32764006", "Portal vein")),
    11: Label("pancreas", "Pancreas", (180, 150, 110), ("15776009", "Pancreas")),
    12: Label("oesophagus", "Oesophagus", (150, 110, 150), ("32849002", "Esophagus")),
    13: Label("adrenals", "Adrenal glands", (120, 120, 120), ("23451007", "Adrenal gland")),
}

PARENCHYMA = "Liver without lesions"
_ANATOMY = "Segmentation category and type - 3D Slicer General Anatomy list"
_CATEGORY = {False: "SCT^123037004^Anatomical Structure", True: "SCT^49755003^Morphologically Altered Structure"}
_SIDES = {"": "^^", "Right": "SCT^24028007^Right", "Left": "SCT^7771000^Left"}
_NAMES = {label.key: label.name for label in LABELS.values()} | {"liver_parenchyma": PARENCHYMA}


def name_of(structure: str) -> str:
    """How a reader calls a structure: a label's own name, else its key in words."""
    return _NAMES.get(structure, structure.replace("_", " ").capitalize())


def segment_name(code: int, codes: Sequence[int]) -> str:
    """A liver beside lesions is only what they leave of it, and is called so."""
    return PARENCHYMA if code == LIVER and LESION in codes else LABELS[code].name


def terminology(code: int) -> str:
    """Category, type and side of a structure in the seven parts that 3D Slicer writes on a segment."""
    label = LABELS[code]
    value, meaning = label.snomed
    return f"{_ANATOMY}~{_CATEGORY[code == LESION]}~SCT^{value}^{meaning}~{_SIDES[label.laterality]}~Anatomic codes - DICOM master list~^^~^^"
