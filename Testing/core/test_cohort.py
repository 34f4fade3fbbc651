"""Whole cohorts: bad lines beside good ones, killed and resumed, on processes and on a cluster."""

from __future__ import annotations

import argparse
import csv
import importlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from liverseg_core.cli import cohort as command
from liverseg_core.cli.events import Terminal
from liverseg_core.cohort import Case, Settings, pools, runner
from liverseg_core.cohort.pictures import BOTH, EXTRA, MISSED, disagreement
from liverseg_core.cohort.runner import Order, Tally, run_cohort
from liverseg_core.cohort.table import read_cases
from liverseg_core.errors import InputError, ModelError, OutputError
from liverseg_core.geometry import Grid, as_image
from liverseg_core.output import discard_unfinished
from phantoms import GRIDS, bright_liver, ellipsoid, ellipsoid_ml, overlap, saved_model, saved_scan

GRID = GRIDS["plain"]


def here(cases: Sequence[Case], work: Callable[[Case], str], *_: object) -> Iterator[tuple[Case, str]]:
    """A pool without processes: what happens in one is tested apart."""
    return ((case, work(case)) for case in cases)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "on_processes", here)


def saved_mask(path: Path, radii_mm: tuple[float, float, float], grid: Grid = GRID, code: int = 1) -> Path:
    sitk.WriteImage(as_image(ellipsoid(grid, radii_mm).astype(np.uint8) * np.uint8(code), grid), str(path), True)
    return path


def table(folder: Path, *lines: str, columns: str = "case,prediction,reference") -> Path:
    path = folder / "cases.csv"
    path.write_text("\n".join([columns, *lines]) + "\n", encoding="utf-8")
    return path


def masks(folder: Path, count: int = 4) -> list[str]:
    """Predictions that grow around one reference: lines of a table, paths relative to it."""
    saved_mask(folder / "truth.nii.gz", (28.0, 22.0, 20.0))
    for n in range(count):
        saved_mask(folder / f"p{n}.nii.gz", (24.0 + 2 * n, 22.0, 20.0))
    return [f"case {n},p{n}.nii.gz,truth.nii.gz" for n in range(count)]


