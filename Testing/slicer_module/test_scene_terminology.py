"""What segments are called, and where a scan comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from liverseg_core.labels import LABELS, terminology
from liverseg_core.recognition import recognise

pytest.importorskip("slicer", reason="needs the slicer-core wheel (Python < 3.14)", exc_type=ImportError)


def test_the_terminology_file_is_what_the_table_of_labels_says() -> None:
    from LiverSegLib.scene.terminology import TERM_FILE, term_json

    assert TERM_FILE.read_text(encoding="utf-8") == term_json()


def test_the_terminology_file_is_plain_ascii_and_names_every_structure_once() -> None:
    from LiverSegLib.scene.terminology import TERM_FILE

    content = json.loads(TERM_FILE.read_text(encoding="ascii"))
    types = [t for category in content["SegmentationCodes"]["Category"] for t in category["Type"]]
    codes = [(t["CodeValue"], m.get("CodeValue", "")) for t in types for m in t.get("Modifier", [{}])]
    assert len(set(codes)) == len(codes) == len(LABELS) + 8  # Couinaud's
    assert {label.snomed[0] for label in LABELS.values()} <= {t["CodeValue"] for t in types}


def test_slicer_loads_the_file_and_finds_every_structure_in_it(app: Any) -> None:
    import slicer
    from LiverSegLib.scene import load_terminology

    context, logic = load_terminology(), slicer.modules.terminologies.logic()
    assert load_terminology() == context  # twice is once
    for code, label in LABELS.items():
        entry, found = slicer.vtkSlicerTerminologyEntry(), slicer.vtkSlicerTerminologyEntry()
        assert logic.DeserializeTerminologyEntry(terminology(code), entry)
        assert entry.GetTypeObject().GetCodeValue() == label.snomed[0]
        assert entry.GetTypeObject().GetCodingSchemeDesignator() == "SCT"
        assert logic.SerializeTerminologyEntry(entry) == terminology(code)  # nothing is lost on the way
        assert logic.FindTypeInTerminologyBy3dSlicerLabel(context, label.name, found)
        assert logic.SerializeTerminologyEntry(found).split("~")[1:4] == terminology(code).split("~")[1:4]
        told = found.GetTypeModifierObject() if label.laterality else found.GetTypeObject()
        assert tuple(told.GetRecommendedDisplayRGBValue()) == label.colour


@pytest.mark.parametrize(
    ("name", "entry", "code"),
    [
        ("anything", terminology(1), 1),
        ("anything", terminology(4), 4),
        ("Right kidney", terminology(5), 5),  # what it is coded as counts
        ("anything", terminology(1).replace("3D Slicer General Anatomy list", "other list"), 1),
        ("Liver", "", 1),
        (" liver ", "", 1),
        ("Liver without lesions", "", 1),
        ("liver_parenchyma", "", 1),
        ("Left kidney", "", 5),
        ("kidney_left", terminology(5).replace("SCT^7771000^Left", "^^"), 5),  # no side: its name tells
        ("Kidney", terminology(5).replace("SCT^7771000^Left", "^^"), None),
        ("liver", "x~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~x~^^~^^", 1),  # what Slicer gives to a new segment
        ("Segment_1", "", None),
        ("my liver", "", None),
        ("", "", None),
        ("Spleen", "no entry at all", 3),
    ],
)
def test_a_segment_is_known_by_terminology_then_by_name(name: str, entry: str, code: int | None) -> None:
    from LiverSegLib.pairs import SegmentFacts
    from LiverSegLib.scene import code_of

    assert code_of(SegmentFacts("id", name, entry)) == code


def test_facts_of_nothing_are_none(volume: Any) -> None:
    from LiverSegLib.scene import codes_in, facts_of
    from slicer_module.lab.volumes import liver_node

    assert facts_of(None) == []
    (fact,) = facts_of(liver_node(volume))
    assert (fact.id, fact.name, fact.type) == ("liver", "liver", ("", ""))
    assert codes_in(None) == {}


class Database:
    """Slicer's DICOM database, as far as it is asked."""

    isOpen = True  # noqa: N815

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values

    def instanceValue(self, uid: str, tag: str) -> str:
        assert uid == "1.2.3"
        return self.values.get(tag, "")


def test_dicom_tags_come_from_slicers_database_and_tell_the_phase(volume: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer
    from LiverSegLib.scene import tags_of

    values = {
        "0008,0060": "MR", "0008,103E": "t2_tse_fs_tra", "0018,0081": "80", "0008,0008": "ORIGINAL\\PRIMARY\\M",
        "0018,0080": "2000 ",
    }  # fmt: skip
    monkeypatch.setattr(slicer, "dicomDatabase", Database(values), raising=False)
    assert tags_of(volume) == {}  # not from the database
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    tags = tags_of(volume)
    assert tags["ImageType"] == ("ORIGINAL", "PRIMARY", "M")
    assert tags["RepetitionTime"] == "2000"
    assert "FlipAngle" not in tags
    assert recognise(tags).phase == "mr_t2fs"
    monkeypatch.setattr(Database, "isOpen", False)
    assert tags_of(volume) == {}
    monkeypatch.delattr(slicer, "dicomDatabase")
    assert tags_of(volume) == {}


def test_every_tag_has_the_number_of_the_standard_and_all_that_the_phase_is_told_by_are_there() -> None:
    import re

    from LiverSegLib.scene.volumes import DICOM_TAGS
    from pydicom.datadict import keyword_for_tag, tag_for_keyword

    for keyword, tag in DICOM_TAGS.items():
        assert tag_for_keyword(keyword) == int(tag.replace(",", ""), 16), keyword
    import liverseg_core.recognition as room

    source = "".join(path.read_text(encoding="utf-8") for path in Path(room.__file__).parent.glob("*.py"))
    asked = {word for word in re.findall(r'"([A-Z][A-Za-z]+)"', source) if tag_for_keyword(word) is not None}
    assert keyword_for_tag(tag_for_keyword("Modality")) == "Modality"
    assert asked <= DICOM_TAGS.keys()


def test_the_file_of_a_volume_is_known_when_it_was_loaded(volume: Any, tmp_path: Path) -> None:
    from LiverSegLib.scene import file_of
    from slicer_module.lab.volumes import loaded_volume

    assert file_of(volume) is None
    assert file_of(loaded_volume(tmp_path)) == tmp_path / "phantom.nrrd"
