"""`finetune`: it begins where the model ended, learns from what was annotated and nothing else, and refuses to forget."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from liverseg_core.case_folder import CaseFacts
from liverseg_core.corrections import Correction, keep_case
from liverseg_core.errors import InputError, ModelError, OutputError
from liverseg_core.geometry import Grid, as_image
from liverseg_core.model_card import ModelCard
from liverseg_core.models import Model, empty_network, load_model
from liverseg_core.synthetic import abdomen
from liverseg_training import finetune as room
from liverseg_training.__main__ import main
from liverseg_training.cases import list_cases
from liverseg_training.checkpoints import LAST, load_checkpoint
from liverseg_training.experiment import experiment_from, load_experiment
from liverseg_training.finetune import MODEL, RECIPE, START, Tuning, as_toml, fine_stage, finetune, mixed, sides_of
from liverseg_training.fit import cached_sides
from liverseg_training.guard import MOST_LOSS, Before, Mark, Verdict, compared, means
from liverseg_training.pretrained import load_pretrained
from liverseg_training.sampling import BatchSampler
from phantoms import SHARED, ellipsoid, known_model, known_stage, saved_model

GRID = Grid((44, 40, 36), (4.0, 4.0, 4.0))  # of the synthetic cases beside it
OPTIONS = {"widths": (4, 8), "heads": 2}
COARSE = known_stage(
    spacing_mm=(8.0, 8.0, 8.0), options={"levels": (0.6, 9.0)}, labels=(1, 3), post={"1": ("largest",)}
)
FINE = known_stage(
    network="unet3d", options=OPTIONS, labels=(1, 3), spacing_mm=(4.0, 4.0, 4.0), crop="previous", margin_mm=8.0,
    snap=(4, 4, 4), mirror=("k",),
)  # fmt: skip
QUICK = ("experiment.max_steps=3", "experiment.checkpoint_every=1", "experiment.amp=off", "schedule.warmup=1")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A coarse stage of known answer, and a fine one with weights of its own, kept in 8 bits."""
    torch.manual_seed(3)
    return saved_model(tmp_path / "models" / "two", known_model(COARSE, FINE))


@pytest.fixture
def corrected(tmp_path: Path) -> Path:
    """Sent back by the panel: one with liver and spleen, and one of which the liver alone was looked at."""
    folder = tmp_path / "corrected"
    for n, codes in enumerate(((1, 3), (1,))):
        labels = np.zeros(GRID.array_shape, np.uint8)
        labels[np.roll(ellipsoid(GRID, (44.0, 40.0, 40.0)), n - 1, axis=2)] = 1
        labels[16:24, 12:28, 38:42] = 3 if 3 in codes else 0
        grey = np.where(labels == 1, 160, -60) + np.random.default_rng(90 + n).normal(0, 8, labels.shape)
        scan, mask = tmp_path / f"scan{n}.nii.gz", tmp_path / f"mask{n}.nii.gz"
        sitk.WriteImage(as_image(grey.astype(np.int16), GRID), str(scan))
        sitk.WriteImage(as_image(labels, GRID), str(mask))
        keep_case(Correction(scan, mask, folder, CaseFacts("ct_portal", codes, model="two")))
    return folder


