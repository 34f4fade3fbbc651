"""The whole journey on phantoms with networks of known answer: the promises a radiologist relies on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from liverseg_core import networks
from liverseg_core.cli import main
from liverseg_core.geometry import Grid, as_image, grid_of
from liverseg_core.inference import fast_in_half, infer
from liverseg_core.models import Model
from liverseg_core.pipeline import segment_scan
from liverseg_core.preparation import prepare, stage_grid
from liverseg_core.records import Logits, PreparedScan, Scan
from liverseg_core.restoration import decided, restore
from phantoms import (
    GRIDS,
    bright_liver,
    ellipsoid,
    ellipsoid_ml,
    known_model,
    known_stage,
    overlap,
    saved_model,
    saved_scan,
)

COARSE = known_stage(spacing_mm=(4.0, 4.0, 4.0))
FINE = known_stage(crop="previous", margin_mm=8.0)
FLAT = known_stage(dims=2, window=(1, 64, 64), snap=(1, 8, 8), spacing_mm=(1.5, 1.5, None))
WALKS = {"3-D": (known_stage(),), "3-D in two stages": (COARSE, FINE), "2-D": (FLAT,), "3-D then 2-D": (COARSE, replace(FLAT, crop="previous", margin_mm=6.0))}  # fmt: skip


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("name", GRIDS)
def test_mask_lies_on_the_scan_grid_and_covers_the_liver(name: str, walk: str) -> None:
    scan = bright_liver(GRIDS[name])
    result = segment_scan(scan, known_model(*WALKS[walk]), device="cpu")
    assert result.mask.grid is scan.grid
    assert overlap(ellipsoid(scan.grid), result.mask.voxels == 1) > (0.96 if walk != "3-D" else 0.97)


@pytest.mark.parametrize("name", [name for name in GRIDS if name != "single slice"])
def test_volume_agrees_with_the_formula(name: str) -> None:
    report = segment_scan(bright_liver(GRIDS[name]), known_model(), device="cpu").report
    (volume,) = [m for m in report.measurements if m.quantity == "volume"]
    assert (volume.structure, volume.unit) == ("liver", "ml")
    assert volume.value == pytest.approx(ellipsoid_ml(), rel=0.03)


@pytest.mark.parametrize("name", GRIDS)
def test_a_mask_pushed_through_prepare_and_restore_comes_back(name: str) -> None:
    grid = GRIDS[name]
    truth = ellipsoid(grid)
    own = grid.canonical().spacing_mm
    stage = known_stage(spacing_mm=own)
    scan = Scan(np.where(truth, 150.0, -50.0).astype(np.float32), grid, "ct_portal", "phantom")
    prepared = prepare([scan], stage)
    logits = Logits(torch.cat([-prepared.tensor[0], prepared.tensor[0]]), prepared.grid, (1,))
    assert overlap(truth, restore(logits, grid).voxels == 1) >= 0.99


@pytest.mark.parametrize(("grid", "axis"), [("thick slices", 2), ("plain", 2), ("sagittal", 2)])
def test_two_dimensional_stages_slice_along_the_thickest_axis(grid: str, axis: int) -> None:
    assert np.abs(stage_grid(GRIDS[grid], FLAT).axes[axis, 2]) > 0.9
    coronal = Grid((40, 8, 40), (2.0, 8.0, 2.0))
    assert np.abs(stage_grid(coronal, FLAT).axes[1, 2]) > 0.9


def test_thick_slices_are_never_interpolated_between_in_2d() -> None:
    grid = Grid((40, 40, 9), (1.25, 1.25, 7.7))
    assert stage_grid(grid, FLAT).size[2] == 9
    assert stage_grid(grid, FLAT).spacing_mm == (1.5, 1.5, 7.7)


def smooth_network() -> torch.nn.Module:
    """A network without norms, so that what it says depends on its receptive field alone."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(4, 2, 3, padding=1)
    )


