"""qMRMLTableView: the cells of a table node."""

from __future__ import annotations

from typing import Any

import vtk
from PySide6 import QtGui

from ..standins import behaviour, emit
from .nodes import Watch


@behaviour("qMRMLTableView")
class TableView:
    def _h_init(self: Any) -> None:
        self._h_node, self._h_scene, self._h_watch = None, None, Watch()
        self._h_model = QtGui.QStandardItemModel(self)
        self.setModel(self._h_model)

    def setMRMLScene(self: Any, scene: Any) -> None:
        if scene is not self._h_scene:
            self._h_scene = scene
            emit(self, "mrmlSceneChanged", scene)

    def mrmlScene(self: Any) -> Any:
        return self._h_scene

    def mrmlTableNode(self: Any) -> Any:
        return self._h_node

    def setMRMLTableNode(self: Any, node: Any) -> None:
        self._h_watch.stop()
        self._h_node = node
        if node is not None:
            self._h_watch.add(node, (vtk.vtkCommand.ModifiedEvent,), self._h_fill)
        self._h_fill()

    def _h_fill(self: Any, *_: Any) -> None:
        node, model = self._h_node, self._h_model
        model.clear()
        if node is None:
            return
        columns = range(node.GetNumberOfColumns())
        model.setHorizontalHeaderLabels([node.GetColumnName(column) for column in columns])
        for row in range(node.GetNumberOfRows()):
            model.appendRow([QtGui.QStandardItem(node.GetCellText(row, column)) for column in columns])
