"""LiverSegTest: the journey of a user in a running Slicer. What cannot run here is logged as skipped and never fails.

Without the worker's packages the panel, the scene and the controllers are still walked through, with a pretended worker.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
from liverseg_core.labels import LIVER

from .commands import sample_arguments
from .controller import Ending, Task
from .events import Event
from .scene.phantoms import liver_in, phantom, sequence_of, volume_of, voxels_in
from .sections.segment import REPORT, RESULT
from .state import Status

_LONGEST_S = 600.0
_MARGINS = {"pdff_median": 1.0, "r2star_median": 4.0}  # % and 1/s, from what the synthetic echoes were made of


class Skipped(Exception):  # noqa: N818
    """What this Slicer lacks for a step."""


def run() -> None:
    """AssertionError where something is wrong; everything that was done, or skipped and why, is in the log."""
    slicer.mrmlScene.Clear(False)
    panel = opened_panel()
    steps = (nothing_chosen, wrong_volumes, a_pretended_run, a_real_run, fat_and_iron, the_scene_is_closed)
    for step in steps:
        name = step.__name__.replace("_", " ")
        try:
            step(panel)
            logging.info("LiverSeg test: %s: passed", name)
        except Skipped as reason:
            logging.info("LiverSeg test: %s: skipped: %s", name, reason)
    slicer.mrmlScene.Clear(False)


def opened_panel() -> Any:
    """The panel of the module, in front."""
    page = slicer.modules.liverseg.widgetRepresentation()
    if slicer.util.mainWindow() is not None:
        slicer.util.selectModule("LiverSeg")
    elif not page.isEntered:
        page.enter()
    return page.self().panel


def nothing_chosen(panel: Any) -> None:
    """Every button says what is missing; none raises, none starts a run."""
    panel.log.clear()
    buttons = ("segmentButton", "restoreButton", "compareAiButton", "compareButton", "updateButton", "fatButton")
    for name in (*buttons, "runAllButton"):
        getattr(panel.ui, name).click()
        _expect(bool(panel.ui.messageLabel.text), f"{name} says nothing while nothing is chosen")
        panel.say("")
    _expect(not panel.log, f"a button failed: {panel.log}")
    _expect(not panel.controllers["segment"].state.busy, "a run was started without a volume")


def wrong_volumes(panel: Any) -> None:
    """A picture of one slice is refused in words, and the scene stays as it was."""
    flat = volume_of(np.zeros((1, 8, 8), np.int16), "flat")
    panel.parameters.volume = flat
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    panel.ui.segmentButton.click()
    _expect("flat" in panel.ui.messageLabel.text, "a flat picture was not refused")
    _expect(slicer.mrmlScene.GetNumberOfNodes() == nodes, "a refusal changed the scene")
    slicer.mrmlScene.RemoveNode(flat)


def a_pretended_run(panel: Any) -> None:
    """Volume to segmentation with a worker that only pretends: the panel, the scene and the controller are real."""
    volume, truth = phantom()
    panel.parameters.volume = volume
    before = panel.new_job
    panel.new_job = Pretended
    try:
        panel.ui.segmentButton.click()
        _expect(panel.controllers["segment"].state.busy, f"the run did not start: {panel.ui.messageLabel.text}")
        demand_done(panel, "segment")
    finally:
        panel.new_job = before
    node = panel.segmentation()
    _expect(node is not None, "the result is not chosen in the panel")
    ids = node.GetSegmentation().GetSegmentIDs()
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(node, ids[0], volume)
    _expect(np.array_equal(mask > 0, truth), "the voxels of the result are not those of the worker's file")


def a_real_run(panel: Any) -> None:
    """A synthetic abdomen, segmented by the worker with the model that ships."""
    demand_worker(panel)
    volume, truth = sample_volume(panel)
    panel.parameters.volume = volume
    panel.ui.segmentButton.click()
    demand_done(panel, "segment")
    liver = panel.segmentation().GetSegmentation().GetSegmentIdBySegmentName("Liver")
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(panel.segmentation(), liver, volume)
    dsc = 2.0 * ((mask > 0) & truth).sum() / ((mask > 0).sum() + truth.sum())
    _expect(dsc > 0.9, f"the liver that was found agrees by a DSC of {dsc:.3f} only")
    panel.ui.updateButton.click()
    demand_done(panel, "volumetry")
    panel.ui.compareAiButton.click()
    demand_done(panel, "compare")


def fat_and_iron(panel: Any) -> None:
    """Synthetic echoes and the liver they were made with: the worker finds the fat and the iron that were put in."""
    demand_worker(panel)
    truth, panel.parameters.segmentation = sample_echoes(panel)
    panel.parameters.field_t = truth["field_t"]
    panel.ui.fatSection.collapsed = False
    panel.ui.fatButton.click()
    demand_done(panel, "fat")
    for quantity, margin in _MARGINS.items():
        found = panel.sections["fat"].results.table.value("liver", quantity)
        _expect(abs(found - truth[quantity]) < margin, f"{quantity} is {found:.1f} instead of {truth[quantity]:.1f}")
    _expect(panel.sections["fat"].shown_map() is not None, "no map lies over the slices")


def the_scene_is_closed(panel: Any) -> None:
    """Nothing of the old scene is held, and the panel works in the new one."""
    slicer.mrmlScene.Clear(False)
    _expect(panel.volume() is None, "the panel still holds a volume of the closed scene")
    nothing_chosen(panel)


def sample_volume(panel: Any) -> tuple[Any, np.ndarray]:
    """The synthetic CT, made by the worker, and where its liver is."""
    loaded: list[Any] = []

    def finish(folder: Path) -> str:
        labels = slicer.util.loadVolume(str(folder / "ct" / "labels.nii.gz"), properties={"show": False})
        loaded.append(slicer.util.arrayFromVolume(labels) == LIVER)
        slicer.mrmlScene.RemoveNode(labels)
        loaded.append(slicer.util.loadVolume(str(folder / "ct" / "image.nii.gz")))
        return "The sample is loaded."

    panel.controllers["setup"].start(Task("sample", lambda folder: sample_arguments("ct", folder / "ct"), finish))
    demand_done(panel, "setup")
    return loaded[1], loaded[0]


def sample_echoes(panel: Any) -> tuple[dict[str, Any], Any]:
    """Synthetic echoes, made by the worker, as two sequences: what they were made of, and their liver as a segmentation."""
    held: list[Any] = []

    def finish(folder: Path) -> str:
        room = folder / "echoes"
        truth = json.loads((room / "truth.json").read_text(encoding="utf-8"))
        labels = slicer.util.loadVolume(str(room / "labels.nii.gz"), properties={"show": False})
        for name in ("magnitude", "phase"):
            sequence_of(voxels_in(room / f"{name}.nii.gz"), truth["echo_times_ms"], labels, f"echoes {name}")
        held.extend([truth, liver_in(labels)])
        return "The echoes are loaded."

    task = Task("sample", lambda folder: sample_arguments("multiecho", folder / "echoes"), finish)
    panel.controllers["setup"].start(task)
    demand_done(panel, "setup")
    return held[0], held[1]


def demand_worker(panel: Any) -> None:
    """Skipped, with what is missing, where the worker's packages are not installed."""
    panel.sections["setup"].ask_doctor()
    wait(panel, "setup")
    state = panel.controllers["setup"].state
    if state.status is not Status.DONE:
        raise Skipped(state.message)


