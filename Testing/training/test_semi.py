"""Two networks that teach each other: no gradient through a teacher, no label of a hidden case, nothing begins alike."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from liverseg_core import networks
from liverseg_core.errors import InputError
from liverseg_core.models import empty_network
from liverseg_training import trainee
from liverseg_training.budget import training_bytes
from liverseg_training.cases import list_cases
from liverseg_training.checkpoints import LAST, load_checkpoint
from liverseg_training.experiment import experiment_from
from liverseg_training.export import exported, kept_checkpoint
from liverseg_training.feeding import Feed
from liverseg_training.fit import Teacher, cached_sides, fit, learned
from liverseg_training.losses import SegmentationLoss
from liverseg_training.rates import Moment
from liverseg_training.sampling import BatchSampler
from liverseg_training.semi import semi_of
from liverseg_training.semi.cps import CrossPseudoSupervision, ramped, taught
from liverseg_training.semi.imitated import _KNOTS, IMITATIONS, imitated, imitation
from liverseg_training.semi.section import Semi
from liverseg_training.semi.streams import dealt, streams_of, unlabelled_cases
from liverseg_training.trainee import begun, new_trainee
from liverseg_training.validate import contrasts, resynthesised
from torch.nn import functional

CPU = torch.device("cpu")
NETWORK = {"shrink": 8, "strides": [[2, 2, 2], [2, 2, 2], [1, 1, 1], [1, 1, 1], [1, 1, 1]], "heads": 3}


@pytest.fixture
def pair(raw: dict) -> dict:
    """Width / 8 at 8 mm: two labelled samples and two without a reference in a batch, one case hidden."""
    raw["preprocess"]["spacing_mm"] = [8.0, 8.0, 8.0]
    raw["network"] = {"kind": "stunet", "options": NETWORK}
    raw["loss"] = {"deep": {"kind": "pow2", "drop_last": True}}
    raw["sampler"] = {"kind": "patch", "batch": 2, "unlabelled": 2}
    raw["infer"] = {"window": [16, 16, 16], "snap": [4, 4, 4]}
    raw["augment"] = {"remap": 0.3}
    raw["semi"] = {"kind": "cps", "labelled": 2, "seed": 1}
    return raw


def logits(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def stunet(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return networks.build("stunet", channels=1, labels=3, **NETWORK)


def test_no_gradient_goes_through_the_labels_and_their_certainty_means_nothing() -> None:
    one, other = stunet(0), stunet(1)
    x = logits(1, 1, 16, 16, 16, seed=0)
    pupil, teacher = one(x)[0], other(x)[0]
    loss = taught(pupil, teacher)
    loss.backward()
    assert all(p.grad is None for p in other.parameters())
    assert any(p.grad is not None and bool(p.grad.any()) for p in one.parameters())
    torch.testing.assert_close(taught(pupil, 7.0 * teacher + 3.0), loss, rtol=0, atol=0)
    assert not torch.equal(taught(pupil, -teacher), loss)


def test_pseudo_labels_that_are_the_truth_cost_what_the_truth_costs() -> None:
    truth = torch.randint(0, 3, (2, 4, 5, 6), generator=torch.Generator().manual_seed(1))
    sure = functional.one_hot(truth, 3).movedim(-1, 1).float()
    pupil = logits(2, 3, 4, 5, 6, seed=2)
    torch.testing.assert_close(taught(pupil, sure), functional.cross_entropy(pupil, truth), rtol=0, atol=0)


@pytest.mark.parametrize(("on", "samples"), [("unlabelled", [1]), ("all", [0, 1])])
def test_the_term_is_both_cross_entropies_of_the_finest_heads_over_its_own_samples(
    on: str, samples: Sequence[int]
) -> None:
    semi = Semi(kind="cps", on=on, weight=0.5)
    heads = [[logits(2, 3, 4, 4, 4, seed=n), logits(2, 3, 2, 2, 2, seed=9 + n)] for n in range(2)]
    known = torch.tensor([[True] * 3, [False] * 3])
    a, b = (answers[0][list(samples)] for answers in heads)
    expected = 0.5 * (functional.cross_entropy(a, b.argmax(1)) + functional.cross_entropy(b, a.argmax(1)))
    torch.testing.assert_close(CrossPseudoSupervision(semi)(heads, known, Moment(9, 10)), expected)
    if on == "unlabelled":
        assert CrossPseudoSupervision(semi)(heads, torch.ones_like(known), Moment(9, 10)) is None


def test_the_weight_rises_along_its_ramp_and_stays() -> None:
    semi = Semi(weight=0.1, ramp=0.4)
    weights = [ramped(semi, Moment(step, 100)) for step in range(100)]
    assert weights[0] == pytest.approx(0.1 * math.exp(-5))
    assert weights[20] == pytest.approx(0.1 * math.exp(-5 * 0.25))
    assert set(weights[40:]) == {0.1}
    assert all(a < b for a, b in zip(weights[:40], weights[1:41]))


def test_the_labels_of_hidden_cases_reach_neither_the_batch_nor_the_loss(pair: dict) -> None:
    """A batch is the same to the last bit whatever the hidden references say, and its loss is that of its labelled half."""
    pair["augment"] = {"simulate": 0.9}
    experiment = experiment_from(pair, "x")
    training = cached_sides(experiment).training
    hidden = dealt(training, experiment.semi).hidden
    assert len(hidden) == 1
    nonsense = np.random.default_rng(0).integers(0, 4, hidden[0].labels.shape).astype(np.uint8)
    others = tuple(replace(c, labels=nonsense) if c is hidden[0] else c for c in training)
    for seed in range(4):
        one, other = (streams_of(experiment, cases).batch(np.random.default_rng(seed)) for cases in (training, others))
        for name in ("image", "target", "codes", "inside", "known"):
            assert torch.equal(getattr(one, name), getattr(other, name))
        assert one.known[:2, 0].all()
        assert not one.known[2:].any()
        assert not one.target[2:].any()
    loss = SegmentationLoss(experiment.loss.terms, (1.0,), experiment.loss.deep)
    heads = [logits(4, 3, 16, 16, 16, seed=1), logits(4, 3, 8, 8, 8, seed=2)]
    whole = loss(heads, one.target, one.known)
    torch.testing.assert_close(whole, loss([h[:2] for h in heads], one.target[:2], one.known[:2]), rtol=0, atol=0)
    assert float(loss([h[2:] for h in heads], one.target[2:], one.known[2:])) == 0.0


def test_a_step_without_references_moves_both_networks_and_one_without_the_term_moves_none(pair: dict) -> None:
    experiment = experiment_from(pair, "x")
    shown = Feed(experiment, streams_of(experiment, cached_sides(experiment).training))[0][0]
    unseen = replace(shown, known=torch.zeros_like(shown.known))
    loss_of = SegmentationLoss(experiment.loss.terms, (1.0,))
    for semi, moves in ((experiment.semi, True), (Semi(), False)):
        pupil = new_trainee(experiment, CPU)
        learned(pupil, unseen, Teacher(loss_of, semi_of(semi), Path()), Moment(5, 6), 1)
        assert [any(bool(p.grad.any()) for p in n.parameters() if p.grad is not None) for n in pupil.networks] == [
            moves
        ] * 2


def test_fewer_labelled_cases_are_among_the_more_and_another_seed_draws_others() -> None:
    cases = [SimpleNamespace(case=SimpleNamespace(id=f"{name}_{n}")) for name in ("a", "b") for n in range(10)]

    def kept(n: int, seed: int) -> frozenset[str]:
        parts = dealt(cases, Semi(labelled=n, seed=seed, cases=("a_*",)))
        assert sorted(c.case.id for c in (*parts.labelled, *parts.hidden)) == [c.case.id for c in cases]
        return frozenset(c.case.id for c in parts.labelled)

    assert all(len(kept(n, 4)) == n and kept(n, 4) < kept(n + 1, 4) for n in range(1, 10))
    assert all(name.startswith("a_") for name in kept(10, 4))
    assert len({kept(3, seed) for seed in range(5)}) > 2
    assert kept(10, 1) == {c.case.id for c in dealt(cases, Semi(cases=("a_*",))).labelled}


def test_the_unlabelled_stream_holds_its_phases_and_none_that_a_case_lacks(pair: dict) -> None:
    experiment = experiment_from(pair, "x")
    training, place = cached_sides(experiment).training, Path(experiment.data.cache)
    semi = Semi(cases=("t*",), imitate=("mr_dwi", "mr_t1_hbp"), phases={"mr_dwi": 1.0})
    scans = tuple(c for c in training if c.modality == "MR")
    assert [c.case.id for c in unlabelled_cases(dealt(scans, semi), semi, place)] == ["two as mr_dwi"]
    every = replace(semi, phases={})
    assert [c.case.phase for c in unlabelled_cases(dealt(scans, every), every, place)] == ["mr_dwi", "mr_t1_hbp"]
    plain = replace(semi, imitate=(), phases={"ct_portal": 1.0})
    assert [c.case.id for c in unlabelled_cases(dealt(training, plain), plain, place)] == ["one"]
    with pytest.raises(InputError, match="is ct_portal; phases are imitated from mr_t2 and mr_t2fs alone"):
        unlabelled_cases(dealt(training, semi), semi, place)


def test_shares_of_phases_are_shares_of_samples(pair: dict) -> None:
    experiment = experiment_from(pair, "x")
    (case,) = (c for c in cached_sides(experiment).training if c.case.id == "two")
    cases = [case] * 3 + [imitated(case, "mr_t1_hbp", Path(experiment.data.cache))]
    shares = {"mr_t2fs": 0.25, "mr_t1_hbp": 0.75}
    sampler = BatchSampler(cases, experiment.stage(), experiment.sampler, experiment.augment, shares, hidden=True)
    np.testing.assert_allclose(sampler.weights, [0.25 / 3] * 3 + [0.75])


@pytest.mark.parametrize("phase", IMITATIONS)
def test_an_imitated_phase_has_the_contrast_of_its_row_and_needs_no_reference(
    pair: dict, tmp_path: Path, phase: str
) -> None:
    (case,) = (c for c in cached_sides(experiment_from(pair, "x")).training if c.case.id == "two")
    blind = replace(case, labels=np.zeros_like(case.labels))
    made = imitated(blind, phase, tmp_path)
    assert (made.case.phase, made.case.id, made.modality) == (phase, f"two as {phase}", "MR")
    again = imitated(case, phase, tmp_path)
    np.testing.assert_array_equal(made.image, again.image)
    flat = torch.tensor(_KNOTS).reshape(-1, 1, 1).expand(-1, 5, 5)
    seen = imitation(flat, phase, np.random.default_rng(0)).numpy()
    row = IMITATIONS[phase].heights
    assert seen[:, 2, 2] == pytest.approx(row, abs=0.081)
    liver, spleen, fluid = (row[n] for n in (4, 6, 8))
    assert (liver < spleen) == (phase == "mr_dwi")
    assert fluid < liver or phase == "mr_dwi"


def test_opposed_phase_has_dark_rims_between_fat_and_water() -> None:
    volume = torch.full((1, 9, 16), 0.4)
    volume[:, :, 8:] = 0.07
    for phase, rims in (("mr_t1_in", False), ("mr_t1_opposed", True)):
        line = imitation(volume, phase, np.random.default_rng(1))[0, 4]
        assert bool(line[7:9].max() < 0.6 * min(line[2], line[13])) == rims


def test_validation_can_be_shown_in_the_imitated_phases(data: Path) -> None:
    assert contrasts("imitated") == tuple(f"imitated {phase}" for phase in IMITATIONS)
    assert contrasts("ghosted") == ("ghosted",)
    scan, reference = list_cases(data, ["two"])[0].read()
    made = [resynthesised(scan, mask, "imitated mr_dwi", seed=3) for mask in (reference, replace(reference, voxels=0 * reference.voxels))]  # fmt: skip
    np.testing.assert_array_equal(made[0].voxels, made[1].voxels)
    assert made[0].grid == scan.grid
    with pytest.raises(InputError, match="imitated from"):
        resynthesised(*list_cases(data, ["one"])[0].read(), "imitated mr_dwi", seed=3)


def test_a_step_of_two_networks_and_two_streams_is_budgeted_as_such(pair: dict) -> None:
    held = {}
    for name, semi, unlabelled in (("alone", {}, 0), ("pair", pair["semi"], 2)):
        own = {**pair, "semi": semi, "sampler": {**pair["sampler"], "unlabelled": unlabelled}}
        held[name] = [training_bytes(experiment_from(own, name), batch, (16, 16, 16)) for batch in (2, 4)]
    assert held["pair"][0] == 2 * held["alone"][1]
    assert held["alone"][0] < held["alone"][1]


@pytest.mark.parametrize(
    ("section", "change", "told"),
    [
        ("semi", {"labelled": 0}, "the unlabelled stream is empty"),
        ("semi", {"labelled": 1}, "one labelled case"),
        ("semi", {"labelled": 0, "cases": ["two"]}, "one labelled case"),
        ("semi", {"labelled": 4}, "asks for 4 cases, but 3 training cases match"),
        ("semi", {"seeds": [3, 3]}, "two networks that begin alike"),
        ("semi", {"seeds": [3]}, "must be two numbers"),
        ("semi", {"phases": {"mr_dwi": 1.0}}, "asks for mr_dwi, which no unlabelled case has; there are ct_portal"),
        ("semi", {"phases": {"dwi": 1.0}}, "must be one of"),
        ("semi", {"phases": {"mr_t2fs": 0.0}}, "each share must be positive"),
        ("semi", {"imitate": ["ct_native"]}, "cannot be imitated; known: mr_t1_native"),
        ("semi", {"kind": "none"}, "semi.kind = none learns nothing there"),
        ("semi", {"ramp": 0.0}, "semi.ramp"),
        ("sampler", {"unlabelled": 0}, "set sampler.unlabelled"),
        ("sampler", {"kind": "scan"}, "cuts its blocks by the reference"),
    ],
)
def test_what_cannot_teach_is_refused_before_the_first_step(pair: dict, section: str, change: dict, told: str) -> None:
    pair[section] |= change
    pair["semi"] = {**pair["semi"], "seed": 0}
    with pytest.raises(InputError, match=told):
        fit(experiment_from(pair, "x"))
    assert not (Path(pair["experiment"]["out_dir"]) / LAST).exists()


def test_both_networks_disagree_from_the_first_step_on_and_a_shared_beginning_is_refused(pair: dict, tmp_path) -> None:
    experiment = experiment_from(pair, "x")
    pupil = new_trainee(experiment, CPU)
    x = logits(1, 1, 16, 16, 16, seed=3)
    with torch.no_grad():
        one, other = (network(x)[0].argmax(1) for network in pupil.networks)
    assert float((one != other).float().mean()) > 0.001
    pupil.networks[1].load_state_dict(pupil.networks[0].state_dict())
    with pytest.raises(InputError, match="two networks begin with the same weights"):
        begun(pupil, experiment)


def test_a_pretrained_run_fills_the_first_network_and_the_encoder_of_the_second(pair: dict, tmp_path) -> None:
    before = {**pair, "semi": {}, "sampler": {"kind": "patch"}}
    before["experiment"] = {**pair["experiment"], "out_dir": str(tmp_path / "before"), "max_steps": 1, "seed": 5}
    folder = fit(experiment_from(before, "before"))
    kept = load_checkpoint(folder / LAST).averages[0]
    pair["network"] = {**pair["network"], "pretrained": str(folder / LAST)}
    experiment = experiment_from(pair, "x")
    pupil = new_trainee(experiment, CPU)
    told = begun(pupil, experiment)
    first, second = (network.state_dict() for network in pupil.networks)
    assert all(torch.equal(first[key], kept[key]) for key in kept)
    shared = {key for key in kept if torch.equal(second[key], kept[key])}
    assert shared >= {key for key in kept if key.startswith("conv_blocks_context.")}
    assert not {key for key in shared if key.endswith("conv1.weight")} - {k for k in kept if "_context." in k}
    assert told == [f"{len(kept)} tensors were loaded, 0 left out", told[1]]
    assert all(torch.equal(a, b) for a, b in zip(pupil.averages[1].state_dict().values(), second.values()))


def test_a_pair_that_was_cut_off_goes_on_bit_by_bit_and_becomes_one_network_or_their_average(
    pair: dict, tmp_path, monkeypatch, same_state
) -> None:
    pair["experiment"] |= {"max_steps": 5, "checkpoint_every": 2}
    pair["optim"] = {"kind": "sgd", "lr": 0.01, "momentum": 0.99, "nesterov": True}
    fit(experiment_from(pair, "straight"))
    pair["experiment"]["out_dir"] = str(tmp_path / "cut")
    cut = experiment_from(pair, "cut")
    with monkeypatch.context() as patch:
        whole_step, steps = trainee.Trainee.step, iter(range(100))
        patch.setattr(trainee.Trainee, "step", lambda *a: whole_step(*a) if next(steps) < 3 else os.kill(os.getpid(), signal.SIGINT))  # fmt: skip
        with pytest.raises(KeyboardInterrupt):
            fit(cut)
    assert load_checkpoint(tmp_path / "cut" / LAST).step == 2
    fit(cut, resume=True)
    assert same_state(tmp_path / "run", tmp_path / "cut")
    x, answers = logits(1, 1, 16, 16, 16, seed=4), {}
    for name in ("first", "average"):
        stage, state = exported(replace(cut, semi=replace(cut.semi, export=name)), kept_checkpoint(cut))
        network = empty_network(stage)
        network.load_state_dict(state)
        with torch.no_grad():
            answers[name] = network.eval()(x)[0].softmax(1)
    both = []
    for state in kept_checkpoint(cut).averages:
        network = stunet(0).eval()
        network.load_state_dict(state)
        with torch.no_grad():
            both.append(network(x)[0].softmax(1))
    torch.testing.assert_close(answers["first"], both[0])
    torch.testing.assert_close(answers["average"], (both[0] + both[1]) / 2)
