"""Errors as an overlay, and the plane that cuts the liver: both where they belong in the world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from liverseg_core.geometry import Grid
from liverseg_core.measurements import Plane, plane_from
from liverseg_core.records import Segment
from phantoms import GRIDS, ellipsoid

pytest.importorskip("slicer", reason="needs the slicer-core wheel (Python < 3.14)", exc_type=ImportError)

VOLUMES = sorted(GRIDS.keys() - {"single slice"})


def moved(mask: np.ndarray, step: int) -> np.ndarray:
    return np.roll(mask, step, axis=2)


@pytest.mark.parametrize("chain", ["none", "rotation and shift", "mirror"])
@pytest.mark.parametrize("grid", VOLUMES)
def test_missed_and_false_voxels_are_those_of_arithmetic(
    grid: str, chain: str, volume_on: Callable[[str], Any]
) -> None:
    import slicer.util
    from LiverSegLib.scene import error_overlay
    from slicer_module import scene_results as lab
    from slicer_module.lab.volumes import segmentation_node

    node, true = volume_on(grid), ellipsoid(GRIDS[grid])
    lab.under(node, *lab.CHAINS[chain])
    drawn = moved(true, 2)
    prediction, reference = (segmentation_node(node, {"liver": mask}) for mask in (drawn, true))
    overlay = error_overlay(prediction, ["liver"], reference, ["liver"], "liver")
    missed, false = (slicer.util.arrayFromSegmentBinaryLabelmap(overlay, id_, node) > 0 for id_ in ("missed", "false"))
    np.testing.assert_array_equal(missed, true & ~drawn)
    np.testing.assert_array_equal(false, drawn & ~true)
    assert overlay.GetTransformNodeID() == node.GetTransformNodeID()
    assert overlay.GetSegmentation().GetNumberOfLayers() == 1
    assert overlay.GetName() == "Errors of liver"


def test_a_reference_on_other_voxels_under_another_transform_is_found_in_the_world(
    volume_on: Callable[[str], Any],
) -> None:
    """One ellipsoid drawn on two grids: what differs is a thin skin; shifted by two voxels it is more."""
    from LiverSegLib.scene import error_overlay
    from slicer_module import scene_results as lab
    from slicer_module.lab.volumes import segmentation_node

    fine = Grid((72, 60, 60), (1.0, 1.2, 1.1), (8.0, 6.0, 2.0))
    centres = [g.world_mm((np.asarray(g.size) - 1) / 2) for g in (GRIDS["plain"], fine)]
    plain = volume_on("plain")
    from phantoms import bright_liver
    from slicer_module.lab.volumes import volume_node

    other = volume_node(bright_liver(fine), "fine")
    to_plain = np.eye(4)
    to_plain[:3, 3] = (centres[0] - centres[1]) * (-1, -1, 1)
    lab.under(plain, lab.SHIFT @ lab.TURN)
    lab.under(other, lab.SHIFT @ lab.TURN, to_plain)
    prediction = segmentation_node(plain, {"liver": ellipsoid(GRIDS["plain"])})
    reference = segmentation_node(other, {"leber": ellipsoid(fine)})
    overlay = error_overlay(prediction, ["liver"], reference, ["leber"], "liver")
    wrong = [count(overlay, id_) for id_ in ("missed", "false")]
    assert sum(wrong) < 0.05 * ellipsoid(GRIDS["plain"]).sum()
    lab.under(other)
    reference.SetAndObserveTransformNodeID(None)
    far = error_overlay(prediction, ["liver"], reference, ["leber"], "liver")
    assert sum(count(far, id_) for id_ in ("missed", "false")) > 5 * sum(wrong)


def count(node: Any, segment_id: str) -> int:
    from LiverSegLib.scene.labelmaps import array_of

    segment = node.GetSegmentation().GetSegment(segment_id)
    return int((array_of(segment.GetRepresentation("Binary labelmap")) == segment.GetLabelValue()).sum())


def test_segments_of_one_side_count_together(volume: Any) -> None:
    """A liver drawn as parenchyma and lesion against one drawn whole: nothing differs; without its lesion that is missed."""
    from LiverSegLib.scene import error_overlay
    from slicer_module.lab.volumes import segmentation_node

    whole, lesion = ellipsoid(GRIDS["plain"]), ellipsoid(GRIDS["plain"], (9.0, 7.0, 6.0))
    parts = segmentation_node(volume, {"liver": whole & ~lesion, "lesion": lesion})
    true = segmentation_node(volume, {"leber": whole})
    for ids, missed in ((["liver", "lesion"], 0), (["liver"], lesion.sum())):
        overlay = error_overlay(parts, ids, true, ["leber"], "Liver")
        assert {id_: count(overlay, id_) for id_ in ("missed", "false")} == {"missed": missed, "false": 0}
        assert overlay.GetName().startswith("Errors of Liver")


@pytest.mark.parametrize("empty", ["prediction", "reference"])
def test_against_an_empty_segment_everything_is_wrong(empty: str, volume: Any) -> None:
    from LiverSegLib.scene import error_overlay
    from slicer_module.lab.volumes import segmentation_node

    whole = ellipsoid(GRIDS["plain"])
    drawn = {"prediction": whole, "reference": whole} | {empty: np.zeros_like(whole)}
    nodes = {name: segmentation_node(volume, {"liver": mask}) for name, mask in drawn.items()}
    overlay = error_overlay(nodes["prediction"], ["liver"], nodes["reference"], ["liver"], "liver")
    expected = {"missed": whole.sum(), "false": 0} if empty == "prediction" else {"missed": 0, "false": whole.sum()}
    assert {id_: count(overlay, id_) for id_ in expected} == expected


def test_another_patient_elsewhere_or_nothing_at_all_is_refused(volume: Any) -> None:
    from LiverSegLib.controller import UserError
    from LiverSegLib.scene import error_overlay
    from slicer_module import scene_results as lab
    from slicer_module.lab.volumes import liver_node, segmentation_node

    one, other = liver_node(volume), liver_node(volume)
    nothing = segmentation_node(volume, {"liver": np.zeros(GRIDS["plain"].array_shape, bool)})
    before = lab.census()
    with pytest.raises(UserError, match="Both sides are empty"):
        error_overlay(nothing, ["liver"], nothing, ["liver"], "liver")
    assert lab.census() == before
    lab.under(other, lab.SHIFT * 40 - 39 * np.eye(4))
    with pytest.raises(UserError, match="do not lie in the same place"):
        error_overlay(one, ["liver"], other, ["liver"], "liver")


@pytest.mark.parametrize("chain", ["none", "rotation and shift", "chain of three"])
@pytest.mark.parametrize("grid", VOLUMES)
def test_the_plane_halves_the_liver_where_the_worker_measures_it(
    grid: str, chain: str, volume_on: Callable[[str], Any], tmp_path: Path
) -> None:
    """The exported mask and the plane's numbers go to the worker: the ellipsoid's centre parts it in equal halves, and ten
    millimetres nearer to the remnant leave less of it, as the formula for a cap says."""
    from LiverSegLib.scene import make_plane, move_plane, plane_argument, write_segments
    from slicer_module import scene_results as lab
    from slicer_module.lab.volumes import liver_node

    node = volume_on(grid)
    turn = lab.under(node, *lab.CHAINS[chain])[:3, :3]
    liver = liver_node(node, grid)
    plane = make_plane(liver)
    write_segments(liver, {"liver": 1}, node, tmp_path / "mask.nrrd")
    remnant, whole = measured(tmp_path / "mask.nrrd", plane_argument(plane))
    assert remnant / whole == pytest.approx(0.5, abs=0.005)
    plane.SetNormalWorld(0.0, 0.6, 0.8)
    move_plane(plane, 10.0)
    less, _whole = measured(tmp_path / "mask.nrrd", plane_argument(plane))
    half_mm = np.linalg.norm(np.array([28.0, 22.0, 20.0]) * (turn.T @ (0.0, 0.6, 0.8)))
    height = 10.0 / half_mm
    assert less / whole == pytest.approx((2 + height) * (1 - height) ** 2 / 4, abs=0.01)


def measured(mask: Path, argument: str) -> tuple[float, float]:
    """Remnant and whole, ml, by the core's own arithmetic on the file."""
    from liverseg_core.geometry import grid_of
    from liverseg_core.measurements.pieces import piece_of
    from liverseg_core.measurements.remnant import split_by_plane

    image = sitk.ReadImage(str(mask))
    plane = plane_from([float(number) for number in argument.split(",")])
    assert isinstance(plane, Plane)
    grid, voxels = grid_of(image), sitk.GetArrayFromImage(image) > 0
    split = split_by_plane(plane, piece_of(Segment("liver", "Liver", voxels, grid)), None)
    return split.remnant_ml, float(voxels.sum()) * grid.voxel_ml


