"""Fat and iron: PDFF and R2* of the liver from the echoes of one acquisition. The worker fits; here they are chosen and shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import qt
import slicer
from liverseg_core.labels import LESION, LIVER
from slicer.i18n import tr as _

from ..choices import model_choices
from ..commands import fat_arguments
from ..controller import Task, UserError
from ..echoes import MAPS, METHODS, SEGMENTATION, Facts, MapRow, Plan, known_facts, planned, spread_bars
from ..scene.echoes import demand_magnitudes, place_of_echoes, write_echoes
from ..scene.export import write_segments
from ..scene.maps import MAP, add_map, load_below, show_map
from ..scene.result import show_result
from ..scene.terminology import codes_in
from ..state import State
from ..tables import FITTED, Table, fat_table
from . import chosen, fill
from .echotable import EchoTable
from .plot import show_bars
from .results import Results, WorkingSection

REPORT = "out/report.json"
MEASURED, DRAWN, WATER = "out/measured.nii.gz", "out/segmentation.seg.nrrd", "out/water.nii.gz"
_PHASE = "mr_multiecho"
_WHERE = {"measured": "{0} where measured", "all": "{0} everywhere"}
_SPREAD = "LiverSeg.histogram"  # attribute of a map: its bins and counts


class FatSection(WorkingSection):
    """The maps of the last run are held by the parameter node, so that they come back with a saved scene."""

    lane = "fat"

    def __init__(self, ui: Any, panel: Any) -> None:
        super().__init__(ui, panel)
        self.results = Results(self, "LiverSeg.fat", ui.fatTable, FITTED)
        self.echoes = EchoTable(self)
        self._timer = qt.QTimer()
        self._timer.singleShot = True
        self.on(self._timer, "timeout()", self.draw)
        self.on(ui.fatButton, "clicked()", self._pressed)
        self.on(ui.fatLiverCombo, "currentIndexChanged(int)", lambda: self._set("fat_liver", ui.fatLiverCombo))
        self.on(ui.fatMethodCombo, "currentIndexChanged(int)", lambda: self._set("fat_method", ui.fatMethodCombo))
        self.on(ui.fatMapCombo, "currentIndexChanged(int)", self._show_chosen)
        self.on(ui.echoFolder, "currentPathChanged(QString)", self.panel.changed)
        self.on(ui.fatPlotButton, "clicked()", self._plot)
        self.on(ui.copyFatButton, "clicked()", self.results.copy)
        self.on(ui.saveFatButton, "clicked()", lambda: self.results.save("fat.csv"))
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            self.addObserver(scene, event, self._scene_changed)

    def draw(self) -> None:
        ui, parameters = self.ui, self.panel.parameters
        if not ui.fatSection.collapsed:
            self.echoes.draw()
            self._draw_known()
        if parameters is not None:
            livers = [(SEGMENTATION, _("The segmentation under Segments"))]
            livers += [(one.name, _("Model {0}").format(one.text)) for one in model_choices(_PHASE)]
            fill(ui.fatLiverCombo, livers, parameters.fat_liver)
            fill(ui.fatMethodCombo, [(key, _(text)) for key, text in METHODS.items()], parameters.fat_method)
        ui.echoTable.enabled = not self._folder()
        self._draw_maps()
        self.results.draw()
        ui.fatProgress.visible = self.controller.state.busy
        state = self.news()
        if state is not None:
            self._draw_run(state)

    def scene_closing(self) -> None:
        self._timer.stop()
        self.echoes.forget()
        self.results.forget()
        self.hush()

    def close(self) -> None:
        self._timer.stop()
        self.echoes.forget()
        super().close()

    def task(self) -> Task:
        """What the button starts; UserError says what is missing."""
        folder, rows = self._folder(), self.echoes.rows()
        plan = Plan(()) if folder else planned(rows)
        asked = self._asked(Facts() if folder else known_facts(rows))
        if not folder and not asked["field_t"]:
            raise UserError(_("Nothing says the field strength; type it in tesla, such as 1.5 or 3."))
        liver = chosen(self.ui.fatLiverCombo)
        node = self._liver() if liver == SEGMENTATION else None
        scene = slicer.mrmlScene
        place = None if folder else place_of_echoes(scene, plan.magnitude)
        settings = {**asked, "method": chosen(self.ui.fatMethodCombo), "device": chosen(self.ui.deviceCombo) or "auto"}

        def prepare(room: Path) -> list[str]:
            demand_magnitudes(scene, plan.magnitude)
            files = [Path(folder)] if folder else write_echoes(scene, plan.magnitude, room, "echo")
            phase = [] if folder else write_echoes(scene, plan.phase, room, "phase")
            mask = None
            if node is not None:
                mask = room / "liver.nrrd"
                write_segments(node, _of_liver(node), place, mask)
            return fat_arguments(files, room / "out", phase=phase, mask=mask, model=liver, te_ms=plan.te_ms, **settings)

        def finish(room: Path) -> str:
            return self._take(room, place, Path(folder).name if folder else "")

        return Task("fat", prepare, finish, (REPORT,))

    def _pressed(self) -> None:
        if self.controller.state.busy:
            self.controller.cancel()
        else:
            self.echoes.draw()
            self.begin(self.task())

    def _asked(self, known: Facts) -> dict[str, Any]:
        """What the worker is told of the protocol: typed, or known of volumes, whose files do not say it any more."""
        parameters = self.panel.parameters
        names = ("field_t", "tr_ms", "flip_deg")
        return {name: getattr(parameters, name) or getattr(known, name) for name in names}

    def _liver(self) -> Any:
        node = self.panel.segmentation()
        if node is None:
            raise UserError(_("Choose a segmentation under Segments first, or let a model draw the liver."))
        if LIVER not in _of_liver(node).values():
            text = _("{0} has no liver; choose another segmentation, or let a model draw it.")
            raise UserError(text.format(node.GetName()))
        return node

    def _take(self, room: Path, place: Any, folder: str) -> str:
        """The worker's files into the scene, and the sentence of the end."""
        report = json.loads((room / REPORT).read_text(encoding="utf-8"))
        table = fat_table(room / REPORT)
        if (room / MEASURED).is_file():
            place = place or load_below(room / WATER, _("{0}: water").format(folder or _("echoes")))
            self._take_maps(room, place, report, table)
            if (room / DRAWN).is_file():
                self.panel.parameters.segmentation = show_result(place, room / DRAWN, report)
        name = place.GetName() if place is not None else folder
        self.results.show(table, _("Fat and iron of {0}").format(name))
        return _closing(table)

    def _take_maps(self, room: Path, place: Any, report: Mapping[str, Any], table: Table) -> None:
        owner = self.panel.parameters.parameterNode
        spreads = report.get("fat", {}).get("histograms", {})
        for row, where, _text in _shapes():  # what an earlier run left belongs to other echoes
            owner.RemoveNodeReferenceIDs(_role(row, where))
        made = [row for row in MAPS if (room / "out" / f"{row.key}.nii.gz").is_file()]
        for row in made:
            top = row.top(table.value("liver", f"{row.key}_p95"))
            for where in _WHERE:
                measured = room / MEASURED if where == "measured" else None
                node = add_map(room / "out" / f"{row.key}.nii.gz", row, place, top, measured)
                node.SetAttribute(_SPREAD, json.dumps(spreads.get(row.key, {})))
                owner.SetNodeReferenceID(_role(row, where), node.GetID())
        owner.SetNodeReferenceID(f"{MAP}.below", place.GetID())
        self._show(made[0], "measured")

    def _draw_maps(self) -> None:
        rows = [("", _("none"))]
        rows += [
            (_role(row, where), _(text).format(row.name)) for row, where, text in _shapes() if self._map(row, where)
        ]
        fill(self.ui.fatMapCombo, rows, self._shown())
        self.ui.fatMapCombo.enabled = len(rows) > 1

    def _map(self, row: MapRow, where: str) -> Any:
        parameters = self.panel.parameters
        return parameters.parameterNode.GetNodeReference(_role(row, where)) if parameters is not None else None

    def _shown(self) -> str:
        """The role of the map that lies over the slices."""
        parameters = self.panel.parameters
        return parameters.fat_map if parameters is not None else ""

    def shown_map(self) -> Any:
        """Its node; None where none is shown."""
        parameters = self.panel.parameters
        return (
            parameters.parameterNode.GetNodeReference(parameters.fat_map or "none") if parameters is not None else None
        )

    def _show_chosen(self) -> None:
        wanted = chosen(self.ui.fatMapCombo)
        row, where = next(((row, where) for row, where, _t in _shapes() if _role(row, where) == wanted), (None, ""))
        self._show(row, where)

    def _show(self, row: MapRow | None, where: str) -> None:
        owner = self.panel.parameters.parameterNode
        node = self._map(row, where) if row is not None else None
        show_map(slicer.mrmlScene, node, owner.GetNodeReference(f"{MAP}.below") if node is not None else None)
        self.panel.parameters.fat_map = _role(row, where) if row is not None else ""

    def _plot(self) -> None:
        """Of the map that is shown, or of the fat fraction."""
        made = [row for row in MAPS if self._map(row, "measured") is not None] or list(MAPS)
        row = next((row for row in made if self._shown().startswith(f"{MAP}.{row.key}.")), made[0])
        node = self._map(row, "measured")
        bars = spread_bars(json.loads(node.GetAttribute(_SPREAD) or "{}")) if node is not None else []
        if not bars:
            raise UserError(_("There is no map yet; measure first."))
        show_bars(node, row.name, _("voxels"), bars)

    def _draw_known(self) -> None:
        """What the scan tells stands in a box that nobody filled."""
        known = Facts() if self._folder() else known_facts(self.echoes.rows())
        for spin, value in (
            (self.ui.fieldSpin, known.field_t),
            (self.ui.trSpin, known.tr_ms),
            (self.ui.flipSpin, known.flip_deg),
        ):
            text = _("{0:g}{1}, from the scan").format(value, spin.suffix) if value else _("not given")
            if self._folder():
                text = _("as the files say")
            if spin.specialValueText != text:
                spin.specialValueText = text

    def _draw_run(self, state: State) -> None:
        bar = self.ui.fatProgress
        bar.maximum = 0 if state.busy and state.percent is None else 100
        bar.value = round(state.percent or 0)
        self.ui.fatButton.text = _("Cancel") if state.busy else _("Measure fat and iron")
        self.tell(state)

    def _scene_changed(self, _caller: Any, _event: str) -> None:
        """Many nodes come at once: the table is drawn when they are there."""
        if not self.ui.fatSection.collapsed:
            self._timer.start(0)

    def _folder(self) -> str:
        return str(self.ui.echoFolder.currentPath or "")

    def _set(self, field: str, combo: Any) -> None:
        if self.panel.parameters is not None:
            setattr(self.panel.parameters, field, chosen(combo))


def _shapes() -> list[tuple[MapRow, str, str]]:
    return [(row, where, text) for row in MAPS for where, text in _WHERE.items()]


def _role(row: MapRow, where: str) -> str:
    """Of the parameter node's reference to a map."""
    return f"{MAP}.{row.key}.{where}"


def _of_liver(segmentation: Any) -> dict[str, int]:
    return {id_: code for id_, code in codes_in(segmentation).items() if code in (LIVER, LESION)}


def _closing(table: Table) -> str:
    """ "Liver: PDFF 12.0 %, R2* 59.9 1/s (medians)." """
    lines = [line for line in table.lines if line.structure == "liver" and line.quantity.endswith("_median")]
    if not any(line.shown for line in lines):
        return _("Nothing could be measured: {0}.").format(lines[0].reason if lines else _("no liver"))
    told = [
        _("{0} {1} {2}").format(line.cells[1].removesuffix(" median"), line.shown or "?", line.unit) for line in lines
    ]
    return _("Liver: {0} (medians).").format(", ".join(told))
