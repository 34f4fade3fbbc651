"""An experiment is read strictly, and says what it became."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from liverseg_core.errors import InputError
from liverseg_training.__main__ import main
from liverseg_training.experiment import experiment_from, load_experiment

EXPERIMENTS = sorted((Path(__file__).resolve().parents[2] / "LiverSegTraining" / "experiments").glob("*.toml"))
COARSE = next(path for path in EXPERIMENTS if path.stem == "any_phase_coarse")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_every_shipped_experiment_resolves_to_a_stage_that_never_flips_left_and_right(path: Path) -> None:
    experiment = load_experiment(path)
    assert experiment.experiment.name == path.stem
    assert "i" not in experiment.augment.flip or "_paper" in path.stem
    assert experiment.stage().labels == experiment.data.labels
    assert experiment.preprocess.of_a_paper == ("_paper" in path.stem)


@pytest.mark.parametrize(
    ("section", "key", "near"),
    [
        ("experiment", "max_step", "max_steps"),
        ("optim", "Lr", "lr"),
        ("augment", "rotate", "rotate_deg"),
        ("", "prepocess", "preprocess"),
    ],
)
def test_an_unknown_key_names_the_nearest(raw: dict, section: str, key: str, near: str) -> None:
    (raw.setdefault(section, {}) if section else raw)[key] = {}
    with pytest.raises(InputError, match=f"unknown key '{key}'; did you mean '{near}'"):
        experiment_from(raw, "x.toml")


def test_a_missing_key_and_a_missing_file_are_one_sentence(raw: dict, tmp_path) -> None:
    del raw["network"]["kind"]
    with pytest.raises(InputError, match=r"\[network\] lacks kind"):
        experiment_from(raw, "x.toml")
    with pytest.raises(InputError, match="does not exist"):
        load_experiment(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(InputError, match="not an experiment in TOML"):
        load_experiment(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("loss.terms=[{kind='dice', wieght=3}]", "unknown key 'wieght'; did you mean 'weight'"),
        ("data.weights={ct=1.0}", "data.weights must be one of CT, MR"),
        ("schedule.kind=linear", "schedule.kind must be one of hold"),
        ("optim.nesterov=1", "nesterov must be of type bool"),
        ("loss.deep={kind='alpha', evry=3}", "did you mean 'every'"),
        ("experiment.amp=half", "experiment.amp must be one of"),
        ("preprocess.resize=[64, 64]", "recipes named"),
        ("eval.grid=network", "recipes named"),
        ("schedule.kind=plateau", "set eval.every"),
        ("schedule.early_stop=3", "set eval.every"),
        ("split.fold=5", "split.fold must be one of 0 to 4"),
        ("split.ratios=[0.5]", "two or three shares"),
        ("sampler.place=left", "random, centre"),
        ("experiment.accumulate=0", "must be positive"),
        ("augment.flip={i=0.5}", "augment.flip must be one of j, k"),
        ("optim.lr=fast", "lr must be of type float"),
        ("preprocess.spacing_mm=3.0", "spacing_mm must be of type tuple"),
        ("experiment.max_steps=0", "must be positive"),
    ],
)
def test_values_that_would_be_obeyed_by_nobody_are_refused(change: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_experiment(COARSE, [change])


def test_a_text_for_a_list_of_texts_is_a_list() -> None:
    assert load_experiment(COARSE, ["data.include=btcv_*, lits_1"]).data.include == ("btcv_*", "lits_1")


def test_set_changes_one_value_as_toml_and_a_bare_word_is_text() -> None:
    changes = [
        "experiment.max_steps=12",
        "experiment.name=quick",
        "augment.scale=[0.9, 1.1]",
        "experiment.note=a word or two",
    ]
    experiment = load_experiment(COARSE, changes)
    assert experiment.experiment.max_steps == 12
    assert experiment.experiment.name == "quick"
    assert experiment.augment.scale == (0.9, 1.1)
    assert experiment.experiment.note == "a word or two"
    for wrong in ("max_steps=3", "experiment.max_stps=3", "experiment"):
        with pytest.raises(InputError):
            load_experiment(COARSE, [wrong])


def test_show_prints_what_is_resolved(capsys) -> None:
    assert main(["show", str(COARSE), "--set", "optim.lr=0.5"]) == 0
    assert json.loads(capsys.readouterr().out)["optim"]["lr"] == 0.5
    assert main(["show", str(COARSE), "--set", "optim.rate=0.5"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
