"""Looks while training: known answers at the cached grid, and what is refused before any of it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from liverseg_core import networks
from liverseg_core.geometry import Grid, as_image
from liverseg_training.__main__ import main
from liverseg_training.experiment import Experiment, experiment_from
from liverseg_training.export import filled_network
from liverseg_training.fit import cached_sides, fit
from liverseg_training.looks import Glance, Looks, Seen, chosen
from liverseg_training.sections import Eval
from phantoms import SHARED

CPU = torch.device("cpu")


def known(raw: dict, **changes: object) -> Experiment:
    """Brighter than 110 HU is liver: on CT, which is 160 HU in the liver and 60 at most elsewhere, the answer is right."""
    raw["network"] = {"kind": "threshold", "options": {"levels": [0.6]}}
    raw["data"]["labels"] = [1]
    raw["loss"] = {}
    raw["eval"] = {"every": 1}
    return replace(experiment_from(raw, "known"), **changes)


def look_of(experiment: Experiment) -> Seen:
    stage = experiment.stage()
    network = networks.build("threshold", channels=1, labels=2, **stage.options)
    return Looks(experiment, cached_sides(experiment).validation, CPU)(network, pictures=True)


@pytest.mark.parametrize("crop", ["none", "body"])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_network_that_is_right_scores_one_in_tiles_and_in_slices(raw: dict, crop: str, dims: int) -> None:
    raw["preprocess"]["crop"] = crop
    raw["network"] = {"kind": "threshold", "dims": dims, "options": {"levels": [0.6]}}
    raw["infer"] = {"window": [1, 24, 24] if dims == 2 else [16, 24, 24], "snap": [1 if dims == 2 else 4, 4, 4]}
    experiment = known(raw)
    experiment = replace(experiment, network=replace(experiment.network, dims=dims), post={"1": ("largest",)})
    seen = look_of(experiment)
    assert [(g.case, g.phase, g.structure) for g in seen.glances] == [("held", "ct_portal", "liver")]
    assert seen.score > 0.985  # noise of 8 HU, seven standard deviations away; the border is 4 mm wide
    assert seen.pictures["ct_portal"].dtype == np.uint8
    wrong = replace(experiment, network=replace(experiment.network, options={"levels": (9.0,)}))
    assert look_of(wrong).score == 0.0


def test_a_stage_that_waits_for_another_one_looks_at_the_block_of_the_reference(raw: dict) -> None:
    raw["preprocess"] |= {"crop": "previous", "margin_mm": 8.0}
    assert look_of(known(raw)).score > 0.985


def test_every_cell_counts_alike_and_what_is_undefined_counts_nothing() -> None:
    glances = [
        Glance("a", "ct_portal", "liver", 0.9),
        Glance("b", "ct_portal", "liver", 0.7),
        Glance("c", "mr_t2fs", "liver", 0.4),
    ]
    seen = Seen((*glances, Glance("d", "mr_t2fs", "spleen", math.nan)))
    assert seen.cells == pytest.approx({"liver ct_portal": 0.8, "liver mr_t2fs": 0.4})
    assert seen.score == pytest.approx(0.6)
    assert Seen(()).score == 0.0


def test_a_look_takes_the_phases_in_turn(raw: dict) -> None:
    cases = cached_sides(experiment_from(raw, "x")).training
    assert [c.case.id for c in chosen(cases, Eval(most=2))] == ["one", "two"]
    assert [c.case.id for c in chosen(cases, Eval(cases=("t*",)))] == ["three", "two"]


def without_image(case: Path) -> None:
    (case / "image.nii.gz").unlink()


def labels_elsewhere(case: Path) -> None:
    sitk.WriteImage(as_image(np.ones((9, 9, 9), np.uint8), Grid((9, 9, 9))), str(case / "labels.nii.gz"))


def changed_labels(case: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    image = sitk.ReadImage(str(case / "labels.nii.gz"))
    new = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(image)).astype(np.uint8))
    new.CopyInformation(image)
    sitk.WriteImage(new, str(case / "labels.nii.gz"))


def strange_codes(case: Path) -> None:
    changed_labels(case, lambda voxels: np.where(voxels == 1, 77, voxels))


def empty_label(case: Path) -> None:
    changed_labels(case, np.zeros_like)


def voxels_that_are_no_numbers(case: Path) -> None:
    image = sitk.Cast(sitk.ReadImage(str(case / "image.nii.gz")), sitk.sitkFloat32)
    voxels = sitk.GetArrayFromImage(image)
    voxels[3, 4, 5] = np.nan
    new = sitk.GetImageFromArray(voxels)
    new.CopyInformation(image)
    sitk.WriteImage(new, str(case / "image.nii.gz"))


def broken_meta(case: Path) -> None:
    (case / "meta.json").write_text('{"modality": "PET"}')


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (without_image, "one: "),
        (labels_elsewhere, "do not lie on the same grid"),
        (strange_codes, "holds the codes [77], which are not in the table"),
        (empty_label, "the reference holds none of the codes [1, 3]"),
        (voxels_that_are_no_numbers, "1 voxels were not numbers"),
        (broken_meta, "cannot be used"),
    ],
)
def test_a_case_that_would_teach_something_wrong_is_refused(
    raw: dict, data: Path, tmp_path, capsys, toml_of, harm: Callable[[Path], None], told: str
) -> None:
    """One line, exit code 2, and no run folder."""
    for name in ("one", "held"):
        shutil.copytree(data / "cases" / name, tmp_path / "data" / "cases" / name)
    (tmp_path / "data" / "split.json").write_text(json.dumps({"validation": ["held"]}))
    harm(tmp_path / "data" / "cases" / "one")
    raw["data"]["folder"] = str(tmp_path / "data")
    assert main(["fit", str(toml_of(raw, tmp_path / "x.toml"))]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert told in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("section", "values", "told"),
    [
        ("split", {"kind": "kfold", "folds": 4, "fold": 4}, "split.fold must be one of 0 to 3 (4 folds), not 4"),
        ("split", {"kind": "kfold", "folds": 9}, "4 patients cannot be dealt into 9 folds"),
        ("eval", {"every": 1, "grid": "network"}, "recipes named *_paper"),
        ("network", {"kind": "unet4d"}, "unknown network 'unet4d'"),
        ("network", {"kind": "unet3d", "pretrained": "none.pt"}, "none.pt"),
    ],
)
def test_an_experiment_that_cannot_be_run_is_refused(
    raw: dict, tmp_path, capsys, toml_of, section: str, values: dict, told: str
) -> None:
    raw[section] = values
    assert main(["fit", str(toml_of(raw, tmp_path / "x.toml"))]) in (2, 3)
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run" / "last.pt").exists()


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "cases").is_dir(), reason="needs the development data")
def test_two_real_cases_are_learned_by_heart(raw: dict, tmp_path) -> None:
    """Training DSC of the liver at the coarse grid, 6 mm, after some minutes: a loop that cannot do this learns nothing."""
    raw["experiment"] |= {"max_steps": 400, "checkpoint_every": 400, "ema": 0.95}
    raw["data"] |= {"folder": str(SHARED), "labels": [1], "include": ["btcv_0001", "btcv_0002"]}
    raw["preprocess"]["spacing_mm"] = [6.0, 6.0, 6.0]
    raw["network"]["options"] = {"widths": [16, 32, 64], "heads": 2}
    raw["sampler"] = {"kind": "scan", "batch": 1, "partial": 0.0}
    raw["augment"] = {"turned": 0.0}
    raw["schedule"] = {"kind": "cosine", "warmup": 10}
    raw["infer"] = {"window": [80, 64, 64], "snap": [4, 4, 4]}
    experiment = experiment_from(raw, "two")
    fit(experiment)
    looks = Looks(experiment, cached_sides(experiment).training, CPU)
    assert {g.case: g.dsc >= 0.97 for g in looks(filled_network(experiment)).glances} == {
        "btcv_0001": True, "btcv_0002": True,
    }  # fmt: skip
