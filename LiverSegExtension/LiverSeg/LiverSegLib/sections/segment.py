"""The section Segment liver: which model, how well, where; one button; what happens meanwhile."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..choices import (
    QUALITY_TEXTS,
    ModelChoice,
    Past,
    device_choices,
    model_choices,
    seconds_expected,
    spelled,
    unfit,
)
from ..commands import segment_arguments
from ..controller import Task, UserError
from ..scene import checked, show_result, write_volume
from ..state import State, Status
from . import WRONG, Section, chosen, fill

RESULT, REPORT = "out/segmentation.seg.nrrd", "out/report.json"
_TWO_CLICKS_S = 0.6  # a second click so soon after the first is a double-click, not a wish to cancel
_DRAWN = (
    Status.PREPARING,
    Status.FINISHING,
)  # the panel cannot answer meanwhile: its words must be on the screen before


class SegmentSection(Section):
    lane = "segment"

    def __init__(self, ui: Any, panel: Any) -> None:
        super().__init__(ui, panel)
        self._models: list[ModelChoice] = []
        self._past: list[Past] = []
        self._volume_id = ""
        self._began_s = 0.0
        self._last = Status.IDLE
        self.on(ui.modelCombo, "currentIndexChanged(int)", lambda: self._set("model", ui.modelCombo))
        self.on(ui.qualityCombo, "currentIndexChanged(int)", lambda: self._set("quality", ui.qualityCombo))
        self.on(ui.deviceCombo, "currentIndexChanged(int)", lambda: self._set("device", ui.deviceCombo))
        self.on(ui.segmentButton, "clicked()", self._pressed)
        self.on(ui.copyLogButton, "clicked()", self._copy)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.NodeRemovedEvent, self.panel.guarded(self._node_removed))

    @property
    def controller(self) -> Any:
        return self.panel.controllers[self.lane]

    def draw(self) -> None:
        state = self.controller.state
        if self.panel.parameters is not None and not state.busy:
            self._draw_models()
            self._draw_devices()
        self._draw_run(state)

    def model(self) -> ModelChoice | None:
        """The model that is chosen now."""
        name = chosen(self.ui.modelCombo)
        return next((model for model in self._models if model.name == name), None)

    def task(self) -> Task:
        """What the button starts; UserError says what is missing."""
        volume, model, phase = self.panel.volume(), self.model(), chosen(self.ui.phaseCombo)
        if volume is None:
            raise UserError(_("No volume is chosen; load a scan, or choose one under Scan."))
        checked(volume)
        if model is None:
            raise UserError(_("No installed model is made for this phase; tick 'Show all models', or import one."))
        settings = {"phase": phase, "model": str(model.folder), "device": chosen(self.ui.deviceCombo)}
        quality, voxels = chosen(self.ui.qualityCombo), volume.GetImageData().GetNumberOfPoints()
        self._volume_id = volume.GetID()

        def prepare(folder: Path) -> list[str]:
            scan = folder / "scan.nrrd"
            write_volume(volume, scan)
            return segment_arguments(scan, folder / "out", **settings, quality=quality, allow_unfit=not model.fit)

        def finish(folder: Path) -> str:
            report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
            node = show_result(volume, folder / RESULT, report)
            self._past.append(Past(_key(report["device"]), quality, voxels, time.monotonic() - self._began_s))
            if self.panel.parameters is not None:
                self.panel.parameters.segmentation = node
            return _closing(report)

        return Task("segment", prepare, finish, (RESULT, REPORT))

    def _pressed(self) -> None:
        state = self.controller.state
        if state.busy:
            if time.monotonic() - self._began_s > _TWO_CLICKS_S:
                self.controller.cancel()
            return
        task = self.task()
        self._began_s = time.monotonic()
        self.controller.start(task)

    def _set(self, field: str, combo: Any) -> None:
        if self.panel.parameters is not None:
            setattr(self.panel.parameters, field, chosen(combo))

    def _draw_models(self) -> None:
        ui, parameters, phase = self.ui, self.panel.parameters, chosen(self.ui.phaseCombo) or "auto"
        every = model_choices(phase, more=True)
        self._models = [
            model
            for model in every
            if (model.fit or parameters.all_models) and (not model.research or parameters.more_models)
        ]
        fill(ui.modelCombo, [(model.name, model.text) for model in self._models], parameters.model)
        for widget in (ui.moreModelsCheck, ui.moreModelsTitle):
            widget.visible = parameters.more_models or any(model.research for model in every)
        model = self.model()
        ui.modelFactsLabel.text = _facts(model) if model is not None else ""
        warning = unfit(model, phase)
        if model is None:
            warning = _("No installed model is made for this phase.")
        ui.unfitLabel.text = warning
        ui.unfitLabel.visible = bool(warning)
        ui.showAllModelsCheck.visible = parameters.all_models or any(not model.fit for model in every)
        fill(ui.qualityCombo, [(key, _(text)) for key, text in QUALITY_TEXTS.items()], parameters.quality)

    def _draw_devices(self) -> None:
        quality = chosen(self.ui.qualityCombo) or "standard"
        rows = device_choices(self.panel.doctor, self._voxels(), self._past, quality)
        fill(self.ui.deviceCombo, [(row.key, row.text) for row in rows], self.panel.parameters.device)

    def _draw_run(self, state: State) -> None:
        ui = self.ui
        ui.segmentButton.text = _button_text(state)
        ui.segmentButton.enabled = state.can_start or state.can_cancel
        ui.progressBar.visible = state.busy
        unknown = state.percent is None
        ui.progressBar.maximum = 0 if unknown and state.busy else 100
        ui.progressBar.value = 0 if unknown else round(state.percent)
        ui.stageLabel.text = self._stage(state)
        ui.stageLabel.visible = bool(ui.stageLabel.text)
        ui.stageLabel.styleSheet = WRONG if state.status is Status.FAILED else ""
        text = "\n".join(state.log)
        if ui.logText.plainText != text:
            ui.logText.plainText = text
            bar = ui.logText.verticalScrollBar()
            bar.value = bar.maximum
        if state.status in _DRAWN:
            for widget in (ui.stageLabel, ui.segmentButton, ui.progressBar):
                widget.repaint()
        last, self._last = self._last, state.status
        if state.status is Status.FAILED and last is not Status.FAILED:
            self._failed(state, ran=last is Status.RUNNING)

    def _stage(self, state: State) -> str:
        if state.status is Status.IDLE:
            return self._expectation()
        left = _(", {0} left").format(spelled(state.eta_s)) if state.eta_s is not None and state.busy else ""
        warnings = [_("Warning: {0}").format(text) for _code, text in state.warnings]
        message = state.message[:1].upper() + state.message[1:]
        return "\n".join([f"{message}{left}", *warnings])

    def _expectation(self) -> str:
        voxels = self._voxels()
        if not voxels:
            return ""
        device, quality = chosen(self.ui.deviceCombo), chosen(self.ui.qualityCombo) or "standard"
        found = ((self.panel.doctor or {}).get("torch") or {}).get("devices") or ()
        if device in ("", "auto"):
            device = next((row["key"] for row in found if row["key"] != "cpu"), "cpu")
        if device != "cpu" and all(run.device != device for run in self._past):
            return ""  # how fast an unknown graphics card is, nobody measured
        return _("Expected: {0}.").format(
            spelled(seconds_expected(voxels, device, quality, self.panel.doctor, self._past))
        )

    def _voxels(self) -> int:
        volume = self.panel.volume()
        image = volume.GetImageData() if volume is not None else None
        return image.GetNumberOfPoints() if image is not None else 0

    def _failed(self, state: State, *, ran: bool) -> None:
        """A dialog only where a graphics card was asked for by name and something went wrong on it."""
        if self.ui.hardenLabel.text:  # a scan that could not be handed on: the way out stands there
            self.ui.scanSection.collapsed = False
        device = chosen(self.ui.deviceCombo)
        if ran and device not in ("", "auto", "cpu"):
            sentence = _("{0}\n\nThe device was {1}; choose another one, such as CPU.").format(state.message, device)
            qt.QTimer.singleShot(0, lambda: slicer.util.errorDisplay(sentence))

    def _node_removed(self, _caller: Any, _event: Any) -> None:
        if self.controller.state.busy and slicer.mrmlScene.GetNodeByID(self._volume_id) is None:
            self.controller.drop(_("The volume was deleted: the run was given up."))

    def _copy(self) -> None:
        """Of every lane: their sentences, too, ask for the log."""
        others = (one for one in self.panel.controllers.values() if one is not self.controller and one.state.log)
        reports = [one.report() for one in (self.controller, *others)]
        self.panel.copy("\n".join([*reports, *self.panel.log]))
        self.panel.say(_("The report is on the clipboard."))


def _button_text(state: State) -> str:
    if state.status is Status.CANCELLING:
        return _("Cancelling ...")
    return _("Cancel") if state.busy else _("Segment liver")


def _key(device: str) -> str:
    """As --device names it: "cuda" of a report is the first graphics card."""
    return "cuda:0" if device == "cuda" else device


def _facts(model: ModelChoice) -> str:
    licence = model.licence or _("not stated")
    return _("{0}.\nLicence: {1}. Size: {2:.0f} MB.").format(model.measured, licence, model.size_mb)


def _closing(report: Any) -> str:
    """ "Liver 1502 ml. CPU, 8 s." """
    rows = [m for m in report["measurements"] if m["quantity"] == "volume" and m["value"] is not None]
    liver = next((m for m in rows if m["structure"] == "liver"), None)
    found = _("Liver {0:.0f} ml.").format(liver["value"]) if liver and liver["value"] > 0 else _("No liver was found.")
    return _("{0} {1}, {2:.0f} s.").format(found, str(report["device"]).upper(), report["seconds"]["total"])
