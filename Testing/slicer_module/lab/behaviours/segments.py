"""qMRMLSegmentsTableView, qMRMLSegmentSelectorWidget and qMRMLSegmentationShow3DButton on the real segmentation."""

from __future__ import annotations

from typing import Any, ClassVar

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .. import standins
from ..standins import behaviour, emit
from .frames import follow, tight
from .nodes import Watch

COLUMNS = ("Shown", "Color", "Opacity", "Name", "Status")  # in Slicer the first and the last are icons
STATUSES = ("Not started", "In progress", "Completed", "Flagged")


@behaviour("qMRMLSegmentsTableView")
class SegmentsTable:
    """Rows are all the segments of the node, hidden ones (`setHideSegments`) left out."""

    _h_defaults: ClassVar = {
        "headerVisible": True,
        "visibilityColumnVisible": True,
        "colorColumnVisible": True,
        "opacityColumnVisible": True,
    }

    def _h_init(self: Any) -> None:
        self._h_node, self._h_watch, self._h_busy = None, Watch(), False
        self._h_rows: list[str] = []
        self._h_hidden: tuple[str, ...] = ()
        table = self._h_table = QtWidgets.QTableWidget(0, len(COLUMNS), self)
        table.setHorizontalHeaderLabels(COLUMNS)
        table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        table.horizontalHeader().setSectionResizeMode(COLUMNS.index("Name"), QtWidgets.QHeaderView.ResizeMode.Stretch)
        table.verticalHeader().hide()
        tight(self, QtWidgets.QVBoxLayout).addWidget(table)
        follow(table.itemSelectionChanged, self._h_tell)

    def _h_tell(self: Any) -> None:
        if not self._h_busy:
            emit(self, "selectionChanged", QtCore.QItemSelection(), QtCore.QItemSelection())

    def segmentationNode(self: Any) -> Any:
        return self._h_node

    def setSegmentationNode(self: Any, node: Any) -> None:
        if node is self._h_node:
            return
        self._h_watch.stop()
        self._h_node = node
        if node is not None:
            kind = slicer.vtkSegmentation
            events = (kind.SegmentAdded, kind.SegmentRemoved, kind.SegmentModified, kind.SegmentsOrderModified)
            self._h_watch.add(node.GetSegmentation(), events, self._h_changed)
        self._h_fill()

    def _h_changed(self: Any, _event: str, _segmentation: Any) -> None:
        self._h_fill()

    def _h_fill(self: Any) -> None:
        selected = self.selectedSegmentIDs()
        self._h_busy = True
        ids = self._h_node.GetSegmentation().GetSegmentIDs() if self._h_node is not None else ()
        self._h_rows = [segment for segment in ids if segment not in self._h_hidden]
        self._h_table.setRowCount(len(self._h_rows))
        for row, segment_id in enumerate(self._h_rows):
            segment, color = self._h_node.GetSegmentation().GetSegment(segment_id), QtWidgets.QTableWidgetItem()
            color.setBackground(QtGui.QColor.fromRgbF(*[min(1.0, max(0.0, part)) for part in segment.GetColor()]))
            display = self._h_node.GetDisplayNode()
            shown = display is None or display.GetSegmentVisibility(segment_id)
            status = slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentStatus(segment)
            cells = ["yes" if shown else "no", None, "1.00", segment.GetName(), STATUSES[status]]
            for column, text in enumerate(cells):
                self._h_table.setItem(row, column, color if text is None else QtWidgets.QTableWidgetItem(text))
        for column in (0, 1, 2):
            self._h_table.resizeColumnToContents(column)
        self._h_busy = False
        self.setSelectedSegmentIDs([segment for segment in selected if segment in self._h_rows])

    def _get_segmentCount(self: Any) -> int:
        return len(self._h_rows)

    def setHideSegments(self: Any, ids: Any) -> None:
        self._h_hidden = tuple(ids)
        self._h_fill()

    def hideSegments(self: Any) -> tuple[str, ...]:
        return self._h_hidden

    def displayedSegmentIDs(self: Any) -> tuple[str, ...]:
        return tuple(self._h_rows)

    def rowForSegmentID(self: Any, segment_id: str) -> int:
        return self._h_rows.index(segment_id) if segment_id in self._h_rows else -1

    def segmentIDForRow(self: Any, row: int) -> str:
        return self._h_rows[row] if 0 <= row < len(self._h_rows) else ""

    def selectedSegmentIDs(self: Any) -> tuple[str, ...]:
        rows = sorted({index.row() for index in self._h_table.selectedIndexes()})
        return tuple(self._h_rows[row] for row in rows if row < len(self._h_rows))

    def setSelectedSegmentIDs(self: Any, ids: Any) -> None:
        mode, table = QtWidgets.QAbstractItemView.SelectionMode, self._h_table
        table.clearSelection()
        table.setSelectionMode(mode.MultiSelection)
        for segment_id in ids:
            if segment_id in self._h_rows:
                table.selectRow(self._h_rows.index(segment_id))
        table.setSelectionMode(mode.ExtendedSelection)

    def clearSelection(self: Any) -> None:
        self._h_table.clearSelection()

    def setSelectedSegmentsStatus(self: Any, status: int) -> None:
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        for segment_id in self.selectedSegmentIDs():
            logic.SetSegmentStatus(self._h_node.GetSegmentation().GetSegment(segment_id), status)


