"""`liverseg-train fit` and `resume`: one run, its folds one after another, its folds as jobs, or in a group of processes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from liverseg_core.cli.usage import OneLineParser
from liverseg_core.errors import InputError

if TYPE_CHECKING:
    from ..experiment import Experiment


def add_fit(verbs: argparse._SubParsersAction[OneLineParser]) -> None:
    for name, text in (
        ("fit", "train from the beginning"),
        ("resume", "go on from the run folder's last checkpoint"),
    ):
        verb = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        verb.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml")
        verb.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="changes")
        verb.add_argument("--folds", default="", metavar="all", help="every fold of a k-fold split, one after another")
        verb.add_argument("--processes", type=int, metavar="N", help="N folds at a time, each in its own process")
        verb.add_argument("--scheduler", metavar="ADDRESS", help="folds on a Dask cluster, such as tcp://host:8786")
        verb.set_defaults(run=_fit, resume=name == "resume")


def runs(options: argparse.Namespace) -> tuple[Experiment, ...]:
    """The experiment, or its folds."""
    from ..experiment import load_experiment

    if options.folds not in ("", "all"):
        raise InputError(f"--folds {options.folds!r}; expected `all`, or --set split.fold=N for one of them")
    path = options.experiment if "experiment" in options else options.model
    experiment = load_experiment(path, options.changes)
    return experiment.folds() if options.folds else (experiment,)


def _fit(options: argparse.Namespace) -> None:
    from ..fit import fit
    from ..together import joined

    if options.scheduler is not None or options.processes is not None:
        _fit_folds(options)
        return
    with joined() as group:
        with group.one_fate():
            experiments = runs(options)
        for experiment in experiments:
            print(fit(experiment, resume=options.resume, group=group))


def _fit_folds(options: argparse.Namespace) -> None:
    from ..folds import Order, fit_folds
    from ..together import started

    experiments = runs(options)
    if not options.folds:
        raise InputError("--processes and --scheduler are for folds; add --folds all")
    processes = 1 if options.processes is None else options.processes
    order = Order(options.experiment, tuple(options.changes), options.resume, processes, options.scheduler or "")
    if options.processes is not None and options.scheduler is not None:
        raise InputError("--processes is for this machine and --scheduler for a cluster; choose one")
    if started():
        raise InputError("--processes and --scheduler start a process for each fold; leave out torchrun")
    if order.processes < 1:
        raise InputError(f"--processes {options.processes}; expected 1 or more")
    for sentence in fit_folds(order, experiments):
        print(sentence, flush=True)
