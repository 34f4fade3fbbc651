"""The loop's habits: it goes on where it was, ends when it is told, and loses nothing on the way."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from liverseg_core.errors import InputError, MemoryShortageError, OutputError
from liverseg_training import diary, trainee
from liverseg_training.__main__ import main
from liverseg_training.budget import shortage_told, training_bytes
from liverseg_training.checkpoints import BEST, LAST, Checkpoint, load_checkpoint, save_checkpoint
from liverseg_training.curves import curves, thinned
from liverseg_training.diary import history
from liverseg_training.experiment import Experiment, experiment_from
from liverseg_training.export import kept_checkpoint
from liverseg_training.feeding import Feed, fed
from liverseg_training.fit import Teacher, cached_sides, fit, learned, pace
from liverseg_training.looks import Glance, Looks, Seen
from liverseg_training.losses import SegmentationLoss
from liverseg_training.rates import Moment
from liverseg_training.sampling import BatchSampler
from liverseg_training.sections import Eval, Schedule
from liverseg_training.semi import semi_of
from liverseg_training.trainee import begun, new_trainee

CPU = torch.device("cpu")


@pytest.fixture
def small(raw: dict) -> dict:
    """The tiny experiment at 8 mm: an eighth of the voxels."""
    raw["preprocess"]["spacing_mm"] = [8.0, 8.0, 8.0]
    raw["sampler"]["batch"] = 1
    raw["augment"] = {"simulate": 0.4, "flip": {"k": 0.3}}
    return raw


def onecycle_with_norms(raw: dict) -> None:
    raw["preprocess"] |= {"crop": "body"}
    raw["network"] = {"kind": "attention_unet", "dims": 2, "options": {"widths": [4, 8], "dropout": 0.2}}
    raw["infer"] = {"window": [1, 32, 32], "snap": [1, 16, 16]}
    raw["sampler"] = {"kind": "slice", "batch": 2}
    raw["loss"] = {}
    raw["schedule"] = {"kind": "onecycle", "freeze_epochs": 1, "freeze": ["model"]}
    raw["optim"] = {"lr": 0.001, "groups": {"model": 0.1}}
    raw["experiment"]["iters_per_epoch"] = 2


def plateau_that_stops(raw: dict) -> None:
    raw["schedule"] = {"kind": "plateau", "patience": 0, "factor": 0.5, "early_stop": 4}
    raw["eval"] = {"every": 2}


def several_batches_and_workers(raw: dict) -> None:
    raw["experiment"] |= {"accumulate": 2, "workers": 1}
    raw["schedule"] = {"kind": "poly"}


@pytest.mark.parametrize("change", [onecycle_with_norms, plateau_that_stops, several_batches_and_workers])
def test_a_run_that_was_cut_off_goes_on_bit_by_bit(
    small: dict, tmp_path, change: Callable[[dict], None], monkeypatch, same_state
) -> None:
    """Cut off after step 4 of 6, two steps after its last checkpoint but one: weights, averages, moments, scores."""
    small["experiment"] |= {"max_steps": 6, "checkpoint_every": 3}
    change(small)
    fit(experiment_from(small, "straight"))
    small["experiment"]["out_dir"] = str(tmp_path / "cut")
    cut = experiment_from(small, "cut")
    with monkeypatch.context() as patch:
        whole_step, steps = trainee.Trainee.step, iter(range(100))
        patch.setattr(trainee.Trainee, "step", lambda *a: whole_step(*a) if next(steps) < 4 else os.kill(os.getpid(), signal.SIGINT))  # fmt: skip
        with pytest.raises(KeyboardInterrupt):
            fit(cut)
    assert load_checkpoint(tmp_path / "cut" / LAST).step == 3
    fit(cut, resume=True)
    assert same_state(tmp_path / "run", tmp_path / "cut")
    told = [
        [{key: value for key, value in row.items() if key != "seconds"} for row in history(tmp_path / name)]
        for name in ("run", "cut")
    ]
    assert told[0] == told[1]
    assert len(load_checkpoint(tmp_path / "cut" / LAST).scores) == sum(bool(row["score"]) for row in told[0])


def test_accumulated_batches_have_the_gradient_of_one_large_batch(small: dict) -> None:
    small["loss"] = {"terms": [{"kind": "ce"}]}
    small["sampler"] = {"kind": "patch", "batch": 1}
    small["infer"] = {"window": [16, 16, 16], "snap": [4, 4, 4]}
    small["experiment"]["accumulate"] = 2
    experiment = experiment_from(small, "x")
    feed = Feed(experiment, sampler_of(experiment))
    one, two = feed[0]
    both = replace(one, **{n: torch.cat([getattr(one, n), getattr(two, n)]) for n in ("image", "target", "known")})
    teacher = Teacher(SegmentationLoss(experiment.loss.terms, (1.0,)), semi_of(experiment.semi), Path())
    gradients, losses = [], []
    for batches in ((one, two), (both,)):
        pupil = new_trainee(experiment, CPU)
        losses.append(sum(learned(pupil, batch, teacher, Moment(0, 1), len(batches)) for batch in batches))
        gradients.append([p.grad for p in pupil.networks[0].parameters() if p.grad is not None])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for a, b in zip(*gradients):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_workers_change_nothing(small: dict) -> None:
    experiment = experiment_from(small, "x")
    feed = Feed(experiment, sampler_of(experiment))
    alone, helped = (list(fed(feed, 3, 6, workers, CPU)) for workers in (0, 1))
    assert [step for step, _, _ in alone] == [step for step, _, _ in helped] == [3, 4, 5]
    assert not torch.equal(alone[0][1][0].image, alone[1][1][0].image)
    for (_, one, _), (_, two, _) in zip(alone, helped):
        assert torch.equal(one[0].image, two[0].image)
        assert torch.equal(one[0].target, two[0].target)


def test_epochs_are_steps() -> None:
    raw = {
        "experiment": {"name": "x", "out_dir": "x", "epochs": 6},
        "preprocess": {"spacing_mm": [1.0] * 3, "normalisation": {}},
        "network": {"kind": "unet3d"},
        "sampler": {"batch": 16},
        "infer": {"window": [8, 8, 8]},
    }
    assert pace(experiment_from(raw, "x"), 1000) == (63, 378)
    raw["experiment"] |= {"accumulate": 2}
    assert pace(experiment_from(raw, "x"), 1000) == (32, 192)
    raw["experiment"] |= {"iters_per_epoch": 250, "max_steps": 12}
    assert pace(experiment_from(raw, "x"), 1000) == (250, 12)


def test_the_best_look_is_kept_and_a_run_without_better_ones_ends(small: dict, monkeypatch) -> None:
    small["experiment"] |= {"max_steps": 30, "checkpoint_every": 30}
    small["eval"] = {"every": 2}
    small["schedule"] = {"kind": "hold", "early_stop": 2}
    drawn = [0.1, 0.5, 0.4, 0.3, 0.9]
    looks = iter(Seen((Glance("held", "ct_portal", "liver", d),), {"ct": np.zeros((9, 9, 3), np.uint8)}) for d in drawn)
    monkeypatch.setattr(Looks, "__call__", lambda *_, pictures: next(looks))
    experiment = experiment_from(small, "x")
    folder = fit(experiment)
    last, best = load_checkpoint(folder / LAST), load_checkpoint(folder / BEST)
    assert (last.step, best.step, last.scores, best.scores) == (8, 4, drawn[:4], drawn[:2])
    assert kept_checkpoint(experiment).step == 4
    assert kept_checkpoint(replace(experiment, eval=Eval(), schedule=Schedule())).step == 8
    rows = list(history(folder))
    assert [row["score"] for row in rows] == ["", "0.10000", "", "0.50000", "", "0.40000", "", "0.30000"]
    assert rows[3]["liver ct_portal"] == "0.50000"
    page = (folder / "training.html").read_text()
    for part in ("<svg", "Versions and data", "liver ct_portal", "data:image/png", "numpy"):
        assert part in page


def test_minutes_that_are_over_end_a_command_and_resume_goes_on(small: dict) -> None:
    small["experiment"]["max_minutes"] = 1e-9
    experiment = experiment_from(small, "x")
    for expected in (1, 2):
        folder = fit(experiment, resume=expected > 1)
        assert load_checkpoint(folder / LAST).step == expected


def test_a_disk_that_fills_leaves_the_checkpoint_before(tmp_path, monkeypatch) -> None:
    def checkpoint(step: int) -> Checkpoint:
        return Checkpoint(step, "x", [{"w": torch.zeros(1000)}], [], {})

    save_checkpoint(tmp_path / LAST, checkpoint(1))
    whole = torch.save

    def half(content: object, file: object) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OutputError, match=r"No space left on device\); the one before is kept"):
        save_checkpoint(tmp_path / LAST, checkpoint(2))
    monkeypatch.setattr(torch, "save", whole)
    assert load_checkpoint(tmp_path / LAST).step == 1
    assert [file.name for file in tmp_path.iterdir()] == [LAST]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of a file")
def test_a_real_limit_of_the_disk_is_told_in_a_sentence(tmp_path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            save_checkpoint(tmp_path / LAST, Checkpoint(1, "x", [{"w": torch.zeros(100_000)}], [], {}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_the_first_version_is_still_read(tmp_path) -> None:
    state = {"w": torch.ones(2)}
    torch.save({"step": 3, "network_of": "x", "network": state, "average": state, "optimiser": {}}, tmp_path / LAST)
    read = load_checkpoint(tmp_path / LAST)
    assert (read.step, len(read.networks), read.scores) == (3, 1, [])


def test_memory_that_runs_out_says_what_would_fit(small: dict, tmp_path, monkeypatch, capsys, toml_of) -> None:
    small["sampler"] = {"kind": "patch", "batch": 8}
    small["infer"] = {"window": [16, 16, 16], "snap": [4, 4, 4]}

    def short(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr("liverseg_core.networks.unet3d.UNet3d.forward", _once_told(short))
    path = toml_of(small, tmp_path / "x.toml")
    assert main(["fit", str(path)]) == 4
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "a batch of 8 blocks of 16 x 16 x 16 needs about" in told
    assert "a batch of 7 would fit by estimate: --set sampler.batch=7" in told


def _once_told(short: Callable[..., None]) -> Callable[..., object]:
    """Runs out of memory on real tensors; on those without content it is asked for what it would need."""
    from liverseg_core.networks.unet3d import UNet3d

    whole = UNet3d.forward
    return lambda self, x: whole(self, x) if x.device.type == "meta" else short()


def test_a_batch_that_cannot_fit_is_refused_before_the_first_step(small: dict, monkeypatch) -> None:
    small["sampler"] = {"kind": "patch", "batch": 1}
    small["infer"] = {"window": [64, 64, 64], "snap": [4, 4, 4]}
    experiment = experiment_from(small, "x")
    need = [training_bytes(experiment, n, (64, 64, 64)) for n in (1, 2)]
    assert need[1] / need[0] == pytest.approx(2, rel=0.05)
    layers = 64**3 * 4 * (1 + 4 * 3)  # the image, and what convolution, norm and activation keep at the finest level
    assert layers < need[0] < 8 * layers
    monkeypatch.setattr("liverseg_training.budget.free_on", lambda _: need[0] / 2)
    with (
        pytest.raises(MemoryShortageError, match=r"one block of 32 x 32 x 64 would fit .*infer.window=\[32, 32, 64\]"),
        shortage_told(experiment, CPU),
    ):
        pytest.fail("it must not begin")
    monkeypatch.setattr("liverseg_training.budget.free_on", lambda _: 10.0)
    with pytest.raises(MemoryShortageError, match="not even one small block"), shortage_told(experiment, CPU):
        pytest.fail("it must not begin")


@pytest.mark.parametrize(
    ("key", "value", "told"), [("amp", "fp16", "needs a CUDA device"), ("device", "cuda", "is not here")]
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_gpu_that_is_not_there_is_refused(
    small: dict, tmp_path, capsys, toml_of, key: str, value: str, told: str
) -> None:
    small["experiment"][key] = value
    assert main(["fit", str(toml_of(small, tmp_path / "x.toml"))]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_pretrained_encoder_is_where_training_begins(small: dict, tmp_path) -> None:
    onecycle_with_norms(small)
    small["network"] = {"kind": "psp_msff", "dims": 2}
    small["optim"] = small["schedule"] = {}
    other = new_trainee(experiment_from(small | {"experiment": {**small["experiment"], "seed": 9}}, "x"), CPU)
    torch.save(other.networks[0].encoder.state_dict(), tmp_path / "trunk.pt")
    small["network"]["pretrained"] = str(tmp_path / "trunk.pt")
    experiment = experiment_from(small, "x")
    pupil = new_trainee(experiment, CPU)
    (told,) = begun(pupil, experiment)
    assert "304 tensors were loaded, 0 left out" in told
    for network in (*pupil.networks, *pupil.averages):
        assert torch.equal(network.encoder.features[0][0].weight, other.networks[0].encoder.features[0][0].weight)
    assert not torch.equal(pupil.networks[0].plane.head.weight, other.networks[0].plane.head.weight)


class Board:
    """Takes what TensorBoard's writer would."""

    def __init__(self, folder: str, purge_step: int | None) -> None:
        self.told: list[tuple[str, int]] = []
        Board.last = self

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.told.append((name, step))

    def add_image(self, name: str, picture: np.ndarray, step: int, dataformats: str) -> None:
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        self.told.append((name, step))

    def close(self) -> None:
        self.told.append(("closed", 0))


