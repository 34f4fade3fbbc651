"""`liverseg-train plan`: spacing, patch, poolings and batch for a data folder, with the reasons."""

from __future__ import annotations

import argparse
from pathlib import Path

from liverseg_core.cli.usage import OneLineParser


def add_plan(verbs: argparse._SubParsersAction[OneLineParser]) -> None:
    text = "spacing, patch, poolings and batch for a data folder, with the reasons"
    verb = verbs.add_parser("plan", help=text, description=f"{text[0].upper()}{text[1:]}.")
    verb.add_argument("folder", nargs="?", default="", metavar="FOLDER", help="default: $LIVERSEG_DATA")
    verb.add_argument("--include", default="*", metavar="ID,...", help="case ids, with wildcards")
    verb.add_argument("--size", default="S", choices=("S", "B", "L", "H"), help="of STU-Net")
    verb.add_argument("--memory-gb", type=float, metavar="GB", help="to train in; default: what is free on this device")
    verb.add_argument("--out", type=Path, metavar="FILE.toml", help="write the lines of an experiment")
    verb.set_defaults(run=_plan)


def _plan(options: argparse.Namespace) -> None:
    from liverseg_core.inference import device_named
    from liverseg_core.windows import free_on

    from ..cases import data_folder, list_cases
    from ..coverage import coverage_lines
    from ..planner import fingerprints, planned, stunet_bytes

    cases = list_cases(data_folder(options.folder), options.include.split(","))
    prints = fingerprints(cases)
    room = options.memory_gb * 1e9 if options.memory_gb else float(free_on(device_named("auto")))
    plan = planned(prints, stunet_bytes(options.size, sorted({p.modality for p in prints})), room)
    print("\n".join((*coverage_lines(cases), *plan.reasons)))
    print(f"\n{plan.toml(options.size)}")
    if options.out:
        reasons = "\n".join(f"# {reason}" for reason in plan.reasons)
        options.out.write_text(f"{reasons}\n\n{plan.toml(options.size)}\n", encoding="utf-8")
