"""`liverseg measure`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..pipeline import measure_file
from .events import Terminal
from .listing import lines_of


def run(options: argparse.Namespace, terminal: Terminal) -> Path:
    report = measure_file(options.mask, options.out, scan_path=options.scan, overwrite=options.overwrite)
    for notice in report.warnings:
        terminal.warning(notice)
    for line in lines_of(report):
        terminal.say(line)
    terminal.say(f"{options.out / 'report.html'}")
    return Path(options.out)
