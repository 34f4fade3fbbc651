"""A run's state on disk. Written beside and renamed, so that a kill leaves the old one or the new one, never half."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from liverseg_core.errors import InputError, OutputError

LAST, BEST = "last.pt", "best.pt"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything that the next step depends on. Networks and averages are lists: systems may train two at once."""

    step: int  # steps done
    network_of: str  # what the weights fit
    networks: list[dict[str, torch.Tensor]]
    averages: list[dict[str, torch.Tensor]]
    optimiser: dict[str, Any]
    scaler: dict[str, Any] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)  # one for each look so far
    samples: int = 0  # of a step, in all processes together; 0: not known
    done: str = ""  # what was asked of the run (sections.Run.length), once nothing of it is left


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Whole or not at all; OutputError where the disk does not take it, and then the old one is still there."""
    beside = path.with_suffix(".part")
    try:
        with beside.open("wb") as file:
            torch.save({f.name: getattr(checkpoint, f.name) for f in fields(checkpoint)}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, RuntimeError) as problem:  # torch reports a full disk as RuntimeError
        reason = problem.strerror if isinstance(problem, OSError) else str(problem).strip().splitlines()[0][:120]
        beside.unlink(missing_ok=True)
        kept = "the one before is kept" if path.exists() else "there is none before it"
        raise OutputError(
            f"the checkpoint {path} cannot be written ({reason}); {kept}. Make room, then `resume` goes on"
        ) from None


def load_checkpoint(path: Path) -> Checkpoint:
    """Tensors and plain values only (weights_only): a checkpoint cannot run code."""
    try:
        return Checkpoint(**_current(torch.load(path, map_location="cpu", weights_only=True)))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: there is nothing to resume; use `fit` first") from None
    except (RuntimeError, TypeError, EOFError, UnpicklingError) as problem:
        raise InputError(f"{path} is not a checkpoint of this version ({str(problem).splitlines()[0][:120]})") from None


def done_in(path: Path) -> str:
    """What was asked of a run that is done; nothing for one that goes on, or never began. The tensors are not read."""
    try:
        return str(torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("done", ""))
    except (OSError, RuntimeError, AttributeError, EOFError, UnpicklingError):
        return ""


def _current(raw: dict[str, Any]) -> dict[str, Any]:
    """The fields as they are now: checkpoints of 0.1.0 held one network by itself."""
    if "network" not in raw:
        return raw
    rest = {key: value for key, value in raw.items() if key not in ("network", "average")}
    return {**rest, "networks": [raw["network"]], "averages": [raw["average"]]}
