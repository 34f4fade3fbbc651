"""The Qt side: `qt`, `ctk`, slicer.app, the scripted-module layer, and opening modules as the application does.

start()                          once a process; `slicer.app` becomes the application stand-in
module = open_module(path)       what Slicer's factory does with LiverSeg.py
widget = module.widgetRepresentation(); widget.enter(); widget.self()
told                             message boxes that were asked for; `answers` are given to questions, first to last
"""

# ruff: noqa: N803 (the names are Slicer's)

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from PySide6 import QtCore, QtWidgets

from . import boot, neighbours, parameters, qtcalls, qtlayer, scripted, standins, uiloader

LAYER = "LIVERSEG_SLICER_LAYER"  # a folder whose slicer/ has Slicer's own Python files
PYTHONQT = (
    "qSlicerSegmentationsModuleWidgets", "qSlicerSubjectHierarchyModuleWidgets", "qSlicerSegmentationsEditorEffects",
    "qSlicerMarkupsModuleWidgets", "qMRMLWidgets", "qSlicerBaseQTCore", "qSlicerBaseQTGUI", "qSlicerBaseQTApp",
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """A message box: "info", "warning", "error", "question" or "box", and its text."""

    kind: str
    text: str


told: list[Told] = []
answers: list[Any] = []


@cache
def start() -> Any:
    """Returns slicer.app."""
    host = boot.boot()
    QtWidgets.QApplication.instance() or QtWidgets.QApplication([sys.argv[0]])
    settings = QtCore.QSettings
    settings.setDefaultFormat(settings.Format.IniFormat)
    settings.setPath(settings.Format.IniFormat, settings.Scope.UserScope, str(host.folder))
    QtCore.QCoreApplication.setOrganizationName("NA-MIC")
    QtCore.QCoreApplication.setApplicationName("Slicer")
    qt: Any = qtlayer.build()
    qt.QUiLoader = uiloader.QUiLoader
    sys.modules["qt"] = qt
    sys.modules["ctk"] = standins.Namespace("ctk", "ctk")
    for name in PYTHONQT:
        sys.modules[f"{name}PythonQt"] = standins.Namespace(f"{name}PythonQt", "slicer")
    slicer.__getattr__ = _late  # type: ignore[attr-defined]
    importlib.import_module(f"{__package__}.behaviours")
    slicer.app = standins.get("qSlicerApplication")()
    slicer.app._h_start(host)
    slicer.app.setLayoutManager(standins.get("qSlicerLayoutManager")())
    slicer.dicomDatabase = slicer.app._h_database = standins.get("ctkDICOMDatabase")()
    for name in boot.LOGICS:
        _register(name, getattr(slicer.modules, name.lower()))
    _lay_over()
    _no_blocking(qt)
    return slicer.app


def _late(name: str) -> Any:
    """slicer.qMRMLNodeComboBox and the like."""
    if not name.startswith("q"):
        raise AttributeError(f"module 'slicer' has no attribute {name!r}")
    kind = standins.get(name)
    setattr(slicer, name, kind)
    return kind


def _lay_over() -> None:
    """slicer.ScriptedLoadableModule, parameterNodeWrapper, i18n, packaging: Slicer's own where a layer is named, else ours."""
    ours = {**scripted.modules(), "parameterNodeWrapper": parameters.module()}
    layer = os.environ.get(LAYER, "")
    folder = Path(layer) / "slicer"
    if layer:
        slicer.__path__.insert(0, str(folder))
    for name, own in ours.items():
        theirs = layer and ((folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file())
        if not theirs:
            sys.modules[f"slicer.{name}"] = own
        setattr(slicer, name, importlib.import_module(f"slicer.{name}"))
    for name, module in neighbours.modules().items():
        sys.modules[name] = module
    slicer.packaging = sys.modules["slicer.packaging"]


def _no_blocking(qt: Any) -> None:
    """Message boxes are recorded and questions are agreed to, unless `answers` says False; what would wait is an error."""
    util: Any = slicer.util

    buttons = qt.QMessageBox
    yes, no = (buttons.Ok, buttons.Yes, buttons.Retry), (buttons.Cancel, buttons.No, buttons.Close)

    def message(level: int, text: str, _testing: Any, *_: Any, standardButtons: Any = None, **__: Any) -> Any:
        shown = [button for button in (*yes, *no) if standardButtons is not None and standardButtons & button]
        question = any(button in no for button in shown)
        told.append(Told("question" if question else {40: "error", 30: "warning"}.get(level, "info"), text))
        agreed = answers.pop(0) if question and answers else True
        return next((button for button in shown if question and button in (yes if agreed else no)), None)

    def box(text: str, *_: Any, **__: Any) -> Any:
        told.append(Told("box", text))
        return answers.pop(0) if answers else buttons.Ok

    util._messageDisplay, util.messageBox = message, box
    util.delayDisplay = lambda text, *_, **__: told.append(Told("info", text))

    def blocked(self: Any, *_: Any) -> Any:
        raise RuntimeError(f"{type(self).__name__}.exec() would wait for a person")

    for kind in (qt.QDialog, qt.QMessageBox, qt.QFileDialog, qt.QInputDialog, qt.QMenu):
        kind.exec = kind.exec_ = blocked
    for kind, names in (
        (qt.QFileDialog, ("getOpenFileName", "getExistingDirectory", "getSaveFileName")),
        (qt.QInputDialog, ("getText", "getItem")),
    ):
        for name in names:
            setattr(kind, name, staticmethod(_refuse(f"{kind.__name__}.{name}")))


def _refuse(name: str) -> Callable[..., Any]:
    def refused(*_: Any) -> Any:
        raise RuntimeError(f"{name} would wait for a person")

    return refused


def _register(name: str, module: Any) -> None:
    setattr(slicer.modules, name.lower(), module)
    setattr(slicer.moduleNames, name, name)
    slicer.app.moduleManager()._h_modules[name] = module


def open_module(path: Path | str) -> Any:
    """The file's class made with a module object as its parent, registered as slicer.modules.NAME."""
    path = Path(path).resolve()
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = standins.get("qSlicerScriptedLoadableModule")()
    module._h_name, module._h_path = path.stem, str(path)
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    source = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = source
    specification.loader.exec_module(source)
    instance = getattr(source, path.stem)(module)
    setattr(slicer.modules, f"{path.stem}Instance", instance)
    _register(path.stem, module)
    if hasattr(instance, "setup"):
        instance.setup()
    slicer.app.moduleManager().moduleLoaded.emit(path.stem)
    return module


def close_module(name: str) -> None:
    """As when the application ends: cleanup through the signal, then the widget goes."""
    slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(name)
    module = slicer.app.moduleManager()._h_modules.pop(name)
    widget, module._h_widget = module._h_widget, None
    for attribute in (name.lower(), f"{name}Instance", f"{name}Widget"):
        slicer.modules.__dict__.pop(attribute, None)
    if widget is not None:
        widget._h_self = None
        widget.deleteLater()
    settle()


def close_all() -> None:
    """Every scripted module that is still open, and the Python halves of widgets that are gone."""
    for name, module in list(slicer.app.moduleManager()._h_modules.items()):
        if not isinstance(module, boot.BuiltInModule):
            close_module(name)
    settle()
    standins.bury()
    uiloader.bury()


@contextmanager
def views(size: tuple[int, int] = (200, 200)) -> Iterator[Any]:
    """The layout manager with real off-screen views Red, Yellow and Green and one 3-D view; needs OpenGL."""
    from .views import SliceView, SpaceView

    planes = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
    slices = {name: SliceView(name, plane, size) for name, plane in planes.items()}
    spaces = [SpaceView("1", size)]
    layouts = slicer.app.layoutManager()
    layouts._h_show(slices, spaces)
    try:
        yield layouts
    finally:
        layouts._h_show({}, [])
        for view in (*slices.values(), *spaces):
            view.close()


def settle(seconds: float = 0.0, until: Callable[[], bool] = lambda: False) -> bool:
    """Runs the event loop until `until()` or for so many seconds; at least once. True when `until` came true."""
    clock = QtCore.QElapsedTimer()
    clock.start()
    while True:
        QtWidgets.QApplication.processEvents()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
        if until():
            return True
        if clock.elapsed() >= seconds * 1000:
            return False
        QtCore.QThread.msleep(5)


def forget() -> None:
    """What tests left: messages, answers, slot errors, stub calls, what the neighbours were asked."""
    from .behaviours import application

    for record in (told, answers, qtcalls.errors, application.asked, neighbours.samples):
        record.clear()
    application.translations.clear()
    standins.calls.clear()
    neighbours.installer.forget()
    slicer.app.dicomDatabase()._h_instances.clear()
