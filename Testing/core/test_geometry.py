"""Where voxels are, on every grid of the family."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from liverseg_core.geometry import Grid, as_image, bounding_block, grid_of, resampled, shrunk
from phantoms import GRIDS


def corner_centres(grid: Grid) -> set[tuple[float, ...]]:
    last = np.asarray(grid.size) - 1
    return {tuple(np.round(grid.world_mm(np.multiply(c, last)), 3) + 0.0) for c in product((0, 1), repeat=3)}


@pytest.mark.parametrize("name", GRIDS)
def test_canonical_keeps_every_voxel_where_it_was(name: str) -> None:
    turned = GRIDS[name].canonical()
    assert corner_centres(turned) == corner_centres(GRIDS[name])
    assert all(turned.axes[d, d] > 0.5 for d in range(3))


@pytest.mark.parametrize("name", GRIDS)
def test_moving_to_the_canonical_grid_and_back_changes_nothing(name: str) -> None:
    grid = GRIDS[name]
    voxels = np.random.default_rng(0).normal(size=grid.array_shape).astype(np.float32)
    there = resampled(voxels, grid, grid.canonical())
    np.testing.assert_allclose(resampled(there, grid.canonical(), grid), voxels, atol=1e-4)


@pytest.mark.parametrize("name", GRIDS)
def test_index_and_position_are_inverse(name: str) -> None:
    grid = GRIDS[name]
    index = np.random.default_rng(1).uniform(-5, 40, (20, 3))
    np.testing.assert_allclose(grid.index_of(grid.world_mm(index)), index, atol=1e-9)


def test_a_grid_says_where_simpleitk_says() -> None:
    for grid in GRIDS.values():
        image = as_image(np.zeros(grid.array_shape, np.uint8), grid)
        np.testing.assert_allclose(grid.world_mm((3, 2, 0)), image.TransformIndexToPhysicalPoint((3, 2, 0)), atol=1e-9)
        assert grid_of(image).matches(grid)


def test_respacing_keeps_the_centre_and_covers_the_field_of_view() -> None:
    grid = GRIDS["oblique"]
    fine = grid.respaced((0.9, None, 0.9))
    middle = lambda g: g.world_mm((np.asarray(g.size) - 1) / 2)
    np.testing.assert_allclose(middle(fine), middle(grid), atol=1e-6)
    assert fine.spacing_mm == (0.9, 1.8, 0.9)
    assert all(np.asarray(fine.size) * fine.spacing_mm >= np.asarray(grid.size) * grid.spacing_mm - 1e-6)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"origin_mm": (0.0, 0.0, 0.01)}, False),
        ({"spacing_mm": (1, 1, 1.001)}, False),
        ({"size": (4, 4, 5)}, False),
        ({"direction": (1, 0, 0, 0, 0, -1, 0, 1, 0)}, False),
    ],
)
def test_matches_says_no_to_each_kind_of_difference(change: dict, same: bool) -> None:
    assert Grid((4, 4, 4)).matches(Grid(**{"size": (4, 4, 4), **change})) is same


def test_an_array_that_does_not_fill_its_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fill"):
        as_image(np.zeros((4, 3, 2), np.float32), Grid((4, 3, 2)))


def test_shrinking_averages_blocks_and_keeps_their_place() -> None:
    grid = Grid((8, 8, 4), (1.0, 1.0, 3.0))
    voxels = np.arange(256, dtype=np.float32).reshape(grid.array_shape)
    out, coarse = shrunk(voxels, grid, grid.respaced((2.0, 4.0, 3.0)))
    assert coarse.size == (4, 2, 4)
    assert out[0, 0, 0] == voxels[0, :4, :2].mean()
    np.testing.assert_allclose(coarse.world_mm((0, 0, 0)), (0.5, 1.5, 0.0))


@pytest.mark.parametrize("size", [64, 65, 66, 67])
def test_shrinking_loses_no_slice_at_the_end(size: int) -> None:
    """Sizes that are no multiple of the block: the last plane of the coarse grid still holds the scan."""
    grid = Grid((8, 8, size), (1.0, 1.0, 0.8))
    target = grid.respaced((1.0, 1.0, 3.0))
    out = resampled(*shrunk(np.full(grid.array_shape, 50.0, np.float32), grid, target), target, outside=-1000.0)
    assert (out[1:-1] == 50.0).all()
    inside = target.world_mm((0, 0, target.size[2] - 1))[2] <= grid.world_mm((0, 0, size - 0.5))[2]
    assert not inside or (out[-1] == 50.0).all()


@pytest.mark.parametrize("name", ["plain", "oblique", "left-handed"])
def test_a_bounding_block_holds_the_mask_and_finds_its_place_again(name: str) -> None:
    grid = GRIDS[name]
    mask = np.zeros(grid.array_shape, bool)
    mask[3:7, 5:6, 10:20] = True
    block = bounding_block(mask, grid)
    assert block is not None
    assert block.size == (10, 1, 4)
    assert block.slices_in(grid) == (slice(3, 7), slice(5, 6), slice(10, 20))
    first, last = grid.overlap(block)
    assert (first.tolist(), last.tolist()) == ([10, 5, 3], [20, 6, 7])
    assert bounding_block(np.zeros_like(mask), grid) is None


def test_a_margin_in_mm_grows_each_axis_by_its_own_spacing() -> None:
    grid = Grid((40, 40, 40), (1.0, 2.0, 5.0))
    first, last = grid.overlap(grid.cropped((20, 20, 20), (1, 1, 1)), margin_mm=10.0)
    assert (last - first).tolist() == [21, 11, 5]


@pytest.mark.parametrize(("first", "last"), [(2, 9), (0, 3), (35, 40), (0, 40), (1, 39)])
def test_snapping_covers_the_span_with_whole_multiples(first: int, last: int) -> None:
    grid = Grid((40, 40, 40))
    snapped = grid.snapped(np.array([first] * 3), np.array([last] * 3), (16, 16, 16))
    start = np.round(grid.index_of(np.asarray(snapped.origin_mm))).astype(int)
    assert all(n % 16 == 0 for n in snapped.size)
    assert (start <= first).all()
    assert (start + snapped.size >= last).all()
    if snapped.size[0] <= 40:  # where there is room, the block stays inside the scan
        assert (start >= 0).all()
        assert (start + snapped.size <= 40).all()


def test_planes_show_a_patient_as_radiologists_look_at_one() -> None:
    """Right of the patient on the left of the picture; head and front up; front on the left in the sagittal view."""
    grid = Grid((20, 20, 20))
    right, front, head = (np.zeros(grid.array_shape, np.float32) for _ in range(3))
    right[:, :, 0], front[:, 0, :], head[-1] = 1, 1, 1
    see = lambda volume, axis: resampled(volume, grid, grid.plane(axis, 10, 1.0))[0]
    assert see(right, 2)[:, 0].all()
    assert see(front, 2)[0, :].all()
    assert see(right, 1)[:, 0].all()
    assert see(head, 1)[0, :].all()
    assert see(front, 0)[:, 0].all()
    assert see(head, 0)[0, :].all()
