"""RESULTS.md: what validated runs say stands between the markers of each table, and nothing else is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from liverseg_core.errors import InputError
from liverseg_core.reporting import save_rows
from liverseg_training.__main__ import main
from liverseg_training.results import Table, markdown, read_runs, save_results, tables, with_table

TABLE = Table("small", "A small table", "Numbers of nothing.", lambda runs: [])
ROWS = [{"a": "1", "b": "x|y"}, {"a": "2"}]


def run(folder: Path, kind: str, seed: int, liver: dict[str, float], labelled: int = 6) -> None:
    """A run folder as `fit` and `validate` leave it, as far as tables read it."""
    folder.mkdir(parents=True)
    experiment = {
        "experiment": {"name": folder.name, "seed": seed, "max_steps": 300},
        "network": {"kind": "stunet", "pretrained": "before.pt"},
        "semi": {"kind": kind, "labelled": labelled},
    }
    (folder / "experiment.json").write_text(json.dumps(experiment))
    for phase, dsc in liver.items():
        rows = [{"phase": phase, "structure": "liver", "n": 4, "dsc_mean": dsc, "hd95_mm_mean": 20.0}]
        record = {"model": folder.name, "grid": "per volume, native grid", "cases": "4", "rows": rows}
        (folder / f"validation_{phase.split()[-1]}.json").write_text(json.dumps(record))
        scores = [{"case": "p", "phase": phase, "structure": "liver", "volume_ml": 1000 * dsc}]
        save_rows(scores, folder / f"validation_{phase.split()[-1]}.csv")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed, dsc in enumerate((0.80, 0.90)):
        run(tmp_path / f"cps_{seed}", "cps", seed, {"mr_t2fs": dsc, "imitated mr_dwi": 0.6})
    run(tmp_path / "alone", "none", 0, {"mr_t2fs": 0.7})
    run(tmp_path / "three", "none", 0, {"mr_t2fs": 0.5}, labelled=3)
    run(tmp_path / "before", "none", 0, {"ct_portal": 0.9}, labelled=0)
    (tmp_path / "unseen").mkdir()
    (tmp_path / "unseen" / "experiment.json").write_text("{}")
    return tmp_path


def test_the_table_by_phase_has_a_row_for_each_method_and_number_of_labels(runs: Path) -> None:
    (table,) = (t for t in tables() if t.key == "mr_dsc_by_phase")
    rows = table.rows(read_runs([runs]))
    assert [(r["method"], r["labelled"], r["seeds"]) for r in rows] == [
        ("cross pseudo supervision", "6", "2"), ("supervised only", "6", "1"), ("supervised only", "3", "1"),
    ]  # fmt: skip
    assert [r["mr_t2fs"] for r in rows] == ["0.850 ± 0.071 (n=4)", "0.700 (n=4)", "0.500 (n=4)"]
    assert [r["imitated mr_dwi"] for r in rows] == ["0.600 ± 0.000 (n=4)", "", ""]
    assert {r["began from"] for r in rows} == {"own pre-training"}
    assert "ct_portal" not in rows[0]
    (volumes,) = (t for t in tables() if t.key == "mr_volumes_across_phases")
    (row,) = volumes.rows(read_runs([runs]))
    assert (row["phases"], row["n"]) == ("imitated mr_dwi and mr_t2fs", "2")
    assert (row["mean"], row["worst"]) == ("34.3 %", "40.0 %")  # 2 x 200 / 1400 and 2 x 300 / 1500


def test_a_table_is_written_between_its_markers_and_the_rest_of_the_page_stays(runs: Path, capsys) -> None:
    page = runs / "RESULTS.md"
    page.write_text("# Mine\n\nwords\n\n<!-- table mr_dsc_by_phase -->\nold\n<!-- end of mr_dsc_by_phase -->\n\nmore\n")
    assert main(["results", str(runs), "--out", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("# Mine\n\nwords\n\n<!-- table mr_dsc_by_phase -->\n| method | labelled |")
    assert "old" not in text
    assert "<!-- end of mr_dsc_by_phase -->\n\nmore\n" in text
    assert "## STU-Net, liver HD95 by phase" in text
    assert "mr_dsc_by_phase: 3 rows" in capsys.readouterr().out
    save_results([runs], page)
    assert page.read_text() == text


def test_a_table_without_rows_keeps_what_stands(tmp_path: Path) -> None:
    run(tmp_path / "before", "none", 0, {"ct_portal": 0.9}, labelled=0)
    page = tmp_path / "RESULTS.md"
    page.write_text("<!-- table mr_dsc_by_phase -->\nkept\n<!-- end of mr_dsc_by_phase -->\n")
    assert "mr_dsc_by_phase: no run has any, so it stays as it is" in save_results([tmp_path], page)
    assert "kept" in page.read_text()


def test_tables_are_plain_and_broken_markers_are_refused(tmp_path: Path) -> None:
    assert markdown(ROWS) == "| a | b |\n| --- | --- |\n| 1 | x/y |\n| 2 |  |"
    once = with_table("# T\n", TABLE, ROWS)
    assert once.startswith("# T\n\n## A small table\n\nNumbers of nothing.\n\n<!-- table small -->\n| a | b |")
    assert with_table(once, TABLE, ROWS) == once
    turned = once.replace("table small", "X").replace("end of small", "table small").replace("X", "end of small")
    for broken in (once.replace("<!-- end of small -->", ""), once + once, turned):
        with pytest.raises(InputError, match="markers of small"):
            with_table(broken, TABLE, ROWS)
    with pytest.raises(InputError, match="no validated run"):
        read_runs([tmp_path])
    with pytest.raises(InputError, match="is no folder"):
        read_runs([tmp_path / "none"])
    keys = [table.key for table in tables()]
    assert len(keys) == len(set(keys))
