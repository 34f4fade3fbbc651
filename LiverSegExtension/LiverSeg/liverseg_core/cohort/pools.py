"""Cases -> (case, error) as they are done: on processes of this machine, or on a Dask cluster that is there already."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from multiprocessing import connection, get_context, parent_process
from typing import Any, TypeVar

from ..errors import InputError

Item = TypeVar("Item")  # a case, or whatever else `work` can take; the answer of `work` is its error, or nothing
DIED = "the process that worked on it ended without a word (out of memory?); try it alone, with --workers 1"
DESERTED = "the cluster had no worker left that could take it; start workers again, and go on with --resume"
_ANSWER_S = "10 s"
_LOOK_S, _PATIENCE_S = 5.0, 120.0  # how often workers are counted, and how long none may be there


def on_processes(
    cases: Sequence[Item], work: Callable[[Item], str], workers: int, abandon: Callable[[], None]
) -> Iterator[tuple[Item, str]]:
    """Each process has one case in hand: when it dies, that case alone is lost, and another process takes its place.

    `abandon` tidies up in a process that has to end in the middle of its case.
    """
    waiting = list(reversed(cases))
    busy: dict[Future[str], tuple[ProcessPoolExecutor, Item]] = {}
    idle = [_process(workers, abandon) for _ in range(min(workers, len(cases)))]
    try:
        while waiting or busy:
            while idle and waiting:
                process, case = idle.pop(), waiting.pop()
                busy[process.submit(work, case)] = (process, case)
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                process, case = busy.pop(future)
                error, alive = _answer(future)
                idle.append(process if alive else _process(workers, abandon))
                yield case, error
    finally:
        for process in [*idle, *(process for process, _ in busy.values())]:
            process.shutdown(wait=not busy, cancel_futures=True)


def on_cluster(cases: Sequence[Item], work: Callable[[Item], str], address: str) -> Iterator[tuple[Item, str]]:
    """Dask workers that see the same files under the same paths. InputError when there is no Dask, or no scheduler."""
    try:
        distributed: Any = import_module("dask.distributed")
    except ImportError:
        raise InputError(
            "--scheduler needs dask.distributed, which is not installed; install it with `pip install distributed`, "
            "or leave --scheduler out to work on this machine"
        ) from None
    try:
        client = distributed.Client(address, timeout=_ANSWER_S, set_as_default=False)
    except (OSError, ValueError) as problem:
        raise InputError(
            f"no Dask scheduler answers at {address} ({_first_line(problem)}); expected an address such as tcp://host:8786"
        ) from None
    with client:
        waiting = {future: case for case, future in zip(cases, client.map(work, cases, pure=False))}
        suspects = []  # Dask blames every case that its dead workers held: each is tried once more, alone
        for future, error in _finished(distributed, client, waiting):
            case = waiting.pop(future)
            if error == DIED:
                suspects.append(case)
            else:
                yield case, error
        for case in suspects:
            alone = _finished(distributed, client, [client.submit(work, case, pure=False)])
            yield case, next((error for _, error in alone), DESERTED)
        for case in waiting.values():
            yield case, DESERTED


def _finished(distributed: Any, client: Any, futures: Iterable[Any]) -> Iterator[tuple[Any, str]]:
    """Each future and the case's error when it is done; it ends early where the cluster has lost all its workers and no
    new one comes."""
    waiting, peopled = set(futures), time.monotonic()
    while waiting:
        answers = {}
        try:
            with client.as_current():
                done = distributed.wait(waiting, timeout=_LOOK_S, return_when="FIRST_COMPLETED").done
            for future in done:
                answers[future] = _told(future)
        except (TimeoutError, distributed.TimeoutError):
            pass  # none was done, or its answer went down with the worker that held it, and is computed again
        waiting -= answers.keys()
        yield from answers.items()
        if answers or _workers(client):
            peopled = time.monotonic()
        elif time.monotonic() - peopled > _PATIENCE_S:
            return


def _workers(client: Any) -> int:
    """How many there are; none where the scheduler does not answer, either."""
    try:
        return len(client.nthreads())
    except (OSError, TimeoutError):
        return 0


def _process(workers: int, abandon: Callable[[], None]) -> ProcessPoolExecutor:
    """Spawned, not forked: torch and SimpleITK have threads, which a fork would not take along."""
    share = max(1, (os.cpu_count() or 1) // workers)
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_settle, initargs=(share, abandon))


def _settle(threads: int, abandon: Callable[[], None]) -> None:
    """In a new process: its share of the processor, no part in Ctrl-C, and no life after the process that started it."""
    import SimpleITK as sitk

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # torch reads it when it is imported, which is later
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(
        min(threads, sitk.ProcessObject.GetGlobalDefaultNumberOfThreads())
    )
    threading.Thread(target=_end_with_parent, args=(abandon,), daemon=True).start()


def _end_with_parent(abandon: Callable[[], None]) -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        abandon()
        os._exit(5)


def _answer(future: Future[str]) -> tuple[str, bool]:
    """The case's error, and whether the process lives."""
    try:
        return future.result(), True
    except BrokenProcessPool:
        return DIED, False


def _told(future: Any) -> str:
    """The case's error, once Dask is done with it."""
    problem = future.exception(timeout=_LOOK_S)
    if problem is None:
        return str(future.result(timeout=_LOOK_S))
    died = type(problem).__name__ == "KilledWorker"
    return DIED if died else f"the cluster lost it ({type(problem).__name__}: {_first_line(problem)})"


def _first_line(problem: Any) -> str:
    return next(iter(str(problem).splitlines()), type(problem).__name__)
