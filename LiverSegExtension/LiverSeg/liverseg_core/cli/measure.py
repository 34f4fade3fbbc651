"""`liverseg measure`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..measurements import Plane, plane_from
from ..pipeline import measure_file
from .events import Terminal
from .listing import lines_of
from .usage import numbers


def run(options: argparse.Namespace, terminal: Terminal) -> Path:
    report = measure_file(
        options.mask, options.out, scan_path=options.scan, patient_path=options.patient, remnant=_remnant(options),
        overwrite=options.overwrite,
    )  # fmt: skip
    for notice in report.warnings:
        terminal.warning(notice)
    for line in lines_of(report):
        terminal.say(line)
    terminal.say(f"{options.out / 'report.html'}")
    return Path(options.out)


def _remnant(options: argparse.Namespace) -> Plane | tuple[int, ...] | None:
    if options.plane is not None:
        return plane_from(numbers(options.plane, "--plane", "x,y,z,nx,ny,nz in mm"))
    if options.remnant is not None:
        return tuple(int(n) for n in numbers(options.remnant, "--remnant", "codes such as 2,3"))
    return None
