"""What a reader is shown, and that it is what was measured."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pytest
import SimpleITK as sitk
from liverseg_core.geometry import Grid, resampled
from liverseg_core.labels import LABELS, segment_name
from liverseg_core.measurements import measure, notices_about
from liverseg_core.records import LabelMask, Measurement, Notice, Report, Scan, ScanFacts
from liverseg_core.reporting import montage, save_csv, save_json, save_page, three_views
from liverseg_core.reporting.marks import inked, lettered, outline, written
from liverseg_core.reporting.page import value_text
from liverseg_core.reporting.pictures import Canvas, _spread
from liverseg_core.segments import clean, cut_segments
from phantoms import GRIDS, bright_liver, ellipsoid
from scipy import ndimage

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


class Reader(HTMLParser):
    """Every tag with its attributes; `unclosed` is empty when the tags of the page are balanced."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.unclosed: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.unclosed += [tag] if tag not in self.VOID else []

    def handle_endtag(self, tag):
        assert self.unclosed.pop() == tag

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


BLACK = np.zeros((40, 60, 3), np.uint8)


AGREED = (
    Measurement("liver", "dsc", 0.9571, "1", "", "2TP/(2TP+FP+FN)"),
    Measurement("lesion", "hd95", math.nan, "mm", "no lesion was found"),
)


def page_of(tmp_path, told: Report, views=BLACK, slices=BLACK) -> str:
    save_page(told, views, slices, tmp_path / "p.html")
    return (tmp_path / "p.html").read_text(encoding="utf-8")


def test_the_page_is_one_file_that_fetches_nothing_and_says_what_it_is(tmp_path) -> None:
    scan = bright_liver(GRIDS["oblique"])
    mask = LabelMask(ellipsoid(scan.grid).astype(np.uint8), scan.grid)
    page = page_of(tmp_path, report(Notice("islands", "two <parts>")), three_views(scan, mask), montage(scan, mask))
    assert "1,234 ml" in page or "1,235 ml" in page
    assert "not a medical device" in page
    assert "Two &lt;parts&gt;." in page
    assert "&lt;scan&gt; &amp; co" in page
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import", page)
    assert "default-src 'none'" in page
    pictures = [base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]+)", page)]
    assert len(pictures) == 2
    assert all(data.startswith(b"\x89PNG") for data in pictures)


def test_the_page_can_be_read_without_seeing_it(tmp_path) -> None:
    reader = Reader(page_of(tmp_path, replace(report(Notice("islands", "two")), agreement=AGREED)))
    assert reader.unclosed == []
    assert not {"script", "link", "iframe", "form"} & {tag for tag, _ in reader.tags}
    assert reader.every("html") == [{"lang": "en"}]
    assert {cell.get("scope") for cell in reader.every("th")} == {"col", "row"}
    assert [picture["alt"] for picture in reader.every("img")] == [
        "Three views through the middle of the liver. Outlined: Liver (solid line).",
        "Slices from head to feet. Outlined: Liver (solid line).",
    ]


def test_warnings_come_before_all_else_as_sentences_and_those_that_doubt_the_result_first(tmp_path) -> None:
    told = report(Notice("phase_guessed", "taken for CT"), Notice("liver_cut_by_scan", "A part."))
    page = page_of(tmp_path, told)
    sentences = re.findall(r"<li>(.*?) <code>(.*?)</code></li>", page)
    assert sentences == [("A part.", "liver_cut_by_scan"), ("Taken for CT.", "phase_guessed")]
    assert page.index("<aside") < page.index("<h1") < page.index("<figure")
    assert "liver volume, 2 warnings above" in page
    assert "<aside" not in page_of(tmp_path, report())


def test_a_liver_that_was_not_found_has_no_number_but_a_reason(tmp_path) -> None:
    empty = replace(report(), measurements=(Measurement("liver", "volume", math.nan, "ml", "not found in the scan"),))
    assert "<b>–</b><span>liver volume: not found in the scan</span>" in page_of(tmp_path, empty)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1,234"), (99.44, "99.4"), (3.1, "3.10"), (0.084, "0.084"), (-0.3, "-0.300"), (math.nan, "–")],
)
def test_a_value_is_shown_with_about_three_figures(value: float, text: str) -> None:
    assert value_text(Measurement("lesion_1", "volume", value, "ml")) == text


