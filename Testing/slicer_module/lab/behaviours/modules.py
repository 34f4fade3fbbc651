"""A scripted module and its widget, as the application makes them from a .py file."""

from __future__ import annotations

import sys
from typing import Any

import slicer
from PySide6 import QtWidgets

from .. import standins
from ..standins import behaviour


@behaviour("qSlicerScriptedLoadableModule")
class ScriptedModule:
    def _h_init(self: Any) -> None:
        self._h_name, self._h_path, self._h_widget = "", "", None

    def _get_name(self: Any) -> str:
        return self._h_name

    def _get_path(self: Any) -> str:
        return self._h_path

    def logic(self: Any) -> None:
        return None

    def widgetRepresentation(self: Any) -> Any:
        if self._h_widget is None:
            self._h_widget = self.createNewWidgetRepresentation()
        return self._h_widget

    def createNewWidgetRepresentation(self: Any) -> Any:
        widget = standins.get("qSlicerScriptedLoadableModuleWidget")()
        widget._h_name = self._h_name
        widget.setObjectName(f"{self._h_name}ModuleWidget")
        QtWidgets.QVBoxLayout(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self._h_widget = self._h_widget or widget
        widget.reload()
        return widget


@behaviour("qSlicerScriptedLoadableModuleWidget")
class ScriptedWidget:
    def _h_init(self: Any) -> None:
        self._h_name, self._h_self, self._h_inside = "", None, False

    def self(self: Any) -> Any:  # the name is Slicer's
        return self._h_self

    def _get_moduleName(self: Any) -> str:
        return self._h_name

    def _get_isEntered(self: Any) -> bool:
        return self._h_inside

    def reload(self: Any) -> None:
        """A new Python widget of the module's present source in this same frame."""
        self._h_self = getattr(sys.modules[self._h_name], f"{self._h_name}Widget")(self)
        setattr(slicer.modules, f"{self._h_name}Widget", self._h_self)
        self._h_self.setup()

    def enter(self: Any) -> None:
        self._h_inside = True
        if hasattr(self._h_self, "enter"):
            self._h_self.enter()

    def exit(self: Any) -> None:
        self._h_inside = False
        if hasattr(self._h_self, "exit"):
            self._h_self.exit()
