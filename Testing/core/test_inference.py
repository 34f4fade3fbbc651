"""The fast form, the choice of windows, and what happens when memory runs short on the way."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from liverseg_core import fastform, inference, networks, preparation, windows
from liverseg_core.ahead import ModelAhead, ready
from liverseg_core.errors import MemoryShortageError, ModelError
from liverseg_core.fastform import FastForm, fast_form, half_type, laid_out
from liverseg_core.geometry import Grid, as_image, grid_of
from liverseg_core.inference import infer
from liverseg_core.library import BUNDLE, DEFAULT_MODEL
from liverseg_core.models import load_model
from liverseg_core.networks.unet3d import joined
from liverseg_core.pipeline import segment_scan
from liverseg_core.preparation import grown, lay, stage_grid
from liverseg_core.records import LabelMask, Logits, PreparedScan, Scan
from liverseg_core.restoration import restore
from liverseg_core.synthetic import abdomen
from phantoms import GRIDS, bright_liver, ellipsoid, known_model, known_stage, overlap, saved_model
from scipy import ndimage

CPU = torch.device("cpu")
SMALL = known_stage(network="unet3d", options={"widths": (4, 8, 8)}, window=(32, 32, 32))


def small_network() -> torch.nn.Module:
    torch.manual_seed(0)
    return networks.build("unet3d", channels=1, labels=2, widths=(4, 8, 8)).eval()


def noise(*shape: int) -> PreparedScan:
    generator = torch.Generator().manual_seed(0)
    k, j, i = shape
    return PreparedScan(torch.randn(1, 1, k, j, i, generator=generator), Grid((i, j, k)))


def test_the_fast_form_is_the_same_function() -> None:
    """In float32 nothing is left but the order of the sums; MONAI's networks use the same modules."""
    plain, x = small_network(), torch.randn(1, 1, 16, 24, 32)
    with torch.inference_mode():
        torch.testing.assert_close(fast_form(plain, CPU, None)(laid_out(x, CPU))[0], plain(x)[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("slab", [1 << 21, 3000, 1])
@pytest.mark.parametrize("dims", [2, 3])
def test_joining_without_laying_side_by_side_is_the_same_function(monkeypatch, slab: int, dims: int) -> None:
    monkeypatch.setattr("liverseg_core.networks.unet3d._SLAB_VOXELS", slab)
    torch.manual_seed(0)
    plain = networks.build("unet3d", channels=1, labels=2, dims=dims, widths=(4, 8, 8)).eval()
    x = torch.randn(1, 1, 16, 24, 32) if dims == 3 else torch.randn(3, 1, 1, 24, 32)
    lean = fast_form(plain, CPU, None)
    assert lean.lean
    assert not plain.lean
    lift, convolution = torch.nn.ConvTranspose3d(3, 4, 2, 2), torch.nn.Conv3d(9, 2, 3, padding=1)  # with biases
    low, skip = torch.randn(1, 3, 5, 6, 7), torch.randn(1, 5, 10, 12, 14)
    with torch.inference_mode():
        torch.testing.assert_close(lean(x)[0], plain(x)[0], atol=1e-5, rtol=1e-4)
        one, other = (joined(lift, convolution, low, [skip], lean=lean) for lean in (True, False))
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_the_fast_form_leaves_the_network_of_training_alone() -> None:
    plain = small_network()
    before = {name: (tensor.dtype, tensor.stride(), tensor.clone()) for name, tensor in plain.state_dict().items()}
    form = fast_form(plain, CPU, torch.bfloat16)
    assert {type(m) for m in plain.modules()} - {type(m) for m in form.modules()} == {torch.nn.InstanceNorm3d}
    for name, tensor in plain.state_dict().items():
        dtype, stride, values = before[name]
        assert (tensor.dtype, tensor.stride()) == (dtype, stride)
        assert torch.equal(tensor, values)
    weights = [p for p in form.parameters() if p.ndim == 5 and p.shape[1] > 1]
    assert all(p.dtype == torch.bfloat16 and p.is_contiguous(memory_format=torch.channels_last_3d) for p in weights)


def test_normalising_by_group_keeps_channels_last() -> None:
    form = fast_form(torch.nn.Sequential(torch.nn.InstanceNorm3d(8, affine=True)), CPU, None)
    x = laid_out(torch.randn(1, 8, 4, 4, 4), CPU)
    assert form(x).is_contiguous(memory_format=torch.channels_last_3d)


def test_statistics_that_were_learned_stay_as_they_are() -> None:
    norm = torch.nn.InstanceNorm3d(2, track_running_stats=True)
    assert isinstance(fast_form(torch.nn.Sequential(norm), CPU, None)[0], torch.nn.InstanceNorm3d)


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_gpus_before_ampere_compute_in_float16(monkeypatch, capability, expected) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert half_type(torch.device("cuda")) == expected
    assert half_type(torch.device("mps")) is None


@pytest.mark.parametrize("contrast", ["ct", "t2"])
def test_the_shipped_model_draws_the_same_in_its_fast_form(monkeypatch, contrast: str) -> None:
    scan, _, _ = abdomen(contrast)
    model = load_model(BUNDLE / DEFAULT_MODEL)
    fast = segment_scan(scan, model, device="cpu").mask.voxels == 1
    monkeypatch.setattr(fastform, "fast_form", lambda network, *_: network)
    monkeypatch.setattr(inference, "half_type", lambda _: None)
    plain = segment_scan(scan, model, device="cpu").mask.voxels == 1
    assert overlap(fast, plain) >= 0.999
    assert fast.sum() == pytest.approx(plain.sum(), rel=0.002)


# a region of 100 x 60 x 200 voxels, a card with a window of 96 and a stride of 16
CHOICES = {
    "the organ is one window": ({"crop": "previous"}, (100, 60, 200)),
    "a whole scan stays within the card's": ({"crop": "none"}, (96, 60, 96)),
    "fixed networks have one size": ({"crop": "previous", "snap": None}, (96, 96, 96)),
    "slices are batched": ({"dims": 2, "window": (1, 96, 96), "snap": (1, 16, 16)}, (16, 60, 96)),
}


@pytest.mark.parametrize("name", CHOICES)
def test_windows_are_tried_from_the_largest_down(name: str) -> None:
    changes, first = CHOICES[name]
    stage = known_stage(**{"window": (96, 96, 96), "snap": (16, 16, 16), **changes})
    known = windows.windows((100, 60, 200), stage)
    assert known[0] == first
    assert all(prod(smaller) < prod(larger) for larger, smaller in pairwise(known))
    if stage.snap is not None:
        assert known[-1] == ((32, 32, 32) if stage.dims == 3 else (1, 32, 32))
        below = [n for window in known[2:] for n, size, step in zip(window, (100, 60, 200), stage.snap) if n < size]
        assert all(n % 16 == 0 or n <= 16 for n in below)


@pytest.mark.parametrize("dims", [2, 3])
def test_tiles_cover_every_voxel(dims: int) -> None:
    seen = np.zeros((37, 50, 41), int)
    for tile in windows.tiles(seen.shape, (16, 24, 41), dims):
        seen[tile] += 1
    assert seen.min() == 1


def test_the_estimate_knows_what_a_network_holds() -> None:
    """Three layers of 8 channels in float32: input and output of a layer live at once, 64 bytes a voxel."""
    layers = [torch.nn.Conv3d(8 if n else 1, 8, 3, padding=1) for n in range(3)]
    network = torch.nn.Sequential(*layers)
    with torch.inference_mode():
        each = windows.bytes_a_voxel(network, known_stage(), CPU)
    assert each == pytest.approx(windows._SPARE * 64 + 4, rel=0.01)


class Picky(torch.nn.Module):
    """Runs out of memory for windows above a size, as a small GPU does."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.seen = most, []

    def __deepcopy__(self, memo: object) -> Picky:
        return self

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        if x[0, 0].numel() > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.seen.append(tuple(x.shape[2:]))
        return [torch.cat([-x, x], dim=1)]


def test_a_window_too_large_for_the_device_is_followed_by_a_smaller_one() -> None:
    prepared, network = noise(64, 64, 64), Picky(40**3)
    logits = infer(prepared, replace(SMALL, crop="previous", snap=(8, 8, 8)), network, device=CPU)
    assert set(network.seen[1:]) == {(32, 32, 32)}
    torch.testing.assert_close(logits.tensor[1], prepared.tensor[0, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("most", [100, 10**4])
def test_when_not_even_the_smallest_fits_the_sentence_says_so(monkeypatch, most: int) -> None:
    """Found by running, or known beforehand: the network must then not be run on a window at all."""
    network = Picky(most)
    if most > 100:
        monkeypatch.setattr(inference, "free_on", lambda _: 1000)
    with pytest.raises(MemoryShortageError, match=r"16 x 16 x 16 .*does not fit"):
        infer(noise(64, 64, 64), replace(SMALL, snap=(8, 8, 8)), network, device=CPU)
    assert network.seen == ([(16, 16, 16)] if most > 100 else [])


@pytest.mark.parametrize(
    ("share", "expected"), [(1.1, (64, 64, 64)), (0.9, (32, 32, 32)), (0.1, (32, 32, 16)), (0.05, (32, 16, 16))]
)
def test_the_plan_takes_the_largest_window_that_memory_allows(monkeypatch, share: float, expected: tuple) -> None:
    stage, network = replace(SMALL, crop="previous", snap=(8, 8, 8)), Picky(10**9)
    whole = windows.bytes_a_voxel(network, stage, CPU) * 64**3
    monkeypatch.setattr(inference, "free_on", lambda _: share * whole)
    network.seen.clear()
    infer(noise(64, 64, 64), stage, network, device=CPU)
    assert sorted(network.seen[-1]) == sorted(expected)


def test_an_error_that_is_not_about_memory_stays_what_it_is() -> None:
    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            raise RuntimeError("unsupported memory format option")

    with pytest.raises(RuntimeError, match="memory format"):
        infer(noise(32, 32, 32), SMALL, Broken(), device=CPU)


@pytest.mark.parametrize(("asked", "used"), [("auto", "cpu"), ("cuda", None)])
def test_a_gpu_gives_way_only_with_a_word_and_only_when_it_was_not_asked_for(monkeypatch, asked, used) -> None:
    def full(*arguments: object, device: torch.device, **options: object) -> Logits:
        if device.type == "cuda":
            raise MemoryShortageError("even a window of 16 x 16 x 16 voxels does not fit")
        return infer(*arguments, device=device, **options)

    monkeypatch.setattr("liverseg_core.inference.infer", full)
    monkeypatch.setattr("liverseg_core.inference.device_named", lambda _: torch.device("cuda"))
    scan = bright_liver(GRIDS["plain"])
    if used is None:
        with pytest.raises(MemoryShortageError):
            segment_scan(scan, known_model(), device=asked)
        return
    result = segment_scan(scan, known_model(), device=asked)
    assert result.report.device == used
    assert "gpu_memory_short" in [w.code for w in result.report.warnings]
    assert result.mask.voxels.any()


def half_lit() -> Scan:
    """A liver whose left half is dimmer: a coarse stage with a high level sees the right half alone."""
    scan = bright_liver(GRIDS["plain"])
    voxels = scan.voxels.copy()
    voxels[:, :, 24:][voxels[:, :, 24:] > 0] = 120.0
    return replace(scan, voxels=voxels)


def test_a_liver_cut_by_the_crop_is_drawn_again_with_room() -> None:
    scan, seen = half_lit(), []
    coarse = known_stage(spacing_mm=(4.0, 4.0, 4.0), options={"levels": (1.4,)})
    fine = known_stage(crop="previous", margin_mm=2.0, snap=(4, 4, 4))

    class Spied(torch.nn.Module):
        def __deepcopy__(self, memo: object) -> Spied:
            return self

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            seen.append(tuple(x.shape[2:]))
            return [torch.cat([0.25 - x, x - 0.25], dim=1)]

    model = known_model(coarse, fine)
    model = replace(model, networks=(model.networks[0], Spied()))
    mask = segment_scan(scan, model, device="cpu").mask.voxels
    large = [shape for shape in seen if shape != (8, 8, 8)]
    assert len(large) == 2  # once more, and only once
    assert large[1][2] > large[0][2]
    assert overlap(mask[:, :, :30] == 1, ellipsoid(scan.grid)[:, :, :30]) > 0.95


FACES = {"low i": (0, 0, 1), "high k": (2, -1, 1), "inside": (0, 5, 0)}


@pytest.mark.parametrize("name", FACES)
def test_only_the_touched_face_moves(name: str) -> None:
    axis, end, count = FACES[name]
    scan, stage = Grid((60, 60, 60), (2.0, 2.0, 2.0)), known_stage(crop="previous", margin_mm=4.0)
    found = stage_grid(scan, stage).cropped((20, 20, 20), (16, 16, 16))
    voxels = np.zeros((16, 16, 16), np.uint8)
    np.moveaxis(voxels, 2 - axis, 0)[end, 8, 8] = 1
    wider = grown(found, LabelMask(voxels, found), scan, stage)
    if not count:
        assert wider is None
        return
    assert wider is not None
    size = [16, 16, 16]
    size[axis] += 8  # one step of the network
    assert wider.size == tuple(size)
    start = np.round(stage_grid(scan, stage).index_of(np.asarray(wider.origin_mm)))
    assert start[axis] == (12 if end == 0 else 20)


def test_a_face_at_the_end_of_the_scan_is_left_alone() -> None:
    scan, stage = Grid((32, 32, 32), (2.0, 2.0, 2.0)), known_stage(crop="previous")
    whole = stage_grid(scan, stage)
    assert grown(whole, LabelMask(np.ones(whole.array_shape, np.uint8), whole), scan, stage) is None


@pytest.mark.parametrize("name", GRIDS)
def test_laying_a_block_is_laying_the_scan_and_cutting_the_block(name: str) -> None:
    scan = bright_liver(GRIDS[name])
    rng = np.random.default_rng(0)
    scan = replace(scan, voxels=(scan.voxels + rng.normal(0, 20, scan.voxels.shape)).astype(np.int16))
    for spacing_mm in (1.5, 4.1, 6.0):
        lattice = stage_grid(scan.grid, known_stage(spacing_mm=(spacing_mm,) * 3))
        size = np.maximum(np.asarray(lattice.size) // 2, 1)
        block = lattice.cropped(np.asarray(lattice.size) // 4, size)
        np.testing.assert_allclose(lay(scan, block), lay(scan, lattice)[block.slices_in(lattice)], atol=2e-3)


@pytest.mark.parametrize("spacing_mm", [(2.0, 4.0, 3.0), (1.2, 1.2, 9.0), (7.0, 1.2, 1.2), (200.0, 200.0, 200.0)])
def test_averaging_before_laying_is_simpleitk_s(spacing_mm: tuple) -> None:
    """Whole blocks, the last one filled up with its last voxel; clipped before, not after."""
    grid = replace(GRIDS["sagittal"], spacing_mm=(1.0, 1.0, 1.0), size=(23, 21, 17))
    voxels = np.random.default_rng(0).integers(-1000, 1000, grid.array_shape, dtype=np.int16)
    factors = np.minimum(np.maximum(np.floor(np.array(spacing_mm)[[1, 2, 0]]).astype(int), 1), grid.size)
    missing = [(0, int(-n % f)) for n, f in zip(grid.array_shape, factors[::-1])]
    clipped = np.pad(np.clip(voxels, -125, 275).astype(np.float32), missing, mode="edge")
    expected = sitk.BinShrink(as_image(clipped, replace(grid, size=clipped.shape[::-1])), [int(f) for f in factors])
    region = grid.canonical().respaced(spacing_mm)
    means, coarse = preparation._shrunk(voxels, grid, region, preparation._clipped)
    np.testing.assert_allclose(means, sitk.GetArrayFromImage(expected), atol=1e-3)
    assert coarse.matches(grid_of(expected))


@pytest.mark.parametrize(("large", "times"), [(1e9, 0), (1.0, 1)])
def test_freed_memory_goes_back_before_a_large_window(monkeypatch, large: float, times: int) -> None:
    called = []
    monkeypatch.setattr(inference, "_LARGE_BYTES", large)
    monkeypatch.setattr(inference, "return_large_blocks", lambda: called.append(1))
    infer(noise(32, 32, 32), SMALL, small_network(), device=CPU)
    assert len(called) == times


def plainly_restored(logits: Logits, grid: Grid, *, leads: bool) -> np.ndarray:
    """SciPy's own linear interpolation over the whole scan: of every logit, then the largest; or of every code's lead
    over the best other one, then the one that is ahead."""
    from scipy.ndimage import map_coordinates

    k, j, i = np.indices(grid.array_shape)
    points = grid.world_mm(np.stack([i, j, k], axis=-1).reshape(-1, 3).astype(float))
    index = logits.grid.index_of(points)[:, ::-1].T
    inside = (index > -0.499).all(axis=0) & (index < np.array(logits.grid.array_shape)[:, None] - 0.501).all(axis=0)
    z = logits.tensor.numpy()
    if leads:
        z = np.stack([0 * z[0], *(z[n] - np.delete(z, n, axis=0).max(axis=0) for n in range(1, len(z)))])
    each = np.stack([map_coordinates(channel, index, order=1, mode="nearest") for channel in z])
    codes = np.array([0, *logits.labels])
    return np.where(inside, codes[each.argmax(axis=0)], 0).reshape(grid.array_shape)


def smooth_noise(source: Grid, labels: tuple[int, ...]) -> Logits:
    shape = (1 + len(labels), *source.array_shape)
    z = torch.from_numpy(np.random.default_rng(1).normal(size=shape).astype(np.float32))
    smooth = torch.nn.functional.avg_pool3d(z[None], 5, 1, 2)[0]
    smooth[0] += 0.05
    return Logits(smooth, source, labels)


@pytest.mark.parametrize("slab", [1 << 24, 3000])
@pytest.mark.parametrize("name", ["oblique", "sagittal", "left-handed", "thick slices"])
def test_restoring_by_block_and_slab_is_restoring_everything(monkeypatch, name: str, slab: int) -> None:
    """One code: as if every logit were interpolated; several: their leads, which is the same but where three meet."""
    monkeypatch.setattr("liverseg_core.restoration._SLAB_VOXELS", slab)
    grid = GRIDS[name]
    source = grid.canonical().respaced((4.0, 4.0, 4.0))
    one, two = smooth_noise(source, (1,)), smooth_noise(source, (1, 3))
    assert (restore(one, grid).voxels == plainly_restored(one, grid, leads=False)).mean() > 0.9999
    assert (restore(two, grid).voxels == plainly_restored(two, grid, leads=True)).mean() > 0.9999
    assert (restore(two, grid).voxels == plainly_restored(two, grid, leads=False)).mean() > 0.95


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("name", ["oblique", "left-handed"])
def test_a_region_smaller_than_the_scan_is_restored_up_to_its_faces(name: str, step: int) -> None:
    """An organ that the region cuts on one side ends there, half a voxel beyond the last centre; the rest is smooth."""
    grid = GRIDS[name]
    lattice = grid.canonical().respaced((5.0, 5.0, 5.0))
    source = lattice.cropped((4, 3, 3), np.asarray(lattice.size) - (6, 5, 5))
    k, j, i = np.indices(source.array_shape)
    lead = (5.1 - np.sqrt((k - 4) ** 2 + (j - 1) ** 2 + i**2))[::step, ::step, ::step]
    logits = Logits(torch.from_numpy(np.stack([0 * lead, lead]).astype(np.float32)), source, (1,))
    ours, plain = restore(logits, grid).voxels, plainly_restored(logits, grid, leads=False)
    assert plain.any()
    assert (ours != plain).sum() <= 2


def test_a_grid_that_is_turned_against_the_network_s_is_refused() -> None:
    with pytest.raises(ValueError, match="along the axes"):
        restore(smooth_noise(GRIDS["oblique"], (1,)), GRIDS["plain"])


def test_what_post_processing_decided_holds_on_the_scan_s_own_grid() -> None:
    """A hole that it filled is full, an island that it lost is gone, though the logits say otherwise."""
    source = Grid((24, 24, 24), (3.0, 3.0, 3.0))
    fine = source.respaced((1.0, 1.0, 1.0))
    z = torch.full((2, *source.array_shape), -1.0)
    z[1, 4:14, 4:14, 4:14], z[1, 18:20, 18:20, 18:20], z[1, 8:10, 8:10, 8:10] = 1.0, 1.0, -3.0
    z[0] = 0.0
    logits = Logits(z, source, (1,))
    seen = np.zeros(source.array_shape, np.uint8)
    seen[4:14, 4:14, 4:14] = 1
    raw, kept = restore(logits, fine), restore(logits, fine, LabelMask(seen, source))
    assert ndimage.label(raw.voxels)[1] == 2
    assert not raw.voxels[25:29, 25:29, 25:29].all()
    assert ndimage.label(kept.voxels)[1] == 1
    assert ndimage.label(np.pad(kept.voxels == 0, 1, constant_values=True))[1] == 1
    assert kept.voxels.sum() == pytest.approx(30**3, rel=0.02)  # corners are rounded


def test_a_model_loads_while_the_scan_is_read_and_its_errors_wait(tmp_path, monkeypatch) -> None:
    good, bad = saved_model(tmp_path / "good"), saved_model(tmp_path / "bad")
    (bad / "weights.safetensors").write_bytes(b"damaged")
    assert ModelAhead(good).take(good).card.name == "known-answer"
    begun = ModelAhead(bad)
    assert begun.take(good).card.name == "known-answer"  # the scan asked for another one: nobody hears of it
    with pytest.raises(ModelError):
        begun.take(bad)


def test_a_model_made_ready_draws_what_it_draws_otherwise(monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    scan, plain = bright_liver(GRIDS["plain"]), known_model()
    quick = ready(plain)
    assert all(isinstance(network, FastForm) and network.bytes_a_voxel for network in quick.networks)
    one, other = (segment_scan(scan, model, device="cpu").mask.voxels for model in (plain, quick))
    assert (one == other).all()


def test_a_model_stays_as_it_came_where_a_gpu_is_better_or_memory_is_short(monkeypatch) -> None:
    model = known_model()
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        assert ready(model) is model
    monkeypatch.setattr(windows, "bytes_a_voxel", lambda *_: (_ for _ in ()).throw(MemoryError()))
    assert ready(model) is model


@pytest.mark.skipif(half_type(CPU) is None, reason="in float32 the first convolution answers with channels first")
def test_one_channel_leads_to_channels_last() -> None:
    """A tensor of one channel passes for both layouts: the first convolution must not take it for the other."""
    form = FastForm(torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, padding=1), Listed()), 3, CPU, torch.bfloat16)
    with torch.inference_mode():
        assert form(laid_out(torch.randn(1, 1, 6, 6, 6), CPU)).stride(1) == 1


class Listed(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x]


def test_prediction_imports_torch_and_no_monai() -> None:
    code = (
        "import sys\nimport numpy as np\nfrom liverseg_core.geometry import Grid\nfrom liverseg_core.library import BUNDLE\n"
        "from liverseg_core.models import load_model\nfrom liverseg_core.pipeline import segment_scan\n"
        "from liverseg_core.records import Scan\n"
        "noise = np.random.default_rng(0).normal(0, 50, (32, 32, 32))\n"
        "scan = Scan(noise, Grid((32, 32, 32), (6.0, 6.0, 6.0)), 'ct_portal', 'noise')\n"
        "segment_scan(scan, load_model(BUNDLE / 'any-phase'), device='cpu')\n"
        "sys.exit(bool({'monai', 'skimage', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    core = Path(networks.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=core)
