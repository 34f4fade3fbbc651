"""Folds as jobs: what is done is kept, what fails is listed, and the rest goes on."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
import torch
from liverseg_training import folds
from liverseg_training.__main__ import main
from liverseg_training.checkpoints import LAST, Checkpoint, load_checkpoint, save_checkpoint
from liverseg_training.experiment import load_experiment
from liverseg_training.fit import fit

# what a fold comes to is a word in its folder: done, refused, dies (every time), dies_once
STAND_IN = """
import os, signal, sys, time
from pathlib import Path
words = dict(word.split("=", 1) for word in sys.argv[3:] if "=" in word)
folder = Path(words["experiment.out_dir"])
fate = (folder / "fate").read_text() if (folder / "fate").exists() else "done"
with (folder / "told").open("a") as file:
    print(os.getcwd(), *sys.argv[1:], file=file)
if fate == "dies" or (fate == "dies_once" and len((folder / "told").read_text().splitlines()) == 1):
    (folder / "last.pt").write_text("half a run")
    os.kill(os.getpid(), signal.SIGKILL)
if fate == "refused":
    sys.exit(print("error: not this one", file=sys.stderr) or 2)
if fate == "waits":
    os.read(0, 1)
    (folder / "ended").write_text("")
"""


@pytest.fixture
def three(raw: dict, tmp_path: Path, toml_of) -> Path:
    raw["experiment"] |= {"max_steps": 1, "checkpoint_every": 1}
    raw["preprocess"]["spacing_mm"] = [8.0, 8.0, 8.0]
    raw["sampler"]["batch"] = 1
    raw["split"] = {"kind": "kfold", "folds": 3}
    return toml_of(raw, tmp_path / "x.toml")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The processes of folds are a script that only does as it is told; the folder of the runs."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setattr(folds, "_COMMAND", (str(tmp_path / "stand_in.py"),))
    return tmp_path / "run"


def fated(run: Path, *fates: str) -> None:
    for n, fate in enumerate(fates):
        (run / f"fold_{n}").mkdir(parents=True, exist_ok=True)
        (run / f"fold_{n}" / "fate").write_text(fate)


def told(run: Path, fold: int) -> list[str]:
    file = run / f"fold_{fold}" / "told"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_fold_that_fails_is_listed_and_the_rest_goes_on(
    three: Path, stand_in: Path, processes: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(three.parent)
    fated(stand_in, "refused", "dies", "dies_once")
    assert main(["fit", three.name, "--folds", "all", "--processes", processes, "--set", "optim.lr=0.5"]) == 2
    said, refused = capsys.readouterr()
    assert sorted(line.partition(",")[0] for line in said.splitlines()) == [
        "fold 0: not this one", "fold 1: its process ended without a word twice (signal 9: out of memory?); see "
        f"{stand_in / 'fold_1' / 'fit.log'}", "fold 2: trained",
    ]  # fmt: skip
    assert refused.startswith("error: 2 of 3 folds failed (fold 0: not this one; fold 1: its process ended")
    own = f"{three} --set optim.lr=0.5 --set split.fold=2 --set experiment.out_dir={stand_in / 'fold_2'}"
    assert told(stand_in, 2) == [f"{three.parent} fit {own}", f"{three.parent} resume {own}"]
    assert [len(told(stand_in, n)) for n in range(3)] == [1, 2, 2]


def test_what_is_done_is_kept_and_what_was_begun_is_resumed_alone(
    three: Path, stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, _ = load_experiment(three).folds()
    fit(first)
    assert load_checkpoint(first.out_dir / LAST).done == "1 steps"
    second.out_dir.mkdir()
    save_checkpoint(second.out_dir / LAST, Checkpoint(1, "x", [{"w": torch.zeros(1)}], [], {}))
    capsys.readouterr()
    jobs = [str(three), "--folds", "all", "--processes", "1"]
    assert main(["fit", *jobs]) == 2
    assert [len(told(stand_in, n)) for n in range(3)] == [0, 0, 1]
    assert "fold_1 holds a run that is not done; use `resume`" in capsys.readouterr().err
    assert main(["resume", *jobs]) == 0
    assert "fold 0: done before" in capsys.readouterr().out
    assert [[line.split()[1] for line in told(stand_in, n)] for n in range(3)] == [[], ["resume"], ["fit", "fit"]]
    assert main(["resume", *jobs, "--set", "experiment.max_steps=2"]) == 0
    assert len(told(stand_in, 0)) == 1
    assert main(["fit", *jobs, "--set", "optim.lr=0.5"]) == 2
    assert "fold_0 holds a run of another experiment; choose another experiment.out_dir" in capsys.readouterr().err


def test_each_of_several_processes_has_a_gpu_and_a_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert folds._slots(3) == [{"OMP_NUM_THREADS": "2"}] * 3
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in folds._slots(3)] == ["0", "1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in folds._slots(2)] == ["5", "7"]


def test_whoever_stops_listening_ends_the_processes(three: Path, stand_in: Path) -> None:
    fated(stand_in, "done", "waits", "waits")
    order = folds.Order(three, processes=2)
    answers = folds.fit_folds(order, load_experiment(three).folds())
    assert next(answers).startswith("fold 0: trained")
    deadline = time.monotonic() + 60
    while not (told(stand_in, 1) and told(stand_in, 2)) and time.monotonic() < deadline:
        time.sleep(0.01)
    answers.close()
    while not all((stand_in / f"fold_{n}" / "ended").exists() for n in (1, 2)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert all((stand_in / f"fold_{n}" / "ended").exists() for n in (1, 2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--processes", "2"], "are for folds; add --folds all"),
        (["--folds", "all", "--processes", "0"], "--processes 0; expected 1 or more"),
        (["--folds", "all", "--processes", "2", "--scheduler", "tcp://h:1"], "choose one"),
        (["--folds", "some", "--processes", "2"], "expected `all`"),
    ],
)
def test_what_cannot_be_is_a_sentence(three: Path, options: list[str], words: str, capsys) -> None:
    assert main(["fit", str(three), *options]) == 2
    assert words in capsys.readouterr().err


def test_folds_as_jobs_are_not_started_by_torchrun(three: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"RANK": 0, "WORLD_SIZE": 2, "LOCAL_RANK": 0, "MASTER_ADDR": "h", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(key, str(value))
    assert main(["fit", str(three), "--folds", "all", "--processes", "2"]) == 2
    assert "leave out torchrun" in capsys.readouterr().err


def test_without_dask_or_a_scheduler_one_sentence(three: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    assert main(["fit", str(three), "--folds", "all", "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert "error: --scheduler needs dask.distributed, which is not installed" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("environment")
def test_a_cluster_trains_the_folds_and_one_that_is_not_there_is_a_sentence(
    three: Path, stand_in: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("dask.distributed")
    from liverseg_core.cohort import pools

    fated(stand_in, "done", "refused", "dies_once")
    with distributed.LocalCluster(1, processes=False, threads_per_worker=2, dashboard_address=None) as cluster:
        jobs = ["fit", str(three), "--folds", "all", "--scheduler", cluster.scheduler_address]
        assert main(jobs) == 2
        assert "1 of 3 folds failed (fold 1: not this one)" in capsys.readouterr().err
        assert [len(told(stand_in, n)) for n in range(3)] == [1, 1, 2]
    monkeypatch.setattr(pools, "_ANSWER_S", "1 s")
    (stand_in / "fold_2" / LAST).unlink()
    assert main([*jobs[:-1], "tcp://127.0.0.1:9"]) == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in capsys.readouterr().err


@pytest.mark.slow
def test_folds_train_in_processes_of_their_own(three: Path, capsys) -> None:
    assert main(["fit", str(three), "--folds", "all", "--processes", "2"]) == 0
    run = load_experiment(three).out_dir
    assert [load_checkpoint(run / f"fold_{n}" / LAST).step for n in range(3)] == [1, 1, 1]
    assert "training on cpu" in (run / "fold_1" / folds.LOG).read_text()