def rows(out: Path, name: str = "cohort.csv") -> list[dict[str, str]]:
    with (out / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cohort(path: Path, out: Path, **more: object) -> Tally:
    return run_cohort(Order(path, out, **more))[0]  # type: ignore[arg-type]


def results(out: Path) -> dict[str, bytes]:
    """What a cohort says, times aside: tables, page, pictures, masks, and what each ledger says came of its case."""
    kept = (".csv", ".png", ".gz", ".html")
    said = {f: f.read_bytes() for f in out.rglob("*") if f.name.endswith(kept) and f.name != "report.html"}
    said |= {f: f.read_bytes().partition(b'"outcome"')[2] for f in out.rglob("case.json")}
    return {str(f.relative_to(out)): content for f, content in said.items()}


@pytest.mark.usefixtures("in_this_process")
def test_one_bad_line_never_stops_the_rest(tmp_path: Path) -> None:
    lines = masks(tmp_path)
    (tmp_path / "broken.nii.gz").write_bytes(b"not an image")
    saved_mask(tmp_path / "far.nii.gz", (20.0, 20.0, 20.0), Grid((20, 20, 20), (2.0, 2.0, 2.0), (900.0, 0.0, 0.0)))
    bad = {
        "gone,nowhere.nii.gz,truth.nii.gz": "does not exist",
        "broken,broken.nii.gz,truth.nii.gz": "broken.nii.gz",
        "blank,,truth.nii.gz": "line 7: neither a scan nor a prediction",
        "elsewhere,far.nii.gz,truth.nii.gz": "do not lie in the same place",
    }
    path = table(tmp_path, *lines[:2], *[*bad][:2], lines[2], *[*bad][2:], lines[3])
    tally = cohort(path, tmp_path / "out")
    assert (tally.done, tally.failed) == (4, 4)
    assert tally.sentence() == f"4 of 8 cases done, 4 failed: {tmp_path / 'out' / 'cohort.html'}"
    told = {row["case"]: row["error"] for row in rows(tmp_path / "out") if row["error"]}
    assert list(told) == [line.split(",")[0] for line in bad]
    assert all(words in told[line.split(",")[0]] for line, words in bad.items()), told
    assert not any("LiverSeg itself failed" in error for error in told.values())
    assert not any((tmp_path / "out" / line.split(",")[0]).exists() for line in bad)
    assert {r["case"] for r in rows(tmp_path / "out", "cohort_wide.csv")} == {
        *told,
        *(line.split(",")[0] for line in lines),
    }


@pytest.mark.usefixtures("in_this_process")
def test_the_tables_hold_known_answers(tmp_path: Path) -> None:
    cohort(table(tmp_path, *masks(tmp_path)), tmp_path / "out")
    long, wide = rows(tmp_path / "out"), rows(tmp_path / "out", "cohort_wide.csv")
    truth = ellipsoid(GRID)
    for n, row in enumerate(wide):
        drawn = ellipsoid(GRID, (24.0 + 2 * n, 22.0, 20.0))
        assert float(row["agreement_liver_dsc"]) == pytest.approx(overlap(drawn, truth), rel=1e-5)
        assert float(row["prediction_liver_volume_ml"]) == pytest.approx(
            ellipsoid_ml((24.0 + 2 * n, 22.0, 20.0)), rel=0.03
        )
        assert float(row["reference_liver_volume_ml"]) == pytest.approx(drawn.sum() * 0 + truth.sum() * 0.008, rel=1e-5)
        one = next(r for r in long if (r["case"], r["quantity"]) == (f"case {n}", "hd95"))
        assert (one["unit"], one["source"], one["value"]) == ("mm", "agreement", row["agreement_liver_hd95_mm"])
    files = {f.name for f in (tmp_path / "out" / "case 0").iterdir()}
    assert files == {"agreement.csv", "measurements.csv", "disagreement.png", "case.json"}


@pytest.mark.usefixtures("in_this_process")
def test_an_empty_prediction_is_undefined_and_never_zero_distance(tmp_path: Path) -> None:
    lines = masks(tmp_path, 1)
    saved_mask(tmp_path / "empty.nii.gz", (28.0, 22.0, 20.0), code=0)
    out = tmp_path / "out"
    assert cohort(table(tmp_path, *lines, "none,empty.nii.gz,truth.nii.gz"), out).failed == 0
    found = {r["quantity"]: r for r in rows(out) if r["case"] == "none" and r["source"] == "agreement"}
    assert (found["dsc"]["value"], found["hd95"]["value"]) == ("0", "")
    assert "missed case" in found["hd95"]["reason"]
    page = (out / "cohort.html").read_text(encoding="utf-8")
    assert page.index("none: liver DSC 0.000") < page.index("case 0: liver DSC")


@pytest.mark.usefixtures("in_this_process")
def test_resume_does_only_what_is_not_done_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = table(tmp_path, *masks(tmp_path), "gone,nowhere.nii.gz,truth.nii.gz"), tmp_path / "out"
    assert cohort(path, out).failed == 1
    before = results(out)
    saved_mask(tmp_path / "p1.nii.gz", (28.0, 22.0, 20.0))  # a changed input
    (out / "case 2" / "agreement.csv").write_text("changed\n")  # a changed result
    (out / ".case 3.half").mkdir()
    (out / ".case 3.half" / "x").touch()  # what a killed run left behind
    saved_mask(tmp_path / "nowhere.nii.gz", (28.0, 22.0, 20.0))  # what failed before
    worked: list[str] = []
    counted = lambda cases, work, *_: (worked.extend(c.case for c in cases), here(cases, work))[1]
    monkeypatch.setattr(runner, "on_processes", counted)
    tally = cohort(path, out, resume=True)
    assert worked == ["case 1", "case 2", "gone"]
    assert (tally.done, tally.kept, tally.failed) == (5, 2, 0)
    after = results(out)
    assert after["case 2/agreement.csv"] == before["case 2/agreement.csv"]
    assert after["case 1/agreement.csv"] != before["case 1/agreement.csv"]
    worked.clear()
    assert cohort(path, out, resume=True).kept == 5
    assert results(out) == after
    assert cohort(path, out, resume=True, settings=Settings(tolerance_mm=5.0)).kept == 0  # another question
    assert not list(out.glob(".*"))


@pytest.mark.usefixtures("in_this_process")
def test_a_folder_that_is_there_is_neither_mixed_nor_replaced(tmp_path: Path) -> None:
    path, out = table(tmp_path, *masks(tmp_path, 2)), tmp_path / "out"
    (out / "case 0").mkdir(parents=True)
    (out / "case 0" / "mine.txt").write_text("kept")
    with pytest.raises(OutputError, match="add --resume"):
        cohort(path, out)
    assert cohort(path, out, resume=True).failed == 1
    assert (out / "case 0" / "mine.txt").read_text() == "kept"
    assert "not of a cohort" in next(r["error"] for r in rows(out) if r["error"])


def test_a_killed_run_loses_the_case_in_hand_and_resumes_to_the_same_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed for good, without a chance to tidy up, while it segments."""
    model, count = saved_model(tmp_path / "model"), 8
    saved_mask(tmp_path / "truth.nii.gz", (28.0, 22.0, 20.0))
    for n in range(count):
        saved_scan(tmp_path / f"s{n}.nii.gz", bright_liver(GRID))
    lines = [f"c{n},s{n}.nii.gz,ct_portal,truth.nii.gz" for n in range(count)]
    path, out = table(tmp_path, *lines, columns="case,scan,phase,reference"), tmp_path / "out"
    settings = Settings(model=str(model), device="cpu")
    code = (
        "from pathlib import Path\nfrom liverseg_core.cohort import Settings\nfrom liverseg_core.cohort.runner import Order, run_cohort\n"
        f"if __name__ == '__main__': run_cohort(Order(Path({str(path)!r}), Path({str(out)!r}), "
        f"Settings(model={str(model)!r}, device='cpu'), workers=1))\n"
    )
    (tmp_path / "go.py").write_text(code)
    running = subprocess.Popen(
        [sys.executable, str(tmp_path / "go.py")], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    while running.poll() is None and len(list(out.glob("c*/case.json"))) < 2:
        time.sleep(0.002)
    running.kill()
    assert running.wait() != 0, "it was done before it could be killed"
    time.sleep(1.0)  # its process ends after it
    done = {f.parent.name for f in out.glob("c*/case.json")}
    assert 2 <= len(done) < count
    assert not (out / "cohort.csv").exists()
    monkeypatch.setattr(runner, "on_processes", here)
    tally = cohort(path, out, resume=True, settings=settings)
    assert (tally.done, tally.kept, tally.failed) == (count, len(done), 0)
    whole = tmp_path / "whole"
    assert cohort(path, whole, settings=settings).done == count
    assert results(out) == results(whole)
    assert len(results(whole)) == 3 + count * 6
    assert {r["model"] for r in rows(whole)} == {"known-answer"}


DYING = """
import os, time
from pathlib import Path
def work(case):
    if case.case == 'bad':
        os._exit(9)
    return '' if case.case != 'sad' else 'an error of its own'
def beat(case):
    while True:
        Path(case.model).write_text(str(time.time_ns()))
        time.sleep(0.02)
"""


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Case], str]:
    """A function that takes its process along; in a module that another process can import."""
    (tmp_path / "dying_work.py").write_text(DYING)
    monkeypatch.syspath_prepend(tmp_path)
    import dying_work

    return dying_work.work


CASES = [Case(name) for name in ("a", "bad", "b", "sad", "c", "d")]


def test_a_process_that_dies_takes_its_case_alone(dying: Callable[[Case], str]) -> None:
    errors = {case.case: error for case, error in pools.on_processes(CASES, dying, 2, discard_unfinished)}
    assert sorted(errors) == sorted(case.case for case in CASES)
    assert "ended without a word" in errors.pop("bad")
    assert errors.pop("sad") == "an error of its own"
    assert set(errors.values()) == {""}


def test_no_process_outlives_the_one_that_started_it(tmp_path: Path, dying: Callable[[Case], str]) -> None:
    heart = tmp_path / "heart"
    (tmp_path / "go.py").write_text(
        "from dying_work import beat\nfrom liverseg_core.cohort import Case, pools\n"
        f"if __name__ == '__main__': list(pools.on_processes([Case('a', model={str(heart)!r})], beat, 1, print))\n"
    )
    running = subprocess.Popen(
        [sys.executable, str(tmp_path / "go.py")], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    while running.poll() is None and not heart.exists():
        time.sleep(0.01)
    running.kill()
    running.wait()
    time.sleep(1.0)
    last = heart.read_text()
    time.sleep(0.3)
    assert last
    assert heart.read_text() == last


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("environment")
def test_a_cluster_does_the_same_when_a_worker_dies(
    dying: Callable[[Case], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("dask.distributed")
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
    importlib.import_module("dask").config.refresh()
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster:
        cluster.adapt(minimum=2, maximum=2)  # one that dies while it starts is not started again otherwise
        errors = {case.case: error for case, error in pools.on_cluster(CASES, dying, cluster.scheduler_address)}
    assert "ended without a word" in errors.pop("bad")
    assert errors.pop("sad") == "an error of its own"
    assert set(errors) == {"a", "b", "c", "d"}
    assert set(errors.values()) == {""}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("environment")
def test_a_cluster_that_has_lost_its_workers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("dask.distributed")
    monkeypatch.setattr(pools, "_LOOK_S", 0.1)
    monkeypatch.setattr(pools, "_PATIENCE_S", 0.3)
    with distributed.LocalCluster(1, processes=False, dashboard_address=None) as cluster:
        cluster.scale(0)
        while cluster.scheduler.workers:
            time.sleep(0.01)
        errors = {case.case: error for case, error in pools.on_cluster(CASES[:2], str, cluster.scheduler_address)}
    assert set(errors) == {"a", "bad"}
    assert all("no worker left" in error and "--resume" in error for error in errors.values())


def test_without_dask_or_a_scheduler_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(InputError, match=r"needs dask\.distributed, which is not installed"):
        list(pools.on_cluster(CASES, str, "tcp://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("case,scan,refrence\na,s.nii,r.nii", "unknown column 'refrence'; did you mean 'reference'"),
        ("case,scan,zzz\na,s.nii,1", "unknown column 'zzz'; known: case, scan"),
        ("case,scan,scan\na,s.nii,s.nii", "'scan' twice"),
        ("scan\ns.nii", "no column 'case'"),
        ("case,reference\na,r.nii", "neither a column 'scan' nor 'prediction'"),
        ("case,scan\na,s.nii\nb,s.nii\nA,t.nii", "line 4: the case 'A' stands on line 2 already"),
        ("case,scan,model\na,s.nii,m\na,s.nii,m", "with the model 'm' stands on line 2"),
        ("case,scan,model\na,s.nii,m\na,s.nii,", "with and without a model"),
        ("case,scan\n,s.nii", "line 2 names no case"),
        ("case,scan\n../a,s.nii", "cannot be the name of a folder"),
        ("case,scan\ncohort.csv,s.nii", "cannot be the name of a folder"),
        ("case,scan\na,s.nii,more", "line 2 has 3 cells"),
        ("case,scan\n", "holds no case"),
        ("", "holds no case"),
        ('case,scan\n"a,s.nii', "is not a table"),
    ],
)
def test_a_table_of_bad_form_is_refused_naming_the_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=re.escape(words)):
        read_cases(tmp_path / "t.csv")


def test_a_table_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"case,scan\n\xff\xfe,a")
    with pytest.raises(InputError, match="expected CSV in UTF-8"):
        read_cases(tmp_path / "t.csv")
    with pytest.raises(InputError, match="does not exist"):
        read_cases(tmp_path / "no.csv")


def test_spreadsheets_write_tables_of_their_own_kind(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("\ufeffCase;Scan;height_cm\r\nä;sub/s.nii;170\r\n;;\r\n".encode())
    (case,) = read_cases(tmp_path / "t.csv")
    assert (case.case, case.scan, case.body) == ("ä", tmp_path / "sub" / "s.nii", {"height_cm": 170.0})


def test_a_folder_of_studies_is_told_by_its_files(tmp_path: Path) -> None:
    for name in ("a/image.nii.gz", "a/labels.nii.gz", "b/prediction.nrrd", "b/labels.nii.gz", "c/IM0", "d/x.mha", "e.nii",
                 "f/x.nii", "f/y.nii", ".hidden/image.nii", "notes.txt"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    cases = {case.case: case for case in read_cases(tmp_path)}
    assert list(cases) == ["a", "b", "c", "d", "e", "f"]
    assert (cases["a"].scan, cases["a"].reference) == (tmp_path / "a/image.nii.gz", tmp_path / "a/labels.nii.gz")
    assert not cases["b"].needs_network
    assert [cases[name].scan for name in "cde"] == [tmp_path / "c", tmp_path / "d/x.mha", tmp_path / "e.nii"]
    assert "holds 2 images" in cases["f"].problem


@pytest.mark.usefixtures("in_this_process")
def test_scans_without_a_reference_are_measured_and_shown(tmp_path: Path) -> None:
    model, out = saved_model(tmp_path / "model"), tmp_path / "out"
    (tmp_path / "studies").mkdir()
    for name in ("a", "b"):
        saved_scan(tmp_path / "studies" / f"{name}.nii.gz", bright_liver(GRID))
    settings = Settings(model=str(model), device="cpu", allow_unfit=True)
    assert cohort(tmp_path / "studies", out, settings=settings).done == 2
    found = {(r["case"], r["quantity"]): r for r in rows(out)}
    assert float(found["a", "volume"]["value"]) == pytest.approx(ellipsoid_ml(), rel=0.03)
    assert found["b", "phase_guessed"]["source"] == "notice"
    page = (out / "cohort.html").read_text(encoding="utf-8")
    assert "a: 2 warnings" in page
    assert 'href="a/preview.png"' in page
    assert "volume (ml)" in page
    with pytest.raises(OutputError, match="would become a study"):
        cohort(tmp_path / "studies", tmp_path / "studies" / "out", settings=settings)


@pytest.mark.usefixtures("in_this_process")
def test_our_own_fault_is_that_cases_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liverseg_core.cohort.case.compare", lambda *_, **__: 1 / 0)
    out = tmp_path / "out"
    assert cohort(table(tmp_path, *masks(tmp_path, 2)), out).failed == 2
    assert "LiverSeg itself failed (ZeroDivisionError: division by zero)" in rows(out)[0]["error"]
    assert {f.name for f in out.iterdir()} == {"cohort.csv", "cohort_wide.csv", "cohort.html"}


@pytest.mark.usefixtures("in_this_process")
def test_units_that_cannot_be_are_that_cases_error(tmp_path: Path) -> None:
    masks(tmp_path, 1)
    lines = [f"{name},,p0.nii.gz,{height},80" for name, height in (("m", 1.7), ("cm", 170), ("text", "tall"))]
    model, scan = saved_model(tmp_path / "model"), saved_scan(tmp_path / "s.nii.gz", bright_liver(GRID))
    path = table(tmp_path, *lines, f"scan,{scan},,170,80", columns="case,scan,prediction,height_cm,weight_kg")
    out = tmp_path / "out"
    tally = cohort(path, out, settings=Settings(model=str(model), allow_unfit=True))
    assert (tally.done, tally.failed) == (2, 2)
    errors = {r["case"]: r["error"] for r in rows(out)}
    assert "is that in m? Then write 170" in errors["m"]
    assert "height_cm is 'tall', expected a number" in errors["text"]
    wide = {r["case"]: r["prediction_patient_body_surface_area_m2"] for r in rows(out, "cohort_wide.csv")}
    assert {name: bool(value) for name, value in wide.items()} == {"m": False, "cm": True, "text": False, "scan": True}
    assert float(wide["cm"]) == pytest.approx((170 * 80 / 3600) ** 0.5, rel=1e-5)
    assert wide["scan"] == wide["cm"]


@pytest.mark.usefixtures("in_this_process")
def test_two_models_on_the_same_patients_are_compared(tmp_path: Path) -> None:
    lines = masks(tmp_path, 8)
    both = [f"{line},{'good' if swap else 'bad'},{n // 2}" for swap in (0, 1) for n, line in enumerate(lines)]
    both = [
        line.replace(f"p{n % 8}.nii.gz", "truth.nii.gz") if n >= 8 and n % 8 else line for n, line in enumerate(both)
    ]
    out = tmp_path / "out"
    path = table(tmp_path, *both, columns="case,prediction,reference,model,patient")
    assert cohort(path, out).done == 16
    page = (out / "cohort.html").read_text(encoding="utf-8")
    assert (out / "case 1" / "good" / "case.json").exists()
    row = re.search(r"<tr><td>bad - good</td><td>Liver</td><td>DSC</td>(.*?)</tr>", page)
    assert row is not None
    cells = re.findall(r"<td>(.*?)</td>", row[1])
    assert cells[:3] == ["8", "0", "4"]
    assert float(cells[3].split()[0]) < 0
    assert "fewer than 6 patients" in cells[-1]
    assert "4 patients; models: bad, good" in page


@pytest.mark.usefixtures("in_this_process")
def test_the_page_is_whole_and_says_n_and_unit(tmp_path: Path) -> None:
    out = tmp_path / "out"
    cohort(table(tmp_path, *masks(tmp_path, 5), "gone,<no>.nii,truth.nii.gz"), out)
    page = (out / "cohort.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:image/png|case%20)', page)
    assert "&lt;no&gt;.nii does not exist" in page
    assert "1 case failed and is in no number below" in page
    assert page.count("data:image/png") == 5
    assert "n = 5, bias" in page
    assert "ICC(2,1)" in page
    assert "reference (ml)" in page
    assert "HD95 (mm)" in page
    assert not re.search(r"\bnan\b", re.sub(r"data:image/png;base64,[\w+/=]+", "", page), re.IGNORECASE)


@pytest.mark.parametrize("name", [name for name in GRIDS if name != "single slice"])
def test_the_picture_shows_what_is_missed_and_what_is_too_much(name: str) -> None:
    """A prediction cut off on the patient's left and too large on his right: orange left of dark, on every grid."""
    grid = GRIDS[name]
    k, j, i = np.indices(grid.array_shape)
    x_mm = grid.world_mm(np.stack([i, j, k], axis=-1).reshape(-1, 3))[:, 0].reshape(grid.array_shape)
    middle = float(grid.world_mm((np.asarray(grid.size) - 1) / 2)[0])
    inner, outer = ellipsoid(grid, (18.0, 14.0, 14.0)), ellipsoid(grid, (26.0, 16.0, 16.0))
    picture = disagreement(np.where(x_mm < middle, outer, inner), np.where(x_mm < middle, inner, outer), grid)
    place = {c: np.flatnonzero((picture == c).all(axis=-1).any(axis=0)) for c in (BOTH, EXTRA, MISSED)}
    assert np.median(place[EXTRA]) < np.median(place[BOTH]) < np.median(place[MISSED])
    grey = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (BOTH, EXTRA, MISSED)]
    assert grey[0] - grey[1] > 30
    assert grey[1] - grey[2] > 60


