"""`liverseg segment`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..labels import LABELS
from ..pipeline import Request, segment_file
from .events import Terminal


def run(options: argparse.Namespace, terminal: Terminal) -> Path:
    names = (
        "scan",
        "out",
        "phase",
        "model",
        "device",
        "quality",
        "reference",
        "series",
        "volume",
        "allow_unfit",
        "overwrite",
    )
    result = segment_file(Request(**{name: getattr(options, name) for name in names}), terminal)
    report = result.report
    known = {label.key: label.name for label in LABELS.values()}
    terminal.say(f"{report.phase['used']} ({report.phase['how']}), model {report.model['name']}, on {report.device}")
    for m in report.measurements:
        value = f"{m.value:10.1f} {m.unit}" if not math.isnan(m.value) else f"{'':>10} {m.reason}"
        terminal.say(f"  {known.get(m.structure, m.structure):24s} {m.quantity:10s} {value}")
    for structure, rows in (report.agreement or {}).items():
        terminal.say(f"  {known.get(structure, structure):24s} {'DSC':10s} {rows['dsc']:10.4f}")
    terminal.say(f"{options.out / 'report.html'}")
    return Path(options.out)
