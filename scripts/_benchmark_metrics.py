"""Rows of `benchmark.py metrics`: time, memory and values of a comparison of masks against the peers' own."""

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

import numpy as np
import SimpleITK as sitk
from benchmark import Options, Row
from scipy.ndimage import zoom

HERE = Path(__file__).resolve().parent
CORE = HERE.parent / "LiverSegExtension" / "LiverSeg"
TOLERANCE_MM = 2.0
EQUAL = 1e-3
LESIONS = 20
SIZES = {"small": ("ircadb_04", (90, 379, 458)), "large": ("lits_102", (300, 512, 512))}  # a mask, and [k, j, i]
PEERS = {"monai": ("MONAI's five calls", 60.0), "surface-distance": ("surface-distance", 15.0), "medpy": ("medpy's four calls", 100.0)}  # fmt: skip
SAME = {  # the quantities that a peer defines as we do: border voxels, distances between their centres
    "monai": ("dsc", "hd", "hd95", "assd", "nsd"),
    "surface-distance": ("dsc",),
    "medpy": ("dsc", "hd", "assd"),
}
OTHERWISE = {  # what a peer means by a name of ours
    ("surface-distance", "hd"): "between surface elements at the corners of voxels; ours between border voxels",
    ("surface-distance", "hd95"): "percentile of the area of surface elements; ours of border voxels, each alike",
    ("surface-distance", "asd_pred_to_ref"): "mean over the area of surface elements; ours over border voxels",
    ("surface-distance", "asd_ref_to_pred"): "mean over the area of surface elements; ours over border voxels",
    ("surface-distance", "nsd"): "share of the area of surface elements; ours of border voxels",
    ("medpy", "hd95"): "percentile of both directions pooled; ours the larger of the two percentiles",
}


@dataclass(frozen=True)
class Pair:
    """A prediction and a reference on disk, as arrays [k, j, i]."""

    name: str
    prediction: Path
    reference: Path
    spacing_mm: tuple[float, float, float]  # (k, j, i)


@dataclass(frozen=True)
class Taken:
    """What one way took and answered."""

    seconds: float
    peak_mb: float
    values: dict[str, float]


def rows(options: Options) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="liverseg-benchmark-") as name:
        folder = Path(name)
        for size in ("small",) if options.quick else SIZES:
            pair = _pair(size, folder)
            yield from _liver_rows(pair, folder, options)
            if size == "small":
                yield from _lesion_rows(pair, folder, options)
                yield from _cohort_rows(pair, folder, options)
            else:
                yield from _bad_rows(pair, folder)


def _liver_rows(pair: Pair, folder: Path, options: Options) -> Iterator[Row]:
    """Of one liver, masks in memory."""
    ours = _run("ours", pair, folder, Path(sys.executable), repeat=5)
    assert ours is not None
    yield Row(f"{pair.name}: s for all of our quantities", ours.seconds, None, None, "", None)
    for way, (words, want) in PEERS.items():
        peer = _run(way, pair, folder, options.peer_python, repeat=1 if options.quick else 2)
        if peer is None:
            yield Row(f"{pair.name}: {way} is not installed", None, None, None, "", None)
            continue
        yield _faster(f"{pair.name}: s against {words}", ours, peer, want)
        apart = max(abs(ours.values[key] - peer.values[key]) for key in SAME[way])
        told = f"{pair.name}: largest difference from {way} of {', '.join(SAME[way]).upper()}"
        yield Row(told, apart, None, None, f"<= {EQUAL:g}", apart <= EQUAL)
        for (who, key), text in OTHERWISE.items():
            if who == way:
                name = f"{pair.name}: {key.upper()} of {way} is another: {text}"
                yield Row(name, ours.values[key], peer.values[key], None, "", None)
        if way == "monai":
            ratio = peer.peak_mb / ours.peak_mb
            ok = None if np.isnan(ratio) else ratio >= 10
            yield Row(f"{pair.name}: peak MB above the inputs against MONAI", ours.peak_mb, peer.peak_mb, ratio, ">= 10", ok)  # fmt: skip


