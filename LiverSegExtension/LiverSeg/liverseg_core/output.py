"""A folder of results appears whole or not at all: written beside, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError

_UNFINISHED: set[Path] = set()


def check_output(out: Path, *, overwrite: bool, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse before any work is done what could not be written after it, or would destroy what is read."""
    try:
        _check(out.resolve(), out, overwrite=overwrite)
    except OSError as problem:
        raise OutputError(f"{out} cannot be used for the results: {problem.strerror}; choose another --out") from None
    for given in inputs:
        if given is not None and out.exists() and given.resolve().is_relative_to(out.resolve()):
            raise OutputError(f"{given} lies inside {out}, which would be replaced; choose another --out")


def _check(place: Path, out: Path, *, overwrite: bool) -> None:
    if place.exists() and not place.is_dir():
        raise OutputError(f"{out} is a file; expected a folder for the results")
    if place.is_dir() and any(place.iterdir()) and not overwrite:
        raise OutputError(f"{out} already holds files; choose another folder or add --overwrite")
    if os.path.ismount(place):
        raise OutputError(f"{out} is a mount point, which cannot be replaced as a whole; choose a folder inside it")
    ground = next((folder for folder in place.parents if folder.exists()), None)
    if ground is None or not ground.is_dir() or not os.access(ground, os.W_OK | os.X_OK):
        raise OutputError(f"{ground or place.anchor} cannot be written to; choose another --out")


@contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """A temporary neighbour to write into; it becomes `out` when the block ends well, and vanishes when it does not."""
    out = out.resolve()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{out.name[:40]}.", dir=out.parent))
    except OSError as problem:
        raise OutputError(f"{out} cannot be made: {problem.strerror}") from None
    _UNFINISHED.add(room)
    try:
        yield room
        room.chmod(0o755)
        _take_place(room, out)
    except (OSError, RuntimeError) as problem:  # SimpleITK reports a full disk as RuntimeError
        reason = problem.strerror if isinstance(problem, OSError) else str(problem).strip().splitlines()[-1]
        raise OutputError(f"the results cannot be written to {out}: {reason}") from None
    finally:
        shutil.rmtree(room, ignore_errors=True)
        _UNFINISHED.discard(room)


def discard_unfinished() -> None:
    """For the moment before the process ends: nothing half written stays."""
    for room in tuple(_UNFINISHED):
        shutil.rmtree(room, ignore_errors=True)


def _take_place(room: Path, out: Path) -> None:
    if not out.exists():
        room.rename(out)
        return
    aside = room.with_name(f"{room.name}.old")
    out.rename(aside)
    try:
        room.rename(out)
    except OSError:
        aside.rename(out)
        raise
    shutil.rmtree(aside, ignore_errors=True)