@behaviour("qMRMLSegmentSelectorWidget")
class SegmentSelector:
    _h_defaults: ClassVar = {"segmentationNodeSelectorVisible": True}

    def _h_init(self: Any) -> None:
        self._h_segment, self._h_selected, self._h_busy = "", (), False
        self._h_node_box, self._h_box = standins.get("qMRMLNodeComboBox")(self), QtWidgets.QComboBox(self)
        self._h_node_box.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._h_node_box.addEnabled = False
        row = tight(self, QtWidgets.QVBoxLayout)
        row.addWidget(self._h_node_box)
        row.addWidget(self._h_box)
        follow(self._h_node_box.currentNodeChanged, self._h_taken)
        follow(self._h_box.currentIndexChanged, self._h_picked)

    def _h_on_scene(self: Any, scene: Any) -> None:
        self._h_node_box.setMRMLScene(scene)

    def _h_taken(self: Any, node: Any) -> None:
        ids, self._h_busy = self.segmentIDs(), True
        self._h_box.clear()
        for segment_id in ids:
            self._h_box.addItem(node.GetSegmentation().GetSegment(segment_id).GetName(), segment_id)
        self._h_busy = False
        first = ids[0] if ids and not self.noneEnabled else ""
        self.setCurrentSegmentID(self._h_segment if self._h_segment in ids else first)
        emit(self, "currentNodeChanged", node)
        emit(self, "currentNodeChanged", node is not None, overload=1)

    def _h_picked(self: Any, row: int) -> None:
        if not self._h_busy:
            self.setCurrentSegmentID(self._h_box.itemData(row) or "")

    def currentNode(self: Any) -> Any:
        return self._h_node_box.currentNode()

    def currentNodeID(self: Any) -> str:
        return self._h_node_box.currentNodeID

    def setCurrentNode(self: Any, node: Any) -> None:
        self._h_node_box.setCurrentNode(node)

    def setCurrentNodeID(self: Any, node_id: str) -> None:
        self._h_node_box.setCurrentNodeID(node_id)

    def segmentIDs(self: Any) -> tuple[str, ...]:
        node = self.currentNode()
        return tuple(node.GetSegmentation().GetSegmentIDs()) if node is not None else ()

    def currentSegmentID(self: Any) -> str:
        return self._h_segment

    def setCurrentSegmentID(self: Any, segment_id: str) -> None:
        if segment_id != self._h_segment:
            self._h_segment = segment_id
            emit(self, "currentSegmentChanged", segment_id)

    def selectedSegmentIDs(self: Any) -> tuple[str, ...]:
        return self._h_selected

    def setSelectedSegmentIDs(self: Any, ids: Any) -> None:
        self._h_selected = tuple(segment for segment in ids if segment in self.segmentIDs())
        emit(self, "segmentSelectionChanged", self._h_selected)


@behaviour("qMRMLSegmentationShow3DButton")
class Show3DButton:
    def _h_init(self: Any) -> None:
        self._h_node = None
        self.setText("Show 3D")
        self.setCheckable(True)
        follow(self.toggled, self._h_show)

    def segmentationNode(self: Any) -> Any:
        return self._h_node

    def setSegmentationNode(self: Any, node: Any) -> None:
        self._h_node = node

    def _h_show(self: Any, on: bool) -> None:
        if self._h_node is None:
            return
        if on:
            self._h_node.CreateClosedSurfaceRepresentation()
            self._h_node.GetDisplayNode().SetVisibility3D(True)
        else:
            self._h_node.RemoveClosedSurfaceRepresentation()
