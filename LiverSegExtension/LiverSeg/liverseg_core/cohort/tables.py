"""Outcomes -> cohort.csv (a row a number) and cohort_wide.csv (a row a case). Both are replaced as a whole."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import OutputError
from .records import AGREEMENT, EXPECTED, MEASURED, NOTICE, Outcome, Row

LONG = (
    "case", "patient", "model", "phase", "source", "structure", "quantity", "value", "unit", "reason", "error",
)  # fmt: skip
EACH_PART = re.compile(r"lesion_\d+|disc_\w+")  # single lesions, and discs as a reader would draw them
_BODY = ("height_cm", "weight_kg", "age_years", "sex")


def save_tables(outcomes: Sequence[Outcome], folder: Path) -> None:
    replace_text(folder / "cohort.csv", _text(LONG, _long(outcomes)))
    columns = _wide_columns(outcomes)
    heading = [*_HEAD, *_BODY, *(_name(key) for key in columns), "notices", "error"]
    replace_text(folder / "cohort_wide.csv", _text(heading, (_wide(outcome, columns) for outcome in outcomes)))


def replace_text(path: Path, text: str) -> None:
    """Written beside, then renamed: whoever reads it sees the old one or the new one. OutputError when it cannot be."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", newline="")
        beside.replace(path)
    except OSError as problem:
        raise OutputError(f"{path} cannot be written: {problem.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)


def _long(outcomes: Iterable[Outcome]) -> Iterable[Sequence[str]]:
    """A failed case is one row with its error."""
    for outcome in outcomes:
        who = (outcome.case, outcome.person, outcome.model or outcome.group, outcome.phase)
        if outcome.error:
            yield (*who, "", "", "", "", "", "", outcome.error)
        for row in outcome.rows:
            yield (*who, row.source, row.structure, row.quantity, number(row.value), row.unit, row.reason, "")


_HEAD = ("case", "patient", "model", "phase")
_Column = tuple[str, str, str, str]  # source, structure, quantity, unit


def _wide_columns(outcomes: Iterable[Outcome]) -> list[_Column]:
    """Every number that a case has once, in the order of sources; single lesions and discs stand in cohort.csv alone."""
    rows = [row for outcome in outcomes for row in outcome.rows]
    found = dict.fromkeys(_key(row) for row in rows if row.source != NOTICE and not EACH_PART.fullmatch(row.structure))
    return sorted(found, key=lambda key: (MEASURED, EXPECTED, AGREEMENT).index(key[0]))


def _key(row: Row) -> _Column:
    return (row.source, row.structure, row.quantity, row.unit)


def _name(key: _Column) -> str:
    """Such as prediction_liver_volume_ml; the unit stands in the name."""
    source, structure, quantity, unit = key
    unit = {"1": "", "%": "percent"}.get(unit, unit).replace("/", "_per_").replace(" ", "_")
    name = f"{source}_{structure}_{quantity}"
    return name if not unit or name.endswith(f"_{unit}") else f"{name}_{unit}"


def _wide(outcome: Outcome, columns: Sequence[_Column]) -> list[str]:
    values = {_key(row): number(row.value) for row in outcome.rows}
    notices = sorted({row.quantity for row in outcome.rows if row.source == NOTICE})
    body = [str(outcome.body.get(key, "")) for key in _BODY]
    head = [outcome.case, outcome.person, outcome.model or outcome.group, outcome.phase]
    return [*head, *body, *(values.get(key, "") for key in columns), " ".join(notices), outcome.error]


def number(value: float) -> str:
    """Six figures; an undefined value is an empty cell."""
    return "" if math.isnan(value) else f"{value:.6g}"


def _text(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(heading)
    writer.writerows(rows)
    return out.getvalue()
