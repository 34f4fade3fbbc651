"""`liverseg measure`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..pipeline import measure_file
from .events import Terminal


def run(options: argparse.Namespace, terminal: Terminal) -> Path:
    report = measure_file(options.mask, options.out, scan_path=options.scan, overwrite=options.overwrite)
    for notice in report.warnings:
        terminal.warning(notice)
    for m in report.measurements:
        value = f"{m.value:10.1f} {m.unit}" if not math.isnan(m.value) else f"{'':>10} {m.reason}"
        terminal.say(f"  {m.structure:24s} {m.quantity:10s} {value}")
    terminal.say(f"{options.out / 'report.html'}")
    return Path(options.out)
