"""What is written about a trained model: tables, cards, costs, and all models side by side."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from liverseg_core.agreement import QUANTITIES
from liverseg_core.errors import InputError
from liverseg_core.model_card import ModelCard
from liverseg_core.models import load_model
from liverseg_core.reading import read_mask, read_scan
from liverseg_training import export as export_room
from liverseg_training.__main__ import main
from liverseg_training.budget import network_of
from liverseg_training.experiment import experiment_from, load_experiment
from liverseg_training.fit import fit
from liverseg_training.onnx_form import save_onnx
from liverseg_training.profiling import gmac, profile
from liverseg_training.tables import leaderboard
from liverseg_training.validate import validate

EXPERIMENTS = Path(__file__).resolve().parents[2] / "LiverSegTraining" / "experiments"
Written = Callable[..., Path]


@pytest.fixture
def known(raw: dict, tmp_path, toml_of) -> Written:
    """Writes an experiment whose network knows the answer on CT from the beginning, and whose training changes nothing."""

    def written(name: str = "known", **sections: dict) -> Path:
        raw["experiment"] |= {"name": name, "out_dir": str(tmp_path / "runs" / name), "max_steps": 1}
        raw["network"] = {"kind": "threshold", "options": {"levels": [0.6]}}
        raw["data"]["labels"] = [1]
        raw.update({"optim": {"lr": 1e-9}, "loss": {}, "post": {"1": ["largest"]}})
        for section, values in sections.items():
            raw[section] = raw.get(section, {}) | values
        return toml_of(raw, tmp_path / f"{name}.toml")

    return written


def test_an_experiment_is_validated_into_its_run_folder_and_its_card(known: Written, capsys, data: Path) -> None:
    path = known()
    assert main(["fit", str(path)]) == 0
    assert main(["validate", str(path)]) == 0
    run = load_experiment(path).out_dir
    with (run / "validation.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert {q.key for q in QUANTITIES if "{" not in q.key} < row.keys()
    assert (row["case"], row["phase"], row["structure"]) == ("held", "ct_portal", "liver")
    assert 0.98 < float(row["dsc"]) == pytest.approx(2 * float(row["iou"]) / (1 + float(row["iou"])))
    assert 0.9 < float(row["dsc_per_slice"]) <= 1
    assert int(row["slices"]) == 20  # of 4 mm, through an ellipsoid 40 mm from its centre to its end
    card = ModelCard.load(run / "model")
    assert card.measured["ct_portal"].n == 1
    assert card.measured["ct_portal"].cases == "1 validation cases: held"
    told = json.loads((run / "validation.json").read_text())
    assert (told["grid"], told["rows"][0]["n"]) == ("per volume, native grid", 1)
    page = (run / "validation.html").read_text()
    assert "per volume, native grid" in page
    assert "held" in page
    assert "per volume, native grid" in capsys.readouterr().out


def test_every_slice_in_which_the_reference_is_not_empty_counts_alike(known: Written, data: Path) -> None:
    path = known()
    fit(load_experiment(path))
    main(["export", str(path), "--as", "m", "--out", str(path.parent / "m")])
    model = load_model(path.parent / "m")
    from liverseg_training.cases import list_cases

    (case,) = list_cases(data, ["held"])
    (score,) = validate(model, [case], device="cpu")
    from liverseg_core.pipeline import segment_scan

    ours = segment_scan(read_scan(case.image, case.phase), model, device="cpu").mask.voxels == 1
    truth = read_mask(case.labels).voxels == 1
    each = [
        2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in zip(ours, truth) if b.any()
    ]  # fmt: skip
    assert score.slice_dsc == pytest.approx(np.mean(each))
    assert score.slices == len(each)


def test_a_recipe_of_a_paper_is_scored_at_its_own_grid_and_never_exported(known: Written, capsys, tmp_path) -> None:
    path = known(
        "known_paper",
        network={"dims": 2},
        preprocess={"resize": [20, 22], "spacing_mm": [0.0, 0.0, 0.0]},
        sampler={"kind": "slice", "batch": 2},
        infer={"window": [1, 20, 22], "snap": [1, 1, 1]},
        eval={"every": 1, "grid": "network"},
        augment={"flip": {"i": 0.5}},
    )
    assert main(["fit", str(path)]) == 0
    assert main(["validate", str(path)]) == 0
    run = load_experiment(path).out_dir
    told = json.loads((run / "validation.json").read_text())
    assert "own cached grid" in told["grid"]
    assert told["rows"][0]["dsc_mean"] > 0.95
    assert not (run / "model").exists()
    capsys.readouterr()
    assert main(["export", str(path), "--as", "x", "--out", str(tmp_path / "x")]) == 2
    assert "never exported" in capsys.readouterr().err


def test_all_validated_models_stand_side_by_side_best_first(known: Written, capsys, tmp_path) -> None:
    for name, level in (("worse", 1.06), ("better", 0.6)):
        path = known(name, network={"options": {"levels": [level]}})
        main(["fit", str(path)])
        main(["validate", str(path)])
    capsys.readouterr()
    assert main(["leaderboard", str(tmp_path / "runs"), "--out", str(tmp_path / "board.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines] == ["better", "worse"]
    with (tmp_path / "board.csv").open() as file:
        assert [row["model"] for row in csv.DictReader(file)] == ["better", "worse"]
    (row,) = leaderboard([tmp_path / "runs" / "better" / "model"])
    assert (row["n"], row["phase"]) == (1, "ct_portal")
    (tmp_path / "empty").mkdir()
    assert main(["leaderboard", str(tmp_path / "empty")]) == 2
    assert "no validated model" in capsys.readouterr().err


def test_folds_are_trained_one_after_another_and_pooled(known: Written, capsys) -> None:
    path = known("folds", split={"kind": "kfold", "folds": 2}, data={"include": ["one", "held", "three"]})
    assert main(["fit", str(path), "--folds", "all"]) == 0
    assert main(["validate", str(path), "--folds", "all"]) == 0
    with (load_experiment(path).out_dir / "validation.csv").open() as file:
        assert sorted(row["case"] for row in csv.DictReader(file)) == ["held", "one", "three"]
    assert main(["fit", str(path), "--folds", "some"]) == 2


def test_8_bits_are_kept_only_where_they_cost_nothing(known: Written, monkeypatch, tmp_path, capsys) -> None:
    path = known()
    main(["fit", str(path)])
    assert main(["export", str(path), "--as", "m", "--out", str(tmp_path / "m")]) == 0
    assert "8 bits cost 0.0000 DSC (1 looks at validation cases, cached grid)" in capsys.readouterr().out
    assert "8 bits cost" in ModelCard.load(tmp_path / "m").experiment[-1]
    monkeypatch.setattr(export_room, "loss_of_8_bits", lambda *_: (0.01, "8 bits cost 0.0100 DSC"))
    saved = []
    monkeypatch.setattr(
        export_room, "save_model", lambda *a, bits: saved.append(bits) or ModelCard.load(tmp_path / "m")
    )
    export_room.export([load_experiment(path)], "m", tmp_path / "n")
    assert saved == [8, 16]


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"), [("psp_msff", "7,475,710", 4.71), ("r50_unet", "40,919,010", 4.10)]
)
def test_costs_are_those_of_the_papers_tables(name: str, parameters: str, multiply_adds: float) -> None:
    """Counted on tensors without content, for the windows of the recipes."""
    experiment = load_experiment(EXPERIMENTS / f"{name}.toml")
    with torch.device("meta"):
        network = network_of(experiment).eval()
        x = torch.zeros(1, 3, *experiment.infer.window)
    assert f"{sum(p.numel() for p in network.parameters()):,}" == parameters
    assert gmac(network, x) == pytest.approx(multiply_adds, rel=0.01)


def test_a_profile_says_what_it_counts(raw: dict) -> None:
    raw["infer"] = {"window": [16, 16, 16], "snap": [4, 4, 4]}
    rows = {row.quantity: row for row in profile(experiment_from(raw, "x"))}
    assert list(rows) == ["parameters", "multiply-adds", "training memory", "inference memory", "time"]
    assert "1 GMAC is 1e9 multiply-adds, half of what" in rows["multiply-adds"].value
    assert float(rows["time"].value.split()[0]) > 0


@pytest.mark.skipif("onnxruntime" in sys.modules, reason="it is installed")
def test_onnx_that_is_not_installed_is_a_sentence(raw: dict, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    experiment = experiment_from(raw, "x")
    with pytest.raises(InputError, match="not installed; pip install them, or leave out --onnx"):
        save_onnx(network_of(experiment), experiment.stage(), tmp_path / "x.onnx")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch about itself
def test_onnx_agrees_with_torch(raw: dict, tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    raw["infer"] = {"window": [16, 16, 16], "snap": [4, 4, 4]}
    experiment = experiment_from(raw, "x")
    assert save_onnx(network_of(experiment), experiment.stage(), tmp_path / "x.onnx") < 1e-3
