"""The panel: holds the sections, the parameters and one controller a lane; decides nothing."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .controller import Controller, State, UserError
from .job import WorkerJob
from .parameters import Parameters, bound, release
from .sections import WRONG, Section

UI = Path(__file__).parents[1] / "Resources" / "UI" / "LiverSeg.ui"
LANES = ("segment", "compare", "volumetry", "fat", "cases", "setup")
OF_THE_SCENE = ("segment", "compare", "volumetry", "fat")  # what the other lanes do outlives a scene
SECTIONS = ("scan", "segment", "segments", "compare", "volumetry", "fat", "cases", "setup")


class Panel(VTKObservationMixin):
    """`volume()` and `segmentation()` are what is chosen now, or None."""

    def __init__(self, parent: Any) -> None:
        super().__init__()
        self.parent = parent
        self.ui: Any = None
        self.page: Any = None
        self.parameters: Parameters | None = None
        self.sections: dict[str, Section] = {}
        self.new_job: Callable[[], Any] = WorkerJob
        self.controllers = {lane: self._controller(lane) for lane in LANES}
        self.doctor: Mapping[str, Any] | None = None  # what `liverseg doctor` found, once it was asked
        self.log: list[str] = []  # tracebacks of what went wrong inside LiverSeg
        self._drawing = self._again = False

    def build(self) -> None:
        """The widgets, the sections and the observers; `close` undoes it, also when it ended half-way."""
        self.page = slicer.util.loadUI(str(UI))
        self.parent.layout().addWidget(self.page)
        self.ui = slicer.util.childWidgetVariables(self.page)
        self.page.setMRMLScene(slicer.mrmlScene)
        for name in SECTIONS:
            room = import_module(f"{__package__}.sections.{name}")
            section = self.sections[name] = getattr(room, f"{name.capitalize()}Section")(self.ui, self)
            frame = getattr(self.ui, f"{name}Section")
            section.on(frame, "contentsCollapsed(bool)", self.changed)  # unfolding shows what was hidden meanwhile
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._scene_closes)
        self.addObserver(scene, scene.EndCloseEvent, self._scene_closed)
        self.addObserver(scene, scene.StartImportEvent, self._scene_is_read)
        self.addObserver(scene, scene.EndImportEvent, self._scene_was_read)
        self.say("")
        self._take_parameters()

    def close(self) -> None:
        for controller in self.controllers.values():
            controller.drop(_("The module was closed: the run was given up."))
        self.removeObservers()
        for section in self.sections.values():
            self.guarded(section.close)()
        self.sections = {}
        self._leave_parameters()
        if self.page is not None:
            self.page.setMRMLScene(None)
            self.page.hide()
            self.page.deleteLater()
            self.page = None

    def enter(self) -> None:
        self._take_parameters()
        for section in self.sections.values():
            self.guarded(section.enter)()
        self.changed()

    def exit(self) -> None:
        for section in self.sections.values():
            self.guarded(section.exit)()

    def volume(self) -> Any:
        return self.parameters.volume if self.parameters else None

    def segmentation(self) -> Any:
        return self.parameters.segmentation if self.parameters else None

    def listens_to(self, section: Section) -> None:
        """What is said next stands above this section."""
        name = next((name for name, known in self.sections.items() if known is section), "")
        if name:
            layout = self.page.layout()
            layout.removeWidget(self.ui.messageLabel)
            layout.insertWidget(layout.indexOf(getattr(self.ui, f"{name}Section")), self.ui.messageLabel)

    def say(self, sentence: str, *, bad: bool = False, now: bool = False) -> None:
        """One sentence for the user; an empty one clears it. `now`: drawn before the panel is too busy to draw."""
        label = self.ui.messageLabel
        label.text = sentence
        label.styleSheet = WRONG if bad else ""
        label.visible = bool(sentence)
        if now:
            label.repaint()

    def copy(self, text: str) -> None:
        clipboard = slicer.app.clipboard() if hasattr(slicer.app, "clipboard") else qt.QApplication.clipboard()
        clipboard.setText(text)

    def changed(self) -> None:
        """Every section draws anew; a change made while they draw is drawn once more afterwards."""
        if self._drawing:
            self._again = True
            return
        self._drawing = True
        try:
            for _turn in range(2):
                self._again = False
                for section in self.sections.values():
                    self.guarded(section.draw)()
                if not self._again:
                    break
        finally:
            self._drawing = False

    def guarded(self, handler: Callable[..., Any]) -> Callable[..., None]:
        """`handler` as a slot that never raises: it gets as many arguments as it must have, its error is a sentence."""
        needed = [p for p in inspect.signature(handler).parameters.values() if p.default is p.empty]

        def slot(*arguments: Any) -> None:
            if self.page is None:  # closed: a dialog or a timer came too late
                return
            try:
                handler(*arguments[: len(needed)])
            except UserError as problem:
                self.say(str(problem), bad=True)
            except Exception as problem:
                self.log.append(traceback.format_exc())
                logging.exception("LiverSeg")
                self.say(
                    _("LiverSeg itself failed: {0}. Press Copy report under Log, and report it.").format(problem),
                    bad=True,
                )

        return slot

    def _controller(self, lane: str) -> Controller:
        def draw(state: State) -> None:
            if not state.busy:
                self.changed()
            for section in self.sections.values():
                if state.busy and section.lane == lane:
                    self.guarded(section.draw)()

        return Controller(draw, lambda: self.new_job())  # noqa: PLW0108 - a test may put another job in its place

    def _take_parameters(self) -> None:
        """The parameter node of the scene, made where there is none yet."""
        logic = slicer.ScriptedLoadableModule.ScriptedLoadableModuleLogic()
        logic.moduleName = "LiverSeg"
        node = logic.getParameterNode()
        if self.parameters is None or self.parameters.parameterNode is not node:
            self._leave_parameters()
            self.parameters = bound(node, self.ui)
            self.addObserver(node, "ModifiedEvent", self._modified)
        self.changed()

    def _leave_parameters(self) -> None:
        if self.parameters is not None:
            self.removeObservers(self._modified)
            release(self.parameters)
            self.parameters = None

    def _modified(self, _caller: Any, _event: str) -> None:
        self.changed()

    def _scene_closes(self, _caller: Any, _event: str) -> None:
        for lane in OF_THE_SCENE:
            self.controllers[lane].drop(_("The scene was closed: the run was given up."))
        for section in self.sections.values():
            self.guarded(section.scene_closing)()
        self._leave_parameters()
        self.say("")

    def _scene_closed(self, _caller: Any, _event: str) -> None:
        if getattr(self.parent, "isEntered", True):  # an empty scene stays empty while another module is shown
            self._take_parameters()
        else:
            self.changed()

    def _scene_is_read(self, _caller: Any, _event: str) -> None:
        """The selectors do not know the nodes that come: they must not tell the parameters that nothing is chosen."""
        self._leave_parameters()

    def _scene_was_read(self, _caller: Any, _event: str) -> None:
        self._take_parameters()
