"""A table -> a worked-through cohort: what is done is kept, what is left goes to the pool, the tables come last."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..agreement import Options
from ..errors import InputError, OutputError
from ..library import find_model
from ..output import discard_unfinished
from ..walk import Listener, Silence
from .case import failed, work_on
from .ledger import outcome_in, verified
from .pools import on_cluster, on_processes
from .records import Case, Outcome, Settings
from .table import read_cases
from .tables import replace_text, save_tables

PAGE = "cohort.html"


@dataclass(frozen=True)
class Order:
    """Everything `cohort` was asked for."""

    table: Path  # or a folder of studies
    out: Path
    settings: Settings = field(default_factory=Settings)
    workers: int | None = None  # None: one for a network, which uses every core itself; else one a core
    scheduler: str | None = None
    resume: bool = False


@dataclass(frozen=True)
class Tally:
    """How a cohort ended."""

    done: int  # kept ones included
    kept: int  # done and verified before this run began
    failed: int
    page: Path

    def sentence(self) -> str:
        kept = f", {self.kept} of them before" if self.kept else ""
        return f"{self.done} of {self.done + self.failed} cases done{kept}, {self.failed} failed: {self.page}"


def run_cohort(order: Order, listener: Listener | None = None) -> tuple[Tally, tuple[Outcome, ...]]:
    """Work through a table. InputError, ModelError or OutputError only for what concerns every case."""
    listener = listener or Silence()
    listener.stage("table")
    cases = read_cases(order.table)
    _check(order, cases)
    listener.stage("verification")
    kept = {case.folder for case in cases if verified(case, order.settings, order.out / case.folder) is not None}
    left = [case for case in cases if case.folder not in kept]
    errors = _worked(order, left, listener)
    from .page import page  # scipy.stats takes as long to import as some cases take: processes do without it

    listener.stage("tables")
    outcomes = tuple(_outcome(case, errors.get(case.folder, ""), order.out) for case in cases)
    save_tables(outcomes, order.out)
    replace_text(order.out / PAGE, page(outcomes, order.out, order.table.name))
    lost = sum(bool(outcome.error) for outcome in outcomes)
    return Tally(len(cases) - lost, len(kept), lost, order.out / PAGE), outcomes


def _check(order: Order, cases: Sequence[Case]) -> None:
    """Refuse before any work what would spoil all of it."""
    if order.workers is not None and order.workers < 1:
        raise InputError(f"--workers {order.workers}; expected 1 or more")
    if order.workers is not None and order.scheduler is not None:
        raise InputError("--workers is for this machine and --scheduler for a cluster; choose one")
    Options(tolerance_mm=order.settings.tolerance_mm)
    if any(case.needs_network for case in cases) and order.settings.model != "auto":
        find_model(order.settings.model)
    if order.table.is_dir() and order.out.resolve().is_relative_to(order.table.resolve()):
        raise OutputError(f"{order.out} lies inside {order.table} and would become a study; choose another --out")
    try:
        order.out.mkdir(parents=True, exist_ok=True)
        held = next(order.out.iterdir(), None)
    except OSError as problem:
        raise OutputError(f"{order.out} cannot be used for the results: {problem.strerror}") from None
    if held is not None and not order.resume:
        raise OutputError(f"{order.out} already holds files; add --resume to go on there, or choose another folder")
    if not os.access(order.out, os.W_OK | os.X_OK):
        raise OutputError(f"{order.out} cannot be written to; choose another --out")


def _worked(order: Order, cases: Sequence[Case], listener: Listener) -> dict[str, str]:
    """Folder -> error of the cases that failed."""
    if not cases:
        return {}
    for case in cases:
        _clear(order.out / case.folder)
    work = partial(work_on, settings=order.settings, out=order.out.resolve())
    if order.scheduler is not None:
        answers = on_cluster(cases, work, order.scheduler)
    else:
        answers = on_processes(cases, work, order.workers or _workers(cases), discard_unfinished)
    listener.stage("cases")
    errors = {}
    for done, (case, error) in enumerate(answers, start=1):
        if error:
            errors[case.folder] = error
        listener.progress("cases", done, len(cases))
    return errors


def _workers(cases: Sequence[Case]) -> int:
    return 1 if any(case.needs_network for case in cases) else os.cpu_count() or 1


def _clear(folder: Path) -> None:
    """What a killed run left half written beside the folder of a case."""
    if folder.parent.is_dir():
        for half in folder.parent.iterdir():
            if half.name.startswith(f".{folder.name[:40]}.") and half.is_dir():
                shutil.rmtree(half, ignore_errors=True)


def _outcome(case: Case, error: str, out: Path) -> Outcome:
    """As it lies on the disk, so that a resumed run and one in a single piece say the same."""
    found = None if error else outcome_in(out / case.folder)
    return found or failed(case, error or "its folder is gone; run again with --resume")
