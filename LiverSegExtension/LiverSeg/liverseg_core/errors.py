"""The ways of saying no. Each carries the exit code and the event kind that the command line answers with."""

from __future__ import annotations


class LiverSegError(Exception):
    """One sentence for the user: what came, what was expected, what to do."""

    exit_code = 1
    kind = "internal"


class InputError(LiverSegError):
    """A scan, a mask, an option or a device that cannot be used."""

    exit_code = 2
    kind = "input"


class ModelError(LiverSegError):
    """A model that is missing, damaged, unknown or unfit for the phase."""

    exit_code = 3
    kind = "model"


class MemoryShortageError(LiverSegError):
    """The work does not fit; the sentence says what would."""

    exit_code = 4
    kind = "memory"


class OutputError(LiverSegError):
    """The result cannot be written where it was asked for."""

    exit_code = 6
    kind = "output"
