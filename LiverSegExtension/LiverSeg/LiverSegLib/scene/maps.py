"""A map of the worker -> a volume node in colour: on the voxels of the scan, over it in the slices, with its scale beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util

from ..controller import UserError
from ..echoes import MapRow
from .result import archetype_voxels
from .transforms import local_matrix
from .volumes import place_beside
from .words import _

MAP = "LiverSeg.map"  # attribute of a map: its key
UNIT = "LiverSeg.unit"
_EVERYTHING = (-1e6, 1e6)  # a threshold that lets NaN alone through, which is then not drawn
_OPACITY = 0.7
_COLOURS = ("Viridis", "Iron")  # the first that there is; light grows with the value in both
_FORMAT = "%.0f"


def add_map(file: Path, row: MapRow, place: Any, top: float, measured: Path | None = None) -> Any:
    """A float32 volume node on the voxels of `place` and under its transform, with a legend; nothing is shown yet.

    `top` is the end of its colour scale, which begins at 0. Outside `measured` (a mask of the same voxels) it is NaN.
    UserError where a file cannot be read, or is not of this volume.
    """
    if place.GetScene() is None:
        raise UserError(_("The echoes were deleted meanwhile: their maps have no place. Measure again."))
    voxels = archetype_voxels(file, place).astype(np.float32)
    if voxels.shape != place.GetImageData().GetDimensions()[::-1]:
        raise UserError(_("{file} is not a map of {name}; measure again.").format(file=file.name, name=place.GetName()))
    if measured is not None:
        voxels[archetype_voxels(measured, place) == 0] = np.nan
    scene = place.GetScene()
    where = _("{name}: {map} where measured") if measured is not None else _("{name}: {map}")
    title = scene.GetUniqueNameByString(where.format(name=place.GetName(), map=row.name))
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", title)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(local_matrix(place)))
    node.SetAndObserveTransformNodeID(place.GetTransformNodeID())
    slicer.util.updateVolumeFromArray(node, voxels)
    node.SetAttribute(MAP, row.key)
    node.SetAttribute(UNIT, row.unit)
    _colour(node, row, top)
    place_beside(node, place)
    return node


def show_map(scene: Any, node: Any, below: Any = None) -> None:
    """Over the slices of every view, over `below` where that is given, with its scale; None takes the maps away."""
    maps = [one for one in _volumes(scene) if one.GetAttribute(MAP) is not None]
    ids = {one.GetID() for one in maps}
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        view = scene.GetNthNodeByClass(n, "vtkMRMLSliceCompositeNode")
        if below is not None:
            view.SetBackgroundVolumeID(below.GetID())
        if node is not None:
            view.SetForegroundVolumeID(node.GetID())
            view.SetForegroundOpacity(_OPACITY)
        elif view.GetForegroundVolumeID() in ids:
            view.SetForegroundVolumeID(None)
    for one in maps:  # after the views: a legend looks only once whether its volume is there
        legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(one)
        if legend is not None:
            legend.SetVisibility(one is node)


def load_below(file: Path, name: str) -> Any:
    """A map of the worker as a grey volume: what the others lie on where the scene has no echo."""
    node = slicer.util.loadVolume(str(file), properties={"name": name, "show": False})
    node.SetAttribute(MAP, name)
    return node


def _volumes(scene: Any) -> list[Any]:
    kind = "vtkMRMLScalarVolumeNode"
    return [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]


def _colour(node: Any, row: MapRow, top: float) -> None:
    scene = node.GetScene()
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    colours = next((one for name in _COLOURS if (one := scene.GetFirstNodeByName(name)) is not None), None)
    if colours is not None:
        display.SetAndObserveColorNodeID(colours.GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, top)
    display.SetInterpolate(False)  # a voxel that was not measured has no neighbour to be mixed with
    display.SetThreshold(*_EVERYTHING)
    display.ApplyThresholdOn()
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(node)
    legend.SetTitleText(row.name)
    legend.SetLabelFormat(_FORMAT)
    legend.SetVisibility(False)
