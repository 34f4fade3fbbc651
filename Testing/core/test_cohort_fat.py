"""Cohorts of multi-echo MR: fat and iron of every line in the tables and on the page, bad lines beside good ones."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from fat_phantoms import Tissue, noisy, signal
from liverseg_core.cli.sample import save_echoes
from liverseg_core.cohort import Case, Settings, runner
from liverseg_core.cohort.runner import Order, Tally, run_cohort
from liverseg_core.cohort.table import read_cases
from liverseg_core.errors import InputError
from liverseg_core.fat import Protocol
from liverseg_core.geometry import Grid, as_image
from liverseg_core.records import MultiEcho
from phantoms import bright_liver, ellipsoid, known_model, known_stage, saved_model, saved_scan

GRID = Grid((28, 26, 5), (3.0, 3.0, 6.0))
LIVER = ellipsoid(GRID, (30.0, 28.0, 40.0))
SIX, TWO = tuple(1.15 + 0.95 * n for n in range(6)), (1.15, 2.3)
COLUMNS = "case,echoes,mask,echo_times_ms,field_t,phase_image,scan"


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(cases: Sequence[Case], work: Callable[[Case], str], *_: object) -> Iterator[tuple[Case, str]]:
        return ((case, work(case)) for case in cases)

    monkeypatch.setattr(runner, "on_processes", here)


def phantom(pdff: float, rate: float = 60.0, te_ms: tuple[float, ...] = SIX) -> MultiEcho:
    """A liver in dim muscle, in air."""
    at = Protocol(te_ms, 3.0)
    image = noisy(np.zeros(len(te_ms), complex), LIVER.size, 1.0).reshape(len(te_ms), *GRID.array_shape).numpy()
    image[:, LIVER] += signal(Tissue(pdff, rate), at)[:, None]
    image[:, ellipsoid(GRID, (38.0, 36.0, 60.0)) & ~LIVER] += 0.2 * signal(Tissue(0, 30), at)[:, None]
    return MultiEcho(
        abs(image).astype(np.float32), np.angle(image).astype(np.float32), te_ms, 3.0, None, None, GRID, "x"
    )


def saved(folder: Path) -> Path:
    """Two livers of six echoes and one of two, with side-cars; the last echo files stand alone without any."""
    for name, pdff, te_ms in (("a", 6.0, SIX), ("b", 18.0, SIX), ("two", 18.0, TWO)):
        save_echoes(phantom(pdff, te_ms=te_ms).magnitude, phantom(pdff, te_ms=te_ms), folder / f"{name}.nii.gz")
    save_echoes(phantom(6.0).phase_rad, phantom(6.0), folder / "a_phase.nii.gz")
    for n, image in enumerate(phantom(30.0).magnitude):
        sitk.WriteImage(as_image(image, GRID), str(folder / f"c{n}.nii.gz"))
    sitk.WriteImage(as_image(LIVER.astype(np.uint8), GRID), str(folder / "liver.nii.gz"))
    return folder


def table(folder: Path, *lines: str, columns: str = COLUMNS) -> Path:
    (folder / "cases.csv").write_text("\n".join([columns, *lines]) + "\n", encoding="utf-8")
    return folder / "cases.csv"


def rows(out: Path, name: str = "cohort.csv") -> list[dict[str, str]]:
    with (out / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cohort(path: Path, out: Path, **more: object) -> Tally:
    return run_cohort(Order(path, out, **more))[0]  # type: ignore[arg-type]


C = ";".join(f"c{n}.nii.gz" for n in range(6)) + ",liver.nii.gz," + ";".join(f"{t:g}" for t in SIX) + ",3"
GOOD = ["a,a.nii.gz,liver.nii.gz,,,a_phase.nii.gz", "b,b.nii.gz,liver.nii.gz", "two,two.nii.gz,liver.nii.gz", f"c,{C}"]


def test_fat_and_iron_of_every_case_stand_in_the_tables_and_on_the_page(tmp_path: Path) -> None:
    out = tmp_path / "out"
    bad = {
        "gone,nowhere.nii.gz,liver.nii.gz": "does not exist",
        "mute,c0.nii.gz;c1.nii.gz,liver.nii.gz": "--echo-times-ms",
    }
    tally = cohort(table(saved(tmp_path), *GOOD[:2], *bad, *GOOD[2:]), out)
    assert (tally.done, tally.failed) == (4, 2)
    wide = {row["case"]: row for row in rows(out, "cohort_wide.csv")}
    for name, pdff in (("a", 6.0), ("b", 18.0), ("c", 30.0)):
        assert float(wide[name]["prediction_liver_pdff_median_percent"]) == pytest.approx(pdff, abs=0.4)
        assert float(wide[name]["prediction_liver_r2star_median_1_per_s"]) == pytest.approx(60.0, rel=0.03)
        assert wide[name]["prediction_liver_ff_median_percent"] == ""
    assert wide["two"]["prediction_liver_pdff_median_percent"] == ""
    assert "two_echoes" in wide["two"]["notices"]
    assert not [column for column in wide["a"] if "disc_" in column]
    assert [row for row in rows(out) if (row["case"], row["structure"][:5]) == ("b", "disc_")]
    told = {row["case"]: row["error"] for row in rows(out) if row["error"]}
    assert all(words in told[line.split(",")[0]] for line, words in bad.items()), told
    assert {"pdff.nii.gz", "preview.png", "fat.csv", "case.json"} <= {f.name for f in (out / "a").iterdir()}
    assert {(row["phase"], row["model"]) for row in rows(out) if not row["error"]} == {("mr_multiecho", "")}
    page = (out / "cohort.html").read_text(encoding="utf-8")
    for title in (
        "PDFF, median (%)",
        "R2*, median (1/s)",
        "fat fraction, median (%)",
        "liver iron concentration (mg/g)",
    ):
        assert f"<h3>{title}</h3>" in page
    assert re.search(r"<h3>PDFF, median \(%\)</h3>.*?Liver \(n = 3\)", page, re.DOTALL)
    assert "2 cases failed and are in no number below" in page


def test_a_resumed_cohort_does_only_what_changed(tmp_path: Path) -> None:
    path, out = table(saved(tmp_path), *GOOD[:2]), tmp_path / "out"
    assert cohort(path, out).done == 2
    assert cohort(path, out, resume=True).kept == 2
    save_echoes(phantom(7.0).phase_rad, phantom(7.0), tmp_path / "a_phase.nii.gz")
    assert cohort(path, out, resume=True).kept == 1
    sitk.WriteImage(as_image(LIVER.astype(np.uint8), GRID), str(tmp_path / "liver.nii.gz"))
    assert cohort(path, out, resume=True).kept == 0
    table(tmp_path, GOOD[0], f"{GOOD[1]},,2.9")
    assert cohort(path, out, resume=True).kept == 1
    asked = json.loads((out / "a" / "case.json").read_text())["asked"]["case"]
    assert asked["echoes"] == str(tmp_path / "a.nii.gz")


def test_scans_and_echoes_stand_in_one_table(tmp_path: Path) -> None:
    """A model draws on both; whoever has a mask needs none."""
    model = known_model(known_stage())
    fit = replace(model, card=replace(model.card, fit_phases=("mr_multiecho", "ct_portal", "ct_unknown", "mr_unknown")))
    folder = saved_model(tmp_path / "model", fit)
    saved_scan(tmp_path / "scan.nii.gz", bright_liver(Grid((48, 40, 32), (2.0, 2.0, 2.0))))
    path, out = table(saved(tmp_path), "drawn,b.nii.gz", GOOD[0], "scan,,,,,,scan.nii.gz"), tmp_path / "out"
    assert [case.needs_network for case in read_cases(path)] == [True, False, True]
    assert cohort(path, out, settings=Settings(model=str(folder), device="cpu", allow_unfit=True)).failed == 0
    wide = {row["case"]: row for row in rows(out, "cohort_wide.csv")}
    assert float(wide["drawn"]["prediction_liver_pdff_median_percent"]) == pytest.approx(18.0, abs=0.5)
    assert [wide[name]["model"] for name in ("drawn", "a", "scan")] == ["known-answer", "", "known-answer"]
    assert wide["scan"]["prediction_liver_volume_ml"]


def test_a_line_of_echoes_is_read_with_its_protocol(tmp_path: Path) -> None:
    line = 'x,"m.nii; n.nii",l.nii,"1.2; 3.1",2.9,p.nii'
    (case,) = read_cases(table(tmp_path, f"{line},8.5,4", columns=f"{COLUMNS[:-5]},tr_ms,flip_deg"))
    assert case.problem == ""
    assert case.fat is not None
    assert case.fat.echoes == (tmp_path / "m.nii", tmp_path / "n.nii")
    assert (case.fat.phase_image, case.fat.mask) == ((tmp_path / "p.nii",), tmp_path / "l.nii")
    assert (case.fat.echo_times_ms, case.fat.field_t) == ((1.2, 3.1), 2.9)
    assert (case.fat.tr_ms, case.fat.flip_deg) == (8.5, 4.0)
    assert set(case.inputs) == {tmp_path / f"{name}.nii" for name in "mnlp"}


@pytest.mark.parametrize(
    ("columns", "line", "words"),
    [
        ("case,echoes,scan", "a,e.nii,s.nii", "line 2: scan does not go with echoes"),
        ("case,echoes,reference,phase", "a,e.nii,r.nii,mr_t2", "reference, phase do not go with echoes"),
        ("case,scan,mask", "a,s.nii,m.nii", "mask does not go without echoes"),
        ("case,echoes,echo_times_ms", "a,e.nii,1.2;x", "echo_times_ms is 'x', expected a number"),
        ("case,echoes,field_t", "a,e.nii,3T", "field_t is '3T', expected a number"),
        ("case,echoes,tr_ms", "a,e.nii,8", "tr_ms and flip_deg belong together"),
        ("case,echoes", "a,", "neither a scan nor a prediction nor echoes"),
    ],
)
def test_what_is_wrong_with_a_line_is_its_own_error(tmp_path: Path, columns: str, line: str, words: str) -> None:
    (case,) = read_cases(table(tmp_path, line, columns=columns))
    assert words in case.problem


def test_a_table_without_any_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nor 'echoes'; expected one of them"):
        read_cases(table(tmp_path, "a,m.nii", columns="case,mask"))


def test_a_folder_of_multiecho_studies_is_told_by_its_files(tmp_path: Path) -> None:
    for name in ("a/magnitude.nii.gz", "a/phase_rad.nii.gz", "b/magnitude.nii.gz", "b/labels.nii.gz", "c/image.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    cases = {case.case: case for case in read_cases(tmp_path)}
    a, b = cases["a"].fat, cases["b"].fat
    assert a is not None
    assert b is not None
    assert (a.echoes, a.phase_image, a.mask) == (
        (tmp_path / "a/magnitude.nii.gz",), (tmp_path / "a/phase_rad.nii.gz",), None,
    )  # fmt: skip
    assert (b.mask, cases["b"].scan, cases["b"].reference) == (tmp_path / "b/labels.nii.gz", None, None)
    assert (cases["c"].fat, cases["c"].scan) == (None, tmp_path / "c/image.nii.gz")
