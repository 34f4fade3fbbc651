"""`liverseg compare`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..agreement import Options
from ..labels import name_of
from ..pipeline import compare_files
from .events import Terminal


def run(options: argparse.Namespace, terminal: Terminal) -> Path | None:
    asked = Options(options.percentile, options.tolerance_mm)
    comparison = compare_files(options.prediction, options.reference, asked, options.out, overwrite=options.overwrite)
    for notice in comparison.notices:
        terminal.warning(notice)
    for agreement in comparison.agreements:
        terminal.say(name_of(agreement.structure))
        for figure in agreement.figures:
            value = f"{'':>12}" if math.isnan(figure.value) else f"{figure.value:12.4f}"
            unit = "" if figure.unit == "1" else figure.unit
            terminal.say(f"  {figure.quantity:18s} {value} {unit:3s} {figure.reason or figure.definition}")
    if options.out is not None:
        terminal.say(f"{options.out / 'agreement.csv'}")
    return Path(options.out) if options.out is not None else None
