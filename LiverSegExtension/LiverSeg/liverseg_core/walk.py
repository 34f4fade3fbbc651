"""What a walk through the corridor costs, and who is told of it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .records import Notice


class Listener(Protocol):
    """Whoever waits for a walk and wants to be told."""

    def stage(self, name: str) -> None:
        """A room was entered."""

    def progress(self, name: str, done: int, total: int) -> None:
        """Work inside a room."""

    def warning(self, notice: Notice) -> None:
        """Something the reader must know."""


class Silence:
    """A listener that wants to be told nothing."""

    def stage(self, name: str) -> None: ...

    def progress(self, name: str, done: int, total: int) -> None: ...

    def warning(self, notice: Notice) -> None: ...


@dataclass
class Walk:
    """Seconds spent in each room, and the listener."""

    listener: Listener = field(default_factory=Silence)
    seconds: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    @contextmanager
    def room(self, name: str) -> Iterator[None]:
        if name not in self.seconds:
            self.listener.stage(name)
        entered = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - entered

    def times(self) -> dict[str, float]:
        return {
            **{name: round(s, 3) for name, s in self.seconds.items()},
            "total": round(time.perf_counter() - self.began, 3),
        }


def peak_memory_mb() -> float:
    """The most this process ever held; NaN on Windows, which does not say it in the standard library.

    Linux is asked for the process itself: `getrusage` begins with what the process that started this one had held.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return round(int(status.partition("VmHWM:")[2].split()[0]) / 2**10, 1)
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return math.nan
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(held / (2**20 if sys.platform == "darwin" else 2**10), 1)
