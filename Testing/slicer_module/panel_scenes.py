"""For the tests of the sections: an AI result on the panel, edits as the segment editor makes them, tables read back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util
from phantoms import GRIDS
from slicer_module.scene_results import organs, shown

GRID = GRIDS["plain"]


def ai_result(panel: Any, volume: Any, folder: Path) -> Any:
    """Codes 1 to 4 of `organs` as a run would leave them, chosen on the panel; code 5 was looked for and not found."""
    folder.mkdir(exist_ok=True)
    panel.ui.volumeSelector.setCurrentNode(volume)
    node = shown(folder, volume, organs(GRID))
    panel.ui.segmentationSelector.setCurrentNode(node)
    return node


def paint(node: Any, volume: Any, segment_id: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """`change` takes the segment's voxels [k, j, i] and returns those it has from now on."""
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume)
    slicer.util.updateSegmentBinaryLabelmapFromArray(change(voxels).astype(np.uint8), node, segment_id, volume)


def cells(view: Any) -> list[list[str]]:
    """What a qMRMLTableView shows."""
    node = view.mrmlTableNode()
    columns = range(node.GetNumberOfColumns())
    return [[node.GetCellText(row, column) for column in columns] for row in range(node.GetNumberOfRows())]


def shown_value(view: Any, structure: str, quantity: str) -> str:
    return next(row[2] for row in cells(view) if row[:2] == [structure, quantity])


def spin(seconds: float) -> None:
    """The event loop for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.01)
