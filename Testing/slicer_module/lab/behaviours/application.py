"""slicer.app, its modules and its readers."""

# ruff: noqa: N815 (the names are Slicer's)

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from PySide6 import QtCore, QtWidgets

from .. import standins
from ..boot import Host
from ..files import FileManager
from ..standins import behaviour

asked: list[str] = []  # dialogues and pages the application was asked to open
translations: dict[str, str] = {}  # text -> text in another language, for tests


@behaviour("qSlicerCoreIOManager")
class CoreFiles(FileManager):
    """Files as `FileManager` reads and writes them."""


@behaviour("qSlicerIOManager")
class Files(CoreFiles):
    def openAddDataDialog(self: Any, *_: Any) -> bool:
        asked.append("add data")
        return False

    openAddVolumeDialog = openLoadSceneDialog = openSaveDataDialog = openAddDataDialog


@behaviour("qSlicerModuleManager")
class Modules:
    def _h_init(self: Any) -> None:
        self._h_modules: dict[str, Any] = {}
        self._h_factory = standins.get("qSlicerModuleFactoryManager")()
        self._h_factory._h_modules = self._h_modules

    def modulesNames(self: Any) -> tuple[str, ...]:
        return tuple(self._h_modules)

    def module(self: Any, name: str) -> Any:
        return self._h_modules.get(name)

    def factoryManager(self: Any) -> Any:
        return self._h_factory


@behaviour("qSlicerModuleFactoryManager")
class Factory:
    def isRegistered(self: Any, name: str) -> bool:
        return name in self._h_modules

    def loadedModuleNames(self: Any) -> tuple[str, ...]:
        return tuple(self._h_modules)

    registeredModuleNames = loadedModuleNames


@behaviour("qSlicerCoreApplication")
class CoreApplication:
    _h_defaults: ClassVar = {
        "majorVersion": 5,
        "minorVersion": 13,
        "revision": "0",
        "os": "linux",
        "platform": "linux-amd64",
        "mainApplicationName": "Slicer",
        "applicationLocaleName": "en_US",
        "documentationBaseUrl": "https://slicer.readthedocs.io/en/latest/",
    }
    applicationName = "Slicer"
    applicationVersion = "5.13.0"

    def _h_start(self: Any, host: Host) -> None:
        self._h_host, self._h_paused, self._h_exit = host, 0, None
        self._h_p_temporaryPath = self._h_p_slicerHome = self._h_p_cachePath = str(host.folder)
        self._h_modules, self._h_files = standins.get("qSlicerModuleManager")(), standins.get("qSlicerIOManager")()
        self._h_settings = QtCore.QSettings(str(Path(host.folder) / "Slicer.ini"), QtCore.QSettings.Format.IniFormat)

    def mrmlScene(self: Any) -> Any:
        return self._h_host.scene

    def applicationLogic(self: Any) -> Any:
        return self._h_host.logic

    def coreIOManager(self: Any) -> Any:
        return self._h_files

    def moduleManager(self: Any) -> Any:
        return self._h_modules

    def moduleLogic(self: Any, name: str) -> Any:
        return self._h_host.logic.GetModuleLogic(name)

    def userSettings(self: Any) -> Any:
        return self._h_settings

    settings = revisionUserSettings = defaultSettings = userSettings

    def moduleDocumentationUrl(self: Any, name: str) -> str:
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def startupEnvironment(self: Any) -> Any:
        return QtCore.QProcessEnvironment.systemEnvironment()

    environment = startupEnvironment

    def setRenderPaused(self: Any, on: bool) -> None:
        self._h_paused += 1 if on else -1

    def pauseRender(self: Any) -> None:
        self._h_paused += 1

    def resumeRender(self: Any) -> None:
        self._h_paused -= 1

    def restart(self: Any) -> None:
        asked.append("restart")

    def testingEnabled(self: Any) -> bool:
        return True

    def processEvents(self: Any, *_: Any) -> None:
        QtWidgets.QApplication.processEvents()

    def dicomDatabase(self: Any) -> Any:
        return self._h_database

    def translate(self: Any, context: str, text: str) -> str:
        return translations.get(text, text)

    def applicationDirPath(self: Any) -> str:
        return str(self._h_host.folder)

    def topLevelWidgets(self: Any) -> list[Any]:
        return QtWidgets.QApplication.topLevelWidgets()

    def clipboard(self: Any) -> Any:
        return QtWidgets.QApplication.clipboard()

    def palette(self: Any) -> Any:
        return QtWidgets.QApplication.palette()

    def font(self: Any) -> Any:
        return QtWidgets.QApplication.font()

    def keyboardModifiers(self: Any) -> Any:
        return QtWidgets.QApplication.keyboardModifiers()

    def activeWindow(self: Any) -> Any:
        return QtWidgets.QApplication.activeWindow()

    def setOverrideCursor(self: Any, cursor: Any) -> None:
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self: Any) -> None:
        QtWidgets.QApplication.restoreOverrideCursor()

    def overrideCursor(self: Any) -> Any:
        return QtWidgets.QApplication.overrideCursor()


@behaviour("qSlicerApplication")
class Application:
    def _h_init(self: Any) -> None:
        self._h_layouts = None

    def ioManager(self: Any) -> Any:
        return self._h_files

    def layoutManager(self: Any) -> Any:
        return self._h_layouts

    def setLayoutManager(self: Any, manager: Any) -> None:
        self._h_layouts = manager

    def commandOptions(self: Any) -> Any:
        options = standins.get("qSlicerCommandOptions")()
        options.__dict__.update(_h_p_noMainWindow=True, _h_p_isTestingEnabled=True)
        return options

    def openSettingsDialog(self: Any, page: str = "") -> None:
        asked.append(f"settings {page}".strip())

    def confirmRestart(self: Any, reason: str = "") -> bool:
        asked.append(f"restart {reason}".strip())
        return False
