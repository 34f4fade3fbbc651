"""The door of the module: quick, short, and able to close behind itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MODULE = Path(__file__).resolve().parents[2] / "LiverSegExtension" / "LiverSeg"
LIB = MODULE / "LiverSegLib"
GUI = {"qt", "ctk"}
SCENE = {"slicer", "vtk", "vtkmodules", "mrml"}
HEAVY = {"torch", "monai", "skimage", "scipy", "SimpleITK", "pydicom", "safetensors"}
KNOW_QT = {"widget.py", "job.py", "parameters.py", "selftest.py", "samples.py", "logic.py"}
FILES = sorted(LIB.rglob("*.py"))

OPENS = """
import sys, time
for name in ("torch", "monai", "skimage", "SimpleITK", "scipy", "pydicom"):
    sys.modules[name] = None
sys.path[:0] = {path!r}
from slicer_module.lab import desk
desk.start()
best = 9.0
for turn in range(3):
    begin = time.perf_counter()
    module = desk.open_module({door!r})
    module.widgetRepresentation()
    best = min(best, time.perf_counter() - begin)
    for name in [n for n in sys.modules if n.split(".")[0] in ("LiverSeg", "LiverSegLib", "liverseg_core")]:
        del sys.modules[name]
print(best)
"""


def imported(file: Path, *, everywhere: bool) -> set[str]:
    """Names of absolute imports; with `everywhere` those inside functions, too."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if everywhere else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


def may_know_qt(file: Path) -> bool:
    inside = file.relative_to(LIB)
    return inside.parts[0] == "sections" or (inside.name in KNOW_QT and len(inside.parts) == 1)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(LIB)))
def test_plain_files_know_neither_qt_nor_slicer(file: Path) -> None:
    if may_know_qt(file):
        return
    assert not imported(file, everywhere=True) & GUI
    if file.relative_to(LIB).parts[0] != "scene":
        assert not imported(file, everywhere=False) & SCENE


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(LIB)))
def test_nothing_here_computes(file: Path) -> None:
    assert not imported(file, everywhere=True) & HEAVY


@pytest.mark.parametrize("file", [MODULE / "LiverSeg.py", *FILES], ids=lambda f: f.name)
def test_rooms_stay_small(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, f"{file.name}:{node.lineno} {node.name} is too long"


def test_the_door_is_short() -> None:
    assert len((MODULE / "LiverSeg.py").read_text(encoding="utf-8").splitlines()) < 60


def test_no_file_shows_a_raw_message_box_or_asks_for_the_lost_module_imp() -> None:
    for file in [MODULE / "LiverSeg.py", *FILES]:
        assert "QMessageBox" not in file.read_text(encoding="utf-8"), file
        assert "imp" not in imported(file, everywhere=True), file


def test_the_module_opens_in_a_second_without_any_heavy_package(desk: Any) -> None:
    path = [str(MODULE.parents[1] / "Testing"), str(MODULE)]
    code = OPENS.format(path=path, door=str(MODULE / "LiverSeg.py"))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert float(ended.stdout.splitlines()[-1]) < 1.0


def test_the_samples_are_offered_once_slicer_has_started(desk: Any) -> None:
    import slicer
    from slicer_module.lab import neighbours

    desk.open_module(MODULE / "LiverSeg.py")
    slicer.app.startupCompleted.emit()
    assert {sample["sampleName"] for sample in neighbours.samples} >= {"LiverSegSyntheticCT", "LiverSegSyntheticMR"}


def test_an_older_slicer_gets_one_sentence(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import qt
    import slicer

    monkeypatch.setitem(slicer.app.__dict__, "_h_p_minorVersion", 8)
    door = desk.open_module(MODULE / "LiverSeg.py").widgetRepresentation().self()
    assert [label.text for label in door.parent.findChildren(qt.QLabel)] == ["LiverSeg needs 3D Slicer 5.10 or newer."]
    for step in (door.enter, door.exit, door.cleanup):
        step()
