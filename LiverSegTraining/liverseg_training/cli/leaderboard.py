"""`liverseg-train leaderboard`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liverseg_core.cli.usage import OneLineParser


def add_leaderboard(verbs: argparse._SubParsersAction[OneLineParser]) -> None:
    text = "all validated models side by side"
    verb = verbs.add_parser("leaderboard", help=text, description=f"{text[0].upper()}{text[1:]}.")
    verb.add_argument(
        "folders", type=Path, nargs="*", metavar="FOLDER", help="runs or models; default: runs, installed models"
    )
    verb.add_argument("--out", type=Path, metavar="FILE.csv")
    verb.set_defaults(run=_leaderboard)


def _leaderboard(options: argparse.Namespace) -> None:
    from liverseg_core.library import installed
    from liverseg_core.reporting import save_rows

    from ..tables import board_line, leaderboard

    runs = [Path("runs")] if Path("runs").is_dir() else []
    rows = leaderboard(options.folders or [*runs, *installed().values()])
    for row in rows:
        print(board_line(row))
    if options.out:
        save_rows(rows, options.out)
