"""The door of the module: title, menu, and who answers. Everything else is in LiverSegLib."""

import sys
from importlib import import_module

import qt
import slicer
from slicer import ScriptedLoadableModule as base
from slicer.i18n import tr as _

NEW_ENOUGH = (slicer.app.majorVersion, slicer.app.minorVersion) >= (5, 10)


class LiverSeg(base.ScriptedLoadableModule):
    def __init__(self, parent):
        super().__init__(parent)
        parent.title = "LiverSeg"
        parent.categories = [slicer.i18n.translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.contributors = ["LiverSeg contributors"]
        parent.helpText = _("Segment, correct, compare and measure the liver on CT and MR. Not a medical device.")
        if NEW_ENOUGH:
            slicer.app.connect("startupCompleted()", lambda: import_module("LiverSegLib.samples").register())


class LiverSegWidget(base.ScriptedLoadableModuleWidget):
    panel = None

    def setup(self):
        super().setup()
        if not NEW_ENOUGH:
            self.layout.addWidget(qt.QLabel(_("LiverSeg needs 3D Slicer 5.10 or newer.")))
            return
        self.panel = import_module("LiverSegLib.widget").Panel(self.parent)
        self.panel.build()

    def enter(self):
        return self.panel and self.panel.enter()

    def exit(self):
        return self.panel and self.panel.exit()

    def cleanup(self):
        panel, self.panel = self.panel, None
        return panel and panel.close()

    def onReload(self):  # noqa: N802
        for name in [n for n in sys.modules if n.split(".")[0] in ("LiverSegLib", "liverseg_core")]:
            del sys.modules[name]
        super().onReload()


class LiverSegLogic(base.ScriptedLoadableModuleLogic):
    def segment(self, volume, **options):
        return import_module("LiverSegLib.logic").segment(volume, **options)


class LiverSegTest(base.ScriptedLoadableModuleTest):
    def runTest(self, **_options):  # noqa: N802
        import_module("LiverSegLib.selftest").run()
