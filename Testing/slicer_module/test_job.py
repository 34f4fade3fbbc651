"""The worker as a real process, under the Qt of the tests: how it is read, watched, and ended with every child."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from LiverSegLib.controller import Controller, Ending, Task
from LiverSegLib.events import Event
from LiverSegLib.state import Status

posix = pytest.mark.skipif(os.name == "nt", reason="process groups of POSIX")

WORKER = r'''
import json, os, pathlib, signal, subprocess, sys, time

def tell(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)

def started():
    if os.name != "nt":
        os.setsid()
    tell("started", pid=os.getpid(), protocol=1)

def child():
    """A grandchild of Slicer that hears no polite word."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    tell("text", text=f"child {process.pid}")

def forever():
    while True:
        time.sleep(0.05)

def obedient():
    stop = pathlib.Path(sys.argv[sys.argv.index("--stop-file") + 1])
    while not stop.exists():
        time.sleep(0.05)
    tell("error", kind="cancelled", text="cancelled: the stop file appeared")
    os._exit(5)

kind = sys.argv[1]
'''
KINDS = {
    "good": "started(); tell('stage', name='reading'); tell('done', out='x', seconds=1.0)",
    "no started": "tell('stage', name='reading')",
    "dies": "started(); os.kill(os.getpid(), signal.SIGKILL)",
    "refuses": "started(); tell('error', kind='output', text='The disk is full.'); print('error: full', file=sys.stderr); sys.exit(6)",
    "rubbish": (
        "sys.stdout.buffer.write(b'\\x00\\xff\\xfe\\n' + b'x' * 3_000_000 + b'\\n{\"event\": \"magic\"}\\n[1]\\n');"
        "started(); tell('stage', name='reading'); sys.stdout.write('{\"event\": \"done\", \"ou'); sys.stdout.flush();"
        "time.sleep(0.3); sys.stdout.write('t\": \"late\"}')"
    ),
    "two starts": "started(); tell('started', pid=os.getppid(), protocol=1); tell('done', out='')",
    "talks on stderr": "started(); sys.stderr.write('y' * 100_000 + 'last words'); sys.exit(1)",
    "hangs": "started(); child(); forever()",
    "hangs in silence": "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('half a li', end='', flush=True); forever()",
    "obeys": "started(); child(); obedient()",
    "will not leave": "started(); child(); tell('done', out='x'); forever()",
    "leaves a child": "started(); child(); tell('done', out='x')",
    "starts late": "time.sleep(1.0); started(); forever()",
    "environment": "tell('text', text=json.dumps({k: v for k, v in os.environ.items() if k.startswith('PYTHON')}))",
    "arguments": "tell('text', text=json.dumps(sys.argv[1:]))",
}  # fmt: skip


@pytest.fixture
def jobs(desk: Any) -> Any:
    """The module under test, which needs Qt."""
    from LiverSegLib import job

    yield job
    assert not job._ALIVE


# PythonSlicer is a launcher: it waits for a child, which is the worker, and ends with its exit code
LAUNCHER = '"$0" "$@" & echo $! > "$PID_FILE"; wait $!'


class Seen:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.endings: list[Ending] = []

    def texts(self, name: str) -> list[str]:
        return [event.facts["text"] for event in self.events if event.name == name]

    def child(self) -> int:
        return int(self.texts("text")[0].split()[1])


@pytest.fixture
def run(jobs: Any, tmp_path: Path) -> Callable[..., tuple[Any, Seen]]:
    """run("hangs") -> the job, which runs, and what is seen of it. `segment` is a command that knows a stop file."""

    def start(kind: str, *arguments: str, quiet_s: float = 60.0, launched: bool = False) -> tuple[Any, Seen]:
        script = tmp_path / "a wörker.py"
        script.write_text(f"{WORKER}\n{KINDS[kind]}\n", encoding="utf-8")
        seen = Seen()
        launcher = ["/bin/sh", "-c", LAUNCHER] if launched else []
        job = jobs.WorkerJob(program=[*launcher, sys.executable, str(script)], quiet_s=quiet_s)
        job.start(arguments or ("segment",), seen.events.append, seen.endings.append)
        return job, seen

    return start


def until(true: Callable[[], Any], longest_s: float = 30.0) -> float:
    """Let Qt work until it is true; how long that took in seconds."""
    import slicer

    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < longest_s, "waited in vain"
        slicer.app.processEvents()
        time.sleep(0.005)
    return time.monotonic() - began


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("kind", "exit_code", "crashed", "names"),
    [
        ("good", 0, False, ["started", "stage", "done"]),
        ("no started", 0, False, ["stage"]),
        pytest.param("dies", 9, True, ["started"], marks=posix),
        ("refuses", 6, False, ["started", "error"]),
        ("rubbish", 0, False, ["started", "stage", "done"]),
        ("two starts", 0, False, ["started", "started", "done"]),
        ("talks on stderr", 1, False, ["started"]),
    ],
)
def test_however_it_ends_it_ends_once(run: Any, kind: str, exit_code: int, crashed: bool, names: list[str]) -> None:
    job, seen = run(kind)
    until(lambda: seen.endings)
    until(lambda: True)
    assert [(ending.exit_code, ending.crashed) for ending in seen.endings] == [(exit_code, crashed)]
    assert [event.name for event in seen.events if event.name != "rubbish"] == names
    if kind == "rubbish":
        assert len(seen.texts("rubbish")) == 4
    if kind == "two starts":
        assert job._pid == seen.events[0].facts["pid"]  # the first word counts: only that group may be killed
    if kind == "talks on stderr":
        assert seen.endings[0].text.endswith("last words")
        assert len(seen.endings[0].text) <= 4000


def test_what_cannot_be_started_is_a_sentence(jobs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen()
    jobs.WorkerJob(program=[str(tmp_path / "no python")]).start(["doctor"], seen.events.append, seen.endings.append)
    until(lambda: seen.endings)
    assert seen.endings[0].exit_code is None
    assert "could not be started" in seen.endings[0].text
    monkeypatch.setattr(jobs, "worker_program", list)
    jobs.WorkerJob().start(["doctor"], seen.events.append, seen.endings.append)
    assert "PythonSlicer was not found" in seen.endings[1].text


def test_no_room_for_the_stop_file_is_a_sentence(jobs: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: Any) -> str:
        raise OSError(28, "No space left on device", "/tmp")

    monkeypatch.setattr(jobs.tempfile, "mkdtemp", full)
    _job, seen = run("good")
    assert "No space left on device" in seen.endings[0].text


@posix
@pytest.mark.parametrize(
    ("kind", "launched", "cancels", "longest_s", "exit_code"),
    [
        ("obeys", False, 1, 1.9, 5),  # the stop file is enough; the child goes with the group
        ("obeys", True, 1, 1.9, 5),
        ("hangs", False, 1, 3.0, 9),
        ("hangs", True, 1, 3.0, 137),
        ("hangs", True, 2, 1.9, 137),  # asked twice: killed at once
    ],
)
def test_cancel_reaches_the_last_child(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, launched: bool, cancels: int,
    longest_s: float, exit_code: int,
) -> None:  # fmt: skip
    monkeypatch.setenv("PID_FILE", str(tmp_path / "pid"))
    job, seen = run(kind, launched=launched)
    until(lambda: seen.texts("text"))
    assert alive(seen.child())
    began = time.monotonic()
    for _ in range(cancels):
        job.cancel()
    assert time.monotonic() - began < 0.1  # the panel does not wait
    until(lambda: seen.endings and not alive(seen.child()))
    assert time.monotonic() - began < longest_s
    assert [ending.exit_code for ending in seen.endings] == [exit_code]
    job.cancel()  # too late for anything
    until(lambda: True)
    assert len(seen.endings) == 1


@posix
def test_a_command_without_a_stop_file_is_killed_at_once(run: Any) -> None:
    job, seen = run("hangs", "measure")
    until(lambda: seen.texts("text"))
    job.cancel()
    assert until(lambda: seen.endings and not alive(seen.child())) < 1.9


def test_a_worker_that_never_said_who_it_is_is_ended_too(run: Any) -> None:
    job, seen = run("hangs in silence")
    until(job._process.processId)
    job.cancel()
    assert until(lambda: seen.endings) < 3.5


@posix
def test_the_group_of_slicer_itself_is_never_killed(jobs: Any) -> None:
    for pid in (os.getpgrp(), os.getpid(), 2**22 + 1, None):  # its leader, this process, nobody, not said
        assert jobs._own_group(pid) is None


@posix
def test_a_worker_that_cannot_be_ended_is_given_up_once(run: Any, jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kill = jobs._kill_group
    monkeypatch.setattr(jobs, "_kill_group", lambda group: None)
    monkeypatch.setattr(jobs, "_KILLED_S", 1e9)
    monkeypatch.setattr(jobs, "_GIVEN_UP_S", 0.3)
    job, seen = run("hangs")
    until(lambda: seen.texts("text"))
    job.cancel()
    job.cancel()
    until(lambda: seen.endings)
    assert seen.endings[0].exit_code is None
    assert "restart Slicer" in seen.endings[0].text
    kill(job._group)
    until(lambda: not alive(job._pid))
    assert job._process.waitForFinished(5000)
    assert len(seen.endings) == 1


@posix
def test_a_worker_that_starts_late_behind_a_killed_launcher_ends(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pid"
    monkeypatch.setenv("PID_FILE", str(file))
    job, seen = run("starts late", launched=True)
    until(lambda: file.exists() and file.read_text())
    worker = int(file.read_text())
    assert alive(worker)
    job.cancel()
    job.cancel()
    until(lambda: seen.endings)
    assert until(lambda: not alive(worker)) < 3.0


@posix
@pytest.mark.parametrize("kind", ["will not leave", "leaves a child"])
def test_what_is_done_may_not_linger(run: Any, jobs: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_LEAVING_S", 0.5)
    _job, seen = run(kind)
    until(lambda: seen.endings and not alive(seen.child()))
    assert (seen.endings[0].exit_code, seen.endings[0].crashed) == (0, False)


def test_silence_is_told_again_and_again_but_nobody_is_killed(run: Any) -> None:
    job, seen = run("hangs in silence", quiet_s=0.6)
    assert until(lambda: sum(event.name == "quiet" for event in seen.events) == 2) > 1.1
    assert not seen.endings
    assert {event.facts["minutes"] for event in seen.events} == {0.01}
    job.cancel()
    job.cancel()
    until(lambda: seen.endings)


def test_the_worker_gets_the_core_and_nothing_of_slicer(run: Any, jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    monkeypatch.setenv("PYTHONPATH", "/opt/Slicer/lib/Python")
    monkeypatch.setenv("PYTHONSTARTUP", "/home/someone/startup.py")
    _job, seen = run("environment")
    until(lambda: seen.endings)
    told = json.loads(seen.texts("text")[0])
    assert told["PYTHONPATH"] == str(jobs.MODULE_FOLDER)
    assert "PYTHONSTARTUP" not in told
    assert (jobs.MODULE_FOLDER / "liverseg_core" / "__main__.py").is_file()


@pytest.mark.parametrize(
    ("verb", "stoppable"), [("segment", True), ("cohort", True), ("measure", False), ("doctor", False)]
)
def test_arguments_arrive_as_they_are_and_the_stop_folder_is_removed(run: Any, verb: str, stoppable: bool) -> None:
    import json

    odd = '/tmp/a b/M\u00fcller "x"/' + "y" * 250
    _job, seen = run("arguments", verb, odd, "--out=x")
    until(lambda: seen.endings)
    words = json.loads(seen.texts("text")[0])
    assert words[:4] == [verb, odd, "--out=x", "--json-lines"]
    assert (words[4:5] == ["--stop-file"]) is stoppable
    assert not stoppable or not Path(words[5]).parent.exists()


@posix
def test_a_dropped_run_ends_its_worker_and_its_folder(run: Any, jobs: Any) -> None:
    """The scene is closed or the module reloaded while a worker runs: nothing is left, and another run may follow."""
    started: list[Any] = []
    folders: list[Path] = []

    def new_job() -> Any:
        job, seen = run("hangs")
        started.append(seen)

        class Running:
            def start(self, _arguments: Any, told: Any, ended: Any) -> None:
                job._told, job._ended = told, lambda ending: (seen.endings.append(ending), ended(ending))

            cancel = job.cancel

        return Running()

    def prepare(folder: Path) -> list[str]:
        folders.append(folder)
        return ["segment"]

    controller = Controller(lambda _: None, new_job)
    for _ in range(2):
        controller.start(Task("segment", prepare, lambda _: "never"))
        seen = started[-1]
        until(lambda: controller.state.log and any("child" in line for line in controller.state.log))
        child = int(next(line for line in controller.state.log if "child" in line).split()[-1])
        controller.drop("The scene was closed.")
        assert (controller.state.status, controller.state.message) == (Status.CANCELLED, "The scene was closed.")
        assert until(lambda seen=seen, child=child: seen.endings and not alive(child)) < 1.9
        assert not any(folder.exists() for folder in folders)


def test_the_real_worker_answers(jobs: Any, tmp_path: Path) -> None:
    seen = Seen()
    jobs.WorkerJob().start(["phases"], seen.events.append, seen.endings.append)
    until(lambda: seen.endings, longest_s=60.0)
    assert seen.endings == [Ending(0, crashed=False, text="")]
    assert [seen.events[0].name, seen.events[-1].name] == ["started", "done"]
    assert any("mr_t1_hbp" in text for text in seen.texts("text"))
    jobs.WorkerJob().start(
        ["compare", str(tmp_path / "no.nii"), str(tmp_path / "no.nii")], seen.events.append, seen.endings.append
    )
    until(lambda: len(seen.endings) == 2, longest_s=60.0)
    assert seen.endings[1].exit_code == 2
    assert "does not exist" in seen.texts("error")[0]
