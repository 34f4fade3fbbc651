"""parameterNodeWrapper of the lab; with LIVERSEG_SLICER_LAYER set, Slicer's own: the tests are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def parameters_of(node: Any) -> Any:
    from slicer_module.lab import toy

    return toy.parameters_of(node)


def test_parameters_are_kept_in_the_scene_and_checked(toy: Any, volume: Any, tmp_path: Path) -> None:
    import slicer

    logic = toy.widgetRepresentation().self().logic
    node = logic.getParameterNode()
    assert logic.getParameterNode() is node
    toys = parameters_of(node)
    assert (toys.volume, toys.on, toys.tolerance, toys.word, toys.count) == (None, True, 2.0, "auto", 3)
    toys.volume, toys.on, toys.tolerance = volume, False, 5
    assert (node.GetParameter("on"), node.GetParameter("tolerance")) == ("False", "5")
    assert node.GetNodeReference("volume") is volume
    for name, value, kind in (
        ("tolerance", 30.0, ValueError),
        ("on", "yes", TypeError),
        ("word", None, ValueError),
        ("volume", node, TypeError),
    ):
        with pytest.raises(kind):
            setattr(toys, name, value)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    again = parameters_of(logic.getParameterNode())
    assert (again.volume.GetName(), again.on, again.tolerance) == ("phantom", False, 5.0)


def test_parameters_and_widgets_follow_each_other_until_untied(toy: Any, volume: Any) -> None:
    import slicer

    widget = toy.widgetRepresentation().self()
    ui = widget.ui
    toys = parameters_of(widget.logic.getParameterNode())
    tag = toys.connectParametersToGui({"volume": ui.selector, "on": ui.check, "tolerance": ui.slider})
    assert (ui.slider.minimum, ui.slider.maximum, ui.slider.value, ui.check.checked) == (0.5, 20.0, 2.0, True)
    toys.volume, toys.on = volume, False
    assert (ui.selector.currentNode(), ui.check.checked) == (volume, False)
    ui.slider.value, ui.check.checked = 7.25, True
    assert (toys.tolerance, toys.on) == (7.25, True)
    slicer.mrmlScene.RemoveNode(volume)
    assert toys.volume is None
    toys.disconnectGui(tag)
    ui.check.checked = False
    assert toys.on


def test_what_was_tied_by_its_page_can_not_be_untied(toy: Any, scene: Any) -> None:
    """Slicer forgets to return the tag; the panel takes the longer way."""
    ui = toy.widgetRepresentation().self().ui
    toys = parameters_of(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    assert toys.connectGui(ui) is None
    toys.on = False
    assert not ui.check.checked


def test_what_can_not_be_tied_is_refused(toy: Any) -> None:
    import qt

    toys = parameters_of(toy.widgetRepresentation().self().logic.getParameterNode())
    with pytest.raises(RuntimeError):
        toys.connectParametersToGui({"tolerance": qt.QLineEdit()})
    with pytest.raises(RuntimeError, match="Choice"):
        toys.connectParametersToGui({"word": qt.QComboBox()})
    with pytest.raises(ValueError, match="nothing"):
        toys.connectParametersToGui({"nothing": qt.QCheckBox()})
