"""`liverseg-train results`: the tables of RESULTS.md, from validated runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from liverseg_core.cli.usage import OneLineParser


def add_results(verbs: argparse._SubParsersAction[OneLineParser]) -> None:
    text = "the tables of RESULTS.md, from validated runs"
    verb = verbs.add_parser("results", help=text, description=f"{text[0].upper()}{text[1:]}.")
    verb.add_argument("folders", type=Path, nargs="*", metavar="FOLDER", help="runs; default: runs")
    verb.add_argument("--out", type=Path, default=Path("LiverSegTraining/RESULTS.md"), metavar="FILE.md")
    verb.set_defaults(run=_results)


def _results(options: argparse.Namespace) -> None:
    from ..results import save_results

    for line in save_results(options.folders or [Path("runs")], options.out):
        print(line)