def test_the_normal_points_to_the_patients_left_and_the_reach_is_the_livers(volume: Any) -> None:
    from LiverSegLib.scene import make_plane, move_plane, plane_argument, reach_mm
    from slicer_module import scene_results as lab
    from slicer_module.lab.volumes import liver_node

    lab.under(volume, lab.SHIFT)
    liver = liver_node(volume)
    plane = make_plane(liver)
    numbers = [float(number) for number in plane_argument(plane).split(",")]
    np.testing.assert_allclose(numbers, [47.0 - 30, 39.0 + 20, 31.0 + 7.5, 1, 0, 0], atol=1e-6)
    assert "-0," not in plane_argument(plane)
    back, forth = reach_mm(plane, liver)
    assert (back, forth) == pytest.approx((-27.0, 27.0), abs=1.1)
    move_plane(plane, forth)
    assert reach_mm(plane, liver)[1] == pytest.approx(0.0, abs=1e-9)
    under = make_plane(volume)
    np.testing.assert_allclose(under.GetCenterWorld(), (-47.0 + 30, -39.0 - 20, 31.0 + 7.5), atol=1e-6)
    assert under.GetName() != plane.GetName()


def test_lesions_belong_to_the_liver_that_is_cut(volume: Any) -> None:
    """Drawn in two halves under two codes the ellipsoid has the centre and the reach that it has when drawn whole."""
    from LiverSegLib.scene import make_plane, reach_mm
    from slicer_module.lab.volumes import liver_node, segmentation_node

    whole = ellipsoid(GRIDS["plain"])
    left = np.arange(whole.shape[2]) < whole.shape[2] // 2
    parts = segmentation_node(volume, {"liver": whole & left, "lesion": whole & ~left})
    drawn_whole = liver_node(volume)
    planes = [make_plane(node) for node in (parts, drawn_whole)]
    np.testing.assert_allclose(planes[0].GetCenterWorld(), planes[1].GetCenterWorld(), atol=1e-9)
    assert reach_mm(planes[0], parts) == pytest.approx(reach_mm(planes[1], drawn_whole))


