"""`liverseg cohort`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..cohort import Settings
from ..cohort.runner import Order, run_cohort
from ..errors import InputError
from .events import Terminal


def run(options: argparse.Namespace, terminal: Terminal) -> Path:
    settings = Settings(
        options.model, options.device, options.quality, options.tolerance_mm, allow_unfit=options.allow_unfit
    )
    order = Order(options.table, options.out, settings, options.workers, options.scheduler, options.resume)
    tally, outcomes = run_cohort(order, terminal)
    for outcome in outcomes:
        if outcome.error:
            terminal.say(f"  {outcome.folder}: {outcome.error}")
    terminal.say(tally.sentence())
    if not tally.done:
        raise InputError(f"none of {tally.failed} cases could be read; the first: {outcomes[0].error}")
    return Path(options.out)
