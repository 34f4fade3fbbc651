"""Segments -> label codes on a grid of voxels. What lies on the same lattice is copied; anything else takes the nearest voxel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk
from liverseg_core.labels import LESION
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..controller import UserError
from .transforms import checked_matrix, local_matrix, parent_matrix, resliced
from .words import _

LABELMAP = "Binary labelmap"
_FEW = 8  # labels
_SAME = 1e-3  # of a voxel, over the whole lattice: headers differ by the rounding of single precision
Extent = tuple[int, int, int, int, int, int]  # first and last index along i, j, k


@dataclass(frozen=True, eq=False)
class Lattice:
    """A block of voxels in the world: `matrix` takes the index (i, j, k) to RAS mm."""

    matrix: np.ndarray  # (4, 4)
    extent: Extent

    @property
    def shape(self) -> tuple[int, int, int]:
        i, j, k = (max(self.extent[2 * n + 1] - self.extent[2 * n] + 1, 0) for n in range(3))
        return k, j, i

    @property
    def counted_from_zero(self) -> Lattice:
        """The same voxels for a file, where the first one has the index 0."""
        matrix = self.matrix.copy()
        matrix[:, 3] = self.matrix @ [*self.extent[::2], 1.0]
        k, j, i = self.shape
        return Lattice(matrix, (0, i - 1, 0, j - 1, 0, k - 1))

    @property
    def corners(self) -> np.ndarray:
        """RAS mm of the eight outer corners (voxel faces), (4, 8)."""
        ends = [(self.extent[2 * n] - 0.5, self.extent[2 * n + 1] + 0.5) for n in range(3)]
        return self.matrix @ np.array([[*corner, 1.0] for corner in product(*ends)]).T


def lattice_of(volume: Any, shown: Any = None) -> Lattice:
    """The voxels of a volume, in the world, under the transform of `shown` if that is given. UserError as for world_matrix."""
    matrix = checked_matrix(parent_matrix(shown or volume) @ local_matrix(volume), volume.GetName())
    return Lattice(matrix, tuple(volume.GetImageData().GetExtent()))


def box_of(segmentation: Any, ids: Iterable[str]) -> Lattice | None:
    """The block of voxels that holds everything drawn in the segments, in the world; None where nothing is.

    Of several layers the first one gives the voxels.
    """
    to_world, found = parent_matrix(segmentation), []
    for image, labels in layers_of(segmentation, ids):
        extent = drawn_extent(image, labels.values())
        if extent is not None:
            found.append(Lattice(checked_matrix(to_world @ image_matrix(image), segmentation.GetName()), extent))
    return covering(found) if found else None


def covering(lattices: Sequence[Lattice]) -> Lattice:
    """The voxels of the first, as far as any of them reaches."""
    first, extent = lattices[0], lattices[0].extent
    for other in lattices[1:]:
        indices = (np.linalg.inv(first.matrix) @ other.corners)[:3]
        spans = zip(np.floor(indices.min(axis=1) + 0.5 + _SAME), np.ceil(indices.max(axis=1) - 0.5 - _SAME))
        reach = [int(end) for span in spans for end in span]
        extent = tuple(f(extent[n], reach[n]) for n, f in enumerate((min, max) * 3))
    return Lattice(first.matrix, extent)


def array_of(image: Any) -> np.ndarray:
    """A view of the image's voxels, [k, j, i]."""
    i, j, k = image.GetDimensions()
    scalars = image.GetPointData().GetScalars()
    if scalars is None or not i * j * k:
        return np.zeros((0, 0, 0), np.uint8)
    return vtk_to_numpy(scalars).reshape(k, j, i)


def image_of(voxels: np.ndarray, lattice: Lattice) -> Any:
    """vtkOrientedImageData with a copy of the voxels [k, j, i]."""
    if voxels.shape != lattice.shape:
        raise ValueError(f"array {voxels.shape} does not fill a lattice of shape {lattice.shape}")
    image = slicer.vtkOrientedImageData()
    image.SetExtent(lattice.extent)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(voxels).ravel(), deep=True))
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(lattice.matrix))
    return image


