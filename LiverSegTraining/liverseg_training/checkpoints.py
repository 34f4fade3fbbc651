"""A run's state on disk. Written beside and renamed, so that a kill leaves the old one or the new one, never half."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from liverseg_core.errors import InputError


@dataclass(frozen=True, eq=False)
class Checkpoint:
    step: int  # steps done
    network_of: str  # what the weights fit
    network: dict[str, torch.Tensor]
    average: dict[str, torch.Tensor]
    optimiser: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    beside = path.with_suffix(".part")
    with beside.open("wb") as file:
        torch.save({f.name: getattr(checkpoint, f.name) for f in fields(checkpoint)}, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Tensors and plain values only (weights_only): a checkpoint cannot run code."""
    try:
        return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: there is nothing to resume; use `fit` first") from None
    except (RuntimeError, TypeError, EOFError, UnpicklingError) as problem:
        raise InputError(f"{path} is not a checkpoint of this version ({str(problem).splitlines()[0][:120]})") from None
