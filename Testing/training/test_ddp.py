"""Several processes learn what one learns from all their batches, and end together."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from liverseg_core.errors import InputError
from liverseg_training.checkpoints import LAST, load_checkpoint
from liverseg_training.diary import history
from liverseg_training.experiment import experiment_from
from liverseg_training.feeding import Feed
from liverseg_training.fit import cached_sides, fit
from liverseg_training.semi.streams import streams_of
from liverseg_training.together import Group
from liverseg_training.trainee import new_trainee

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / "LiverSegExtension" / "LiverSeg"), str(ROOT / "LiverSegTraining")]
TOLERANCE = 1e-5  # of a weight, in fp32 after a few steps: sums over processes are rounded in another order


@pytest.fixture
def patches(raw: dict, data: Path, tmp_path: Path) -> dict:
    """STU-Net, instance norm, Dice of each sample; the coarsest head counts for nothing and so has no gradient."""
    (tmp_path / "split.json").write_text(json.dumps({"validation": ["held"]}))
    raw["experiment"] |= {"max_steps": 3, "checkpoint_every": 1, "workers": 0}
    raw["network"] = {"kind": "stunet", "options": {"shrink": 8, "strides": [[2, 2, 2]] * 2 + [[1, 1, 1]] * 3}}
    raw["loss"] = {"deep": {"kind": "pow2", "drop_last": True}}
    raw["sampler"] = {"kind": "patch", "batch": 2}
    raw["augment"] = {"simulate": 0.4, "noise": 0.2, "flip": {"k": 0.3}}
    raw["optim"] = {"kind": "sgd", "lr": 0.005}
    raw["infer"] = {"window": [16, 16, 16], "snap": [4, 4, 4]}
    return raw


def apart(one: Path, other: Path) -> float:
    """The largest difference of any weight, of the networks and of their averages."""
    a, b = load_checkpoint(one / LAST), load_checkpoint(other / LAST)
    assert (a.step, a.samples, a.scores) == (b.step, b.samples, pytest.approx(b.scores, abs=1e-4))
    pairs = zip((*a.networks, *a.averages), (*b.networks, *b.averages), strict=True)
    return max(float((x[key] - y[key]).abs().max()) for x, y in pairs for key in x)


def losses(folder: Path) -> list[float]:
    return [float(row["loss"]) for row in history(folder)]


def halved(raw: dict, out: Path, toml_of: Callable[[dict, Path], Path], **run: object) -> Path:
    """The same with half the batch, for two processes."""
    half = {**raw, "experiment": raw["experiment"] | {"out_dir": str(out)} | run}
    half["sampler"] = raw["sampler"] | {key: raw["sampler"].get(key, 0) // 2 for key in ("batch", "unlabelled")}
    return toml_of(half, out.with_suffix(".toml"))


def in_a_group(*words: str) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine, as torchrun starts them."""
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
         "--nproc-per-node", "2", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


