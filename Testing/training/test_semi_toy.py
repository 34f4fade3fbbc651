"""The claim of cross pseudo supervision on a problem of which everything is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from liverseg_training.experiment import experiment_from
from liverseg_training.feeding import Shown
from liverseg_training.fit import Teacher, learned
from liverseg_training.losses import SegmentationLoss
from liverseg_training.rates import Moment, turn
from liverseg_training.semi import semi_of
from liverseg_training.trainee import new_trainee
from phantoms import overlap

SIDE, STEPS, UNLABELLED = 16, 240, 20
GREY = (0.25, 1.5)  # of a moon; the labelled volume has 1


def moons(rng: np.random.Generator, grey: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Two bent tubes that reach into each other, the one brighter than the ground and the other darker by as much: image
    and the bright one's mask, [1, k, j, i]."""
    k, j, i = np.meshgrid(*(np.arange(SIDE, dtype=float),) * 3, indexing="ij")
    middle = rng.uniform(6, 9, 3)
    image = rng.normal(0, 0.2, (SIDE,) * 3)
    masks = []
    for sign in (1, -1):
        y, x = sign * (j - middle[1] + 1.5 * sign), i - middle[2] + 2.0 * sign
        away = np.hypot(np.hypot(y, x) - 4.0, k - middle[0])
        masks.append((away < 1.8) & (y > -0.5))
    image += grey * masks[0] - grey * (masks[1] & ~masks[0])
    return torch.from_numpy(image[None]).float(), torch.from_numpy(masks[0][None]).to(torch.uint8)


def shown(volumes: list[tuple[torch.Tensor, torch.Tensor]], *, known: int) -> Shown:
    """The first `known` volumes have a reference, the others none."""
    image, target = (torch.stack([volume[n] for volume in volumes]) for n in range(2))
    flags = (torch.arange(len(volumes)) < known)[:, None].expand(-1, 2).clone()
    return Shown(image, target * flags[:, :1, None, None, None], flags)


def dsc(raw: dict, kind: str, seed: int) -> float:
    """Mean over unseen volumes after STEPS steps that saw one labelled volume and, with cps, two of the others each."""
    raw = {**raw, "semi": {"kind": kind, "weight": 0.5, "ramp": 0.4}, "data": {**raw["data"], "labels": [1]}}
    raw["experiment"] = {**raw["experiment"], "seed": seed, "ema": 0.0}
    raw["optim"], raw["augment"] = {"kind": "adam", "lr": 0.01}, {}
    raw["sampler"] = {"kind": "patch", "batch": 1, "unlabelled": 2 if kind == "cps" else 0}
    raw["infer"] = {"window": [SIDE, SIDE, SIDE], "snap": [4, 4, 4]}
    experiment = experiment_from(raw, "toy")
    rng = np.random.default_rng(seed)
    labelled = moons(rng, 1.0)
    others, unseen = ([moons(rng, grey) for grey in np.linspace(*GREY, n)] for n in (UNLABELLED, 11))
    pupil = new_trainee(experiment, torch.device("cpu"))
    teacher = Teacher(
        SegmentationLoss(experiment.loss.terms, experiment.loss.supervision), semi_of(experiment.semi), Path()
    )
    for step in range(STEPS):
        few = [others[int(n)] for n in rng.integers(UNLABELLED, size=2)] if kind == "cps" else []
        at = Moment(step, STEPS)
        turn(pupil.optimiser, at, experiment.optim, experiment.schedule)
        learned(pupil, shown([labelled, *few], known=1), teacher, at, 1)
        pupil.step(experiment.optim.clip)
    network = pupil.networks[0].eval()
    with torch.no_grad():
        drawn = network(torch.stack([image for image, _ in unseen]))[0].argmax(1)
    return float(np.mean([overlap(one.numpy() > 0, truth[0].numpy() > 0) for one, (_, truth) in zip(drawn, unseen)]))


@pytest.mark.slow
def test_what_two_networks_teach_each_other_is_worth_more_than_one_label_alone(raw: dict) -> None:
    alone, together = ([dsc(raw, kind, seed) for seed in range(3)] for kind in ("none", "cps"))
    assert all(b >= a - 0.01 for a, b in zip(alone, together)), (alone, together)
    assert np.mean(together) > np.mean(alone)
