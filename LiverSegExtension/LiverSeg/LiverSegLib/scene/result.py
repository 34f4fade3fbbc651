"""What `liverseg segment` wrote -> a segmentation node: beside its scan, with names, codes and who drew it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from liverseg_core.labels import LABELS, LESION, LIVER, segment_name, terminology

from ..controller import UserError
from .labelmaps import LABELMAP, Extent, Lattice, array_of, filled_extent, image_of, window
from .provenance import BASELINE, mark_automatic, provenance_of, write_provenance
from .terminology import load_terminology
from .transforms import local_matrix, parent_matrix
from .volumes import checked, place_beside
from .words import _


def show_result(volume: Any, mask_file: Path, report: Mapping[str, Any]) -> Any:
    """A new segmentation node with one segment a structure of `report` (the content of report.json), in one layer.

    It lies on the volume's own grid and observes its transform; organs around the liver are hidden. A copy that nobody
    edits stays behind it as the AI result. Whatever was in the scene stays as it was. UserError, and then nothing is new,
    where the mask cannot be read or is not of this volume.
    """
    checked(volume)
    voxels = _mask_of(mask_file, volume)
    layer = _layer(voxels, volume)
    codes = _codes_of(report, array_of(layer))
    scene = volume.GetScene()
    load_terminology()
    remove_orphans(scene)
    provenance = provenance_of(report)
    name = scene.GetUniqueNameByString(_("{name} liver").format(name=volume.GetName()))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)  # after the transform, else that goes into it twice
    _add_segments(node, layer, codes, provenance.algorithm)
    write_provenance(node, provenance)
    _show_liver(node)
    place_beside(node, volume)
    _keep_baseline(node)
    return node


def baseline_of(segmentation: Any) -> Any:
    """The AI result as it came. UserError for a segmentation that has none."""
    baseline = segmentation.GetNodeReference(BASELINE)
    if baseline is None:
        raise UserError(
            _("{name} has no AI result: it was not made by LiverSeg, or its copy was deleted.").format(
                name=segmentation.GetName()
            )
        )
    return baseline


def remove_orphans(scene: Any) -> None:
    """AI results whose segmentation was deleted: nobody could see or delete them."""
    nodes = [scene.GetNthNodeByClass(n, "vtkMRMLSegmentationNode") for n in range(_count(scene))]
    wanted = {node.GetNodeReferenceID(BASELINE) for node in nodes}
    for node in nodes:
        if node.GetAttribute(BASELINE) and node.GetID() not in wanted:
            scene.RemoveNode(node)


def _count(scene: Any) -> int:
    return int(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"))


def _mask_of(file: Path, volume: Any) -> np.ndarray:
    """uint8 codes [k, j, i] in the order of the volume's own voxels: it does not matter where the volume is by now."""
    voxels = _nrrd_voxels(file) if file.suffix == ".nrrd" else archetype_voxels(file, volume)
    expected = volume.GetImageData().GetDimensions()[::-1]
    if voxels.shape != expected:
        raise UserError(
            _(
                "The result has {came} voxels, but {name} has {expected}: was it changed meanwhile? Segment it again."
            ).format(came=_size(voxels.shape), name=volume.GetName(), expected=_size(expected))
        )
    if voxels.dtype != np.uint8 or int(voxels.max()) > max(LABELS):
        raise UserError(_("{file} does not hold label codes; please report it.").format(file=file.name))
    return voxels


def _nrrd_voxels(file: Path) -> np.ndarray:
    """In the order of the file, which is the volume's own."""
    reader, problems = slicer.vtkTeemNRRDReader(), []
    if not file.is_file() or not reader.CanReadFile(str(file)):
        raise _unreadable(file)
    tag = reader.AddObserver("ErrorEvent", lambda *_event: problems.append(file))  # a cut file has no other sign
    reader.SetFileName(str(file))
    reader.Update()
    reader.RemoveObserver(tag)
    if problems:
        raise _unreadable(file)
    return array_of(reader.GetOutput())


def archetype_voxels(file: Path, volume: Any) -> np.ndarray:
    """Slicer's reader reverses the slices of a left-handed file: for a left-handed volume they are turned back."""
    storage, node = slicer.vtkMRMLVolumeArchetypeStorageNode(), slicer.vtkMRMLScalarVolumeNode()
    storage.SetFileName(str(file))
    if not file.is_file() or not storage.ReadData(node) or node.GetImageData() is None:
        raise _unreadable(file)
    voxels = array_of(node.GetImageData())
    world = parent_matrix(volume) @ local_matrix(volume)
    turned = np.linalg.det(local_matrix(node)[:3, :3]) * np.linalg.det(world[:3, :3]) < 0
    return voxels[::-1] if turned else voxels


def _codes_of(report: Mapping[str, Any], voxels: np.ndarray) -> list[int]:
    """What the model knows, found or not, and whatever else is drawn."""
    told = {measurement["structure"] for measurement in report.get("measurements", ())}
    return [code for code, label in LABELS.items() if label.key in told or (voxels == code).any()]


def _layer(voxels: np.ndarray, volume: Any) -> Any:
    """The block that holds something, where the volume itself has it; a single empty voxel where nothing does."""
    everything: Extent = tuple(volume.GetImageData().GetExtent())
    inside = filled_extent(voxels, everything) or everything[:1] * 2 + everything[2:3] * 2 + everything[4:5] * 2
    return image_of(voxels[window(everything, inside)], Lattice(local_matrix(volume), inside))


def _add_segments(node: Any, layer: Any, codes: Sequence[int], algorithm: str) -> None:
    """They share the image: painting over one in the editor takes from the other."""
    for code in codes:
        label, segment = LABELS[code], slicer.vtkSegment()
        segment.SetName(segment_name(code, codes))
        segment.NameAutoGeneratedOff()
        segment.SetColor([part / 255 for part in label.colour])
        segment.ColorAutoGeneratedOff()
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology(code))
        mark_automatic(segment, algorithm)
        segment.SetLabelValue(code)
        segment.AddRepresentation(LABELMAP, layer)
        node.GetSegmentation().AddSegment(segment, label.key)


def _show_liver(node: Any) -> None:
    node.CreateDefaultDisplayNodes()
    for code, label in LABELS.items():
        if code not in (LIVER, LESION) and node.GetSegmentation().GetSegment(label.key) is not None:
            node.GetDisplayNode().SetSegmentVisibility(label.key, False)


def _keep_baseline(node: Any) -> None:
    baseline = slicer.vtkMRMLSegmentationNode()
    baseline.SetName(_("{name} as the AI drew it").format(name=node.GetName()))
    baseline.SetHideFromEditors(True)
    baseline.SetAttribute(BASELINE, "1")
    baseline.GetSegmentation().DeepCopy(node.GetSegmentation())
    baseline.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    node.GetScene().AddNode(baseline)
    node.SetNodeReferenceID(BASELINE, baseline.GetID())


def _unreadable(file: Path) -> UserError:
    return UserError(
        _("The result {file} cannot be read; try again, and report it if that fails, too.").format(file=file)
    )


def _size(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in reversed(shape))
