"""Three tiny synthetic cases, and an experiment that trains on them in seconds."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from liverseg_core.geometry import Grid, as_image
from liverseg_training.checkpoints import LAST, load_checkpoint
from liverseg_training.experiment import Experiment, experiment_from
from phantoms import ellipsoid

GRID = Grid((44, 40, 36), (4.0, 4.0, 4.0))
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background of a shell begins without it


def write_case(folder: Path, modality: str, *, codes: tuple[int, ...] = (1, 3), shift: int = 0) -> None:
    """A bright liver and a darker spleen beside it in a noisy body; `codes` says what is annotated."""
    folder.mkdir(parents=True)
    labels = np.zeros(GRID.array_shape, np.uint8)
    labels[np.roll(ellipsoid(GRID, (44.0, 40.0, 40.0)), shift, axis=2)] = 1
    labels[16:24, 12:28, 38:42] = 3
    grey = np.array([-60, 160, 0, 60])[labels] + np.random.default_rng(10 + shift).normal(0, 8, labels.shape)
    image = (grey if modality == "CT" else grey + 200).astype(np.int16)
    labels[~np.isin(labels, codes)] = 0
    sitk.WriteImage(as_image(image, GRID), str(folder / "image.nii.gz"))
    sitk.WriteImage(as_image(labels, GRID), str(folder / "labels.nii.gz"))
    phase = "portal venous" if modality == "CT" else "T2-SPIR"
    meta = {"modality": modality, "phase": phase, "labels_ml": {str(code): 1.0 for code in codes}}
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_case(folder / "cases" / "one", "CT")
    write_case(folder / "cases" / "two", "MR", shift=2)
    write_case(folder / "cases" / "three", "CT", codes=(1,), shift=-2)
    write_case(folder / "cases" / "held", "CT", shift=1)
    (folder / "split.json").write_text(json.dumps({"validation": ["held"]}))
    return folder


@pytest.fixture
def raw(data: Path, tmp_path: Path) -> dict:
    return {
        "experiment": {"name": "tiny", "out_dir": str(tmp_path / "run"), "max_steps": 6, "checkpoint_every": 2, "amp": "off", "device": "cpu", "ema": 0.5},
        "data": {"folder": str(data), "cache": str(tmp_path / "cache"), "labels": [1, 3]},
        "preprocess": {"spacing_mm": [4.0, 4.0, 4.0], "normalisation": {"CT": "ct_fixed", "MR": "body_zscore"}},
        "network": {"kind": "unet3d", "options": {"widths": [4, 8], "heads": 2}},
        "loss": {"supervision": [1.0, 0.5]},
        "sampler": {"kind": "scan", "batch": 2, "partial": 0.3},
        "augment": {
            "simulate": 0.4, "remap": 0.2, "gamma": [0.7, 1.4], "bias": 0.2, "noise": 0.2, "blur_mm": 4.0, "thick_mm": 9.0,
            "flip": {"k": 0.2},
        },
        "optim": {"lr": 0.01},
        "schedule": {"warmup": 1},
        "infer": {"window": [64, 64, 64], "snap": [4, 4, 4]},
        "card": {"fit_phases": ["ct_portal"], "licence": "test"},
    }  # fmt: skip


@pytest.fixture
def tiny(raw: dict) -> Experiment:
    return experiment_from(raw, "tiny.toml")


@pytest.fixture
def same_state() -> Callable[[Path, Path], bool]:
    return _same_state


@pytest.fixture
def toml_of() -> Callable[[dict, Path], Path]:
    return _toml_of


def _same_state(one: Path, other: Path) -> bool:
    a, b = (load_checkpoint(folder / LAST) for folder in (one, other))
    tensors = [*zip(a.networks, b.networks), *zip(a.averages, b.averages)]
    moments = [(a.optimiser["state"][n], b.optimiser["state"][n]) for n in a.optimiser["state"]]
    return (a.step, a.scores) == (b.step, b.scores) and all(
        torch.equal(x[key], y[key]) for x, y in (*tensors, *moments) for key in x
    )


def _toml_of(raw: dict, path: Path) -> Path:
    def value(v: object) -> str:
        if isinstance(v, dict):
            return "{ " + ", ".join(f"{k} = {value(w)}" for k, w in v.items()) + " }"
        return json.dumps(v)

    lines = [
        line
        for name, section in raw.items()
        for line in (f"[{name}]", *(f"{k} = {value(v)}" for k, v in section.items()))
    ]
    path.write_text("\n".join(lines) + "\n")
    return path
