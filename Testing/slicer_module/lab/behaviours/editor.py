"""qMRMLSegmentEditorWidget: its nodes and the real editor logic; the effects and their GUI are not played."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtWidgets

from ..standins import behaviour, emit
from .frames import tight


@behaviour("qMRMLSegmentEditorWidget")
class SegmentEditor:
    """Without an editor node the real widget only logs an error; here it is raised."""

    def _h_init(self: Any) -> None:
        tight(self, QtWidgets.QVBoxLayout).addWidget(QtWidgets.QLabel("[effects of the Segment Editor]"))
        self._h_node, self._h_effect = None, ""
        self._h_logic = slicer.vtkSlicerSegmentEditorLogic()
        self._h_logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        self._h_history = slicer.vtkSegmentationHistory()

    def _h_on_scene(self: Any, scene: Any) -> None:
        self._h_logic.SetMRMLScene(scene)

    def _h_need(self: Any) -> Any:
        if self._h_node is None:
            raise RuntimeError(
                "qMRMLSegmentEditorWidget has no segment editor node yet: call setMRMLSegmentEditorNode first"
            )
        return self._h_node

    def mrmlSegmentEditorNode(self: Any) -> Any:
        return self._h_node

    def setMRMLSegmentEditorNode(self: Any, node: Any) -> None:
        self._h_node = node
        self._h_logic.SetSegmentEditorNode(node)

    def segmentationNode(self: Any) -> Any:
        return self._h_node.GetSegmentationNode() if self._h_node is not None else None

    def segmentationNodeID(self: Any) -> str:
        node = self.segmentationNode()
        return node.GetID() if node is not None else ""

    def setSegmentationNode(self: Any, node: Any) -> None:
        editor, before = self._h_need(), self.segmentationNode()
        self._h_logic.SetSegmentationNode(node)
        editor.SetAndObserveSegmentationNode(node)
        self._h_history.SetSegmentation(node.GetSegmentation() if node is not None else None)
        if before is not node:
            emit(self, "segmentationNodeChanged", node)

    def sourceVolumeNode(self: Any) -> Any:
        return self._h_node.GetSourceVolumeNode() if self._h_node is not None else None

    def setSourceVolumeNode(self: Any, node: Any) -> None:
        editor, before = self._h_need(), self.sourceVolumeNode()
        self._h_logic.SetSourceVolumeNode(node)
        editor.SetAndObserveSourceVolumeNode(node)
        if before is not node:
            emit(self, "sourceVolumeNodeChanged", node)

    def currentSegmentID(self: Any) -> str:
        return (self._h_node.GetSelectedSegmentID() or "") if self._h_node is not None else ""

    def setCurrentSegmentID(self: Any, segment_id: str) -> None:
        self._h_need().SetSelectedSegmentID(segment_id)
        emit(self, "currentSegmentIDChanged", segment_id)

    def setActiveEffectByName(self: Any, name: str) -> None:
        self._h_effect = name
        if self._h_node is not None:
            self._h_node.SetActiveEffectName(name)

    def activeEffect(self: Any) -> None:
        return None

    def saveStateForUndo(self: Any) -> None:
        self._h_history.SaveState()

    def undo(self: Any) -> None:
        self._h_history.RestorePreviousState()

    def redo(self: Any) -> None:
        self._h_history.RestoreNextState()
