"""Report -> report.json and measurements.csv."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..records import Report


def save_json(report: Report, path: Path) -> None:
    """An undefined value (NaN) becomes null: NaN is not JSON."""
    content = _plain(asdict(report))
    if report.agreement is None:
        del content["agreement"]
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def save_csv(report: Report, path: Path) -> None:
    """One row a measurement; an undefined value is an empty cell with a reason."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["structure", "quantity", "value", "unit", "reason"])
        for m in report.measurements:
            value = "" if math.isnan(m.value) else f"{m.value:.3f}"
            writer.writerow([m.structure, m.quantity, value, m.unit, m.reason])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
