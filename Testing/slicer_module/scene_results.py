"""For the tests of the scene: transforms, masks as the worker writes them, and voxels read back by Slicer itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import slicer
import slicer.util
from liverseg_core.geometry import Grid, grid_of
from liverseg_core.labels import LABELS
from liverseg_core.records import LabelMask
from liverseg_core.reporting import save_masks
from LiverSegLib.scene import show_result, write_volume
from LiverSegLib.scene.terminology import tag_of
from phantoms import ellipsoid

CODES = (1, 2, 3, 4, 5)
ALGORITHM = "LiverSeg 0.1.0 any-phase 0.2.0"
REPORT: dict[str, Any] = {
    "version": "0.1.0",
    "model": {"name": "any-phase", "version": "0.2.0", "sha256": "ab" * 32, "licence": "CC-BY-4.0"},
    "phase": {"used": "ct_portal", "how": "made so"},
    "device": "cpu",
    "quality": "standard",
    "measurements": [
        *({"structure": LABELS[code].key, "quantity": "volume", "value": 1.0, "unit": "ml"} for code in CODES),
        {"structure": "liver_parenchyma", "quantity": "volume", "value": 1.0, "unit": "ml"},
        {"structure": "lesion_1", "quantity": "volume", "value": 1.0, "unit": "ml"},
    ],
}
SHIFT = np.array([[1, 0, 0, 30], [0, 1, 0, -20], [0, 0, 1, 7.5], [0, 0, 0, 1.0]])
TURN = np.eye(4)
TURN[:3, :3] = np.linalg.qr(np.array([[0.8, -0.5, 0.1], [0.4, 0.9, -0.2], [0.1, 0.3, 0.9]]))[0] * [-1, -1, 1]
MIRROR = np.diag([-1.0, 1, 1, 1])
GROWN = np.diag([1.1, 1.1, 1.1, 1])
SHEAR = np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
CHAINS = {
    "none": (), "shift": (SHIFT,), "rotation and shift": (SHIFT @ TURN,), "chain of three": (SHIFT, TURN, SHIFT),
    "mirror": (MIRROR,), "scaling": (GROWN,),
}  # fmt: skip


def under(node: Any, *matrices: np.ndarray) -> np.ndarray:
    """Put a node under a chain of linear transforms, the outermost first; returns node -> world."""
    parent = None
    for matrix in matrices:
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
        transform.SetAndObserveTransformNodeID(parent)
        parent = transform.GetID()
    node.SetAndObserveTransformNodeID(parent)
    return np.linalg.multi_dot([np.eye(4), np.eye(4), *matrices])


def bend(node: Any) -> None:
    """Put a node under a transform that is not linear."""
    import vtk

    spline = vtk.vtkThinPlateSplineTransform()
    places, moved = vtk.vtkPoints(), vtk.vtkPoints()
    for n, place in enumerate(np.ndindex(2, 2, 2)):
        ras = np.array(place) * 80.0 - 40.0
        places.InsertNextPoint(ras)
        moved.InsertNextPoint(ras + (6.0 if n == 7 else 0.0))
    spline.SetSourceLandmarks(places)
    spline.SetTargetLandmarks(moved)
    spline.SetBasisToR()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    transform.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(transform.GetID())


def organs(grid: Grid) -> np.ndarray:
    """Codes 0 to 4 [k, j, i], different along every axis and direction; code 5 is known and not found."""
    codes = ellipsoid(grid).astype(np.uint8)
    k, j, i = np.nonzero(codes)
    codes[ellipsoid(grid, (9.0, 7.0, 6.0))] = 2
    codes[k.min() + 1 : k.min() + 3, : j.min(), 1:4] = 3
    codes[k.max() - 1, j.max() + 1 :, i.max() - 4 :] = 4
    return codes


def worked(folder: Path, volume: Any, codes: np.ndarray) -> Path:
    """The folder that the worker leaves for an exported volume, with these codes as what it found."""
    write_volume(volume, folder / "scan.nrrd")
    grid = grid_of(sitk.ReadImage(str(folder / "scan.nrrd")))
    save_masks(LabelMask(codes, grid), CODES, ALGORITHM, folder)
    return folder


def shown(folder: Path, volume: Any, codes: np.ndarray, file: str = "segmentation.seg.nrrd") -> Any:
    return show_result(volume, worked(folder, volume, codes) / file, REPORT)


def seen(node: Any, volume: Any) -> np.ndarray:
    """The codes on the voxels of a volume as Slicer's own export sees them, both under their transforms."""
    codes = np.zeros(slicer.util.arrayFromVolume(volume).shape, np.uint8)
    for code in CODES:
        if node.GetSegmentation().GetSegment(LABELS[code].key) is not None:
            part = slicer.util.arrayFromSegmentBinaryLabelmap(node, LABELS[code].key, volume)
            if part is not None:
                codes[part > 0] = code
    return codes


def facts(node: Any) -> list[dict[str, Any]]:
    """Of each segment: what the command line, Slicer and the user know it by."""
    names = ("DICOM.SegmentAlgorithmType", "DICOM.SegmentAlgorithmName")
    inner = node.GetSegmentation()
    segments = [(id_, inner.GetSegment(id_)) for id_ in inner.GetSegmentIDs()]
    return [
        {
            "id": id_, "name": s.GetName(), "label": s.GetLabelValue(), "terminology": s.GetTerminology(),
            "colour": tuple(round(255 * part) for part in s.GetColor()), **{name: tag_of(s, name) for name in names},
            "status": slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentStatus(s),
        }
        for id_, s in segments
    ]  # fmt: skip


def census() -> tuple[str, ...]:
    """What a refusal must not change: the nodes of the scene."""
    return tuple(sorted(slicer.mrmlScene.GetNthNode(n).GetID() for n in range(slicer.mrmlScene.GetNumberOfNodes())))
