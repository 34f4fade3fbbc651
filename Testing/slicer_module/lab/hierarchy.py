"""What the plugins of the application do to the subject hierarchy: an item for every node that people see, at the scene's root."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

KINDS = (
    "vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLModelNode", "vtkMRMLMarkupsNode", "vtkMRMLTransformNode",
    "vtkMRMLTableNode", "vtkMRMLTextNode", "vtkMRMLPlotChartNode", "vtkMRMLSequenceBrowserNode",
)  # fmt: skip


class Plugins:
    """Works from its making until `stop`. Not here: the items of single segments, and their context menus."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        with_node = vtk.calldata_type(vtk.VTK_OBJECT)  # methods take no such mark, functions do
        added = with_node(lambda _scene, _event, node: self._added(node))
        removed = with_node(lambda _scene, _event, node: self._removed(node))
        pairs = ((scene.NodeAddedEvent, added), (scene.NodeAboutToBeRemovedEvent, removed))
        self._tags = [scene.AddObserver(event, callback) for event, callback in pairs]

    def stop(self) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags = []

    def _added(self, node: Any) -> None:
        if self._scene.IsClosing() or self._scene.IsImporting() or node.GetHideFromEditors():
            return
        if any(node.IsA(kind) for kind in KINDS):
            tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
            tree.CreateItem(tree.GetSceneItemID(), node)

    def _removed(self, node: Any) -> None:
        if self._scene.IsClosing() or not any(node.IsA(kind) for kind in KINDS):
            return
        tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        item = tree.GetItemByDataNode(node)
        if item != tree.GetInvalidItemID():
            tree.RemoveItem(item, False, False)
