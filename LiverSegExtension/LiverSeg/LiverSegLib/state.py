"""What a panel draws of a run: one record, replaced whenever something happens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Status(Enum):
    IDLE = auto()
    PREPARING = auto()  # inputs are written; the panel cannot answer
    RUNNING = auto()
    CANCELLING = auto()
    FINISHING = auto()  # results are read; the panel cannot answer
    DONE = auto()
    FAILED = auto()
    CANCELLED = auto()


_BUSY = frozenset({Status.PREPARING, Status.RUNNING, Status.CANCELLING, Status.FINISHING})


@dataclass(frozen=True)
class State:
    """`percent` and `eta_s` are None while nothing is known; `warnings` are (code, text); `log` has a time in each line."""

    status: Status = Status.IDLE
    verb: str = ""
    stage: str = ""
    percent: float | None = None
    eta_s: float | None = None
    message: str = ""
    warnings: tuple[tuple[str, str], ...] = ()
    log: tuple[str, ...] = ()

    @property
    def busy(self) -> bool:
        return self.status in _BUSY

    @property
    def can_start(self) -> bool:
        return not self.busy

    @property
    def can_cancel(self) -> bool:
        """A result that is being read is not given up in the middle."""
        return self.status in (Status.PREPARING, Status.RUNNING, Status.CANCELLING)
