"""What a worker says on its standard output: JSON lines -> events. Whatever else it says is kept as rubbish."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LONGEST_BYTES = 1 << 20  # a line; the longest event, that of `doctor`, has some thousands
_MOST_RUBBISH = 50
_SHOWN = 200


@dataclass(frozen=True)
class Event:
    name: str
    facts: Mapping[str, Any]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _process_number(value: Any) -> bool:
    """0 and 1 are numbers of processes, too, and a group of that number must never be killed."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 < value < 2**31


# every event of the worker, and what each must carry
_EVENTS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "started": {"pid": _process_number},
    "stage": {"name": _text},
    "progress": {"name": _text, "done": _number, "total": _number},
    "warning": {"code": _text, "text": _text},
    "text": {"text": _text},
    "doctor": {},
    "done": {"out": _text},
    "error": {"kind": _text, "text": _text},
}


class Lines:
    """Bytes as they come -> events. Half lines wait for their end; nothing that a worker can send raises."""

    def __init__(self) -> None:
        self.rubbish: list[str] = []
        self._held = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[Event]:
        *whole, rest = (self._held + data).split(b"\n") if not self._skipping else self._resumed(data)
        events = [event for line in whole for event in self._read(line)]
        self._held = rest
        if len(rest) > LONGEST_BYTES:
            self._note(f"a line of more than {LONGEST_BYTES} bytes")
            self._held, self._skipping = b"", True
        return events

    def close(self) -> list[Event]:
        """The worker is gone: what it said last may lack its line end."""
        left, self._held, self._skipping = self._held, b"", False
        return self._read(left)

    def _resumed(self, data: bytes) -> list[bytes]:
        """Past the end of a line that was too long, if it is here; and the pieces after it."""
        _, end, after = data.partition(b"\n")
        self._skipping = not end
        return after.split(b"\n")

    def _read(self, line: bytes) -> list[Event]:
        if not line.strip():
            return []
        if len(line) > LONGEST_BYTES:
            self._note(f"a line of more than {LONGEST_BYTES} bytes")
            return []
        try:
            facts = json.loads(line)
        except (ValueError, RecursionError):  # ValueError: JSON, UTF-8, or a number of thousands of digits
            facts = None
        if not isinstance(facts, dict) or not _understood(facts):
            self._note(ascii(line.decode("utf-8", "replace"))[1:-1])
            return []
        return [Event(facts.pop("event"), facts)]

    def _note(self, text: str) -> None:
        if len(self.rubbish) < _MOST_RUBBISH:
            self.rubbish.append(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _understood(facts: Mapping[str, Any]) -> bool:
    name = facts.get("event")
    if not isinstance(name, str) or name not in _EVENTS:
        return False
    fits = all(check(facts.get(key)) for key, check in _EVENTS[name].items())
    return fits and (name != "progress" or 0 <= facts["done"] <= facts["total"] > 0)
