"""The panel's files against the lists of what Slicer, CTK and Qt show to Python: no Qt, no Slicer, no finding."""

from __future__ import annotations

from pathlib import Path

import pytest
from slicer_module.lab import manifest, reduce
from slicer_module.lab.checker import check_ui, read_page
from slicer_module.lab.checker_code import check_code, parameter_fields

MODULE = Path(__file__).resolve().parents[2] / "LiverSegExtension" / "LiverSeg"
LIBRARY = MODULE / "LiverSegLib"
PAGES = sorted((MODULE / "Resources" / "UI").glob("*.ui"))
SOURCES = sorted([*LIBRARY.rglob("*.py"), *MODULE.glob("*.py")])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_asks_for_what_slicer_has(page: Path) -> None:
    assert [str(finding) for finding in check_ui(page, parameter_fields(LIBRARY / "parameters.py"))] == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(MODULE)))
def test_the_code_asks_widgets_for_what_they_have(source: Path) -> None:
    page = read_page(MODULE / "Resources" / "UI" / "LiverSeg.ui")
    assert [str(finding) for finding in check_code(source, page)] == []


def ui(inside: str, top: str = "qMRMLWidget", links: str = "") -> str:
    return f'<ui version="4.0"><class>P</class><widget class="{top}" name="P">{inside}</widget><connections>{links}</connections></ui>'


