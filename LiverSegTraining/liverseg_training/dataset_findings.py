"""What `dataset check` says of a case: the records that workers send back, and the table of kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# kind -> what it means, for the page and the docs. What is not listed here is a remark: it was seen through, or is odd
# and no reason to leave the case out.
FAULTS: Mapping[str, str] = {
    "unreadable": "a file cannot be read",
    "image_missing": "labels without an image",
    "image_ambiguous": "labels that may belong to several images",
    "labels_missing": "an image that should have labels has none",
    "label_unknown": "a mask shows a structure that we have no code for",
    "case_twice": "the same case lies there twice, as after unpacking twice",
    "facts_unreadable": "meta.json or case.json cannot be used",
    "split_unreadable": "split.json is not a split",
    "split_names_nobody": "split.json names a case that is not there",
    "grids_differ": "image and labels do not lie on the same grid",
    "labels_outside_map": "the labels hold values that the data set does not know",
    "slices_unpaired": "slices and masks cannot be assigned to each other",
    "slices_repeated": "files that say they are the same slice",
    "slices_missing": "a folder of slices without slices",
    "slices_unplaced": "slices that do not say where they lie",
    "echoes_unclear": "a folder of two echoes holds another number of echo times",
    "identity_affine": "the true spacing is lost (LiTS 28 to 47)",
    "spacing": "voxels of an impossible size",
    "nan_voxels": "the image holds values that are no numbers",
    "not_hu": "a CT whose values are not HU: nothing is as dark as air",
    "liver_missing": "the liver was annotated, and nothing is drawn",
    "liver_intensity": "the mean HU inside the liver is not that of a liver: masks of other slices, or other units",
    "mask_flipped": "the mask fits the image better when it is turned round",
    "mask_everywhere": "more than half of the scan is liver",
    "empty_slices": "slices in the middle of the liver without a mask",
    "liver_on_the_left": "the liver lies on the patient's left",
    "kidneys_swapped": "the right kidney lies left of the left one",
    "upside_down": "the liver lies below the kidneys, or the lungs below the liver",
    "back_to_front": "the liver lies behind the kidneys",
    "annotated_unsaid": "codes are drawn that the case does not name as annotated",
    "same_voxels": "two cases have the same voxels",
    "same_scan": "two data sets published the same scan",
    "same_patient": "a patient is on two sides of the split",
    "died": "the process that worked on it ended without a word",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that had to be seen through."""

    case: str
    kind: str
    text: str

    @property
    def fault(self) -> bool:
        return self.kind in FAULTS


@dataclass(frozen=True)
class Looked:
    """A case after its check. What could not be determined is NaN, empty or ()."""

    case: str
    layout: str
    phase: str
    part: str
    patient: str
    source: str
    size: tuple[int, ...] = ()  # (i, j, k)
    spacing_mm: tuple[float, ...] = ()
    annotated: tuple[int, ...] = ()
    liver_ml: float = float("nan")  # lesions included
    liver_mean: float = float("nan")  # HU on CT
    digest: str = ""  # of the voxels, whatever way they are stored
    findings: tuple[Finding, ...] = ()
    thumbnail: bytes = b""  # PNG

    @property
    def faults(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.fault)

    def row(self) -> dict[str, str | float]:
        return {
            "case": self.case, "layout": self.layout, "phase": self.phase, "part": self.part, "patient": self.patient,
            "size": " x ".join(map(str, self.size)), "spacing_mm": " x ".join(f"{s:.3g}" for s in self.spacing_mm),
            "annotated": " ".join(map(str, self.annotated)), "liver_ml": self.liver_ml, "liver_mean": self.liver_mean,
            "faults": " ".join(sorted({f.kind for f in self.faults})),
            "remarks": " ".join(sorted({f.kind for f in self.findings if not f.fault})), "digest": self.digest,
        }  # fmt: skip
