"""The shape of the house itself: who may import whom, and how big a room may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "LiverSegExtension" / "LiverSeg"
CORE = MODULE / "liverseg_core"
TRAINING = ROOT / "LiverSegTraining" / "liverseg_training"
SLICER = {"slicer", "qt", "ctk", "vtk", "vtkmodules", "mrml"}

# what any room may know: records, tables, geometry, errors, networks; `models` and `library` are the model's own rooms
SHARED = {
    "", "case_folder", "errors", "fastform", "geometry", "labels", "library", "memory", "model_card", "models", "networks", "phases",
    "recognition", "records", "windows",
}  # fmt: skip
# and cli/ and cohort/, which only call the corridor
CORRIDOR = {"pipeline.py", "fat_pipeline.py", "stages.py", "corrections.py", "__main__.py"}


def imports(file: Path) -> set[str]:
    """Top-level names of absolute imports; for relative ones `.name`, as seen from the package's own folder."""
    found: set[str] = set()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    depth = len(file.relative_to(CORE).parts) if file.is_relative_to(CORE) else 1
    hidden = {
        n for i in ast.walk(tree) if isinstance(i, ast.If) and "TYPE_CHECKING" in ast.dump(i.test) for n in ast.walk(i)
    }
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level < depth:
            found |= {(node.module or "").split(".")[0]} if not node.level else set()  # inside its own room
        elif isinstance(node, ast.ImportFrom):
            stems = [(node.module or "").split(".")[0]] if node.module else [a.name for a in node.names]
            found |= {f".{stem}" if node.level else stem for stem in stems}
    return found


def rooms() -> list[Path]:
    callers = {"cli", "cohort"}
    return sorted(
        f for f in CORE.rglob("*.py") if f.name not in CORRIDOR and not callers & set(f.relative_to(CORE).parts)
    )


@pytest.mark.parametrize("file", sorted(CORE.rglob("*.py")), ids=lambda f: str(f.relative_to(CORE)))
def test_core_knows_neither_slicer_nor_training(file: Path) -> None:
    assert not imports(file) & (SLICER | {"liverseg_training", "LiverSegLib"})


@pytest.mark.parametrize("file", rooms(), ids=lambda f: str(f.relative_to(CORE)))
def test_rooms_meet_only_in_the_corridor(file: Path) -> None:
    met = {i[1:] for i in imports(file) if i.startswith(".")}
    assert met <= SHARED | {"__version__"}


def test_training_knows_no_slicer() -> None:
    assert not set().union(*(imports(file) for file in TRAINING.rglob("*.py"))) & SLICER


def test_ground_floor_opens_before_torch_is_installed() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'monai', 'skimage', 'safetensors'): sys.modules[name] = None\n"
        "import liverseg_core.records, liverseg_core.geometry, liverseg_core.phases, liverseg_core.reading\n"
        "import liverseg_core.model_card, liverseg_core.measurements, liverseg_core.reporting\n"
        "import liverseg_core.library, liverseg_core.agreement, liverseg_core.pipeline, liverseg_core.synthetic\n"
        "from liverseg_core.cli import main\n"
        "main(['phases'])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=MODULE, capture_output=True)


def test_the_tables_of_a_panel_open_with_the_standard_library_alone() -> None:
    code = (
        "import sys\n"
        "for name in ('numpy', 'SimpleITK', 'torch', 'scipy', 'pydicom'): sys.modules[name] = None\n"
        "import liverseg_core.phases, liverseg_core.labels, liverseg_core.library, liverseg_core.recognition\n"
        "assert liverseg_core.library.installed()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=MODULE, capture_output=True)


@pytest.mark.parametrize("arguments", [["--help"], ["segment", "--help"], ["models", "--help"]])
def test_help_imports_neither_torch_nor_numpy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom liverseg_core.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "sys.exit(bool({'torch', 'numpy', 'SimpleITK', 'monai'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=MODULE, capture_output=True, check=False).returncode == 0


def test_prediction_never_imports_monai() -> None:
    importers = {f.name for f in CORE.rglob("*.py") if "monai" in imports(f) and f.parent.name != "networks"}
    assert importers == set()


def test_affine_arithmetic_lives_in_geometry_alone() -> None:
    """No other room writes an origin or a direction."""
    for file in rooms():
        if file.name != "geometry.py":
            text = file.read_text(encoding="utf-8")
            assert "SetOrigin" not in text, file
            assert "SetDirection" not in text, file
            assert "origin_mm=" not in text, file


def test_only_the_module_script_may_sit_where_slicer_looks_for_modules() -> None:
    assert {f.name for f in MODULE.glob("*.py")} <= {"LiverSeg.py"}


@pytest.mark.parametrize("file", sorted([*CORE.rglob("*.py"), *TRAINING.rglob("*.py")]), ids=lambda f: f.name)
def test_rooms_stay_small(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, f"{file.name}:{node.lineno} {node.name} is too long"


def test_the_readme_says_what_ci_runs() -> None:
    command = "python3 scripts/test.py --constraint constraints.txt"
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == command
