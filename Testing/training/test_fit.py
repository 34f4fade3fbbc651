"""Training goes down, goes on where it was killed, and ends in a folder that the corridor obeys."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from liverseg_core.errors import InputError, OutputError
from liverseg_core.model_card import ModelCard
from liverseg_core.models import load_model
from liverseg_core.pipeline import segment_scan
from liverseg_core.reading import read_scan
from liverseg_training.__main__ import main
from liverseg_training.checkpoints import LAST, load_checkpoint
from liverseg_training.diary import history
from liverseg_training.experiment import Experiment, experiment_from
from liverseg_training.export import export
from liverseg_training.fit import fit
from liverseg_training.trainee import follow, new_trainee
from liverseg_training.validate import pairs, summary, validate

ROOT = Path(__file__).resolve().parents[2]


def with_run(experiment: Experiment, **changes: object) -> Experiment:
    return replace(experiment, experiment=replace(experiment.experiment, **changes))


def test_killed_and_resumed_equals_never_killed(raw: dict, tmp_path, same_state, toml_of) -> None:
    """kill -9 between two checkpoints, at a moment that nobody chose."""
    raw["experiment"] |= {"max_steps": 12, "checkpoint_every": 3, "out_dir": str(tmp_path / "straight")}
    fit(experiment_from(raw, "straight"))
    raw["experiment"]["out_dir"] = str(tmp_path / "killed")
    path = toml_of(raw, tmp_path / "killed.toml")
    paths = [str(ROOT / "LiverSegExtension" / "LiverSeg"), str(ROOT / "LiverSegTraining")]
    process = subprocess.Popen(
        [sys.executable, "-m", "liverseg_training", "fit", str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    run = tmp_path / "killed"
    deadline = time.monotonic() + 300
    while not (run / LAST).exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert load_checkpoint(run / LAST).step < 12
    assert main(["resume", str(path)]) == 0
    assert same_state(tmp_path / "straight", run)
    steps = lambda folder: [(row["step"], row["loss"]) for row in history(folder)]
    assert steps(run) == steps(tmp_path / "straight")


def test_training_learns_the_tiny_livers_and_the_export_draws_them(
    raw: dict, tmp_path, data: Path, capsys, toml_of
) -> None:
    raw["experiment"] |= {"max_steps": 80, "checkpoint_every": 80, "ema": 0.9}
    raw["augment"] = {"rotate_deg": [5.0, 5.0, 5.0]}
    raw["network"]["options"] = {"widths": [8, 16], "heads": 2}
    path = toml_of(raw, tmp_path / "tiny.toml")
    assert main(["fit", str(path)]) == 0
    rows = list(history(tmp_path / "run"))
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    assert (
        main(
            [
                "validate",
                str(path),
                "--out",
                str(tmp_path / "scores.csv"),
                "--write-card",
                "one tiny case",
            ]
        )
        == 0
    )
    with (tmp_path / "scores.csv").open() as file:
        scores = {row["structure"]: float(row["dsc"]) for row in csv.DictReader(file)}
    assert scores["liver"] > 0.9
    card = ModelCard.load(tmp_path / "run" / "model")
    assert card.measured["ct_portal"].n == 1
    assert card.measured["ct_portal"].dsc == pytest.approx(scores["liver"], abs=1e-4)
    assert "mean" in capsys.readouterr().out


def test_two_runs_become_two_stages_of_one_model(tiny: Experiment, tmp_path, data: Path) -> None:
    fine = replace(
        with_run(tiny, name="fine", out_dir=str(tmp_path / "fine")),
        preprocess=replace(tiny.preprocess, crop="previous", margin_mm=8.0),
    )
    for experiment in (tiny, fine):
        fit(with_run(experiment, max_steps=2))
    card = export([tiny, fine], "both", tmp_path / "model")
    assert [stage.crop for stage in card.stages] == ["none", "previous"]
    assert card.experiment[:2] == ("tiny, 2 steps", "fine, 2 steps")
    assert card.experiment[2].startswith("8 bits cost 0.00")
    model = load_model(tmp_path / "model")
    segment_scan(read_scan(data / "cases" / "held" / "image.nii.gz", "ct_portal"), model, device="cpu")
    with pytest.raises(OutputError, match="already holds"):
        export([tiny], "both", tmp_path / "model")


def test_a_run_is_neither_overwritten_nor_resumed_from_nothing_nor_from_another_network(
    tiny: Experiment, tmp_path
) -> None:
    with pytest.raises(InputError, match="nothing to resume"):
        fit(tiny, resume=True)
    fit(with_run(tiny, max_steps=1))
    with pytest.raises(InputError, match="already holds a run"):
        fit(tiny)
    wider = replace(tiny, network=replace(tiny.network, options={"widths": (4, 8, 8), "heads": 2}))
    with pytest.raises(InputError, match="holds"):
        fit(wider, resume=True)
    (Path(tiny.experiment.out_dir) / LAST).write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="not a checkpoint"):
        fit(tiny, resume=True)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_batch(tiny: Experiment, monkeypatch) -> None:
    monkeypatch.setattr("liverseg_training.fit.SegmentationLoss.forward", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(InputError, match="the batch is kept"):
        fit(tiny)
    assert (Path(tiny.experiment.out_dir) / "nan_batch.pt").exists()


def test_the_average_follows_by_its_decay() -> None:
    average, network = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    before = average.weight.detach().clone()
    follow(average, network, 0.75)
    torch.testing.assert_close(average.weight, 0.75 * before + 0.25 * network.weight)
    follow(average, network, 0.0)
    torch.testing.assert_close(average.weight, network.weight)


def test_the_same_seed_gives_the_same_beginning(tiny: Experiment) -> None:
    one, two = (new_trainee(tiny, torch.device("cpu")).networks[0].state_dict() for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.values(), two.values()))


def test_pairs_and_held_out_contrasts_are_scored(tiny: Experiment, data: Path, tmp_path) -> None:
    fit(with_run(tiny, max_steps=1))
    export([tiny], "m", tmp_path / "model")
    case = data / "cases" / "one"
    cases = pairs([[str(case / "image.nii.gz"), str(case / "labels.nii.gz"), "ct_portal"]])
    model = load_model(tmp_path / "model")
    scores = list(validate(model, cases, contrast="ghosted", device="cpu"))
    assert {(s.case, s.phase) for s in scores} == {("one", "ghosted")}
    assert {s.structure for s in scores} == {"liver", "spleen"}
    assert main(["validate", str(tmp_path / "model"), "--contrast", "ghosted", "--write-card", "no"]) == 2
    with pytest.raises(InputError, match="held-out families"):
        list(validate(model, cases, contrast="sepia", device="cpu"))
    better = [replace(s, figures={**s.figures, "dsc": d}) for s in scores[:1] for d in (0.9, 0.7)]
    (row,) = summary(better)
    assert (row["n"], row["dsc_mean"], row["dsc_worst"]) == (2, pytest.approx(0.8), 0.7)
