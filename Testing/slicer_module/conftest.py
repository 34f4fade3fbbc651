"""Fixtures of the Slicer module's tests; see `lab/__init__.py` for what is real and what stands in.

Without the slicer-core wheel, PySide6 or the system libraries of OpenGL the tests that need them are skipped with the reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from traceback import format_exception
from typing import Any

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
collect_ignore = ["lab"]

PROBE_GL = (
    "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1); w.SetSize(8, 8);"
    "w.AddRenderer(vtk.vtkRenderer()); w.Render()"
)
PROBE_QT = "from PySide6 import QtWidgets; QtWidgets.QApplication([])"


def works(code: str) -> bool:
    """Asked of a child process: VTK and Qt end the process, without an exception, where a system library is missing."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module", autouse=True)
def as_imported() -> Iterator[None]:
    """A reload drops the project's modules. Tests that come later hold the classes of before, and must find the same."""
    before = _ours()
    yield
    if _ours().get("liverseg_core") is not before.get("liverseg_core"):
        for name in _ours():
            del sys.modules[name]
        sys.modules.update(before)


def _ours() -> dict[str, Any]:
    return {name: m for name, m in sys.modules.items() if name.split(".")[0] in ("LiverSegLib", "liverseg_core")}


@pytest.fixture(scope="session")
def app() -> Any:
    """`slicer.app`, on a real scene with real logics; without Qt unless `desk` was asked for before."""
    slicer = pytest.importorskip("slicer", reason="needs the slicer-core wheel (Python < 3.14)", exc_type=ImportError)
    from slicer_module.lab import boot

    boot.boot()
    return slicer.app


@pytest.fixture
def scene(app: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The scene of the application, empty before and after; an exception in an observer fails the test."""
    import slicer

    raised: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: raised.append("".join(format_exception(error))))
    slicer.mrmlScene.Clear(False)
    yield slicer.mrmlScene
    slicer.mrmlScene.Clear(False)
    assert not raised, "an observer or a slot raised:\n" + "\n".join(raised)


@pytest.fixture(scope="session")
def renderable() -> None:
    """Off-screen rendering works here."""
    if not works(PROBE_GL):
        pytest.skip("no software OpenGL (apt: libegl1 libgl1-mesa-dri)")


@pytest.fixture
def volume(scene: Any) -> Any:
    """A phantom on the plain grid: liver 250 HU, body -100 HU."""
    from slicer_module.lab import volumes

    return volumes.volume_node("plain")


@pytest.fixture
def volume_on(scene: Any) -> Callable[[str], Any]:
    """volume_on("oblique"): the phantom on a grid of `phantoms.GRIDS`."""
    from slicer_module.lab import volumes

    return volumes.volume_node


@pytest.fixture
def loaded_on(scene: Any, tmp_path: Path) -> Callable[[str], Any]:
    """loaded_on("left-handed"): the same, written to a file and loaded by Slicer's reader."""
    from slicer_module.lab import volumes

    return lambda grid: volumes.loaded_volume(tmp_path, grid)


@pytest.fixture(scope="session")
def qt_works() -> None:
    """PySide6 is installed and its system libraries are there."""
    if not works(PROBE_QT):
        pytest.skip(
            "needs PySide6-Essentials and its system libraries (apt: libegl1 libgl1 libxkbcommon0 libfontconfig1 libdbus-1-3)"
        )


@pytest.fixture
def desk(qt_works: None, scene: Any) -> Iterator[Any]:
    """The module `lab.desk`, started, with an empty scene; an exception in a slot fails the test."""
    from slicer_module.lab import desk, hierarchy, qtcalls

    desk.start()
    desk.forget()
    plugins = hierarchy.Plugins(scene)
    yield desk
    desk.close_all()
    plugins.stop()
    errors = list(qtcalls.errors)
    desk.forget()
    assert not errors, f"a slot raised: {errors}"


@pytest.fixture
def views(desk: Any, renderable: None) -> Iterator[Any]:
    """slicer.app.layoutManager() with real off-screen views; taken away afterwards."""
    with desk.views() as layouts:
        yield layouts


@pytest.fixture
def toy(desk: Any, tmp_path: Path) -> Iterator[Any]:
    """The module of `lab.toy`, opened; taken away with its parameters."""
    from slicer_module.lab import toy

    yield desk.open_module(toy.write(tmp_path / "toy"))
    for parameters in toy.kept:
        desk.slicer.mrmlScene.RemoveNode(parameters.parameterNode)
    toy.kept.clear()
    desk.close_all()
    sys.path.remove(str(tmp_path / "toy"))
