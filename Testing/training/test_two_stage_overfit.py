"""Over-fit tests of both stages on real scans, hours on two cores: what cannot be learnt by heart cannot be learnt.

The one real case with lesions trains here and nowhere else; its weights stay in the test's own folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from liverseg_training.experiment import Experiment, load_experiment
from liverseg_training.export import filled_network
from liverseg_training.fit import cached_sides, fit
from liverseg_training.lesion_cases import simulate_files
from liverseg_training.looks import Looks

EXPERIMENTS = Path(__file__).resolve().parents[2] / "LiverSegTraining" / "experiments"
DATA = Path(os.environ.get("LIVERSEG_DATA", ""))
here = pytest.mark.skipif(not (DATA / "cases" / "ircadb_17").exists(), reason="needs the cases in $LIVERSEG_DATA")
PLAIN = ("augment.turned=0.0", "augment.noise=0.0", "augment.gamma=[1.0,1.0]", "augment.lesions=0.0", "eval.every=0")


def learnt_by_heart(name: str, data: Path, out: Path, steps: int, *changes: str) -> float:
    """DSC on the training cases at the cached grid, after so many steps on nothing but them."""
    told = [f"data.folder={data}", f"data.cache={out / 'cache'}", f"experiment.out_dir={out / 'run'}"]
    told += [f"experiment.max_steps={steps}", f"experiment.iters_per_epoch={max(1, steps // 100)}", *PLAIN, *changes]
    experiment: Experiment = load_experiment(EXPERIMENTS / f"{name}.toml", told)
    fit(experiment)
    looks = Looks(experiment, cached_sides(experiment).training, torch.device("cpu"))
    return looks(filled_network(experiment)).score


def linked(out: Path, *names: str) -> Path:
    """A data folder of these cases alone, all of which train."""
    (out / "cases").mkdir(parents=True)
    for name in names:
        (out / "cases" / name).symlink_to(DATA / "cases" / name)
    (out / "split.json").write_text('{"validation": []}')
    return out


@here
@pytest.mark.slow
def test_the_liver_of_two_scans_is_learnt_by_heart(tmp_path: Path) -> None:
    data = linked(tmp_path / "data", "btcv_0001", "btcv_0002")
    assert learnt_by_heart("elanres_msca_liver", data, tmp_path, 800) >= 0.97


@here
@pytest.mark.slow
def test_the_tumours_of_a_patient_are_learnt_by_heart(tmp_path: Path) -> None:
    data = linked(tmp_path / "data", "ircadb_17")
    assert learnt_by_heart("elanres_msca_tumor", data, tmp_path, 600) >= 0.85


@here
@pytest.mark.slow
def test_made_up_tumours_of_two_livers_are_learnt_by_heart(tmp_path: Path) -> None:
    simulate_files(str(DATA), ["btcv_0001", "btcv_0002"], tmp_path / "data", seed=7)
    assert learnt_by_heart("elanres_msca_tumor", tmp_path / "data", tmp_path, 800) >= 0.85
