"""Segments leave the scene as codes on the voxels of a scan, wherever the two lie; and tables are filled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from liverseg_core.geometry import Grid, grid_of
from phantoms import GRIDS, ellipsoid, overlap

pytest.importorskip("slicer", reason="needs the slicer-core wheel (Python < 3.14)", exc_type=ImportError)

VOLUMES = sorted(GRIDS.keys() - {"single slice"})


def read(path: Path) -> tuple[np.ndarray, Grid]:
    image = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(image), grid_of(image)


@pytest.mark.parametrize("chain", ["none", "rotation and shift", "chain of three", "mirror"])
@pytest.mark.parametrize("grid", VOLUMES)
def test_codes_lie_on_the_exported_scan(grid: str, chain: str, volume_on: Callable[[str], Any], tmp_path: Path) -> None:
    from LiverSegLib.scene import codes_in, write_segments
    from slicer_module import scene_results as lab

    node, codes = volume_on(grid), lab.organs(GRIDS[grid])
    lab.under(node, *lab.CHAINS[chain])
    result = lab.shown(tmp_path, node, codes)
    write_segments(result, codes_in(result), node, tmp_path / "mask.nrrd")
    mask, here = read(tmp_path / "mask.nrrd")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, codes)
    assert here.matches(grid_of(sitk.ReadImage(str(tmp_path / "scan.nrrd"))))


def test_on_another_grid_the_nearest_voxel_is_taken_as_simpleitk_takes_it(
    volume_on: Callable[[str], Any], tmp_path: Path
) -> None:
    from LiverSegLib.scene import codes_in, write_segments
    from slicer_module import scene_results as lab

    plain, oblique = volume_on("plain"), volume_on("oblique")
    result = lab.shown(tmp_path, plain, lab.organs(GRIDS["plain"]))
    middle_mm = [g.world_mm((np.asarray(g.size) - 1) / 2) * (-1, -1, 1) for g in (GRIDS["plain"], GRIDS["oblique"])]
    there = lab.SHIFT.copy()
    there[:3, 3] += middle_mm[0] - middle_mm[1] + 5.0
    lab.under(oblique, there)
    lab.under(result, lab.SHIFT)
    write_segments(result, codes_in(result), oblique, tmp_path / "other.nrrd")
    write_segments(result, codes_in(result), None, tmp_path / "own.nrrd")  # the scan it was drawn on, which stayed
    mask, _here = read(tmp_path / "other.nrrd")
    scan = sitk.ReadImage(str(tmp_path / "segmentation.nii.gz"))
    scan.SetOrigin(np.add(scan.GetOrigin(), (-30.0, 20.0, 7.5)))  # the same shift, LPS
    expected = sitk.Resample(
        scan, sitk.ReadImage(str(tmp_path / "other.nrrd")), sitk.Transform(), sitk.sitkNearestNeighbor
    )
    other = sitk.GetArrayFromImage(expected)
    assert (mask != other).mean() < 1e-3  # voxels half-way between two
    assert overlap(mask == 1, other == 1) > 0.999
    assert read(tmp_path / "own.nrrd")[1].matches(GRIDS["plain"])


def test_without_a_scan_the_voxels_are_the_segmentations_own(volume: Any, tmp_path: Path) -> None:
    import slicer
    from LiverSegLib.scene import scan_of, write_segments
    from slicer_module import scene_results as lab
    from slicer_module.lab.volumes import liver_node

    node = liver_node(volume)
    slicer.mrmlScene.RemoveNode(volume)
    assert scan_of(node) is None
    lab.under(node, lab.SHIFT)
    write_segments(node, {"liver": 1}, None, tmp_path / "mask.nrrd")
    mask, here = read(tmp_path / "mask.nrrd")
    whole = ellipsoid(GRIDS["plain"])
    assert mask.sum() == whole.sum()
    centre = here.world_mm(np.argwhere(mask).mean(axis=0)[::-1])
    moved_mm = centre - GRIDS["plain"].world_mm(np.argwhere(whole).mean(axis=0)[::-1])
    np.testing.assert_allclose(moved_mm, (-30.0, 20.0, 7.5), atol=1e-6)


def test_where_segments_overlap_the_lesion_lies_on_top(volume: Any, tmp_path: Path) -> None:
    import slicer
    from LiverSegLib.scene import codes_in, write_segments
    from LiverSegLib.scene.labelmaps import LABELMAP, Lattice, image_of
    from LiverSegLib.scene.transforms import local_matrix
    from slicer_module.lab.volumes import segmentation_node

    node = segmentation_node(volume, {"lesion": ellipsoid(GRIDS["plain"], (6.0, 6.0, 6.0))})
    liver = slicer.vtkSegment()  # a layer of its own, all of the liver, lesion included
    liver.SetName("Liver")
    lattice = Lattice(local_matrix(volume), tuple(volume.GetImageData().GetExtent()))
    liver.AddRepresentation(LABELMAP, image_of(ellipsoid(GRIDS["plain"]).astype(np.int16) * 300, lattice))
    liver.SetLabelValue(300)
    node.GetSegmentation().AddSegment(liver, "whole")
    assert node.GetSegmentation().GetNumberOfLayers() == 2
    assert codes_in(node) == {"lesion": 2, "whole": 1}
    write_segments(node, codes_in(node), volume, tmp_path / "mask.nrrd")
    mask = read(tmp_path / "mask.nrrd")[0]
    np.testing.assert_array_equal(mask == 2, ellipsoid(GRIDS["plain"], (6.0, 6.0, 6.0)))
    np.testing.assert_array_equal(mask > 0, ellipsoid(GRIDS["plain"]))


def test_only_what_is_asked_for_is_written(volume: Any, tmp_path: Path) -> None:
    from LiverSegLib.scene import write_segments
    from slicer_module import scene_results as lab

    codes = lab.organs(GRIDS["plain"])
    write_segments(lab.shown(tmp_path, volume, codes), {"spleen": 9, "liver": 3}, volume, tmp_path / "mask.nrrd")
    np.testing.assert_array_equal(read(tmp_path / "mask.nrrd")[0], np.choose(codes, [0, 3, 0, 9, 0]))


def test_a_surface_gets_its_voxels_first(volume: Any, tmp_path: Path) -> None:
    """An RT structure set comes as surfaces."""
    import slicer
    from LiverSegLib.scene import write_segments
    from slicer_module.lab.volumes import liver_node

    drawn, node = liver_node(volume), slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "surfaces")
    drawn.CreateClosedSurfaceRepresentation()
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    surface = drawn.GetSegmentation().GetSegment("liver").GetRepresentation("Closed surface")
    segment = slicer.vtkSegment()
    segment.AddRepresentation("Closed surface", surface)
    node.GetSegmentation().AddSegment(segment, "liver")
    write_segments(node, {"liver": 1}, volume, tmp_path / "mask.nrrd")
    assert overlap(read(tmp_path / "mask.nrrd")[0] > 0, ellipsoid(GRIDS["plain"])) > 0.95


def _nothing(_volume: Any) -> Any:
    return None


def _without_segments(_volume: Any) -> Any:
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "bare")


def _nothing_drawn(volume: Any) -> Any:
    node = _without_segments(volume)
    node.GetSegmentation().AddEmptySegment("liver", "liver")
    return node


def _elsewhere(volume: Any) -> Any:
    from slicer_module import scene_results as lab
    from slicer_module.lab.volumes import liver_node

    node = liver_node(volume)
    lab.under(node, lab.SHIFT * 40 - 39 * np.eye(4))
    return node


def _bent(volume: Any) -> Any:
    from slicer_module import scene_results as lab
    from slicer_module.lab.volumes import liver_node

    node = liver_node(volume)
    lab.bend(node)
    return node


def _renamed(volume: Any) -> Any:
    from slicer_module.lab.volumes import segmentation_node

    return segmentation_node(volume, {"other": ellipsoid(GRIDS["plain"])})


def _squashed(volume: Any) -> Any:
    from slicer_module import scene_results as lab
    from slicer_module.lab.volumes import liver_node

    node = liver_node(volume)
    lab.under(node, np.diag([1.0, 1.0, 0.0, 1.0]))
    return node


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "nothing": (_nothing, "No segmentation is chosen"),
    "no segments": (_without_segments, "bare has no segments"),
    "nothing drawn": (_nothing_drawn, "bare is empty"),
    "another place": (_elsewhere, "segmentation does not lie where phantom lies"),
    "not linear": (_bent, "not linear"),
    "singular": (_squashed, "singular"),
    "gone": (_renamed, "segmentation has no segment liver"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_cannot_be_written_is_refused_in_words(case: str, volume: Any, tmp_path: Path) -> None:
    from LiverSegLib.controller import UserError
    from LiverSegLib.scene import write_segments
    from slicer_module.scene_results import census

    make, words = REFUSED[case]
    node = make(volume)
    before = census()
    for geometry in (volume, None):
        if case == "another place" and geometry is None:
            continue
        with pytest.raises(UserError, match=words):
            write_segments(node, {"liver": 1}, geometry, tmp_path / "mask.nrrd")
    assert census() == before
    assert not list(tmp_path.iterdir())


def test_a_table_holds_text_numbers_and_blanks_and_is_filled_again(scene: Any, tmp_path: Path) -> None:
    import slicer.util
    from LiverSegLib.scene import fill_table

    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "volumetry")
    fill_table(node, ["a"], [["old"], ["old"], ["old"]])
    fill_table(
        node, ["Structure", "Volume [ml]", "Note"], [["Liver", 1500.5, "fine"], ["Leber größer", 2.0, float("nan")]]
    )
    assert [node.GetColumnName(n) for n in range(node.GetNumberOfColumns())] == ["Structure", "Volume [ml]", "Note"]
    assert slicer.util.arrayFromTableColumn(node, "Volume [ml]").tolist() == [1500.5, 2.0]
    assert [node.GetCellText(row, 2) for row in range(2)] == ["fine", ""]
    assert slicer.util.saveNode(node, str(tmp_path / "t.csv"))
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()[2].startswith('"Leber größer",2')
    fill_table(node, ["Structure"], [])
    assert (node.GetNumberOfColumns(), node.GetNumberOfRows()) == (1, 0)