def test_two_processes_equal_one_with_the_double_batch(patches: dict, tmp_path, toml_of) -> None:
    """Started as a user starts them."""
    patches["eval"] = {"every": 2}
    experiment = experiment_from(patches, "x")
    one = fit(experiment)
    path = halved(patches, tmp_path / "two", toml_of)
    done = in_a_group("-m", "liverseg_training", "fit", str(path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("training on cpu, in 2 processes") == 1
    assert apart(one, tmp_path / "two") < TOLERANCE
    assert losses(one) == pytest.approx(losses(tmp_path / "two"), abs=2e-5)
    fresh = new_trainee(experiment, torch.device("cpu")).networks[0].state_dict()
    moved = load_checkpoint(one / LAST).networks[0]
    assert max(float((fresh[key] - moved[key]).abs().max()) for key in fresh) > 100 * TOLERANCE
    assert len(load_checkpoint(one / LAST).scores) == 2


def batch_of_one_each(raw: dict) -> None:
    """Blocks of many sizes: two processes are one that accumulates, each block at its own size."""
    raw["sampler"] = {"kind": "scan", "batch": 1, "partial": 0.5}
    raw["network"] = {"kind": "unet3d", "options": {"widths": [4, 8], "heads": 2}}
    raw["infer"] = {"window": [64, 64, 64], "snap": [4, 4, 4]}
    raw["preprocess"]["spacing_mm"] = [8.0, 8.0, 8.0]
    raw["loss"] = {"supervision": [1.0, 0.5]}


def accumulated(raw: dict) -> None:
    raw["experiment"]["accumulate"] = 2
    raw["schedule"] = {"kind": "plateau", "patience": 0}
    raw["eval"] = {"every": 1}


def two_networks(raw: dict) -> None:
    raw["data"] |= {"labels": [1]}
    raw["sampler"] |= {"unlabelled": 2}
    raw["semi"] = {"kind": "cps", "labelled": 2, "weight": 0.5, "seeds": [0, 7]}


def frozen_at_first(raw: dict) -> None:
    raw["experiment"]["iters_per_epoch"] = 1
    raw["schedule"] = {"kind": "onecycle", "freeze_epochs": 1, "freeze": ["conv_blocks_context"]}


CHANGES = {change.__name__: change for change in (batch_of_one_each, accumulated, two_networks, frozen_at_first)}
MISHAPS = {  # what happens -> exit code, what is said, steps done
    "no_number_in_the_second": (
        2,
        r"^error: the loss became nan at step 0; the batch is kept in .*nan_batch_1\.pt$",
        0,
    ),
    "nothing_to_train_on_in_the_first": (2, "^error: no such data$", 0),
    "a_signal_to_the_second": (5, "^error: cancelled; `resume` goes on", 2),
    "late_for_the_first": (0, "^step 1/3: 0 minutes are over", 1),
}


@pytest.mark.slow
def test_what_a_step_may_hold_and_how_runs_end_and_go_on_in_two_processes(patches: dict, tmp_path, toml_of) -> None:
    """All in one group, so that torch is imported once."""
    runs, alone = {}, {}
    for name, change in CHANGES.items():
        raw = copy.deepcopy(patches)
        raw["experiment"]["out_dir"] = str(tmp_path / f"{name}_alone")
        change(raw)
        runs[name] = {"file": str(halved(raw, tmp_path / name, toml_of))}
        if change is batch_of_one_each:
            runs[name]["changes"] = ["sampler.batch=1"]
            raw["experiment"]["accumulate"] = 2
            runs[name]["changes"] += ["experiment.accumulate=1"]
        alone[name] = fit(experiment_from(raw, name))
    runs |= {name: {"file": str(halved(patches, tmp_path / name, toml_of)), "mishap": [name]} for name in MISHAPS}
    straight = fit(experiment_from(patches, "x"))
    begun = {**patches, "experiment": patches["experiment"] | {"out_dir": str(tmp_path / "begun"), "max_steps": 1}}
    fit(experiment_from(begun, "x"))
    runs["begun"] = {"file": str(halved(patches, tmp_path / "begun", toml_of)), "resume": True}
    runs["larger"] = runs["begun"] | {"changes": ["sampler.batch=2", "experiment.max_steps=4"]}
    (tmp_path / "runs.json").write_text(json.dumps(runs))
    done = in_a_group(str(ROOT / "Testing" / "training" / "group_of_two.py"), str(tmp_path))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    codes = [json.loads((tmp_path / f"codes_{rank}.json").read_text()) for rank in range(2)]
    assert codes[0] == codes[1] == {name: MISHAPS.get(name, (0,))[0] for name in runs}
    said = dict(part.split("\n", 1) for part in done.stdout.split("== ")[1:])
    for name, (_, words, steps) in MISHAPS.items():
        assert len(re.findall(words, said[name], re.MULTILINE)) == 1, said[name]
        assert (load_checkpoint(tmp_path / name / LAST).step if steps else 0) == steps
    assert (tmp_path / "no_number_in_the_second" / "nan_batch_1.pt").exists()
    assert not (tmp_path / "no_number_in_the_second" / "nan_batch.pt").exists()
    for name, folder in alone.items():
        assert apart(folder, tmp_path / name) < TOLERANCE, name
    assert "a step saw" not in said["begun"]
    assert "a step saw 2 samples until now, and sees 4 from here on" in said["larger"]
    assert losses(straight) == pytest.approx(losses(tmp_path / "begun")[:3], abs=2e-5)


@pytest.mark.parametrize("unlabelled", [0, 2])
def test_a_sample_is_decided_by_its_number_alone(patches: dict, unlabelled: int) -> None:
    """Whether a batch of four, two batches of two, or the shares of two processes hold it."""
    patches["sampler"] |= {"batch": 4, "unlabelled": 2 * unlabelled}
    if unlabelled:
        two_networks(patches)
        patches["sampler"] |= {"unlabelled": 2 * unlabelled}
    whole = experiment_from(patches, "x")
    half = replace(whole, sampler=replace(whole.sampler, batch=2, unlabelled=unlabelled))
    cases = cached_sides(whole).training
    (four,) = Feed(whole, streams_of(whole, cases))[7]
    twice = replace(half, experiment=replace(half.experiment, accumulate=2))
    streams = streams_of(half, cases)
    by_turns = Feed(twice, streams)[7]
    shares = [Feed(half, streams, rank, 2)[7][0] for rank in range(2)]
    order = [*range(2), *range(4, 4 + unlabelled), 2, 3, *range(4 + unlabelled, 4 + 2 * unlabelled)]
    for parts in (by_turns, shares):
        for name in ("image", "target", "known"):
            assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(four, name)[order])
    assert len({image.numpy().tobytes() for image in four.image}) == len(order)


def test_every_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Group(1, 2, 1).device("auto") in ("cpu", "cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    assert [Group(n, 4, n % 2).device("auto") for n in range(4)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert Group().device("cuda:1") == "cuda:1"
    with pytest.raises(InputError, match="finds 2 GPUs"):
        Group(2, 4, 2).device("cuda")
    with pytest.raises(InputError, match="one GPU for 2 processes"):
        Group(0, 2, 0).device("cuda:1")
    assert np.isclose(Group().mean(0.5), 0.5)
