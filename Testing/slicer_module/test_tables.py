"""Tables to show against what the real worker writes: every number arrives, and absent is not zero."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from liverseg_core.agreement.quantities import QUANTITIES
from liverseg_core.cli import main
from liverseg_core.geometry import Grid, as_image
from LiverSegLib import tables
from LiverSegLib.controller import UserError

GRID = Grid((24, 20, 16), (4.0, 4.0, 5.0))
VOXEL_ML = 0.08


def saved(path: Path, voxels: np.ndarray) -> Path:
    sitk.WriteImage(as_image(voxels.astype(np.uint8), GRID), str(path))
    return path


def abdomen(shift: int = 0, *, lesion: bool = False, spleen: bool = True) -> np.ndarray:
    """A liver of 12 x 10 x 8 voxels = 76.8 ml, with a lesion of 27 voxels in it, and a spleen of 64 voxels."""
    voxels = np.zeros(GRID.array_shape, np.uint8)
    voxels[4:12, 5:15, 4 + shift : 16 + shift] = 1
    if lesion:
        voxels[6:9, 8:11, 8:11] = 2
    if spleen:
        voxels[4:8, 8:12, 18:22] = 3
    return voxels


def measured(folder: Path, voxels: np.ndarray, *options: str) -> Path:
    assert main(["measure", str(saved(folder / "mask.nii.gz", voxels)), "--out", str(folder / "out"), *options]) == 0
    return folder / "out" / "report.json"


def test_every_agreement_quantity_arrives_with_its_definition(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "p.nii.gz", abdomen()), saved(tmp_path / "r.nii.gz", abdomen(shift=1))
    assert main(["compare", str(one), str(other), "--out", str(tmp_path / "out"), "--percentile", "90"]) == 0
    table = tables.agreement_table(tmp_path / "out" / "agreement.csv", {"liver": "Leber"})
    quantities = {line.quantity for line in table.lines if line.structure == "liver"}
    assert {row.key.format(percentile=90.0) for row in QUANTITIES} == quantities
    assert table.value("liver", "dsc") == pytest.approx(2 * 880 / 1920)
    dsc = table.lines[0]
    assert dsc.cells == ("Leber", "DSC", "0.9167", "", "")
    assert dsc.tip == "Leber: DSC\n2TP/(2TP+FP+FN)"
    assert table.rows[-1][0] == "Spleen"  # no name given: our own word
    assert all(line.tip for line in table.lines)


def test_the_csv_is_the_workers_own(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "p.nii.gz", abdomen()), saved(tmp_path / "r.nii.gz", np.zeros(GRID.array_shape))
    assert main(["compare", str(one), str(other), "--out", str(tmp_path / "out")]) == 0
    path = tmp_path / "out" / "agreement.csv"
    table = tables.agreement_table(path)
    again = tmp_path / "again.csv"
    again.write_text(table.csv(), encoding="utf-8", newline="")
    read = tables.agreement_table(again)
    assert read.rows == table.rows
    assert table.csv().splitlines()[0] == path.read_text(encoding="utf-8").splitlines()[0]
    recall = next(line for line in read.lines if line.quantity == "recall")
    assert recall.shown == ""
    assert "reference is empty" in recall.tip


def test_what_a_reader_looks_for_comes_first(tmp_path: Path) -> None:
    table = tables.measurements_table(measured(tmp_path, abdomen(lesion=True)), ("liver", "lesion", "spleen"))
    assert [(line.structure, line.quantity) for line in table.lines[:6]] == [
        ("liver", "volume"), ("liver_parenchyma", "volume"), ("lesion", "volume"), ("liver", "tumour_burden"),
        ("lesion", "count"), ("lesion", "largest_axial_diameter"),
    ]  # fmt: skip
    assert table.rows[0][:4] == ("Liver", "Volume", "76.8", "ml")
    assert table.rows[3][:4] == ("Liver", "Tumour burden", "2.8", "%")
    assert table.rows[4][2] == "1"
    assert tables.bars(table) == [
        ("Liver", pytest.approx(76.8)), ("Liver without lesions", pytest.approx(76.8 - 2.16)),
        ("Liver lesion", pytest.approx(2.16)), ("Spleen", pytest.approx(5.12)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("known", "model", "volume", "burden", "reason"),
    [
        (("liver", "spleen"), "any-phase", math.nan, math.nan, "the model any-phase has no lesion label"),
        (("liver", "spleen"), "", math.nan, math.nan, "the segmentation has no lesion segment"),
        (("liver", "lesion"), "any-phase", 0.0, 0.0, "the lesion segment is empty"),
    ],
)
def test_no_lesion_and_no_lesion_label_are_not_the_same(tmp_path, known, model, volume, burden, reason) -> None:
    table = tables.measurements_table(measured(tmp_path, abdomen()), known, model)
    assert table.value("lesion", "volume") == pytest.approx(volume, nan_ok=True)
    assert table.value("liver", "tumour_burden") == pytest.approx(burden, nan_ok=True)
    told = {
        line.cells[4]
        for line in table.lines
        if (line.structure, line.quantity) in {("lesion", "volume"), ("liver", "tumour_burden")}
    }
    assert told == {reason}


def test_a_cut_or_absent_liver_has_no_burden(tmp_path: Path) -> None:
    cut = np.roll(abdomen(spleen=False), -4, axis=0)
    table = tables.measurements_table(measured(tmp_path, cut), ("liver", "lesion"))
    assert math.isnan(table.value("liver", "tumour_burden"))
    assert "ends inside the liver" in next(line.reason for line in table.lines if line.quantity == "tumour_burden")
    assert any("ends inside" in text for text in tables.notices(tmp_path / "out" / "report.json"))
    (tmp_path / "none").mkdir()
    empty = tables.measurements_table(measured(tmp_path / "none", np.zeros(GRID.array_shape)), ("liver", "lesion"))
    assert math.isnan(empty.value("liver", "tumour_burden"))


def test_parts_carry_the_users_names_and_no_word_about_lesions(tmp_path: Path) -> None:
    parts = abdomen(spleen=False)
    parts[:, 10:, :][parts[:, 10:, :] == 1] = 2
    patient = tmp_path / "patient.json"
    patient.write_text(json.dumps({"height_cm": 170, "weight_kg": 70}), encoding="utf-8")
    report = measured(tmp_path, parts, "--remnant", "2", "--patient", str(patient))
    table = tables.parts_table(report, {1: "Right", 2: "Left lobe"})
    assert table.value("remnant", "flr") == pytest.approx(50.0)
    assert {line.structure for line in table.lines} == {"remnant", "part_1", "part_2"}
    assert "Left lobe" in {row[0] for row in table.rows}
    flr = next(line for line in table.lines if line.quantity == "flr")
    assert flr.reason.startswith("Lines: 20 %")
    whole = tables.Table((replace(flr, value=1.0),)).joined(table)
    assert whole.value("remnant", "flr") == 1.0
    assert len(whole.lines) == len(table.lines)


@pytest.mark.parametrize(
    ("key", "words"),
    [("dsc", "DSC"), ("asd_pred_to_ref", "ASD prediction to reference"), ("avd_ml", "AVD"), ("centroid_mm", "Centroid"),
     ("tumour_burden", "Tumour burden"), ("lesion_f1_iou10", "Lesion F1 IoU > 0.1"), ("hd97.5", "HD97.5"),
     ("volume_per_bsa", "Volume per BSA")],
)  # fmt: skip
def test_keys_are_read_as_words(key: str, words: str) -> None:
    assert tables.words(key) == words


def test_a_kept_table_comes_back_with_its_tips() -> None:
    table = tables.Table((tables.Line("liver", "rvd", math.nan, "1", "definition", "reason", "Leber"),))
    assert tables.Table.restored(table.kept()).rows == table.rows
    assert tables.Table.restored(table.kept()).tips == ["Leber: RVD\ndefinition\nreason"]
    assert tables.Table.restored("no table") == tables.Table.restored("W10K=") == tables.Table()


def test_the_clipboard_takes_tabs() -> None:
    table = tables.Table(
        (tables.Line("lesion", "count", 3.0, "1"), tables.Line("liver", "rvd", math.nan, "1", "d", "r"))
    )
    assert table.tabbed() == "Structure\tQuantity\tValue\tUnit\tNote\nLiver lesion\tCount\t3\t\t\nLiver\tRVD\t\t\tr\n"
    assert table.csv(tables.MEASURED).splitlines() == [
        "structure,quantity,value,unit,reason",
        "lesion,count,3.0,1,",
        "liver,rvd,,1,r",
    ]


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2\n", "structure,quantity,value,unit,definition,reason\na,b,1,1,d,r,too many\n", b"\xff\xfe\x00"],
)
def test_another_file_is_refused_in_a_sentence(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "agreement.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=r"agreement\.csv"):
        tables.agreement_table(path)
    with pytest.raises(UserError, match=r"agreement\.csv"):
        tables.measurements_table(path)


@pytest.mark.parametrize("content", [[], {}, {"measurements": [{"structure": "liver"}]}, {"measurements": "none"}])
def test_another_report_is_refused_in_a_sentence(tmp_path: Path, content: object) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"report\.json"):
        tables.measurements_table(path, ("liver",))
    with pytest.raises(UserError, match="no report"):
        tables.parts_table(path, {})
