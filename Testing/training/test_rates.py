"""Optimisers and schedules against their published tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from liverseg_core import networks
from liverseg_core.errors import InputError
from liverseg_training.rates import OPTIMISERS, SCHEDULES, Moment, momentum_at, optimiser_of, rate_factor, turn
from liverseg_training.sections import Optim, Schedule
from torch import nn

QUIET = {"warmup": 0}


def rates(schedule: Schedule, steps: int, epoch_steps: int = 1) -> list[float]:
    return [rate_factor(Moment(n, steps, epoch_steps), schedule) for n in range(steps)]


def test_hold_rises_holds_and_falls_to_zero() -> None:
    found = rates(Schedule(warmup=10, cooldown=0.2), 100)
    assert found[0] == pytest.approx(0.1)
    assert found[9:80] == [1.0] * 71
    assert found[90] == pytest.approx(0.5)
    assert 0 < found[99] <= 0.05


def test_poly_is_the_formula() -> None:
    found = rates(Schedule(kind="poly", **QUIET), 100)
    assert found[0] == 1
    assert found[50] == pytest.approx(0.5**0.9) == pytest.approx(0.5359, abs=1e-4)


def test_steps_are_those_of_the_two_stage_paper() -> None:
    schedule = Schedule(kind="step", **QUIET)
    expected = {0: 1e-4, 29: 1e-4, 30: 8e-5, 59: 8e-5, 60: 6.4e-5, 90: 5.12e-5, 120: 4.096e-5, 180: 2.62144e-5}
    for epoch, rate in expected.items():
        assert 1e-4 * rate_factor(Moment(7 * epoch + 6, 1400, 7), schedule) == pytest.approx(rate)


def test_cosine_ends_at_zero() -> None:
    found = rates(Schedule(kind="cosine", **QUIET), 100)
    assert found[0] == 1
    assert found[50] == pytest.approx(0.5)
    assert found[99] < 3e-4


def test_one_cycle_begins_at_a_fifth_peaks_at_three_tenths_and_mirrors_the_momentum() -> None:
    schedule = Schedule(kind="onecycle", **QUIET)
    moments = [Moment(n, 1001) for n in range(1001)]
    found = [rate_factor(at, schedule) for at in moments]
    momenta = [momentum_at(at, schedule, 0.9) for at in moments]
    assert found[0] == pytest.approx(1 / 5)
    assert found.index(max(found)) == 300
    assert max(found) == pytest.approx(1)
    assert found[-1] == pytest.approx(1e-5)
    assert (momenta[0], momenta[300], momenta[-1]) == pytest.approx((0.95, 0.85, 0.95))
    assert momentum_at(moments[5], Schedule(kind="poly"), 0.9) == 0.9


def test_plateau_falls_when_nothing_gets_better() -> None:
    schedule = Schedule(kind="plateau", factor=0.5, patience=2, **QUIET)

    def after(*scores: float) -> float:
        return rate_factor(Moment(0, 10, scores=scores), schedule)

    assert after() == after(0.1, 0.2, 0.3) == after(0.3, 0.2, 0.1) == 1
    assert after(0.3, 0.2, 0.1, 0.25) == 0.5
    assert after(0.3, 0.2, 0.1, 0.31, 0.1, 0.1) == 1
    assert after(0.3, *[0.1] * 6) == 0.25


@pytest.mark.parametrize("kind", SCHEDULES)
def test_every_schedule_is_a_share_at_every_moment(kind: str) -> None:
    assert all(0 <= rate <= 1 for rate in rates(Schedule(kind=kind), 50))


def test_a_frozen_epoch_stills_the_trunk_but_not_its_norms() -> None:
    torch.manual_seed(0)
    network = networks.build("psp_msff", channels=1, labels=2, dims=2, ppm_norm="group")
    optim = Optim(kind="adamw", lr=1e-3, groups={"encoder": 0.01})
    schedule = Schedule(kind="onecycle", freeze_epochs=1, freeze=("encoder",), **QUIET)
    optimiser = optimiser_of([network], optim)

    def step(number: int) -> dict[str, torch.Tensor]:
        turn(optimiser, Moment(number, 20, 4), optim, schedule)
        optimiser.zero_grad(set_to_none=True)
        network(torch.randn(2, 1, 1, 32, 32))[0].square().mean().backward()
        return {name: p.grad for name, p in network.encoder.named_parameters()}

    before = network.encoder.features[0][1].running_mean.clone()
    frozen = step(0)
    assert all(grad is None for name, grad in frozen.items() if network.encoder.get_parameter(name).ndim > 1)
    assert frozen["features.0.1.weight"] is not None
    assert not torch.equal(before, network.encoder.features[0][1].running_mean)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([2e-3, 2e-3])
    assert all(grad is not None for grad in step(4).values())
    rate = {group["part"]: group["lr"] for group in optimiser.param_groups}
    assert rate["encoder"] == pytest.approx(0.01 * rate[""]) == pytest.approx(0.01 * 1e-3 / 5)
    turn(optimiser, Moment(0, 20, 4), optim, replace(schedule, freeze_norms=True))
    assert not any(p.requires_grad for p in network.encoder.parameters())


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_every_optimiser_owns_every_parameter_of_every_network_once(kind: str) -> None:
    pair = [nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)) for _ in range(2)]
    optimiser = optimiser_of(pair, Optim(kind=kind, lr=0.1, groups={"1": 0.5}))
    owned = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert sorted(owned) == sorted(id(p) for network in pair for p in network.parameters())
    assert [len(group["params"]) for group in optimiser.param_groups] == [4, 4]


def test_sgd_has_the_momentum_that_was_asked_for() -> None:
    group = optimiser_of([nn.Linear(1, 1)], Optim(kind="sgd", momentum=0.99, nesterov=True)).param_groups[0]
    assert (group["momentum"], group["nesterov"]) == (0.99, True)


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="unknown optimiser 'lion'"):
        optimiser_of([nn.Linear(1, 1)], Optim(kind="lion"))
    with pytest.raises(InputError, match="no part of the network is called so"):
        optimiser_of([nn.Linear(1, 1)], Optim(groups={"encoder": 0.1}))
    with pytest.raises(InputError, match=r"schedule\.kind"):
        Schedule(kind="linear")
