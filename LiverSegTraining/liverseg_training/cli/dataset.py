"""`liverseg-train dataset check` and `dataset convert`."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from liverseg_core.cli.usage import OneLineParser
from liverseg_core.errors import InputError

from ..layouts import names

if TYPE_CHECKING:
    from ..dataset_check import Asked, Verdict
    from ..dataset_convert import Done
    from ..dataset_findings import Looked


def add_dataset(verbs: argparse._SubParsersAction[OneLineParser]) -> None:
    """The verb and its two own ones."""
    text = "check a data set before training, or convert it"
    verb = verbs.add_parser("dataset", help=text, description=f"{text[0].upper()}{text[1:]}.")
    own = verb.add_subparsers(dest="dataset_verb", required=True, metavar="VERB")
    check = own.add_parser("check", help="find what is wrong; exit 0 only when nothing is")
    convert = own.add_parser("convert", help="write it as nnU-Net raw or as one folder a case")
    for one in (check, convert):
        one.add_argument("folder", type=Path, metavar="FOLDER")
        one.add_argument(
            "--layout", required=True, choices=names(), help=f"one of: {', '.join(names())}", metavar="NAME"
        )
        one.add_argument("--include", default="*", metavar="ID,...", help="cases, with wildcards; default: all")
        one.add_argument("--exclude", default="", metavar="ID,...", help="cases to leave out, with wildcards")
        one.add_argument(
            "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes; default: the cores"
        )
        one.add_argument(
            "--memory-gb", type=float, default=1.5, metavar="GB", help="of all processes together; default: 1.5"
        )
    check.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="LAYOUT=FOLDER",
        help="another data set that must share no scan",
    )
    check.add_argument("--out", type=Path, metavar="DIR", help="cases.csv, findings.csv and check.html with pictures")
    check.add_argument("--overwrite", action="store_true")
    check.set_defaults(run=_check)
    convert.add_argument("--to", required=True, choices=("cases", "nnunet"))
    convert.add_argument("--out", type=Path, required=True, metavar="DIR", help="a run that was stopped goes on there")
    convert.set_defaults(run=_convert)


def _check(options: argparse.Namespace) -> None:
    from liverseg_core.output import check_output

    from ..dataset_check import Asked, check, save_verdict

    asked = [
        Asked(options.folder, options.layout, _listed(options.include), _listed(options.exclude)),
        *(_against(text) for text in options.against),
    ]
    if options.out:
        check_output(options.out, overwrite=options.overwrite, inputs=[one.folder for one in asked])
    verdict = check(
        asked, workers=options.workers, memory_gb=options.memory_gb, picture=bool(options.out), tell=_tell_looked
    )
    _tell_pairs(verdict)
    if options.out:
        save_verdict(verdict, asked, options.out, overwrite=options.overwrite)
    if not verdict.sound:
        names = ", ".join(f'"{looked.case}"' for looked in verdict.unfit)
        raise InputError(f"{verdict.sentence()}; repair them, or leave them out: split.exclude = [{names}]")
    print(verdict.sentence())


def _convert(options: argparse.Namespace) -> None:
    from ..dataset_convert import Order, convert

    order = Order(
        options.folder, options.layout, options.to, options.out, _listed(options.include), _listed(options.exclude),
        options.workers, options.memory_gb,
    )  # fmt: skip
    tally = convert(order, _tell_done)
    print(f"{options.out}: {tally.sentence()}")
    if tally.failed:
        names = ",".join(done.case for done in tally.failed)
        raise InputError(f"{len(tally.failed)} cases could not be converted; repair them, or --exclude {names}")


def _against(text: str) -> Asked:
    from ..dataset_check import Asked

    layout, sign, folder = text.partition("=")
    if not sign:
        raise InputError(f"--against {text!r}; expected LAYOUT=FOLDER")
    return Asked(Path(folder), layout)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _tell_looked(looked: Looked, done: int, total: int) -> None:
    size = " x ".join(map(str, looked.size))
    liver = "" if math.isnan(looked.liver_ml) else f"liver {looked.liver_ml:6.0f} ml"
    print(f"[{done}/{total}] {looked.case:28s} {looked.phase:14s} {size:16s} {liver}", flush=True)
    for finding in looked.findings:
        print(f"    {'FAULT ' if finding.fault else 'remark'} {finding.kind}: {finding.text}", flush=True)


def _tell_pairs(verdict: Verdict) -> None:
    for looked in verdict.cases:
        for finding in looked.findings:
            if finding.kind.startswith("same_"):
                print(f"    FAULT  {finding.kind}: {finding.text}")


def _tell_done(done: Done, count: int, total: int) -> None:
    said = f"FAILED: {done.error}" if done.error else ("kept" if done.kept else "written")
    print(f"[{count}/{total}] {done.case:28s} {said}", flush=True)
