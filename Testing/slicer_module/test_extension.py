"""The extension as the index checks it, as far as that goes without a network; and that nothing is left out of the package."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "LiverSegExtension" / "LiverSeg"
CMAKE = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
ENTRY = ROOT / "LiverSeg.json"
RAW = "https://raw.githubusercontent.com/LiverSeg/SlicerLiverSeg/main/"
FIND = """
set(Slicer_FOUND TRUE)
set(Slicer_USE_FILE "{folder}/use.cmake")
file(WRITE "{folder}/nothing.cmake" "")
set(Slicer_EXTENSION_GENERATE_CONFIG "{folder}/nothing.cmake")
set(Slicer_EXTENSION_CPACK "{folder}/nothing.cmake")
"""
STAND_INS = """
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown arguments: ${MY_UNPARSED_ARGUMENTS}")
  endif()
  file(WRITE "${LISTED}/scripts" "${MY_SCRIPTS}")
  file(WRITE "${LISTED}/resources" "${MY_RESOURCES}")
endmacro()
macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${MY_SCRIPT}")
    message(FATAL_ERROR "no ${MY_SCRIPT}")
  endif()
endmacro()
"""


def literal(name: str) -> str:
    """As the index reads it: one line, quoted, without a variable."""
    found = re.findall(rf'^set\({name} "([^"$]+)"\)$', CMAKE, re.MULTILINE)
    assert len(found) == 1, name
    return found[0]


def test_the_entry_holds_what_the_schema_knows() -> None:
    text = ENTRY.read_bytes()
    assert text.endswith(b"\n")
    assert b"\r" not in text
    entry = json.loads(text)
    assert {"$schema", "category", "scm_url"} <= entry.keys()
    assert entry.keys() <= {
        "$schema", "category", "scm_url", "scm_revision", "scm_type", "build_dependencies", "build_subdirectory",
        "dicom_support_rule", "enabled", "tier",
    }  # fmt: skip
    assert entry["category"] == "Segmentation" == literal("EXTENSION_CATEGORY")
    assert entry["tier"] in range(1, 6)
    assert re.fullmatch(r"https://[\w./-]+/Slicer\w+\.git", entry["scm_url"])


def test_the_names_agree() -> None:
    assert re.search(r"^project\(LiverSeg\)$", CMAKE, re.MULTILINE)
    assert ENTRY.stem == "LiverSeg"
    assert literal("EXTENSION_DEPENDS").split() == json.loads(ENTRY.read_text(encoding="utf-8"))["build_dependencies"]


@pytest.mark.parametrize("name", ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS"])
def test_the_values_are_literal(name: str) -> None:
    assert not literal(f"EXTENSION_{name}").endswith(" ")


def test_every_picture_that_is_named_lies_in_the_repository() -> None:
    for url in [literal("EXTENSION_ICONURL"), *literal("EXTENSION_SCREENSHOTURLS").split()]:
        assert url.startswith(RAW)
        assert (ROOT / url.removeprefix(RAW)).read_bytes().startswith(b"\x89PNG"), url


def test_the_description_says_what_it_is_not() -> None:
    assert "not a medical device" in literal("EXTENSION_DESCRIPTION")


@pytest.mark.parametrize("place", ["Resources/LiverSeg.png", "LiverSegExtension/LiverSeg/Resources/Icons/LiverSeg.png"])
def test_icons_have_128_pixels(place: str) -> None:
    header = (ROOT / place).read_bytes()[:24]
    assert struct.unpack(">II", header[16:24]) == (128, 128)


def test_there_is_a_licence_at_the_root() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_package_takes_every_file_of_the_module(tmp_path: Path) -> None:
    """CMake itself reads our lists, with stand-ins for Slicer's macros: what they leave out works from source and is
    missing where it is installed."""
    if shutil.which("cmake") is None:
        pytest.skip("no cmake")
    (tmp_path / "use.cmake").write_text(STAND_INS, encoding="utf-8")
    (tmp_path / "FindSlicer.cmake").write_text(FIND.format(folder=tmp_path.as_posix()), encoding="utf-8")
    module = f'add_subdirectory("{(ROOT / "LiverSegExtension").as_posix()}" module)'
    without_compiler = CMAKE.replace("project(LiverSeg)", "project(LiverSeg NONE)")
    (tmp_path / "CMakeLists.txt").write_text(without_compiler.replace("add_subdirectory(LiverSegExtension)", module))
    command = ["cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_MODULE_PATH={tmp_path}"]
    command += ["-DBUILD_TESTING=ON", f"-DLISTED={tmp_path}"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    scripts, resources = ((tmp_path / name).read_text(encoding="utf-8").split(";") for name in ("scripts", "resources"))
    files = {file.relative_to(MODULE).as_posix() for file in MODULE.rglob("*") if file.is_file()}
    ours = {name for name in files if not any(part.startswith((".", "__pycache__")) for part in name.split("/"))}
    assert set(scripts) | set(resources) == ours - {"CMakeLists.txt"}
    assert set(scripts) == {name for name in ours if name.endswith(".py")}


def test_no_package_that_another_extension_could_own() -> None:
    """All extensions share one folder of modules."""
    assert {p.parent.name for p in MODULE.glob("*/__init__.py")} == {"LiverSegLib", "liverseg_core"}


def test_the_repository_stays_below_what_the_index_takes() -> None:
    counted = subprocess.run(["git", "count-objects", "-v"], cwd=ROOT, capture_output=True, text=True, check=False)
    if counted.returncode:
        pytest.skip("this copy has no history")
    facts = dict(line.split(": ") for line in counted.stdout.splitlines())
    assert int(facts["size"]) + int(facts["size-pack"]) < 85 * 1024


def test_nothing_is_a_medical_device() -> None:
    """Every page that a user reads says so where it speaks of the matter at all."""
    for page in [ROOT / "README.md", MODULE / "LiverSeg.py"]:
        text = page.read_text(encoding="utf-8").lower()
        assert "medical device" in text
        assert len(re.findall(r"not\s+a\s+medical\s+device", text)) == text.count("medical device"), page
