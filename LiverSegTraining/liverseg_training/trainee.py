"""What learns: the networks, the averages that are exported, and the optimiser; to and from a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import torch
from liverseg_core.errors import InputError
from liverseg_core.inference import device_named
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from .budget import network_of
from .checkpoints import Checkpoint
from .experiment import Experiment
from .pretrained import load_pretrained
from .rates import optimiser_of
from .sections import Run
from .semi import semi_of
from .together import Group

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, eq=False)
class Trainee:
    """Everything that a step changes."""

    networks: tuple[nn.Module, ...]
    averages: tuple[nn.Module, ...]
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler  # passes everything on unless training computes in fp16
    device: torch.device
    amp: str
    shared: tuple[nn.Module, ...] = ()  # the networks as they answer where several processes train them

    def answers(self, image: torch.Tensor, epoch: int) -> list[list[torch.Tensor]]:
        """The heads of each network."""
        if self.shared:
            return [network(image, epoch) for network in self.shared]
        return [network(image) for network in self.networks]

    @contextmanager
    def apart(self, *, alone: bool) -> Iterator[None]:
        """Inside, and where `alone`, gradients are gathered by each process for itself."""
        with ExitStack() as stack:
            for network in self.shared if alone else ():
                if isinstance(network, DistributedDataParallel):
                    stack.enter_context(network.no_sync())
            yield

    def short(self) -> AbstractContextManager[None]:
        """Inside, the networks compute in 16 bits where the experiment says so."""
        return torch.autocast(self.device.type, _HALF.get(self.amp), enabled=self.amp in _HALF)

    def backward(self, loss: torch.Tensor) -> None:
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def step(self, clip: float) -> None:
        """One step of the optimiser along the gradients that were gathered; `clip` is their largest norm, 0: any."""
        self.scaler.unscale_(self.optimiser)
        if clip > 0:
            nn.utils.clip_grad_norm_((p for network in self.networks for p in network.parameters()), clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)

    def follow(self, decay: float) -> None:
        for average, network in zip(self.averages, self.networks):
            follow(average, network, decay)

    def checkpoint(self, step: int, experiment: Experiment, scores: Sequence[float]) -> Checkpoint:
        networks, averages = ([n.state_dict() for n in group] for group in (self.networks, self.averages))
        return Checkpoint(
            step, described(experiment), networks, averages, self.optimiser.state_dict(), self.scaler.state_dict(),
            list(scores),
        )  # fmt: skip

    def restore(self, checkpoint: Checkpoint, experiment: Experiment, where: Path) -> None:
        """InputError for a checkpoint of other networks."""
        if checkpoint.network_of != described(experiment) or len(checkpoint.networks) != len(self.networks):
            raise InputError(f"{where} holds {checkpoint.network_of}, the experiment asks for {described(experiment)}")
        states = (*checkpoint.networks, *checkpoint.averages)
        for network, state in zip((*self.networks, *self.averages), states, strict=True):
            network.load_state_dict(state)
        self.optimiser.load_state_dict(checkpoint.optimiser)
        if checkpoint.scaler:
            self.scaler.load_state_dict(checkpoint.scaler)


def new_trainee(experiment: Experiment, device: torch.device) -> Trainee:
    """Fresh weights under the experiment's seed, for each network its own; the averages begin as copies."""
    amp, seeds = experiment.experiment.amp, semi_of(experiment.semi).seeds
    networks = tuple(_drawn(experiment, seed).to(device).train() for seed in seeds)
    averages = tuple(network_of(experiment).to(device).train().requires_grad_(requires_grad=False) for _ in networks)
    _copy(averages, networks)
    optimiser = optimiser_of(networks, experiment.optim)
    scaler = torch.amp.GradScaler(device.type, enabled=amp == "fp16")
    return Trainee(networks, averages, optimiser, scaler, device, amp)


class _Counted(nn.Module):
    """A network whose heads that count for nothing have no gradient: processes would wait for it."""

    def __init__(self, network: nn.Module, weights_of: Callable[[int, int], Sequence[float]]) -> None:
        super().__init__()
        self.network, self.weights_of = network, weights_of

    def forward(self, image: torch.Tensor, epoch: int) -> list[torch.Tensor]:
        heads = self.network(image)
        weights = [*self.weights_of(len(heads), epoch), *[0.0] * len(heads)]
        return [head if weight else head.detach() for head, weight in zip(heads, weights)]


def spread(trainee: Trainee, group: Group, weights_of: Callable[[int, int], Sequence[float]]) -> Trainee:
    """The same for a group of processes; `weights_of` (heads, epoch) is what each head counts for."""
    if group.size == 1:
        return trainee
    counted = [_Counted(network, weights_of) for network in trainee.networks]
    return replace(trainee, shared=tuple(group.spread(network, trainee.device) for network in counted))


def begun(trainee: Trainee, experiment: Experiment) -> list[str]:
    """Fill the networks from `network.pretrained`, and say what came in: a checkpoint of the whole fills the first one,
    and the encoder alone of any other, so that they differ. InputError for two networks that begin alike."""
    told = []
    if experiment.network.pretrained:
        file = Path(experiment.network.pretrained)
        loaded = [load_pretrained(network, file, encoder=n > 0) for n, network in enumerate(trainee.networks)]
        told = [one.sentence() for one in loaded]
        _copy(trainee.averages, trainee.networks)
    for one, other in combinations(trainee.networks, 2):
        if all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values())):
            raise InputError(
                "two networks begin with the same weights and would never teach each other; change semi.seeds"
            )
    return told


def device_for(run: Run) -> torch.device:
    """The device that was asked for; InputError where it is not here, or cannot compute as asked."""
    device = device_named(run.device)
    if run.amp == "fp16" and device.type != "cuda":
        raise InputError(f"experiment.amp = fp16 needs a CUDA device, and training runs on {device}; use bf16 or off")
    return device


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights (Polyak); decay 0 copies."""
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    moving = [(kept, new) for kept, new in pairs if kept.dtype.is_floating_point]
    torch._foreach_lerp_([kept for kept, _ in moving], [new for _, new in moving], 1.0 - decay)
    for kept, new in pairs:
        if not kept.dtype.is_floating_point:
            kept.copy_(new)


def described(experiment: Experiment) -> str:
    """What a checkpoint's weights fit."""
    stage = experiment.stage()
    return json.dumps([stage.network, stage.dims, stage.options, stage.channels, stage.labels])


def _drawn(experiment: Experiment, seed: int) -> nn.Module:
    torch.manual_seed(experiment.experiment.seed + seed)
    return network_of(experiment)


def _copy(averages: Sequence[nn.Module], networks: Sequence[nn.Module]) -> None:
    for average, network in zip(averages, networks):
        average.load_state_dict(network.state_dict())
