"""`dataset check` and `dataset convert`: seeded faults are found, the sound folder has none; a conversion is whole or not there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import layout_folders as tiny
import numpy as np
import pytest
from liverseg_core.errors import InputError, OutputError
from liverseg_core.geometry import Grid
from liverseg_core.reading import read_mask, read_scan
from liverseg_training import dataset_forms
from liverseg_training.__main__ import main
from liverseg_training.cases import list_cases
from liverseg_training.dataset_across import between
from liverseg_training.dataset_check import Asked, Verdict, check
from liverseg_training.dataset_convert import Order, convert
from liverseg_training.dataset_findings import FAULTS, Looked
from liverseg_training.dataset_look import digest_of, look_at
from liverseg_training.dataset_work import weight_of, worked
from liverseg_training.layouts import cases_below
from liverseg_training.layouts._files import rows_of
from liverseg_training.layouts._volumes import Volume
from liverseg_training.splits import read_split
from phantoms import SHARED

Spoil = Callable[[Path], object]


def verdict_of(folder: Path, layout: str = "cases", *against: Asked) -> Verdict:
    return check([Asked(folder, layout), *against], picture=False)


def kinds(verdict: Verdict, case: str = "") -> set[str]:
    return {f.kind for looked in verdict.cases for f in looked.faults if case in ("", looked.case)}


def image(voxels: np.ndarray, grid: Grid = tiny.GRID) -> Spoil:
    return lambda place: tiny.save(place / "image.nii.gz", voxels, grid)


def labels(voxels: np.ndarray, grid: Grid = tiny.GRID) -> Spoil:
    return lambda place: tiny.save(place / "labels.nii.gz", voxels, grid)


def both(one: Spoil, other: Spoil) -> Spoil:
    return lambda place: (one(place), other(place))


def meta(**changes: object) -> Spoil:
    def spoil(place: Path) -> None:
        told = json.loads((place / "meta.json").read_text())
        (place / "meta.json").write_text(json.dumps(told | changes))

    return spoil


def without(*codes: int) -> np.ndarray:
    return np.where(np.isin(tiny.CODES, codes), 0, tiny.CODES)


def emptied(*slices: int) -> np.ndarray:
    drawn = tiny.CODES.copy()
    drawn[list(slices)] = 0
    return drawn


def swapped() -> np.ndarray:
    return np.array([0, 1, 2, 3, 5, 4], np.uint8)[tiny.CODES]


def nan() -> np.ndarray:
    grey = tiny.scan(121).astype(np.float32)
    grey[0, 0, 0] = np.nan
    return grey


SCAN = tiny.scan(121)
MIRRORED = replace(tiny.GRID, direction=(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))  # right and left confused
TURNED_DOWN = replace(tiny.GRID, direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0))
TURNED_BACK = replace(tiny.GRID, direction=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
LOST = Grid((512, 512, 2))
SEEDED: dict[str, tuple[str, Spoil]] = {  # name -> what must be found, and what is done to case-1 of a sound folder
    "labels of another size": ("grids_differ", labels(tiny.CODES[:-1], replace(tiny.GRID, size=(24, 20, 11)))),
    "labels moved by 5 mm": ("grids_differ", labels(tiny.CODES, replace(tiny.GRID, origin_mm=(-155.0, -140.0, -90.0)))),
    "left and right mirrored": ("liver_on_the_left", both(image(SCAN, MIRRORED), labels(tiny.CODES, MIRRORED))),
    "upside down": ("upside_down", both(image(SCAN, TURNED_DOWN), labels(tiny.CODES, TURNED_DOWN))),
    "back to front": ("back_to_front", both(image(SCAN, TURNED_BACK), labels(tiny.CODES, TURNED_BACK))),
    "kidneys exchanged": ("kidneys_swapped", labels(swapped())),
    "the mask's slices in reverse": ("mask_flipped", labels(tiny.CODES[::-1])),
    "the mask's columns in reverse": ("liver_on_the_left", labels(tiny.CODES[:, :, ::-1])),
    "rescale ignored": ("not_hu", image(SCAN + np.int16(1024))),
    "grey values of a picture": ("not_hu", image(np.clip((SCAN + 125) * 255.0 / 400, 0, 255).astype(np.int16))),
    "the slope twice": ("liver_intensity", image((SCAN * 4).clip(-1024, 3000).astype(np.int16))),
    "labels outside the table": ("unreadable", labels(np.where(tiny.CODES == 3, 77, tiny.CODES).astype(np.uint8))),
    "codes that are not annotated": ("annotated_unsaid", meta(labels_ml={"1": 1, "2": 1})),
    "no liver": ("liver_missing", labels(without(1, 2))),
    "slices left out": ("empty_slices", labels(emptied(6, 7))),
    "an inverted mask": ("mask_everywhere", labels(np.where(tiny.CODES == 1, 0, 1).astype(np.uint8))),
    "values that are no numbers": ("nan_voxels", image(nan())),
    "a lost spacing": ("identity_affine", both(image(np.resize(SCAN, (2, 512, 512)), LOST), labels(np.resize(tiny.CODES, (2, 512, 512)), LOST))),
    "an impossible spacing": ("spacing", both(image(SCAN, Grid(tiny.GRID.size, (0.014, 0.014, 0.016))), labels(tiny.CODES, Grid(tiny.GRID.size, (0.014, 0.014, 0.016))))),
    "a file cut off": ("unreadable", lambda place: (place / "image.nii.gz").write_bytes((place / "image.nii.gz").read_bytes()[:900])),
    "labels gone": ("unreadable", lambda place: (place / "labels.nii.gz").unlink()),
    "meta.json broken": ("facts_unreadable", lambda place: (place / "meta.json").write_text("{")),
    "the same scan under another name": ("same_voxels", lambda place: shutil.copy(place.parent / "case-0" / "image.nii.gz", place)),
    "the same scan, turned and clipped": ("same_voxels", image(tiny.turned(np.clip(tiny.scan(120), -200, 500)), tiny.RAS)),
    "a patient on both sides": ("same_patient", both(meta(patient="p1"), lambda place: meta(patient="p1")(place.parent / "case-0"))),
    "a split that names nobody": ("split_names_nobody", lambda place: (place.parents[1] / "split.json").write_text('{"validation": ["case-1", "x"]}')),
}  # fmt: skip


@pytest.mark.parametrize("name", SEEDED)
def test_seeded_faults_are_found(name: str, tmp_path: Path) -> None:
    tiny.own(tmp_path)
    (tmp_path / "split.json").write_text('{"validation": ["case-1"]}')
    kind, spoil = SEEDED[name]
    spoil(tmp_path / "cases" / "case-1")
    if name == "the same scan, turned and clipped":
        tiny.save(tmp_path / "cases" / "case-1" / "labels.nii.gz", tiny.turned(tiny.CODES), tiny.RAS)
    verdict = verdict_of(tmp_path)
    assert kind in kinds(verdict)
    assert not kinds(verdict, "case-0")
    assert not verdict.sound


def test_twenty_faults_are_seeded_and_the_sound_folder_has_none(tmp_path: Path) -> None:
    assert len(SEEDED) >= 20
    assert {kind for kind, _ in SEEDED.values()} <= set(FAULTS)
    tiny.own(tmp_path)
    verdict = verdict_of(tmp_path)
    assert verdict.sound
    assert verdict.sentence() == "2 cases, nothing wrong"
    assert {f.kind for looked in verdict.cases for f in looked.findings} == {"thick_slices"}  # they are 16 mm apart
    expected_ml = float(tiny.WHOLE_LIVER.sum()) * tiny.GRID.voxel_ml
    assert verdict.cases[0].liver_ml == pytest.approx(expected_ml)
    assert verdict.cases[0].liver_mean == pytest.approx(tiny.scan(120)[tiny.WHOLE_LIVER > 0].mean(), abs=0.1)


def test_masks_paired_with_the_wrong_slices_show_in_the_grey_values(tmp_path: Path) -> None:
    """CHAOS CT by position instead of by name: no error anywhere, and the mean is not that of a liver."""
    tiny.chaos_ct(tmp_path)
    assert verdict_of(tmp_path, "chaos").sound
    ground = tmp_path / "Train_Sets" / "CT" / "5" / "Ground"
    files = sorted(ground.iterdir())
    for n, file in enumerate(files):
        file.rename(ground / f"x{len(files) - n:03d}.png")
    assert kinds(verdict_of(tmp_path, "chaos")) & {"liver_intensity", "mask_flipped"}


def test_lungs_below_a_liver_that_is_drawn_alone(tmp_path: Path) -> None:
    tiny.lits(tmp_path)
    assert verdict_of(tmp_path, "lits").sound
    place = tmp_path / "Training Batch 1"
    tiny.save(place / "volume-1.nii", tiny.scan(1), TURNED_DOWN)
    tiny.save(place / "segmentation-1.nii", tiny.valued({1: 1, 2: 2}), TURNED_DOWN)
    assert kinds(verdict_of(tmp_path, "lits"), "lits_1") == {"upside_down"}


def test_duplicates_across_data_sets_and_known_kin(tmp_path: Path) -> None:
    tiny.lits(tmp_path / "lits", (3, 30))
    tiny.decathlon(tmp_path / "msd", "liver", {1: 1, 2: 2}, ("3",))
    tiny.ircadb(tmp_path / "ircadb", 2)
    ours = Asked(tmp_path / "lits", "lits")
    verdict = check([ours, Asked(tmp_path / "msd", "msd_liver")], picture=False)
    assert kinds(verdict) == {"same_voxels"}
    tiny.save(tmp_path / "msd" / "imagesTr" / "liver_3.nii.gz", tiny.scan(4))
    assert kinds(check([ours, Asked(tmp_path / "msd", "msd_liver")], picture=False)) == {"same_scan"}
    verdict = check([ours, Asked(tmp_path / "ircadb", "ircadb")], picture=False)
    assert [(f.case, f.kind) for looked in verdict.cases for f in looked.faults] == [("lits_30", "same_scan")]
    assert check([replace(ours, exclude=("lits_30",)), Asked(tmp_path / "ircadb", "ircadb")], picture=False).sound
    verdict = check([ours, Asked(tmp_path / "lits", "lits")], picture=False)
    assert {f.case for looked in verdict.cases for f in looked.faults} == {"lits/lits_3", "lits/lits_30"}


@pytest.mark.parametrize(
    ("source", "kin"), [("lits/27", False), ("lits/28", True), ("lits/48", True), ("lits/49", False)]
)
def test_the_range_that_lits_shares_with_ircadb(source: str, kin: bool) -> None:
    cases = [Looked("a", "lits", "ct_unknown", "", "", source), Looked("b", "ircadb", "ct_unknown", "", "", "ircadb/1")]
    assert bool(list(between(cases))) is kin


def test_the_digest_is_that_of_the_voxels_and_not_of_the_file(tmp_path: Path) -> None:
    one = read_scan(tiny.save(tmp_path / "a.nii", tiny.scan(1)), "ct_portal")
    other = read_scan(
        tiny.save(tmp_path / "b.nrrd", tiny.turned(tiny.scan(1)).astype(np.float32), tiny.RAS), "ct_unknown"
    )
    assert digest_of(one) == digest_of(other)
    changed = tiny.scan(1)
    changed[5, 9, 8] += 1
    assert digest_of(read_scan(tiny.save(tmp_path / "c.nii", changed), "ct_portal")) != digest_of(one)


def test_the_command_writes_tables_a_page_and_says_no(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.own(tmp_path / "data")
    arguments = ["dataset", "check", str(tmp_path / "data"), "--layout", "cases", "--workers", "1"]
    assert main([*arguments, "--out", str(tmp_path / "sound")]) == 0
    assert "2 cases, nothing wrong" in capsys.readouterr().out
    page = (tmp_path / "sound" / "check.html").read_text()
    assert page.count("data:image/png") == 2
    labels(without(1, 2))(tmp_path / "data" / "cases" / "case-1")
    assert main([*arguments, "--out", str(tmp_path / "sound")]) == 6  # it is there already
    assert main([*arguments, "--out", str(tmp_path / "sound"), "--overwrite"]) == 2
    told = capsys.readouterr()
    assert 'split.exclude = ["case-1"]' in told.err.splitlines()[-1]
    findings, cases = (rows_of(tmp_path / "sound" / name) for name in ("findings.csv", "cases.csv"))
    assert [(row["case"], row["kind"]) for row in findings if row["fault"] == "fault"] == [("case-1", "liver_missing")]
    assert [row["case"] for row in cases] == ["case-0", "case-1"]
    assert main([*arguments, "--exclude", "case-1"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--layout", "lits"], "does not hold LiTS17"),
        (["--layout", "cases", "--against", "lits"], "expected LAYOUT=FOLDER"),
        (["--layout", "cases", "--include", "x*"], "none of the 2 cases is left"),
    ],
)
def test_a_check_that_cannot_begin(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.own(tmp_path)
    assert main(["dataset", "check", str(tmp_path), "--workers", "1", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_processes_share_the_work_and_one_that_dies_costs_one_case(tmp_path: Path) -> None:
    tiny.own(tmp_path)
    cases = list_cases(tmp_path)
    assert sorted(worked(tiny.dies_of_one, cases, lambda case: f"lost {case.id}", workers=2, memory_gb=0.1)) == [
        "case-0",
        "lost case-1",
    ]


def test_the_weight_of_a_case_is_that_of_its_voxels_unpacked(tmp_path: Path) -> None:
    """Image as int16, a byte a voxel for the codes, and the labels as they are stored."""
    tiny.own(tmp_path)
    assert weight_of(list_cases(tmp_path)[0]) == pytest.approx(tiny.CODES.size * (2 + 1 + 1))


@pytest.mark.parametrize(("values", "bytes_a_voxel"), [({1: 1, 2: 2}, 2 + 1), ({1: 1, 3: 2}, 2 + 1 + 1)])
def test_a_mask_that_holds_our_codes_already_is_not_held_twice(
    tmp_path: Path, values: dict[int, int], bytes_a_voxel: int
) -> None:
    case = cases_below(tiny.lits(tmp_path), "lits")[0]
    assert isinstance(case.reader, Volume)
    (layer,) = case.reader.layers
    tiny.save(layer.file, tiny.valued({code: value for value, code in values.items()}))
    other = replace(case, reader=replace(case.reader, layers=(replace(layer, values=values),)))
    _, mask = other.read()
    assert weight_of(other) == pytest.approx(tiny.CODES.size * bytes_a_voxel)
    assert np.array_equal(mask.voxels, tiny.valued({1: 1, 2: 2}))


def test_large_cases_come_first_so_that_small_ones_fill_what_is_left(tmp_path: Path) -> None:
    tiny.lits(tmp_path, (1, 2))
    deep = replace(tiny.GRID, size=(*tiny.GRID.size[:2], 3 * tiny.SLICES))
    tiny.save(tmp_path / "volume-5.nii", np.concatenate([tiny.scan(5)] * 3), deep)
    tiny.save(tmp_path / "segmentation-5.nii", np.concatenate([tiny.valued({1: 1, 2: 2})] * 3), deep)
    cases = cases_below(tmp_path, "lits")
    taken = list(worked(tiny.dies_of_one, cases, lambda case: f"lost {case.id}", workers=2, memory_gb=0.1))
    assert taken[0] == "lits_5"  # memory holds one at a time
    assert sorted(taken) == ["lits_1", "lits_2", "lits_5"]


@pytest.mark.parametrize("layout", ["lits", "chaos", "amos", "nnunet", "cases"])
def test_what_is_converted_to_cases_is_what_the_layout_reads(layout: str, tmp_path: Path) -> None:
    build = {"lits": tiny.lits, "chaos": tiny.chaos_mr, "amos": tiny.amos, "nnunet": tiny.nnunet, "cases": tiny.own}[
        layout
    ]
    build(tmp_path / "raw")
    tally = convert(Order(tmp_path / "raw", layout, "cases", tmp_path / "out"))
    before = {case.id: case for case in cases_below(tmp_path / "raw", layout)}
    after = {case.id: case for case in list_cases(tmp_path / "out")}
    assert tally.done == len(before) == len(after)
    for name, case in after.items():
        assert (case.phase, case.annotated, case.part) == (
            before[name].phase,
            before[name].annotated,
            before[name].part,
        )
        for one, other in zip(before[name].read(), case.read()):
            np.testing.assert_array_equal(one.voxels, other.voxels)
            assert one.grid.matches(other.grid, 1e-3)
    told = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert told["layout"] == layout
    assert {record["id"] for record in told["cases"]} == set(after)


def test_a_conversion_to_nnunet_reads_back_with_phase_patient_and_split(tmp_path: Path) -> None:
    tiny.amos(tmp_path / "raw")
    tiny.save(tmp_path / "raw" / "amos22" / "labelsTs" / "amos_0020.nii.gz", tiny.valued(tiny.AMOS))
    out = tmp_path / "Dataset007_AMOS"
    convert(Order(tmp_path / "raw", "amos", "nnunet", out))
    described = json.loads((out / "dataset.json").read_text())
    assert sorted(described["labels"].values()) == list(range(len(described["labels"])))
    assert described["numTraining"] == 3
    assert json.loads((out / "splits_final.json").read_text()) == [
        {"train": ["amos_0004", "amos_0507"], "val": ["amos_0013"]}
    ]
    assert (out / "labelsTs" / "amos_0020.nii.gz").exists()
    before = {case.id: case for case in cases_below(tmp_path / "raw", "amos")}
    for case in cases_below(out, "nnunet"):
        one = before[case.id]
        assert (case.phase, case.annotated, case.patient, case.part) == (
            one.phase,
            one.annotated,
            one.patient,
            one.part,
        )
        np.testing.assert_array_equal(case.read()[1].voxels, one.read()[1].voxels)


def test_nnunet_gets_no_code_that_a_case_does_not_know(tmp_path: Path) -> None:
    """Unknown is not background, and nnU-Net has no word for it; a lesion that is not told apart is liver."""
    tiny.own(tmp_path)
    meta(labels_ml={"1": 1, "3": 1})(tmp_path / "cases" / "case-0")
    tiny.save(tmp_path / "cases" / "case-0" / "labels.nii.gz", np.array([0, 1, 1, 3, 0, 0], np.uint8)[tiny.CODES])
    tally = convert(Order(tmp_path, "cases", "nnunet", tmp_path / "out"))
    assert (tally.codes, tally.dropped) == ((1, 3), (2, 4, 5))
    assert "left out, for not every case annotated them: lesion" in tally.sentence()
    drawn = read_mask(tmp_path / "out" / "labelsTr" / "case-1.nii.gz").voxels
    np.testing.assert_array_equal(drawn == 1, tiny.WHOLE_LIVER > 0)
    np.testing.assert_array_equal(drawn == 2, tiny.CODES == 3)


@pytest.mark.parametrize("form", ["cases", "nnunet"])
def test_a_stopped_conversion_goes_on_and_a_changed_case_is_made_anew(form: str, tmp_path: Path) -> None:
    tiny.lits(tmp_path / "raw")
    order = Order(tmp_path / "raw", "lits", form, tmp_path / "out")
    assert convert(replace(order, include=("lits_0",))).kept == 0
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.nii.gz")}
    half = tiny.save(tmp_path / "out" / ".lits_1.killed" / "image.nii.gz", tiny.scan(1))
    assert convert(order).kept == 1
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert not half.exists()
    assert convert(order).kept == 2
    tiny.save(tmp_path / "raw" / "Training Batch 1" / "volume-0.nii", tiny.scan(9))
    assert convert(order).kept == 1
    with pytest.raises(OutputError, match="another conversion"):
        convert(replace(order, form="cases" if form == "nnunet" else "nnunet"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="already holds files"):
        convert(replace(order, out=tmp_path / "full"))


def test_a_case_that_cannot_be_converted_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.lits(tmp_path / "raw", (0, 1, 2))
    (tmp_path / "raw" / "Training Batch 1" / "segmentation-1.nii").unlink()
    arguments = [
        "dataset",
        "convert",
        str(tmp_path / "raw"),
        "--layout",
        "lits",
        "--to",
        "cases",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*arguments, "--workers", "1"]) == 2
    assert "--exclude lits_1" in capsys.readouterr().err
    assert [case.id for case in list_cases(tmp_path / "out")] == ["lits_0", "lits_2"]
    assert main([*arguments, "--workers", "1", "--exclude", "lits_1"]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
@pytest.mark.parametrize("form", ["cases", "nnunet"])
def test_a_disk_that_fills_leaves_nothing_half(form: str, tmp_path: Path) -> None:
    """A real limit of the system: the second image is larger than any file may be, and writing stops in its middle."""
    tiny.lits(tmp_path / "raw")
    noise = np.random.default_rng(0).integers(-900, 900, (40, 80, 80), dtype=np.int16)
    grid = Grid((80, 80, 40), (4.0, 4.0, 4.0))
    place = tmp_path / "raw" / "Training Batch 1"
    tiny.save(place / "volume-1.nii", noise, grid)
    tiny.save(place / "segmentation-1.nii", (noise > 0).astype(np.uint8), grid)
    code = (
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "from liverseg_training.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    )
    arguments = [
        "dataset",
        "convert",
        str(tmp_path / "raw"),
        "--layout",
        "lits",
        "--to",
        form,
        "--out",
        str(tmp_path / "out"),
    ]
    told = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--workers", "1"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 6, told.stderr
    assert "run again when there is room" in told.stderr
    left = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert not any("lits_1" in str(path) for path in (tmp_path / "out").rglob("*")), left
    assert not [path for path in (tmp_path / "out").iterdir() if path.is_dir() and path.name.startswith(".")]
    assert convert(Order(tmp_path / "raw", "lits", form, tmp_path / "out")).kept == 1


def test_a_truncated_file_is_not_taken_for_a_written_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.lits(tmp_path / "raw", (0,))
    write = dataset_forms.sitk.WriteImage

    def cut(drawn: object, path: str, **options: object) -> None:
        write(drawn, path, **options)
        Path(path).write_bytes(Path(path).read_bytes()[:-20])

    monkeypatch.setattr(dataset_forms.sitk, "WriteImage", cut)
    with pytest.raises(OutputError, match="cannot be written"):
        convert(Order(tmp_path / "raw", "lits", "cases", tmp_path / "out"))
    assert not list((tmp_path / "out").rglob("*.nii.gz"))


def test_the_split_of_a_data_set_comes_along(tmp_path: Path) -> None:
    tiny.totalsegmentator(tmp_path / "raw")
    convert(Order(tmp_path / "raw", "totalsegmentator_ct", "cases", tmp_path / "out"))
    assert read_split(tmp_path / "out" / "split.json") == ({"totalsegmentator_ct_s0001"}, set())
    with pytest.raises(InputError, match="expected one of: cases, nnunet"):
        convert(Order(tmp_path / "raw", "totalsegmentator_ct", "monai", tmp_path / "out"))


@pytest.mark.skipif(not (SHARED / "cases").is_dir(), reason="the development data are not here")
@pytest.mark.parametrize("name", ["btcv_0005", "chaos_t2spir_05"])
def test_real_scans_are_sound_and_turned_masks_are_seen(name: str) -> None:
    (case,) = cases_below(SHARED, "cases", (name,))
    assert not look_at(case, "cases", picture=False).findings
    scan, mask = case.read()
    turned = replace(mask, voxels=mask.voxels[::-1])

    class Turned:
        recipe = "turned"

        def read(self, phase: str) -> object:
            return scan, turned

        def files(self) -> tuple[Path, ...]:
            return ()

    found = look_at(replace(case, reader=Turned()), "cases", picture=False)
    assert "mask_flipped" in {finding.kind for finding in found.faults}
