"""Segment a volume from a script inside Slicer: no panel, no window; Slicer's events go on meanwhile."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import slicer

from .choices import detected
from .commands import segment_arguments, takes_stop_file
from .controller import UserError
from .endings import Ending, no_room, sentence
from .events import Event, Lines
from .scene import checked, show_result, tags_of, write_volume
from .scene.words import _

MODULE_FOLDER = Path(__file__).parents[1]  # holds liverseg_core, from source as well as installed
_TICK_S = 0.05
_ASKED_S = 2.5  # for the stop file; then the worker is killed
_TAIL = 2000


def segment(
    volume: Any,
    *,
    model: str = "auto",
    phase: str = "auto",
    quality: str = "standard",
    device: str = "auto",
    allow_unfit: bool = False,
    told: Callable[[Event], None] | None = None,
) -> Any:
    """A new segmentation node of a scalar volume node; returns when it is there.

    `phase`: a key of `liverseg phases`, or "auto": from the DICOM tags of the volume where it has any, else the worker
    guesses. `told` is shown every event of the worker (progress, warnings). UserError, in one sentence, for whatever goes
    wrong; the scene is then as it was. A script that is interrupted ends the worker.

        import slicer
        from LiverSeg import LiverSegLogic

        volume = slicer.util.loadVolume("portal.nii.gz")
        node = LiverSegLogic().segment(volume, phase="ct_portal", device="cpu")
        print(node.GetSegmentation().GetSegmentIDs())  # ('liver', 'spleen', ...)
        slicer.util.saveNode(node, "portal.seg.nrrd")
    """
    checked(volume)
    if phase == "auto":
        tags = tags_of(volume)
        phase = (detected(tags).phase if tags else "") or "auto"
    try:
        with tempfile.TemporaryDirectory(prefix="liverseg-", ignore_cleanup_errors=True) as room:
            folder = Path(room)
            write_volume(volume, folder / "scan.nrrd")
            out = folder / "out"
            arguments = segment_arguments(
                folder / "scan.nrrd",
                out,
                phase=phase,
                model=model,
                device=device,
                quality=quality,
                allow_unfit=allow_unfit,
            )
            run_worker(arguments, folder, told or (lambda _event: None))
            if not (out / "report.json").is_file():
                raise UserError(_("The worker ended without a result; copy the log and report it."))
            report = json.loads((out / "report.json").read_text(encoding="utf-8"))
            return show_result(volume, out / "segmentation.seg.nrrd", report)
    except OSError as problem:
        raise UserError(no_room(problem)) from None


def run_worker(arguments: Sequence[str], folder: Path, told: Callable[[Event], None] = lambda _event: None) -> None:
    """Start the worker on a command and wait for its end, with its log in `folder`; UserError unless it ends well."""
    program, stop, log = _program(), folder / "stop", folder / "worker.log"
    if not program:
        raise UserError(_("PythonSlicer was not found beside this Slicer; install Slicer again."))
    errors: list[str] = []
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*program, *arguments, "--json-lines", *(["--stop-file", str(stop)] if takes_stop_file(arguments) else [])],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env=_environment(), creationflags=_no_window(),
        )  # fmt: skip
        try:
            for event in _events(process):
                if event.name == "error":
                    errors.append(event.facts["text"])
                told(event)
        finally:
            _end(process, stop)
    if process.returncode != 0:
        tail = log.read_bytes()[-_TAIL:].decode("utf-8", "replace")
        raise UserError(errors[-1] if errors else sentence(Ending(process.returncode, process.returncode < 0, tail)))


def _events(process: subprocess.Popen[bytes]) -> Any:
    """What the worker tells, until it has gone. Another thread reads, so that Slicer stays awake; it touches nothing else."""
    pieces: queue.Queue[bytes] = queue.Queue()
    output = process.stdout

    def read() -> None:
        while output is not None and (data := os.read(output.fileno(), 1 << 16)):
            pieces.put(data)
        pieces.put(b"")

    reader, lines = threading.Thread(target=read, daemon=True), Lines()
    reader.start()
    while True:
        slicer.app.processEvents()
        try:
            data = pieces.get(timeout=_TICK_S)
        except queue.Empty:
            continue
        if not data:
            yield from lines.close()
            return
        yield from lines.feed(data)


def _end(process: subprocess.Popen[bytes], stop: Path) -> None:
    """Ask a worker that still runs to stop, then make it."""
    if process.poll() is None:
        try:
            process.wait(_TICK_S)  # it has said everything, and is about to go
        except subprocess.TimeoutExpired:
            stop.touch()
    try:
        process.wait(_ASKED_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _program() -> list[str]:
    from .job import worker_program  # knows Qt, which a script of tests may not have

    return worker_program()


def _environment() -> dict[str, str]:
    """What Slicer itself was started with, and the core: nothing of Slicer's own search path."""
    started = getattr(slicer.app, "startupEnvironment", None)
    known = (
        dict(line.split("=", 1) for line in started().toStringList() if "=" in line) if started else dict(os.environ)
    )
    for name in ("PYTHONHOME", "PYTHONSTARTUP"):
        known.pop(name, None)
    return {**known, "PYTHONPATH": str(MODULE_FOLDER), "PYTHONNOUSERSITE": "1"}


def _no_window() -> int:
    return int(getattr(subprocess, "CREATE_NO_WINDOW", 0))
