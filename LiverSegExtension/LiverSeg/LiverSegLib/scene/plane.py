"""A cutting plane through the liver: a markup that is moved by hand or by a slider, and what the worker is told of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from liverseg_core.labels import LESION, LIVER

from ..controller import UserError
from .labelmaps import (
    array_of,
    box_of,
    demand_labelmaps,
    drawn_extent,
    image_matrix,
    layers_of,
    planes_of,
    window,
)
from .terminology import codes_in
from .transforms import RAS_TO_LPS, parent_matrix, place_of, world_matrix
from .volumes import checked
from .words import _

_SIZE_MM = 200.0  # wider than most livers are tall
_TO_THE_LEFT = (-1.0, 0.0, 0.0)  # RAS: at first the left of the liver remains, as after a right hemihepatectomy


def make_plane(node: Any) -> Any:
    """A markups plane through the centre of gravity of the liver of a segmentation, or through the middle of a volume.

    What its normal points to is what remains: at first the patient's left. UserError where no liver is drawn.
    """
    if node is None:
        raise UserError(_("Choose a segmentation with a liver first: the plane is laid through it."))
    centre = _liver_centre(node) if node.IsA("vtkMRMLSegmentationNode") else _volume_centre(node)
    scene = node.GetScene()
    plane = scene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", scene.GetUniqueNameByString(_("Cutting plane")))
    plane.CreateDefaultDisplayNodes()
    plane.SetSizeMode(plane.SizeModeAbsolute)
    plane.SetCenterWorld(centre)
    plane.SetNormalWorld(_TO_THE_LEFT)
    plane.SetSize(_SIZE_MM, _SIZE_MM)
    return plane


def plane_argument(plane: Any) -> str:
    """x,y,z,nx,ny,nz for `liverseg measure --plane`: LPS mm in the world, where an exported mask lies, too."""
    if plane is None or not plane.GetIsPlaneValid():
        raise UserError(_("There is no cutting plane yet; make one, and lay it through the liver."))
    point, normal = (RAS_TO_LPS * np.asarray(ras) for ras in (plane.GetCenterWorld(), plane.GetNormalWorld()))
    return ",".join(f"{number + 0.0:.9g}" for number in (*point, *normal))  # + 0.0: no minus before a zero


def move_plane(plane: Any, by_mm: float) -> None:
    """Along its normal; positive is toward what remains."""
    plane.SetCenterWorld(np.asarray(plane.GetCenterWorld()) + by_mm * _unit_normal(plane))


def reach_mm(plane: Any, segmentation: Any) -> tuple[float, float]:
    """How far the plane can be slid, back (negative) and forth, before it leaves the box around the liver; mm."""
    demand_labelmaps(segmentation)
    box = box_of(segmentation, _liver_ids(segmentation))
    if box is None:
        raise _no_liver(segmentation)
    along_mm = (box.corners[:3].T - np.asarray(plane.GetCenterWorld())) @ _unit_normal(plane)
    return float(along_mm.min()), float(along_mm.max())


def _unit_normal(plane: Any) -> np.ndarray:
    normal = np.asarray(plane.GetNormalWorld())
    return normal / np.linalg.norm(normal)


def _volume_centre(volume: Any) -> np.ndarray:
    checked(volume)
    middle = (np.asarray(volume.GetImageData().GetDimensions()) - 1) / 2
    matrix = world_matrix(volume)
    return np.array(matrix.MultiplyPoint((*middle, 1.0))[:3])


def _liver_centre(segmentation: Any) -> np.ndarray:
    """Of parenchyma and lesions together; a voxel in two layers counts twice."""
    demand_labelmaps(segmentation)
    to_world, places, weights = parent_matrix(segmentation), [], []
    for image, labels in layers_of(segmentation, _liver_ids(segmentation)):
        extent = drawn_extent(image, labels.values())
        if extent is not None:
            sums = _sums(array_of(image)[window(tuple(image.GetExtent()), extent)], tuple(labels.values()))
            index = [start + np.average(np.arange(len(s)), weights=s) for start, s in zip(extent[::2], sums)]
            places.append(place_of(to_world @ image_matrix(image), np.array(index)))
            weights.append(sums[2].sum())
    if not places:
        raise _no_liver(segmentation)
    return np.average(places, axis=0, weights=weights)


def _sums(voxels: np.ndarray, labels: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many voxels have one of the labels, along i, j and k."""
    seen, counts = np.zeros(voxels.shape[1:], np.uint32), []
    for drawn in planes_of(voxels, labels):
        seen += drawn
        counts.append(np.count_nonzero(drawn))
    return seen.sum(axis=0), seen.sum(axis=1), np.array(counts)


def _liver_ids(segmentation: Any) -> list[str]:
    return [id_ for id_, code in codes_in(segmentation).items() if code in (LIVER, LESION)]


def _no_liver(segmentation: Any) -> UserError:
    text = _("{name} has no liver that could be cut; segment or draw one first.")
    return UserError(text.format(name=segmentation.GetName()))