def _lesion_rows(liver: Pair, folder: Path, options: Options) -> Iterator[Row]:
    """Lesions that are numbered for MONAI, which is asked for each; ours finds them itself."""
    pair = _lesions(liver, folder)
    limit = 2 if options.quick else None
    for ways, words in (
        (("our lesions", "monai's lesions"), "DSC of each in one call, s"),
        (("our lesions, five figures each", "monai's lesions, five figures each"), "five figures of each, s"),
    ):
        ours = _run(ways[0], pair, folder, Path(sys.executable), repeat=3)
        peer = _run(ways[1], pair, folder, options.peer_python, limit=limit)
        name = f"{pair.name}: {words}, against MONAI one by one"
        if peer is None or ours is None:
            yield Row(f"{name}: MONAI is not installed", None, None, None, "", None)
            continue
        whole = Taken(peer.seconds * LESIONS / (limit or LESIONS), peer.peak_mb, peer.values)
        yield _faster(name + ("" if limit is None else f" (extrapolated from {limit})"), ours, whole, 20.0)
        if limit is None:
            apart = np.abs(np.subtract(sorted(ours.values.values()), sorted(peer.values.values()))).max()
            yield Row(f"{pair.name}: {words[:-3]}: largest difference", float(apart), None, None, f"<= {EQUAL:g}", bool(apart <= EQUAL))  # fmt: skip


def _cohort_rows(liver: Pair, folder: Path, options: Options) -> Iterator[Row]:
    """Masks from files, measured, compared and written: the command itself, from the start of the process to its end."""
    count = 16 if options.quick else 100
    table = _table(liver, folder, count)
    took = {}
    for workers in (1, 2):
        out = folder / f"cohort_{workers}"
        command = [sys.executable, "-m", "liverseg_core", "cohort", str(table), "--out", str(out)]
        began = time.perf_counter()
        done = subprocess.run([*command, "--workers", str(workers)], env=_environment(), check=False, capture_output=True, text=True)  # fmt: skip
        took[workers] = time.perf_counter() - began
        if done.returncode != 0:
            raise SystemExit(f"the cohort failed:\n{done.stderr[-2000:]}")
    ratio = took[1] / took[2]
    ok = None if (os.cpu_count() or 1) < 2 else ratio >= 1.6
    yield Row(f"cohort of {count} pairs of masks of {liver.name}, s: 2 processes against 1", took[2], took[1], ratio, ">= 1.6", ok)  # fmt: skip


def _bad_rows(pair: Pair, folder: Path) -> Iterator[Row]:
    """Predictions that are not worth a measurement must not hold up a cohort."""
    truth = np.load(pair.reference)
    noise = np.random.default_rng(0).random(truth.shape, dtype=np.float32)
    for words, prediction in (
        ("speckle in 1 voxel of 100", truth ^ (noise < 0.01)),
        ("noise in every second voxel", noise < 0.5),
        ("a liver in the opposite corner", np.ascontiguousarray(truth[::-1, ::-1, ::-1])),
        ("a mask that fills the scan", np.ones_like(truth)),
    ):
        np.save(folder / "bad.npy", prediction)
        bad = Pair(pair.name, folder / "bad.npy", pair.reference, pair.spacing_mm)
        ours = _run("ours", bad, folder, Path(sys.executable), repeat=2)
        if ours is not None:
            yield Row(f"{pair.name}: s for {words}", ours.seconds, None, None, "", None)


