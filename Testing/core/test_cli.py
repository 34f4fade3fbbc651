"""Every exit code, one sentence each, and nothing written by a run that failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from liverseg_core import pipeline
from liverseg_core.cli import main
from liverseg_core.errors import MemoryShortageError, OutputError
from liverseg_core.geometry import Grid, as_image
from liverseg_core.output import discard_unfinished, written_whole
from phantoms import GRIDS, bright_liver, saved_model, saved_scan

CORE = Path(pipeline.__file__).parents[1]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return saved_scan(tmp_path / "scan.nii.gz", bright_liver(GRIDS["plain"]))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return saved_model(tmp_path / "model")


def segment(scan: Path, out: Path, model: Path | str, *more: str) -> int:
    return main(["segment", str(scan), "--out", str(out), "--model", str(model), "--device", "cpu", *more])


def refused(capsys: pytest.CaptureFixture[str], code: int, expected: int, *words: str) -> None:
    assert code == expected
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert all(line.startswith(("error: ", "warning: ")) for line in lines)
    assert all(word in errors[0] for word in words), errors[0]


def nothing_written(folder: Path, *kept: str) -> bool:
    return {f.name for f in folder.iterdir()} == {"scan.nii.gz", "model", *kept}


def test_phases_models_and_doctor_answer(capsys, model) -> None:
    assert main(["phases"]) == 0
    assert "mr_t1_hbp" in capsys.readouterr().out
    assert main(["models", "show", str(model)]) == 0
    assert "known-answer" in capsys.readouterr().out
    assert main(["models", "verify", str(model)]) == 0
    assert main(["models", "list"]) == 0
    capsys.readouterr()
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["torch"]["build"] == torch.__version__
    assert facts["packages"]["numpy"] == np.__version__
    assert main(["doctor"]) == 0
    assert "why" in capsys.readouterr().out


def test_bad_input_is_2(tmp_path, capsys, scan, model) -> None:
    out = tmp_path / "out"
    refused(capsys, segment(tmp_path / "nowhere.nii", out, model), 2, "does not exist")
    refused(capsys, segment(scan, out, model, "--phase", "venous"), 2, "unknown phase 'venous'")
    refused(capsys, segment(scan, out, model, "--phase", "ct_portal", "--volume", "4"), 2, "--volume 4")
    refused(capsys, segment(scan, out, model, "--series", "1.2"), 2, "--series")
    refused(capsys, main(["measure", str(tmp_path / "no.nii"), "--out", str(out)]), 2, "does not exist")
    assert nothing_written(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:7", "tpu"])
def test_a_device_that_is_not_there_is_2_and_never_the_cpu_in_silence(
    tmp_path, capsys, scan, model, device: str
) -> None:
    code = main(["segment", str(scan), "--out", str(tmp_path / "out"), "--model", str(model), "--device", device])
    refused(capsys, code, 2, f"device '{device}' is not here", "cpu")
    assert nothing_written(tmp_path)


@pytest.mark.parametrize("arguments", [[], ["segment"], ["fly"], ["segment", "x", "--out", "y", "--quality", "superb"]])
def test_wrong_usage_is_2_in_one_line(capsys, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    refused(capsys, int(left.value.code or 0), 2, "--help")


def test_model_trouble_is_3(tmp_path, capsys, scan, model) -> None:
    out = tmp_path / "out"
    phase = ("--phase", "ct_portal")
    refused(capsys, segment(scan, out, "any-fase", *phase), 3, "unknown model")
    refused(capsys, segment(scan, out, tmp_path / "none" / "here", *phase), 3, "not a model folder")
    weights = model / "weights.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    refused(capsys, segment(scan, out, model, *phase), 3, "not those of its card")
    weights.unlink()
    refused(capsys, segment(scan, out, model, *phase), 3, "has no weights.safetensors")
    weights.write_bytes(good)
    card = json.loads((model / "card.json").read_text())
    (model / "card.json").write_text(json.dumps({**card, "colour": "red"}))
    refused(capsys, segment(scan, out, model, *phase), 3, "unknown keys ['colour']")
    (model / "card.json").write_text("{")
    refused(capsys, segment(scan, out, model, *phase), 3, "JSON")
    assert nothing_written(tmp_path)


def test_an_unfit_model_is_3_unless_allowed_and_then_a_warning(tmp_path, capsys, scan, model) -> None:
    refused(
        capsys, segment(scan, tmp_path / "out", model, "--phase", "mr_adc"), 3, "not fit for mr_adc", "--allow-unfit"
    )
    assert nothing_written(tmp_path)
    assert segment(scan, tmp_path / "out", model, "--phase", "mr_adc", "--allow-unfit") == 0
    codes = [w["code"] for w in json.loads((tmp_path / "out" / "report.json").read_text())["warnings"]]
    assert "model_unfit" in codes


@pytest.mark.parametrize(
    "problem",
    [
        MemoryShortageError("a window does not fit"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_is_4(tmp_path, capsys, monkeypatch, scan, model, problem: Exception) -> None:
    def full(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr("liverseg_core.networks.threshold.Threshold.forward", full)
    refused(
        capsys,
        segment(scan, tmp_path / "out", model, "--phase", "ct_portal"),
        4,
        "fit" if not isinstance(problem, MemoryError) else "",
    )
    assert nothing_written(tmp_path)


def test_our_own_fault_is_1_with_a_log_and_no_traceback(tmp_path, capsys, monkeypatch, scan, model) -> None:
    monkeypatch.setattr(pipeline, "cut_segments", lambda *_: 1 / 0)
    assert segment(scan, tmp_path / "out", model, "--phase", "ct_portal") == 1
    told = capsys.readouterr().err
    assert "Traceback" not in told
    log = Path(told.strip().split()[-1])
    assert "ZeroDivisionError" in log.read_text()
    log.unlink()
    assert nothing_written(tmp_path)


def test_existing_output_is_6_until_overwrite_and_survives_a_failure(
    tmp_path, capsys, monkeypatch, scan, model
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    phase = ("--phase", "ct_portal")
    refused(capsys, segment(scan, out, model, *phase), 6, "already holds files", "--overwrite")
    with monkeypatch.context() as broken:
        broken.setattr(pipeline, "save_page", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        refused(capsys, segment(scan, out, model, *phase, "--overwrite"), 6, "No space left on device")
    assert (out / "mine.txt").read_text() == "keep"
    assert nothing_written(tmp_path, "out")
    assert segment(scan, out, model, *phase, "--overwrite") == 0
    assert not (out / "mine.txt").exists()
    assert nothing_written(tmp_path, "out")


def test_output_that_cannot_be_written_is_6(tmp_path, capsys, scan, model) -> None:
    (tmp_path / "file").write_text("x")
    refused(capsys, segment(scan, tmp_path / "file", model), 6, "is a file")
    refused(capsys, segment(scan, tmp_path / "file" / "below", model), 6, "cannot be")
    if os.name != "nt" and Path("/proc/version").exists():
        refused(capsys, segment(scan, Path("/proc/liverseg"), model, "--phase", "ct_portal"), 6)


@pytest.mark.skipif(sys.platform == "win32", reason="the limit that stands for a full disk is POSIX")
@pytest.mark.parametrize("most", [400, 3000])
def test_a_full_disk_is_6_and_leaves_what_was_there(tmp_path, scan, model, most: int) -> None:
    """No file may grow beyond `most` bytes: the NIfTI writer would pass over it in silence."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.txt").write_text("mine")
    code = (
        "import resource, sys\nfrom liverseg_core.cli import main\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))\n"
        f"sys.exit(main(['segment', {str(scan)!r}, '--out', {str(out)!r}, '--model', {str(model)!r}, '--overwrite']))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=CORE, capture_output=True, text=True, check=False)
    assert run.returncode == 6, run.stderr
    assert "cannot be written" in run.stderr
    assert nothing_written(tmp_path, "out")
    assert [file.name for file in out.iterdir()] == ["old.txt"]


def test_what_was_there_comes_back_when_the_new_folder_cannot_take_its_place(tmp_path, monkeypatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    rename = Path.rename
    refuse = lambda self, target: (
        (_ for _ in ()).throw(OSError(13, "denied")) if (self / "new").exists() else rename(self, target)
    )
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="denied"), written_whole(out) as room:
        (room / "new").write_text("x")
    assert [f.name for f in out.iterdir()] == ["mine.txt"]
    assert [f.name for f in tmp_path.iterdir()] == ["out"]


def test_what_is_half_written_can_be_discarded_from_outside(tmp_path) -> None:
    """What the watcher does before it ends the process."""
    walk = written_whole(tmp_path / "out")
    room = walk.__enter__()
    (room / "half").write_text("x")
    discard_unfinished()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError):
        walk.__exit__(None, None, None)


