"""Everything of a result survives a file of its own and a saved scene; and what is shown is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import GRIDS

pytest.importorskip("slicer", reason="needs the slicer-core wheel (Python < 3.14)", exc_type=ImportError)


def known(node: Any) -> list[tuple[Any, ...]]:
    """What must not get lost: id, name, colour, terminology, algorithm, status."""
    from LiverSegLib.scene import status_of
    from LiverSegLib.scene.terminology import tag_of

    inner = node.GetSegmentation()
    segments = [(id_, inner.GetSegment(id_)) for id_ in inner.GetSegmentIDs()]
    tags = ("DICOM.SegmentAlgorithmType", "DICOM.SegmentAlgorithmName")
    return [
        (
            id_,
            s.GetName(),
            tuple(np.round(s.GetColor(), 3)),
            s.GetTerminology(),
            *(tag_of(s, t) for t in tags),
            status_of(s),
        )
        for id_, s in segments
    ]


@pytest.fixture
def result(volume: Any, tmp_path: Path) -> Any:
    """As after some work: the spleen was edited and is done."""
    from LiverSegLib.scene import set_status
    from LiverSegLib.scene.provenance import mark_edited
    from slicer_module import scene_results as lab

    lab.under(volume, lab.SHIFT @ lab.TURN)
    node = lab.shown(tmp_path, volume, lab.organs(GRIDS["plain"]))
    spleen = node.GetSegmentation().GetSegment("spleen")
    mark_edited(spleen)
    set_status(spleen, 2)
    return node


def test_a_seg_nrrd_keeps_segments_and_who_drew_them(result: Any, volume: Any, tmp_path: Path) -> None:
    import slicer.util
    from slicer_module import scene_results as lab

    path = tmp_path / "Größe mit Leerzeichen.seg.nrrd"
    assert slicer.util.saveNode(result, str(path))
    back = slicer.util.loadSegmentation(str(path))
    assert known(back) == known(result)
    assert known(back)[2][4:] == ("SEMIAUTOMATIC", lab.ALGORITHM, 2)
    assert back.GetSegmentation().GetNumberOfLayers() == 1
    back.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    np.testing.assert_array_equal(lab.seen(back, volume), lab.organs(GRIDS["plain"]))


def test_the_command_line_reads_what_slicer_saved(result: Any, tmp_path: Path) -> None:
    """`liverseg compare` takes a corrected segmentation as it is."""
    import slicer.util
    from liverseg_core.reading import read_mask
    from slicer_module import scene_results as lab

    assert slicer.util.saveNode(result, str(tmp_path / "saved.seg.nrrd"))
    mask = read_mask(tmp_path / "saved.seg.nrrd")
    organs = lab.organs(GRIDS["plain"])
    assert np.bincount(mask.voxels.ravel())[1:].tolist() == np.bincount(organs.ravel())[1:].tolist()


def test_a_saved_scene_keeps_all_of_it(result: Any, volume: Any, tmp_path: Path) -> None:
    import slicer
    from LiverSegLib.scene import baseline_of, make_plane, plane_argument, read_provenance, restore_ai, scan_of
    from slicer_module import scene_results as lab

    scene, codes = slicer.mrmlScene, lab.organs(GRIDS["plain"])
    cut = plane_argument(make_plane(result))
    before, made = known(result), read_provenance(result)
    (tmp_path / "saved scene").mkdir()
    scene.SetURL(str(tmp_path / "saved scene" / "x.mrml"))
    assert scene.WriteToMRB(str(tmp_path / "saved scene" / "x.mrb"), None)
    scene.Clear(False)
    assert scene.ReadFromMRB(str(tmp_path / "saved scene" / "x.mrb"), True)
    node, scan = scene.GetFirstNodeByName("phantom liver"), scene.GetFirstNodeByName("phantom")
    assert (known(node), read_provenance(node)) == (before, made)
    assert scan_of(node) is scan
    assert node.GetTransformNodeID() == scan.GetTransformNodeID() is not None
    assert node.GetSegmentation().GetNumberOfLayers() == 1
    assert [bool(node.GetDisplayNode().GetSegmentVisibility(id_)) for id_ in ("liver", "spleen")] == [True, False]
    np.testing.assert_array_equal(lab.seen(node, scan), codes)
    baseline = baseline_of(node)
    assert baseline.GetHideFromEditors()
    np.testing.assert_array_equal(lab.seen(baseline, scan), codes)
    node.GetSegmentation().RemoveSegment("liver")
    restore_ai(node, "liver")
    np.testing.assert_array_equal(lab.seen(node, scan), codes)
    assert plane_argument(scene.GetFirstNodeByClass("vtkMRMLMarkupsPlaneNode")) == cut


def test_the_liver_is_drawn_and_a_hidden_organ_is_not(result: Any, volume: Any, renderable: None) -> None:
    """Red slice through the liver: pixels of its colours appear where it is; the spleen adds some only when it is shown."""
    from slicer_module.lab.views import SliceView

    volume.SetAndObserveTransformNodeID(None)
    result.SetAndObserveTransformNodeID(None)
    view = SliceView(size=(240, 200))
    view.show(volume)
    display = result.GetDisplayNode()
    pictures = {}
    for name, segment in (("liver", "liver"), ("spleen", "spleen")):
        view.logic.SetSliceOffset(result.GetSegmentCenterRAS(segment)[2])
        shown = view.picture()
        display.SetSegmentVisibility(segment, not display.GetSegmentVisibility(segment))
        pictures[name] = int((view.picture() != shown).any(axis=-1).sum())
        if name == "spleen":
            assert display.GetSegmentVisibility("spleen")  # it was hidden before
    view.close()
    assert pictures["liver"] > 2000
    assert 20 < pictures["spleen"] < pictures["liver"]


def test_errors_are_drawn_in_their_colours(volume: Any, renderable: None) -> None:
    """Dark blue where the reference alone is, orange where the prediction alone is, on the sides where they must be."""
    from LiverSegLib.scene import error_overlay
    from LiverSegLib.scene.overlay import COLOURS, FALSE, MISSED
    from phantoms import ellipsoid
    from slicer_module.lab.views import SliceView
    from slicer_module.lab.volumes import segmentation_node

    true = ellipsoid(GRIDS["plain"])
    nodes = [segmentation_node(volume, {"liver": np.roll(true, step, axis=2)}) for step in (6, 0)]
    for node in nodes:
        node.GetDisplayNode().SetVisibility(False)
    overlay = error_overlay(nodes[0], ["liver"], nodes[1], ["liver"], "liver")
    overlay.GetDisplayNode().SetOpacity2DFill(1.0)
    view = SliceView("Green", "Axial", (240, 200))
    view.show(volume)
    view.logic.SetSliceOffset(31.0)
    picture = view.picture().astype(int)
    view.close()
    columns = {}
    for key in (MISSED, FALSE):
        near = np.abs(picture - np.array(COLOURS[key]) * 255).max(axis=-1) < 12
        assert near.sum() > 300, key
        columns[key] = np.nonzero(near)[1].mean()
    assert columns[MISSED] < columns[FALSE]  # six voxels toward the patient's left, which is right on the screen


def test_surface_and_plane_are_drawn_in_3d(result: Any, renderable: None) -> None:
    from LiverSegLib.scene import make_plane
    from slicer_module.lab.views import SpaceView

    view = SpaceView(size=(240, 200))
    empty = view.picture()
    result.CreateClosedSurfaceRepresentation()
    view.fit()
    liver = view.picture()
    plane = make_plane(result)
    cut = view.picture()
    view.close()
    assert (liver != empty).any(axis=-1).sum() > 3000
    assert (cut != liver).any(axis=-1).sum() > 1000
    assert plane.GetDisplayNode().GetVisibility()
