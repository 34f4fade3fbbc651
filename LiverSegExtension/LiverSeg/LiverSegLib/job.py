"""The worker: `PythonSlicer -m liverseg_core ... --json-lines` as a QProcess. It is read, watched, and ended with every
child it has. Nothing here waits: signals and one timer do everything, on the thread of the panel.

On POSIX the worker leads a session of its own (cli/events.py), so that its group is the worker and its children, and never
Slicer; on Windows `taskkill /T` follows the tree from the launcher down.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import qt

from .commands import takes_stop_file
from .endings import Ending, never_ran, no_room
from .events import Event, Lines

MODULE_FOLDER = Path(__file__).parents[1]  # holds liverseg_core, from source as well as installed
_TICK_MS = 200
_ASKED_S = 2.0  # for the stop file; the worker looks for it four times a second
_KILLED_S = 0.6  # after the kill of the tree, for the launcher
_GIVEN_UP_S = 4.0
_LEAVING_S = 10.0  # a worker that has said `done` may hang while it unloads its libraries
_TAIL = 4000
_ALIVE: set[WorkerJob] = set()  # a job that was forgotten must still end its worker


class WorkerJob:
    """A controller.Job. `program`: what to start instead of Slicer's Python, for tests."""

    def __init__(self, *, program: Sequence[str] = (), quiet_s: float = 180.0) -> None:
        self._program = list(program)
        self._quiet_s = quiet_s
        self._lines = Lines()
        self._errors = ""
        self._process: Any = None
        self._timer: Any = None
        self._stop: Path | None = None
        self._group: int | None = None
        self._pid: int | None = None
        self._cancelled_at: float | None = None
        self._killed_at: float | None = None
        self._done_at: float | None = None
        self._over = False

    def start(self, arguments: Sequence[str], told: Callable[[Event], None], ended: Callable[[Ending], None]) -> None:
        self._told, self._ended = told, ended
        program = self._program or worker_program()
        if not program:
            self._end(never_ran("PythonSlicer was not found beside this Slicer; install Slicer again."))
            return
        words = [*program[1:], *arguments, "--json-lines"]
        if takes_stop_file(arguments):
            try:
                self._stop = Path(tempfile.mkdtemp(prefix="liverseg-stop-")) / "stop"
            except OSError as problem:
                self._end(never_ran(no_room(problem)))
                return
            words += ["--stop-file", str(self._stop)]
        self._last_word = time.monotonic()
        _ALIVE.add(self)
        self._run(program[0], words)

    def cancel(self) -> None:
        """Ask, and kill two seconds later; a second call, or a command that cannot be asked, kills at once."""
        if self._over or self._process is None:
            return
        asked = self._cancelled_at is not None
        self._cancelled_at = self._cancelled_at or time.monotonic()
        if asked or self._stop is None or not _touched(self._stop):
            self._kill()

    def _run(self, program: str, words: list[str]) -> None:
        process = self._process = qt.QProcess()
        process.setProcessEnvironment(worker_environment())
        process.connect("readyReadStandardOutput()", self._read)
        process.connect("readyReadStandardError()", self._read_errors)
        process.connect("errorOccurred(QProcess::ProcessError)", self._failed)
        process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        timer = self._timer = qt.QTimer()
        timer.connect("timeout()", self._tick)
        timer.start(_TICK_MS)
        process.start(program, words)

    def _read(self) -> None:
        self._last_word = time.monotonic()
        self._tell(self._lines.feed(_bytes(self._process.readAllStandardOutput())))

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            if event.name == "started" and self._pid is None:
                self._pid = event.facts["pid"]
                self._group = _own_group(self._pid)
            elif event.name == "done":
                self._done_at = time.monotonic()
            self._told(event)
        rubbish, self._lines.rubbish = self._lines.rubbish, []
        for text in rubbish:
            self._told(Event("rubbish", {"text": text}))

    def _read_errors(self) -> None:
        self._last_word = time.monotonic()
        text = _bytes(self._process.readAllStandardError()).decode("utf-8", "replace")
        self._errors = (self._errors + text)[-_TAIL:]

    def _failed(self, error: Any) -> None:
        """A crash, too, is told here, and then by `finished`: only a start that failed ends here."""
        if not self._over and error == qt.QProcess.FailedToStart:
            reason = self._process.errorString()
            self._end(never_ran(f"The worker could not be started ({reason}); install Slicer again."))

    def _finished(self, exit_code: int, status: Any) -> None:
        if self._over:
            return
        self._read_errors()
        self._read()
        self._tell(self._lines.close())
        crashed = status == qt.QProcess.CrashExit
        if self._done_at is not None and self._killed_at is not None and self._cancelled_at is None:
            text = f"{self._errors}\nThe worker did not leave after it was done, and was ended."
            self._end(Ending(exit_code=0, crashed=False, text=text))
        else:
            self._end(Ending(exit_code, crashed, self._errors))

    def _tick(self) -> None:
        now = time.monotonic()
        if self._killed_at is not None:
            self._insist(now - self._killed_at)
        elif _since(self._cancelled_at, now) >= _ASKED_S or _since(self._done_at, now) > _LEAVING_S:
            self._kill()
        elif now - self._last_word > self._quiet_s:
            self._last_word = now
            self._told(Event("quiet", {"minutes": round(self._quiet_s / 60.0, 2)}))

    def _insist(self, seconds: float) -> None:
        if seconds > _KILLED_S:
            self._process.kill()
        if seconds > _GIVEN_UP_S:
            self._end(never_ran("The worker cannot be ended; restart Slicer."), stuck=True)

    def _kill(self) -> None:
        """The worker and every child of it; the launcher falls with its child, or at a later tick."""
        self._killed_at = self._killed_at or time.monotonic()
        if os.name == "nt":
            for pid in filter(None, (int(self._process.processId()), self._pid)):
                with suppress(OSError):
                    subprocess.Popen(["taskkill", "/T", "/F", "/PID", str(pid)], creationflags=_no_window())
        elif self._group is not None:
            _kill_group(self._group)
        else:  # it has not said who it is: what this leaves behind the launcher ends at its first word, for nobody listens
            self._process.kill()

    def _end(self, ending: Ending, *, stuck: bool = False) -> None:
        """`stuck`: the process lives on, and deleting it would wait for it."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.stop()
            self._timer.deleteLater()
        if self._process is not None and not stuck:
            self._process.deleteLater()  # not now: this may be a slot of it
        if self._group is not None:
            _kill_group(self._group)  # children that outlive the worker
        if self._stop is not None:
            shutil.rmtree(self._stop.parent, ignore_errors=True)
        _ALIVE.discard(self)
        self._ended(ending)


def worker_program() -> list[str]:
    """Slicer's Python with the core as its command; empty when there is none."""
    python = shutil.which("PythonSlicer") or _beside_slicer() or sys.executable or ""
    return [python, "-m", "liverseg_core"] if "python" in Path(python).name.lower() else []  # never Slicer once more


