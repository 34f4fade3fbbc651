"""What a running command tells: a bar on a terminal, JSON lines for machines; and how it is stopped from outside."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_POLL_S = 0.25
PROTOCOL = 1


class Terminal:
    """A walk.Listener for people and for machines."""

    def __init__(self, *, json_lines: bool = False) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a pipe on Windows may not know every letter of a path
        self.json_lines = json_lines
        self._bar = sys.stderr.isatty() and not json_lines
        self._entered = time.perf_counter()
        self._lock = threading.Lock()

    def started(self) -> None:
        if self.json_lines:
            _lead_own_group()
        self.event("started", pid=os.getpid(), protocol=PROTOCOL)

    def event(self, event: str, **facts: Any) -> None:
        """One ASCII line on stdout, flushed; nothing without --json-lines."""
        if self.json_lines:
            with self._lock:
                print(json.dumps({"event": event, **facts}), flush=True)

    def say(self, text: str) -> None:
        """A line for a person; a machine gets it as an event."""
        if self.json_lines:
            self.event("text", text=text)
        else:
            print(text)

    def stage(self, name: str) -> None:
        self._entered = time.perf_counter()
        self.event("stage", name=name)
        self._draw(f"{name} ...")

    def progress(self, name: str, done: int, total: int) -> None:
        left_s = (time.perf_counter() - self._entered) / max(done, 1) * (total - done)
        self.event("progress", name=name, done=done, total=total, eta_s=round(left_s, 1))
        filled = int(24 * done / max(total, 1))
        self._draw(f"{name} [{'#' * filled}{'.' * (24 - filled)}] {done}/{total}, {left_s:.0f} s left")

    def warning(self, notice: Any) -> None:
        self.event("warning", code=notice.code, text=notice.text)
        if not self.json_lines:
            self._draw("")
            print(f"warning: {notice.text} [{notice.code}]", file=sys.stderr)

    def done(self, out: Path | None, seconds: float) -> None:
        """`out` is the folder that was written, if any."""
        self._draw("")
        self.event("done", out="" if out is None else str(out), seconds=round(seconds, 2))

    def error(self, kind: str, text: str) -> None:
        self._draw("")
        self.event("error", kind=kind, text=text)
        print(f"error: {text}", file=sys.stderr, flush=True)

    def _draw(self, text: str) -> None:
        if self._bar:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


@contextmanager
def guard(terminal: Terminal, stop_file: Path | None) -> Iterator[None]:
    """While the block runs, Ctrl-C, SIGTERM, the stop file or a vanished parent end the process with code 5.

    A thread watches, because Python's own signal handlers wait until a convolution is over. The parent is watched
    only for machines (--json-lines): a person may close the shell of a command that runs on under nohup.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    inbox, outbox = socket.socketpair()
    outbox.settimeout(0)
    inbox.settimeout(_POLL_S)
    previous_wakeup = signal.set_wakeup_fd(outbox.fileno(), warn_on_full_buffer=False)
    previous = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    over = threading.Event()
    gone = _parent_gone() if terminal.json_lines else lambda: False
    watcher = threading.Thread(target=_watch, args=(inbox, stop_file, gone, over, terminal), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_wakeup)
        watcher.join(timeout=2 * _POLL_S)
        inbox.close()
        outbox.close()


def _watch(
    inbox: socket.socket, stop_file: Path | None, gone: Callable[[], bool], over: threading.Event, terminal: Terminal
) -> None:
    while not over.is_set():
        reason = ""
        try:
            if inbox.recv(16):
                reason = "cancelled by a signal"
        except TimeoutError:
            pass
        except OSError:
            return
        if stop_file is not None and stop_file.exists():
            reason = "cancelled: the stop file appeared"
        if gone():
            reason = "cancelled: the process that started this one is gone"
        if reason and not over.is_set():
            _end(terminal, reason)


def _parent_gone() -> Callable[[], bool]:
    """A question that turns true when the process that started this one has ended."""
    if sys.platform == "win32":  # a vanished parent keeps its number there: its handle is asked instead
        import ctypes

        synchronize, signalled = 0x00100000, 0
        handle = ctypes.windll.kernel32.OpenProcess(synchronize, False, os.getppid())  # noqa: FBT003
        return lambda: bool(handle) and ctypes.windll.kernel32.WaitForSingleObject(handle, 0) == signalled
    parent = os.getppid()
    return lambda: os.getppid() != parent


def _lead_own_group() -> None:
    """A machine that ends this process by its group must reach the children, and never itself.

    Only in the process that is the command: a program that calls main() stays in the session of its terminal.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    command = spec is not None and spec.name == "liverseg_core.__main__"
    if command and sys.platform != "win32" and os.getpgrp() != os.getpid():
        os.setsid()


def _end(terminal: Terminal, reason: str, leave: Callable[[int], None] = os._exit) -> None:
    """Remove what is half written and go, whatever the main thread is doing."""
    from ..output import discard_unfinished

    discard_unfinished()
    try:
        terminal.error("cancelled", f"{reason}; what was not finished was removed")
    except OSError:
        pass  # whoever listened is gone as well
    finally:
        leave(5)
