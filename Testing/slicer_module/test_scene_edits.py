"""Edits are noticed, marked and kept; the AI result can be had back, and that can be undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import GRIDS

pytest.importorskip("slicer", reason="needs the slicer-core wheel (Python < 3.14)", exc_type=ImportError)

ALL = ["liver", "lesion", "spleen", "kidney_right", "kidney_left"]


@pytest.fixture
def result(volume: Any, tmp_path: Path) -> Any:
    from slicer_module import scene_results as lab

    return lab.shown(tmp_path, volume, lab.organs(GRIDS["plain"]))


@pytest.fixture
def told(result: Any) -> Iterator[list[str]]:
    """What the watch told: the ids that count as edited by then, one entry a call."""
    from LiverSegLib.scene import EditWatch

    calls: list[str] = []
    watch = EditWatch(result, lambda: calls.append(" ".join(edited(result))))
    yield calls
    watch.close()


def edited(node: Any) -> list[str]:
    from LiverSegLib.scene.terminology import tag_of

    inner = node.GetSegmentation()
    types = {id_: tag_of(inner.GetSegment(id_), "DICOM.SegmentAlgorithmType") for id_ in inner.GetSegmentIDs()}
    return [id_ for id_, kind in types.items() if kind != "AUTOMATIC"]


def paint(node: Any, segment_id: str, where: tuple[slice, ...]) -> None:
    """Add voxels to one segment through Slicer's logic; where another one lies, it gets a layer of its own."""
    import slicer
    from LiverSegLib.scene.labelmaps import codes_of, image_of, lattice_of

    volume = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    voxels = codes_of(node, {segment_id: 1}, lattice_of(volume))
    voxels[where] = 1
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    image = image_of(voxels, lattice_of(volume))
    assert logic.SetBinaryLabelmapToSegment(image, node, segment_id, logic.MODE_REPLACE)
    np.testing.assert_array_equal(codes_of(node, {segment_id: 1}, lattice_of(volume)), voxels)


FAR = (slice(0, 2), slice(0, 2), slice(40, 46))  # outside the block of the result
LESION = (slice(14, 18), slice(18, 22), slice(22, 26))  # inside the liver


def test_painting_one_segment_marks_that_one_alone(result: Any, told: list[str]) -> None:
    paint(result, "spleen", FAR)
    assert told == ["spleen"]
    paint(result, "liver", (slice(0, 1), slice(38, 40), slice(0, 3)))
    assert told == ["spleen", "liver spleen"]


def test_painting_over_a_neighbour_marks_both(result: Any, told: list[str]) -> None:
    """As with the editor's overwrite mode "all segments": what one gains the other loses, in the layer they share."""
    import slicer.util

    image = result.GetSegmentation().GetSegment("liver").GetRepresentation("Binary labelmap")
    voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(result, "liver")
    spot = tuple(int(n) for n in np.argwhere(voxels == 2)[0])
    voxels[spot] = 1
    image.GetPointData().GetScalars().Modified()
    image.Modified()
    assert told == ["liver lesion"]


@pytest.mark.parametrize(
    "act",
    [
        lambda node: node.GetSegmentation().GetSegment("liver").SetName("mine"),
        lambda node: node.GetSegmentation().GetSegment("liver").SetColor(0, 0, 1),
        lambda node: node.GetDisplayNode().SetSegmentVisibility("liver", False),
        lambda node: node.GetDisplayNode().SetOpacity(0.3),
        lambda node: node.CreateClosedSurfaceRepresentation(),
        lambda node: node.GetSegmentation().GetSegment("liver").GetRepresentation("Binary labelmap").Modified(),
        lambda node: node.SetAndObserveTransformNodeID(None),
        lambda node: node.SetName("other"),
        lambda node: node.GetSegmentation().SetSegmentIndex("spleen", 0),
    ],
    ids=["name", "colour", "visibility", "opacity", "surface", "touched", "transform", "node name", "order"],
)
def test_what_changes_no_voxel_is_no_edit(act: Callable[[Any], None], result: Any, told: list[str]) -> None:
    act(result)
    assert told == []
    assert edited(result) == []


def test_segments_that_come_and_go_are_told_but_mark_no_other(result: Any, told: list[str]) -> None:
    inner = result.GetSegmentation()
    inner.RemoveSegment("spleen")
    assert told == [""]
    inner.AddEmptySegment("mine", "mine")
    paint(result, "mine", LESION)
    assert edited(result) == ["mine"]  # a person drew it: it has no algorithm


def test_status_goes_on_when_it_is_edited_and_a_flag_stays(result: Any, told: list[str]) -> None:
    from LiverSegLib.scene import set_status, status_of

    inner = result.GetSegmentation()
    assert [status_of(inner.GetSegment(id_)) for id_ in ALL] == [0] * 5
    set_status(inner.GetSegment("spleen"), 2)
    set_status(inner.GetSegment("kidney_left"), 3)
    for segment_id in ("liver", "spleen", "kidney_left"):
        paint(result, segment_id, FAR)
    assert [status_of(inner.GetSegment(id_)) for id_ in ALL] == [1, 0, 1, 0, 3]


def test_undo_in_the_editor_is_noticed_though_slicer_tells_it_like_a_new_name(result: Any, told: list[str]) -> None:
    import slicer

    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(result.GetSegmentation())
    history.SaveState()
    paint(result, "liver", FAR)
    count = len(told)
    assert history.RestorePreviousState()
    assert len(told) > count


