"""What a run says while it goes on: history.csv, lines on the terminal, TensorBoard, and training.html."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import pages
from .curves import curves
from .experiment import Experiment
from .looks import Seen
from .provenance import load_provenance

HISTORY, PAGE, RESOLVED = "history.csv", "training.html", "experiment.json"
_COLUMNS = ("step", "loss", "seconds", "rate", "score")
_MEMORY = 0.95  # of the mean seconds a step, for what is left


class Diary:
    """One row of history.csv a step; `cells` are the columns that looks fill. A context: it closes what it opened."""

    def __init__(self, experiment: Experiment, steps: int, cells: Sequence[str], begin: int) -> None:
        self.experiment, self.folder, self.steps = experiment, experiment.out_dir, steps
        self.columns = [*_COLUMNS, *cells]
        self.seconds = 0.0
        self.pictures: dict[str, np.ndarray] = {}
        _write_rows(self.folder / HISTORY, self.columns, _kept(self.folder, begin))
        (self.folder / RESOLVED).write_text(json.dumps(experiment.as_dict(), indent=1) + "\n", encoding="utf-8")
        self.board = _board(self.folder / "tensorboard", begin)

    def __enter__(self) -> Diary:
        return self

    def __exit__(self, *_: object) -> None:
        if self.board is not None:
            self.board.close()

    def step(self, done: int, loss: float, rate: float, seconds: float, seen: Seen | None) -> None:
        """What step number `done` (counted from 1) came to."""
        row: dict[str, Any] = {"step": done, "loss": f"{loss:.5f}", "seconds": f"{seconds:.3f}", "rate": f"{rate:.4g}"}
        if seen is not None:
            row |= {"score": f"{seen.score:.5f}", **{cell: f"{value:.5f}" for cell, value in seen.cells.items()}}
        with (self.folder / HISTORY).open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)
        self.seconds = seconds if self.seconds == 0 else _MEMORY * self.seconds + (1 - _MEMORY) * seconds
        self._tell_board(done, loss, rate, seen)
        if seen is not None:
            self.pictures = dict(seen.pictures)
            say(f"step {done}/{self.steps}  score {seen.score:.4f}  " + _cells(seen))
        if done % self.experiment.experiment.log_every == 0:
            left_min = (self.steps - done) * self.seconds / 60
            say(f"step {done}/{self.steps}  loss {loss:.4f}  {seconds:.2f} s  about {left_min:.0f} min left")

    def save_page(self) -> None:
        rows = list(history(self.folder))
        sections = [
            ("Loss", curves({"loss": _line(rows, "loss")}, "step", "loss")),
            ("Learning rate", curves({"rate": _line(rows, "rate")}, "step", "rate")),
        ]
        cells = self.columns[len(_COLUMNS) :]
        if cells:
            lines = {cell: _line(rows, cell) for cell in ("score", *cells)}
            sections.insert(1, ("DSC on validation cases at the cached grid", curves(lines, "step", "DSC")))
        if self.pictures:
            sections.append(("The last look", pages.pictures(self.pictures)))
        sections.append(("Experiment", pages.preformatted(self.experiment.as_dict())))
        sections.append(("Versions and data", pages.preformatted(load_provenance(self.folder))))
        done = rows[-1]["step"] if rows else "0"
        pages.save(
            self.folder / PAGE, pages.page(self.experiment.experiment.name, f"{done} of {self.steps} steps", sections)
        )

    def _tell_board(self, done: int, loss: float, rate: float, seen: Seen | None) -> None:
        if self.board is None:
            return
        self.board.add_scalar("loss", loss, done)
        self.board.add_scalar("rate", rate, done)
        if seen is not None:
            self.board.add_scalar("score", seen.score, done)
            for cell, value in seen.cells.items():
                self.board.add_scalar(f"dsc/{cell}", value, done)
            for name, picture in seen.pictures.items():
                self.board.add_image(f"overlay/{name}", picture, done, dataformats="HWC")


def history(folder: Path) -> Iterator[dict[str, str]]:
    """The rows of history.csv; a run that was never begun has none."""
    if (folder / HISTORY).exists():
        with (folder / HISTORY).open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _kept(folder: Path, begin: int) -> list[dict[str, str]]:
    """The rows that the checkpoint knows; what came after it comes again. A row that a kill cut short is not whole."""
    rows = [row for row in history(folder) if (row["step"] or "").isdigit() and row["loss"]]
    return [row for row in rows if int(row["step"]) <= begin]


def _write_rows(path: Path, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)


def _board(folder: Path, begin: int) -> Any:
    """TensorBoard's writer, or None and a sentence where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        say("tensorboard is not installed: curves are in history.csv and training.html alone")
        return None
    return SummaryWriter(str(folder), purge_step=begin + 1 if begin else None)


def _line(rows: Sequence[dict[str, str]], column: str) -> list[tuple[float, float]]:
    return [(float(row["step"]), float(row.get(column) or math.nan)) for row in rows]


def _cells(seen: Seen) -> str:
    return "  ".join(f"{cell} {value:.4f}" for cell, value in seen.cells.items())


def keep_batch(folder: Path, image: torch.Tensor, target: torch.Tensor, rank: int = 0) -> Path:
    """The batch that a run broke on, for whoever looks into it; each process keeps its own."""
    path = folder / (f"nan_batch_{rank}.pt" if rank else "nan_batch.pt")
    torch.save({"image": image.cpu(), "target": target.cpu()}, path)
    return path
