"""A small module with a page, to hold the lab against: opened, entered, reloaded, closed; its parameters and widgets."""

from pathlib import Path
from typing import Annotated, Any

import slicer

PAGE = """<ui version="4.0"><class>Toy</class><widget class="qMRMLWidget" name="Toy"><layout class="QVBoxLayout" name="column">
<item><widget class="qMRMLNodeComboBox" name="selector">
 <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
 <property name="noneEnabled"><bool>true</bool></property>
 <property name="SlicerParameterName" stdset="0"><string notr="true">volume</string></property></widget></item>
<item><widget class="QCheckBox" name="check"><property name="SlicerParameterName" stdset="0"><string notr="true">on</string></property></widget></item>
<item><widget class="ctkSliderWidget" name="slider"><property name="SlicerParameterName" stdset="0"><string notr="true">tolerance</string></property></widget></item>
<item><widget class="ctkCollapsibleButton" name="section"><property name="text"><string>More</string></property>
 <property name="collapsed"><bool>true</bool></property></widget></item>
</layout></widget><connections><connection><sender>Toy</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>selector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>"""

MODULE = """
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin

class Toy(ScriptedLoadableModule):
    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Toy")

class ToyWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.entered = self.cleaned = 0
    def setup(self):
        super().setup()
        page = slicer.util.loadUI(self.resourcePath("UI/Toy.ui"))
        self.layout.addWidget(page)
        self.ui = slicer.util.childWidgetVariables(page)
        page.setMRMLScene(slicer.mrmlScene)
        self.logic = ToyLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, lambda *_: None)
    def enter(self):
        self.entered += 1
    def cleanup(self):
        self.cleaned += 1
        self.removeObservers()

class ToyLogic(ScriptedLoadableModuleLogic):
    pass

class ToyTest(ScriptedLoadableModuleTest):
    def runTest(self):
        self.ran = True
"""

kept: list[Any] = []  # Python may collect a callback that only its node refers to, though C++ still calls it


def write(folder: Path) -> Path:
    """The module's files in `folder`; the path of its door."""
    (folder / "Resources" / "UI").mkdir(parents=True)
    (folder / "Resources" / "UI" / "Toy.ui").write_text(PAGE, encoding="utf-8")
    (folder / "Toy.py").write_text(MODULE, encoding="utf-8")
    return folder / "Toy.py"


def parameters_of(node: Any) -> Any:
    """A parameterNodeWrapper on `node`; the annotations are evaluated, so this file has no `annotations` future."""
    from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Toys:
        volume: slicer.vtkMRMLScalarVolumeNode
        on: bool = True
        tolerance: Annotated[float, WithinRange(0.5, 20.0)] = 2.0
        word: str = "auto"
        count: int = 3

    kept.append(Toys(node))
    return kept[-1]
