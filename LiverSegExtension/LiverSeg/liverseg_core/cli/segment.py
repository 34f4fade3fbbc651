"""`liverseg segment`."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from ..memory import keep_freed_memory
from ..pipeline import Request, segment_file
from .events import Terminal
from .listing import lines_of


def run(options: argparse.Namespace, terminal: Terminal) -> Path:
    keep_freed_memory()
    report = segment_file(Request(**{f.name: getattr(options, f.name) for f in fields(Request)}), terminal).report
    terminal.say(f"{report.phase['used']} ({report.phase['how']}), model {report.model['name']}, on {report.device}")
    for line in lines_of(report):
        terminal.say(line)
    terminal.say(f"{options.out / ('report.html' if options.report else 'report.json')}")
    return Path(options.out)