def test_a_plane_under_a_transform_is_told_in_the_world(volume: Any) -> None:
    from LiverSegLib.scene import make_plane, plane_argument
    from slicer_module import scene_results as lab
    from slicer_module.lab.volumes import liver_node

    plane = make_plane(liver_node(volume))
    lab.under(plane, lab.SHIFT @ lab.TURN)
    numbers = np.array([float(number) for number in plane_argument(plane).split(",")]).reshape(2, 3) * (-1, -1, 1)
    np.testing.assert_allclose(numbers[0], (lab.SHIFT @ lab.TURN @ (-47.0, -39.0, 31.0, 1.0))[:3], atol=1e-5)
    np.testing.assert_allclose(numbers[1], lab.TURN[:3, :3] @ (-1.0, 0.0, 0.0), atol=1e-6)


def test_a_plane_needs_a_liver(volume: Any) -> None:
    import slicer
    from LiverSegLib.controller import UserError
    from LiverSegLib.scene import make_plane, plane_argument
    from slicer_module.lab.volumes import segmentation_node
    from slicer_module.scene_results import census

    spleen = segmentation_node(volume, {"spleen": ellipsoid(GRIDS["plain"])})
    empty = segmentation_node(volume, {"liver": np.zeros(GRIDS["plain"].array_shape, bool)}, "empty")
    before = census()
    for node, words in ((None, "Choose a segmentation"), (spleen, "no liver"), (empty, "empty has no liver")):
        with pytest.raises(UserError, match=words):
            make_plane(node)
    assert census() == before
    undrawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode")
    for plane in (None, undrawn):
        with pytest.raises(UserError, match="no cutting plane"):
            plane_argument(plane)
