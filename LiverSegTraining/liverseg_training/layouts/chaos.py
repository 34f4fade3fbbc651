"""CHAOS: healthy livers on CT, and on MR in three sequences, with masks as PNG pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..cases import Case
from ._files import folders_below
from ._layout import Layout, Refused, refused
from ._pictures import Pictures

_SPANS = {
    (55, 70): 1,
    (110, 135): 4,
    (175, 200): 5,
    (240, 255): 3,
    (28, 35): 0,
}  # grey values on MR; above 0 is not liver
_MR = {value: code for (low, high), code in _SPANS.items() for value in range(low, high + 1)}
_CT = dict.fromkeys(range(1, 256), 1)
_SEQUENCES = {  # folder of the sequence, of the slices, echo where both lie together -> phase and the end of the id
    ("T1DUAL", "DICOM_anon/InPhase", "in"): ("mr_t1_in", "t1in"),
    ("T1DUAL", "DICOM_anon/OutPhase", "opposed"): ("mr_t1_opposed", "t1out"),
    ("T2SPIR", "DICOM_anon", ""): ("mr_t2fs", "t2spir"),
}


def _find(folder: Path) -> Iterator[Case]:
    """Sets without Ground (the test set) are no cases; a training case without it is refused."""
    seen: set[str] = set()
    for place, match in folders_below(folder, r"(?P<kind>CT|MR)/(?P<key>\d+)"):
        kind, key = match["kind"], match["key"]
        for case in _on_ct(place, key) if kind == "CT" else _on_mr(place, key):
            if case.id in seen:
                yield refused(
                    case.id, case.phase, "case_twice", f"{case.id} is there twice (again in {place}); keep one of them"
                )
            elif not (isinstance(case.reader, Refused) and "Test_Sets" in place.parts):
                yield case
            seen.add(case.id)


def _on_ct(place: Path, key: str) -> Iterator[Case]:
    if (place / "DICOM_anon").is_dir():
        yield _case(f"chaos_ct_{key}", "ct_portal", place / "DICOM_anon", place / "Ground", "")


def _on_mr(place: Path, key: str) -> Iterator[Case]:
    for (sequence, folder, echo), (phase, end) in _SEQUENCES.items():
        slices = place / sequence / folder
        together = place / sequence / "DICOM_anon"  # older releases hold both echoes in one folder
        if slices.is_dir():
            yield _case(f"chaos_mr_{key}_{end}", phase, slices, place / sequence / "Ground", "")
        elif together.is_dir():
            yield _case(f"chaos_mr_{key}_{end}", phase, together, place / sequence / "Ground", echo)


def _case(name: str, phase: str, slices: Path, ground: Path, echo: str) -> Case:
    if not ground.is_dir():
        return refused(name, phase, "labels_missing", f"{ground} is missing; unpack the archive again")
    values, modality = (_CT, "CT") if phase.startswith("ct") else (_MR, "MR")
    annotated = (1,) if modality == "CT" else (1, 3, 4, 5)
    patient = "_".join(name.split("_")[:3])  # the three sequences of an MR are of one patient; CTs are of others
    return Case(name, slices, ground, phase, annotated, patient, Pictures(slices, ground, values, modality, echo))


LAYOUT = Layout(
    title="CHAOS, Combined Healthy Abdominal Organ Segmentation",
    licence="CC BY-NC-SA 4.0",
    citation="Kavur et al., CHAOS Challenge - combined (CT-MR) healthy abdominal organ segmentation, Medical Image Analysis "
    "69 (2021) 101950",
    address="https://zenodo.org/records/3431873",
    phase="CT portal venous; MR T1 in and opposed phase, T2-SPIR",
    labels={"CT above 0": 1, **{f"MR {low} to {high}": code for (low, high), code in _SPANS.items()}},
    split="20 labelled CT and 20 labelled MR patients (others than those on CT); the test sets have no masks",
    expects="CT/ID/DICOM_anon and Ground, MR/ID/T1DUAL and T2SPIR with DICOM_anon and Ground",
    find=_find,
    liver_hu=(60.0, 160.0),  # outside of it masks belong to other slices
)
