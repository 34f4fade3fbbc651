"""`liverseg case`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..case_folder import CaseFacts
from ..corrections import Correction, keep_case
from .events import Terminal
from .usage import numbers


def run(options: argparse.Namespace, terminal: Terminal) -> Path:
    facts = CaseFacts(
        options.phase,
        tuple(int(code) for code in numbers(options.annotated, "--annotated", "codes such as 1,3")),
        status=options.status,
        model=options.model,
        patient=options.patient_key,
    )
    place = keep_case(Correction(options.scan, options.mask, options.into, facts, options.ai))
    terminal.say(f"kept as {place}")
    return place
