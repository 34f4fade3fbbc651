"""Records -> JSON and CSV: report.json, measurements.csv, agreement.csv."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..records import Measurement, Report


def save_json(report: Report, path: Path) -> None:
    """The agreement as structure -> quantity -> value; without a reference there is none."""
    content = asdict(report)
    del content["agreement"]
    if report.agreement is not None:
        content["agreement"] = by_structure(report.agreement)
    save_record(content, path)


def by_structure(measurements: Sequence[Measurement]) -> dict[str, dict[str, float]]:
    """structure -> quantity -> value."""
    nested: dict[str, dict[str, float]] = {}
    for m in measurements:
        nested.setdefault(m.structure, {})[m.quantity] = m.value
    return nested


def save_csv(report: Report, path: Path) -> None:
    """One row a measurement; an undefined value is an empty cell with a reason."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["structure", "quantity", "value", "unit", "reason"])
        for m in report.measurements:
            value = "" if math.isnan(m.value) else f"{m.value:.3f}"
            writer.writerow([m.structure, m.quantity, value, m.unit, m.reason])


def save_rows(rows: Sequence[Mapping[str, str | float]], path: Path) -> None:
    """A table with the columns of its first row; an undefined value is an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({key: "" if _undefined(value) else value for key, value in row.items()})


def save_record(record: Mapping[str, Any], path: Path) -> None:
    """Any record as JSON; an undefined value (NaN) becomes null."""
    path.write_text(json.dumps(_plain(record), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _undefined(value: str | float) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
