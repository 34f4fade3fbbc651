"""`liverseg-train finetune`: a shipped model learns from corrected cases, guarded by its old validation cases."""

from __future__ import annotations

import argparse
from pathlib import Path

from liverseg_core.cli.usage import OneLineParser


def add_finetune(verbs: argparse._SubParsersAction[OneLineParser]) -> None:
    text = "a model learns from corrected cases; refused where it forgets the old ones"
    verb = verbs.add_parser("finetune", help=text, description=f"{text[0].upper()}{text[1:]}.")
    verb.add_argument(
        "folder", type=Path, metavar="FOLDER", help="corrected cases; those that its split.json names are held out"
    )
    verb.add_argument("--from", default="any-phase", dest="model", metavar="MODEL", help="a name or a folder")
    verb.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run; the new model is RUN/model")
    verb.add_argument(
        "--old", default="", metavar="FOLDER", help="data to mix in and to judge by; default: $LIVERSEG_DATA"
    )
    verb.add_argument("--as", default="", dest="name", metavar="NAME", help="of the new model; default: MODEL-tuned")
    verb.add_argument("--mix", type=int, default=3, metavar="N", help="old cases beside each corrected one; default: 3")
    verb.add_argument("--device", default="auto")
    verb.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    verb.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="changes")
    verb.set_defaults(run=_finetune)


def _finetune(options: argparse.Namespace) -> None:
    from ..finetune import MODEL, Tuning, finetune

    tuning = Tuning(
        options.folder, options.model, options.out, options.old, options.name, options.mix, tuple(options.changes),
        options.device, options.resume,
    )  # fmt: skip
    card = finetune(tuning, lambda line: print(line, flush=True))
    print(f"{options.out / MODEL}: {card.name} {card.version}")
