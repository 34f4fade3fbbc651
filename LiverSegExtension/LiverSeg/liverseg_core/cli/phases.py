"""`liverseg phases`."""

from __future__ import annotations

import argparse

from ..phases import PHASES
from .events import Terminal


def run(options: argparse.Namespace, terminal: Terminal) -> None:
    del options
    for key, phase in PHASES.items():
        terminal.say(f"{key:16s} {phase.modality}  {phase.meaning}")