TIP = '<property name="toolTip"><string>t</string></property>'
LINK = "<connection><sender>{}</sender><signal>{}</signal><receiver>{}</receiver><slot>{}</slot></connection>"
SELECTOR = f'<widget class="qMRMLNodeComboBox" name="s">{TIP}</widget>'
BAD_PAGES = {
    "unknown class": (ui('<widget class="qMRMLNodeCombo" name="s"/>'), "class qMRMLNodeCombo is not in"),
    "unknown property": (ui(f'<widget class="QSpinBox" name="s">{TIP}<property name="valu"><number>1</number></property></widget>'), "QSpinBox has no property valu"),
    "property of Qt 6": (ui(f'<widget class="QComboBox" name="c">{TIP}<property name="labelDrawingMode"><enum>QComboBox::UseStyle</enum></property></widget>'), "no property labelDrawingMode"),
    "unknown value": (ui('<widget class="QFrame" name="f"><property name="frameShape"><enum>QFrame::Boxx</enum></property></widget>'), "QFrame has no value Boxx"),
    "value as Qt 6 writes it": (ui('<widget class="QFrame" name="f"><property name="frameShape"><enum>QFrame::Shape::Box</enum></property></widget>'), "Qt 5 reads QFrame::Box"),
    "name twice": (ui('<widget class="QLabel" name="a"/><widget class="QLabel" name="a"/>'), "a: the name is used 2 times"),
    "no name": (ui('<widget class="QLabel"/>'), "1 things without a name"),
    "no tool tip": (ui('<widget class="QPushButton" name="b"/>'), "b: no tool tip"),
    "untranslatable text": (ui('<widget class="QLabel" name="l"><property name="text"><string notr="true">x</string></property></widget>'), "text is read by people"),
    "translatable key": (ui(f'<widget class="QCheckBox" name="c">{TIP}<property name="SlicerParameterName" stdset="0"><string>on</string></property></widget>'), "must not be translated"),
    "unknown sender": (ui(SELECTOR, links=LINK.format("q", "mrmlSceneChanged(vtkMRMLScene*)", "s", "setMRMLScene(vtkMRMLScene*)")), "there is no widget q"),
    "unknown signal": (ui(SELECTOR, links=LINK.format("P", "sceneChanged(vtkMRMLScene*)", "s", "setMRMLScene(vtkMRMLScene*)")), "no signal sceneChanged"),
    "unknown slot": (ui(SELECTOR, links=LINK.format("P", "mrmlSceneChanged(vtkMRMLScene*)", "s", "setScene(vtkMRMLScene*)")), "no slot setScene"),
    "unknown parameter": (ui(f'<widget class="QCheckBox" name="c">{TIP}<property name="SlicerParameterName" stdset="0"><string notr="true">off</string></property></widget>'), "there is no parameter off"),
    "wrong widget for a parameter": (ui(f'<widget class="QSpinBox" name="c">{TIP}<property name="SlicerParameterName" stdset="0"><string notr="true">on</string></property></widget>'), "can not show the bool parameter on"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_PAGES)
def test_a_bad_page_is_found(name: str, tmp_path: Path) -> None:
    text, words = BAD_PAGES[name]
    (tmp_path / "bad.ui").write_text(text, encoding="utf-8")
    (finding,) = check_ui(tmp_path / "bad.ui", {"on": "bool"})
    assert words in str(finding)


GOOD_CODE = """
class S:
    def __init__(self, ui):
        self.ui = ui
        self._timer = qt.QTimer()
        self._timer.singleShot = True
        ui.check.connect("toggled(bool)", self.draw)
        ui.selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    def draw(self, on=False):
        table = self.ui.table
        table.setRowCount(2)
        table.setItem(0, 0, qt.QTableWidgetItem("a"))
        self._timer.start(5)
        self.ui.check.checked = self.ui.selector.currentNode() is not None
        self.panel.ui.slider.maximum = 3.0
"""
BAD_CODE = {
    "unknown widget": ("self.ui.tabel.rowCount", "there is no widget tabel in good.ui"),
    "unknown member": ("self.ui.check.tikked", "QCheckBox has no tikked"),
    "only for C++": ("self.ui.selector.setNodeTypes([])", "only C++ sees it"),
    "only for C++ in CTK": ("self.ui.slider.setRange(0, 1)", "only C++ sees it"),
    "brackets after a property": ("self.ui.check.checked()", "is a property: no brackets"),
    "overwritten method": ("self.ui.check.click = print", "is no property and can not be overwritten"),
    "read-only property": ("self.ui.combo.count = 3", "can not be written"),
    "unknown signal": ("self.ui.check.connect('ticked(bool)', print)", "QCheckBox has no signal ticked(bool)"),
    "through a name": ("t = self.ui.table; t.setRows(2)", "QTableWidget has no setRows"),
    "of a made widget": ("w = qt.QLabel('a'); w.setTekst('b')", "QLabel has no setTekst"),
    "unknown class": ("ctk.ctkSlidingWidget()", "class ctkSlidingWidget is not in"),
    "isinstance": ("isinstance(self.x, qt.QWidget)", "isinstance of a Qt class"),
    "message box": ("qt.QMessageBox()", "stops the panel"),
    "only in Qt 6": ("self.ui.combo.labelDrawingMode", "QComboBox has no labelDrawingMode"),
}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    kinds = {
        "check": "QCheckBox",
        "combo": "QComboBox",
        "table": "QTableWidget",
        "selector": "qMRMLNodeComboBox",
        "slider": "ctkSliderWidget",
    }
    inside = "".join(f'<widget class="{kind}" name="{name}">{TIP}</widget>' for name, kind in kinds.items())
    file = tmp_path / "good.ui"
    file.write_text(ui(inside), encoding="utf-8")
    return file


def test_good_pieces_have_no_finding(page: Path, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD_CODE, encoding="utf-8")
    assert check_ui(page, {}) == []
    assert check_code(tmp_path / "good.py", read_page(page)) == []


@pytest.mark.parametrize("name", BAD_CODE)
def test_bad_code_is_found(name: str, page: Path, tmp_path: Path) -> None:
    line, words = BAD_CODE[name]
    (tmp_path / "bad.py").write_text(f"class S:\n    def f(self):\n        {line}\n", encoding="utf-8")
    (finding,) = check_code(tmp_path / "bad.py", read_page(page))
    assert words in str(finding)
    assert str(finding).startswith("bad.py:3")


def test_the_list_is_small_and_made_by_the_script() -> None:
    """Cut once more out of itself it stays as it is: the order and the form are the script's."""
    import json

    text = manifest.API_FILE.read_text(encoding="utf-8")
    raw = json.loads(text)
    again = reduce.reduced(
        {"classes": raw["classes"], "qt_classes": {}, "_meta": raw["meta"]}, reduce.added_before(manifest.API_FILE)
    )
    assert reduce.text_of(again) == text
    assert len(text) < 400_000


def test_a_class_that_is_missing_says_how_to_add_it() -> None:
    assert "--add qMRMLFooWidget" in manifest.missing("qMRMLFooWidget")