def test_a_folder_that_holds_what_is_read_is_never_replaced(tmp_path, capsys, scan, model) -> None:
    refused(capsys, segment(scan, tmp_path, model, "--overwrite"), 6, "lies inside")
    assert scan.exists()


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_a_linked_folder_stays_a_link(tmp_path, scan, model) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert segment(scan, tmp_path / "link", model, "--phase", "ct_portal") == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "report.html").exists()


def test_every_command_speaks_to_machines(tmp_path, capsys, model) -> None:
    for command in (["phases"], ["models", "verify", str(model)], ["doctor"], ["sample", "ct", str(tmp_path / "s")]):
        assert main([*command, "--json-lines"]) == 0
        events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
        assert (events[0], events[-1]) == ("started", "done")
        assert len(events) > 2


def test_an_empty_folder_may_be_written_into(tmp_path, scan, model) -> None:
    (tmp_path / "out").mkdir()
    assert segment(scan, tmp_path / "out", model, "--phase", "ct_portal") == 0
    assert (tmp_path / "out" / "report.html").exists()


def test_events_are_ascii_json_lines_in_order(tmp_path, capsys, scan, model) -> None:
    out = tmp_path / "größe"
    assert segment(scan, out, model, "--json-lines") == 0
    printed = capsys.readouterr().out
    assert printed.isascii()
    events = [json.loads(line) for line in printed.splitlines()]
    names = [e["event"] for e in events]
    assert (names[0], names[-1]) == ("started", "done")
    assert events[0] == {"event": "started", "pid": os.getpid(), "protocol": 1}
    rooms = [e["name"] for e in events if e["event"] == "stage"]
    assert rooms == ["reading", "preparation", "inference", "restoration", "measurements", "reporting"]
    progress = next(e for e in events if e["event"] == "progress")
    assert (progress["name"], progress["done"], progress["total"]) == ("inference", 1, 1)
    assert [e["code"] for e in events if e["event"] == "warning"] == ["phase_guessed", "implausible_volume"]
    assert events[-1]["out"] == str(out)
    assert segment(scan, out, model, "--json-lines") == 6
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["event"], last["kind"]) == ("error", "output")


