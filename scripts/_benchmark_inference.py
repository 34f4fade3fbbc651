"""Rows of `benchmark.py inference`: time, memory and accuracy of a whole journey against the peers' own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from benchmark import Options, Row

HERE = Path(__file__).resolve().parent
CORE = HERE.parent / "LiverSegExtension" / "LiverSeg"
BTCV = "btcv_0001"  # 200 x 200 x 147 voxels of 1.5 x 1.5 x 3 mm
WAYS = {
    "nnunet": ("nnU-Net v2, step 0.5", 20.0, 25.0),
    "monai": ("MONAI sliding window and Invertd, overlap 0.5, fp32", 20.0, 25.0),
    "two_step": ("coarse, crop, fine in fp32 tiles", 5.0, 8.0),
}
PATCH = {"shipped": [96, 96, 96], "large": [128, 128, 128]}
CARD_WINDOW = [128, 112, 144]
SPACING_MM = {"shipped": 3.0, "large": 1.5}
REPEAT = {"shipped": 3, "large": 2}  # the least of them, of every way: ours takes half a second with the first
TITLE = {"shipped": "shipped fine stage at 3 mm", "large": "31 M nnU-Net-like at 1.5 mm"}
_STARTS = {
    "ours": "import torch\nfrom _peers import shipped\nfrom liverseg_core.fastform import fast_form\n"
    "fast_form(shipped().networks[1], torch.device('cpu'), None)(torch.zeros(1, 1, 32, 32, 32))",
    "peer": "from monai.networks.nets import DynUNet",
}


@dataclass(frozen=True)
class Case:
    """A scan on disk with its reference; `thin` is the one of 512 x 512 x 300 voxels."""

    name: str
    scan: Path
    labels: Path
    thin: bool


@dataclass(frozen=True)
class Taken:
    """What one way took; NaN where it did not run."""

    seconds: float
    peak_mb: float
    mask: Path
    windows: int = 0


def rows(options: Options) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="liverseg-benchmark-") as folder:
        yield from _start_rows(options)
        yield _kernel_row()
        cases = list(_cases(Path(folder), thin=not options.quick))
        for case in cases:
            for network in PATCH:
                yield from _journey_rows(case, network, Path(folder), options)
        if cases[-1].thin:
            yield from _segment_rows(cases[-1], Path(folder))
        yield from _gpu_rows(cases[-1], Path(folder))


def _journey_rows(case: Case, network: str, folder: Path, options: Options) -> Iterator[Row]:
    limit = 1 if network == "large" or options.quick else None
    told = f"{case.name}, {TITLE[network]}"
    ours = _run("ours", case, network, folder, Path(sys.executable))
    peaks = []
    for way, (name, small, large) in WAYS.items():
        peer = _run(way, case, network, folder, options.peer_python, limit=limit)
        if peer is None or ours is None:
            yield Row(f"{told}: {name} is not installed", None, None, None, "", None)
            continue
        peaks.append(peer.peak_mb)
        how = f"patch {PATCH[network][0]} cubed, {peer.windows} windows{_extrapolated(limit, peer.windows)}"
        yield _faster(f"{told}: s against {name} ({how})", ours, peer, large if case.thin else small)
        if limit is None:
            yield from _agreement(f"{told}: {name}", case, ours, peer)
        if way == "nnunet" and network == "shipped":
            yield from _nnunet_otherwise(told, case, ours, folder, options)
    if network == "shipped" and ours is not None:
        yield from _alike_row(told, case, ours, folder, options)
    if peaks and ours is not None:
        yield Row(f"{told}: peak MB against the least of the peers", ours.peak_mb, min(peaks), min(peaks) / ours.peak_mb, ">= 1", ours.peak_mb <= min(peaks))  # fmt: skip
    if case.thin and network == "shipped" and ours is not None:
        yield Row(f"{told}: peak MB", ours.peak_mb, None, None, "<= 2500", ours.peak_mb <= 2500)


def _nnunet_otherwise(told: str, case: Case, ours: Taken, folder: Path, options: Options) -> Iterator[Row]:
    """For comparison, not judged: nnU-Net with mirroring, and with the largest patch that the card allows."""
    for words, limit, changes in (
        ("mirroring on", 8, {"mirrored": True, "repeat": 1}),
        ("patch of the card's window", 1, {"patch": CARD_WINDOW, "repeat": 1}),
    ):
        peer = _run("nnunet", case, "shipped", folder, options.peer_python, limit=limit, **changes)
        if peer is not None:
            name = f"{told}: s against nnU-Net v2, {words} ({peer.windows} passes{_extrapolated(limit, peer.windows)})"
            yield _faster(name, ours, peer, None)


def _alike_row(told: str, case: Case, ours: Taken, folder: Path, options: Options) -> Iterator[Row]:
    """What the fast forms cost: the masks of one preparation, computed either way."""
    plain = _run("alike", case, "shipped", folder, options.peer_python, repeat=1)
    if plain is not None:
        both = _dsc(_voxels(ours.mask) == 1, _voxels(plain.mask) == 1)
        yield Row(f"{told}: DSC with the mask of the plain network, prepared alike, in fp32 by MONAI's inferer", both, None, None, ">= 0.995", both >= 0.995)  # fmt: skip


def _agreement(name: str, case: Case, ours: Taken, peer: Taken) -> Iterator[Row]:
    truth = np.isin(_voxels(case.labels), (1, 2))
    one, other = (_dsc(_voxels(taken.mask) == 1, truth) for taken in (ours, peer))
    yield Row(f"{name}: DSC against the reference", one, other, one - other, ">= -0.005", one - other >= -0.005)
    both = _dsc(_voxels(ours.mask) == 1, _voxels(peer.mask) == 1)
    yield Row(f"{name}: DSC of the two masks", both, None, None, "", None)


def _start_rows(options: Options) -> Iterator[Row]:
    took = {}
    for who, python in (("ours", Path(sys.executable)), ("peer", options.peer_python)):
        each = []
        for _ in range(3):
            began = time.perf_counter()
            done = subprocess.run([python, "-c", _STARTS[who]], env=_environment(), check=False, capture_output=True)
            each.append(time.perf_counter() - began if done.returncode == 0 else float("nan"))
        took[who] = min(each)
    ours, peer = took["ours"], took["peer"]
    yield Row("process start to first forward, s", ours, None, None, "< 2.5", ours < 2.5)
    ok = None if np.isnan(peer) else ours <= 0.5 * peer
    yield Row(
        "process start to first forward against importing MONAI's DynUNet, s", ours, peer, peer / ours, ">= 2", ok
    )


def _kernel_row() -> Row:
    done = subprocess.run([sys.executable, HERE / "_kernel.py"], env=_environment(), check=True, capture_output=True, text=True)  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    share = told["reached"] / told["peak"]
    return Row("one window of 128 cubed, 31 M: GFLOP/s against the best convolution", told["reached"], told["peak"], share, ">= 0.75", share >= 0.75)  # fmt: skip


def _segment_rows(case: Case, folder: Path) -> Iterator[Row]:
    """The command itself, from the start of the process to its end."""
    command = [sys.executable, "-m", "liverseg_core", "segment", str(case.scan), "--out", str(folder / "segment")]
    peak_mb, began = float("nan"), time.perf_counter()
    with subprocess.Popen([*command, "--device", "cpu", "--overwrite"], env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # fmt: skip
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:  # what wait4 tells begins at what this process holds
            peak = status.read_text(encoding="ascii").partition("VmHWM:")[2].split() if status.exists() else []
            peak_mb = int(peak[0]) / 1024 if peak else peak_mb
            time.sleep(0.01)
    seconds = time.perf_counter() - began
    fine = process.returncode == 0
    yield Row(f"{case.name}: `liverseg segment`, s", seconds, None, None, "<= 30", fine and seconds <= 30)
    yield Row(f"{case.name}: `liverseg segment`, peak MB", peak_mb, None, None, "<= 2500", fine and peak_mb <= 2500)


def _gpu_rows(case: Case, folder: Path) -> Iterator[Row]:
    import torch

    if not torch.cuda.is_available():
        yield Row("on a GPU: there is none here", None, None, None, "", None)
        return
    python = Path(sys.executable)
    for words, repeat, most in (("cold", 1, 10.0), ("warm", 2, 3.0)):
        taken = _run("ours", case, "shipped", folder, python, device="cuda", repeat=repeat)
        if taken is not None:
            yield Row(f"{case.name}: GPU, {words}, s", taken.seconds, None, None, f"<= {most:g}", taken.seconds <= most)


def _run(way: str, case: Case, network: str, folder: Path, python: Path, **changes: Any) -> Taken | None:
    """One way in its own process; None when what it needs is not installed."""
    out = folder / f"{way}_{network}_{case.scan.name}"
    job = {
        "way": way, "network": network, "scan": str(case.scan), "out": str(out), "patch": PATCH[network], "limit": None,
        "spacing_mm": SPACING_MM[network], "mirrored": False, "device": "cpu", "repeat": REPEAT[network], **changes,
    }  # fmt: skip
    asked = folder / "job.json"
    asked.write_text(json.dumps(job), encoding="utf-8")
    done = subprocess.run([python, HERE / "_peers.py", asked], env=_environment(), check=False, capture_output=True, text=True)  # fmt: skip
    if done.returncode != 0:
        if "ModuleNotFoundError" in done.stderr:
            return None
        raise SystemExit(f"{way} failed on {case.name}:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return Taken(told["seconds"], told["peak_mb"], out, told["windows"])


def _cases(folder: Path, *, thin: bool) -> Iterator[Case]:
    """The CT of $LIVERSEG_DATA or a synthetic one of that size; then the same body in 512 x 512 x 300 voxels."""
    case = Path(os.environ.get("LIVERSEG_DATA", "")) / "cases" / BTCV
    if (case / "image.nii.gz").exists():
        small = Case(f"{BTCV} 200x200x147", case / "image.nii.gz", case / "labels.nii.gz", thin=False)
    else:
        small = _synthetic(folder)
    yield small
    if thin:
        paths = {"scan": folder / "thin.nii.gz", "labels": folder / "thin_labels.nii.gz"}
        for which, path in paths.items():
            sitk.WriteImage(_thin(sitk.ReadImage(str(getattr(small, which))), labels=which == "labels"), str(path))
        yield Case("upsampled to 512x512x300", paths["scan"], paths["labels"], thin=True)


def _synthetic(folder: Path) -> Case:
    sys.path.insert(0, str(CORE))
    from liverseg_core.geometry import Grid, as_image
    from liverseg_core.synthetic import abdomen

    scan, truth, _ = abdomen("ct", grid=Grid((200, 200, 147), (1.5, 1.5, 3.0), (-149.25, -149.25, -220.5)))
    paths = folder / "image.nii.gz", folder / "labels.nii.gz"
    for mask, path in zip((scan, truth), paths):
        sitk.WriteImage(as_image(mask.voxels, mask.grid), str(path))
    return Case("synthetic abdomen 200x200x147", *paths, thin=False)


def _thin(image: sitk.Image, *, labels: bool) -> sitk.Image:
    """The same field of view in 512 x 512 x 300 voxels; a scan gets the noise that thin slices have."""
    size = (512, 512, 300)
    spacing = [old * n / new for old, n, new in zip(image.GetSpacing(), image.GetSize(), size)]
    first = image.TransformContinuousIndexToPhysicalPoint([(n / new - 1) / 2 for n, new in zip(image.GetSize(), size)])
    how = sitk.sitkNearestNeighbor if labels else sitk.sitkLinear
    fine = sitk.Resample(
        image, size, sitk.Transform(), how, first, spacing, image.GetDirection(), 0 if labels else -125.0
    )
    if labels:
        return fine
    voxels = sitk.GetArrayFromImage(fine)
    noise = np.random.default_rng(0).normal(0, 8, voxels.shape).round().astype(np.int16)
    noisy = sitk.GetImageFromArray(np.clip(voxels + noise, -125, 275).astype(np.int16))
    noisy.CopyInformation(fine)
    return noisy


def _faster(name: str, ours: Taken, peer: Taken, want: float | None) -> Row:
    ratio = peer.seconds / ours.seconds
    ok = None if want is None else ratio >= want
    return Row(name, ours.seconds, peer.seconds, ratio, "" if want is None else f">= {want:g}", ok)


def _extrapolated(limit: int | None, windows: int) -> str:
    return "" if limit is None or limit >= windows else f", extrapolated from {limit}"


def _voxels(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def _dsc(one: np.ndarray, other: np.ndarray) -> float:
    return 2.0 * float((one & other).sum()) / max(1.0, float(one.sum() + other.sum()))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(CORE), str(HERE)))}
