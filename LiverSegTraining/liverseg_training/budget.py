"""What a training step holds in memory, found on tensors without content; and the sentence when it is too much."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from liverseg_core import networks
from liverseg_core.errors import MemoryShortageError
from liverseg_core.geometry import IntTriple
from liverseg_core.memory import spelled
from liverseg_core.windows import free_on
from torch import nn

from .experiment import Experiment
from .semi import semi_of

_SHORTAGES = ("out of memory", "not enough memory", "can't allocate memory", "could not create a memory")
_COPIES = {"sgd": 4}  # of each weight: itself, its gradient, its average, and what the optimiser remembers
_ADAM_COPIES = 5


def network_of(experiment: Experiment) -> nn.Module:
    """The network that an experiment asks for, weights as the generator of torch draws them."""
    make, stage = experiment.network, experiment.stage()
    return networks.build(
        make.kind, channels=len(stage.channels), labels=1 + len(stage.labels), dims=make.dims, **make.options
    )


def training_bytes(experiment: Experiment, batch: int, window: IntTriple) -> float:
    """Weights with all their copies, and what the backward pass needs of every layer, for `batch` samples and those
    without a reference beside them. An estimate: it lacks the work space of the convolutions, and takes half of what is
    kept for 16 bits where training computes so."""
    with torch.device("meta"):
        network = network_of(experiment).train()
        shown = batch + experiment.sampler.unlabelled
        x = torch.zeros(shown, len(experiment.preprocess.channels), *window)
    own = {p.untyped_storage()._cdata for p in network.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        heads = network(x)
    layers = sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in own)
    answers = sum(head.nbytes for head in heads)
    weights = sum(p.nbytes for p in network.parameters()) * _COPIES.get(experiment.optim.kind, _ADAM_COPIES)
    half = 0.5 if experiment.experiment.amp != "off" else 1.0
    return len(semi_of(experiment.semi).seeds) * float(half * layers + weights + 3 * answers)


@contextmanager
def shortage_told(experiment: Experiment, device: torch.device) -> Iterator[None]:
    """MemoryShortageError with what would fit, before the first step where that is plain, and when the device says so."""
    room = float(free_on(device))
    need = training_bytes(experiment, experiment.sampler.batch, experiment.infer.window)
    if need > room and experiment.sampler.kind not in ("organ", "scan"):  # those show less than the window, mostly
        raise MemoryShortageError(_sentence(experiment, device, need, room))
    try:
        yield
    except (RuntimeError, MemoryError) as problem:  # torch.OutOfMemoryError is a RuntimeError
        if not isinstance(problem, MemoryError) and not any(words in str(problem).lower() for words in _SHORTAGES):
            raise
    else:
        return
    raise MemoryShortageError(_sentence(experiment, device, need, min(room, 0.95 * need)))


def _sentence(experiment: Experiment, device: torch.device, need: float, room: float) -> str:
    batch, window = experiment.sampler.batch, experiment.infer.window
    told = f"a batch of {batch} blocks of {_size(window)} needs about {spelled(need)} to train, {device} has {spelled(room)}"
    for fewer in range(batch - 1, 0, -1):
        if training_bytes(experiment, fewer, window) <= room:
            return f"{told}; a batch of {fewer} would fit by estimate: --set sampler.batch={fewer}"
    for smaller in _smaller(experiment):
        if training_bytes(experiment, 1, smaller) <= room:
            return f"{told}; one block of {_size(smaller)} would fit by estimate: --set sampler.batch=1 --set 'infer.window={list(smaller)}'"
    return f"{told}; not even one small block would fit: choose a smaller network or a device with more memory"


def _smaller(experiment: Experiment) -> Iterator[IntTriple]:
    """Windows with the longest side halved again and again, in steps of the network."""
    window, snap = list(experiment.infer.window), experiment.infer.snap or (1, 16, 16)
    while True:
        sides = [axis for axis in range(3) if window[axis] >= 4 * snap[axis]]
        if not sides:
            return
        longest = max(sides, key=lambda axis: window[axis])
        window[longest] = window[longest] // 2 // snap[longest] * snap[longest]
        yield (window[0], window[1], window[2])


def _size(window: IntTriple) -> str:
    return " x ".join(map(str, window))
