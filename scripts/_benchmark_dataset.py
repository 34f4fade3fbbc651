"""Rows of `benchmark.py dataset`: what `dataset check` of a data set of LiTS's size costs in seconds with two processes and with
one, and how much memory all of them hold together. Every way runs in a process of its own, on the same made-up scans."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[1]
PATHS = [str(ROOT / "LiverSegExtension" / "LiverSeg"), str(ROOT / "LiverSegTraining")]
CASES, PLANE = 131, 512  # of LiTS
SLICES = (74, 123, 192, 301, 432, 548, 661, 845, 987)  # LiTS has 74 to 987; cases share these scans in turn
QUICK_CASES, QUICK_SLICES = 8, (48, 74)
MOST_MB, LEAST_RATIO = 1500.0, 1.6
_LOOK_S = 0.1  # from one look at the memory to the next


def rows(options: Any) -> Iterator[Any]:
    """`options` and the rows are those of benchmark.py."""
    from benchmark import Row

    count, slices = (QUICK_CASES, QUICK_SLICES) if options.quick else (CASES, SLICES)
    with tempfile.TemporaryDirectory(prefix="liverseg-benchmark-") as folder:
        _write_cases(Path(folder) / "LiTS", count, slices)
        taken = {workers: _checked(Path(folder), workers, count) for workers in (1, 2)}
    (one, _), (two, peak_mb) = taken[1], taken[2]
    name = f"dataset check of {count} LiTS-sized cases"
    able = (os.cpu_count() or 1) >= 2
    yield Row(
        f"{name}, s: two processes beside one", two, one, one / two, f">= {LEAST_RATIO:g}x",
        one / two >= LEAST_RATIO if able else None,
    )  # fmt: skip
    fits = None if peak_mb is None else peak_mb < MOST_MB
    yield Row(f"{name}, MB that two processes and their parent hold", peak_mb, None, None, f"< {MOST_MB:g}", fits)


def _write_cases(folder: Path, count: int, slices: tuple[int, ...]) -> None:
    """Noise about a body, an ellipsoid for the liver. Cases of one size are one file on the disk, and are read like others."""
    folder.mkdir()
    for n, deep in enumerate(slices[:count]):
        image, labels = _scan(deep, np.random.default_rng(n))
        for name, voxels in (("volume", image), ("segmentation", labels)):
            written = sitk.GetImageFromArray(voxels)
            written.SetSpacing((0.75, 0.75, 320.0 / deep))
            written.SetOrigin((-190.0, -190.0, -160.0))
            sitk.WriteImage(written, str(folder / f"{name}-{n}.nii"))
    for n in range(len(slices), count):
        for name in ("volume", "segmentation"):
            os.link(folder / f"{name}-{n % len(slices)}.nii", folder / f"{name}-{n}.nii")


def _scan(deep: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """int16 HU and uint8 codes, [k, j, i]; the liver lies on the patient's right."""
    side = np.linspace(-1, 1, PLANE)
    y, x = np.meshgrid(side, side, indexing="ij")
    body, middle = np.hypot(x / 0.9, y / 0.65) < 1, ((x + 0.35) / 0.4) ** 2 + (y / 0.4) ** 2
    noise = rng.normal(0, 12, (16, PLANE, PLANE)).astype(np.int16)
    image, labels = np.empty((deep, PLANE, PLANE), np.int16), np.zeros((deep, PLANE, PLANE), np.uint8)
    for k, z in enumerate(np.linspace(-1, 1, deep)):
        liver = middle + (z / 0.55) ** 2 < 1
        image[k] = np.where(liver, 105, np.where(body, 20, -1000)) + noise[k % len(noise)]
        labels[k] = liver
    return image, labels


def _checked(folder: Path, workers: int, count: int) -> tuple[float, float | None]:
    """Seconds, and the most MB that the command and its processes held at once; None where the system does not say."""
    out = folder / f"check-{workers}"
    command = [sys.executable, "-m", "liverseg_training", "dataset", "check", str(folder / "LiTS"), "--layout", "lits"]
    path = os.pathsep.join([*PATHS, os.environ.get("PYTHONPATH", "")])
    began, peak = time.perf_counter(), 0.0
    with subprocess.Popen(
        [*command, "--workers", str(workers), "--out", str(out)], env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as run:  # fmt: skip
        while run.poll() is None:
            peak = max(peak, sum(_held_mb(process) for process in _family(run.pid)))
            time.sleep(_LOOK_S)
    seconds = time.perf_counter() - began
    with (out / "cases.csv").open(encoding="utf-8", newline="") as file:  # exit 2: cases of one size are the same scan
        looked = len(list(csv.DictReader(file)))
    if looked != count:
        raise RuntimeError(f"{looked} of {count} cases were looked at")
    return seconds, peak or None


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        own = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(one for child in own for one in _family(int(child)))]


def _held_mb(pid: int) -> float:
    """What a process holds, pages that it shares with others by their share (PSS); 0 where it is gone, or nobody says."""
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) * 1024e-6 for line in told.splitlines() if line.startswith("Pss:")), 0.0)
