"""Shapes of known size: lengths, axes and distances of lesions, however the grid lies."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from liverseg_core.geometry import Grid, as_image
from liverseg_core.measurements import Study, axial_extent, measure
from liverseg_core.measurements.pieces import Piece, piece_of
from liverseg_core.records import LabelMask, Measurement, Segment
from liverseg_core.segments import cut_segments
from phantoms import GRIDS, OBLIQUE, RADII_MM, ellipsoid
from scipy import ndimage
from scipy.spatial.transform import Rotation

SOLID = [name for name in GRIDS if name != "single slice"]


def piece(mask: np.ndarray, grid: Grid) -> Piece:
    found = piece_of(Segment("lesion_1", "Lesion 1", mask, grid))
    assert found is not None
    return found


def ball(grid: Grid, centre_mm: np.ndarray, radius_mm: float) -> np.ndarray:
    k, j, i = np.indices(grid.array_shape)
    offset = grid.world_mm(np.stack([i, j, k], axis=-1).reshape(-1, 3)) - centre_mm
    return (np.linalg.norm(offset, axis=1) <= radius_mm).reshape(grid.array_shape)


def middle(grid: Grid) -> np.ndarray:
    return grid.world_mm((np.asarray(grid.size) - 1) / 2)


def disc(diameter: float, centre: np.ndarray, size: int) -> np.ndarray:
    j, i = np.indices((size, size))
    return (((i - centre[0]) ** 2 + (j - centre[1]) ** 2) <= diameter**2 / 4)[None]


@pytest.mark.parametrize("name", SOLID)
def test_an_ellipsoid_has_its_own_axes_centre_and_diameters_on_every_grid(name: str) -> None:
    grid = GRIDS[name]
    found = piece(ellipsoid(grid), grid)
    finest, coarsest = min(grid.spacing_mm), max(grid.spacing_mm)
    assert found.axes_ellipsoid_mm == pytest.approx([2 * r for r in RADII_MM], rel=0.02)
    assert found.major_axis_pyradiomics_mm == pytest.approx(2 * RADII_MM[0] * math.sqrt(4 / 5), rel=0.015)
    assert found.centroid_mm == pytest.approx(middle(grid), abs=1e-6)
    assert found.longest_mm == pytest.approx(2 * RADII_MM[0], abs=coarsest)
    extent = axial_extent(found)
    assert extent.longest_mm == pytest.approx(2 * RADII_MM[0], abs=finest)
    assert extent.perpendicular_mm == pytest.approx(2 * RADII_MM[1], abs=coarsest)
    one, other = np.array(extent.ends_mm)
    assert abs(one - middle(grid))[0] == pytest.approx(RADII_MM[0], abs=finest)
    assert np.linalg.norm(one - other) <= extent.longest_mm


@pytest.mark.parametrize("degrees", [0.0, 10.0, 35.0, 45.0])
@pytest.mark.parametrize("axis", [(1, 0, 0), (1, 1, 0)])
def test_the_axial_slice_is_cut_where_the_scan_has_none(degrees: float, axis: tuple) -> None:
    """A body of 60 mm along the head and 30 mm across it: a slice that is not axial would see more than 30."""
    turned = Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis) / np.linalg.norm(axis)).as_matrix()
    grid = Grid((80, 80, 80), (1.0, 1.0, 1.0), (3.0, -9.0, 40.0), tuple(turned.ravel().tolist()))
    k, j, i = np.indices(grid.array_shape)
    offset = grid.world_mm(np.stack([i, j, k], axis=-1)) - middle(grid)
    mask = ((offset / (15.0, 15.0, 30.0)) ** 2).sum(axis=-1) <= 1
    expected = 30.0 if degrees != 10.0 else 30.4  # a tilt of up to 20 degrees is taken as it is
    assert axial_extent(piece(mask, grid)).longest_mm == pytest.approx(expected, abs=0.8)


@pytest.mark.parametrize("diameter", [5.0, 10.0, 20.0, 40.0])
def test_the_diameter_of_a_disc_is_its_own_within_half_a_pixel_and_scales_with_the_spacing(diameter: float) -> None:
    rng = np.random.default_rng(int(diameter))
    for _ in range(10):
        mask = disc(diameter, 25 + rng.uniform(-0.5, 0.5, 2), 51)
        one = axial_extent(piece(mask, Grid((51, 51, 1), (1.0, 1.0, 1.0))))
        two = axial_extent(piece(mask, Grid((51, 51, 1), (2.0, 2.0, 1.0))))
        assert one.longest_mm == pytest.approx(diameter, abs=0.5)
        assert one.perpendicular_mm <= one.longest_mm
        assert (two.longest_mm, two.perpendicular_mm) == pytest.approx((2 * one.longest_mm, 2 * one.perpendicular_mm))


def test_of_lines_of_equal_length_the_one_with_more_across_it_counts_however_the_slice_is_turned() -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        mask = ndimage.binary_dilation(rng.random((1, 7, 7)) > 0.85, np.ones((1, 3, 3)))
        grid = Grid((7, 7, 1), (1.0, 1.0, 1.0))
        turns = [np.rot90(flip, n, axes=(1, 2)) for flip in (mask, mask[:, ::-1]) for n in range(4)]
        found = {(e.longest_mm, e.perpendicular_mm) for e in (axial_extent(piece(turn, grid)) for turn in turns)}
        assert len(found) == 1


def test_one_voxel_has_the_diameter_of_its_area_and_no_length() -> None:
    found = piece(np.ones((1, 1, 1), bool), Grid((1, 1, 1), (1.0, 1.0, 1.0)))
    assert axial_extent(found).longest_mm == pytest.approx(1.128, abs=5e-4)
    assert axial_extent(found).perpendicular_mm == pytest.approx(1 / 1.1284, abs=5e-4)
    assert (found.longest_mm, found.major_axis_pyradiomics_mm) == (0.0, 0.0)
    assert found.axes_ellipsoid_mm == pytest.approx([2 * math.sqrt(5 / 12)] * 3)


@pytest.mark.parametrize(
    ("shape", "long_mm", "across_mm"),
    [((1, 9), 8.3, 9 / 8.3), ((3, 4), math.sqrt(13) + 0.3, 12 / math.sqrt(13) + 0.3)],
)
def test_a_bar_is_measured_corner_to_corner(shape: tuple[int, int], long_mm: float, across_mm: float) -> None:
    extent = axial_extent(piece(np.ones((1, *shape), bool), Grid((shape[1], shape[0], 1), (1.0, 1.0, 1.0))))
    assert extent.longest_mm == pytest.approx(max(long_mm, 2 * math.sqrt(math.prod(shape) / math.pi)))
    assert extent.perpendicular_mm == pytest.approx(across_mm)


def test_blobs_of_one_slice_are_measured_one_at_a_time() -> None:
    """A horseshoe: two legs 30 mm apart in each slice but the last, where they meet."""
    mask = np.zeros((6, 9, 40), bool)
    mask[:, 2:7, 2:7] = mask[:, 2:7, 32:37] = True
    grid = Grid((40, 9, 6), (1.0, 1.0, 1.0))
    assert axial_extent(piece(mask, grid)).longest_mm == pytest.approx(4 * math.sqrt(2) + 0.3, abs=0.7)
    mask[5, 4, 2:37] = True
    assert axial_extent(piece(mask, grid)).longest_mm > 34


def test_a_blob_ends_where_another_lies_within_its_box() -> None:
    """An L of two legs of 9 voxels, a dot where its box has the fourth corner: that would double what lies across."""
    mask = np.zeros((1, 9, 9), bool)
    mask[0, :, 0] = mask[0, 8, :] = mask[0, 0, 8] = True
    extent = axial_extent(piece(mask, Grid((9, 9, 1))))
    assert extent.longest_mm == pytest.approx(math.hypot(8, 8) + 0.3)
    assert extent.perpendicular_mm == pytest.approx(math.hypot(8, 8) / 2 + 0.3)


@pytest.mark.parametrize(
    ("spacing", "ellipsoid_mm", "pyradiomics_mm"), [((1, 1, 1), 39.96, 35.74), ((1, 1, 2), 79.91, 71.48)]
)
def test_the_major_axis_of_a_digital_ball(spacing: tuple, ellipsoid_mm: float, pyradiomics_mm: float) -> None:
    k, j, i = np.indices((41, 41, 41)) - 20
    found = piece(k**2 + j**2 + i**2 <= 400, Grid((41, 41, 41), spacing))
    assert found.axes_ellipsoid_mm[0] == pytest.approx(ellipsoid_mm, abs=0.05)  # theirs takes a voxel for a point
    assert found.major_axis_pyradiomics_mm == pytest.approx(pyradiomics_mm, abs=0.02)


def blob(seed: int = 0) -> tuple[np.ndarray, Grid]:
    """An irregular lesion on an anisotropic oblique grid."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(16, 30, 34)), (1.2, 3, 3))
    parts, count = ndimage.label(noise > 0.04)
    largest = 1 + int(np.argmax(ndimage.sum_labels(parts > 0, parts, range(1, count + 1))))
    return parts == largest, Grid((34, 30, 16), (0.8, 0.9, 2.5), (10.0, -20.0, 30.0), OBLIQUE)


