"""Cases: a folder of scans is worked through by the worker, looked through by a person, and sent to the training set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import qt
from liverseg_core.errors import LiverSegError
from slicer.i18n import tr as _

from ..cases import STATUS_TEXTS, ListedCase, find_cases, load_status, neighbour, save_status
from ..commands import cohort_arguments
from ..controller import Task, UserError
from ..events import Event
from ..scene.export import scan_of
from ..scene.provenance import status_of
from ..state import State
from . import chosen, fill
from .casefiles import CASE, Places, open_scan, open_segmentation, put_away, save_segmentation
from .results import WorkingSection
from .training import training_task

Look = tuple[str, tuple[int, ...]]  # id of a segmentation, status of each segment
NOT_STARTED, IN_PROGRESS = tuple(STATUS_TEXTS)[:2]
_COLUMNS = ("Case", "Status", "Result")


class CasesSection(WorkingSection):
    """The open case is the one whose name the chosen volume carries. Its correction is saved whenever it is left."""

    lane = "cases"

    def __init__(self, ui: Any, panel: Any) -> None:
        super().__init__(ui, panel)
        self._places: Places | None = None
        self._cases: list[ListedCase] = []
        self._corrected: set[str] = set()  # cases with a correction on the disk
        self._failed: dict[str, str] = {}  # case -> why the last run gave no result
        self._saved: Look | None = None  # the segmentation that lies on the disk as it is
        ui.casesTable.setColumnCount(len(_COLUMNS))
        ui.casesTable.setHorizontalHeaderLabels([_(title) for title in _COLUMNS])
        fill(ui.caseStatusCombo, [(key, _(text)) for key, text in STATUS_TEXTS.items()])
        self.on(ui.casesFolder, "currentPathChanged(QString)", self._folder_changed)
        self.on(ui.runAllButton, "clicked()", self._run_pressed)
        self.on(ui.previousCaseButton, "clicked()", lambda: self._step(-1))
        self.on(ui.nextCaseButton, "clicked()", lambda: self._step(1))
        self.on(ui.casesTable, "cellDoubleClicked(int,int)", self._open_row)
        self.on(ui.caseStatusCombo, "currentIndexChanged(int)", self._set_status)
        self.on(ui.sendToTrainingButton, "clicked()", self._send)

    def draw(self) -> None:
        case = self.case()
        fill(
            self.ui.caseStatusCombo, [(key, _(text)) for key, text in STATUS_TEXTS.items()], case.status if case else ""
        )
        self.ui.caseStatusCombo.enabled = case is not None
        self._draw_table()
        self.ui.casesProgress.visible = self.controller.state.busy
        state = self.news()
        if state is not None:
            self._draw_run(state)

    def case(self) -> ListedCase | None:
        """The open one."""
        volume = self.panel.volume()
        name = volume.GetAttribute(CASE) if volume is not None else None
        return next((case for case in self._cases if case.name == name), None)

    def edited(self) -> None:
        self._saved = None
        case = self.case()
        if case is not None and case.status == NOT_STARTED:
            self._take_status(case, IN_PROGRESS)

    def scene_closing(self) -> None:
        self._saved = None

    def open(self, case: ListedCase) -> None:
        """Save and put away the open case, then load this one with what is there of it."""
        if case.problem:
            raise UserError(f"{case.problem}.")
        self._leave()
        self.panel.say(_("Loading {0} ...").format(case.name), now=True)
        volume = open_scan(case)
        self.panel.parameters.volume = volume
        segmentation = open_segmentation(case, self._somewhere(), volume)
        self.panel.parameters.segmentation = segmentation
        self._saved = _look_of(segmentation)
        self.panel.say("")
        self.panel.changed()

    def save(self) -> None:
        """The correction of the open case, if there is one that does not lie on the disk yet."""
        case, node = self.case(), self.panel.segmentation()
        if case is None or node is None or _look_of(node) == self._saved or scan_of(node) is not self.panel.volume():
            return
        self.panel.say(_("Saving the correction of {0} ...").format(case.name), now=True)
        save_segmentation(node, self._somewhere().corrected(case.name))
        self._saved = _look_of(node)
        self._corrected.add(case.name)
        self.panel.say("")

    def _leave(self) -> None:
        if self.case() is None:
            return
        self.save()
        volume, node = self.panel.volume(), self.panel.segmentation()
        put_away(volume, node if node is not None and _look_of(node) == self._saved else None)

    def _step(self, step: int) -> None:
        self._demand_cases()
        case = self.case()
        other = neighbour(self._cases, case.name if case is not None else "", step)
        if other is None:
            self.save()
            raise UserError(_("This was the last case.") if step > 0 else _("This is the first case."))
        self.open(other)

    def _open_row(self, row: int, _column: int) -> None:
        self.open(self._cases[row])

    def _folder_changed(self) -> None:
        """While a path is typed it is not a folder yet: nothing is said then."""
        path = Path(self.ui.casesFolder.currentPath)
        usable = bool(self.ui.casesFolder.currentPath) and path.is_dir()
        self._places = Places(path.resolve()) if usable else None
        self._cases = []
        if usable:
            self._look()
        self.panel.changed()

    def _look(self) -> None:
        places = self._somewhere()
        try:
            self._cases = find_cases(places.scans, places.results)
            self._corrected = places.all_corrected()
        except LiverSegError as problem:
            raise UserError(f"{problem}.") from None

    def _somewhere(self) -> Places:
        if self._places is None:
            raise UserError(_("Choose a folder of scans first."))
        return self._places

    def _demand_cases(self) -> None:
        self._somewhere()
        if not self._cases:
            self._look()

    def _run_pressed(self) -> None:
        if self.controller.state.busy:
            self.controller.cancel()
            return
        self._demand_cases()
        places, parameters = self._somewhere(), self.panel.parameters
        self._failed = {}
        device = chosen(self.ui.deviceCombo)  # a scene of another computer may name one that is not here
        settings = {"model": parameters.model, "device": device, "quality": parameters.quality}

        look = self.panel.guarded(self._look)  # a list that cannot be read is no reason to end the run

        def prepare(_folder: Path) -> list[str]:
            return cohort_arguments(places.scans, places.results, **settings, allow_unfit=parameters.all_models)

        def finish(_folder: Path) -> str:
            self._look()
            done = sum(case.result is not None for case in self._cases)
            return _("{0} of {1} cases have a result: {2}.").format(done, len(self._cases), places.results)

        def heard(event: Event) -> None:
            if event.name == "progress" and self._places == places:
                look()
            elif event.name == "text":
                name, _colon, error = event.facts["text"].strip().partition(": ")
                self._failed[name] = error

        self.begin(Task("cohort", prepare, finish, heard=heard))

    def _set_status(self) -> None:
        case = self.case()
        if case is not None:
            self._take_status(case, chosen(self.ui.caseStatusCombo))
            self.save()

    def _take_status(self, case: ListedCase, status: str) -> None:
        scans = self._somewhere().scans
        try:
            save_status(scans, {**load_status(scans), case.name: status})
        except LiverSegError as problem:
            raise UserError(f"{problem}.") from None
        self._cases = [replace(one, status=status) if one.name == case.name else one for one in self._cases]
        self.panel.changed()

    def _send(self) -> None:
        case, phase = self.case(), chosen(self.ui.phaseCombo)
        status, into = case.status if case is not None else "completed", self.ui.trainingFolder.currentPath
        self.begin(training_task(self.panel.volume(), self.panel.segmentation(), into, phase, status))

    def _draw_table(self) -> None:
        table, case = self.ui.casesTable, self.case()
        rows = [self._cells(one) for one in self._cases]
        if _shown(table) != rows:
            table.setRowCount(len(rows))
            for row, cells in enumerate(rows):
                for column, text in enumerate(cells):
                    table.setItem(row, column, qt.QTableWidgetItem(text))
                one = self._cases[row]
                table.item(row, 2).setToolTip(one.problem or self._failed.get(one.name, "") or one.why)
            for column in (0, 1):
                table.resizeColumnToContents(column)
        current = self._cases.index(case) if case is not None else -1
        if table.currentRow() != current:
            table.setCurrentCell(current, 0)

    def _cells(self, case: ListedCase) -> list[str]:
        told = _("AI result") if case.result is not None else _("failed") if self._failed.get(case.name) else ""
        if case.problem:
            told = _("cannot be read")
        if case.name in self._corrected:
            told = _("corrected")
        return [case.name, _(STATUS_TEXTS[case.status]), told]

    def _draw_run(self, state: State) -> None:
        bar = self.ui.casesProgress
        bar.maximum = 0 if state.busy and state.percent is None else 100
        bar.value = round(state.percent or 0)
        self.ui.runAllButton.text = _("Cancel") if state.busy else _("Run all")
        self.tell(state)


def _look_of(node: Any) -> Look | None:
    """What can change without an edit of voxels."""
    if node is None:
        return None
    inner = node.GetSegmentation()
    return node.GetID(), tuple(status_of(inner.GetSegment(id_)) for id_ in inner.GetSegmentIDs())


def _shown(table: Any) -> list[Sequence[str]]:
    return [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount)]
