"""Volumetry: whole liver, lesions, spleen and future liver remnant. The worker measures, a second after the last edit."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import qt
from liverseg_core.labels import LABELS
from slicer.i18n import tr as _

from ..commands import measure_arguments
from ..controller import Task, UserError
from ..scene.export import write_segments
from ..scene.provenance import read_provenance
from ..state import Status
from ..tables import MEASURED, Table, bars, measurements_table, parts_table
from . import chosen, fill
from .plot import show_bars
from .remnant import Remnant
from .results import Results, WorkingSection

REPORT = "out/report.json"
WAIT_MS = 1000  # after the last edit
_SEXES = {"": "not given", "female": "female", "male": "male"}


class VolumetrySection(WorkingSection):
    """Measures by itself while the module is open and the section unfolded; the numbers are grey until they are true."""

    lane = "volumetry"

    def __init__(self, ui: Any, panel: Any) -> None:
        super().__init__(ui, panel)
        self._node: Any = None
        self._edits = self._measured = 0  # the numbers are those of edit `_measured`
        self._entered = False
        self._next: Task | None = None
        self.results = Results(self, "LiverSeg.volumetry", ui.volumetryTable, MEASURED)
        self.remnant = Remnant(self, self.edited)
        self._timer = qt.QTimer()
        self._timer.singleShot = True
        self.on(self._timer, "timeout()", self._due)
        self.on(ui.updateButton, "clicked()", self._pressed)
        self.on(ui.heightSpin, "valueChanged(double)", self.edited)
        self.on(ui.weightSpin, "valueChanged(double)", self.edited)
        self.on(ui.sexCombo, "currentIndexChanged(int)", self._set_sex)
        self.on(ui.volumetrySection, "contentsCollapsed(bool)", self._wait)
        self.on(ui.volumetryPlotButton, "clicked()", self._plot)
        self.on(ui.copyVolumetryButton, "clicked()", self.results.copy)
        self.on(ui.saveVolumetryButton, "clicked()", lambda: self.results.save("measurements.csv"))

    def draw(self) -> None:
        node, parameters = self.panel.segmentation(), self.panel.parameters
        if node is not self._node:
            self._node, self._next = node, None
            self.edited()
        self.remnant.draw(node)
        fill(self.ui.sexCombo, [(key, _(text)) for key, text in _SEXES.items()], parameters.sex if parameters else "")
        self.results.draw()
        state = self.news()
        if state is not None:
            self._goes_on(state.status)
            if state.status is Status.FAILED:
                self.tell(state)
            else:  # how it goes stands beside the button, and how it went in the table
                self.hush()
        self._draw_stale()

    def enter(self) -> None:
        self._entered = True
        self._wait()

    def exit(self) -> None:
        self._entered = False
        self._timer.stop()

    def scene_closing(self) -> None:
        self._timer.stop()
        self.remnant.forget()
        self._node = self._next = None
        self.results.forget()
        self.hush()

    def close(self) -> None:
        self._timer.stop()
        self.remnant.forget()
        super().close()

    def edited(self) -> None:
        """Something that the numbers depend on has changed."""
        self._edits += 1
        self._draw_stale()
        self._wait()

    @property
    def stale(self) -> bool:
        return self._measured != self._edits

    def _wait(self) -> None:
        """Measure a second after the last call, where anybody can see it."""
        if self._entered and self.stale and self._node is not None and not self.ui.volumetrySection.collapsed:
            self._timer.start(WAIT_MS)

    def _due(self) -> None:
        """The second half of a run, or a new run; while one goes on, its end will ask again."""
        task, self._next = self._next, None
        if task is not None:
            self.begin(task)
        elif self.panel.segmentation() is not None and not self.controller.state.busy:
            self._measure()

    def _pressed(self) -> None:
        self._timer.stop()
        self._next = None
        if self.controller.state.busy:
            self.controller.cancel()
        else:
            self._measure()

    def _measure(self) -> None:
        """The whole first; where parts of the liver were chosen to stay, those in a second run."""
        node = self.panel.segmentation()
        if node is None:
            raise UserError(_("Choose a segmentation under Segments first."))
        self.remnant.draw(node)
        codes, plane, edits = self.remnant.codes(), self.remnant.plane(), self._edits
        known, made = {LABELS[code].key for code in codes.values()}, read_provenance(node)
        parts, stay, names = self.remnant.parts()

        def prepare(folder: Path) -> list[str]:
            write_segments(node, codes, None, folder / "mask.nrrd")
            patient = self._patient_file(folder)
            return measure_arguments(folder / "mask.nrrd", folder / "out", patient=patient, plane=plane)

        def finish(folder: Path) -> str:
            table = measurements_table(folder / REPORT, known, made.model if made is not None else "")
            if not stay:
                return self._take(table, node.GetName(), edits)
            self._next = Task("measure", prepare_parts, partial(finish_parts, table), (REPORT,))
            return _("The whole liver is measured.")

        def prepare_parts(folder: Path) -> list[str]:
            write_segments(node, parts, None, folder / "parts.nrrd")
            patient = self._patient_file(folder)
            return measure_arguments(folder / "parts.nrrd", folder / "out", patient=patient, remnant=stay)

        def finish_parts(whole: Table, folder: Path) -> str:
            return self._take(whole.joined(parts_table(folder / REPORT, names)), node.GetName(), edits)

        self.begin(Task("measure", prepare, finish, (REPORT,)))

    def _take(self, table: Table, name: str, edits: int) -> str:
        self.results.show(table, _("Volumes of {0}").format(name))
        self._measured = edits
        liver = next((line for line in table.lines if (line.structure, line.quantity) == ("liver", "volume")), None)
        return (
            _("Liver {0} ml.").format(liver.shown) if liver is not None and liver.value > 0 else _("No liver is drawn.")
        )

    def _goes_on(self, status: Status) -> None:
        """What waits for the end of a run: its second half, or the edits that were made meanwhile."""
        if status is Status.DONE and self._next is not None:
            self._timer.start(0)
        elif status in (Status.FAILED, Status.CANCELLED):
            self._next = None
        elif status is Status.DONE:
            self._wait()

    def _patient_file(self, folder: Path) -> Path | None:
        """What is known of the body; None where nothing is."""
        parameters = self.panel.parameters
        body = {"height_cm": parameters.height_cm, "weight_kg": parameters.weight_kg, "sex": parameters.sex}
        known = {key: value for key, value in body.items() if value}
        if not known:
            return None
        path = folder / "patient.json"
        path.write_text(json.dumps(known), encoding="utf-8")
        return path

    def _set_sex(self) -> None:
        if self.panel.parameters is not None:
            self.panel.parameters.sex = chosen(self.ui.sexCombo)
            self.edited()

    def _draw_stale(self) -> None:
        state = self.controller.state
        has_table = bool(self.results.table.lines)
        self.results.grey(self.stale and has_table)
        busy = state.busy or self._next is not None
        words = _("Measuring ...") if busy else _("Out of date: measured before the last change.") if has_table else ""
        self.ui.staleLabel.text = words if self.stale or busy else ""
        self.ui.updateButton.text = _("Cancel") if busy else _("Update")
        if state.status in (Status.PREPARING, Status.FINISHING):
            self.ui.staleLabel.repaint()  # the panel cannot answer meanwhile

    def _plot(self) -> None:
        rows = bars(self.results.table)
        if not rows:
            raise UserError(_("There are no volumes yet; measure first."))
        show_bars(self.panel.parameters.parameterNode, _("Volumes"), _("volume (ml)"), rows)