def test_a_quantity_is_a_row_and_so_is_an_agreement(tmp_path) -> None:
    rows = (Measurement("lesion_12", "pdff_mean", 5.25, "%"),)
    page = page_of(tmp_path, replace(report(), measurements=rows, agreement=AGREED))
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]
    assert ["Lesion 12", "pdff mean", "5.25", "%", ""] in cells
    assert ["Liver", "DSC", "0.957", "", ""] in cells
    assert ["Liver lesion", "HD95", "–", "mm", "no lesion was found"] in cells
    assert 'title="2TP/(2TP+FP+FN)"' in page


def test_the_time_is_one_bar_with_a_named_step_for_every_room(tmp_path) -> None:
    page = page_of(tmp_path, replace(report(), seconds={"reading": 1.0, "inference": 3.0, "total": 4.1}))
    steps = re.findall(
        r"row\">(\w+)</th><td[^>]*>([\d.]+) s</td><td><i style=\"margin-left:(.*?)%;width:(.*?)%\"", page
    )
    assert steps == [("reading", "1.00", "0.00", "25.00"), ("inference", "3.00", "25.00", "75.00")]
    assert "Time: 4.0 s" in page


def luminance(colour: str) -> float:
    """WCAG 2: relative luminance of #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    linear = as_light(tuple(int(digits[n : n + 2], 16) for n in (0, 2, 4)))
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_text_stands_out_on_the_screen_and_is_black_on_white_on_paper(tmp_path) -> None:
    screen, paper = (
        dict(re.findall(r"--(\w+):(#\w+)", block)) for block in re.findall(r":root{(.*?)}", page_of(tmp_path, report()))
    )
    for sheet in (screen, {**screen, **paper}):
        for text in ("ink", "soft", "alarm"):
            for ground in ("paper", "ground", "glow"):
                light, dark = luminance(sheet[ground]) + 0.05, luminance(sheet[text]) + 0.05
                assert light / dark >= 4.5, (text, ground)
    assert (paper["ink"], paper["ground"], screen["paper"]) == ("#000", "#fff", "#fff")


def test_on_paper_no_picture_is_cut_and_its_ground_is_printed(tmp_path) -> None:
    page = page_of(tmp_path, report())
    on_paper = page[page.index("@media print") :]
    assert "@page{size:A4" in page
    assert re.search(r"figure[^{]*{break-inside:avoid}", on_paper)
    assert re.search(r"\.picture,\.key i{[^}]*print-color-adjust:exact", on_paper)


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


def shows(picture: np.ndarray, word: str) -> bool:
    """The word stands somewhere in the picture, white and whole."""
    ink = written(word)
    white = (picture == 255).all(axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(white, ink.shape)
    return bool((windows == ink).all(axis=(2, 3)).any())


def letters_along(strip: np.ndarray) -> str:
    """The direction letters in a strip as high as they are, from left to right."""
    white = (strip == 255).all(axis=-1)
    found = {}
    for letter in "RLAPHF":
        windows = np.lib.stride_tricks.sliding_window_view(white, written(letter).shape)[0]
        found |= {int(n): letter for n in np.flatnonzero((windows == written(letter)).all(axis=(1, 2)))}
    return "".join(found[n] for n in sorted(found))


@pytest.mark.parametrize("name", GRIDS)
def test_letters_say_where_the_sides_lie_and_they_are_right(name: str) -> None:
    """Bright is what lies to the right, in front and above the middle: in all three views that is up and left."""
    grid = GRIDS[name]
    k, j, i = np.indices(grid.array_shape)
    middle = grid.world_mm((np.asarray(grid.size) - 1) / 2)
    x, y, z = np.moveaxis(grid.world_mm(np.stack([i, j, k], axis=-1)) - middle, -1, 0)
    scan = Scan(np.where((x < 3) & (y < 3) & (z > -3), 240.0, -160.0), grid, "ct_portal", "octant")
    views = three_views(scan, LabelMask(ellipsoid(grid).astype(np.uint8), grid))
    height = len(views)
    halfway = 6 + round((height - 12 - 14) / 2)
    assert letters_along(views[6:20]) == "AHH"
    assert letters_along(views[halfway : halfway + 14]) == "RLRLAP"
    assert letters_along(views[-20:-6]) == "PFF"
    axial = views[:, : views.shape[1] // 4]
    corner = axial[height // 4 : height // 2 - 20, axial.shape[1] // 3 : axial.shape[1] // 2]
    assert np.median(corner) > np.median(axial[height // 2 + 30 : -30]) + 100


@pytest.mark.parametrize(("spacing_mm", "length_mm"), [(2.0, 10), (6.0, 50)])
def test_the_bar_is_as_long_as_it_says(spacing_mm: float, length_mm: int) -> None:
    grid = Grid((48, 40, 32), (spacing_mm,) * 3)
    views = three_views(
        Scan(np.zeros(grid.array_shape), grid, "ct_portal", "nothing"),
        LabelMask(np.zeros(grid.array_shape, np.uint8), grid),
    )
    pixel_mm = (2 * 48 + 40) * spacing_mm / (views.shape[1] - 12)
    corner = views[-40:, -round(19 * spacing_mm / pixel_mm) :]  # of the sagittal view, beside its letter
    assert shows(corner, f"{length_mm} mm")
    assert (corner[-9] == 255).all(axis=-1).sum() * pixel_mm == pytest.approx(length_mm, abs=pixel_mm)


@pytest.mark.parametrize("name", ["plain", "flipped", "sagittal", "left-handed", "thick slices"])
def test_every_slice_carries_its_number_and_its_position(name: str) -> None:
    scan = bright_liver(GRIDS[name])
    inside = ellipsoid(scan.grid)
    heights_mm = np.unique(scan.grid.world_mm(np.argwhere(inside)[:, ::-1])[:, 2].round(3))
    lowest_mm = scan.grid.world_mm(np.argwhere(np.ones_like(inside))[:, ::-1])[:, 2].min()
    step_mm = np.diff(heights_mm).min()
    picture = montage(scan, LabelMask(inside.astype(np.uint8), scan.grid))
    columns = max(4, -(-len(heights_mm) // 4))
    rows = -(-len(heights_mm) // columns)
    tile, width = (len(picture) + 6) // rows, (1038 + 6) // columns
    for n, z_mm in enumerate(heights_mm[::-1]):
        row, column = n // columns * tile, n % columns * width
        strip = picture[row + tile - 32 : row + tile - 6, column : column + width - 6]
        assert shows(strip, str(round((z_mm - lowest_mm) / step_mm) + 1))
        assert shows(strip, f"{z_mm + 0.0:.1f} mm")


@pytest.mark.parametrize(("first", "last"), [(10, 58), (0, 300), (4, 28), (4, 12), (0, 1)])
def test_at_most_24_slices_evenly_spaced_from_end_to_end(first: int, last: int) -> None:
    chosen = _spread(first, last, 24)
    assert len(chosen) == min(24, last - first)
    assert (chosen[0], chosen[-1]) == (last - 1, last - len(chosen) if len(chosen) < 24 else first)
    steps = -np.diff(chosen)
    assert not len(steps) or (steps.min() >= 1 and np.ptp(steps) <= 1)


@pytest.mark.parametrize("name", GRIDS)
def test_a_plane_drawn_from_what_lies_near_it_is_the_plane_of_the_whole_scan(name: str) -> None:
    scan = bright_liver(GRIDS[name])
    canvas = Canvas(scan, LabelMask(np.zeros(scan.grid.array_shape, np.uint8), scan.grid))
    for axis in (0, 1, 2):
        plane = canvas.grid.plane(axis, int(canvas.middle[axis]), 0.9)
        grey = resampled(scan.voxels, scan.grid, plane, outside=canvas.low)[0]
        shade = np.clip((grey - canvas.low) / (canvas.high - canvas.low), 0, 1) * 255
        assert np.abs(canvas.drawn(plane)[..., 0] - shade).max() <= 1.01


def test_an_outline_is_what_two_erosions_take_away() -> None:
    row, column = np.indices((60, 60))
    for region in (np.abs(row - 30) + 9 < column, np.hypot(row - 30, column - 20) < 25, np.ones((9, 9), bool)):
        assert (outline(region) == (region & ~ndimage.binary_erosion(region, iterations=2))).all()
    assert outline(np.ones((20, 20), bool)).sum() == 20**2 - 16**2  # two pixels on every side


def test_a_line_darkens_what_lies_beside_it() -> None:
    dot = np.zeros((5, 5), bool)
    dot[2, 2] = True
    drawn = inked(np.full((5, 5, 3), 255, np.uint8), [(dot, (1, 2, 3))])
    assert drawn[2, 2].tolist() == [1, 2, 3]
    assert (drawn == 85).all(axis=-1).sum() == 4
    assert (drawn == 255).all(axis=-1).sum() == 20
    assert (lettered(drawn, [(dot, 0.5, 0.5)]) == drawn).all()  # no room between the margins: left out


def test_a_lesion_has_dashes_and_a_small_one_is_whole() -> None:
    row, column = np.indices((120, 120))
    large, small = np.hypot(row - 50, column - 50) < 30, np.hypot(row - 100, column - 100) < 4
    line, broken = outline(large | small), outline(large | small, dashed=True)
    assert (broken & small).sum() == (line & small).sum()
    pieces = ndimage.label(broken & large, np.ones((3, 3)))[1]
    assert pieces == (line & large).sum() // 20  # a dash and a gap of five pixels each, two wide
    assert 0.4 < (broken & large).sum() / (line & large).sum() < 0.6


def test_the_liver_is_outlined_around_its_lesions_and_not_beside_them() -> None:
    scan = bright_liver(GRIDS["plain"])
    codes = ellipsoid(scan.grid).astype(np.uint8)
    codes[ellipsoid(scan.grid, (12.0, 12.0, 12.0))] = 2
    views = {n: three_views(scan, LabelMask(np.minimum(codes, n), scan.grid)) for n in (1, 2)}
    orange, red = ((views[2] == np.array(LABELS[n].colour)).all(axis=-1) for n in (1, 2))
    assert (orange == (views[1] == np.array(LABELS[1].colour)).all(axis=-1)).all()
    assert ndimage.label(red, np.ones((3, 3)))[1] > 30  # three circles of dashes


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
    assert "SCT^64033007^Kidney~SCT^24028007^Right" in image.GetMetaData("Segment1_Tags")
    assert "DICOM.SegmentAlgorithmType:AUTOMATIC" in image.GetMetaData("Segment0_Tags")
    assert [float(c) for c in image.GetMetaData("Segment0_Color").split()] == pytest.approx(
        [c / 255 for c in LABELS[1].colour], abs=1e-5
    )


def as_light(colour: tuple[int, ...]) -> np.ndarray:
    """sRGB, 0-255, to linear light."""
    c = np.asarray(colour) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear light
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
APART = 15.0  # CIE76; 2.3 is the least that is seen side by side on large fields, lines need several times that


def lab_seen(colour: tuple[int, ...], sight: str) -> np.ndarray:
    """CIELAB (D65) of a colour as this sight sees it."""
    ratio = XYZ @ np.clip(SIGHTS[sight] @ as_light(colour), 0, 1) / XYZ.sum(axis=1)
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(
    ("colour", "sight", "lab"),
    [  # the first by the definition of sRGB, the others as colorspacious 1.1.2 computes them
        ((255, 0, 0), "normal", (53.24, 80.09, 67.20)),
        ((204, 121, 167), "deuteranopia", (63.06, 1.10, -6.97)),
        ((86, 180, 233), "protanopia", (73.02, 5.06, -30.92)),
        ((230, 159, 0), "tritanopia", (70.14, 41.75, 21.17)),
    ],
)
def test_the_simulation_of_sight_agrees_with_others(colour, sight: str, lab) -> None:
    assert lab_seen(colour, sight) == pytest.approx(lab, abs=0.15)


@pytest.mark.parametrize("sight", SIGHTS)
def test_outlines_that_occur_together_differ_for_every_reader(sight: str) -> None:
    seen = {code: lab_seen(LABELS[code].colour, sight) for code in (1, 2, 3, 4, 5)}
    near = {(a, b): round(float(np.linalg.norm(seen[a] - seen[b])), 1) for a, b in combinations(seen, 2)}
    assert {pair: distance for pair, distance in near.items() if distance < APART} == {}


@pytest.mark.parametrize("sight", SIGHTS)
def test_outlines_stand_out_against_mid_grey_for_every_reader(sight: str) -> None:
    grey = lab_seen((128, 128, 128), "normal")
    far = {
        code: round(float(np.linalg.norm(lab_seen(LABELS[code].colour, sight) - grey)), 1) for code in (1, 2, 3, 4, 5)
    }
    assert {code: distance for code, distance in far.items() if distance < APART} == {}
