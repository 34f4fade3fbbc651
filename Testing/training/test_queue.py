"""`queue`: what is doubted most comes first, what is drawn is kept, a bad case costs its own row, and the panel reads the order."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from liverseg_core.case_folder import FACTS, IMAGE, LABELS_FILE, CaseFacts
from liverseg_core.cli import main as liverseg
from liverseg_core.cohort import runner
from liverseg_core.errors import InputError, ModelError, OutputError
from liverseg_training import queue as queue_room
from liverseg_training.__main__ import main
from liverseg_training.queue import FLAGS, TABLE, Queued, QueueOrder, ordered, queue
from LiverSegLib.cases import find_cases
from phantoms import GRIDS, bright_liver, ellipsoid, known_model, known_stage, saved_model, saved_scan

Told = list[tuple[str, int, int]]


@pytest.fixture(autouse=True)
def here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a process for each model, which would import torch anew; one test keeps it."""
    if "panel_lists" not in request.node.name:
        for place in (queue_room, runner):
            monkeypatch.setattr(place, "on_processes", lambda cases, work, *_: ((case, work(case)) for case in cases))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return saved_model(tmp_path / "models" / "known")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Livers of 250 HU and of 150 HU, of which the model is less sure; a file that is no scan; one that is drawn already."""
    folder = tmp_path / "scans"
    folder.mkdir()
    plain = bright_liver(GRIDS["plain"])
    saved_scan(folder / "a_clear.nii.gz", plain)
    saved_scan(folder / "b_dim.nii.gz", replace(plain, voxels=np.where(plain.voxels > 0, 150.0, plain.voxels)))
    (folder / "c_broken.nii.gz").write_bytes(b"no scan")
    labelled(folder / "d_whole", (1,))
    return folder


def labelled(folder: Path, annotated: tuple[int, ...]) -> None:
    """A corrected case, as the panel sends it back."""
    folder.mkdir()
    saved_scan(folder / IMAGE, bright_liver(GRIDS["plain"]))
    drawn = ellipsoid(GRIDS["plain"]).astype(np.uint8) * annotated[0]
    saved_scan(folder / LABELS_FILE, replace(bright_liver(GRIDS["plain"]), voxels=drawn))
    CaseFacts("ct_portal", annotated).save(folder)


def test_the_doubtful_come_first_and_the_panel_lists_them_so(scans: Path, model: Path, capsys) -> None:
    assert main(["queue", str(scans), "--model", str(model), "--device", "cpu"]) == 0
    results = scans.parent / "scans-liverseg"
    with (results / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["b_dim", "a_clear", "c_broken"]
    assert float(rows[0]["score"]) > float(rows[1]["score"]) >= FLAGS["implausible_volume"]  # 52 ml
    assert rows[2]["score"] == ""
    assert "c_broken.nii.gz" in rows[2]["error"]
    assert (rows[0]["phase"], rows[0]["model"]) == ("ct_unknown", "known-answer")
    listed = find_cases(scans, results)
    assert [case.name for case in listed] == ["b_dim", "a_clear", "c_broken", "d_whole"]
    assert listed[0].result == results / "b_dim"
    assert "implausible_volume" in listed[0].why
    assert "2 cases ranked, 1 failed" in capsys.readouterr().out


def test_what_was_drawn_by_the_same_weights_is_not_drawn_again(scans: Path, model: Path) -> None:
    def drawn(told: Told) -> set[str]:
        return {name.partition(":")[0] for name, _, _ in told}

    order, told = QueueOrder(scans, models=(str(model),), device="cpu"), [[], [], [], []]
    first = queue(order, lambda *heard: told[0].append(heard))
    assert drawn(told[0]) == {"a_clear", "b_dim", "c_broken"}
    assert queue(order, lambda *heard: told[1].append(heard)) == first
    assert drawn(told[1]) == {"c_broken"}  # what failed is tried again
    saved_model(model, known_model(known_stage(options={"levels": (0.2,)})))  # the same name, other weights
    queue(order, lambda *heard: told[2].append(heard))
    assert drawn(told[2]) == {"a_clear", "b_dim", "c_broken"}
    (scans.parent / "scans-liverseg" / "a_clear" / "report.json").unlink()
    queue(order, lambda *heard: told[3].append(heard))
    assert drawn(told[3]) == {"a_clear", "c_broken"}


def test_the_panel_keeps_what_the_queue_drew(scans: Path, model: Path, capsys) -> None:
    queue(QueueOrder(scans, models=(str(model),), device="cpu"))
    out = scans.parent / "scans-liverseg"
    assert (
        liverseg(["cohort", str(scans), "--out", str(out), "--resume", "--model", str(model), "--device", "cpu"]) == 0
    )
    assert "2 of them before" in capsys.readouterr().out


@pytest.mark.parametrize(("annotated", "ranked"), [((1,), False), ((3,), True)])
def test_a_reference_that_holds_less_than_the_model_draws_is_not_a_full_one(
    tmp_path: Path, model: Path, annotated: tuple[int, ...], ranked: bool
) -> None:
    folder = tmp_path / "data" / "cases"
    folder.mkdir(parents=True)
    labelled(folder / "one", annotated)
    labelled(folder / "two", (1, 2))
    order = QueueOrder(folder.parent, models=(str(model),), device="cpu")
    if not ranked:
        with pytest.raises(InputError, match=r"every case of .* has a full reference"):
            queue(order)
        return
    (only,) = queue(order)
    assert (only.case, only.error) == ("one", "")
    assert (tmp_path / "data" / "cases-liverseg" / "one" / "report.json").is_file()


def test_two_models_that_disagree_raise_a_case(tmp_path: Path, scans: Path, model: Path) -> None:
    """The second takes nothing for liver that is darker than 200 HU, and draws no liver where it is dim."""
    other = saved_model(tmp_path / "models" / "strict", known_model(known_stage(options={"levels": (1.5,)})))
    alone = {q.case: q for q in queue(QueueOrder(scans, models=(str(model),), device="cpu"))}
    both = {q.case: q for q in queue(QueueOrder(scans, models=(str(model), str(other)), device="cpu"))}
    assert math.isnan(alone["b_dim"].disagreement)
    assert both["b_dim"].disagreement == 1.0
    assert both["a_clear"].disagreement < 0.1
    assert both["b_dim"].score > alone["b_dim"].score
    assert (tmp_path / "scans-liverseg-strict" / "b_dim").is_dir()


SCORES: list[tuple[Queued, float]] = [
    (Queued("sound", doubt=0.5, accord=0.965), 0.6),
    (Queued("discord", doubt=0.5, accord=0.30), 2.5),  # (1 - 0.30) / (1 - 0.65)
    (Queued("members", doubt=0.5, disagreement=0.35), 1.5),
    (Queued("islands", doubt=0.5, flags=("islands", "low_confidence")), 1.5),  # what the doubt says is counted once
    (Queued("nothing", flags=("no_liver_found",)), 2.0),
]


def test_scores_are_shares_of_what_would_be_reported() -> None:
    assert [queued.score for queued, _ in SCORES] == pytest.approx([score for _, score in SCORES])
    ranked = ordered([*(queued for queued, _ in SCORES), Queued("lost", error="why")])
    assert [queued.case for queued in ranked] == ["discord", "nothing", "islands", "members", "sound", "lost"]


def test_a_case_with_damaged_facts_is_a_row(scans: Path, model: Path) -> None:
    (scans / "d_whole" / FACTS).write_text("{", encoding="utf-8")
    lost = [queued for queued in queue(QueueOrder(scans, models=(str(model),), device="cpu")) if queued.error]
    assert [queued.case for queued in lost] == ["c_broken", "d_whole"]
    assert "case.json cannot be read as JSON" in lost[1].error


REFUSED: list[tuple[Callable[[Path, Path], QueueOrder], type[Exception], str]] = [
    (lambda scans, model: QueueOrder(scans, scans / "out", (str(model),)), OutputError, "would become a case"),
    (lambda scans, model: QueueOrder(scans, None, (str(model), str(model))), InputError, "several of different names"),
    (lambda scans, model: QueueOrder(scans, None, ("nobody",)), ModelError, "unknown model"),
    (lambda scans, model: QueueOrder(scans, None, (str(model),), workers=0), InputError, "1 or more"),
    (lambda scans, model: QueueOrder(model, None, (str(model),)), InputError, "holds no case"),
]


@pytest.mark.parametrize(("order", "kind", "words"), REFUSED)
def test_what_would_spoil_everything_is_refused_before_any_work(
    scans: Path, model: Path, order: Callable[[Path, Path], QueueOrder], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        queue(order(scans, model))
    assert not (scans.parent / "scans-liverseg").exists()


def test_a_damaged_order_is_said(scans: Path, tmp_path: Path) -> None:
    results = tmp_path / "scans-liverseg"
    results.mkdir()
    (results / "queue.json").write_text(json.dumps({"cases": [{"case": "a"}]}), encoding="utf-8")
    with pytest.raises(InputError, match="rank again"):
        find_cases(scans, results)
