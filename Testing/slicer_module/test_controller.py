"""What happens when a button is pressed, with a fake worker: every state, every late, double or missing word."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from LiverSegLib.controller import Controller, Ending, Task, UserError
from LiverSegLib.events import Event
from LiverSegLib.progress import SHARES, Progress
from LiverSegLib.state import State, Status

GOOD = Ending(0, crashed=False, text="")


class FakeJob:
    def __init__(self) -> None:
        self.cancels = 0
        self.arguments: Sequence[str] = ()

    def start(self, arguments: Sequence[str], told: Callable[[Event], None], ended: Callable[[Ending], None]) -> None:
        self.arguments, self.told, self.ended = arguments, told, ended

    def cancel(self) -> None:
        self.cancels += 1

    def tell(self, event: str, /, **facts: Any) -> None:
        self.told(Event(event, facts))


class Bench:
    """A controller with everything it touches; the task writes `scan` and expects `out/result`."""

    def __init__(self) -> None:
        self.drawn: list[State] = []
        self.jobs: list[FakeJob] = []
        self.folders: list[Path] = []
        self.finished: list[Path] = []
        self.in_prepare: Callable[[], Any] = lambda: None
        self.in_finish: Callable[[], Any] = lambda: None
        self.controller = Controller(self.drawn.append, self._job)

    def task(self, **more: Any) -> Task:
        return Task("segment", self._prepare, self._finish, ("out/result",), **more)

    def started(self, **more: Any) -> FakeJob:
        assert self.controller.start(self.task(**more))
        return self.jobs[-1]

    def wrote(self, content: bytes = b"voxels") -> None:
        (self.folders[-1] / "out").mkdir()
        (self.folders[-1] / "out" / "result").write_bytes(content)

    @property
    def state(self) -> State:
        return self.controller.state

    def over(self, status: Status, *words: str) -> None:
        """The run has ended like this, said so, left nothing, and another may start."""
        assert self.state.status is status, self.state.message
        assert self.drawn[-1] == self.state
        assert all(word in self.state.message for word in words), self.state.message
        assert self.state.can_start
        assert not any(folder.exists() for folder in self.folders)
        assert self.state.eta_s is None

    def _job(self) -> FakeJob:
        self.jobs.append(FakeJob())
        return self.jobs[-1]

    def _prepare(self, folder: Path) -> list[str]:
        self.folders.append(folder)
        (folder / "scan").write_bytes(b"scan")
        self.in_prepare()
        return ["segment", str(folder / "scan"), "--quality", "standard"]

    def _finish(self, folder: Path) -> str:
        self.finished.append(folder)
        self.in_finish()
        return f"Liver {(folder / 'out' / 'result').read_text()}"


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.controller.drop("The test is over.")
    assert not any(folder.exists() for folder in bench.folders)


def test_a_run_goes_from_idle_to_done(bench: Bench) -> None:
    assert bench.state == State()
    job = bench.started()
    job.tell("started", pid=4711)
    job.tell("stage", name="reading")
    job.tell("progress", name="inference", done=1, total=2)
    job.tell("warning", code="islands", text="Two pieces.")
    job.tell("text", text="Liver 1581 ml")
    job.tell("done", out="x")
    assert bench.state.status is Status.RUNNING  # `done` is a word; the end of the process is the end
    bench.wrote()
    job.ended(GOOD)
    bench.over(Status.DONE, "Liver voxels")
    seen = list(dict.fromkeys(state.status for state in bench.drawn))
    assert seen == [Status.PREPARING, Status.RUNNING, Status.FINISHING, Status.DONE]
    assert bench.state.warnings == (("islands", "Two pieces."),)
    assert bench.state.percent == 100.0
    assert len(bench.finished) == 1


ENDINGS: list[tuple[Ending, str, Status, str]] = [
    (Ending(2, crashed=False, text=""), "The scan is 2-D.", Status.FAILED, "The scan is 2-D."),
    (Ending(2, crashed=False, text=""), "", Status.FAILED, "refused its input"),
    (Ending(3, crashed=False, text=""), "", Status.FAILED, "model"),
    (Ending(4, crashed=False, text=""), "", Status.FAILED, "not enough memory"),
    (Ending(6, crashed=False, text=""), "", Status.FAILED, "disk may be full"),
    (Ending(5, crashed=False, text=""), "", Status.CANCELLED, "stopped from outside"),
    (Ending(5, crashed=False, text=""), "cancelled by a signal", Status.CANCELLED, "by a signal"),
    (Ending(9, crashed=True, text=""), "", Status.FAILED, "memory ran out"),
    (Ending(137, crashed=False, text="Killed"), "", Status.FAILED, "memory ran out"),
    (Ending(11, crashed=True, text="Segmentation fault"), "", Status.FAILED, "exit code 11"),
    (Ending(0, crashed=True, text=""), "", Status.FAILED, "exit code 0"),
    (Ending(5, crashed=True, text=""), "", Status.FAILED, "exit code 5"),
    (Ending(None, crashed=False, text="PythonSlicer was not found."), "", Status.FAILED, "PythonSlicer was not found"),
    (Ending(None, crashed=True, text=""), "", Status.FAILED, "could not be started"),
    (GOOD, "", Status.FAILED, "wrote no out/result"),
]


@pytest.mark.parametrize(("ending", "error", "status", "words"), ENDINGS, ids=lambda value: str(value)[:50])
def test_every_bad_end_is_a_sentence(bench: Bench, ending: Ending, error: str, status: Status, words: str) -> None:
    job = bench.started()
    if error:
        job.tell("error", kind="input", text=error)
    job.ended(ending)
    bench.over(status, words)
    assert bench.finished == []
    if ending.text and ending.exit_code is not None:
        assert ending.text in bench.controller.report()


def test_an_empty_result_is_no_result(bench: Bench) -> None:
    job = bench.started()
    bench.wrote(b"")
    job.ended(GOOD)
    bench.over(Status.FAILED, "wrote no out/result")


# every state in which a word can come too late or twice -> how to get there
MOMENTS: dict[str, Callable[[Bench], None]] = {
    "done": lambda b: (b.wrote(), b.jobs[0].ended(GOOD)),
    "failed": lambda b: b.jobs[0].ended(Ending(2, crashed=False, text="")),
    "cancelled": lambda b: (b.controller.cancel(), b.jobs[0].ended(Ending(5, crashed=False, text=""))),
    "dropped": lambda b: b.controller.drop("The scene was closed."),
    "another runs": lambda b: (b.controller.drop("The scene was closed."), b.started()),
    "another is cancelling": lambda b: (b.controller.drop("Closed."), b.started(), b.controller.cancel()),
    "another is done": lambda b: (b.controller.drop("Closed."), b.started(), b.wrote(), b.jobs[1].ended(GOOD)),
}  # fmt: skip
LATE: dict[str, Callable[[FakeJob], None]] = {
    "a stage": lambda j: j.tell("stage", name="reporting"),
    "progress": lambda j: j.tell("progress", name="inference", done=1, total=1),
    "a warning": lambda j: j.tell("warning", code="islands", text="Two."),
    "an error": lambda j: j.tell("error", kind="input", text="No."),
    "done": lambda j: j.tell("done", out=""),
    "silence": lambda j: j.tell("quiet", minutes=3.0),
    "a good end": lambda j: j.ended(GOOD),
    "a bad end": lambda j: j.ended(Ending(1, crashed=True, text="x")),
}


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_late_or_double_word_changes_nothing(bench: Bench, moment: str, late: str) -> None:
    heard: list[Event] = []
    bench.started(heard=heard.append)
    MOMENTS[moment](bench)
    state, drawn, finished, told = bench.state, len(bench.drawn), len(bench.finished), len(heard)
    LATE[late](bench.jobs[0])
    assert bench.state == state
    assert (len(bench.drawn), len(bench.finished), len(heard)) == (drawn, finished, told)
    assert not bench.folders[0].exists()


def test_a_run_without_a_word_is_still_a_run(bench: Bench) -> None:
    job = bench.started()
    bench.wrote()
    job.ended(GOOD)
    bench.over(Status.DONE)


def test_two_clicks_start_one_run(bench: Bench) -> None:
    job = bench.started()
    assert not bench.controller.start(bench.task())
    assert "not over yet" in bench.state.message
    assert bench.state.status is Status.RUNNING
    assert len(bench.jobs) == len(bench.folders) == 1
    bench.wrote()
    job.ended(GOOD)
    bench.over(Status.DONE)
    bench.started()
    assert len(bench.jobs) == 2


@pytest.mark.parametrize("busy", ["in_prepare", "in_finish"])
def test_a_click_while_files_are_written_or_read_starts_nothing(bench: Bench, busy: str) -> None:
    answers: list[bool] = []
    setattr(bench, busy, lambda: answers.append(bench.controller.start(bench.task())))
    job = bench.started()
    bench.wrote()
    job.ended(GOOD)
    assert answers == [False]
    bench.over(Status.DONE)


def test_cancel_waits_for_the_process_and_a_second_one_insists(bench: Bench) -> None:
    job = bench.started()
    bench.controller.cancel()
    assert (bench.state.status, job.cancels) == (Status.CANCELLING, 1)
    assert not bench.state.can_start
    job.tell("stage", name="reporting")
    assert bench.state.message == "Cancelling"
    bench.controller.cancel()
    assert job.cancels == 2
    bench.wrote()
    job.ended(GOOD)  # it was done before it heard; cancelled is cancelled
    bench.over(Status.CANCELLED)
    assert bench.finished == []


def test_cancel_while_the_inputs_are_written_starts_no_worker(bench: Bench) -> None:
    bench.in_prepare = bench.controller.cancel
    assert bench.controller.start(bench.task())
    bench.over(Status.CANCELLED)
    assert bench.jobs == []


def test_cancel_comes_too_late_while_the_result_is_read_and_is_nothing_before(bench: Bench) -> None:
    bench.controller.cancel()
    assert bench.drawn == []
    bench.in_finish = bench.controller.cancel
    job = bench.started()
    bench.wrote()
    job.ended(GOOD)
    bench.over(Status.DONE)
    assert job.cancels == 0
    bench.controller.cancel()
    bench.over(Status.DONE)


@pytest.mark.parametrize("at", [Status.PREPARING, Status.RUNNING])
@pytest.mark.parametrize("act", ["cancel", "drop"])
def test_a_click_that_comes_through_while_the_panel_draws(bench: Bench, at: Status, act: str) -> None:
    def draw(state: State) -> None:
        bench.drawn.append(state)
        if state.status is at:
            bench.controller.cancel() if act == "cancel" else bench.controller.drop("Closed.")

    bench.controller._draw = draw
    bench.controller.start(bench.task())
    bench.over(Status.CANCELLED)
    assert bench.jobs == []


@pytest.mark.parametrize("when", ["prepare", "running", "cancelling", "finish", "idle"])
def test_drop_kills_and_forgets_at_any_time(bench: Bench, when: str) -> None:
    def drop() -> None:
        bench.controller.drop("The volume was deleted.")

    if when == "prepare":
        bench.in_prepare = drop
    if when == "finish":
        bench.in_finish = drop
    if when == "idle":
        drop()
        assert bench.drawn == []
        return
    bench.controller.start(bench.task())
    if when == "cancelling":
        bench.controller.cancel()
    if when in ("running", "cancelling"):
        drop()
        assert bench.jobs[0].cancels >= 2  # killed, not asked
    if when == "finish":
        bench.wrote()
        bench.jobs[0].ended(GOOD)
    bench.over(Status.CANCELLED, "The volume was deleted.")
    assert len(bench.jobs) == (0 if when == "prepare" else 1)


FULL = OSError(errno.ENOSPC, "No space left on device", "/tmp/scan.nrrd")


@pytest.mark.parametrize("where", ["in_prepare", "in_finish"])
@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (UserError("No volume is chosen."), ("No volume is chosen.",)),
        (FULL, ("No space left on device", "/tmp/scan.nrrd")),
        (KeyError("liver"), ("LiverSeg itself failed", "KeyError")),
        (MemoryError(), ("LiverSeg itself failed", "MemoryError")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_a_task_raises_is_a_sentence(bench: Bench, where: str, problem: Exception, words: Sequence[str]) -> None:
    def raise_it() -> None:
        raise problem

    setattr(bench, where, raise_it)
    bench.controller.start(bench.task())
    if where == "in_finish":
        bench.wrote()
        bench.jobs[0].ended(GOOD)
    bench.over(Status.FAILED, *words)
    assert ("Traceback" in bench.controller.report()) is not isinstance(problem, UserError)


def test_a_worker_whose_listener_fails_is_killed(bench: Bench) -> None:
    def heard(_: Event) -> None:
        raise RuntimeError("listener")

    job = bench.started(heard=heard)
    job.tell("text", text="x")
    bench.over(Status.FAILED, "LiverSeg itself failed")
    assert job.cancels == 2


def test_a_job_that_cannot_even_start_is_a_sentence(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(self: FakeJob, arguments: Sequence[str], told: Any, ended: Callable[[Ending], None]) -> None:
        ended(Ending(None, crashed=False, text="PythonSlicer was not found."))

    monkeypatch.setattr(FakeJob, "start", at_once)
    bench.started()
    bench.over(Status.FAILED, "PythonSlicer was not found.")

    def broken(self: FakeJob, *_: Any) -> None:
        raise ValueError("no Qt")

    monkeypatch.setattr(FakeJob, "start", broken)
    bench.started()
    bench.over(Status.FAILED, "LiverSeg itself failed", "no Qt")
    monkeypatch.setattr(bench.controller, "_new_job", lambda: int("no job"))
    bench.controller.start(bench.task())
    bench.over(Status.FAILED, "LiverSeg itself failed", "ValueError")


def test_no_temporary_folder_is_a_sentence(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: Any) -> str:
        raise FULL

    monkeypatch.setattr("LiverSegLib.controller.tempfile.mkdtemp", full)
    assert bench.controller.start(bench.task())
    bench.over(Status.FAILED, "No space left on device")
    assert bench.folders == []


def test_silence_is_told_and_nothing_is_killed(bench: Bench) -> None:
    job = bench.started()
    job.tell("quiet", minutes=3.0)
    assert "No word from the worker for 3 minutes" in bench.state.message
    assert (bench.state.status, job.cancels) == (Status.RUNNING, 0)
    job.tell("stage", name="reporting")
    assert "No word" not in bench.state.message


def test_a_file_may_be_gone_before_the_run(bench: Bench) -> None:
    job = bench.started()
    for file in bench.folders[0].iterdir():
        file.unlink()
    bench.folders[0].rmdir()
    job.ended(GOOD)
    bench.over(Status.FAILED, "wrote no out/result")


def test_the_report_tells_the_whole_story(bench: Bench) -> None:
    job = bench.started()
    job.tell("started", pid=4711)
    job.tell("rubbish", text="Fontconfig error")
    job.ended(Ending(1, crashed=False, text="error: \nsecond line"))
    report = bench.controller.report()
    for words in ("LiverSeg: 0.1", "Python: 3", "system: ", "segment: failed", "command: liverseg segment",
                  "--quality standard", "process 4711", "not understood: Fontconfig error", "exit code 1",
                  "second line"):  # fmt: skip
        assert words in report
    stamped = [line for line in bench.state.log if line[2] == line[5] == ":"]
    assert len(stamped) == len(bench.state.log) > 5


def test_the_log_is_bounded(bench: Bench) -> None:
    job = bench.started()
    for n in range(3000):
        job.tell("text", text=f"line {n}")
    assert len(bench.state.log) == 2000
    assert bench.state.log[-1].endswith("line 2999")


SPOKEN: dict[str, list[tuple[str, float, float]]] = {  # (stage, done, total); a total of 0: the stage alone
    "two passes, as the default model speaks": [
        ("reading", 0, 0), ("preparation", 0, 0), ("inference", 0, 0), ("inference", 1, 1), ("restoration", 0, 0),
        ("inference", 1, 12), ("inference", 12, 12), ("measurements", 0, 0), ("reporting", 0, 0),
    ],
    "one window a pass": [
        ("reading", 0, 0), ("inference", 1, 1), ("restoration", 0, 0), ("inference", 1, 1), ("measurements", 0, 0),
        ("reporting", 0, 0),
    ],
    "more passes than two": [("inference", 1, 2), ("inference", 1, 2), ("inference", 1, 2), ("inference", 2, 2)],
    "out of order": [("reporting", 0, 0), ("inference", 1, 3), ("reading", 0, 0), ("magic", 3, 4)],
}  # fmt: skip


@pytest.mark.parametrize("spoken", SPOKEN)
def test_the_bar_never_goes_back_and_never_beyond_the_end(bench: Bench, spoken: str) -> None:
    job = bench.started()
    for name, done, total in SPOKEN[spoken]:
        if total:
            job.tell("progress", name=name, done=done, total=total)
        else:
            job.tell("stage", name=name)
    seen = [state.percent for state in bench.drawn if state.percent is not None]
    assert seen == sorted(seen)
    assert 0 <= seen[0] <= seen[-1] <= 100.0
    left = [state.eta_s for state in bench.drawn if state.eta_s is not None]
    assert all(eta_s >= 0 for eta_s in left)


def test_the_bar_knows_the_rooms() -> None:
    progress = Progress("segment")
    assert progress.fraction is None
    progress.stage("inference")
    assert progress.fraction == pytest.approx(0.45)
    progress.progress("inference", 1, 1)
    progress.stage("restoration")  # the fine pass is still to come: the bar waits for it
    assert progress.fraction == pytest.approx(0.45 + 0.06 * 0.41)
    progress.progress("inference", 1, 2)
    assert progress.fraction == pytest.approx(0.45 + 0.22 * 0.41)
    progress.stage("measurements")
    assert progress.fraction == pytest.approx(0.86)
    progress.stage("reporting")
    assert progress.fraction == pytest.approx(0.97)
    assert progress.eta_s(9.7) == pytest.approx(0.3)
    small = Progress("segment")
    small.progress("inference", 1, 1)
    small.progress("inference", 1, 1)  # one window in each pass: the same words twice
    assert small.fraction == pytest.approx(0.45 + 0.38 * 0.41)
    fast = Progress("segment", ["segment", "scan", "--quality", "fast"])
    fast.progress("inference", 1, 1)
    assert fast.fraction == pytest.approx(0.45 + 0.48 * 0.41)
    assert all(sum(share for _, share in shares) == pytest.approx(1.0) for shares in SHARES.values())


def test_no_time_is_guessed_from_nothing_and_other_commands_count_what_they_tell() -> None:
    progress = Progress("cohort")
    progress.stage("table")
    assert progress.eta_s(5.0) is None
    progress.progress("cases", 5, 10)
    assert progress.fraction == pytest.approx(0.5)
    assert progress.eta_s(5.0) == pytest.approx(5.0)
    unknown = Progress("models")
    unknown.stage("reading")
    assert unknown.fraction is None
    unknown.progress("import", 1, 4)
    assert unknown.fraction == pytest.approx(0.25)