SLOW = """
import sys, time, torch
from liverseg_core.networks.threshold import Threshold
from liverseg_core.cli import main
def stuck(self, x):
    print('inside', flush=True)
    torch.mm(torch.randn(9000, 9000), torch.randn(9000, 9000)) if sys.argv[1] == 'busy' else None
    while True: torch.mm(torch.randn(4000, 4000), torch.randn(4000, 4000))
Threshold.forward = stuck
sys.exit(main(sys.argv[2:]))
"""


def started_and_stuck(scan: Path, model: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [
        "segment",
        str(scan),
        "--out",
        str(out),
        "--model",
        str(model),
        "--phase",
        "ct_portal",
        "--device",
        "cpu",
        *more,
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, "busy", *command],
        cwd=CORE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    while "inside" not in (line := process.stdout.readline()):
        assert line, process.communicate()
    return process


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("way", ["SIGINT", "SIGTERM", "stop file"])
def test_a_run_is_cancelled_within_two_seconds_in_the_middle_of_a_multiplication(
    tmp_path, scan, model, way: str
) -> None:
    stop = tmp_path / "stop"
    process = started_and_stuck(scan, model, tmp_path / "out", "--stop-file", str(stop))
    asked = time.monotonic()
    stop.touch() if way == "stop file" else process.send_signal(getattr(signal, way))
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - asked < 2.0
    assert process.returncode == 5
    assert errors.startswith("error: cancelled")
    stop.unlink(missing_ok=True)
    assert nothing_written(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_run_that_is_killed_leaves_nothing_half_written(tmp_path, scan, model) -> None:
    process = started_and_stuck(scan, model, tmp_path / "out")
    process.kill()
    process.communicate()
    assert nothing_written(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="POSIX processes")
def test_a_machine_s_worker_ends_when_its_parent_is_gone(tmp_path, scan, model) -> None:
    command = [
        "segment",
        str(scan),
        "--out",
        str(tmp_path / "out"),
        "--model",
        str(model),
        "--phase",
        "ct_portal",
        "--json-lines",
        "--device",
        "cpu",
    ]
    nurse = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-c', {SLOW!r}, 'busy', *{command!r}], stdout=subprocess.PIPE, text=True)\n"
        "while 'inside' not in p.stdout.readline(): pass\n"
        "print(p.pid, flush=True)\n"
    )
    parent = subprocess.run([sys.executable, "-c", nurse], cwd=CORE, capture_output=True, text=True, check=True)
    worker = int(parent.stdout.split()[-1])
    deadline = time.monotonic() + 3.0
    while time.monotonic() < deadline and _alive(worker):
        time.sleep(0.05)
    assert not _alive(worker)
    assert nothing_written(tmp_path)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_sample_writes_a_scan_with_its_truth(tmp_path, capsys) -> None:
    assert main(["sample", "mr", str(tmp_path / "mr"), "--contrast", "t2"]) == 0
    assert {f.name for f in (tmp_path / "mr").iterdir()} == {"image.nii.gz", "labels.nii.gz", "truth.json"}
    truth = json.loads((tmp_path / "mr" / "truth.json").read_text())
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "mr" / "labels.nii.gz")))
    image = sitk.ReadImage(str(tmp_path / "mr" / "image.nii.gz"))
    counted = (labels == 1).sum() * np.prod(image.GetSpacing()) / 1000
    assert counted == pytest.approx(truth["volumes_ml"]["liver"], rel=0.01)
    assert main(["sample", "mr", str(tmp_path / "mr")]) == 6