def _run(
    way: str, pair: Pair, folder: Path, python: Path, *, repeat: int = 1, limit: int | None = None
) -> Taken | None:
    """One way in its own process; None when what it needs is not installed."""
    job = {
        "way": way, "prediction": str(pair.prediction), "reference": str(pair.reference), "repeat": repeat,
        "spacing_mm": pair.spacing_mm, "tolerance_mm": TOLERANCE_MM, "limit": limit,
    }  # fmt: skip
    asked = folder / "job.json"
    asked.write_text(json.dumps(job), encoding="utf-8")
    done = subprocess.run([python, HERE / "_metric_peers.py", asked], env=_environment(), check=False, capture_output=True, text=True)  # fmt: skip
    if done.returncode != 0:
        if "ModuleNotFoundError" in done.stderr:
            return None
        raise SystemExit(f"{way} failed on {pair.name}:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return Taken(told["seconds"], told["peak_mb"], told["values"])


def _pair(size: str, folder: Path) -> Pair:
    """A liver of $LIVERSEG_DATA or a synthetic one, and the same with a wavy border and an island 80 mm away."""
    source, shape = SIZES[size]
    reference, spacing_mm = _liver(source, shape)
    prediction = _wavy(reference, spacing_mm)
    paths = folder / f"{size}_prediction.npy", folder / f"{size}_reference.npy"
    for path, mask in zip(paths, (prediction, reference)):
        np.save(path, mask)
    return Pair("x".join(map(str, shape[::-1])), *paths, spacing_mm)


def _liver(source: str, shape: tuple[int, int, int]) -> tuple[np.ndarray, tuple[float, float, float]]:
    """A mask of that shape, with the liver in the middle; spacing (k, j, i)."""
    path = Path(os.environ.get("LIVERSEG_DATA", "")) / "liver_masks" / f"{source}.nii.gz"
    if not path.exists():
        return _synthetic(shape)
    image = sitk.ReadImage(str(path))
    whole = sitk.GetArrayFromImage(image) > 0
    out = np.zeros(shape, bool)
    cuts, places = [], []
    for axis, (n, want) in enumerate(zip(whole.shape, shape)):
        held = np.flatnonzero(whole.any(axis=tuple(a for a in range(3) if a != axis)))
        start = int(np.clip((held[0] + held[-1] + 1 - want) // 2, 0, max(n - want, 0)))
        cuts.append(slice(start, start + want))
        places.append(slice(max(want - n, 0) // 2, max(want - n, 0) // 2 + min(n, want)))
    out[tuple(places)] = whole[tuple(cuts)]
    x, y, z = image.GetSpacing()
    return out, (z, y, x)


def _synthetic(shape: tuple[int, int, int]) -> tuple[np.ndarray, tuple[float, float, float]]:
    sys.path.insert(0, str(CORE))
    from liverseg_core.geometry import Grid
    from liverseg_core.synthetic import abdomen

    k, j, i = shape
    spacing = (340 / i, 340 / j, 240 / k)
    origin = tuple(-s * (n - 1) / 2 for s, n in zip(spacing, (i, j, k)))
    _, truth, _ = abdomen("ct", grid=Grid((i, j, k), spacing, origin))
    return np.isin(truth.voxels, (1, 2)), spacing[::-1]


def _wavy(mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """The border moved by a smooth noise of 2 mm, and a ball of 5 mm that is no liver."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing_mm[::-1])
    away_mm = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True))
    coarse = np.random.default_rng(0).standard_normal([int(n * mm / 8) + 2 for n, mm in zip(mask.shape, spacing_mm)])
    noise = zoom(coarse, np.divide(mask.shape, coarse.shape), order=1)
    grown: np.ndarray = away_mm < 2 * noise
    far = np.unravel_index(np.abs(away_mm - 80).argmin(), mask.shape)
    k, j, i = np.ogrid[tuple(slice(-int(at), n - int(at)) for at, n in zip(far, mask.shape))]
    return grown | ((k * spacing_mm[0]) ** 2 + (j * spacing_mm[1]) ** 2 + (i * spacing_mm[2]) ** 2 <= 25)


def _lesions(liver: Pair, folder: Path) -> Pair:
    """Balls in the liver that do not touch, numbered; the prediction has each of them 2 voxels further on."""
    mask = np.load(liver.reference)
    rng = np.random.default_rng(1)
    numbers = np.zeros(mask.shape, np.uint8)
    spacing = np.array(liver.spacing_mm)
    inside = np.argwhere(mask)
    centres: list[np.ndarray] = []
    while len(centres) < LESIONS:
        at = inside[rng.integers(len(inside))]
        radius_mm = rng.uniform(3.0, 9.0)
        if any(np.linalg.norm((at - other) * spacing) < 24.0 for other in centres) or (at < 16).any():
            continue
        centres.append(at)
        k, j, i = (mm * np.arange(-n, m - n) for mm, n, m in zip(spacing, at, mask.shape))
        numbers[k[:, None, None] ** 2 + j[:, None] ** 2 + i**2 <= radius_mm**2] = len(centres)
    paths = folder / "lesions_prediction.npy", folder / "lesions_reference.npy"
    for path, array in zip(paths, (np.roll(numbers, 2, axis=1), numbers)):
        np.save(path, array)
    return Pair(f"{LESIONS} lesions in {liver.name}", *paths, liver.spacing_mm)


def _table(liver: Pair, folder: Path, count: int) -> Path:
    """Four different pairs of files, each of which stands in the table as several cases."""
    masks = [np.load(path).astype(np.uint8) for path in (liver.prediction, liver.reference)]
    for n in range(4):
        for name, mask in zip(("prediction", "reference"), masks):
            image = sitk.GetImageFromArray(np.roll(mask, n, axis=2))
            image.SetSpacing(liver.spacing_mm[::-1])
            sitk.WriteImage(image, str(folder / f"{name}_{n}.nii.gz"), useCompression=True)
    table = folder / "cohort.csv"
    lines = [f"case{n},prediction_{n % 4}.nii.gz,reference_{n % 4}.nii.gz" for n in range(count)]
    table.write_text("\n".join(["case,prediction,reference", *lines]) + "\n", encoding="utf-8")
    return table


def _faster(name: str, ours: Taken, peer: Taken, want: float) -> Row:
    ratio = peer.seconds / ours.seconds
    return Row(name, ours.seconds, peer.seconds, ratio, f">= {want:g}", ratio >= want)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(CORE), str(HERE)))}
