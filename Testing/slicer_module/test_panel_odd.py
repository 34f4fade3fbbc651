"""The panel in the hands of somebody who presses everything: odd volumes, any order, nodes that vanish, no network."""

# ruff: noqa: F811 (a fixture is named where it is imported and where it is used)

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slicer_module.panel_desk import SlowJob, chosen, module, panel, pick, status  # noqa: F401
from slicer_module.test_panel_scan import wrong_volume

STEPS = 80
NOT_PRESSED = {"modelsFolderButton", "installButton"}  # one opens a file browser, the other is tried below


def odd_volumes() -> list[Any]:
    """None, whatever is no scan, and scans that hold nothing sensible."""
    import slicer
    import vtk

    found = [wrong_volume(kind, None) for kind in ("none", "flat", "vector", "labelmap", "empty")]
    for name, shape, kind in (("Bäuche {0} %s", (6, 8, 8), np.float32), ("tiny", (2, 2, 2), np.int16)):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(node, np.full(shape, np.nan if kind is np.float32 else 7, kind))
        found.append(node)
    flat = vtk.vtkMatrix4x4()
    flat.SetElement(2, 2, 0.0)
    found[-1].SetIJKToRASMatrix(flat)
    return found


def controls(panel: Any) -> list[Callable[[random.Random], None]]:
    """One move of each button, combo, number and check box that can be moved now."""
    import qt

    kinds = (qt.QPushButton, qt.QCheckBox, qt.QComboBox, qt.QDoubleSpinBox)
    widgets = [w for kind in kinds for w in panel.page.findChildren(kind) if w.objectName in vars(panel.ui)]
    return [_move(widget) for widget in widgets if widget.isEnabled() and widget.objectName not in NOT_PRESSED]


def _move(widget: Any) -> Callable[[random.Random], None]:
    def move(dice: random.Random) -> None:
        if hasattr(widget, "click"):
            widget.click()
        elif hasattr(widget, "currentIndex"):
            widget.currentIndex = dice.randrange(max(widget.count, 1))
        else:
            widget.value = dice.choice([widget.minimum, widget.maximum, 0.0])

    return move


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_order_of_clicks_on_any_volume_ends_in_words(panel: Any, desk: Any, seed: int) -> None:
    import qt
    import slicer

    dice, volumes = random.Random(seed), odd_volumes()
    for step in range(STEPS):
        what = dice.random()
        if what < 0.2:
            panel.parameters.volume = dice.choice(volumes)
        elif what < 0.9:
            desk.answers[:] = [dice.random() < 0.5]
            dice.choice(controls(panel))(dice)
        elif what < 0.97 and SlowJob.made:
            dice.choice(SlowJob.made).ends(dice.choice([0, 3, 5, -9]))
        else:
            slicer.mrmlScene.Clear(False)
            volumes = odd_volumes()
        messages = [controller.state.message for controller in panel.controllers.values()]
        assert panel.log == [], f"step {step}"
        assert not [text for text in messages if "itself failed" in text]
    for dialog in qt.QApplication.topLevelWidgets():
        dialog.close()


@pytest.mark.parametrize("lane", ["compare", "volumetry"])
@pytest.mark.parametrize("victim", ["segmentation", "its volume", "the AI result", "the plane", "the parameters"])
def test_a_node_that_is_deleted_during_a_run_takes_nothing_with_it(
    panel: Any, volume: Any, tmp_path: Path, lane: str, victim: str
) -> None:
    import slicer
    from LiverSegLib.scene import baseline_of
    from slicer_module.panel_scenes import ai_result

    node = ai_result(panel, volume, tmp_path / "run")
    panel.ui.planeCheck.click()
    {"compare": panel.ui.compareAiButton, "volumetry": panel.ui.updateButton}[lane].click()
    assert status(panel, lane) == "RUNNING"
    victims = {
        "segmentation": node, "its volume": volume, "the AI result": baseline_of(node), "the plane": panel.parameters.plane,
        "the parameters": panel.parameters.parameterNode,
    }  # fmt: skip
    slicer.mrmlScene.RemoveNode(victims[victim])
    job = SlowJob.made[-1]
    out = Path(job.arguments[job.arguments.index("--out") + 1])
    out.mkdir()
    row = "liver,{0},3.0,{1},d,"
    (out / "agreement.csv").write_text(f"structure,quantity,value,unit,definition,reason\n{row.format('dsc', 1)}\n")
    liver = '{"structure":"liver","quantity":"volume","value":3,"unit":"ml","definition":"","reason":""}'
    (out / "report.json").write_text(f'{{"measurements":[{liver}],"warnings":[]}}')
    job.ends(0)
    assert status(panel, lane) == "DONE"
    for name in (
        "restoreButton",
        "compareAiButton",
        "compareButton",
        "updateButton",
        "flipPlaneButton",
        "overlayCheck",
    ):
        getattr(panel.ui, name).click()
    assert panel.log == []


@pytest.mark.parametrize(
    ("agreed", "words"),
    [(False, "Nothing was installed"), (True, "cannot be reached"), (None, "numpy .* install a newer Slicer")],
)
def test_an_installation_that_cannot_be_is_a_sentence(
    panel: Any, desk: Any, monkeypatch: pytest.MonkeyPatch, agreed: bool | None, words: str
) -> None:
    """Declined, without a network, and with packages of Slicer's own that are too old."""
    import re

    from LiverSegLib import packages, requirements
    from LiverSegLib.sections import setup
    from slicer_module.lab import neighbours

    numpy = "1.0" if agreed is None else "2.1"
    bare = packages.Facts((3, 12), {"numpy": numpy, "SimpleITK": "2.5", "scipy": "1.15"}, "Linux", False)
    for place in (setup, requirements):
        monkeypatch.setattr(place, "facts_here", lambda: bare)
    monkeypatch.setattr(requirements, "_INDEX", "http://127.0.0.1:9/")  # nobody listens there
    neighbours.installer.fails = RuntimeError("no route to host")
    desk.answers[:] = [agreed]
    panel.ui.installButton.click()
    assert re.search(words, panel.ui.messageLabel.text), panel.ui.messageLabel.text
    assert panel.ui.installButton.isEnabled()
    assert panel.log == SlowJob.made == []
    if agreed is not None:
        assert "MB to download" in next(told.text for told in desk.told if told.kind == "question")
    assert "torch" in panel.ui.packagesLabel.text or agreed is None