def test_a_picture_of_nothing_is_blank() -> None:
    empty = np.zeros(GRID.array_shape, bool)
    assert (disagreement(empty, empty, GRID) == 255).all()


@pytest.mark.usefixtures("in_this_process")
def test_the_verb_counts_failures_last_and_answers_2_when_nothing_could_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def options(path: Path, out: str, **changes: object) -> argparse.Namespace:
        plain = {"table": path, "out": tmp_path / out, "model": "auto", "device": "auto", "quality": "standard",
                 "tolerance_mm": 2.0, "allow_unfit": False, "workers": None, "scheduler": None, "resume": False}  # fmt: skip
        return argparse.Namespace(**plain | changes)

    good = table(tmp_path, *masks(tmp_path, 1), "gone,nowhere.nii,truth.nii.gz")
    assert command.run(options(good, "one"), Terminal()) == tmp_path / "one"
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 of 2 cases done, 1 failed")
    bad = table(tmp_path, "gone,nowhere.nii,truth.nii.gz")
    with pytest.raises(InputError, match="none of 1 cases could be read") as refused:
        command.run(options(bad, "two"), Terminal())
    assert refused.value.exit_code == 2
    assert [row["case"] for row in rows(tmp_path / "two")] == ["gone"]
    scans = table(tmp_path, "a,s.nii", columns="case,scan")
    for changes, error in (
        ({"model": "no-such"}, ModelError), ({"workers": 0}, InputError), ({"tolerance_mm": -1.0}, InputError),
        ({"workers": 2, "scheduler": "tcp://h:1"}, InputError),
    ):  # fmt: skip
        with pytest.raises(error):
            command.run(options(scans, "three", **changes), Terminal())
    assert not (tmp_path / "three").exists()
