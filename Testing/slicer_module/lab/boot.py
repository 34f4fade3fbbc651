"""A real scene, application logic and module logics from the slicer-core wheel; no Qt and no display."""

# ruff: noqa: N815 (the names are Slicer's)

from __future__ import annotations

import ctypes
import sys
import tempfile
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import slicer
import vtk

from .files import FileManager

# module -> class of its logic; the logics are those of the application, each knows the scene and its neighbours
LOGICS: Mapping[str, str] = {
    "Colors": "vtkSlicerColorLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Models": "vtkSlicerModelsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Texts": "vtkSlicerTextsLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "Data": "vtkSlicerDataModuleLogic",
}

# VTK 9.6 gives back one reference to None too many after each call of a Python observer. Before Python 3.12 None counts them,
# and dies, with the process, after some tens of thousands of calls: a few hundred opened panels.
_NONES = [None] * 2_000_000
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_NONES))  # also when Python ends they are not given back


class BuiltInModule:
    """What `slicer.modules.volumes` is to a script: a name and a logic. Its GUI is not part of the lab."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name, self._logic, self.path = name, logic, ""

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> Any:
        raise NotImplementedError(f"the GUI of the built-in module {self.name} is not part of the lab")

    createNewWidgetRepresentation = widgetRepresentation


class PlainApp:
    """`slicer.app` for tests without Qt: only what slicer.util asks for; anything else is an AttributeError."""

    applicationName = "Slicer"
    majorVersion, minorVersion = 5, 13

    def __init__(self, host: Host) -> None:
        self._host = host
        self.temporaryPath = str(host.folder)

    def mrmlScene(self) -> Any:
        return self._host.scene

    def applicationLogic(self) -> Any:
        return self._host.logic

    def coreIOManager(self) -> FileManager:
        return self._host.files

    ioManager = coreIOManager

    def layoutManager(self) -> None:
        return None

    def testingEnabled(self) -> bool:
        return True

    def processEvents(self) -> None:
        pass

    def pauseRender(self) -> None:
        pass

    def resumeRender(self) -> None:
        pass


@dataclass(frozen=True)
class Host:
    """What an application owns. `words` collects what VTK would print."""

    scene: Any
    logic: Any
    files: FileManager
    folder: Path
    words: Any
    kept: tuple[Any, ...]  # VTK holds these by weak pointers only


@cache
def boot() -> Host:
    """The one application of this process; `slicer.mrmlScene`, `slicer.app` and `slicer.modules` exist afterwards."""
    words = vtk.vtkStringOutputWindow()
    vtk.vtkOutputWindow.SetInstance(words)
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    folder = Path(tempfile.mkdtemp(prefix="liverseg-lab-"))
    scene, logic = slicer.vtkMRMLScene(), slicer.vtkSlicerApplicationLogic()
    logic.SetTemporaryPath(str(folder))
    kept = _wire(scene, logic, folder)
    host = Host(scene, logic, FileManager(), folder, words, kept)
    slicer.mrmlScene = scene
    for name in ("modules", "moduleNames"):
        module = types.ModuleType(f"slicer.{name}")
        setattr(slicer, name, module)
        sys.modules[f"slicer.{name}"] = module
    slicer.app = PlainApp(host)
    for name, class_name in LOGICS.items():
        _add_module(host, name, getattr(slicer, class_name)())
    logic.GetColorLogic().AddDefaultColorNodes()
    return host


def _wire(scene: Any, logic: Any, folder: Path) -> tuple[Any, ...]:
    """Input and output, cross-hair, view factories and slice orientations, as the application does it at its start."""
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.GetCacheManager().SetRemoteCacheDirectory(str(folder))
    data = slicer.vtkDataIOManagerLogic()
    data.SetMRMLApplicationLogic(logic)
    data.SetAndObserveDataIOManager(remote.GetDataIOManager())
    scene.SetRootDirectory(str(folder))
    cross = slicer.vtkMRMLCrosshairNode()
    cross.SetCrosshairName("default")
    scene.AddNode(cross)
    logic.SetMRMLScene(scene)
    logic.SetMRMLSceneDataIO(scene, remote, data)
    logic.SetSliceLogics(vtk.vtkCollection())
    logic.SetViewLogics(vtk.vtkCollection())
    for factory in ("vtkMRMLThreeDViewDisplayableManagerFactory", "vtkMRMLSliceViewDisplayableManagerFactory"):
        getattr(slicer, factory).GetInstance().SetMRMLApplicationLogic(logic)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    return remote, data, cross


def _add_module(host: Host, name: str, logic: Any) -> None:
    logic.SetMRMLApplicationLogic(host.logic)
    logic.SetMRMLScene(host.scene)
    host.logic.SetModuleLogic(name, logic)
    if name == "Colors":
        host.logic.SetColorLogic(logic)
    setattr(slicer.modules, name.lower(), BuiltInModule(name, logic))
    setattr(slicer.moduleNames, name, name)


def observers(thing: Any) -> int:
    """How many Python callbacks observe a VTK object: the tags below a fresh one, asked one by one."""
    last = thing.AddObserver("AnyEvent", lambda *_: None)
    commands = [thing.GetCommand(tag) for tag in range(1, last)]
    thing.RemoveObserver(last)
    return sum(command is not None and command.IsA("vtkPythonCommand") for command in commands)
