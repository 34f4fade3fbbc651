"""The full list of Slicer's classes -> slicer_api.json: the classes in use, their bases, and nothing that tests do not ask for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DROPPED = ("header", "protected_slots")  # kept nowhere: no test asks for them
CTK = (
    "ctkCheckBox ctkCheckableComboBox ctkCollapsibleButton ctkCollapsibleGroupBox ctkComboBox ctkDICOMDatabase "
    "ctkDirectoryButton ctkDoubleSlider ctkDoubleSpinBox ctkExpandButton ctkMenuButton ctkMessageBox ctkPathLineEdit "
    "ctkPushButton ctkRangeWidget ctkSearchBox ctkSliderWidget"
)
SLICER = (
    "qMRMLCheckableNodeComboBox qMRMLLayoutManager qMRMLNodeComboBox qMRMLPlotView qMRMLPlotWidget "
    "qMRMLSegmentEditorWidget qMRMLSegmentSelectorWidget qMRMLSegmentationShow3DButton qMRMLSegmentsTableView "
    "qMRMLSliceControllerWidget qMRMLSliceView qMRMLSliceWidget qMRMLSliderWidget qMRMLSpinBox "
    "qMRMLTableView qMRMLThreeDView qMRMLThreeDViewControllerWidget qMRMLThreeDWidget qMRMLWidget qSlicerApplication "
    "qSlicerCommandOptions qSlicerCoreIOManager qSlicerIOManager qSlicerLayoutManager qSlicerModuleFactoryManager "
    "qSlicerModuleManager qSlicerScriptedLoadableModule qSlicerScriptedLoadableModuleWidget qSlicerSegmentEditorAbstractEffect "
    "qSlicerSubjectHierarchyPluginHandler qSlicerWidget"
)
QT = (
    "QAction QActionGroup QApplication QButtonGroup QCheckBox QComboBox QDialog QDialogButtonBox QDoubleSpinBox QFileDialog "
    "QFormLayout QFrame QGridLayout QGroupBox QHBoxLayout QHeaderView QInputDialog QItemSelectionModel QLabel QLineEdit "
    "QListWidget QMainWindow QMenu QMessageBox QObject QPlainTextEdit QProcess QProgressBar QProgressDialog QPushButton "
    "QRadioButton QScrollArea QSettings QShortcut QSlider QSpinBox QSplitter QStackedWidget QStandardItemModel QTabWidget "
    "QTableView QTableWidget QTextBrowser QTextEdit QTimer QToolButton QTreeWidget QVBoxLayout QWidget QFile"
)
VALUES = (
    "QAbstractItemView QBrush QBuffer QByteArray QColor QCoreApplication QCursor QDesktopServices QDir QDropEvent QEvent QFileInfo "
    "QFont QFontMetrics QIODevice QIcon QImage QItemSelection QKeySequence QListWidgetItem QMimeData QModelIndex QPainter "
    "QPalette QPixmap QPoint QProcessEnvironment QRect QSize QSizePolicy QSpacerItem QStandardItem QStandardPaths "
    "QStyle QTableWidgetItem QTextCursor QTreeWidgetItem QUiLoader QUrl QVariant Qt"
)


def reduced(full: Mapping[str, Any], more: Iterable[str] = ()) -> dict[str, Any]:
    """The same answer for the same full list: classes sorted by name, each with its bases in the list.

    Raises:
        KeyError: a wanted class is in neither part of the full list.
    """
    known = {**full["qt_classes"], **full["classes"]}
    wanted: list[str] = [*CTK.split(), *SLICER.split(), *QT.split()]
    values: set[str] = set()
    for name in (*VALUES.split(), *more):
        (wanted.append if name in known else values.add)(name)
    kept: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name in kept:
            continue
        entry = {key: value for key, value in known[name].items() if key not in DROPPED and value}
        if "properties" in entry:
            entry["properties"] = {key: _without_reader(facts) for key, facts in entry["properties"].items()}
        kept[name] = entry
        wanted += [base for base in entry.setdefault("bases", []) if base in known]
    return {"meta": full["_meta"], "classes": dict(sorted(kept.items())), "values": sorted(values)}


def _without_reader(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != "read"}


def added_before(file: Path) -> set[str]:
    """The names that an existing short list has; they stay."""
    if not file.exists():
        return set()
    raw = json.loads(file.read_text(encoding="utf-8"))
    return set(raw["classes"]) | set(raw["values"])


def text_of(short: Mapping[str, Any]) -> str:
    """One class a line, so that a difference can be read."""
    dump = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode
    lines = [f"{dump(name)}:{dump(entry)}" for name, entry in short["classes"].items()]
    return (
        f'{{"meta":{dump(short["meta"])},\n"values":{dump(short["values"])},\n"classes":{{\n'
        + ",\n".join(lines)
        + "\n}}\n"
    )


def write(short: Mapping[str, Any], file: Path) -> None:
    file.write_text(text_of(short), encoding="utf-8")
