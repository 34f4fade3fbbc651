"""The folds of an experiment as jobs: some at a time on this machine, or on a Dask cluster that is there already.

A fold is trained by a process of its own, `python -m liverseg_training.folds`, which ends with the one that started it:
nobody writes into a run folder that was given to somebody else. Every machine sees the same files under the same paths.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import liverseg_core
from liverseg_core.cohort.pools import DESERTED, DIED, on_cluster
from liverseg_core.errors import InputError

from .checkpoints import LAST, done_in
from .diary import RESOLVED
from .experiment import Experiment

LOG = "fit.log"
_SAID = {  # what a cluster says of cases, said of folds
    DIED: "the worker that trained it ended without a word (out of memory?), and so did the next one",
    DESERTED: "the cluster had no worker left that could take it; start workers again",
}
_COMMAND = ("-m", __name__)
_TRIES = 2
_PLACES = (Path(__file__).parents[1], Path(liverseg_core.__file__).parents[1])  # where a process finds both packages
_RUNNING: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True)
class Order:
    """What was asked for. `scheduler` is the address of a cluster; without one `processes` folds train at a time here."""

    experiment: Path
    changes: tuple[str, ...] = ()
    resume: bool = False
    processes: int = 1
    scheduler: str = ""


@dataclass(frozen=True)
class Job:
    """One fold, as any machine can train it."""

    fold: int
    experiment: str
    changes: tuple[str, ...]
    folder: str  # of its run
    place: str  # what relative paths of the experiment are relative to
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def arguments(self) -> list[str]:
        own = (f"split.fold={self.fold}", f"experiment.out_dir={self.folder}")
        return [self.experiment, *(word for change in (*self.changes, *own) for word in ("--set", change))]


def fit_folds(order: Order, experiments: Sequence[Experiment]) -> Iterator[str]:
    """Train the folds that are not done, and say of each what became of it. InputError at the end where one failed."""
    jobs, problems = [], {}
    for fold, experiment in enumerate(experiments):
        problem = "" if order.resume else _other(experiment)
        if not problem and done_in(experiment.out_dir / LAST) == experiment.experiment.length:
            yield f"fold {fold}: done before, in {experiment.out_dir}"
        elif problem or (not order.resume and (experiment.out_dir / LAST).exists()):
            problems[fold] = problem or f"{experiment.out_dir} holds a run that is not done; use `resume`"
            yield f"fold {fold}: {problems[fold]}"
        else:
            jobs.append(_job(order, fold, experiment))
    answers = on_cluster(jobs, trained, order.scheduler) if order.scheduler else _here(jobs, order.processes)
    for job, error in answers if jobs else ():
        if error:
            problems[job.fold] = _SAID.get(error, error)
        yield f"fold {job.fold}: " + (problems[job.fold] if error else f"trained, in {job.folder}")
    if problems:
        told = "; ".join(f"fold {fold}: {problems[fold]}" for fold in sorted(problems))
        raise InputError(
            f"{len(problems)} of {len(experiments)} folds failed ({told}). What is done is kept: the same with `resume` goes on"
        )


def trained(job: Job) -> str:
    """Train one fold to its end, in a process of its own; the answer is why it failed, or nothing. A process that ends
    without a word is started once more, and goes on from its last checkpoint."""
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = os.pathsep.join(map(str, (*_PLACES, *filter(None, [os.environ.get("PYTHONPATH")]))))
    environment = {**os.environ, **dict(job.environment), "PYTHONPATH": found}
    for _ in range(_TRIES):
        verb = "resume" if (folder / LAST).exists() else "fit"
        before = (folder / LOG).stat().st_size if (folder / LOG).exists() else 0
        with (
            (folder / LOG).open("ab") as log,
            subprocess.Popen(
                [sys.executable, *_COMMAND, verb, *job.arguments],
                cwd=job.place, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log,
            ) as process,
        ):  # fmt: skip
            _RUNNING.add(process)
            code = process.wait()
            _RUNNING.discard(process)
        if code >= 0 or code == -signal.SIGTERM:  # somebody asked for the end
            return "" if code == 0 else _last_words(folder / LOG, before, code)
    return f"its process ended without a word twice (signal {-code}: out of memory?); see {folder / LOG}"


def _here(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, str]]:
    """As many at a time as were asked for; each has a GPU of its own, as far as there are any."""
    slots: SimpleQueue[Mapping[str, str]] = SimpleQueue()
    for slot in _slots(min(processes, max(1, len(jobs)))):
        slots.put(slot)

    def work(job: Job) -> str:
        slot = slots.get()
        try:
            return trained(Job(**{**vars(job), "environment": (*job.environment, *slot.items())}))
        finally:
            slots.put(slot)

    pool = ThreadPoolExecutor(processes)
    waiting = {pool.submit(work, job): job for job in jobs}
    try:
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in tuple(_RUNNING):
            if process.stdin is not None:
                process.stdin.close()


def _slots(count: int) -> list[dict[str, str]]:
    """What the environment of each process that runs at the same time says: its share of the cores, and its GPU."""
    import torch

    cores = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count))}
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    gpus = named if named != [""] else [str(n) for n in range(torch.cuda.device_count())]
    return [{**cores, **({"CUDA_VISIBLE_DEVICES": gpus[n % len(gpus)]} if gpus else {})} for n in range(count)]


def _job(order: Order, fold: int, experiment: Experiment) -> Job:
    data = os.environ.get("LIVERSEG_DATA")
    environment = (("LIVERSEG_DATA", str(Path(data).absolute())),) if data else ()
    path, folder = order.experiment.absolute(), experiment.out_dir.absolute()
    return Job(fold, str(path), order.changes, str(folder), str(Path.cwd()), environment)


def _other(experiment: Experiment) -> str:
    """Why a folder is not one of this experiment, or nothing."""
    try:
        held = json.loads((experiment.out_dir / RESOLVED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    asked = json.loads(json.dumps(experiment.as_dict()))
    if _plain(held) == _plain(asked):
        return ""
    return f"{experiment.out_dir} holds a run of another experiment; choose another experiment.out_dir"


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    """Without the name of the folder, which may be relative."""
    return {**told, "experiment": {**told["experiment"], "out_dir": ""}}


def _last_words(log: Path, before: int, code: int) -> str:
    """The sentence that a command ended with, after the first `before` bytes of its log."""
    lines = log.read_bytes()[before:].decode("utf-8", "replace").splitlines()
    said = next((line for line in reversed(lines) if line.startswith("error: ")), "")
    return said.removeprefix("error: ") or f"it ended with code {code}; see {log}"


def _end_with_parent() -> None:
    """Nothing is ever written to the standard input; it ends when the process that started this one does."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(5)


if __name__ == "__main__":
    from .__main__ import main

    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(main(sys.argv[1:]))
