"""Echoes out of the scene and maps into it, on real MRML: voxels, places, colours, and what the slices show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from liverseg_core.geometry import grid_of
from phantoms import GRIDS

pytest.importorskip("slicer", reason="needs the slicer-core wheel (Python < 3.14)", exc_type=ImportError)

TE_MS = (1.15, 2.1, 3.05)


def role_echoes(node: Any, count: int) -> Any:
    from LiverSegLib.echoes import MAGNITUDE, Row, planned
    from LiverSegLib.scene import candidates_in

    (candidate,) = [one for one in candidates_in(node.GetScene()) if one.id == node.GetID()]
    return planned([Row(candidate, MAGNITUDE, ", ".join(map(str, TE_MS[:count])))]).magnitude


def test_sequences_and_volumes_are_offered_but_not_what_shows_them(scene: Any) -> None:
    from LiverSegLib.scene import candidates_in, look_of
    from slicer_module.fat_scenes import echo_nodes, sequence

    shown = sequence("multiecho", 3)
    label = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    phase, hidden = echo_nodes(2)
    phase.SetName("echo_ph_1")
    hidden.SetHideFromEditors(True)
    found = candidates_in(scene)
    assert [(one.name, len(one.sizes)) for one in found] == [("multiecho", 3), ("echo_ph_1", 1)]
    assert found[0].te_ms == TE_MS
    assert found[0].sizes[0] == (68, 48, 21)
    assert found[1].looks_like_phase
    assert [row[0] for row in look_of(scene)] == [shown.GetID(), phase.GetID()]
    assert label.GetID() not in [one.id for one in found]


@pytest.mark.parametrize("kind", ["volumes", "sequence", "sequence that nothing shows"])
def test_echoes_are_written_where_they_lie_in_the_world(kind: str, scene: Any, tmp_path: Path) -> None:
    from LiverSegLib.echoes import MAGNITUDE, Row, planned
    from LiverSegLib.scene import candidates_in, place_of_echoes, world_matrix, write_echoes
    from slicer_module import scene_results as lab
    from slicer_module.fat_scenes import echo_nodes, sequence, small_echoes

    if kind == "volumes":
        nodes = echo_nodes(3)
        lab.under(nodes[0], lab.SHIFT @ lab.TURN)
        for node in nodes[1:]:
            node.SetAndObserveTransformNodeID(nodes[0].GetTransformNodeID())
        rows = [Row(one, MAGNITUDE, str(te)) for one, te in zip(candidates_in(scene), TE_MS)]
    else:
        sequence("multiecho", 3, shown=kind == "sequence")
        rows = [Row(one, MAGNITUDE, ", ".join(map(str, one.te_ms))) for one in candidates_in(scene)]
    echoes = planned(rows).magnitude
    place = place_of_echoes(scene, echoes)
    if kind == "sequence":
        lab.under(place, lab.SHIFT @ lab.TURN)
    paths = write_echoes(scene, echoes, tmp_path, "echo")
    images = [sitk.ReadImage(str(path)) for path in paths]
    for n, image in enumerate(images):
        np.testing.assert_allclose(sitk.GetArrayFromImage(image), 1000 * small_echoes()[0].magnitude[n], rtol=1e-6)
        assert grid_of(image).matches(grid_of(images[0]))
    if kind.endswith("shows"):
        assert place is None
        assert grid_of(images[0]).matches(small_echoes()[0].grid, tolerance_mm=1e-3)
    else:
        corner = np.array(world_matrix(place).MultiplyPoint((67.0, 47.0, 20.0, 1.0))[:3]) * (-1, -1, 1)
        np.testing.assert_allclose(grid_of(images[0]).world_mm(np.array([67.0, 47.0, 20.0])), corner, atol=1e-3)


def several_in_one(name: str, count: int, kind: type = np.float32) -> Any:
    """Echoes as the values of each voxel, as a 4-D file of NRRD or a multi-volume holds them."""
    import slicer
    from slicer_module.fat_scenes import small_echoes
    from slicer_module.lab.volumes import ras_matrix

    echoes = small_echoes()[0]
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", name)
    node.SetIJKToRASMatrix(ras_matrix(echoes.grid))
    slicer.util.updateVolumeFromArray(node, np.moveaxis(1000 * echoes.magnitude[:count], 0, -1).astype(kind))
    return node


def test_several_values_in_a_voxel_are_as_many_echoes_unless_they_are_colours(scene: Any, tmp_path: Path) -> None:
    from LiverSegLib.scene import candidates_in, place_of_echoes, write_echoes
    from slicer_module import scene_results as lab
    from slicer_module.fat_scenes import small_echoes

    node = several_in_one("dixon", 3)
    several_in_one("picture", 3, np.uint8)
    assert [(one.name, len(one.sizes), one.te_ms) for one in candidates_in(scene)] == [("dixon", 3, ())]
    for what, value in (("TagName", "EchoTime"), ("TagUnits", "s")):
        node.SetAttribute(f"MultiVolume.FrameIdentifyingDICOM{what}", value)
    node.SetAttribute("MultiVolume.FrameLabels", ",".join(str(te / 1000) for te in TE_MS))
    np.testing.assert_allclose(candidates_in(scene)[0].te_ms, TE_MS)
    lab.under(node, lab.SHIFT)
    echoes = role_echoes(node, 3)
    assert place_of_echoes(scene, echoes) is node
    for n, path in enumerate(write_echoes(scene, echoes, tmp_path, "echo")):
        image = sitk.ReadImage(str(path))
        np.testing.assert_allclose(sitk.GetArrayFromImage(image), 1000 * small_echoes()[0].magnitude[n], rtol=1e-6)
        assert not grid_of(image).matches(small_echoes()[0].grid)  # where the transform puts it


@pytest.mark.parametrize("kind", ["sequence", "values of a voxel"])
def test_what_falls_below_zero_is_no_magnitude(scene: Any, kind: str) -> None:
    import slicer
    from LiverSegLib.controller import UserError
    from LiverSegLib.scene.echoes import demand_magnitudes
    from slicer_module.fat_scenes import sequence

    node = sequence("part", 3) if kind == "sequence" else several_in_one("part", 3)
    echoes = role_echoes(node, 3)
    demand_magnitudes(scene, echoes)
    last = node.GetNthDataNode(2) if kind == "sequence" else node
    slicer.util.arrayFromVolume(last)[..., -1] -= 500.0
    slicer.util.arrayFromVolumeModified(last)
    with pytest.raises(UserError, match=r"part holds values down to -.*no magnitude"):
        demand_magnitudes(scene, echoes)


def test_an_echo_that_has_gone_or_is_bent_is_refused(scene: Any, tmp_path: Path) -> None:
    from LiverSegLib.controller import UserError
    from LiverSegLib.scene import place_of_echoes, write_echoes
    from slicer_module import scene_results as lab
    from slicer_module.fat_scenes import sequence

    node = sequence("multiecho", 2, times=False)
    echoes = role_echoes(node, 2)
    lab.bend(place_of_echoes(scene, echoes))
    with pytest.raises(UserError, match="not linear"):
        write_echoes(scene, echoes, tmp_path, "echo")
    scene.RemoveNode(node)
    with pytest.raises(UserError, match="deleted meanwhile"):
        write_echoes(scene, echoes, tmp_path, "echo")


@pytest.mark.parametrize("chain", ["none", "rotation and shift", "mirror"])
@pytest.mark.parametrize("grid", ["plain", "oblique", "left-handed"])
def test_a_map_lies_on_the_voxels_of_its_echo(grid: str, chain: str, loaded_on: Any, tmp_path: Path) -> None:
    import slicer.util
    from LiverSegLib.echoes import MAPS
    from LiverSegLib.scene import add_map, write_volume
    from slicer_module import scene_results as lab
    from slicer_module.fat_scenes import write_results

    volume = loaded_on(grid)
    lab.under(volume, *lab.CHAINS[chain])
    write_volume(volume, tmp_path / "echo.nrrd")
    values = write_results(tmp_path / "out", tmp_path / "echo.nrrd")
    node = add_map(tmp_path / "out" / "pdff.nii.gz", MAPS[0], volume, 20.0)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), values)
    ours, theirs = (lab_matrix(one) for one in (node, volume))
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert node.GetTransformNodeID() == volume.GetTransformNodeID()
    inside = add_map(tmp_path / "out" / "pdff.nii.gz", MAPS[0], volume, 20.0, tmp_path / "out" / "measured.nii.gz")
    kept = np.isfinite(slicer.util.arrayFromVolume(inside))
    assert kept.sum() == 3 * 6 * 8
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(inside)[kept], values[kept])
    assert "PDFF (%)" in node.GetName()
    assert node.GetName() != inside.GetName()


def lab_matrix(node: Any) -> np.ndarray:
    from LiverSegLib.scene.transforms import local_matrix

    return local_matrix(node)


def test_a_map_of_something_else_or_of_a_deleted_echo_is_refused(volume: Any, volume_on: Any, tmp_path: Path) -> None:
    from LiverSegLib.controller import UserError
    from LiverSegLib.echoes import MAPS
    from LiverSegLib.scene import add_map, write_volume
    from slicer_module.fat_scenes import write_results
    from slicer_module.scene_results import census

    other = volume_on("thick slices")
    write_volume(other, tmp_path / "echo.nrrd")
    write_results(tmp_path / "out", tmp_path / "echo.nrrd")
    (tmp_path / "cut.nii.gz").write_bytes(b"no map")
    before = census()
    for file, words in (
        (tmp_path / "out" / "pdff.nii.gz", "is not a map of"),
        (tmp_path / "cut.nii.gz", "cannot be read"),
    ):
        with pytest.raises(UserError, match=words):
            add_map(file, MAPS[0], volume, 20.0)
    assert census() == before
    volume.GetScene().RemoveNode(other)
    with pytest.raises(UserError, match="deleted meanwhile"):
        add_map(tmp_path / "out" / "pdff.nii.gz", MAPS[0], other, 20.0)


def test_the_map_is_seen_over_the_echo_with_its_scale_beside(renderable: None, volume: Any, tmp_path: Path) -> None:
    """Where it was measured the slice is coloured; elsewhere it stays as grey as it was."""
    import slicer
    from LiverSegLib.echoes import MAPS
    from LiverSegLib.scene import add_map, show_map, write_volume
    from slicer_module.fat_scenes import write_results
    from slicer_module.lab.views import SliceView

    write_volume(volume, tmp_path / "echo.nrrd")
    write_results(tmp_path / "out", tmp_path / "echo.nrrd")
    files = [tmp_path / "out" / f"{name}.nii.gz" for name in ("pdff", "r2star", "measured")]
    view = SliceView(size=(240, 220))  # first, as in the application: a view that comes later draws no legend
    inside = add_map(files[0], MAPS[0], volume, 20.0, files[2])
    whole = add_map(files[1], MAPS[1], volume, 500.0)
    try:
        view.show(volume)
        view.node.SetSliceOffset(GRIDS["plain"].world_mm(np.array([8.0, 6.0, 3.0]))[2])
        grey = view.picture()
        legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(inside)
        show_map(volume.GetScene(), inside, volume)
        with_scale = coloured(view.picture())
        legend.SetVisibility(False)
        without = coloured(view.picture())
        assert coloured(grey) == 0
        assert 50 < without < 0.2 * grey[..., 0].size
        assert with_scale > without + 100
        assert legend.GetTitleText() == "PDFF (%)"
        show_map(volume.GetScene(), whole)
        assert coloured(view.picture()) > 2 * with_scale
        show_map(volume.GetScene(), None)
        assert coloured(view.picture()) == 0
    finally:
        view.close()
    assert inside.GetDisplayNode().GetWindowLevelMax() == 20.0
    assert inside.GetAttribute("LiverSeg.unit") == "%"


def coloured(picture: np.ndarray) -> int:
    return int((np.ptp(picture.astype(int), axis=2) > 30).sum())
