"""The section Scan: load, choose a volume, see what it seems to be, correct it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..choices import Detected, detected, phase_choices
from ..controller import UserError
from ..scene import checked, hardened_copy, tags_of, world_matrix
from . import Section, chosen, fill
from .dialogs import ask_file, ask_folder
from .loading import PATTERNS, Series, is_dicom, load_file, load_series, series_in

PHASE = "LiverSeg.phase"  # attribute of a volume: the phase somebody chose for it


class ScanSection(Section):
    def __init__(self, ui: Any, panel: Any) -> None:
        super().__init__(ui, panel)
        self._series: list[Series] = []
        self._seen: tuple[str, int] | None = None
        self._detected = Detected("", "")
        fill(ui.phaseCombo, [(key, _(text)) for key, text in phase_choices()])
        self.on(ui.loadScanButton, "clicked()", lambda: ask_file(_("Load a scan"), PATTERNS, self._slot(self.load)))
        self.on(ui.loadFolderButton, "clicked()", lambda: ask_folder(_("Load DICOM"), self._slot(self.load)))
        self.on(ui.loadSeriesButton, "clicked()", self._load_series)
        self.on(ui.phaseCombo, "currentIndexChanged(int)", self._phase_chosen)
        self.on(ui.hardenButton, "clicked()", self._harden)

    def draw(self) -> None:
        ui, volume = self.ui, self.panel.volume()
        for widget in (ui.seriesCombo, ui.loadSeriesButton):
            widget.visible = len(self._series) > 1
        image = volume.GetImageData() if volume is not None else None
        seen = (volume.GetID(), image.GetMTime() if image is not None else 0) if volume is not None else None
        if seen != self._seen:
            self._seen = seen
            self._detected = _detected(volume) if volume is not None else Detected("", "")
        ui.detectedLabel.text = self._detected.sentence if volume is not None else _("No volume chosen.")
        ui.phaseCombo.enabled = volume is not None
        wanted = (volume.GetAttribute(PHASE) if volume is not None else "") or self._detected.phase
        fill(ui.phaseCombo, [(key, _(text)) for key, text in phase_choices()], wanted or "auto")
        crooked = _crooked(volume) if volume is not None else ""
        ui.hardenLabel.text = crooked
        for widget in (ui.hardenLabel, ui.hardenButton):
            widget.visible = bool(crooked)

    def enter(self) -> None:
        """Where there is only one scan, it is the one that is meant."""
        scans = [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if _is_scan(node)]
        if self.panel.volume() is None and self.panel.parameters is not None and len(scans) == 1:
            self.panel.parameters.volume = scans[0]

    def scene_closing(self) -> None:
        self._seen = None

    def load(self, path: str) -> None:
        """A file, or a DICOM folder (or a file of one) of which one series is loaded, or several are offered."""
        place = Path(path)
        if not place.is_dir() and not is_dicom(place):
            self.panel.say(_("Loading {0} ...").format(place.name), now=True)
            self._chosen(load_file(place))
            return
        folder = place if place.is_dir() else place.parent
        self.panel.say(_("Reading the DICOM folder {0} ...").format(folder), now=True)
        self._series = series_in(folder)
        fill(self.ui.seriesCombo, [(series.uid, series.text) for series in self._series])
        if len(self._series) == 1:
            self._load_series()
        else:
            self.panel.say(_("{0} series found: choose one, then press Load.").format(len(self._series)))
            self.panel.changed()

    def _load_series(self) -> None:
        uid = chosen(self.ui.seriesCombo)
        if not uid:
            raise UserError(_("No DICOM folder was read yet; press DICOM folder first."))
        self._chosen(load_series(uid))

    def _chosen(self, volume: Any) -> None:
        self.panel.say("")
        self.panel.parameters.volume = volume

    def _harden(self) -> None:
        volume = self.panel.volume()
        checked(volume)
        self._chosen(hardened_copy(volume))

    def _phase_chosen(self) -> None:
        volume = self.panel.volume()
        if volume is not None:
            volume.SetAttribute(PHASE, chosen(self.ui.phaseCombo))
            self.panel.changed()

    def _slot(self, handler: Any) -> Any:
        return self.panel.guarded(handler)


def _detected(volume: Any) -> Detected:
    try:
        checked(volume)
    except UserError as problem:
        return Detected("", str(problem))
    tags = tags_of(volume)
    return detected(tags, None if tags.get("Modality") else slicer.util.arrayFromVolume(volume))


def _is_scan(volume: Any) -> bool:
    try:
        checked(volume)
    except UserError:
        return False
    return not volume.GetHideFromEditors()


def _crooked(volume: Any) -> str:
    """Why its voxels cannot be handed on where they lie; "" where they can."""
    try:
        world_matrix(volume)
    except UserError as problem:
        return str(problem)
    return ""
