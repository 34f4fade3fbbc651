"""What a reader is shown, and that it is what was measured."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from liverseg_core.geometry import Grid
from liverseg_core.labels import LABELS
from liverseg_core.measurements import measure, notices_about
from liverseg_core.records import LabelMask, Measurement, Notice, Report, ScanFacts
from liverseg_core.reporting import montage, save_csv, save_json, save_page, three_views
from liverseg_core.reporting.masks import segment_name
from liverseg_core.segments import clean, cut_segments
from phantoms import GRIDS, bright_liver, ellipsoid

GRID = Grid((10, 10, 10), (1.0, 2.0, 5.0))


def mask_of(*blocks: tuple[int, tuple[slice, slice, slice]]) -> LabelMask:
    voxels = np.zeros(GRID.array_shape, np.uint8)
    for code, where in blocks:
        voxels[where] = code
    return LabelMask(voxels, GRID)


HALF, BITE = (slice(2, 7), slice(2, 8), slice(2, 8)), (slice(3, 5), slice(3, 5), slice(3, 5))


def test_the_liver_is_parenchyma_and_lesions_together() -> None:
    mask = mask_of((1, HALF), (2, BITE), (2, (slice(8, 9), slice(8, 9), slice(8, 9))))
    rows = {m.structure: m.value for m in measure(cut_segments(mask, [1, 2, 3]))}
    assert rows["liver"] == pytest.approx((180 + 1) * 0.01)
    assert rows["liver_parenchyma"] == pytest.approx((180 - 8) * 0.01)
    assert rows["lesion"] == pytest.approx(9 * 0.01)
    assert (rows["lesion_1"], rows["lesion_2"]) == (pytest.approx(0.08), pytest.approx(0.01))
    assert math.isnan(rows["spleen"])


def test_a_model_without_lesions_reports_no_parenchyma_of_its_own() -> None:
    rows = [m.structure for m in measure(cut_segments(mask_of((1, HALF)), [1, 3]))]
    assert rows == ["liver", "spleen"]


def test_segments_are_named_for_what_they_hold() -> None:
    assert segment_name(1, [1, 3]) == "Liver"
    assert segment_name(1, [1, 2]) == "Liver without lesions"
    assert segment_name(5, [1, 5]) == LABELS[5].name


def test_only_the_largest_island_is_kept_and_holes_are_filled_where_the_card_says_so() -> None:
    mask = mask_of((1, HALF), (0, (slice(4, 5), slice(4, 5), slice(4, 5))), (1, (slice(9, 10),) * 3))
    kept = clean(mask, {"1": ("largest", "fill_holes")}).voxels
    assert (kept == 1).sum() == 180
    assert kept[9, 9, 9] == 0
    assert (clean(mask, {}).voxels == mask.voxels).all()
    assert (clean(mask, {"1": ("min_ml:1.9",)}).voxels == 0).all()
    assert (clean(mask, {"1": ("min_ml:1.7",)}).voxels == mask.voxels).all()


def test_a_step_never_takes_another_code_s_voxels() -> None:
    mask = mask_of((1, HALF), (3, BITE))
    assert ((clean(mask, {"1": ("fill_holes",)}).voxels == 3) == (mask.voxels == 3)).all()


@pytest.mark.parametrize(("shift", "cut"), [(0, True), (2, False)])
def test_cut_by_scan_asks_for_liver_on_a_face(shift: int, cut: bool) -> None:
    grid = Grid((30, 30, 30), (4.0, 4.0, 4.0))
    voxels = np.zeros(grid.array_shape, np.uint8)
    voxels[shift : shift + 20, 4:26, 4:26] = 1
    codes = [n.code for n in notices_about(cut_segments(LabelMask(voxels, grid), [1]))]
    assert ("liver_cut_by_scan" in codes) is cut


def test_an_unlikely_volume_is_said() -> None:
    codes = [n.code for n in notices_about(cut_segments(mask_of((1, HALF)), [1]))]
    assert codes == ["implausible_volume"]


def report(*warnings: Notice) -> Report:
    return Report(
        "9.9", {"name": "m", "sha256": "ab", "licence": "L"}, {"used": "ct_portal", "how": "said so"}, "cpu",
        ScanFacts("<scan> & co", (10, 10, 10), (1.0, 2.0, 5.0)),
        (Measurement("liver", "volume", 1234.5, "ml"), Measurement("spleen", "volume", math.nan, "ml", "not found")), warnings,
        {"reading": 1.0, "total": 1.0},
    )  # fmt: skip


def test_undefined_is_null_in_json_and_blank_in_csv(tmp_path) -> None:
    save_json(report(), tmp_path / "r.json")
    save_csv(report(), tmp_path / "r.csv")
    rows = json.loads((tmp_path / "r.json").read_text())["measurements"]
    assert rows[1]["value"] is None
    assert (tmp_path / "r.csv").read_text().splitlines()[1:] == [
        "liver,volume,1234.500,ml,",
        "spleen,volume,,ml,not found",
    ]


def test_the_page_is_one_file_that_fetches_nothing_and_says_what_it_is(tmp_path) -> None:
    scan = bright_liver(GRIDS["oblique"])
    mask = LabelMask(ellipsoid(scan.grid).astype(np.uint8), scan.grid)
    save_page(
        report(Notice("islands", "two <parts>")), three_views(scan, mask), montage(scan, mask), tmp_path / "p.html"
    )
    page = (tmp_path / "p.html").read_text()
    assert "1,234 ml" in page or "1,235 ml" in page
    assert "not a medical device" in page
    assert "two &lt;parts&gt;" in page
    assert "&lt;scan&gt; &amp; co" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "<script" not in page
    for data in re.findall(r"data:image/png;base64,([^\"]+)", page):
        assert base64.b64decode(data).startswith(b"\x89PNG")
    assert page.index("Before you read") < page.index("Three views")


@pytest.mark.parametrize("name", GRIDS)
def test_pictures_show_the_outline_on_every_grid(name: str) -> None:
    scan = bright_liver(GRIDS[name])
    mask = LabelMask(ellipsoid(scan.grid).astype(np.uint8), scan.grid)
    for picture in (three_views(scan, mask), montage(scan, mask)):
        assert picture.dtype == np.uint8
        coloured = (picture == np.array(LABELS[1].colour)).all(axis=-1)
        assert coloured.sum() > 100
    empty = three_views(scan, LabelMask(np.zeros(scan.grid.array_shape, np.uint8), scan.grid))
    assert (empty[..., 0] == empty[..., 1]).all()  # grey: nothing was found, nothing is outlined


def test_the_outline_lies_on_the_border_of_the_bright_liver() -> None:
    """Grey under and around the outline: bright inside, dark outside."""
    scan = bright_liver(GRIDS["flipped"])
    views = three_views(scan, LabelMask(ellipsoid(scan.grid).astype(np.uint8), scan.grid))
    coloured = (views == np.array(LABELS[1].colour)).all(axis=-1)
    row = views.shape[0] // 2
    columns = np.flatnonzero(coloured[row, : int(views.shape[0] * 1.3)])
    left, right = columns[0], columns[columns < columns[0] + views.shape[0]][-1]
    assert views[row, (left + right) // 2, 0] > 200
    assert views[row, max(left - 6, 0), 0] < 60


def test_a_synthetic_scan_is_stamped_and_a_real_one_is_not() -> None:
    scan = bright_liver(GRIDS["plain"])
    empty = LabelMask(np.zeros(scan.grid.array_shape, np.uint8), scan.grid)
    coloured = lambda s: int((three_views(s, empty)[..., 0] != three_views(s, empty)[..., 2]).sum())
    assert coloured(scan) == 0
    assert coloured(replace(scan, notices=(Notice("synthetic", "made up"),))) > 500


def test_the_slicer_header_names_colours_and_terminology(tmp_path) -> None:
    from liverseg_core.reporting import save_masks

    save_masks(mask_of((1, HALF), (4, BITE)), [1, 4], "LiverSeg 9 m 1", tmp_path)
    image = sitk.ReadImage(str(tmp_path / "segmentation.seg.nrrd"))
    assert image.GetMetaData("Segment0_Name") == "Liver"
    assert image.GetMetaData("Segment1_LabelValue") == "4"
    assert "64033007^SCT^Kidney~24028007^SCT^Right" in image.GetMetaData("Segment1_Tags")
    assert "DICOM.SegmentAlgorithmType:AUTOMATIC" in image.GetMetaData("Segment0_Tags")
    assert [float(c) for c in image.GetMetaData("Segment0_Color").split()] == pytest.approx(
        [c / 255 for c in LABELS[1].colour], abs=1e-5
    )
