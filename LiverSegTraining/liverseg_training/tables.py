"""Scores -> validation.csv, validation.html and validation.json; and all validated models side by side."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from liverseg_core.errors import InputError
from liverseg_core.model_card import CARD, ModelCard
from liverseg_core.reporting import save_record, save_rows

from . import pages
from .validate import Score, summary

RECORD = "validation.json"
LESION_RECORD = "lesions.json"
NATIVE = "per volume, native grid"
NETWORK = "per volume, the recipe's own cached grid (not the scan's)"
_BOARD = (
    "model",
    "phase",
    "structure",
    "n",
    "dsc_mean",
    "dsc_worst",
    "hd95_mm_mean",
    "assd_mean",
    "nsd_mean",
    "grid",
    "cases",
)


def save_validation(scores: Sequence[Score], name: str, grid: str, cases: str, csv_file: Path) -> None:
    """The table, its page and its record, side by side with one stem."""
    csv_file.parent.mkdir(parents=True, exist_ok=True)
    rows = summary(scores)
    save_rows([score.row() for score in scores], csv_file)
    save_record({"model": name, "grid": grid, "cases": cases, "rows": rows}, csv_file.with_suffix(".json"))
    found = lesion_rows(scores)
    if found:
        save_record({"model": name, "grid": grid, "cases": cases, "lesions": found}, csv_file.with_name(LESION_RECORD))
    definition = (
        f"<p>{grid}; mean over the cases; undefined values are left out and not counted. DSC per slice is the mean over "
        "the slices in which the reference is not empty. Distances in mm, volumes in ml, rvd a fraction.</p>"
    )
    sections = [
        ("Summary", definition + pages.table(rows)),
        ("Every case", pages.table([score.row() for score in scores])),
    ]
    pages.save(csv_file.with_suffix(".html"), pages.page(f"Validation of {name}", f"{cases}; {grid}", sections))


def lesion_rows(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Of every case whose lesions were compared: how many were found and made up, by rule, and each of the reference."""
    return [
        {
            "case": score.case,
            "phase": score.phase,
            "rules": {key: asdict(detection) for key, detection in score.lesions.detections.items()},
            "lesions": [asdict(lesion) for lesion in score.lesions.lesions],
        }
        for score in scores
        if score.lesions is not None
    ]


def leaderboard(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """A row for each model, phase and structure that was validated: best first. A folder may be a run, a model, or hold
    some of either."""
    places = sorted({place for folder in folders for place in _places(folder)})
    told = {place.parent for place in places if place.name == RECORD}
    rows = [row for place in places for row in _rows(place, told)]
    if not rows:
        raise InputError(
            f"no validated model in {', '.join(map(str, folders))}; `liverseg-train validate EXPERIMENT.toml` makes one"
        )
    return sorted(rows, key=lambda row: (row["phase"], row["structure"], -row["dsc_mean"]))


def board_line(row: dict[str, Any]) -> str:
    grid = "" if row["grid"] == NATIVE else f"  [{row['grid']}]"
    return (
        f"{row['phase']:16s} {row['structure']:14s} DSC {row['dsc_mean']:.4f} worst {row['dsc_worst']:.4f}  n={row['n']:<3d} "
        f"{row['model']}{grid}"
    )


def _places(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; expected runs or models")
    for name in (RECORD, CARD):
        yield from folder.glob(name)
        yield from folder.glob(f"*/{name}")


def _rows(place: Path, records: Collection[Path]) -> Iterator[dict[str, Any]]:
    """What a record of a validation says, or a card whose run is not among `records` and says it better."""
    if place.name == RECORD:
        told = json.loads(place.read_text(encoding="utf-8"))
        for row in told["rows"]:
            yield {key: told.get(key, row.get(key, "")) for key in _BOARD}
    elif place.parent not in records and place.parent.parent not in records:
        card = ModelCard.load(place.parent)
        for phase, seen in card.measured.items():
            if seen.dsc is not None:
                told = {"model": f"{card.name} {card.version}", "phase": phase, "structure": "liver", "n": seen.n}
                figures = {"dsc_mean": seen.dsc, "dsc_worst": seen.worst or float("nan")}
                row = {**told, **figures, "grid": NATIVE, "cases": seen.cases}
                yield {key: row.get(key, float("nan")) for key in _BOARD}
