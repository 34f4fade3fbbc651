"""The shipped model: what it promises on scans that anybody can make, and on two real ones where they are at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from liverseg_core.cli import main
from liverseg_core.geometry import Grid
from liverseg_core.inference import fast_in_half, infer
from liverseg_core.library import BUNDLE, DEFAULT_MODEL, verify
from liverseg_core.models import Model, load_model
from liverseg_core.phases import PHASES
from liverseg_core.pipeline import segment_scan
from liverseg_core.preparation import prepare
from liverseg_core.reading import read_mask, read_scan
from liverseg_core.records import Scan
from liverseg_core.restoration import restore
from liverseg_core.synthetic import CONTRASTS, abdomen
from phantoms import SHARED, overlap

ROOT = Path(__file__).resolve().parents[2]
FOLDER = BUNDLE / DEFAULT_MODEL
ORGANS = {1: 0.85, 3: 0.5, 4: 0.5, 5: 0.5}  # code -> least DSC on the synthetic abdomen


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(FOLDER)


def test_the_card_is_whole_and_the_weights_are_small() -> None:
    card = verify(FOLDER)
    assert card.name == DEFAULT_MODEL
    assert card.labels == (1, 3, 4, 5)
    assert len(card.stages) == 2
    assert (FOLDER / "weights.safetensors").stat().st_size <= 6_000_000
    assert {"mr_adc", "mr_fat"} == set(PHASES) - set(card.fit_phases)
    assert card.measured_on("ct_portal").n == 5
    assert card.measured_on("mr_dwi").cases == "not measured on real scans"
    assert all("i" not in stage.mirror for stage in card.stages)
    assert card.licence
    assert card.training_data
    assert card.known_failures


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_it_segments_the_synthetic_abdomen(model: Model, contrast: str) -> None:
    scan, truth, volumes = abdomen(contrast)
    result = segment_scan(scan, model, device="cpu")
    for code, least in ORGANS.items():
        assert overlap(result.mask.voxels == code, truth.voxels == code) >= least, f"code {code}"
    (liver,) = [m.value for m in result.report.measurements if (m.structure, m.quantity) == ("liver", "volume")]
    assert liver == pytest.approx(volumes[1], rel=0.25)


def test_half_an_abdomen_is_segmented_and_said_to_be_a_part(model: Model) -> None:
    scan, truth, _ = abdomen("ct")
    middle = 48
    half = Scan(
        scan.voxels[:middle].copy(), scan.grid.cropped((0, 0, 0), (*scan.grid.size[:2], middle)), scan.phase, "half"
    )
    result = segment_scan(half, model, device="cpu")
    assert "liver_cut_by_scan" in [w.code for w in result.report.warnings]
    assert overlap(result.mask.voxels == 1, truth.voxels[:middle] == 1) > 0.75


def head() -> Scan:
    """A skull of bone around a brain, in air, at a head's size."""
    grid = Grid((96, 112, 80), (2.2, 2.2, 2.5), (-105.0, -122.0, -100.0))
    k, j, i = np.indices(grid.array_shape)
    points = grid.world_mm(np.stack([i, j, k], axis=-1).reshape(-1, 3)).reshape(*grid.array_shape, 3)
    radius = np.linalg.norm(points / (75.0, 92.0, 88.0), axis=-1)
    voxels = np.select([radius < 0.9, radius < 0.97, radius < 1.03], [38.0, 900.0, 30.0], -1000.0)
    noise = np.random.default_rng(0).normal(0, 6, grid.array_shape)
    return Scan((voxels + noise).astype(np.int16), grid, "ct_native", "a head")


def pelvis() -> Scan:
    """The lowest slices of the abdomen: fat, muscle, bone and bowel, no liver."""
    scan, truth, _ = abdomen("ct", grid=Grid((136, 96, 40), (2.6, 2.6, 3.0), (-175.5, -123.5, -290.0)))
    assert not (truth.voxels == 1).any()
    return Scan(scan.voxels, scan.grid, "ct_portal", "a pelvis")


