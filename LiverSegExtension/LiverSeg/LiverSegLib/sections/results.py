"""What the sections that measure share: the table of the worker on the panel, and the words of their lane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..controller import Controller, Task, UserError
from ..scene.table import fill_table
from ..state import State, Status
from ..tables import AGREED, COLUMNS, Table
from . import WRONG, Section
from .dialogs import ask_save

_WIDEST = (115, 135)  # pixels of the first columns: in a panel of 420 the values stand beside them
_TABLE = "LiverSeg.table"  # attribute of a table node: its lines with their definitions


@contextmanager
def busy(box: Any) -> Iterator[None]:
    """While the panel cannot answer, the check box that was ticked says that its wish is worked on."""
    text, box.text = box.text, _("Working ...")
    box.repaint()
    try:
        yield
    finally:
        box.text = text


class WorkingSection(Section):
    """A section whose button starts a worker and cancels it."""

    def __init__(self, ui: Any, panel: Any) -> None:
        super().__init__(ui, panel)
        self._state = self.controller.state
        self.hush()

    @property
    def controller(self) -> Controller:
        return self.panel.controllers[self.lane]

    def begin(self, task: Task) -> bool:
        """False while the worker of this lane is busy; the panel says so."""
        started = self.controller.start(task)
        if not started:
            self.panel.say(self.controller.state.message, bad=True)
        return started

    def news(self) -> State | None:
        """The state of the lane, if it is another one than when this was asked last."""
        self._label.visible = bool(self._label.text)  # unfolding a section shows its hidden widgets
        before, self._state = self._state, self.controller.state
        return self._state if self._state is not before else None

    def tell(self, state: State) -> None:
        """How a run goes or went, with what the worker warned of: in this section, for other lanes have their own words."""
        self._write("\n".join([state.message, *(text for _code, text in state.warnings)]))
        self._label.styleSheet = WRONG if state.status is Status.FAILED else ""
        if state.status in (Status.PREPARING, Status.FINISHING):  # the panel cannot answer meanwhile
            self._label.repaint()

    def hush(self) -> None:
        """What was told is over."""
        self._write("")

    @property
    def _label(self) -> Any:
        return getattr(self.ui, f"{self.lane}Message")

    def _write(self, text: str) -> None:
        self._label.text = text
        self._label.visible = bool(text)


class Results:
    """One table of a section. The panel's parameter node refers to the table node under `role`, so that it comes back
    with a saved scene."""

    def __init__(self, section: Section, role: str, view: Any, columns: Sequence[str] = AGREED) -> None:
        self._panel, self._role, self._view, self._columns = section.panel, role, view, columns
        self.table = Table()
        view.mouseTracking = True
        section.on(view, "entered(QModelIndex)", self._tip)

    @property
    def node(self) -> Any:
        parameters = self._panel.parameters
        return parameters.parameterNode.GetNodeReference(self._role) if parameters is not None else None

    def draw(self) -> None:
        """Follow the scene: the node may have gone, or come with a file."""
        node = self.node
        if self._view.mrmlTableNode() is not node:
            self.table = Table.restored(node.GetAttribute(_TABLE) or "") if node is not None else Table()
            self._place(node)

    def show(self, table: Table, name: str) -> None:
        """Into the node of this role, made where there is none."""
        node = self.node or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
        node.SetName(name)
        node.SetAttribute(_TABLE, table.kept())
        fill_table(node, COLUMNS, table.rows)
        self.table = table
        self._place(node)
        self._panel.parameters.parameterNode.SetNodeReferenceID(self._role, node.GetID())

    def grey(self, stale: bool) -> None:  # noqa: FBT001
        """Numbers of before the last edit stay readable, but not as if they were true."""
        self._view.enabled = not stale

    def forget(self) -> None:
        self.table = Table()
        self._view.setMRMLTableNode(None)

    def copy(self) -> None:
        self._panel.copy(self._some().tabbed())
        self._panel.say(_("The table is on the clipboard."))

    def save(self, name: str) -> None:
        """Ask for a file, `name` proposed, and write the table there."""
        text = self._some().csv(self._columns)

        def write(chosen: str) -> None:
            path = Path(chosen)
            try:
                path.write_text(text, encoding="utf-8", newline="")
            except OSError as problem:
                raise UserError(_("{0} cannot be written: {1}.").format(path, problem.strerror)) from None
            self._panel.say(_("Saved as {0}.").format(path))

        ask_save(_("Save the table"), "CSV (*.csv)", name, self._panel.guarded(write))

    def _some(self) -> Table:
        if not self.table.lines:
            raise UserError(_("There is no table yet; measure first."))
        return self.table

    def _place(self, node: Any) -> None:
        self._view.setMRMLTableNode(node)
        if node is not None:
            self._view.resizeColumnsToContents()
            for column, widest in enumerate(_WIDEST):
                self._view.setColumnWidth(column, min(self._view.columnWidth(column), widest))

    def _tip(self, index: Any) -> None:
        """The definition of the row below the mouse."""
        words = tuple(str(index.sibling(index.row(), column).data()) for column in (0, 1))
        self._view.toolTip = next((line.tip for line in self.table.lines if line.cells[:2] == words), "")
