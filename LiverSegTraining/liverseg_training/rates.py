"""Which parameters move, how, and how fast at a step: optimisers and schedules, each a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from liverseg_core.errors import InputError
from torch import nn

from .sections import Optim, Schedule

_ADAM_BETA = 0.9


def _adamw(groups: list[dict[str, Any]], optim: Optim) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=optim.lr, weight_decay=optim.weight_decay, betas=(_ADAM_BETA, optim.beta2))


def _adam(groups: list[dict[str, Any]], optim: Optim) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=optim.lr, weight_decay=optim.weight_decay, betas=(_ADAM_BETA, optim.beta2))


def _sgd(groups: list[dict[str, Any]], optim: Optim) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        groups, lr=optim.lr, weight_decay=optim.weight_decay, momentum=optim.momentum, nesterov=optim.nesterov
    )


OPTIMISERS: Mapping[str, Callable[[list[dict[str, Any]], Optim], torch.optim.Optimizer]] = {
    "adamw": _adamw, "adam": _adam, "sgd": _sgd,
}  # fmt: skip


def optimiser_of(networks: Iterable[nn.Module], optim: Optim) -> torch.optim.Optimizer:
    """One optimiser over every parameter of every network. A group of `optim.groups` (part of a name -> factor) has its
    own share of the learning rate; InputError for an unknown kind and for a group that holds nothing."""
    if optim.kind not in OPTIMISERS:
        raise InputError(f"unknown optimiser {optim.kind!r}; known: {', '.join(OPTIMISERS)}")
    held: dict[str, list[nn.Parameter]] = {name: [] for name in ("", *optim.groups)}
    for network in networks:
        for name, parameter in network.named_parameters():
            held[next((group for group in optim.groups if group in name.split(".")), "")].append(parameter)
    empty = [group for group in optim.groups if not held[group]]
    if empty:
        raise InputError(f"optim.groups names {empty[0]!r}, but no part of the network is called so")
    groups = [
        {"params": parameters, "factor": float(optim.groups.get(group, 1.0)), "part": group}
        for group, parameters in held.items()
        if parameters
    ]
    return OPTIMISERS[optim.kind](groups, optim)


@dataclass(frozen=True)
class Moment:
    """Where training stands: `step` of `steps`, `epoch_steps` of them an epoch, and the scores seen so far (higher is
    better), one for each time it was looked."""

    step: int
    steps: int
    epoch_steps: int = 1
    scores: Sequence[float] = ()

    @property
    def epoch(self) -> int:
        return self.step // max(1, self.epoch_steps)


def _hold(at: Moment, s: Schedule) -> float:
    return min(1.0, (at.steps - at.step) / max(1.0, s.cooldown * at.steps))


def _poly(at: Moment, s: Schedule) -> float:
    """(1 - t/T)^power: PSPNet, nnU-Net."""
    return (1.0 - at.step / at.steps) ** s.power


def _step(at: Moment, s: Schedule) -> float:
    """Falls by `factor` every `every` epochs."""
    return s.factor ** (at.epoch // s.every)


def _cosine(at: Moment, s: Schedule) -> float:
    del s
    return 0.5 * (1.0 + math.cos(math.pi * at.step / at.steps))


def _onecycle(at: Moment, s: Schedule) -> float:
    """From 1/div up to 1 at `pct_start` of the steps, then down to 1e-5, along cosines (Smith 2018, as fastai has it).
    The epochs in which parts are frozen come before, at twice the rate that the cycle reaches."""
    done = at.step - s.freeze_epochs * at.epoch_steps
    if done < 0:
        return 2.0
    share = done / max(1, at.steps - s.freeze_epochs * at.epoch_steps - 1)
    if share < s.pct_start:
        return _between(1.0 / s.div, 1.0, share / s.pct_start)
    return _between(1.0, 1e-5, (share - s.pct_start) / (1.0 - s.pct_start))


def _plateau(at: Moment, s: Schedule) -> float:
    """Falls by `factor` whenever `patience` looks in a row brought no better score."""
    rate, best, waited = 1.0, -math.inf, 0
    for score in at.scores:
        best, waited = (score, 0) if score > best else (best, waited + 1)
        if waited > s.patience:
            rate, waited = rate * s.factor, 0
    return rate


SCHEDULES: Mapping[str, Callable[[Moment, Schedule], float]] = {
    "hold": _hold, "poly": _poly, "step": _step, "cosine": _cosine, "onecycle": _onecycle, "plateau": _plateau,
}  # fmt: skip


def rate_factor(at: Moment, schedule: Schedule) -> float:
    """Share of the learning rate at a moment, a pure function of it: a resumed run goes on where it was."""
    rise = (at.step + 1) / max(1, schedule.warmup)
    return max(0.0, min(1.0, rise) * SCHEDULES[schedule.kind](at, schedule))


def momentum_at(at: Moment, schedule: Schedule, usual: float) -> float:
    """One-cycle mirrors the rate: 0.95, 0.85 at the peak, 0.95. Every other schedule leaves it alone."""
    if schedule.kind != "onecycle":
        return usual
    done = at.step - schedule.freeze_epochs * at.epoch_steps
    if done < 0:
        return 0.95
    share = done / max(1, at.steps - schedule.freeze_epochs * at.epoch_steps - 1)
    if share < schedule.pct_start:
        return _between(0.95, 0.85, share / schedule.pct_start)
    return _between(0.85, 0.95, (share - schedule.pct_start) / (1.0 - schedule.pct_start))


def turn(optimiser: torch.optim.Optimizer, at: Moment, optim: Optim, schedule: Schedule) -> float:
    """Set rates and momenta for a step, freeze what is frozen in its epoch, and answer the rate of the first group."""
    factor = rate_factor(at, schedule)
    frozen = at.epoch < schedule.freeze_epochs
    for group in optimiser.param_groups:
        group["lr"] = optim.lr * factor * (1.0 if frozen else group["factor"])
        if schedule.kind == "onecycle":
            momentum = momentum_at(at, schedule, _ADAM_BETA)
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            else:
                group["momentum"] = momentum
        still = frozen and group["part"] in schedule.freeze
        for parameter in group["params"]:  # what has one axis belongs to a norm, or is a bias: these go on learning
            parameter.requires_grad_(requires_grad=not (still and (schedule.freeze_norms or parameter.ndim > 1)))
    return float(optimiser.param_groups[0]["lr"])


def _between(first: float, last: float, share: float) -> float:
    """Along half a cosine."""
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * share))
