"""Measurements as lines for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..labels import name_of
from ..records import Report
from ..reporting.tables import by_structure


def lines_of(report: Report) -> Iterator[str]:
    """One line a measurement that is defined, every volume with its reason where it is not, and one a structure that
    was compared. The undefined rest stands in the files."""
    for m in report.measurements:
        if not math.isnan(m.value):
            yield f"  {name_of(m.structure):20s} {m.quantity:26s} {m.value:10.1f} {m.unit.removeprefix('1')}"
        elif m.quantity == "volume":
            yield f"  {name_of(m.structure):20s} {m.quantity:26s} {'':>10} {m.reason}"
    for structure, rows in by_structure(report.agreement or ()).items():
        if "hd95" not in rows:
            continue  # one lesion
        told = f"DSC {rows['dsc']:.4f}  HD95 {rows['hd95']:.1f} mm  ASSD {rows['assd']:.2f} mm  NSD {rows['nsd']:.4f}"
        yield f"  {name_of(structure):20s} agreement  {told}"
