"""Rows of `benchmark.py training`: blocks a second that two workers make against the peers' loaders, and what a step
costs over a bare loop of torch. Every way runs in a process of its own, on the same made-up cases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PATHS = [str(ROOT / "LiverSegExtension" / "LiverSeg"), str(ROOT / "LiverSegTraining"), str(Path(__file__).parent)]
PATCH = (96, 96, 96)
SHAPE = (176, 192, 208)  # [k, j, i] of a case
CASES, WORKERS = 4, 2
WARM = 16  # blocks that do not count: workers start, and some transforms time their own variants first
WAYS = {"nnunet": ("nnU-Net v2's transforms (batchgeneratorsv2)", 2.0), "monai": ("MONAI's dictionary transforms", 4.0)}
# Every way wears the same shares of the blocks: those that nnU-Net's own training comes to for one channel. Kind by kind:
# it rotates 0.2 and scales 0.2; brightness 0.15 and contrast 0.15 (ours: one bias field, MONAI: one scale); noise 0.1; blur
# and low resolution each come to half of the channels of 0.2 and 0.25; gamma 0.1 of the inverted image and 0.3 as it is.
TURNED = 1 - (1 - 0.2) * (1 - 0.2)
SHARES = {"gamma": 0.4, "bias": 0.3, "noise": 0.1, "blur": 0.1, "thick": 0.125}
_EXPERIMENT = {
    "experiment": {"name": "benchmark", "out_dir": "run", "max_steps": 1, "amp": "off"},
    "data": {"labels": [1]},
    "preprocess": {"spacing_mm": [3.0, 3.0, 3.0], "normalisation": {"CT": "ct_fixed", "MR": "body_zscore"}},
    "network": {"kind": "unet3d", "options": {"widths": [16, 32, 64, 96], "heads": 2}},
    "loss": {"supervision": [1.0, 0.5]},
    "sampler": {"kind": "patch", "batch": 1, "foreground": 0.33},
    "augment": {
        "turned": TURNED,
        "rotate_deg": [30.0, 30.0, 30.0],
        "scale": [0.7, 1.4],
        "flip": {"k": 0.5, "j": 0.5},
        "gamma": [0.7, 1.5],
        "shares": {**SHARES, "thick": 2 * SHARES["thick"]},  # half of them are no thicker than the voxels already are
        "bias": 0.2,
        "noise": 0.3,
        "blur_mm": 3.0,
        "thick_mm": 6.0,
    },
    "infer": {"window": list(PATCH), "snap": [8, 8, 8]},
}


def rows(options: Any) -> Iterator[Any]:
    """`options` and the rows are those of benchmark.py."""
    from benchmark import Row

    with tempfile.TemporaryDirectory(prefix="liverseg-benchmark-") as folder:
        _write_cases(Path(folder))
        count = 16 if options.quick else 64
        name = f"{PATCH[0]}^3 blocks a second, {WORKERS} workers"
        ours = _measured("ours", Path(folder), count, Path(sys.executable))
        for way, (title, factor) in WAYS.items():
            peer = _measured(way, Path(folder), count, options.peer_python)
            if peer is None or ours is None:
                yield Row(f"{name}: {title} is not installed", ours, None, None, f">= {factor:g}x", None)
                continue
            ratio = ours / peer
            yield Row(f"{name}: {title}", ours, peer, ratio, f">= {factor:g}x", ratio >= factor)
        steps = 6 if options.quick else 20
        found = _measured("step", Path(folder), steps, Path(sys.executable), several=True)
        yield _step_row("a step on the CPU, s, beside a bare loop of torch", found, Row)
        gpu = _measured("gpu", Path(folder), 4 * steps, Path(sys.executable), several=True)
        yield _step_row("a step of `fit` on the GPU, s, beside a bare loop that waits for no data", gpu, Row)


def _step_row(name: str, found: Any, row: Any) -> Any:
    if not found:
        return row(f"{name}: no such device here", None, None, None, "<= 1.1", None)
    own, bare = found
    return row(name, own, bare, own / bare, "<= 1.1", own / bare <= 1.1)


def _measured(way: str, folder: Path, count: int, python: Path, *, several: bool = False) -> Any:
    """What a process of its own prints; None where it cannot run."""
    path = os.pathsep.join([*PATHS, os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [str(python), __file__, way, str(folder), str(count)], check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "2" if several else "1"},
    )  # fmt: skip
    if run.returncode != 0:
        return None
    answer = json.loads(run.stdout.splitlines()[-1])
    return answer if several else answer[0]


def _write_cases(folder: Path) -> None:
    """Noise and an ellipsoid, as the cache holds cases."""
    rng = np.random.default_rng(0)
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    for n in range(CASES):
        liver = sum(((g - 0.1 * n) / r) ** 2 for g, r in zip(grid, (0.5, 0.4, 0.6))) <= 1
        image = np.where(liver, 110, -20) + rng.normal(0, 15, SHAPE)
        np.save(folder / f"{n}.image.npy", image.astype(np.float16))
        np.save(folder / f"{n}.labels.npy", liver.astype(np.uint8))


def _rate(batches: Iterable[Any], count: int) -> list[float]:
    """Blocks a second; the first ones, for which the workers start, do not count."""
    source = iter(batches)
    for _ in range(WARM):
        next(source)
    began = time.perf_counter()
    for _ in range(count):
        next(source)
    return [count / (time.perf_counter() - began)]


def _ours(folder: Path, count: int) -> list[float]:
    import torch
    from liverseg_training.experiment import experiment_from
    from liverseg_training.feeding import Feed, fed
    from liverseg_training.sampling import BatchSampler

    experiment = experiment_from(_EXPERIMENT, "benchmark")
    sampler = BatchSampler(
        _cached(folder), experiment.stage(), experiment.sampler, experiment.augment, experiment.data.weights
    )
    for source in sampler.sources:  # what a run asks of a case once
        assert source.spots.size
        assert source.scale.high > source.scale.low
    end = count + WARM
    return _rate(fed(Feed(experiment, sampler), 0, end, WORKERS, torch.device("cpu")), count)


def _cached(folder: Path) -> list[Any]:
    from liverseg_training.cache import CachedCase
    from liverseg_training.cases import Case

    made = []
    for n in range(CASES):
        image, labels = (np.load(folder / f"{n}.{part}.npy", mmap_mode="r") for part in ("image", "labels"))
        case = Case(str(n), folder, folder, "ct_portal", (1,))
        made.append(CachedCase(case, image, labels, (3.0, 3.0, 3.0), np.zeros(3), np.array(SHAPE, float), str(n)))
    return made


class _Blocks:
    """For the peers: block n of a case, cut by `place` and worn by `worn`; a fresh draw every time."""

    def __init__(self, folder: Path, length: int, made: Callable[[np.ndarray, np.ndarray, Any], Any]) -> None:
        self.pairs = [
            tuple(np.load(folder / f"{n}.{part}.npy", mmap_mode="r") for part in ("image", "labels"))
            for n in range(CASES)
        ]
        self.length, self.made = length, made

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, n: int) -> Any:
        rng = np.random.default_rng(n)
        return self.made(*self.pairs[int(rng.integers(CASES))], rng)


def _loaded(folder: Path, count: int, made: Callable[[np.ndarray, np.ndarray, Any], Any]) -> list[float]:
    import torch
    from torch.utils.data import DataLoader

    blocks = _Blocks(folder, count + WARM, made)
    loader: Any = DataLoader(blocks, batch_size=None, num_workers=WORKERS, prefetch_factor=2)  # type: ignore[arg-type]
    torch.set_num_threads(1)
    return _rate(loader, count)


def _nnunet(folder: Path, count: int) -> list[float]:
    """Its training transforms on the block that they ask for: larger than the patch, so that turns find voxels."""
    import torch
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    turn = (-np.pi / 6, np.pi / 6)
    transforms = nnUNetTrainer.get_training_transforms(PATCH, turn, None, (0, 1), do_dummy_2d_data_aug=False)
    larger = get_patch_size(PATCH, turn, turn, turn, (0.85, 1.25))

    def made(image: np.ndarray, labels: np.ndarray, rng: Any) -> Any:
        block = _block(labels, larger, rng)
        x = torch.from_numpy(_padded(image[block].astype(np.float32), larger, 0)[None])
        y = torch.from_numpy(_padded(labels[block].astype(np.int16), larger, 0)[None])
        return transforms(image=x, segmentation=y)

    return _loaded(folder, count, made)


def _monai(folder: Path, count: int) -> list[float]:
    from monai import transforms as t

    both, size = ["image", "label"], list(PATCH)
    steps = t.Compose([
        t.RandCropByPosNegLabeld(both, "label", size, pos=1, neg=2, num_samples=1, allow_smaller=True),
        t.RandAffined(both, prob=TURNED, rotate_range=[np.pi / 6] * 3, scale_range=[0.3] * 3, mode=["bilinear", "nearest"], padding_mode="border"),
        t.RandGaussianNoised("image", prob=SHARES["noise"]),
        t.RandGaussianSmoothd("image", prob=SHARES["blur"]),
        t.RandScaleIntensityd("image", 0.25, prob=SHARES["bias"]),
        t.RandSimulateLowResolutiond("image", prob=SHARES["thick"], zoom_range=(0.5, 1.0)),
        t.RandAdjustContrastd("image", prob=SHARES["gamma"], gamma=(0.7, 1.5)),
        *(t.RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in (0, 1)),
    ])  # fmt: skip

    def made(image: np.ndarray, labels: np.ndarray, rng: Any) -> Any:
        del rng
        return steps({"image": image[None].astype(np.float32), "label": labels[None]})

    return _loaded(folder, count, made)


def _block(labels: np.ndarray, size: Sequence[int], rng: Any) -> tuple[slice, ...]:
    """Anywhere, or for a third of the draws about the middle of the organ; inside the case."""
    room = [max(n - int(s), 0) for n, s in zip(labels.shape, size)]
    first = [r // 2 for r in room] if rng.random() < 0.33 else [int(rng.integers(r + 1)) for r in room]
    return tuple(slice(a, a + int(s)) for a, s in zip(first, size))


def _padded(block: np.ndarray, size: Sequence[int], value: int) -> np.ndarray:
    short = [max(int(s) - n, 0) for s, n in zip(size, block.shape)]
    return np.pad(block, [(n // 2, n - n // 2) for n in short], constant_values=value)


class _Pair:
    """One constant batch, a run's step on it and a bare loop's: the same network, loss and optimiser."""

    def __init__(self, raw: dict[str, Any], folder: Path, device: str, side: int, batch: int) -> None:
        import torch
        from liverseg_training.experiment import experiment_from
        from liverseg_training.feeding import Shown
        from liverseg_training.fit import Teacher
        from liverseg_training.losses import SegmentationLoss
        from liverseg_training.semi import semi_of
        from liverseg_training.trainee import new_trainee

        self.experiment = experiment_from(raw, "benchmark")
        self.loss = SegmentationLoss(self.experiment.loss.terms, self.experiment.loss.supervision)
        self.teacher = Teacher(self.loss, semi_of(self.experiment.semi), folder)
        self.pupil, self.bare = (new_trainee(self.experiment, torch.device(device)) for _ in range(2))
        shape = (batch, 1, side, side, side)
        target, known = torch.zeros(shape, dtype=torch.uint8), torch.ones(batch, 2, dtype=torch.bool)
        self.batch = Shown(torch.randn(shape), target, known).on(torch.device(device))

    def ours(self, step: int, batch: Any) -> float:
        from liverseg_training.fit import learned
        from liverseg_training.rates import Moment, turn

        at = Moment(step, 10**6)
        turn(self.pupil.optimiser, at, self.experiment.optim, self.experiment.schedule)
        value = learned(self.pupil, batch, self.teacher, at, 1)
        self.pupil.step(self.experiment.optim.clip)
        self.pupil.follow(self.experiment.experiment.ema)
        return value

    def plain(self) -> None:
        self.bare.optimiser.zero_grad(set_to_none=True)
        with self.bare.short():
            answer = self.bare.networks[0](self.batch.image)
        value: Any = self.loss(answer, self.batch.target, self.batch.known)
        value.backward()
        self.bare.optimiser.step()


def _step(folder: Path, count: int) -> list[float]:
    """Seconds a step of ours, history.csv included, and of a bare loop; the least of each, taken in turns."""
    from liverseg_training.diary import Diary

    raw = {**_EXPERIMENT, "experiment": {**_EXPERIMENT["experiment"], "out_dir": str(folder), "log_every": 10**6}}
    pair = _Pair(raw, folder, "cpu", PATCH[0] // 2, 1)
    diary = Diary(pair.experiment, count, (), 0)
    taken: dict[str, list[float]] = {"ours": [], "plain": []}
    for step in range(count):
        began = time.perf_counter()
        diary.step(step + 1, pair.ours(step, pair.batch), 0.0, 0.0, None)
        half = time.perf_counter()
        pair.plain()
        taken["ours"].append(half - began)
        taken["plain"].append(time.perf_counter() - half)
    return [min(taken["ours"][1:]), min(taken["plain"][1:])]


def _gpu(folder: Path, count: int) -> list[float]:
    """Mean seconds a step with blocks made beside it, and of a bare loop on one batch that is there already."""
    import torch
    from liverseg_training.feeding import Feed, fed
    from liverseg_training.sampling import BatchSampler

    if not torch.cuda.is_available():
        return []
    raw = {
        **_EXPERIMENT,
        "experiment": {**_EXPERIMENT["experiment"], "amp": "bf16"},
        "sampler": {**_EXPERIMENT["sampler"], "batch": 2},
        "network": {"kind": "unet3d", "options": {"widths": [32, 64, 128, 256, 320], "heads": 2}},
    }
    pair, warm = _Pair(raw, folder, "cuda", PATCH[0], 2), 8
    own = pair.experiment
    sampler = BatchSampler(_cached(folder), own.stage(), own.sampler, own.augment, {})
    source = fed(Feed(own, sampler), 0, count + warm, -1, torch.device("cuda"))

    def measured(work: Callable[[], object]) -> float:
        for _ in range(warm):
            work()
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            work()
        torch.cuda.synchronize()
        return (time.perf_counter() - began) / count

    def step() -> None:
        number, batches, _ = next(source)
        pair.ours(number, batches[0].on(torch.device("cuda")))

    return [measured(step), measured(pair.plain)]


if __name__ == "__main__":
    WAY = {"ours": _ours, "nnunet": _nnunet, "monai": _monai, "step": _step, "gpu": _gpu}[sys.argv[1]]
    print(json.dumps(WAY(Path(sys.argv[2]), int(sys.argv[3]))))
