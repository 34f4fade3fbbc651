"""What segments are called: the facts by which they are matched, and the list of our structures for Slicer's selector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import slicer
import vtk
from liverseg_core.labels import LABELS, LESION, LIVER, PARENCHYMA, terminology

from ..pairs import SegmentFacts

TERM_FILE = Path(__file__).parents[2] / "Resources" / "LiverSeg.term.json"
CONTEXT = "Segmentation category and type - LiverSeg"  # how the list is called beside Slicer's own
_COUINAUD = {  # SNOMED CT; no list that Slicer ships has them. Colours that differ for colour-blind readers
    "71133005": ("Liver segment I (caudate lobe)", (204, 121, 167)),
    "277956007": ("Liver segment II", (230, 159, 0)),
    "277957003": ("Liver segment III", (86, 180, 233)),
    "277958008": ("Liver segment IV", (0, 158, 115)),
    "277959000": ("Liver segment V", (240, 228, 66)),
    "277960005": ("Liver segment VI", (0, 114, 178)),
    "277961009": ("Liver segment VII", (213, 94, 0)),
    "277962002": ("Liver segment VIII", (150, 110, 150)),
}
_TYPES = {SegmentFacts("", "", terminology(code)).type: code for code in LABELS}  # (SNOMED code, code of the side)
_NAMES = {word: code for code, label in LABELS.items() for word in (label.key, label.name.casefold())}
_NAMES |= {PARENCHYMA.casefold(): LIVER, "liver_parenchyma": LIVER}


def facts_of(segmentation: Any) -> list[SegmentFacts]:
    """Its segments, in their order; none of None."""
    if segmentation is None:
        return []
    inner = segmentation.GetSegmentation()
    entry = slicer.vtkSegment.GetTerminologyEntryTagName()
    segments = ((id_, inner.GetSegment(id_)) for id_ in inner.GetSegmentIDs())
    return [SegmentFacts(id_, segment.GetName(), tag_of(segment, entry) or "") for id_, segment in segments]


def code_of(facts: SegmentFacts) -> int | None:
    """The code of LABELS, by terminology where that says one of ours, else by name; None for the user's own structures."""
    kind, side = facts.type
    known = _TYPES.get((kind, side)) or _TYPES.get((kind, ""))
    return known or _NAMES.get(facts.name.strip().casefold())


def codes_in(segmentation: Any) -> dict[str, int]:
    """Segment id -> code of LABELS, for the segments that have one."""
    return {facts.id: code for facts in facts_of(segmentation) if (code := code_of(facts)) is not None}


def helper_ids(segmentation: Any) -> list[str]:
    """The segments of the organs around the liver, which help a model and are hidden at first."""
    return [id_ for id_, code in codes_in(segmentation).items() if code not in (LIVER, LESION)]


def tag_of(segment: Any, name: str) -> str | None:
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else None


def load_terminology() -> str:
    """Offer our structures in Slicer's terminology selector; returns the name of their list there."""
    logic = slicer.modules.terminologies.logic()
    loaded = vtk.vtkStringArray()
    logic.GetLoadedTerminologyNames(loaded)
    if CONTEXT not in {loaded.GetValue(n) for n in range(loaded.GetNumberOfValues())}:
        logic.LoadTerminologyFromFile(str(TERM_FILE))
    return CONTEXT


def term_json() -> str:
    """The content of TERM_FILE: every row of LABELS, and Couinaud's segments."""
    categories: dict[str, dict[str, Any]] = {}
    for code, label in LABELS.items():
        _context, category, kind, side, *_ = terminology(code).split("~")
        types = categories.setdefault(category, {})
        shown = {"recommendedDisplayRGBValue": list(label.colour), "3dSlicerLabel": label.name}
        if label.laterality:
            types.setdefault(kind, {**_coded(kind), "Modifier": []})["Modifier"].append({**_coded(side), **shown})
        else:
            types[kind] = {**_coded(kind), **shown}
    anatomy = terminology(LIVER).split("~")[1]
    for value, (meaning, colour) in _COUINAUD.items():
        shown = {"recommendedDisplayRGBValue": list(colour), "3dSlicerLabel": meaning}
        categories[anatomy][value] = {**_coded(f"SCT^{value}^{meaning}"), **shown}
    content = {
        "SegmentationCategoryTypeContextName": CONTEXT,
        "@schema": "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/segment-context-schema.json#",
        "SegmentationCodes": {
            "Category": [
                {**_coded(category), "showAnatomy": "true", "Type": list(types.values())}
                for category, types in categories.items()
            ]
        },
    }
    return json.dumps(content, indent=1) + "\n"


def _coded(entry: str) -> dict[str, str]:
    scheme, value, meaning = entry.split("^")
    return {"CodingSchemeDesignator": scheme, "CodeValue": value, "CodeMeaning": meaning}