def test_a_closed_watch_hears_nothing_and_leaves_no_observer(result: Any) -> None:
    from LiverSegLib.scene import EditWatch
    from slicer_module.lab.boot import observers

    things = [result, result.GetSegmentation(), result.GetDisplayNode(), result.GetScene()]
    things += [result.GetSegmentation().GetSegment(id_) for id_ in ALL]
    before = [observers(thing) for thing in things]
    calls: list[int] = []
    watch = EditWatch(result, lambda: calls.append(1))
    assert [observers(thing) for thing in things] != before
    watch.close()
    watch.close()
    assert [observers(thing) for thing in things] == before
    paint(result, "liver", FAR)
    assert not calls


@pytest.mark.parametrize("segment_id", [None, "liver"])
def test_the_ai_result_comes_back_and_that_can_be_undone(
    segment_id: str | None, result: Any, volume: Any, told: list[str]
) -> None:
    from LiverSegLib.scene import restore_ai, status_of
    from LiverSegLib.scene.labelmaps import codes_of, lattice_of
    from slicer_module import scene_results as lab

    def masks() -> list[np.ndarray]:
        return [codes_of(result, {id_: 1}, lattice_of(volume)) for id_ in ALL]

    as_drawn = masks()
    paint(result, "liver", FAR)
    paint(result, "spleen", (slice(3, 5), slice(3, 5), slice(30, 33)))
    as_edited = masks()
    undo = restore_ai(result, segment_id)
    wanted = as_drawn if segment_id is None else [*as_drawn[:1], *as_edited[1:]]
    for now, then in zip(masks(), wanted):
        np.testing.assert_array_equal(now, then)
    assert edited(result) == ([] if segment_id is None else ["spleen"])
    assert status_of(result.GetSegmentation().GetSegment("liver")) == 0
    undo()
    undo()
    for now, then in zip(masks(), as_edited):
        np.testing.assert_array_equal(now, then)
    assert edited(result) == ["liver", "spleen"]
    np.testing.assert_array_equal(lab.seen(result.GetNodeReference("LiverSeg.baseline"), volume) > 0, sum(as_drawn) > 0)


def test_restoring_all_brings_back_one_layer_and_deleted_segments_and_keeps_mine(result: Any, volume: Any) -> None:
    from LiverSegLib.scene import restore_ai
    from slicer_module import scene_results as lab

    inner = result.GetSegmentation()
    inner.RemoveSegment("kidney_right")
    inner.AddEmptySegment("mine", "mine")
    paint(result, "mine", LESION)
    paint(result, "spleen", LESION)
    inner.GetSegment("liver").SetName("My liver")
    result.CreateClosedSurfaceRepresentation()
    restore_ai(result)
    assert inner.GetNumberOfLayers() == 2
    assert {*ALL, "mine"} == set(inner.GetSegmentIDs())
    assert inner.GetSegment("liver").GetName() == "My liver"
    np.testing.assert_array_equal(lab.seen(result, volume), lab.organs(GRIDS["plain"]))
    assert inner.GetSegment("spleen").GetRepresentation("Closed surface").GetNumberOfPoints() > 0


def test_a_restored_segment_leaves_what_was_painted_over_it(result: Any, volume: Any) -> None:
    """The liver gets its voxels back; those that a person gave to the spleen meanwhile stay the spleen's."""
    import slicer.util
    from LiverSegLib.scene import restore_ai
    from LiverSegLib.scene.labelmaps import codes_of, lattice_of
    from slicer_module import scene_results as lab

    voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(result, "liver")
    voxels[voxels == 1] = 3  # all of it
    result.GetSegmentation().GetSegment("liver").GetRepresentation("Binary labelmap").Modified()
    restore_ai(result, "liver")
    organs = lab.organs(GRIDS["plain"])
    np.testing.assert_array_equal(codes_of(result, {"liver": 1}, lattice_of(volume)), organs == 1)
    np.testing.assert_array_equal(codes_of(result, {"spleen": 1}, lattice_of(volume)), (organs == 1) | (organs == 3))


def test_what_the_ai_did_not_draw_cannot_be_restored(result: Any, volume: Any) -> None:
    from LiverSegLib.controller import UserError
    from LiverSegLib.scene import compare_with_ai, restore_ai
    from slicer_module.lab.volumes import liver_node

    result.GetSegmentation().AddEmptySegment("mine", "My own")
    with pytest.raises(UserError, match="My own was not drawn by the AI"):
        restore_ai(result, "mine")
    with pytest.raises(UserError, match="segmentation has no AI result"):
        restore_ai(liver_node(volume))
    one, other = compare_with_ai(result)
    assert (one, other.GetHideFromEditors()) == (result, 1)
    result.GetScene().RemoveNode(other)
    with pytest.raises(UserError, match="phantom liver has no AI result"):
        compare_with_ai(result)


def test_scene_functions_leave_no_observer_behind(result: Any, volume: Any, tmp_path: Path) -> None:
    from LiverSegLib import scene as s
    from slicer_module import scene_results as lab
    from slicer_module.lab.boot import observers

    things = [result, result.GetSegmentation(), volume, result.GetScene(), volume.GetImageData()]
    before = [observers(thing) for thing in things]
    s.restore_ai(result)()
    s.write_volume(volume, tmp_path / "scan.nrrd")
    s.write_segments(result, s.codes_in(result), None, tmp_path / "mask.nrrd")
    for made in (
        s.make_plane(result), s.error_overlay(*(x for node in s.compare_with_ai(result) for x in (node, ["liver"])), "liver"),
        s.hardened_copy(volume), lab.shown(tmp_path, volume, lab.organs(GRIDS["plain"])),
    ):  # fmt: skip
        result.GetScene().RemoveNode(made)
    s.remove_orphans(result.GetScene())
    assert [observers(thing) for thing in things] == before