def image_matrix(image: Any) -> np.ndarray:
    """Index -> RAS of the segmentation that the image belongs to."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def layers_of(segmentation: Any, ids: Iterable[str]) -> list[tuple[Any, dict[str, int]]]:
    """(image, segment id -> its label value there) of every layer that holds one of the segments; empty ones have none."""
    layers: dict[str, tuple[Any, dict[str, int]]] = {}
    for segment_id in ids:
        segment = segmentation.GetSegmentation().GetSegment(segment_id)
        if segment is None:
            raise UserError(
                _("{name} has no segment {id}; choose it again.").format(name=segmentation.GetName(), id=segment_id)
            )
        image = segment.GetRepresentation(LABELMAP)
        if image is not None and array_of(image).size:
            _image, labels = layers.setdefault(image.GetAddressAsString(""), (image, {}))
            labels[segment_id] = segment.GetLabelValue()
    return list(layers.values())


def codes_of(segmentation: Any, codes: Mapping[str, int], lattice: Lattice) -> np.ndarray:
    """uint8 codes [k, j, i] of the segments `id -> code` on a lattice in the world.

    Where segments overlap a lesion wins, otherwise the later layer. UserError for a transform that is not linear.
    """
    demand_labelmaps(segmentation)
    to_world = parent_matrix(segmentation)
    out = np.zeros(lattice.shape, np.uint8)
    untouched = True
    for image, labels in layers_of(segmentation, codes):
        moved = np.linalg.inv(to_world @ image_matrix(image)) @ lattice.matrix
        wanted = {label: codes[segment_id] for segment_id, label in labels.items()}
        alone = len(labels) == len(segmentation.GetSegmentation().GetSegmentIDsForDataObject(image, LABELMAP))
        as_they_are = alone and all(label == code for label, code in wanted.items())
        for where, labelled in placed(image, moved, lattice.extent):
            part = labelled if as_they_are else recoded(labelled, wanted)
            for held, new in zip(out[where], part):
                np.copyto(held, new, where=untouched or ((new > 0) & (held != LESION)) | (new == LESION))
            untouched = False
    return out


def recoded(labels: np.ndarray, codes: Mapping[int, int]) -> np.ndarray:
    """Label values -> uint8 codes; labels that are not asked for become background."""
    if labels.ndim == 3 and len(codes) <= _FEW:
        return _compared(labels, codes)
    top = max(codes, default=0)
    table = np.zeros(max(top + 2, 256 if labels.dtype == np.uint8 else 0), np.uint8)
    for label, code in codes.items():
        table[label] = code
    if labels.dtype == np.uint8:
        return table[labels]
    return np.take(table, labels.astype(np.int64), mode="clip")  # below 0 and above the top lies background


def _compared(labels: np.ndarray, codes: Mapping[int, int]) -> np.ndarray:
    """For a few labels comparing is several times faster than looking up, a slice at a time: that stays in the cache."""
    out = np.zeros(labels.shape, np.uint8)
    for n, plane in enumerate(labels):
        for label, code in codes.items():
            out[n] |= (plane == label).view(np.uint8) * np.uint8(code)
    return out


def filled_extent(voxels: np.ndarray, extent: Extent) -> Extent | None:
    """The smallest extent that holds every voxel that is not 0; None where all are."""
    return _span((plane != 0 for plane in voxels), voxels.shape[1:], extent)


def drawn_extent(image: Any, labels: Iterable[int]) -> Extent | None:
    """The smallest extent that holds every voxel with one of the labels; None where there is none."""
    voxels = array_of(image)
    return _span(planes_of(voxels, tuple(labels)), voxels.shape[1:], tuple(image.GetExtent()))


def planes_of(voxels: np.ndarray, labels: Sequence[int]) -> Iterable[np.ndarray]:
    """Where one of the labels lies, bool [j, i], slice by slice: no copy of the whole is made."""
    for plane in voxels:
        drawn = plane == labels[0]
        for label in labels[1:]:
            drawn |= plane == label
        yield drawn


def _span(planes: Iterable[np.ndarray], shape: tuple[int, ...], extent: Extent) -> Extent | None:
    """Of what is true in the slices [j, i] of an array that has this extent."""
    seen, deep = np.zeros(shape, bool), []
    for k, plane in enumerate(planes):
        if plane.any():
            seen |= plane
            deep.append(k)
    if not deep:
        return None
    hits = [np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1)), np.array(deep)]
    return tuple(int(extent[2 * n] + hit[end]) for n, hit in enumerate(hits) for end in (0, -1))


def window(extent: Extent, inside: Extent) -> tuple[slice, slice, slice]:
    """Where `inside` lies in the array [k, j, i] of `extent`."""
    i, j, k = (slice(inside[2 * n] - extent[2 * n], inside[2 * n + 1] - extent[2 * n] + 1) for n in range(3))
    return k, j, i


def common(one: Extent, other: Extent) -> Extent | None:
    """What two extents share."""
    spans = [f(one[n], other[n]) for n, f in enumerate((max, min) * 3)]
    return tuple(spans) if all(spans[2 * n] <= spans[2 * n + 1] for n in range(3)) else None


def placed(image: Any, moved: np.ndarray, extent: Extent) -> Iterable[tuple[tuple[slice, ...], np.ndarray]]:
    """The image's voxels on another lattice (`moved`: its index -> the image's), and where in its array; one or none."""
    shift = _whole_shift(moved, extent)
    if shift is None:
        everywhere = window(extent, extent)
        yield everywhere, array_of(resliced(image, moved, extent))
        return
    own = image.GetExtent()
    there = tuple(own[n] - shift[n // 2] for n in range(6))
    shared = common(there, extent)
    if shared is not None:
        yield window(extent, shared), array_of(image)[window(there, shared)]


def _whole_shift(moved: np.ndarray, extent: Extent) -> np.ndarray | None:
    """Whole voxels by which the two lattices differ; None where they differ by more than that."""
    shift = np.round(moved[:3, 3])
    still = np.eye(4)
    still[:3, 3] = shift
    far = np.abs(np.array([*map(max, zip(np.abs(extent[::2]), np.abs(extent[1::2]))), 1.0]))
    return shift.astype(int) if (np.abs(moved - still)[:3] @ far).max() < _SAME else None


def demand_labelmaps(segmentation: Any) -> None:
    """A segmentation of surfaces (an imported RT structure set, say) gets its label maps first."""
    inner = segmentation.GetSegmentation()
    if inner.GetNumberOfSegments() == 0:
        raise UserError(_("{name} has no segments; draw or load one first.").format(name=segmentation.GetName()))
    if not inner.ContainsRepresentation(LABELMAP) and not inner.CreateRepresentation(LABELMAP):
        raise UserError(
            _("{name} cannot be turned into voxels; export it as a label map first.").format(
                name=segmentation.GetName()
            )
        )