@pytest.fixture
def tuning(corrected: Path, model: Path, data: Path, tmp_path: Path) -> Tuning:
    return Tuning(corrected, str(model), tmp_path / "run", str(data), mix=1, changes=QUICK, device="cpu")


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of a few channels that saw three steps forgets or learns as it likes."""
    monkeypatch.setattr(Verdict, "demand", lambda _: None)


def test_only_the_fine_stage_changes_and_the_card_says_so(tuning: Tuning, model: Path, lenient: None, capsys) -> None:
    old = load_model(model)
    told: list[str] = []
    card = finetune(tuning, told.append)
    new = load_model(tuning.out / MODEL)
    assert told[0] == "2 corrected and 2 old cases teach, 1 old ones judge"
    coarse, fine = ((a.state_dict(), b.state_dict()) for a, b in zip(old.networks, new.networks))
    assert all(torch.equal(coarse[0][key], coarse[1][key]) for key in coarse[0])
    assert any(not torch.equal(fine[0][key], fine[1][key]) for key in fine[0])
    assert new.card.stages == old.card.stages
    assert (card.name, card.version) == ("known-answer-tuned", "1-tuned")
    assert old.card.sha256[:12] in card.experiment[-1]
    assert "3 steps, 2 corrected cases (ct_portal), 2 old" in card.experiment[-1]
    assert new.card.measured["ct_portal"].n == 1
    assert "held" in new.card.measured["ct_portal"].cases
    assert new.card.measured["mr_t2fs"].n == 0  # what the old model had measured does not hold for the new one


def test_it_begins_with_the_weights_of_the_model(tuning: Tuning, model: Path) -> None:
    old, sides = load_model(model), sides_of(tuning, ModelCard.load(model))
    experiment = room._prepared(tuning, old, 1, sides)
    network = empty_network(experiment.stage())
    load_pretrained(network, Path(experiment.network.pretrained))
    assert Path(experiment.network.pretrained).name == START
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in old.networks[1].state_dict().items())


def test_the_experiment_trains_the_stage_of_the_card(tuning: Tuning, model: Path) -> None:
    """Down to window, crop, margin and mirror, so that training and use see the same."""
    card = ModelCard.load(model)
    raw = room.recipe(tuning, card, 1, sides_of(tuning, card))
    assert experiment_from(raw, "finetune").stage() == replace(FINE, post={"1": ("largest",)})
    (tuning.out.parent / "again.toml").write_text(as_toml(raw), encoding="utf-8")
    assert load_experiment(tuning.out.parent / "again.toml") == experiment_from(raw, "finetune")


def test_what_was_not_annotated_teaches_nothing(tuning: Tuning, model: Path) -> None:
    """Of the case whose liver alone was looked at, spleen is unknown; background and liver are not."""
    card = ModelCard.load(model)
    sides = sides_of(tuning, card)
    experiment = room._prepared(tuning, load_model(model), 1, sides)
    cases = {
        c.case.annotated: c for c in cached_sides(experiment).training if c.case.id in {s.id for s in sides.corrected}
    }
    known = {}
    for annotated, case in cases.items():
        sampler = BatchSampler([case], experiment.stage(), experiment.sampler, experiment.augment, {})
        known[annotated] = sampler.batch(np.random.default_rng(0)).known[0].tolist()
    assert known == {(1, 3): [True, True, True], (1,): [True, True, False]}


LIVER, BOTH = [("liver", 0.95)], [("liver", 0.95), ("spleen", 0.95)]
VERDICTS: list[tuple[list[tuple[str, float]], list[tuple[str, float]], str]] = [
    (LIVER, [("liver", 0.9451)], ""),
    (LIVER, [("liver", 0.9449)], "mean DSC of the liver fell from 0.9500 to 0.9449"),
    (BOTH, [("liver", 0.95), ("spleen", 0.93)], "mean DSC of the structures fell from 0.9500 to 0.9400"),
    (BOTH, [("liver", 0.96), ("spleen", 0.945)], ""),
    (LIVER, [("liver", math.nan)], "fell from 0.9500 to 0.0000"),  # nothing that can be said is no reason to trust it
]


@pytest.mark.parametrize(("before", "after", "words"), VERDICTS)
def test_the_guard_refuses_what_forgets(before: list, after: list, words: str) -> None:
    one, other = (Before(tuple(Mark("a", "ct_portal", *row) for row in rows)) for rows in (before, after))
    if words:
        with pytest.raises(ModelError, match=words):
            Verdict(one, other).demand()
    else:
        Verdict(one, other).demand()
    assert MOST_LOSS == 0.005


def test_a_refused_model_replaces_nothing(tuning: Tuning, monkeypatch, capsys) -> None:
    """As a command: exit 3, both numbers in the sentence, and the model that was there is as it was."""
    (tuning.out / MODEL).parent.mkdir(parents=True)
    marks = iter((0.9, 0.8))
    monkeypatch.setattr(
        "liverseg_training.guard.scored", lambda *_: Before((Mark("held", "ct_portal", "liver", next(marks)),))
    )
    arguments = ["--from", tuning.model, "--out", str(tuning.out), "--old", tuning.old, "--device", "cpu", "--mix", "1"]
    changes = [word for change in QUICK for word in ("--set", change)]
    assert main(["finetune", str(tuning.corrected), *arguments, *changes]) == 3
    assert "fell from 0.9000 to 0.8000" in capsys.readouterr().err
    assert not (tuning.out / MODEL).exists()
    assert {path.name for path in tuning.out.iterdir() if path.is_dir()} <= {
        "cache",
        "tensorboard",
    }  # no candidate stays


def test_a_run_that_was_stopped_goes_on(tuning: Tuning, lenient: None) -> None:
    finetune(tuning)
    again = replace(tuning, resume=True, changes=(*QUICK, "experiment.max_steps=5"))
    with pytest.raises(OutputError, match="--resume"):
        finetune(replace(again, resume=False))
    kept = (tuning.out / "before.json").stat().st_mtime_ns
    finetune(again)
    assert load_checkpoint(tuning.out / LAST).step == 5
    assert (tuning.out / "before.json").stat().st_mtime_ns == kept  # the old model was not scored again


def test_held_out_cases_neither_teach_nor_guard(tuning: Tuning, model: Path) -> None:
    held = sorted(tuning.corrected.glob("case-*"))[0].name
    (tuning.corrected / "split.json").write_text(json.dumps({"validation": [held]}))
    sides = sides_of(tuning, ModelCard.load(model))
    assert [case.id for case in sides.held_out] == [held]
    experiment = room._prepared(tuning, load_model(model), 1, sides)
    both = cached_sides(experiment)
    assert held not in {c.case.id for c in (*both.training, *both.validation)}


def test_old_cases_come_from_every_phase_in_turn(data: Path) -> None:
    assert {case.phase for case in mixed(list_cases(data), 2)} == {"ct_portal", "mr_t2fs"}
    assert len(mixed(list_cases(data), 99)) == 4


def test_the_stage_is_the_last_one_that_draws_the_liver() -> None:
    tumour = known_stage(labels=(2,), crop="previous", inside=1, post={})
    assert fine_stage(known_model(COARSE, FINE, tumour).card) == 1
    assert fine_stage(known_model(COARSE).card) == 0


def test_what_cannot_be_guarded_or_learnt_from_is_refused(tuning: Tuning, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leaves no old validation case"):
        finetune(replace(tuning, changes=(*QUICK, 'eval.cases=["nobody"]')))
    (tmp_path / "bare" / "cases").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no case"):
        finetune(replace(tuning, old=str(tmp_path / "bare")))
    with pytest.raises(InputError, match="does not exist; expected a folder of cases"):
        finetune(replace(tuning, corrected=tmp_path / "nowhere"))
    with pytest.raises(InputError, match="expected each name once"):
        finetune(replace(tuning, corrected=Path(tuning.old)))


def test_a_model_of_one_network_is_enough(tuning: Tuning, tmp_path: Path, lenient: None) -> None:
    alone = saved_model(tmp_path / "alone", Model(*_of_one()))
    assert finetune(replace(tuning, model=str(alone), name="mine")).name == "mine"
    assert load_experiment(tuning.out / RECIPE).sampler.kind == "scan"


def _of_one() -> tuple[ModelCard, tuple[torch.nn.Module, ...]]:
    made = known_model(replace(FINE, crop="none", margin_mm=0.0))
    return made.card, made.networks


ABDOMENS = (  # contrast, size, and what was looked at; the last three are held out
    ("t2", 0.92, (1, 3, 4, 5)), ("t1", 1.05, (1,)), ("t2", 1.08, (1, 3)),
    ("t2", 1.0, (1, 3, 4, 5)), ("t1", 0.95, (1, 3, 4, 5)), ("t2", 0.97, (1, 3, 4, 5)),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "cases").is_dir(), reason="the development data are not here")
def test_three_corrected_cases_improve_the_default_model_and_cost_it_nothing(tmp_path: Path, monkeypatch) -> None:
    """Two minutes of a core: 60 steps of the fine stage, judged by two CT and two MR that the model was validated on."""
    folder = tmp_path / "corrected"
    held = []
    for n, (contrast, size, codes) in enumerate(ABDOMENS):
        made, truth, _ = abdomen(contrast, seed=n + 1)
        grid = replace(made.grid, spacing_mm=tuple(size * mm for mm in made.grid.spacing_mm))
        drawn = np.where(np.isin(truth.voxels, codes), truth.voxels, 0).astype(np.uint8)
        scan, mask = tmp_path / f"scan{n}.nii.gz", tmp_path / f"mask{n}.nii.gz"
        sitk.WriteImage(as_image(made.voxels, grid), str(scan))
        sitk.WriteImage(as_image(drawn, grid), str(mask))
        place = keep_case(Correction(scan, mask, folder, CaseFacts(made.phase, codes)))
        held += [place.name] if n >= 3 else []
    (folder / "split.json").write_text(json.dumps({"validation": held}))
    judges = "btcv_0005,btcv_0031,chaos_t2spir_05,chaos_t2spir_33"
    changes = ("experiment.max_steps=60", "optim.lr=3e-4", f"eval.cases={judges}")
    verdicts: list[Verdict] = []
    monkeypatch.setattr(room, "compared", lambda *given: verdicts.append(compared(*given)) or verdicts[0])
    finetune(Tuning(folder, "any-phase", tmp_path / "run", str(SHARED), mix=1, changes=changes, device="cpu"))
    (verdict,) = verdicts
    old, new = (means(side.guards)["liver"] for side in (verdict.before, verdict.after))
    assert new >= old - MOST_LOSS
    before, after = (means(side.held_out)["liver"] for side in (verdict.before, verdict.after))
    assert after > before + 0.01
