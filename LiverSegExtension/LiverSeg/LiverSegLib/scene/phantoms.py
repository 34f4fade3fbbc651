"""Scenes whose answer is known, for the module's own test inside Slicer."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util
from liverseg_core.labels import LIVER

_RADII = np.array([22, 26, 30])  # voxels of the pretended liver along k, j, i


def phantom() -> tuple[Any, np.ndarray]:
    """A volume with a bright ellipsoid, and where it is."""
    k, j, i = np.ogrid[-32:32, -40:40, -40:40]
    inside = (k / _RADII[0]) ** 2 + (j / _RADII[1]) ** 2 + (i / _RADII[2]) ** 2 < 1.0
    return volume_of(np.where(inside, 100, -80).astype(np.int16), "phantom"), inside


def volume_of(voxels: np.ndarray, name: str) -> Any:
    """Voxels [k, j, i] as a volume node of 2 mm voxels."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetSpacing(2.0, 2.0, 2.0)
    slicer.util.updateVolumeFromArray(node, voxels)
    node.CreateDefaultDisplayNodes()
    return node


def voxels_in(file: Path) -> np.ndarray:
    """[n, k, j, i] of a 4-D NIfTI of the worker (float32 behind a header of 352 bytes): not every Slicer reads one."""
    content = gzip.decompress(file.read_bytes())
    shape = np.frombuffer(content, "<i2", 4, offset=42)
    return np.frombuffer(content, "<f4", offset=352).reshape(shape[::-1])


def sequence_of(voxels: np.ndarray, te_ms: Sequence[float], like: Any, name: str) -> None:
    """A sequence ordered by echo time, with a volume that shows it, on the grid of `like`."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    node.SetIndexName("EchoTime")
    node.SetIndexUnit("ms")
    for echo, time_ms in zip(voxels, te_ms, strict=True):
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.CopyOrientation(like)
        slicer.util.updateVolumeFromArray(volume, echo)
        node.SetDataNodeAtValue(volume, f"{time_ms:g}")
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.SetAndObserveMasterSequenceNodeID(node.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)


def liver_in(labels: Any) -> Any:
    """The liver of a volume of label codes as a segmentation; the volume itself is taken away."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "liver of the echoes")
    node.SetReferenceImageGeometryParameterFromVolumeNode(labels)
    mask = (slicer.util.arrayFromVolume(labels) == LIVER).astype(np.uint8)
    liver = node.GetSegmentation().AddEmptySegment("liver", "Liver")
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, liver, labels)
    slicer.mrmlScene.RemoveNode(labels)
    return node
