"""Several processes that train one network: who this one is, and what they tell each other. torchrun starts them.

Gradients go through torch's DistributedDataParallel, over nccl between GPUs and over gloo between processors; what is said
here beside them goes over gloo.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import FrameType
from typing import TypeVar

import torch
from liverseg_core.errors import InputError, LiverSegError
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
_STARTED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # what torchrun tells its processes
_PATIENCE = timedelta(hours=6)  # others wait for as long while the first one caches, looks or writes
_STOPS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Group:
    """The processes of one training run, as one of them knows them. By itself a process has nobody to ask."""

    rank: int = 0
    size: int = 1
    local: int = 0  # number on its own machine
    stops: list[int] = field(default_factory=list)  # signals that came

    @property
    def first(self) -> bool:
        """The first one looks, writes and decides when it is over."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """Each process of a machine has a GPU of its own. InputError where there are fewer."""
        if self.size == 1:
            return name
        if name.startswith("cuda:") or name == "mps":
            raise InputError(f"experiment.device = {name} is one GPU for {self.size} processes; use cuda or cpu")
        if name == "cpu" or not torch.cuda.is_available():
            return "cpu" if name == "auto" else name
        there = torch.cuda.device_count()
        if self.local >= there:
            raise InputError(
                f"process {self.local} of this machine finds {there} GPUs; start as many: torchrun --nproc-per-node {there}"
            )
        torch.cuda.set_device(self.local)
        return f"cuda:{self.local}"

    def spread(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network with its gradients averaged over the processes; it begins everywhere as it is in the first one."""
        if self.size == 1:
            return network
        devices = [device] if device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices, find_unused_parameters=True)

    def mean(self, value: float) -> float:
        """Over the processes; one that is no number makes no number of all."""
        if self.size == 1:
            return value
        every = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(every)
        return float(every) / self.size

    def stopped(self, ended: bool) -> int:  # noqa: FBT001
        """1 where the first process says that it is over, 2 where a signal came to any; it is the same in all of them."""
        if self.size == 1:
            return int(ended)
        told = torch.tensor(2 if self.stops else int(self.first and ended))
        distributed.all_reduce(told, distributed.ReduceOp.MAX)
        return int(told)

    def given(self, values: Sequence[float]) -> list[float]:
        """What the first process has."""
        told = [list(values)]
        if self.size > 1:
            distributed.broadcast_object_list(told)
        return told[0]

    @contextmanager
    def one_fate(self) -> Iterator[None]:
        """What is refused inside by one process ends all of them, with one sentence of the first that refused."""
        problem: LiverSegError | None = None
        try:
            yield
        except LiverSegError as refused:
            problem = refused
        problems: list[LiverSegError | None] = [problem]
        if self.size > 1:
            problems = [None] * self.size
            distributed.all_gather_object(problems, problem)
        told = next((one for one in problems if one is not None), None)
        if told is not None and self.size > 1:
            self._tell(f"error: {told}")
            raise SystemExit(told.exit_code)
        if told is not None:
            raise told

    def in_turn(self, work: Callable[[], T]) -> T:
        """First the first process, then the first of every other machine, then all others: what one makes on its disk, the
        others find there."""
        mine = 0 if self.first else 1 if self.local == 0 else 2
        done: list[T] = []
        for turn in range(3 if self.size > 1 else 1):
            with self.one_fate():
                if turn == mine:
                    done.append(work())
        return done[0]

    def obey(self, stop: int) -> None:
        """End all processes where `stopped` told of a signal, once the checkpoint is written."""
        if stop == 2:
            self._tell("error: cancelled; `resume` goes on from the last checkpoint")
            raise SystemExit(5)

    def _tell(self, sentence: str) -> None:
        """By the first process, before any other ends: torchrun ends all as soon as one has."""
        if self.first:
            print(sentence, file=sys.stderr, flush=True)  # noqa: T201
        self.mean(0.0)


ALONE = Group()


class Silence:
    """The diary of a process that writes none."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None: ...

    def step(self, *_: object) -> None: ...

    def save_page(self) -> None: ...


def started() -> tuple[int, ...]:
    """Rank, size and number on its machine, where torchrun started this process beside others; otherwise nothing."""
    told = [os.environ.get(key, "") for key in _STARTED]
    numbers = tuple(int(number) for number in told[:3]) if all(told) else (0, 1, 0)
    return numbers if numbers[1] > 1 else ()


@contextmanager
def joined() -> Iterator[Group]:
    """The group that torchrun started this process in, or ALONE. All but the first process are silent. A signal is remembered, so that they all end after the same step; a second one ends at once."""
    told = started()
    if not told:
        yield ALONE
        return
    if not distributed.is_available():
        raise InputError("this build of torch has no torch.distributed; start one process, without torchrun")
    group = Group(told[0], told[1], told[2])
    roads = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(roads, timeout=_PATIENCE)
    with ExitStack() as stack:
        stack.callback(distributed.destroy_process_group)
        for number in _STOPS:
            stack.callback(signal.signal, number, signal.signal(number, partial(_remember, group)))
        if not group.first:
            stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w", encoding="utf-8"))))  # noqa: PTH123
        try:
            yield group
        except RuntimeError as problem:
            if "gloo" not in str(problem) and not isinstance(problem, distributed.DistError):
                raise
            raise LiverSegError(
                "another process of this run has ended, its own message says why; `resume` goes on from the last checkpoint"
            ) from None


def _remember(group: Group, came: int, frame: FrameType | None) -> None:
    del frame
    if group.stops:
        raise KeyboardInterrupt
    group.stops.append(came)