def demand_done(panel: Any, lane: str) -> None:
    """The run of the lane ends, and well."""
    wait(panel, lane)
    state = panel.controllers[lane].state
    _expect(
        state.status is Status.DONE,
        f"{lane} ended as {state.status.name}: {state.message} {panel.ui.messageLabel.text}",
    )


def wait(panel: Any, lane: str, longest_s: float = _LONGEST_S) -> None:
    """Until the lane is at rest; the events of the application go on."""
    end = time.monotonic() + longest_s
    while panel.controllers[lane].state.busy:
        slicer.app.processEvents()
        time.sleep(0.01)
        if time.monotonic() > end:
            raise AssertionError(f"{lane} is not over after {longest_s:g} s")


class Pretended:
    """A controller.Job that does in Slicer what the worker does elsewhere: whatever is bright becomes liver."""

    def start(self, arguments: Sequence[str], told: Callable[[Event], None], ended: Callable[[Ending], None]) -> None:
        self.cancelled = False
        scan, out = Path(arguments[1]), Path(arguments[arguments.index("--out") + 1])

        def work() -> None:
            if self.cancelled:
                ended(Ending(5, False, ""))
                return
            told(Event("stage", {"name": "inference"}))
            told(Event("progress", {"name": "inference", "done": 1, "total": 2, "eta_s": 0.1}))
            pretended_result(scan, out.parent)
            told(Event("done", {"out": str(out), "seconds": 0.1}))
            ended(Ending(0, False, ""))

        qt.QTimer.singleShot(50, work)

    def cancel(self) -> None:
        self.cancelled = True


def pretended_result(scan: Path, folder: Path) -> None:
    """The two files of a run that the panel reads."""
    volume = slicer.util.loadVolume(str(scan), properties={"show": False})
    bright = (slicer.util.arrayFromVolume(volume) > 0).astype(np.uint8)
    slicer.util.updateVolumeFromArray(volume, bright)
    (folder / RESULT).parent.mkdir(parents=True, exist_ok=True)
    slicer.util.saveNode(volume, str(folder / RESULT))
    slicer.mrmlScene.RemoveNode(volume)
    ml = float(bright.sum()) * 8e-3
    report = {
        "version": "0", "model": {"name": "pretended", "version": "0", "sha256": "", "licence": ""},
        "phase": {"used": "ct_unknown", "how": "given"}, "device": "cpu", "seconds": {"total": 0.1}, "warnings": [],
        "measurements": [{"structure": "liver", "quantity": "volume", "value": ml, "unit": "ml", "reason": ""}],
    }  # fmt: skip
    (folder / REPORT).write_text(json.dumps(report), encoding="utf-8")


def _expect(condition: bool, sentence: str) -> None:  # noqa: FBT001
    if not condition:
        raise AssertionError(sentence)
