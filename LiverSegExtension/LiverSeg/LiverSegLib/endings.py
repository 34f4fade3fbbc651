"""How a worker process ended, and what is said of it when it said nothing itself."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass


@dataclass(frozen=True)
class Ending:
    """`exit_code` None: the process never ran, or was given up, and `text` is the sentence for the panel. Else `text` is
    the end of what it said on its error channel."""

    exit_code: int | None
    crashed: bool
    text: str


_KILLED = (
    "The system killed the worker, most likely because memory ran out; choose the quality fast, or a smaller scan."
)
_BY_EXIT_CODE = {
    2: "The worker refused its input without a word; copy the log and report it.",
    3: "The model is missing, damaged or not fit for this scan.",
    4: "There was not enough memory; choose the quality fast, another device, or a smaller scan.",
    6: "The result could not be written: the disk may be full. Free some space, then try again.",
    9: _KILLED,
    137: _KILLED,
    -9: _KILLED,
}


def never_ran(text: str) -> Ending:
    return Ending(exit_code=None, crashed=False, text=text)


def sentence(ending: Ending) -> str:
    """For the panel, when a worker failed and told no error of its own."""
    if ending.exit_code is None:
        return ending.text or "The worker could not be started."
    known = _BY_EXIT_CODE.get(ending.exit_code)
    return (
        known or f"The worker ended without an explanation (exit code {ending.exit_code}); copy the log and report it."
    )


def no_room(problem: OSError) -> str:
    """A full or forbidden disk, in this process."""
    place, reason = problem.filename or tempfile.gettempdir(), problem.strerror or str(problem)
    return f"A file could not be read or written ({place}: {reason}); free some space there, then try again."
