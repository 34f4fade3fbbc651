"""Where a node lies: voxel index (i, j, k) -> RAS mm, of its own and in the world. The only file here with affine arithmetic.

A matrix is float64 (4, 4) unless it says vtkMatrix4x4; `m @ [i, j, k, 1]` is a place.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk

from ..controller import UserError
from .volumes import place_beside
from .words import _

RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
_SHEAR = 1e-4  # of the product of two axes: the bound of the core
_FLAT = 1e-9  # of the volume that three unit axes span


def local_matrix(volume: Any) -> np.ndarray:
    """Index -> the volume's own RAS, transforms left aside."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def parent_matrix(node: Any) -> np.ndarray:
    """The node's own RAS -> world, through all its parents. UserError where one is not linear or leaves no space."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise UserError(
            _(
                "{name} lies under a transform that is not linear, which its voxels cannot follow; "
                "harden a copy of it, and use that."
            ).format(name=node.GetName())
        )
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return spacious_matrix(slicer.util.arrayFromVTKMatrix(matrix), node.GetName())


def world_matrix(volume: Any) -> vtk.vtkMatrix4x4:
    """Index -> world. UserError for a transform that is not linear, and for axes that are not at right angles or flat."""
    return slicer.util.vtkMatrixFromArray(
        checked_matrix(parent_matrix(volume) @ local_matrix(volume), volume.GetName())
    )


def checked_matrix(matrix: np.ndarray, name: str) -> np.ndarray:
    """The matrix itself, if its axes are at right angles and span a space."""
    if sheared(spacious_matrix(matrix, name)):
        raise UserError(
            _(
                "The axes of {name} are not at right angles (gantry tilt, or a transform with shear); "
                "harden a copy of it, and use that."
            ).format(name=name)
        )
    return matrix


def spacious_matrix(matrix: np.ndarray, name: str) -> np.ndarray:
    """The matrix itself, if it can be inverted."""
    if flat(matrix):
        raise UserError(
            _(
                "The position of {name} is singular: its voxels have no size in space; correct its spacing or transform."
            ).format(name=name)
        )
    return matrix


def flat(matrix: np.ndarray) -> bool:
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or not lengths.all():
        return True
    return bool(abs(np.linalg.det(matrix[:3, :3] / lengths)) < _FLAT)


def sheared(matrix: np.ndarray) -> bool:
    axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > _SHEAR)


def place_of(matrix: np.ndarray, index: np.ndarray) -> np.ndarray:
    """RAS mm (3,) of a possibly fractional index (3,)."""
    return (matrix @ np.append(index, 1.0))[:3]


def hardened_copy(volume: Any) -> Any:
    """A new volume node with the scan where it lies in the world now, under no transform.

    The voxels stay as they are under a rotation, shift or scaling; otherwise they are interpolated (linear) onto a grid at
    right angles. UserError where the position is singular.
    """
    spacious_matrix(local_matrix(volume), volume.GetName())
    parent = volume.GetParentTransformNode()
    if parent is not None and parent.IsTransformToWorldLinear():
        parent_matrix(volume)
    name = _("{name} hardened").format(name=volume.GetName())
    copy = slicer.modules.volumes.logic().CloneVolume(volume.GetScene(), volume, name)  # which makes the name unique
    copy.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    copy.HardenTransform()
    copy.SetAndObserveTransformNodeID(None)
    if sheared(local_matrix(copy)):
        _straighten(copy)
    place_beside(copy, volume)
    return copy


def _straighten(volume: Any) -> None:
    """Resample onto the nearest axes at right angles, with the spacing and the field of view of before."""
    skewed = local_matrix(volume)
    image = volume.GetImageData()
    spacing_mm = np.linalg.norm(skewed[:3, :3], axis=0)
    left, _sizes, right = np.linalg.svd(skewed[:3, :3] / spacing_mm)
    axes = left @ right
    corners = np.array([[*(np.multiply(c, image.GetDimensions()) - 0.5), 1.0] for c in product((0, 1), repeat=3)])
    along_mm = axes.T @ (skewed @ corners.T)[:3]
    first_mm, last_mm = along_mm.min(axis=1), along_mm.max(axis=1)
    size = np.ceil((last_mm - first_mm) / spacing_mm - 1e-6).astype(int)
    straight = np.eye(4)
    straight[:3, :3] = axes * spacing_mm
    straight[:3, 3] = axes @ (first_mm + spacing_mm / 2)
    outside = image.GetScalarRange()[0]
    extent = (0, int(size[0]) - 1, 0, int(size[1]) - 1, 0, int(size[2]) - 1)
    volume.SetAndObserveImageData(resliced(image, np.linalg.inv(skewed) @ straight, extent, outside, linear=True))
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(straight))


def resliced(
    image: Any, moved: np.ndarray, extent: tuple[int, ...], outside: float = 0.0, *, linear: bool = False
) -> Any:
    """vtkImageData with `extent`: each index is looked up at `moved @ index` of `image`, nearest voxel or linear."""
    plain = vtk.vtkImageData()  # an oriented image brings a spacing and an origin that are not asked for here
    plain.SetExtent(image.GetExtent())
    plain.GetPointData().SetScalars(image.GetPointData().GetScalars())
    lookup = vtk.vtkMatrixToLinearTransform()
    lookup.SetInput(slicer.util.vtkMatrixFromArray(moved))
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(plain)
    reslice.SetResliceTransform(lookup)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputExtent(*extent)
    reslice.SetBackgroundLevel(outside)
    if linear:
        reslice.SetInterpolationModeToLinear()
    else:
        reslice.SetInterpolationModeToNearestNeighbor()
    reslice.Update()
    return reslice.GetOutput()
