#!/usr/bin/env python3
"""Pictures of the Slicer module in each of its states, from the module itself: Resources/Screenshots/*.png.

    python scripts/screenshots.py [--out FOLDER] [--only NAME ...]

Runs without Slicer, on the stand-ins of Testing/slicer_module/lab, with the real scene, worker and weights. The scan is the
synthetic abdomen: analytic shapes, no patient.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODULE = ROOT / "LiverSegExtension" / "LiverSeg"
WIDTH, MARGIN = 420, 12
SECTIONS = ("scan", "segment", "segments", "compare", "volumetry", "fat", "cases", "setup")


class Studio:
    """The module, opened; `shoot` takes the picture of the panel with only some sections unfolded."""

    def __init__(self, out: Path, only: list[str]) -> None:
        from slicer_module.lab import desk

        self.desk, self.out, self.only = desk, out, only
        desk.start()
        self.page = desk.open_module(MODULE / "LiverSeg.py").widgetRepresentation()
        self.page.enter()
        self.panel = self.page.self().panel
        self.page.resize(WIDTH, 900)
        self.page.show()

    def shoot(self, name: str, *unfolded: str) -> None:
        from PySide6 import QtCore

        if self.only and name not in self.only:
            return
        for section in SECTIONS:
            getattr(self.panel.ui, f"{section}Section").collapsed = section not in unfolded
        self.desk.settle(0.2)
        self.page.resize(WIDTH, self.page.sizeHint().height())
        self.desk.settle(0.2)
        last = self.panel.ui.setupSection
        bottom = last.mapTo(self.page, QtCore.QPoint(0, last.height)).y()
        self.page.grab(QtCore.QRect(0, 0, WIDTH, bottom + MARGIN)).save(str(self.out / f"{name}.png"))
        print(self.out / f"{name}.png")

    def wait(self, lane: str, until: Callable[[Any], bool] = lambda state: not state.busy) -> None:
        """Until the lane is at rest, or `until` comes true."""
        end = time.monotonic() + 300.0
        while not until(self.panel.controllers[lane].state):
            self.desk.settle(0.05)
            if time.monotonic() > end:
                raise SystemExit(f"{lane} is not over after five minutes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "Resources" / "Screenshots")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    sys.path[:0] = [str(ROOT / "Testing"), str(MODULE)]
    with tempfile.TemporaryDirectory(prefix="liverseg-pictures-") as room:
        take_all(Studio(options.out, options.only), Path(room))


def take_all(studio: Studio, room: Path) -> None:
    ui = studio.panel.ui
    studio.wait("setup")
    studio.shoot("idle", "scan", "segment")
    volume, truth = sample(room)
    ui.volumeSelector.setCurrentNode(volume)
    studio.shoot("chosen", "scan", "segment")
    failed(studio)
    ui.segmentButton.click()
    studio.wait("segment", lambda state: not state.busy or (state.percent or 0.0) > 40.0)
    studio.shoot("running", "scan", "segment")
    studio.wait("segment")
    ui.logGroup.collapsed = False
    studio.shoot("done", "scan", "segment")
    studio.shoot("segments", "segments")
    compared(studio, volume, truth)
    ui.heightSpin.value, ui.weightSpin.value = 175.0, 72.0
    ui.updateButton.click()
    studio.wait("volumetry")
    studio.shoot("volumetry", "volumetry")
    case_list(studio, room)
    ui.doctorButton.click()
    studio.wait("setup")
    found = studio.panel.doctor or {}  # where things lie on this machine is nobody's business
    studio.panel.doctor = {**found, "python": str(found["python"]).split(" ")[0], "system": platform.system()}
    studio.panel.changed()
    studio.shoot("setup", "setup")
    views(studio, volume)
    fat_and_iron(studio)


def sample(room: Path) -> tuple[Any, Any]:
    """The synthetic CT as a volume, and the label codes of its truth [k, j, i]."""
    import slicer
    from liverseg_core.synthetic import abdomen
    from phantoms import saved_scan

    scan, truth, _volumes = abdomen("ct")
    return slicer.util.loadVolume(str(saved_scan(room / "abdomen.nrrd", scan))), truth.voxels


def failed(studio: Studio) -> None:
    """A device that is not there."""
    panel, ui = studio.panel, studio.panel.ui
    kept, panel.doctor = panel.doctor, {"torch": {"devices": [{"key": "cuda:7", "name": "a card that was removed"}]}}
    panel.changed()
    ui.deviceCombo.currentIndex = 1
    ui.segmentButton.click()
    studio.wait("segment")
    studio.shoot("failed", "scan", "segment")
    panel.doctor = kept
    ui.deviceCombo.currentIndex = 0
    panel.changed()


def compared(studio: Studio, volume: Any, truth: Any) -> None:
    """The result against the truth of the shapes."""
    from liverseg_core.labels import LABELS
    from slicer_module.lab import volumes

    masks = {LABELS[code].name: truth == code for code in LABELS if (truth == code).any()}
    studio.panel.ui.referenceSelector.setCurrentNode(volumes.segmentation_node(volume, masks, "truth of the shapes"))
    studio.panel.ui.compareButton.click()
    studio.wait("compare")
    studio.shoot("compare", "compare")


def case_list(studio: Studio, room: Path) -> None:
    from liverseg_core.synthetic import abdomen
    from phantoms import saved_scan

    folder = room / "cases"
    for contrast in ("ct", "t1", "t2"):
        (folder / f"case_{contrast}").mkdir(parents=True)
        saved_scan(folder / f"case_{contrast}" / "scan.nrrd", abdomen(contrast)[0])
    os.chdir(room)  # a short path in the picture
    studio.panel.ui.casesFolder.currentPath = folder.name
    studio.shoot("cases", "cases")
    os.chdir(ROOT)


def fat_and_iron(studio: Studio) -> None:
    """Synthetic echoes with their phases, the liver of the shapes, and the map of the fat over the first echo."""
    import slicer
    from liverseg_core.synthetic import GRID
    from slicer_module.fat_scenes import echoes_on, liver_of, sequence
    from slicer_module.lab.views import SliceView

    ui = studio.panel.ui
    slicer.mrmlScene.Clear(0)
    made = partial(echoes_on, GRID, 6.0)
    shown = sequence("multiecho", of=made)
    sequence("multiecho_phase", phase=True, of=made)
    echo = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(shown).GetProxyNode(shown)
    view = SliceView(size=(460, 380))
    liver = liver_of(echo, made)
    liver.SetDisplayVisibility(0)
    ui.segmentationSelector.setCurrentNode(liver)
    ui.fieldSpin.value = 3.0
    ui.fatSection.collapsed = False
    studio.desk.settle(0.2)
    ui.fatButton.click()
    studio.wait("fat")
    studio.shoot("fat", "fat")
    view.logic.FitSliceToBackground()
    view.node.SetSliceOffset(liver.GetSegmentCenterRAS("Liver")[2])
    save(view.picture(), studio.out / "fat_map.png")
    view.close()


def views(studio: Studio, volume: Any) -> None:
    """The result over the scan in an axial slice, and its surfaces."""
    import numpy as np
    import slicer
    from slicer_module.lab.views import SliceView, SpaceView

    node = studio.panel.segmentation()
    for other in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        other.SetDisplayVisibility(other is node)
    node.CreateClosedSurfaceRepresentation()
    slice_view = SliceView(size=(460, 420))
    slice_view.show(volume)
    liver = node.GetSegmentation().GetSegmentIdBySegmentName("Liver")
    slice_view.logic.SetSliceOffset(node.GetSegmentCenterRAS(liver)[2])
    space_view = SpaceView(size=(460, 420))
    space_view.node.SetBoxVisible(0)
    space_view.node.SetAxisLabelsVisible(0)
    space_view.fit()
    save(np.hstack([slice_view.picture(), space_view.picture()]), studio.out / "overlay.png")
    slice_view.close()
    space_view.close()


def save(picture: Any, path: Path) -> None:
    """Pixels [row, column, RGB] as PNG."""
    import numpy as np
    from PySide6 import QtGui

    pixels = np.ascontiguousarray(picture)
    height, width, _rgb = pixels.shape
    QtGui.QImage(pixels.data, width, height, 3 * width, QtGui.QImage.Format.Format_RGB888).save(str(path))
    print(path)


if __name__ == "__main__":
    main()