@pytest.mark.parametrize("scan", [head(), pelvis()], ids=["head", "pelvis"])
def test_no_liver_is_found_where_there_is_none(model: Model, scan: Scan) -> None:
    report = segment_scan(scan, model, device="cpu").report
    (liver,) = [m for m in report.measurements if (m.structure, m.quantity) == ("liver", "volume")]
    assert np.isnan(liver.value)
    assert liver.reason
    assert "no_liver_found" in [w.code for w in report.warnings]


@pytest.mark.skipif(not fast_in_half(torch.device("cpu")), reason="this processor has no fast bfloat16")
def test_half_precision_changes_next_to_nothing(model: Model) -> None:
    scan, truth, _ = abdomen("ct")
    stage, network = model.card.stages[0], model.networks[0]
    prepared = prepare([scan], stage)
    full, half = (
        restore(infer(prepared, stage, network, device=torch.device("cpu"), half=h), scan.grid).voxels == 1
        for h in (False, True)
    )
    assert overlap(full, half) >= 0.999
    assert half.sum() == pytest.approx(full.sum(), rel=0.002)
    assert overlap(full, truth.voxels == 1) > 0.7


@pytest.mark.parametrize("quality", ["fast", "best"])
def test_every_quality_draws_the_liver(model: Model, quality: str) -> None:
    scan, truth, _ = abdomen("ct")
    result = segment_scan(scan, model, quality=quality, device="cpu")
    assert overlap(result.mask.voxels == 1, truth.voxels == 1) >= (0.75 if quality == "fast" else 0.85)


@pytest.mark.skipif(not SHARED.exists(), reason="needs the development data")
@pytest.mark.parametrize(
    ("case", "phase", "least"), [("btcv_0037", "ct_portal", 0.88), ("chaos_t2spir_38", "mr_t2fs", 0.82)]
)
def test_it_segments_real_scans(model: Model, case: str, phase: str, least: float) -> None:
    folder = SHARED / "cases" / case
    scan, truth = read_scan(folder / "image.nii.gz", phase), read_mask(folder / "labels.nii.gz")
    assert overlap(segment_scan(scan, model, device="cpu").mask.voxels == 1, truth.voxels == 1) >= least


def test_the_command_line_takes_it_by_default(tmp_path, capsys) -> None:
    assert main(["sample", "ct", str(tmp_path / "s")]) == 0
    out = tmp_path / "out"
    arguments = ["segment", str(tmp_path / "s" / "image.nii.gz"), "--out", str(out), "--device", "cpu"]
    assert main([*arguments, "--reference", str(tmp_path / "s" / "labels.nii.gz")]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["model"]["name"] == DEFAULT_MODEL
    assert report["model"]["sha256"] == verify(FOLDER).sha256
    assert report["agreement"]["liver"]["dsc"] >= ORGANS[1]


def test_a_wheel_installed_elsewhere_segments(tmp_path) -> None:
    """Built from this checkout, unpacked into a folder of its own, run by a Python that sees nothing else of it."""
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run([*build, "--disable-pip-version-check"], check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("liverseg-*.whl")
    site = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run([*install, "--disable-pip-version-check"], check=True)
    assert sorted(p.name for p in site.iterdir() if p.is_dir() and not p.name.endswith(".dist-info") and p.name != "bin") == [
        "liverseg_core", "liverseg_training",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(site)}
    run = [sys.executable, "-m", "liverseg_core"]
    subprocess.run([*run, "sample", "ct", str(tmp_path / "s")], check=True, env=environment, cwd=tmp_path)
    done = subprocess.run(
        [*run, "segment", str(tmp_path / "s" / "image.nii.gz"), "--out", str(tmp_path / "out"), "--quality", "fast", "--device", "cpu"],
        check=False, env=environment, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").exists()
