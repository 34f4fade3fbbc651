"""The lab itself: what is real behaves as in Slicer, what stands in fails as Slicer fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import GRIDS, bright_liver, ellipsoid, ellipsoid_ml


@pytest.mark.parametrize("grid", sorted(GRIDS))
def test_a_volume_lies_where_its_scan_lies(grid: str, volume_on: Callable[[str], Any]) -> None:
    import slicer.util

    node, here = volume_on(grid), GRIDS[grid]
    last = np.asarray(here.size) - 1
    matrix = slicer.util.arrayFromVTKMatrix(_ijk_to_ras(node))
    lps = np.asarray(here.origin_mm) + here.axes @ (np.asarray(here.spacing_mm) * last)
    np.testing.assert_allclose((matrix @ [*last, 1])[:3], lps * [-1, -1, 1], atol=1e-5)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), bright_liver(here).voxels)


def _ijk_to_ras(node: Any) -> Any:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def test_a_segmentation_survives_its_file(volume: Any, tmp_path: Path) -> None:
    import slicer.util
    from slicer_module.lab import volumes

    node = volumes.liver_node(volume)
    assert slicer.util.saveNode(node, str(tmp_path / "a.seg.nrrd"))
    back = slicer.util.loadSegmentation(str(tmp_path / "a.seg.nrrd"))
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(back, "liver", volume)
    np.testing.assert_array_equal(mask > 0, ellipsoid(GRIDS["plain"]))
    assert mask.sum() * 8e-3 == pytest.approx(ellipsoid_ml(), rel=0.03)


def test_the_overlay_of_a_segmentation_is_drawn(volume: Any, renderable: None) -> None:
    from slicer_module.lab import volumes
    from slicer_module.lab.views import SliceView

    node = volumes.liver_node(volume)
    view = SliceView(size=(200, 200))
    view.show(volume)
    view.logic.SetSliceOffset(node.GetSegmentCenterRAS("liver")[2])
    shown = view.picture()
    node.GetDisplayNode().SetVisibility(False)
    hidden = view.picture()
    view.close()
    assert (hidden > 200).any(axis=-1).sum() > 1000  # the liver itself
    assert (shown != hidden).any(axis=-1).sum() > 2000


def test_observers_are_counted(volume: Any) -> None:
    import vtk
    from slicer_module.lab.boot import observers

    before = observers(volume)
    tags = [volume.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: None) for _ in range(3)]
    assert observers(volume) == before + 3
    volume.RemoveObserver(tags[1])
    assert observers(volume) == before + 2
