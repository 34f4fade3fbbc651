"""The section Models and installation: what is there, what lacks, what runs here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import qt
import slicer
from liverseg_core.errors import LiverSegError
from liverseg_core.library import BUNDLE, WEIGHTS, installed, user_models_folder
from slicer.i18n import tr as _

from ..choices import card_of
from ..commands import models_arguments
from ..controller import Task, UserError
from ..events import Event
from ..packages import facts_here, missing, verification
from ..requirements import install
from ..state import Status
from . import Section
from .dialogs import ask_file

COLUMNS = ("Model", "Version", "Weights", "Size", "Licence")


class SetupSection(Section):
    lane = "setup"

    def __init__(self, ui: Any, panel: Any) -> None:
        super().__init__(ui, panel)
        self._asked = False
        self._plan = missing(facts_here())
        self._verdict = ""  # of the fresh interpreter
        self._installing = False
        self._weights: dict[str, str] = {}  # model -> what was found when its weights were checked
        _headed(ui.modelsTable, [_(column) for column in COLUMNS])
        _headed(ui.doctorTable, [_("What"), _("Found")])
        ui.modelsTable.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        self.on(ui.importModelButton, "clicked()", self._choose_import)
        self.on(ui.verifyModelButton, "clicked()", self._verify)
        self.on(ui.removeModelButton, "clicked()", self._remove)
        self.on(ui.modelsFolderButton, "clicked()", self._open_folder)
        self.on(ui.installButton, "clicked()", self._install)
        self.on(ui.doctorButton, "clicked()", self.ask_doctor)

    def enter(self) -> None:
        if not self._asked and self._plan.complete:  # the panel is seen for the first time: which devices are there?
            self._asked = True
            self.ask_doctor()

    def draw(self) -> None:
        ui, state = self.ui, self.panel.controllers[self.lane].state
        _rows(ui.modelsTable, [_model_row(name, folder, self._weights) for name, folder in installed().items()])
        _rows(ui.doctorTable, _doctor_rows(self.panel.doctor or {}))
        for button in (
            ui.importModelButton,
            ui.verifyModelButton,
            ui.removeModelButton,
            ui.installButton,
            ui.doctorButton,
        ):
            button.enabled = state.can_start and not self._installing
        told = [self._verdict or self._plan.sentence]
        if state.status is not Status.IDLE and state.message != told[0]:
            told.append(state.message)
        ui.packagesLabel.text = "\n".join(told)

    def ask_doctor(self) -> None:
        """A fresh interpreter imports every package and tells what it found."""

        def told(found: Mapping[str, Any]) -> None:
            self.panel.doctor = found
            self._weights.update(found.get("models", {}))

        task = verification(told)

        def finish(folder: Path) -> str:
            self._verdict = ""
            self._verdict = task.finish(folder)
            return self._verdict

        self._start(replace(task, finish=finish))

    def import_model(self, path: str) -> None:
        self._models("import", path)

    def _choose_import(self) -> None:
        ask_file(_("Import a model"), "Models (*.zip);;All files (*)", self.panel.guarded(self.import_model))

    def _verify(self) -> None:
        self._models("verify", self._selected())

    def _remove(self) -> None:
        name = self._selected()
        if not name:
            raise UserError(_("No model is selected; click on a row of the table first."))
        if installed().get(name, BUNDLE).is_relative_to(BUNDLE):
            raise UserError(_("{0} ships with LiverSeg and stays; only imported models can be deleted.").format(name))
        question = _("Delete the model {0} from this computer?").format(name)
        if slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Delete a model")):
            self._models("remove", name)

    def _open_folder(self) -> None:
        folder = user_models_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise UserError(_("{0} cannot be made: {1}.").format(folder, problem.strerror)) from None
        self.panel.say(_("Imported models lie in {0}").format(folder))
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))

    def _install(self) -> None:
        self._plan = missing(facts_here())
        self._installing = True
        self.panel.changed()
        try:
            self.panel.say(install(self._plan, self._ask, self._told))
        finally:
            self._installing = False
            self._plan = missing(facts_here())
            self.panel.changed()
        self.ask_doctor()

    def _ask(self, question: str) -> bool:
        return bool(slicer.util.confirmYesNoDisplay(question, windowTitle=_("Install packages")))

    def _told(self, sentence: str) -> None:
        self.panel.say(sentence, now=True)

    def _models(self, action: str, name: str) -> None:
        words: list[str] = []

        def heard(event: Event) -> None:
            if event.name == "text":
                words.append(event.facts["text"])

        def finish(_folder: Path) -> str:
            if action == "verify":
                self._weights.update(dict.fromkeys([name] if name else installed(), "verified"))
            return "\n".join(words) or _("Done.")

        self._start(Task("models", lambda _folder: models_arguments(action, name), finish, heard=heard))

    def _start(self, task: Task) -> None:
        self.panel.controllers[self.lane].start(task)

    def _selected(self) -> str:
        """The model of the selected row; "" where none is selected."""
        table = self.ui.modelsTable
        rows = table.selectionModel().selectedRows()
        return table.item(rows[0].row(), 0).text() if rows else ""


def _model_row(name: str, folder: Path, weights: Mapping[str, str]) -> tuple[str, ...]:
    try:
        card = card_of(folder)
        size_mb = (folder / WEIGHTS).stat().st_size / 1e6
    except (LiverSegError, OSError) as problem:
        return (name, "", _("unusable"), "", str(problem))
    told = weights.get(name, "")
    state = _("not checked") if not told else _("verified") if told.endswith("verified") else told
    return (name, card.version, state, f"{size_mb:.0f} MB", card.licence)


def _doctor_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The doctor's facts, inner ones on rows of their own."""
    rows = []
    for key, value in facts.items():
        inner = value.items() if isinstance(value, Mapping) else [("", value)]
        for name, told in inner:
            if isinstance(told, list):
                told = ", ".join(str(t.get("name", t)) if isinstance(t, Mapping) else str(t) for t in told)  # noqa: PLW2901
            what = key.removesuffix("_gb").replace("_", " ")
            unit = " GB" if key.endswith("_gb") else ""
            if told is None or told == "":
                continue
            rows.append((" ".join(part for part in (what, str(name)) if part), f"{told}{unit}"))
    return rows


def _headed(table: Any, columns: Sequence[str]) -> None:
    table.setColumnCount(len(columns))
    table.setHorizontalHeaderLabels(list(columns))
    table.horizontalHeader().setStretchLastSection(True)


def _rows(table: Any, rows: Sequence[Sequence[str]]) -> None:
    """Text cells; a table that shows them already is left alone, with its selection."""
    shown = [
        tuple(table.item(row, column).text() for column in range(table.columnCount)) for row in range(table.rowCount)
    ]
    if shown == [tuple(row) for row in rows]:
        return
    table.setRowCount(len(rows))
    for n, row in enumerate(rows):
        for column, text in enumerate(row):
            cell = qt.QTableWidgetItem(text)
            cell.setToolTip(text)
            table.setItem(n, column, cell)
    table.resizeColumnsToContents()