def worker_environment() -> Any:
    """What Slicer itself was started with, and the core: nothing of Slicer's own search path."""
    import slicer

    app = getattr(slicer, "app", None)
    environment = app.startupEnvironment() if app is not None else qt.QProcessEnvironment.systemEnvironment()
    for name in ("PYTHONHOME", "PYTHONSTARTUP"):
        environment.remove(name)
    environment.insert("PYTHONPATH", str(MODULE_FOLDER))
    environment.insert("PYTHONNOUSERSITE", "1")
    return environment


def _beside_slicer() -> str:
    import slicer

    app = getattr(slicer, "app", None)
    folder = Path(app.slicerHome) / "bin" if app is not None else None
    names = ("PythonSlicer.exe", "PythonSlicer")
    return next((str(folder / name) for name in names if (folder / name).is_file()), "") if folder is not None else ""


def _bytes(array: Any) -> bytes:
    """Of a QByteArray: PythonQt hands out bytes, older ones text or None for an empty one."""
    data = array.data()
    return data if isinstance(data, bytes) else str(data or "").encode("utf-8", "replace")


def _touched(path: Path) -> bool:
    try:
        path.touch()
    except OSError:  # a full disk
        return False
    return True


def _since(moment: float | None, now: float) -> float:
    return 0.0 if moment is None else now - moment


def _own_group(pid: int | None) -> int | None:
    """The group that the worker leads; None where it leads none, or is gone: Slicer's own must never be killed."""
    if os.name == "nt" or pid is None:
        return None
    try:
        return pid if os.getpgid(pid) == pid != os.getpgrp() else None
    except OSError:
        return None


def _kill_group(group: int) -> None:
    if os.name != "nt":
        with suppress(OSError):  # nobody is left in it
            os.killpg(group, signal.SIGKILL)


def _no_window() -> int:
    return int(getattr(subprocess, "CREATE_NO_WINDOW", 0))
