"""Damaged files: never a traceback, never a hang, never a file left. A fast sample here; 500 under -m slow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import write_multiframe, write_series
from liverseg_core.cli import main
from liverseg_core.geometry import Grid, as_image
from phantoms import saved_model

GRID = Grid((12, 10, 6), (2.0, 2.0, 3.0), (-10.0, 5.0, 50.0))
VOXELS = (np.indices(GRID.array_shape).sum(axis=0) * 30 - 300).astype(np.int16)
KINDS = ("nii", "nii.gz", "nrrd", "mha", "dicom", "enhanced", "jpeg2000")
ALLOWED = {0, 2, 3, 4}  # done, bad input, unfit, too large for the memory


def whole(folder: Path, kind: str) -> Path:
    """A sound scan of one kind; returns what `segment` is given."""
    folder.mkdir(parents=True)
    if kind in ("dicom", "jpeg2000"):
        from dicom_files import compressed_by_gdcm

        write_series(folder, VOXELS + 1024, GRID, name=lambda k: f"IM{k}")
        if kind == "jpeg2000":
            compressed_by_gdcm(folder, "JPEG2000")
        return folder
    if kind == "enhanced":
        write_multiframe(folder / "file.dcm", VOXELS, GRID)
        return folder / "file.dcm"
    sitk.WriteImage(as_image(VOXELS, GRID), str(folder / f"file.{kind}"))
    return folder / f"file.{kind}"


def damage(path: Path, rng: np.random.Generator) -> None:
    """A few bytes changed, mostly in the header, or the end cut off, or a piece lost from the middle."""
    file = path if path.is_file() else sorted(path.iterdir())[int(rng.integers(6))]
    content = bytearray(file.read_bytes())
    reach = len(content) if rng.random() < 0.4 else min(len(content), 700)
    kind = rng.random()
    if kind < 0.6:
        for at in rng.integers(0, reach, rng.integers(1, 9)):
            content[at] = int(rng.integers(256))
    elif kind < 0.8:
        del content[int(rng.integers(len(content))) :]
    else:
        at = int(rng.integers(reach))
        del content[at : at + int(rng.integers(1, 40))]
    file.write_bytes(bytes(content))


def try_one(kind: str, seed: int, model: Path, room: Path) -> None:
    """Segment one damaged scan: an exit code of the contract, one sentence, and results that are whole or not there."""
    shutil.rmtree(room, ignore_errors=True)
    scan, out = whole(room / "scan", kind), room / "out"
    damage(scan, np.random.default_rng(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        arguments = ["segment", str(scan), "--out", str(out), "--model", str(model), "--device", "cpu", "--allow-unfit"]
        code = main(arguments)
    assert code in ALLOWED, f"{kind} {seed}: exit code {code}"
    left = {path.name for path in room.iterdir()}
    assert left == ({"scan", "out"} if code == 0 else {"scan"}), f"{kind} {seed}: {left}"


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_end_in_a_sentence(kind: str, tmp_path: Path, capfd) -> None:
    model = saved_model(tmp_path / "model")
    for seed in range(6):
        try_one(kind, seed, model, tmp_path / "room")
        told = capfd.readouterr().err
        assert "Traceback" not in told
        assert told.count("error:") <= 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_five_hundred_damaged_files(kind: str, tmp_path: Path) -> None:
    """In a process of its own with 6 GB at most and 20 s for each: a crash or a hang is a failure that names its seed."""
    run = subprocess.run(
        [sys.executable, __file__, kind, str(-(-500 // len(KINDS))), str(tmp_path)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-500:] + run.stderr[-2000:]
    assert "Traceback" not in run.stderr


def _many(kind: str, count: int, folder: Path) -> None:
    import resource
    import signal

    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
    model = saved_model(folder / "model")
    for seed in range(1000, 1000 + count):
        sys.stdout.write(f"{kind} {seed}\n")
        sys.stdout.flush()
        signal.alarm(20)
        try_one(kind, seed, model, folder / "room")
        signal.alarm(0)


if __name__ == "__main__":
    _many(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
