"""What happens when a button is pressed: prepare, run elsewhere, finish. Plain Python: no Qt, no MRML.

One Controller a lane of the panel. It hands every State to `draw`; each run ends in exactly one of DONE, FAILED, CANCELLED,
and its temporary folder goes with it. Callbacks of a run that is over change nothing.
"""

from __future__ import annotations

import platform
import shlex
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from liverseg_core import __version__

from .endings import Ending, no_room, sentence
from .events import Event
from .progress import Progress, doing, stage_text
from .state import State, Status

__all__ = ["Controller", "Ending", "Job", "Task", "UserError", "versions"]

_LONGEST_LOG = 2000


class UserError(Exception):
    """One sentence for the panel: what came, what was expected, what to do."""


class Job(Protocol):
    """A worker process. `ended` is called once, unless the job is forgotten; `told` may come late."""

    def start(
        self, arguments: Sequence[str], told: Callable[[Event], None], ended: Callable[[Ending], None]
    ) -> None: ...

    def cancel(self) -> None:
        """The first call asks the worker to stop and kills it when it does not; a second kills at once."""


@dataclass(frozen=True)
class Task:
    """`prepare` writes inputs into a fresh folder and returns the worker's arguments; `finish` reads what lies there and
    returns the closing sentence; `expects` are files that must be there by then; `heard` is shown every event."""

    verb: str
    prepare: Callable[[Path], Sequence[str]]
    finish: Callable[[Path], str]
    expects: tuple[str, ...] = ()
    heard: Callable[[Event], None] | None = None


@dataclass(eq=False)
class _Run:
    task: Task
    folder: Path
    began: float = field(default_factory=time.monotonic)
    progress: Progress = field(default_factory=Progress)
    job: Job | None = None
    error: str = ""
    over: bool = False  # the worker has ended


def versions() -> dict[str, str]:
    return {"LiverSeg": __version__, "Python": platform.python_version(), "system": platform.platform()}