def test_tensorboard_is_told_where_it_is_there(small: dict, monkeypatch) -> None:
    monkeypatch.setattr(diary, "_board", lambda folder, begin: Board(str(folder), None))
    small["experiment"]["max_steps"] = 2
    small["eval"] = {"every": 2}
    fit(experiment_from(small, "x"))
    told = Board.last.told
    assert [name for name, step in told if step == 1] == ["loss", "rate"]
    assert {"loss", "score", "dsc/liver ct_portal", "overlay/ct_portal"} <= {name for name, step in told if step == 2}
    assert told[-1] == ("closed", 0)


def test_curves_are_drawn_where_there_are_points() -> None:
    drawn = curves({"a": [(0, 1.0), (10, 2.0)], "b": [(5, float("nan"))]}, "step", "loss")
    assert drawn.startswith("<svg")
    assert "a 2" in drawn
    assert curves({"a": []}, "step", "loss") == "<p>No loss yet.</p>"
    many = thinned([(float(n), 2.0 * n) for n in range(1000)], 100)
    assert len(many) == 100
    assert many[0] == (4.5, 9.0)


def test_a_kind_of_semi_supervision_that_is_not_there_is_refused(small: dict) -> None:
    small["semi"] = {"kind": "mean_teacher"}
    with pytest.raises(InputError, match=r"semi\.kind must be one of none, cps"):
        fit(experiment_from(small, "x"))


def sampler_of(experiment: Experiment) -> BatchSampler:
    return BatchSampler(
        cached_sides(experiment).training, experiment.stage(), experiment.sampler, experiment.augment, {}
    )
