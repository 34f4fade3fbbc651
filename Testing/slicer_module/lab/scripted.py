"""Our own ScriptedLoadableModule and its widget, logic and test; slicer.i18n. As Slicer's, in what our module uses.

Where LIVERSEG_SLICER_LAYER names a folder with Slicer's own Python files, those are used instead (`desk._lay_over`).
"""

# ruff: noqa: N803, N815 (the names are Slicer's)

from __future__ import annotations

import importlib
import inspect
import types
import unittest
from pathlib import Path
from typing import Any

import slicer
import slicer.util


class ScriptedLoadableModule:
    """Sets the fields of `parent` that a module may overwrite."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title, parent.categories, parent.dependencies, parent.contributors = "", [], [], []
        parent.helpText = parent.acknowledgementText = ""
        import qt

        for suffix in (".svg", ".png"):
            icon = Path(self.resourcePath(f"Icons/{self.moduleName}{suffix}"))
            if icon.is_file():
                parent.icon = qt.QIcon(str(icon))
                break
        slicer.selfTests = {**getattr(slicer, "selfTests", {}), self.moduleName: self.runTest}

    def resourcePath(self, name: str) -> str:
        return str(Path(self.parent.path).parent / "Resources" / name)

    def runTest(self, msec: int = 100, **options: Any) -> None:
        case = getattr(importlib.import_module(type(self).__module__), f"{self.moduleName}Test")()
        case.messageDelay = msec
        case.runTest(**options)


class ScriptedLoadableModuleWidget:
    """`setup` is called by whoever made it, unless it had to make its own parent."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        import qt

        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        if parent is None:
            self.parent = slicer.qMRMLWidget()
            self.parent.setLayout(qt.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
            self.parent.show()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, name: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)

    def setup(self) -> None:
        pass

    def cleanup(self) -> None:
        pass

    def onReload(self) -> None:
        slicer.util.reloadScriptedModule(self.moduleName)

    def _onModuleAboutToBeUnloaded(self, name: str) -> None:
        if name == self.moduleName:
            self.cleanup()
            manager = slicer.app.moduleManager()
            manager.disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    """One parameter node a scene (`isSingletonParameterNode`), found again by its tag or its attribute."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        if self.isSingletonParameterNode:
            node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            if node is not None:
                node.SetAttribute("ModuleName", self.moduleName)  # closing the scene takes it away
                return node
        nodes = [] if self.isSingletonParameterNode else self.getAllParameterNodes()
        return nodes[0] if nodes else slicer.mrmlScene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self) -> list[Any]:
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self) -> Any:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    messageDelay = 0

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        slicer.util.delayDisplay(message, 0)

    def runTest(self) -> None:
        pass


def translate(context: str, text: str) -> str:
    return slicer.app.translate(context, text)


def getContext(file: str) -> str:
    """ "LiverSegLib.widget" for a file of a package, "LiverSeg" for one outside."""
    path = Path(file)
    return f"{path.parent.name}.{path.stem}" if (path.parent / "__init__.py").is_file() else path.stem


def tr(text: str) -> str:
    frame = inspect.currentframe()
    caller = frame.f_back if frame is not None else None
    return translate(getContext(caller.f_code.co_filename) if caller is not None else "", text)


def modules() -> dict[str, types.ModuleType]:
    """slicer.ScriptedLoadableModule and slicer.i18n."""
    base, words = types.ModuleType("slicer.ScriptedLoadableModule"), types.ModuleType("slicer.i18n")
    kinds = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    )
    base.__all__ = [kind.__name__ for kind in kinds]  # type: ignore[attr-defined]
    base.__dict__.update({kind.__name__: kind for kind in kinds})
    words.__dict__.update(translate=translate, getContext=getContext, tr=tr)
    return {"ScriptedLoadableModule": base, "i18n": words}