class Listed(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [self.inner(x)]


def test_tiles_say_what_one_window_says_in_their_core() -> None:
    """Where one tile alone decides, further from its faces than the receptive field, nothing may differ."""
    x = torch.randn(1, 1, 40, 44, 48)
    prepared = PreparedScan(x, Grid((48, 44, 40)))
    cpu = torch.device("cpu")
    network = Listed(smooth_network()).eval()
    whole = infer(prepared, known_stage(window=(64, 64, 64)), network, device=cpu, half=False).tensor
    tiled = infer(prepared, known_stage(window=(32, 32, 32)), network, device=cpu, half=False).tensor
    for core in ((slice(0, 8), slice(0, 12), slice(0, 16)), (slice(-8, None), slice(-12, None), slice(-16, None))):
        torch.testing.assert_close(tiled[(slice(None), *core)], whole[(slice(None), *core)], atol=1e-5, rtol=1e-5)
    assert float((whole - tiled).abs().mean()) < 0.05 * float(whole.std())  # and where tiles meet, little


def test_tiles_of_a_voxelwise_network_equal_one_window_exactly() -> None:
    x = torch.randn(1, 1, 37, 50, 41)
    prepared = PreparedScan(x, Grid((41, 50, 37)))
    network = networks.build("threshold", channels=1, labels=2, levels=[0.1]).eval()
    run = lambda window: (
        infer(prepared, known_stage(window=window), network, device=torch.device("cpu"), half=False).tensor
    )
    torch.testing.assert_close(run((64, 64, 64)), run((16, 24, 20)), atol=1e-5, rtol=1e-5)


def test_progress_counts_every_window() -> None:
    seen: list[tuple[int, int]] = []
    prepared = PreparedScan(torch.zeros(1, 1, 40, 40, 40), Grid((40, 40, 40)))
    network = networks.build("threshold", channels=1, labels=2)
    infer(
        prepared,
        known_stage(window=(32, 32, 32)),
        network,
        device=torch.device("cpu"),
        progress=lambda *p: seen.append(p),
    )
    assert seen == [(n, 8) for n in range(1, 9)]


def test_best_quality_averages_the_axes_that_training_flipped_and_no_other() -> None:
    class Sided(torch.nn.Module):
        """Says where along k and i a voxel is, so that a mirrored pass shows."""

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            k = torch.arange(x.shape[2], dtype=torch.float32)[:, None, None].expand(x.shape[2:])
            i = torch.arange(x.shape[4], dtype=torch.float32).expand(x.shape[2:])
            return [torch.stack([k, i])[None]]

    prepared = PreparedScan(torch.zeros(1, 1, 5, 4, 7), Grid((7, 4, 5)))
    stage = known_stage(mirror=("k",))
    seen = infer(prepared, stage, Sided(), device=torch.device("cpu"), mirrored=True, half=False).tensor
    torch.testing.assert_close(seen[0], torch.full((5, 4, 7), 2.0))  # k averaged with its mirror image
    torch.testing.assert_close(seen[1, 0, 0], torch.arange(7.0))  # left and right untouched


@pytest.mark.skipif(not fast_in_half(torch.device("cpu")), reason="this processor has no fast bfloat16")
def test_half_precision_draws_the_same_mask() -> None:
    scan, stage = bright_liver(GRIDS["oblique"]), known_stage(network="unet3d", options={"widths": [4, 8, 8]}, post={})
    torch.manual_seed(1)
    network = networks.build("unet3d", channels=1, labels=2, widths=[4, 8, 8]).eval()
    with torch.no_grad():  # a trained network is decided; a random one is made so by a strong first channel
        network.heads[0].weight.mul_(20)
    prepared = prepare([scan], stage)
    full, half = (
        decided(infer(prepared, stage, network, device=torch.device("cpu"), half=h)).voxels for h in (False, True)
    )
    assert overlap(full == 1, half == 1) >= 0.99


def test_a_scan_smaller_than_one_step_of_the_network_is_segmented() -> None:
    grid = Grid((12, 12, 12), (2.0, 2.0, 2.0))
    scan = Scan(
        np.random.default_rng(0).normal(0, 50, grid.array_shape).astype(np.float32), grid, "ct_portal", "a crop"
    )
    stage = known_stage(network="unet3d", options={"widths": (4, 8, 8, 8)}, spacing_mm=(6.0, 6.0, 6.0))
    assert segment_scan(scan, known_model(stage), device="cpu").mask.voxels.shape == grid.array_shape


def test_nothing_bright_is_reported_as_absent_not_as_zero() -> None:
    grid = GRIDS["plain"]
    scan = Scan(np.where(ellipsoid(grid), -50.0, -100.0).astype(np.float32), grid, "ct_portal", "phantom")
    for stages in WALKS.values():
        report = segment_scan(scan, known_model(*stages), device="cpu").report
        assert all(np.isnan(m.value) and m.reason for m in report.measurements)
        assert [w.code for w in report.warnings] == ["no_liver_found"]


def test_a_liver_that_the_scan_cuts_is_said_to_be_a_part() -> None:
    whole = bright_liver(GRIDS["plain"])
    grid = whole.grid.cropped((0, 0, 0), (48, 40, 16))
    half = Scan(np.ascontiguousarray(whole.voxels[:16]), grid, "ct_portal", "phantom")
    codes = lambda scan: [w.code for w in segment_scan(scan, known_model(), device="cpu").report.warnings]
    assert "liver_cut_by_scan" in codes(half)
    assert "liver_cut_by_scan" not in codes(whole)


def test_largest_island_is_the_card_s_decision() -> None:
    scan = bright_liver(GRIDS["plain"])
    voxels = scan.voxels.copy()
    voxels[1:4, 1:4, 1:4] = 250.0
    stray = replace(scan, voxels=voxels)
    kept = segment_scan(stray, known_model(known_stage(post={})), device="cpu").mask.voxels
    dropped = segment_scan(stray, known_model(), device="cpu").mask.voxels
    assert kept[2, 2, 2] == 1
    assert dropped[2, 2, 2] == 0


def test_neighbouring_slices_and_windows_are_named_channels() -> None:
    scan = bright_liver(GRIDS["thick slices"])
    stage = replace(FLAT, channels=("slice-1", "image", "slice+1", "window:400/50"), spacing_mm=(1.2, 1.2, None))
    tensor = prepare([scan], stage).tensor[0]
    torch.testing.assert_close(tensor[0, 5], tensor[1, 4])
    torch.testing.assert_close(tensor[2, 5], tensor[1, 6])
    torch.testing.assert_close(tensor[2, -1], tensor[1, -1])
    assert float(tensor[3].max()) == 1.0  # 250 HU is the top of a window of 400 about 50
    assert float(tensor[3].min()) == pytest.approx((-100 - 50) / 400 + 0.5)


def test_ct_is_clipped_before_anything_else() -> None:
    """Air at -1000 and air at -125 are the same scan to a network, also at borders that are averaged."""
    scan = bright_liver(Grid((40, 40, 40), (1.0, 1.0, 1.0)))
    air = np.zeros(scan.voxels.shape, bool)
    air[:, :7] = True
    deep, clipped = (
        replace(scan, voxels=np.where(air, value, scan.voxels).astype(np.float32)) for value in (-1000, -125)
    )
    stage = known_stage(spacing_mm=(3.0, 3.0, 3.0))
    torch.testing.assert_close(prepare([deep], stage).tensor, prepare([clipped], stage).tensor)


@pytest.mark.parametrize("name", ["oblique", "left-handed", "thick slices"])
def test_command_line_writes_every_file_in_the_geometry_of_the_scan(tmp_path, name: str) -> None:
    path = saved_scan(tmp_path / "scan.nii.gz", bright_liver(GRIDS[name]))
    model, out = saved_model(tmp_path / "model"), tmp_path / "out"
    assert (
        main(
            ["segment", str(path), "--out", str(out), "--model", str(model), "--phase", "ct_portal", "--device", "cpu"]
        )
        == 0
    )
    assert {f.name for f in out.iterdir()} == {
        "segmentation.nii.gz", "segmentation.seg.nrrd", "measurements.csv", "report.json", "report.html", "preview.png",
    }  # fmt: skip
    given = sitk.ReadImage(str(path))
    for file in ("segmentation.nii.gz", "segmentation.seg.nrrd"):
        mask = sitk.ReadImage(str(out / file))
        assert mask.GetPixelID() == sitk.sitkUInt8
        assert grid_of(mask).matches(grid_of(given))
        assert overlap(ellipsoid(grid_of(given)), sitk.GetArrayFromImage(mask) == 1) > 0.96
    report = json.loads((out / "report.json").read_text())
    assert report["model"]["name"] == "known-answer"
    assert report["phase"] == {"used": "ct_portal", "how": "chosen by the user"}
    assert set(report["seconds"]) == {
        "reading",
        "preparation",
        "inference",
        "restoration",
        "measurements",
        "reporting",
        "total",
    }
    assert report["scan"]["size"] == list(given.GetSize())
    assert "agreement" not in report


def test_without_the_report_everything_for_machines_is_written(tmp_path) -> None:
    path = saved_scan(tmp_path / "scan.nii.gz", bright_liver(GRIDS["plain"]))
    words = [
        "segment",
        str(path),
        "--phase",
        "ct_portal",
        "--model",
        str(saved_model(tmp_path / "model")),
        "--device",
        "cpu",
    ]
    assert main([*words, "--out", str(tmp_path / "out"), "--no-report"]) == 0
    names = {"segmentation.nii.gz", "segmentation.seg.nrrd", "measurements.csv", "report.json"}
    assert {f.name for f in (tmp_path / "out").iterdir()} == names


def test_a_reference_on_another_grid_is_compared_in_space(tmp_path) -> None:
    grid = GRIDS["plain"]
    path = saved_scan(tmp_path / "scan.nii.gz", bright_liver(grid))
    fine = grid.canonical().respaced((1.0, 1.0, 1.0))
    sitk.WriteImage(as_image(ellipsoid(fine).astype(np.uint8), fine), str(tmp_path / "reference.nrrd"))
    arguments = [
        "--model",
        str(saved_model(tmp_path / "m")),
        "--phase",
        "ct_portal",
        "--reference",
        str(tmp_path / "reference.nrrd"),
    ]
    assert main(["segment", str(path), "--out", str(tmp_path / "out"), "--device", "cpu", *arguments]) == 0
    agreement = json.loads((tmp_path / "out" / "report.json").read_text())["agreement"]
    assert agreement["liver"]["dsc"] > 0.95


def test_measuring_a_written_mask_gives_the_same_volumes(tmp_path) -> None:
    path = saved_scan(tmp_path / "scan.nrrd", bright_liver(GRIDS["oblique"]))
    model, out = saved_model(tmp_path / "model"), tmp_path / "out"
    main(["segment", str(path), "--out", str(out), "--model", str(model), "--phase", "ct_portal", "--device", "cpu"])
    for mask in ("segmentation.nii.gz", "segmentation.seg.nrrd"):
        again = tmp_path / f"again-{mask}"
        assert main(["measure", str(out / mask), "--out", str(again), "--scan", str(path)]) == 0
        assert {f.name for f in again.iterdir()} == {"measurements.csv", "report.json", "report.html"}
        volumes = [
            [row for row in (folder / "measurements.csv").read_text().splitlines() if ",volume," in row]
            for folder in (again, out)
        ]
        assert volumes[0] == volumes[1] != []


def test_a_later_stage_does_not_invent_what_an_earlier_one_looked_for_in_vain() -> None:
    """The fine stage calls everything above -50 HU spleen; the coarse one looked for a spleen and saw only liver."""
    coarse = known_stage(spacing_mm=(4.0, 4.0, 4.0), labels=(1, 3), options={"levels": (0.25, 9.0)})
    fine = known_stage(crop="previous", margin_mm=8.0, labels=(1, 3), options={"levels": (-1.6, -1.55)}, post={})
    scan = bright_liver(GRIDS["plain"])
    alone = segment_scan(scan, known_model(replace(fine, crop="none")), device="cpu").mask.voxels
    assert (alone == 3).any()
    assert not (segment_scan(scan, known_model(coarse, fine), device="cpu").mask.voxels == 3).any()


@pytest.mark.parametrize(
    ("quality", "mirrored", "stages"), [("fast", False, 1), ("standard", False, 2), ("best", True, 2)]
)
def test_only_best_quality_mirrors(monkeypatch, quality: str, mirrored: bool, stages: int) -> None:
    asked = []

    def spy(*arguments: object, **options: object) -> Logits:
        asked.append(options["mirrored"])
        return infer(*arguments, **options)

    monkeypatch.setattr("liverseg_core.inference.infer", spy)
    segment_scan(bright_liver(GRIDS["plain"]), known_model(COARSE, FINE), quality=quality, device="cpu")
    assert asked == [mirrored] * stages


def test_what_is_nowhere_sure_was_not_found() -> None:
    """Logits of +1 and -1 are a probability of .88: enough to win everywhere, not to be sure anywhere."""
    tensor = torch.full((2, 8, 8, 8), 1.0)
    tensor[1, 2:6, 2:6, 2:6], tensor[0, 2:6, 2:6, 2:6] = 1.0, -1.0
    tensor[1, :2] = -3.0
    logits = Logits(tensor, Grid((8, 8, 8)), (1,))
    assert (decided(logits).voxels == 1).sum() == 64
    assert not decided(logits, sure=0.9).voxels.any()
    assert (decided(logits, sure=0.85).voxels == 1).sum() == 64
    scan = bright_liver(GRIDS["plain"])
    unsure = known_model(replace(known_stage(), sure=0.99))  # its liver is 1.75 over the threshold: .97
    for quality in ("fast", "standard"):
        assert not segment_scan(scan, unsure, quality=quality, device="cpu").mask.voxels.any()


def test_a_code_that_no_earlier_stage_knows_may_be_found_later() -> None:
    fine = known_stage(crop="previous", margin_mm=8.0, labels=(1, 2), options={"levels": (0.0, 0.5)}, post={})
    mask = segment_scan(bright_liver(GRIDS["plain"]), known_model(COARSE, fine), device="cpu").mask.voxels
    assert (mask == 2).any()


def test_stages_past_the_first_are_left_out_in_fast_quality() -> None:
    model = known_model(COARSE, known_stage(crop="previous", options={"levels": [99.0]}, network="threshold"))
    networks_ = (model.networks[0], networks.build("threshold", channels=1, labels=2, levels=[99.0]))
    model = Model(model.card, networks_)
    scan = bright_liver(GRIDS["plain"])
    assert segment_scan(scan, model, quality="fast", device="cpu").mask.voxels.any()
    assert not segment_scan(scan, model, quality="standard", device="cpu").mask.voxels.any()
