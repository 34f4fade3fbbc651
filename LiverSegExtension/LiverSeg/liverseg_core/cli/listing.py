"""Measurements as lines for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..labels import LABELS
from ..records import Report

_NAMES = {label.key: label.name for label in LABELS.values()}


def lines_of(report: Report) -> Iterator[str]:
    """One line a measurement, undefined ones with their reason, and one a structure that was compared."""
    for m in report.measurements:
        value = f"{'':>10} {m.reason}" if math.isnan(m.value) else f"{m.value:10.1f} {m.unit}"
        yield f"  {_NAMES.get(m.structure, m.structure):24s} {m.quantity:10s} {value}"
    for structure, rows in (report.agreement or {}).items():
        yield f"  {_NAMES.get(structure, structure):24s} {'DSC':10s} {rows['dsc']:10.4f}"
