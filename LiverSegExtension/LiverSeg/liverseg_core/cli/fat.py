"""`liverseg fat`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..errors import InputError
from ..fat.options import Options
from ..fat.spectra import DEFAULT
from ..fat.tables import DEFAULT_CALIBRATION
from ..fat_pipeline import FatRequest, fat_files
from ..memory import keep_freed_memory
from ..reading.echoes import Told
from .events import Terminal
from .usage import numbers

_SHOWN = {f"{kind}_{name}" for kind in ("pdff", "ff", "r2star") for name in ("median", "mean", "sd")} | {"lic"}


def run(options: argparse.Namespace, terminal: Terminal) -> Path:
    keep_freed_memory()
    asked = Options(
        spectrum=options.spectrum or DEFAULT, calibration=options.calibration or DEFAULT_CALIBRATION,
        method=options.method, device=options.device,
    )  # fmt: skip
    request = FatRequest(
        echoes=tuple(options.echoes), out=options.out, phase_image=tuple(options.phase_image), mask=options.mask,
        model=options.model, told=_told(options), options=asked, report=options.report,
        overwrite=options.overwrite,
    )  # fmt: skip
    report = fat_files(request, terminal)
    terminal.say(f"{report.phase['how']}, on {report.device}")
    for m in report.measurements:
        if m.structure == "liver" and m.quantity in _SHOWN:
            value = " " * 10 if math.isnan(m.value) else f"{m.value:10.2f}"
            terminal.say(f"  {m.quantity:16s} {value} {m.unit:5s} {m.reason}".rstrip())
    terminal.say(f"{options.out / ('report.html' if options.report else 'report.json')}")
    return Path(options.out)


def _told(options: argparse.Namespace) -> Told:
    """What the user says of the protocol; TR and flip angle only together."""
    if (options.tr_ms is None) != (options.flip_deg is None):
        raise InputError("--tr-ms and --flip-deg belong together; give both, or neither")
    times = options.echo_times_ms
    te_ms = () if times is None else tuple(numbers(times, "--echo-times-ms", "times such as 1.15,2.1,3.05"))
    return Told(te_ms, options.field_t, options.tr_ms, options.flip_deg)