@pytest.mark.parametrize("seed", range(3))
def test_centre_axes_and_longest_distance_agree_with_simpleitk(seed: int) -> None:
    mask, grid = blob(seed)
    ours = piece(mask, grid)
    theirs = sitk.LabelShapeStatisticsImageFilter()
    theirs.ComputeFeretDiameterOn()
    theirs.Execute(as_image(mask.astype(np.uint8), grid))
    assert ours.centroid_mm == pytest.approx(theirs.GetCentroid(1), abs=1e-6)
    assert ours.longest_mm == pytest.approx(theirs.GetFeretDiameter(1), abs=1e-6)
    assert ours.volume_ml == pytest.approx(theirs.GetPhysicalSize(1) / 1000)
    assert ours.major_axis_pyradiomics_mm == pytest.approx(4 * math.sqrt(max(theirs.GetPrincipalMoments(1))), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_ellipsoid_s_axes_agree_with_scikit_image(seed: int) -> None:
    measure_module = pytest.importorskip("skimage.measure")
    mask, grid = blob(seed)
    (region,) = measure_module.regionprops(mask.astype(np.uint8), spacing=grid.spacing_mm[::-1])
    voxel = 5 * 4 * max(grid.spacing_mm) ** 2 / 12  # scikit-image takes a voxel for a point
    longest = piece(mask, grid).axes_ellipsoid_mm[0]
    assert region.axis_major_length <= longest <= math.sqrt(region.axis_major_length**2 + voxel) + 1e-9


def moved(mask: np.ndarray, grid: Grid, change: str) -> tuple[np.ndarray, Grid]:
    """The same lesion, described by another array on another grid."""
    if change == "flipped":
        corner = grid.world_mm((grid.size[0] - 1, 0, grid.size[2] - 1))
        return mask[::-1, :, ::-1], replace(
            grid, origin_mm=tuple(corner), direction=tuple((grid.axes * (-1, 1, -1)).ravel())
        )
    if change == "permuted":
        return mask.transpose(1, 2, 0), grid.permuted([2, 0, 1])
    if change == "cropped":
        return mask[:, 1:], grid.cropped((0, 1, 0), (34, 29, 16))
    if change == "padded":
        return np.pad(mask, 3), grid.cropped((-3, -3, -3), np.asarray(grid.size) + 6)
    shift = np.array([5.0, -7.5, 11.0])
    return mask, replace(grid, origin_mm=tuple(np.asarray(grid.origin_mm) + shift))


@pytest.mark.parametrize("change", ["flipped", "permuted", "cropped", "padded", "shifted"])
@pytest.mark.parametrize("seed", range(3))
def test_how_the_array_lies_changes_no_number(change: str, seed: int) -> None:
    mask, grid = blob(seed)
    mask[:, 0] = False
    one, other = piece(mask, grid), piece(*moved(mask, grid, change))
    away = (5.0, -7.5, 11.0) if change == "shifted" else (0.0, 0.0, 0.0)
    assert other.centroid_mm - one.centroid_mm == pytest.approx(away, abs=1e-6)
    assert other.axes_ellipsoid_mm == pytest.approx(one.axes_ellipsoid_mm)
    assert other.longest_mm == pytest.approx(one.longest_mm)
    assert axial_extent(other).longest_mm == pytest.approx(axial_extent(one).longest_mm)
    assert axial_extent(other).perpendicular_mm == pytest.approx(axial_extent(one).perpendicular_mm)


def test_turning_the_patient_about_the_body_axis_changes_no_axial_number() -> None:
    mask, grid = blob()
    straight = replace(grid, direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    turned = replace(grid, direction=tuple(Rotation.from_euler("z", 37, degrees=True).as_matrix().ravel()))
    one, other = (axial_extent(piece(mask, g)) for g in (straight, turned))
    assert (one.longest_mm, one.perpendicular_mm) == pytest.approx((other.longest_mm, other.perpendicular_mm))


def liver_with_ball(grid: Grid, offset_mm: tuple[float, float, float], radius_mm: float) -> LabelMask:
    voxels = ball(grid, middle(grid), 26.0).astype(np.uint8)
    voxels[ball(grid, middle(grid) + offset_mm, radius_mm)] = 2
    return LabelMask(voxels, grid)


def rows_of(mask: LabelMask) -> dict[tuple[str, str], Measurement]:
    return {(m.structure, m.quantity): m for m in measure(cut_segments(mask, [1, 2]), Study())}


@pytest.mark.parametrize("name", SOLID)
@pytest.mark.parametrize("offset", [(8.0, 0.0, 0.0), (0.0, -8.0, 0.0), (0.0, 0.0, 8.0), (-4.0, 4.0, 4.0)])
def test_a_ball_in_a_ball_lies_as_deep_as_the_formula_says(name: str, offset: tuple[float, float, float]) -> None:
    grid = GRIDS[name]
    rows = rows_of(liver_with_ball(grid, offset, 7.0))
    depth = 26.0 - 7.0 - float(np.linalg.norm(offset))
    assert rows["lesion_1", "surface_distance"].value == pytest.approx(depth, abs=0.75 * max(grid.spacing_mm))
    centroid = [rows["lesion_1", f"centroid_{axis}"].value for axis in "xyz"]
    assert centroid == pytest.approx(middle(grid) + offset, abs=1.0)


def test_a_lesion_at_the_border_lies_at_0_and_the_edge_of_the_scan_is_no_border() -> None:
    grid = Grid((40, 40, 40), (2.0, 2.0, 2.0))
    voxels = np.zeros(grid.array_shape, np.uint8)
    voxels[0:30, 4:36, 4:36] = 1
    voxels[0:3, 18:22, 18:22] = 2
    assert rows_of(LabelMask(voxels, grid))["lesion_1", "surface_distance"].value == pytest.approx(14 * 2.0)
    voxels[27:30, 18:22, 18:22] = 2
    rows = rows_of(LabelMask(voxels, grid))
    assert sorted(rows[f"lesion_{n}", "surface_distance"].value for n in (1, 2)) == pytest.approx([0.0, 28.0])
    full = rows_of(LabelMask(np.where(voxels == 2, 2, 1).astype(np.uint8), grid))["lesion_1", "surface_distance"]
    assert math.isnan(full.value)
    assert "fills the scan" in full.reason


def test_lesions_are_numbered_by_size_and_specks_do_not_count() -> None:
    grid = Grid((60, 60, 30), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), OBLIQUE)
    voxels = np.ones(grid.array_shape, np.uint8)
    voxels[4:8, 5:15, 5:15] = 2  # 800 mm3
    voxels[20:25, 30:42, 30:42] = 2  # 1440 mm3
    voxels[25, 42, 42] = 2  # touches it by a corner
    voxels[15, 50, 50] = voxels[2, 2, 50:52] = 2
    rows = rows_of(LabelMask(voxels, grid))
    assert [rows[f"lesion_{n}", "volume"].value for n in (1, 2, 3, 4)] == pytest.approx([1.442, 0.8, 0.004, 0.002])
    assert rows["lesion", "count"].value == 2
    assert "not counted" in rows["lesion_3", "volume"].reason
    assert ("lesion_3", "axial_diameter") not in rows
    assert rows["lesion", "largest_axial_diameter"].value == rows["lesion_1", "axial_diameter"].value
    assert rows["lesion_2", "centroid_x"].value == pytest.approx(grid.world_mm((9.5, 9.5, 5.5))[0])


def test_a_lesion_in_the_box_of_another_stays_its_own() -> None:
    grid = Grid((20, 20, 20), (2.0, 2.0, 2.0))
    voxels = np.ones(grid.array_shape, np.uint8)
    voxels[5, 2:12, 2] = voxels[5, 12, 2:12] = voxels[5, 2:5, 10] = 2
    rows = rows_of(LabelMask(voxels, grid))
    assert [rows[f"lesion_{n}", "volume"].value for n in (1, 2)] == pytest.approx([20 * 0.008, 3 * 0.008])


def test_two_voxels_are_no_lesion_however_large_they_are() -> None:
    grid = Grid((12, 12, 12), (4.0, 4.0, 4.0))
    voxels = np.ones(grid.array_shape, np.uint8)
    voxels[2, 2, 2:4] = voxels[8, 8, 6:9] = 2
    assert rows_of(LabelMask(voxels, grid))["lesion", "count"].value == 1


def test_a_large_and_a_flat_shape_have_a_longest_distance() -> None:
    """More points than are compared each with each; a hull of a flat shape has no volume."""
    grid = Grid((200, 200, 3), (1.0, 1.0, 3.0))
    mask = np.zeros(grid.array_shape, bool)
    mask[1] = disc(180.0, np.array([100.0, 100.0]), 200)[0]
    assert piece(mask, grid).longest_mm == pytest.approx(180.0, abs=0.5)


def test_organs_have_a_length_in_any_direction() -> None:
    grid = GRIDS["oblique"]
    voxels = np.where(ellipsoid(grid), 3, 0).astype(np.uint8)
    rows = {(m.structure, m.quantity): m for m in measure(cut_segments(LabelMask(voxels, grid), [1, 3, 4]), Study())}
    assert rows["spleen", "length"].value == pytest.approx(56.0, abs=2.4)
    assert math.isnan(rows["kidney_right", "length"].value)
    assert rows["kidney_right", "length"].reason == "not found in the scan"
