"""Nodes -> files for the worker: voxels as they are, where they lie in the world."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import slicer
import slicer.util
import vtk

from ..controller import UserError
from .labelmaps import LABELMAP, Lattice, array_of, box_of, codes_of, demand_labelmaps, image_of, lattice_of
from .volumes import checked
from .words import _


def write_volume(volume: Any, path: Path, shown: Any = None, *, component: int | None = None) -> None:
    """NRRD, uncompressed: 512 x 512 x 300 voxels of 16 bit take a fraction of a second.

    `shown` is the node that stands in the scene for a volume of a sequence: its transform counts. `component` is which of
    several values in a voxel is meant. UserError for what is no scan, for a transform that voxels cannot follow, and where
    the file cannot be written.
    """
    checked(volume, several=component is not None)
    image = volume.GetImageData()
    _write(
        image if component is None else _component(image, component), lattice_of(volume, shown).counted_from_zero, path
    )


def write_segments(segmentation: Any, codes: Mapping[str, int], geometry: Any, path: Path) -> None:
    """uint8 codes of the segments `id -> code` as NRRD on the voxels of a volume; None: of the scan it was drawn on.

    UserError when nothing is drawn, when it lies elsewhere, and as for write_volume.
    """
    voxels, lattice = segments_on(segmentation, codes, geometry)
    _write(image_of(voxels, lattice), lattice, path)


def segments_on(segmentation: Any, codes: Mapping[str, int], geometry: Any = None) -> tuple[Any, Lattice]:
    """The codes [k, j, i], and where they lie in the world."""
    if segmentation is None:
        raise UserError(_("No segmentation is chosen; choose one first."))
    demand_labelmaps(segmentation)
    volume = geometry or scan_of(segmentation)
    if volume is not None:
        checked(volume, several=True)
        lattice = lattice_of(volume).counted_from_zero
    else:
        lattice = (box_of(segmentation, codes) or _refuse_nothing(segmentation, codes, None)).counted_from_zero
    voxels = codes_of(segmentation, codes, lattice)
    if not voxels.any():
        _refuse_nothing(segmentation, codes, volume)
    return voxels, lattice


def scan_of(segmentation: Any) -> Any:
    """The volume that a segmentation was drawn on; None where it is not in the scene."""
    volume = segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole())
    return volume if volume is not None and volume.GetImageData() is not None else None


def _component(image: Any, component: int) -> Any:
    extract = vtk.vtkImageExtractComponents()
    extract.SetInputData(image)
    extract.SetComponents(component)
    extract.Update()
    return extract.GetOutput()


def _refuse_nothing(segmentation: Any, codes: Mapping[str, int], volume: Any) -> NoReturn:
    """Nothing arrived on the grid: because nothing is drawn, or because it is drawn elsewhere."""
    name = segmentation.GetName()
    inner = segmentation.GetSegmentation()
    drawn = (inner.GetSegment(id_).GetRepresentation(LABELMAP) for id_ in codes)
    if volume is not None and any(image is not None and array_of(image).any() for image in drawn):
        raise UserError(
            _(
                "{name} does not lie where {volume} lies; expected a segmentation of the same scan, or of the same patient."
            ).format(name=name, volume=volume.GetName())
        )
    raise UserError(_("{name} is empty; draw something first.").format(name=name))


def _write(image: Any, lattice: Lattice, path: Path) -> None:
    writer = slicer.vtkTeemNRRDWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    writer.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(lattice.matrix))
    writer.UseCompressionOff()
    writer.Write()
    scalars = image.GetPointData().GetScalars()
    if writer.GetWriteError() or not _holds(path, scalars.GetNumberOfValues() * scalars.GetDataTypeSize()):
        _remove(path)
        raise UserError(
            _(
                "{path} could not be written: free some space, or choose another temporary folder in Slicer's settings."
            ).format(path=path)
        )


def _holds(path: Path, least_bytes: int) -> bool:
    """The writer does not always notice a full disk."""
    try:
        return path.stat().st_size >= least_bytes
    except OSError:
        return False


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
