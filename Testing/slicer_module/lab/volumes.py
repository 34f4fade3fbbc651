"""Phantoms of the core as nodes of a scene: voxels, places and a segmentation whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk
from liverseg_core.geometry import Grid
from liverseg_core.records import Scan
from phantoms import GRIDS, bright_liver, ellipsoid, saved_scan

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def ras_matrix(grid: Grid) -> vtk.vtkMatrix4x4:
    """Voxel index (i, j, k) -> RAS millimetres."""
    full = np.eye(4)
    full[:3, :3] = LPS_TO_RAS @ (grid.axes * np.asarray(grid.spacing_mm))
    full[:3, 3] = LPS_TO_RAS @ np.asarray(grid.origin_mm)
    return slicer.util.vtkMatrixFromArray(full)


def volume_node(scan: Scan | str = "plain", name: str = "phantom", dtype: Any = np.int16) -> Any:
    """A scalar volume node with the scan's voxels where the scan has them (or `bright_liver` on a grid of GRIDS)."""
    if isinstance(scan, str):
        scan = bright_liver(GRIDS[scan])
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(ras_matrix(scan.grid))
    slicer.util.updateVolumeFromArray(node, scan.voxels.astype(dtype))
    node.CreateDefaultDisplayNodes()
    return node


def loaded_volume(folder: Path, scan: Scan | str = "plain") -> Any:
    """The scan as Slicer's own reader loads it from a file: a left-handed grid comes back with reversed slices."""
    if isinstance(scan, str):
        scan = bright_liver(GRIDS[scan])
    return slicer.util.loadVolume(str(saved_scan(folder / "phantom.nrrd", scan)))


def segmentation_node(volume: Any, masks: dict[str, np.ndarray], name: str = "segmentation") -> Any:
    """One segment for each mask [k, j, i] on the volume's grid, in one shared layer; segment id = name."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)  # after the transform, else that goes into it twice
    ids = vtk.vtkStringArray()
    labels = np.zeros(slicer.util.arrayFromVolume(volume).shape, np.uint8)
    for label, (segment, mask) in enumerate(masks.items(), start=1):
        ids.InsertNextValue(node.GetSegmentation().AddEmptySegment(segment, segment))
        labels[mask] = label
    labelmap = slicer.modules.volumes.logic().CreateAndAddLabelVolume(volume, "labels")
    slicer.util.updateVolumeFromArray(labelmap, labels)
    assert slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labelmap, node, ids)
    slicer.mrmlScene.RemoveNode(labelmap)
    return node


def liver_node(volume: Any, grid: str = "plain") -> Any:
    """The ellipsoid of `bright_liver` as a segment "liver"."""
    return segmentation_node(volume, {"liver": ellipsoid(GRIDS[grid])})
