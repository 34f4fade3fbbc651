"""Validated runs -> the tables of RESULTS.md, each between two markers of its own.

A table is a row of TABLES in a file named results_*.py; that the file is there registers it.
"""

from __future__ import annotations

import csv
import json
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from liverseg_core.errors import InputError, OutputError

from .diary import RESOLVED

_RECORDS = "validation*.json"  # of a run: what `validate` wrote there, and with --contrast NAME --out beside it
_TITLE = (
    "# Results\n\nMade by `liverseg-train results`. What stands between two markers is written by that command alone.\n"
)
Row = Mapping[str, str]  # heading -> cell, in order


@dataclass(frozen=True, eq=False)
class Run:
    """A run that was validated. `rows` are those of its summaries, each with its `grid` and its `cases`."""

    folder: Path
    experiment: Mapping[str, Any]  # the tables of experiment.json
    rows: tuple[Mapping[str, Any], ...]

    @property
    def name(self) -> str:
        return str(self.experiment["experiment"]["name"])

    @cached_property
    def scores(self) -> tuple[Mapping[str, str], ...]:
        """Every structure of every case: the rows of the tables beside the summaries, as text."""
        return tuple(row for file in sorted(self.folder.glob(_RECORDS)) for row in _csv(file.with_suffix(".csv")))


@dataclass(frozen=True)
class Table:
    """One table of RESULTS.md: `definition` says what its numbers are (unit, grid, n), `rows` makes them of all runs."""

    key: str
    title: str
    definition: str
    rows: Callable[[Sequence[Run]], Sequence[Row]]


def tables() -> tuple[Table, ...]:
    """Every row of every TABLES, in the order of the files."""
    package = __name__.rpartition(".")[0]
    stems = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name.startswith("results_"))
    found: list[Table] = [table for stem in stems for table in import_module(f"{package}.{stem}").TABLES]
    keys = [table.key for table in found]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise InputError(f"two tables of results are called {', '.join(sorted(twice))}")
    return tuple(found)


def read_runs(folders: Sequence[Path]) -> tuple[Run, ...]:
    """Every validated run in the folders or one level below, in the order of their paths; InputError where there is none."""
    places = sorted({file.parent for folder in folders for file in _resolved(folder)})
    runs = tuple(run for place in places if (run := _run(place)).rows)
    if not runs:
        raise InputError(
            f"no validated run in {', '.join(map(str, folders))}; `liverseg-train validate EXPERIMENT.toml` makes one"
        )
    return runs


def save_results(folders: Sequence[Path], file: Path) -> list[str]:
    """Write every table that the runs have rows for, and say which; what stands in the others stays as it is."""
    runs, told = read_runs(folders), []
    text = file.read_text(encoding="utf-8") if file.exists() else _TITLE
    for table in tables():
        rows = table.rows(runs)
        text = with_table(text, table, rows) if rows else text
        told.append(f"{table.key}: {len(rows)} rows" if rows else f"{table.key}: no run has any, so it stays as it is")
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise OutputError(f"{file} cannot be written ({problem.strerror}); choose another --out") from None
    return told


def with_table(text: str, table: Table, rows: Sequence[Row]) -> str:
    """The page with this table between its markers; both come at the end of the page where it has none."""
    first, last = f"<!-- table {table.key} -->", f"<!-- end of {table.key} -->"
    body = f"{first}\n{markdown(rows)}\n{last}"
    if first not in text and last not in text:
        return f"{text.rstrip()}\n\n## {table.title}\n\n{table.definition}\n\n{body}\n"
    if text.count(first) != 1 or text.count(last) != 1 or text.index(first) > text.index(last):
        raise InputError(f"the markers of {table.key} are not one pair in order; expected {first} ... {last}")
    return re.sub(f"{re.escape(first)}.*{re.escape(last)}", lambda _: body, text, flags=re.DOTALL)


def markdown(rows: Sequence[Row]) -> str:
    """Columns are those of the first row; a row that lacks one leaves it blank."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([row.get(head, "") for head in heads] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def _resolved(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; expected runs")
    yield from folder.glob(RESOLVED)
    yield from folder.glob(f"*/{RESOLVED}")


def _run(place: Path) -> Run:
    rows: list[Mapping[str, Any]] = []
    for file in sorted(place.glob(_RECORDS)):
        told = json.loads(file.read_text(encoding="utf-8"))
        rows += [{**row, "grid": told["grid"], "cases": told["cases"]} for row in told["rows"]]
    return Run(place, json.loads((place / RESOLVED).read_text(encoding="utf-8")), tuple(rows))


def _csv(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