class Controller:
    def __init__(
        self,
        draw: Callable[[State], None],
        new_job: Callable[[], Job],
        *,
        facts: Callable[[], Mapping[str, str]] = versions,
    ) -> None:
        """`facts` stand on top of a report."""
        self.state = State()
        self._draw = draw
        self._new_job = new_job
        self._facts = facts
        self._run: _Run | None = None

    def start(self, task: Task) -> bool:
        """False, with a sentence, while something runs."""
        if self.state.busy:
            self._become(message=f"{doing(self.state.verb)} is not over yet; wait, or press Cancel first.")
            return False
        self.state = State(verb=task.verb)
        try:
            folder = Path(tempfile.mkdtemp(prefix="liverseg-"))
        except OSError as problem:
            self._settle(Status.FAILED, no_room(problem))
            return True
        run = self._run = _Run(task, folder)
        self._note(doing(task.verb))
        self._become(status=Status.PREPARING, message=f"{doing(task.verb)}: preparing")
        arguments = self._guarded(run, lambda: task.prepare(folder)) if self._goes_on(run) else None
        if self._still_wanted(run):
            self._launch(run, [str(word) for word in arguments or ()])
        return True

    def cancel(self) -> None:
        """Nothing while nothing runs; pressed a second time it kills at once."""
        run = self._run
        if run is None or not self.state.can_cancel:
            return
        if self.state.status is not Status.CANCELLING:
            self._note("Cancel was pressed")
            self._become(status=Status.CANCELLING, eta_s=None, message="Cancelling")
        if run.job is not None:
            run.job.cancel()

    def drop(self, reason: str) -> None:
        """The scene was closed, the volume deleted, the module reloaded: kill, forget, read nothing."""
        run, self._run = self._run, None
        if run is None:
            return
        if run.job is not None and not run.over:
            run.job.cancel()
            run.job.cancel()
        shutil.rmtree(run.folder, ignore_errors=True)
        self._settle(Status.CANCELLED, reason)

    def report(self) -> str:
        """The log with versions, as text that can be sent to whoever helps."""
        state = self.state
        facts = [f"{name}: {value}" for name, value in self._facts().items()]
        ending = f"{state.verb or 'nothing'}: {state.status.name.lower()}: {state.message}"
        return "\n".join(["LiverSeg report", *facts, ending, "", *state.log, ""])

    def _launch(self, run: _Run, arguments: list[str]) -> None:
        run.progress = Progress(run.task.verb, arguments)
        self._note(f"command: liverseg {shlex.join(arguments)}")
        run.began = time.monotonic()
        self._become(status=Status.RUNNING, message=doing(run.task.verb))

        def start() -> None:
            run.job = self._new_job()
            run.job.start(arguments, lambda event: self._told(run, event), lambda ending: self._ended(run, ending))

        if self._still_wanted(run):
            self._guarded(run, start)

    def _still_wanted(self, run: _Run) -> bool:
        """False when it was dropped, or cancelled before its worker began: whoever prepares or draws may let clicks through."""
        if self._goes_on(run) and self.state.status is Status.CANCELLING:
            self._end(run, Status.CANCELLED, "Cancelled.")
        return self._goes_on(run)

    def _told(self, run: _Run, event: Event) -> None:
        if self._run is not run or run.over or self.state.status not in (Status.RUNNING, Status.CANCELLING):
            return
        facts, heard = event.facts, run.task.heard
        if heard is not None:
            self._guarded(run, lambda: heard(event))
        if not self._goes_on(run):
            return
        if event.name == "stage":
            self._note(stage_text(facts["name"]))
            run.progress.stage(facts["name"])
            self._moved(run, facts["name"])
        elif event.name == "progress":
            run.progress.progress(facts["name"], facts["done"], facts["total"])
            self._moved(run, facts["name"])
        elif event.name == "warning":
            self._note(f"warning: {facts['text']} [{facts['code']}]")
            self._become(warnings=(*self.state.warnings, (facts["code"], facts["text"])))
        elif event.name == "error":
            run.error = facts["text"]
            self._note(f"error: {facts['text']} [{facts['kind']}]")
        else:
            self._other(event)

    def _other(self, event: Event) -> None:
        """What only the log knows, and the silence of a worker, which the job itself tells."""
        if event.name == "quiet":
            text = f"No word from the worker for {event.facts['minutes']:g} minutes: it may hang. Cancel ends it."
            self._note(text)
            if self.state.status is Status.RUNNING:
                self._become(message=text)
        elif event.name == "started":
            self._note(f"the worker is process {event.facts['pid']}")
        elif event.name == "text":
            self._note(event.facts["text"])
        elif event.name == "rubbish":
            self._note(f"not understood: {event.facts['text']}")

    def _moved(self, run: _Run, name: str) -> None:
        if self.state.status is Status.CANCELLING:
            return
        fraction = run.progress.fraction
        percent = None if fraction is None else round(100.0 * fraction, 1)
        changes = {"percent": percent, "stage": name, "message": stage_text(name)}
        if any(getattr(self.state, key) != value for key, value in changes.items()):  # a flood of words is not drawn
            self._become(eta_s=run.progress.eta_s(time.monotonic() - run.began), **changes)

    def _ended(self, run: _Run, ending: Ending) -> None:
        if self._run is not run or run.over:  # dropped, or told twice: nothing but the folder may be left to remove
            if self._run is not run:
                shutil.rmtree(run.folder, ignore_errors=True)
            return
        run.over = True
        self._note_ending(ending)
        if self.state.status is Status.CANCELLING:
            self._end(run, Status.CANCELLED, "Cancelled.")
        elif ending.exit_code == 5 and not ending.crashed:
            self._end(run, Status.CANCELLED, run.error or "The worker was stopped from outside.")
        elif ending.exit_code == 0 and not ending.crashed:
            self._finish(run)
        else:
            self._end(run, Status.FAILED, run.error or sentence(ending))

    def _finish(self, run: _Run) -> None:
        lacking = [name for name in run.task.expects if not _filled(run.folder / name)]
        if lacking:
            self._end(
                run, Status.FAILED, f"The worker said that it was done, but wrote no {lacking[0]}; please report it."
            )
            return
        self._become(status=Status.FINISHING, eta_s=None, message="Reading the result")
        if not self._goes_on(run):
            return
        sentence = self._guarded(run, lambda: run.task.finish(run.folder))
        if self._goes_on(run):
            self._end(run, Status.DONE, sentence or "Done.")

    def _goes_on(self, run: _Run) -> bool:
        return self._run is run

    def _guarded(self, run: _Run, act: Callable[[], Any]) -> Any:
        """What `act` returns; when it raises, the run has failed in words, unless it was dropped meanwhile."""
        try:
            return act()
        except Exception as problem:
            if self._goes_on(run):
                self._fail(run, problem, traceback.format_exc())
        return None

    def _fail(self, run: _Run, problem: Exception, trace: str) -> None:
        if isinstance(problem, UserError):
            text = str(problem)
        elif isinstance(problem, OSError):
            text = no_room(problem)
        else:
            text = f"LiverSeg itself failed: {type(problem).__name__}: {problem}. Copy the log and report it."
        if not isinstance(problem, UserError):
            self._note(trace)
        if run.job is not None and not run.over:
            run.job.cancel()
            run.job.cancel()
        self._end(run, Status.FAILED, text)

    def _end(self, run: _Run, status: Status, message: str) -> None:
        self._run = None
        shutil.rmtree(run.folder, ignore_errors=True)
        self._settle(status, message)

    def _settle(self, status: Status, message: str) -> None:
        self._note(message)
        percent = 100.0 if status is Status.DONE else None
        self._become(status=status, message=message, stage="", percent=percent, eta_s=None)

    def _note_ending(self, ending: Ending) -> None:
        how = "died" if ending.crashed else "ended"
        if ending.exit_code is not None:
            self._note(f"the worker {how} with exit code {ending.exit_code}")
        if ending.text.strip():
            self._note(ending.text.strip())

    def _note(self, text: str) -> None:
        """Into the log, with the time; drawn with the next change."""
        stamp = time.strftime("%H:%M:%S")
        lines = (f"{stamp} {line}" for line in text.splitlines())
        self.state = replace(self.state, log=(*self.state.log, *lines)[-_LONGEST_LOG:])

    def _become(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self._draw(self.state)


def _filled(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and path.stat().st_size > 0)