def test_measure_refuses_a_mask_of_another_scan(tmp_path, capsys, scan) -> None:
    other = Grid((20, 20, 20))
    sitk.WriteImage(as_image(np.ones(other.array_shape, np.uint8), other), str(tmp_path / "mask.nii.gz"))
    code = main(["measure", str(tmp_path / "mask.nii.gz"), "--scan", str(scan), "--out", str(tmp_path / "out")])
    refused(capsys, code, 2, "does not lie on the grid")
    assert main(["measure", str(tmp_path / "mask.nii.gz"), "--out", str(tmp_path / "out")]) == 0
    rows = (tmp_path / "out" / "measurements.csv").read_text().splitlines()
    assert rows[:2] == ["structure,quantity,value,unit,reason", "liver,volume,8.000,ml,"]
    assert all(",," in row for row in rows[2:])  # nothing else can be computed from a mask alone


def _measured(folder: Path) -> dict[tuple[str, str], str]:
    rows = [row.split(",") for row in (folder / "measurements.csv").read_text().splitlines()[1:]]
    return {(row[0], row[1]): row[2] for row in rows}


def test_measure_cuts_the_liver_and_knows_the_patient(tmp_path, capsys) -> None:
    """A cube of 40 mm, cut at a quarter: 16 of 64 ml stay. Mosteller: sqrt(180 cm x 80 kg / 3600) = 2.00 m2."""
    grid = Grid((40, 40, 40), (1.0, 1.0, 1.0))
    padded = np.pad(np.ones((40, 40, 40), np.uint8), 4)
    big = Grid((48, 48, 48), grid.spacing_mm, (-4.0, -4.0, -4.0))
    mask, patient = str(tmp_path / "mask.nii.gz"), tmp_path / "patient.json"
    sitk.WriteImage(as_image(padded, big), mask)
    patient.write_text(json.dumps({"height_cm": 180, "weight_kg": 80}))
    cut = ["--plane", "9.5,0,0,-1,0,0", "--patient", str(patient)]
    assert main(["measure", mask, "--out", str(tmp_path / "out"), *cut]) == 0
    found = _measured(tmp_path / "out")
    assert float(found["remnant", "volume"]) == pytest.approx(16.0)
    assert float(found["remnant", "flr"]) == pytest.approx(25.0)
    assert float(found["patient", "body_surface_area"]) == pytest.approx(2.0)
    halves = padded.copy()
    halves[:, :, 24:] *= 2
    sitk.WriteImage(as_image(halves, big), mask)
    assert main(["measure", mask, "--out", str(tmp_path / "parts"), "--remnant", "2"]) == 0
    assert float(_measured(tmp_path / "parts")["remnant", "flr"]) == pytest.approx(50.0)
    capsys.readouterr()
    patient.write_text(json.dumps({"height_cm": 1.8, "weight_kg": 80}))
    refused(capsys, main(["measure", mask, "--out", str(tmp_path / "no"), *cut]), 2, "180")
    patient.write_text("{")
    refused(capsys, main(["measure", mask, "--out", str(tmp_path / "no"), *cut]), 2, "not JSON")
    refused(capsys, main(["measure", mask, "--out", str(tmp_path / "no"), "--plane", "1,2,x"]), 2, "--plane")
    refused(capsys, main(["measure", mask, "--out", str(tmp_path / "no"), "--remnant", "7"]), 2, "parts 7")
