"""qMRMLWidget, qSlicerWidget and the selectors of nodes, on the real scene."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import vtk
from PySide6 import QtWidgets

from ..standins import behaviour, emit
from .frames import follow, tight


class Watch:
    """Observers on VTK objects that keep no strong reference to the widget they call."""

    def __init__(self) -> None:
        self._tags: list[tuple[Any, int]] = []

    def add(self, thing: Any, events: tuple[Any, ...], method: Callable[..., None], *, node: bool = False) -> None:
        reference = weakref.WeakMethod(method)

        def told(caller: Any, event: str, given: Any = None) -> None:
            alive = reference()
            if alive is not None:
                try:
                    alive(event, given if node else caller)
                except RuntimeError:  # the C++ half is already gone
                    self.stop()

        callback = vtk.calldata_type(vtk.VTK_OBJECT)(told) if node else told
        self._tags += [(thing, thing.AddObserver(event, callback)) for event in events]

    def stop(self) -> None:
        for thing, tag in self._tags:
            thing.RemoveObserver(tag)
        self._tags = []


@behaviour("qSlicerWidget")
class SceneWidget:
    """`mrmlScene()` of qSlicerWidget is C++ only; qMRMLWidget shows it."""

    def _h_init(self: Any) -> None:
        self._h_scene = None

    def setMRMLScene(self: Any, scene: Any) -> None:
        if scene is self._h_scene:
            return
        self._h_scene = scene
        more = getattr(type(self), "_h_on_scene", None)
        if more:
            more(self, scene)
        emit(self, "mrmlSceneChanged", scene)


@behaviour("qMRMLWidget")
class MrmlWidget(SceneWidget):
    def mrmlScene(self: Any) -> Any:
        return self._h_scene


@behaviour("qMRMLNodeComboBox")
class NodeComboBox:
    """Takes no added node by itself; when its node goes and there is no "None", it takes the last one left."""

    _h_defaults: ClassVar = {
        "addEnabled": True,
        "removeEnabled": True,
        "selectNodeUponCreation": True,
        "noneDisplay": "None",
        "showChildNodeTypes": True,
    }

    def _h_init(self: Any) -> None:
        self._h_scene, self._h_watch, self._h_names, self._h_lock = None, Watch(), Watch(), False
        self._h_ids: list[str] = []
        self._h_current, self._h_asked, self._h_wanted, self._h_labels = "", "", [], {}
        self._h_box = QtWidgets.QComboBox()
        tight(self).addWidget(self._h_box)
        follow(self._h_box.currentIndexChanged, self._h_picked)
        self.setEnabled(False)

    def mrmlScene(self: Any) -> Any:
        return self._h_scene

    def setMRMLScene(self: Any, scene: Any) -> None:
        if scene is self._h_scene:
            return
        self._h_watch.stop()
        self._h_scene = scene
        if scene is not None:
            added = (scene.NodeAddedEvent, scene.NodeAboutToBeRemovedEvent, scene.NodeRemovedEvent)
            self._h_watch.add(scene, added, self._h_node_event, node=True)
            self._h_watch.add(
                scene, (scene.EndCloseEvent, scene.EndImportEvent, scene.EndBatchProcessEvent), self._h_scene_event
            )
        self.setEnabled(scene is not None)
        asked, self._h_asked = self._h_asked, ""
        self._h_refresh()
        if asked:
            self.setCurrentNodeID(asked)

    def _h_scene_event(self: Any, _event: str, _scene: Any) -> None:
        self._h_refresh()

    def _h_node_event(self: Any, event: str, node: Any) -> None:
        if self._h_scene is None or self._h_scene.IsBatchProcessing():
            return
        if node is not None and not any(node.IsA(kind) for kind in self.nodeTypes):
            return
        if event == "NodeAboutToBeRemovedEvent":
            if node is not None and node.GetID() in self._h_ids:
                emit(self, "nodeAboutToBeRemoved", node)
            return
        before = set(self._h_ids)
        self._h_refresh()
        if event == "NodeAddedEvent" and node is not None and node.GetID() in set(self._h_ids) - before:
            emit(self, "nodeAdded", node)

    def _h_matches(self: Any, node: Any) -> bool:
        kinds, name = self.nodeTypes, node.GetClassName()
        if not any(node.IsA(kind) and (self.showChildNodeTypes or name == kind) for kind in kinds):
            return False
        if name not in kinds and any(node.IsA(kind) for kind in self.hideChildNodeTypes):
            return False
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        for kind, attribute, value in self._h_wanted:
            has = node.GetAttribute(attribute)
            if node.IsA(kind) and (has is None or (value is not None and str(value) != has)):
                return False
        return True

    def _h_refresh(self: Any) -> None:
        scene = self._h_scene
        found = [] if scene is None else [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
        nodes = [node for node in found if node is not None and self._h_matches(node)]  # None: just being deleted
        self._h_ids, before = [node.GetID() for node in nodes], self._h_current
        self._h_lock = True
        self._h_box.clear()
        if self.noneEnabled:
            self._h_box.addItem(self.noneDisplay, "")
        for node in nodes:
            self._h_box.addItem(node.GetName() or "", node.GetID())
        keep = before in self._h_ids
        instead = "" if self.noneEnabled or not self._h_ids or not before else self._h_ids[-1]
        self._h_lock = False
        self._h_names.stop()
        for node in nodes:
            self._h_names.add(node, (vtk.vtkCommand.ModifiedEvent,), self._h_renamed)
        self._h_show(before if keep else instead)

    def _h_show(self: Any, node_id: str) -> None:
        self._h_lock = True
        self._h_box.setCurrentIndex(self._h_box.findData(node_id) if node_id or self.noneEnabled else -1)
        self._h_lock = False
        if node_id != self._h_current:
            self._h_current = node_id
            self._h_tell()

    def _h_renamed(self: Any, _event: str, node: Any) -> None:
        row = self._h_box.findData(node.GetID())
        if row >= 0 and self._h_box.itemText(row) != node.GetName():
            self._h_box.setItemText(row, node.GetName())
            if node.GetID() == self._h_current:
                emit(self, "currentNodeRenamed", node.GetName())

    def _h_picked(self: Any, row: int) -> None:
        node_id = self._h_box.itemData(row) or ""
        if not self._h_lock and node_id != self._h_current:
            self._h_current = node_id
            self._h_tell()
            emit(self, "nodeActivated", self.currentNode())

    def _h_tell(self: Any) -> None:
        node = self.currentNode()
        emit(self, "currentNodeChanged", node)
        emit(self, "currentNodeChanged", node is not None, overload=1)
        emit(self, "currentNodeIDChanged", self._h_current)

    def currentNode(self: Any) -> Any:
        return self._h_scene.GetNodeByID(self._h_current) if self._h_scene is not None and self._h_current else None

    def currentNodeId(self: Any) -> str:
        return self._h_current

    def _get_currentNodeID(self: Any) -> str:
        return self._h_current

    def _set_currentNodeID(self: Any, node_id: str) -> None:
        self.setCurrentNodeID(node_id)

    def setCurrentNode(self: Any, node: Any) -> None:
        if node is not None and not isinstance(node, str) and not hasattr(node, "IsA"):
            raise ValueError(f"setCurrentNode(vtkMRMLNode*) called with {node!r}")
        self.setCurrentNodeID(node if isinstance(node, str) else node.GetID() if node is not None else "")

    def setCurrentNodeID(self: Any, node_id: str | None) -> None:
        if self._h_scene is None:
            self._h_asked = node_id or ""
            return
        self._h_show(node_id if node_id in self._h_ids else "")

    def setCurrentNodeIndex(self: Any, number: int) -> None:
        self.setCurrentNodeID(self._h_ids[number] if 0 <= number < len(self._h_ids) else "")

    def nodeCount(self: Any) -> int:
        return len(self._h_ids)

    def nodeFromIndex(self: Any, number: int) -> Any:
        return self._h_scene.GetNodeByID(self._h_ids[number]) if 0 <= number < len(self._h_ids) else None

    def addNode(self: Any, kind: str | None = None) -> Any:
        kind = kind or (self.nodeTypes[0] if self.nodeTypes else "")
        if self._h_scene is None or kind not in self.nodeTypes:
            return None
        name = self.baseName or self._h_scene.GetTagByClassName(kind) or kind
        node = self._h_scene.AddNewNodeByClass(kind, self._h_scene.GenerateUniqueName(name))
        for _kind, attribute, value in self._h_wanted:
            node.SetAttribute(attribute, "" if value is None else str(value))
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        emit(self, "nodeAddedByUser", node)
        return node

    def removeCurrentNode(self: Any) -> None:
        if self.currentNode() is not None:
            self._h_scene.RemoveNode(self.currentNode())

    def addAttribute(self: Any, kind: str, attribute: str, value: Any = None) -> None:
        self._h_wanted.append((kind, attribute, value))
        self._h_refresh()

    def removeAttribute(self: Any, kind: str, attribute: str) -> None:
        self._h_wanted[:] = [row for row in self._h_wanted if row[:2] != (kind, attribute)]
        self._h_refresh()

    def nodeTypeLabel(self: Any, kind: str) -> str:
        return self._h_labels.get(kind, kind)

    def setNodeTypeLabel(self: Any, label: str, kind: str) -> None:
        self._h_labels[kind] = label

    def _set_nodeTypes(self: Any, value: Any) -> None:
        self._h_p_nodeTypes = value
        self._h_refresh()

    def _set_noneEnabled(self: Any, value: bool) -> None:
        self._h_p_noneEnabled = value
        self._h_refresh()

    def _set_noneDisplay(self: Any, value: str) -> None:
        self._h_p_noneDisplay = value
        self._h_refresh()

    def _set_showHidden(self: Any, value: bool) -> None:
        self._h_p_showHidden = value
        self._h_refresh()

    def _set_showChildNodeTypes(self: Any, value: bool) -> None:
        self._h_p_showChildNodeTypes = value
        self._h_refresh()

    def _set_hideChildNodeTypes(self: Any, value: Any) -> None:
        self._h_p_hideChildNodeTypes = value
        self._h_refresh()
