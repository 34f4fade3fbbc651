"""`liverseg-train`: fit, resume, validate, export, show, cache."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from liverseg_core.errors import LiverSegError


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except LiverSegError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return problem.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="liverseg-train", description="Train, validate and export models.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, run, text in (
        ("fit", _fit, "train from the beginning"),
        ("resume", _resume, "go on from the run folder's last checkpoint"),
        ("show", _show, "print the experiment as it is resolved"),
        ("cache", _cache, "prepare the training cases and stop"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml")
        verb.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="changes")
        verb.set_defaults(run=run)
    return parser


def _fit(options: argparse.Namespace) -> None:
    from .experiment import load_experiment
    from .fit import fit

    print(fit(load_experiment(options.experiment, options.changes)))


def _resume(options: argparse.Namespace) -> None:
    from .experiment import load_experiment
    from .fit import fit

    print(fit(load_experiment(options.experiment, options.changes), resume=True))


def _show(options: argparse.Namespace) -> None:
    from .experiment import load_experiment

    print(json.dumps(load_experiment(options.experiment, options.changes).as_dict(), indent=1))


def _cache(options: argparse.Namespace) -> None:
    from .experiment import load_experiment
    from .fit import training_cases

    print(f"{len(training_cases(load_experiment(options.experiment, options.changes)))} cases are cached")


if __name__ == "__main__":
    sys.exit(main())
