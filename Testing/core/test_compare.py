"""`liverseg compare` and --reference: the table that a user sees, the files, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from liverseg_core.cli import main
from liverseg_core.geometry import Grid, as_image
from phantoms import GRIDS, bright_liver, ellipsoid, overlap, saved_model, saved_scan

GRID = Grid((48, 40, 32), (2.0, 2.0, 2.0))
QUANTITIES = (
    "dsc", "iou", "pixel_accuracy", "precision", "recall", "fdr", "rvd", "avd_ml", "hd", "hd95", "asd_pred_to_ref",
    "asd_ref_to_pred", "assd", "nsd", "centroid_mm",
)  # fmt: skip


def saved_mask(path: Path, mask: np.ndarray, grid: Grid = GRID, code: int = 1) -> Path:
    sitk.WriteImage(as_image(mask.astype(np.uint8) * code, grid), str(path))
    return path


@pytest.fixture
def masks(tmp_path: Path) -> tuple[Path, Path]:
    truth = ellipsoid(GRID)
    return (
        saved_mask(tmp_path / "ours.nii.gz", np.roll(truth, 2, axis=2)),
        saved_mask(tmp_path / "truth.nii.gz", truth),
    )


def test_a_shift_is_measured_as_what_it_is(masks, tmp_path, capsys) -> None:
    ours, truth = masks
    assert main(["compare", str(ours), str(truth), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert all(quantity in said for quantity in QUANTITIES)
    with (tmp_path / "out" / "agreement.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["structure", "quantity", "value", "unit", "definition", "reason"]
    assert [row["quantity"] for row in rows] == list(QUANTITIES)
    values = {row["quantity"]: float(row["value"]) for row in rows}
    expected = overlap(np.roll(ellipsoid(GRID), 2, axis=2), ellipsoid(GRID))
    assert values["dsc"] == pytest.approx(expected)
    assert values["centroid_mm"] == pytest.approx(4.0)  # two voxels of 2 mm
    assert values["hd"] <= 4.0
    assert values["rvd"] == 0.0
    record = json.loads((tmp_path / "out" / "agreement.json").read_text(encoding="utf-8"))
    assert record["agreement"]["liver"]["hd95"] == pytest.approx(values["hd95"])
    assert (record["tolerance_mm"], record["percentile"]) == (2.0, 95.0)


def test_the_options_reach_the_table(masks, tmp_path, capsys) -> None:
    ours, truth = map(str, masks)
    nsd = []
    for tolerance in ("0", "10"):
        assert (
            main(
                [
                    "compare",
                    ours,
                    truth,
                    "--tolerance-mm",
                    tolerance,
                    "--percentile",
                    "90",
                    "--out",
                    str(tmp_path / tolerance),
                ]
            )
            == 0
        )
        rows = (tmp_path / tolerance / "agreement.csv").read_text(encoding="utf-8").splitlines()
        assert any(row.startswith("liver,hd90,") for row in rows)
        nsd.append(float(next(row for row in rows if row.startswith("liver,nsd,")).split(",")[2]))
    assert nsd[0] < nsd[1] == 1.0
    assert "thick_slices" in capsys.readouterr().err  # 2-mm slices against a tolerance of 0


def test_an_empty_reference_is_undefined_and_never_zero(masks, tmp_path) -> None:
    empty = saved_mask(tmp_path / "empty.nii.gz", np.zeros(GRID.array_shape, bool))
    assert main(["compare", str(masks[0]), str(empty), "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "agreement.csv").open(encoding="utf-8") as file:
        rows = {row["quantity"]: row for row in csv.DictReader(file)}
    assert rows["dsc"]["value"] == "0.0"
    assert rows["hd95"]["value"] == rows["rvd"]["value"] == ""
    assert rows["hd95"]["reason"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["no.nii", "truth.nii.gz"], 2, "does not exist"),
        (["ours.nii.gz", "soft.nii.gz"], 2, "fractions"),
        (["ours.nii.gz", "negative.nii.gz"], 2, "not in the table"),
        (["ours.nii.gz", "many.nii.gz"], 2, "not in the table"),
        (["ours.nii.gz", "elsewhere.nii.gz"], 2, "same place"),
        (["ours.nii.gz", "truth.nii.gz", "--percentile", "120"], 2, "percentile"),
        (["ours.nii.gz", "truth.nii.gz", "--tolerance-mm", "-1"], 2, "tolerance"),
        (["ours.nii.gz", "truth.nii.gz", "--out", "full"], 6, "already holds files"),
    ],
)
def test_what_cannot_be_compared_is_refused(masks, tmp_path, monkeypatch, capsys, arguments, code, words) -> None:
    monkeypatch.chdir(tmp_path)
    truth = ellipsoid(GRID)
    sitk.WriteImage(as_image(truth * np.float32(0.5), GRID), "soft.nii.gz")
    sitk.WriteImage(as_image(-truth.astype(np.int16), GRID), "negative.nii.gz")
    sitk.WriteImage(as_image(np.arange(truth.size, dtype=np.uint16).reshape(truth.shape), GRID), "many.nii.gz")
    saved_mask(tmp_path / "elsewhere.nii.gz", truth, Grid(GRID.size, GRID.spacing_mm, (5000.0, 0.0, 0.0)))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old").write_text("mine")
    assert main(["compare", *arguments]) == code
    told = capsys.readouterr().err
    assert words in told
    assert told.count("error: ") == 1


def test_a_reference_brings_every_quantity_into_the_report(tmp_path) -> None:
    scan = saved_scan(tmp_path / "scan.nii.gz", bright_liver(GRIDS["plain"]))
    truth = saved_mask(tmp_path / "truth.nii.gz", ellipsoid(GRIDS["plain"]), GRIDS["plain"])
    model = saved_model(tmp_path / "model")
    arguments = ["segment", str(scan), "--out", str(tmp_path / "out"), "--model", str(model), "--device", "cpu"]
    assert main([*arguments, "--reference", str(truth)]) == 0
    agreement = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["agreement"]["liver"]
    assert list(agreement) == list(QUANTITIES)
    assert agreement["dsc"] > 0.99
    assert agreement["hd95"] <= 2.0
