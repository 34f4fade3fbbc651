"""The plan is arithmetic on versions; carrying it out is tested against stand-ins of Slicer's own installers."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib import error

import pytest
from LiverSegLib import packages, requirements
from LiverSegLib.controller import UserError
from LiverSegLib.events import Event
from LiverSegLib.packages import Facts, Requirement, constraints, missing, read_requirements, satisfied, verdict

SLICER = {"numpy": "2.4.6", "SimpleITK": "2.5.5", "scipy": "1.17.1", "pydicom": "3.0.2"}
READY = {**SLICER, "torch": "2.15.0+cu130", "monai": "1.6.1", "safetensors": "0.8.0"}


def facts(
    versions: dict[str, str], *, python: tuple[int, int] = (3, 12), system: str = "Linux", gpu: bool = False
) -> Facts:
    return Facts(python, versions, system, gpu)


def names(plan: packages.Plan) -> list[str]:
    return [package.name for package in plan.packages]


def test_the_one_list_is_read_as_pip_reads_it() -> None:
    parsed = pytest.importorskip("packaging.requirements")
    lines = [line for line in packages.LIST.read_text().splitlines() if line.strip() and not line.startswith("#")]
    ours = read_requirements()
    assert len(ours) == len(lines) > 5
    for line, own in zip(lines, ours, strict=True):
        theirs = parsed.Requirement(line)
        assert (own.name, own.bounds) == (theirs.name, str(theirs.specifier))
        assert (own.python is not None) == (theirs.marker is not None)


def test_a_line_in_another_manner_is_refused(tmp_path: Path) -> None:
    for line in (
        "torch @ https://x",
        "-r other.txt",
        "monai[all]>=1",
        "tomli>=2; sys_platform == 'win32'",
        "x>=1.0rc1",
    ):
        (tmp_path / "list.txt").write_text(line)
        with pytest.raises(ValueError, match="cannot read"):
            read_requirements(tmp_path / "list.txt")


@pytest.mark.parametrize("bounds", [">=2.4", ">2.4", "<=2.4", "<2.4", "==2.4", "!=2.4", ">=2.4,<3", ">=1.10.1"])
def test_versions_are_compared_as_pip_compares_them(bounds: str) -> None:
    specifiers = pytest.importorskip("packaging.specifiers")
    for version in ("2.4", "2.4.0", "2.4.1", "2.10", "2.3.9", "3.0", "1.9", "1.10", "1.10.1", "2.15.0+cu130", "10.0"):
        assert satisfied(version, bounds) is specifiers.SpecifierSet(bounds).contains(version), (version, bounds)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (facts(READY), []),
        (facts(SLICER), ["torch", "monai", "safetensors"]),
        (facts({**READY, "torch": "2.3.1"}), ["torch"]),
        (facts({**READY, "monai": ""}), ["monai"]),
        (facts(READY, python=(3, 10)), ["tomli"]),
        (facts({**READY, "tomli": "2.0.1"}, python=(3, 10)), []),
        (facts(dict.fromkeys(packages.SLICERS_OWN, "9")), ["torch", "monai", "safetensors", "pydicom"]),
    ],
)
def test_the_plan_is_what_is_missing(given: Facts, expected: list[str]) -> None:
    plan = missing(given)
    assert names(plan) == expected
    assert plan.torch is ("torch" in expected)
    assert all(name in plan.sentence for name in expected)
    assert not {"numpy", "SimpleITK", "scipy"} & set(names(plan))


def test_the_sentence_says_what_and_how_large() -> None:
    with_gpu = missing(facts(SLICER, gpu=True))
    assert with_gpu.sentence == (
        "LiverSeg needs torch >=2.4, monai >=1.4, safetensors >=0.4.3: about 3.0 GB to download into Slicer's own Python."
    )
    assert missing(facts(SLICER, system="Windows")).size_text == "about 147 MB"
    assert missing(facts({**READY, "safetensors": "0.3"})).size_text == "about 1 MB"
    assert "(now 0.3)" in missing(facts({**READY, "safetensors": "0.3"})).sentence
    assert missing(facts(SLICER, system="Haiku", gpu=True)).size_text == "about 212 MB"
    assert missing(facts(READY)).complete


def test_slicer_s_own_packages_are_never_replaced() -> None:
    plan = missing(facts({**READY, "numpy": "1.24.0"}))
    assert not plan.complete
    assert plan.packages == ()
    assert "numpy 1.24.0" in plan.sentence
    assert "newer Slicer" in plan.sentence
    assert constraints(facts(READY), missing(facts(SLICER))) == ["numpy==2.4.6", "SimpleITK==2.5.5", "scipy==1.17.1"]
    assert "torch==2.15.0+cu130" in constraints(facts(READY), missing(facts(READY)))


def test_every_size_is_of_something_in_the_list() -> None:
    listed = {requirement.name for requirement in read_requirements()}
    assert set(packages.SIZES_MB) | {"torch", *packages.SLICERS_OWN} == listed


def test_this_python_is_looked_at_without_importing_anything() -> None:
    code = (
        "import sys\nsys.modules.update(dict.fromkeys(('torch', 'monai', 'SimpleITK', 'scipy', 'slicer', 'qt')))\n"
        "from LiverSegLib import commands, controller, events, packages, progress, requirements, state\n"
        "print(packages.missing(packages.facts_here()).sentence, packages.facts_here().versions.get('pytest'))"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(packages.LIST.parents[1])}
    )
    found = packages.facts_here()
    assert found.python == sys.version_info[:2]
    assert found.versions["numpy"] == metadata.version("numpy")


# --- carrying it out ---


class Manager:
    """Of extensions: installs PyTorch when it may."""

    def __init__(self, folder: Path, *, works: bool = True) -> None:
        self.interactive = True
        self.calls: list[tuple[Any, ...]] = []
        self._folder, self._works = folder, works

    def isExtensionInstalled(self, name: str) -> bool:
        return False

    def installExtensionFromServer(self, name: str, restart: bool, update: bool) -> bool:
        assert not self.interactive
        self.calls.append((name, restart, update))
        return self._works

    def extensionModulePaths(self, name: str) -> tuple[str, ...]:
        return (str(self._folder),)


class House:
    """A Slicer whose Python holds `versions`; what was asked, told and installed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, versions: dict[str, str]) -> None:
        self.versions = dict(versions)
        self.asked: list[str] = []
        self.told: list[str] = []
        self.pip: list[tuple[Any, ...]] = []
        self.torch: list[dict[str, Any]] = []
        self.constraints: list[str] = []
        self.in_pip: Any = lambda: self.versions.update(READY)
        self.in_torch: Any = lambda: self.versions.update(torch="2.15.0")
        self.yes = True
        self.manager = Manager(folder)
        self.app = types.SimpleNamespace(majorVersion=5, minorVersion=12, extensionsManagerModel=lambda: self.manager)
        self._patch = monkeypatch
        slicer, util = types.ModuleType("slicer"), types.ModuleType("slicer.util")
        slicer.app, slicer.util, util.pip_install = self.app, util, self._pip_install  # type: ignore[attr-defined]
        for name, module in {
            "slicer": slicer,
            "slicer.util": util,
            "slicer.packaging": None,
            "PyTorchUtils": None,
        }.items():
            monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
        monkeypatch.setattr(requirements, "facts_here", lambda: facts(self.versions))
        monkeypatch.setattr(requirements.request, "urlopen", lambda *_, **__: types.SimpleNamespace(close=lambda: None))

    def modern(self) -> None:
        """Slicer 5.12: has slicer.packaging."""
        module = types.ModuleType("slicer.packaging")
        module.pip_ensure = self._pip_ensure  # type: ignore[attr-defined]
        self._patch.setitem(sys.modules, "slicer.packaging", module)

    def with_extension(self) -> None:
        house = self

        class PyTorchUtilsLogic:
            def installTorch(self, **options: Any) -> Any:
                import torch  # as PyTorchUtils does at its end

                house.torch.append(options)
                house.constraints.append(os.environ["PIP_CONSTRAINT"])
                house.in_torch()
                return torch

        module = types.ModuleType("PyTorchUtils")
        module.PyTorchUtilsLogic = PyTorchUtilsLogic  # type: ignore[attr-defined]
        self._patch.setitem(sys.modules, "PyTorchUtils", module)

    def install(self) -> str:
        return requirements.install(missing(facts(self.versions)), self._ask, self.told.append)

    def refused(self, *words: str) -> None:
        with pytest.raises(UserError) as problem:
            self.install()
        assert all(word in str(problem.value) for word in words), problem.value

    def _ask(self, question: str) -> bool:
        self.asked.append(question)
        return self.yes

    def _pip_ensure(self, wanted: list[str], **options: Any) -> None:
        self.pip.append(("pip_ensure", wanted, options["prompt_install"], options["requester"]))
        self.constraints += Path(options["constraints"]).read_text().split()
        self.in_pip()

    def _pip_install(self, arguments: list[str]) -> None:
        self.pip.append(("pip_install", arguments[:-1]))
        self.constraints += Path(arguments[-1]).read_text().split()
        self.in_pip()


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[House]:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    house = House(monkeypatch, tmp_path, SLICER)
    house.modern()
    house.with_extension()
    yield house
    assert "torch" not in sys.modules  # never imported in Slicer's own process
    assert "PIP_CONSTRAINT" not in os.environ


def test_torch_by_the_extension_and_the_rest_by_pip(house: House) -> None:
    assert house.install() == "Everything is installed."
    assert len(house.asked) == 1
    assert "MB" in house.asked[0]
    assert house.torch == [{"askConfirmation": False, "torchVersionRequirement": ">=2.4"}]
    assert house.pip == [("pip_ensure", ["monai>=1.4", "safetensors>=0.4.3"], False, "LiverSeg")]
    assert house.constraints[0].startswith("file:///")
    assert house.constraints[1:] == ["numpy==2.4.6", "SimpleITK==2.5.5", "scipy==1.17.1"]
    assert len(house.told) == 2


def test_slicer_5_10_has_pip_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    house.app.minorVersion = 10
    assert house.install() == "Everything is installed."
    assert house.pip == [("pip_install", ["monai>=1.4", "safetensors>=0.4.3", "-c"])]


def test_a_good_torch_is_left_alone(house: House) -> None:
    house.versions.update(torch="2.15.0+cu130")
    house.install()
    assert house.torch == []
    assert "torch==2.15.0+cu130" in house.constraints


def test_nothing_to_do_asks_nothing(house: House) -> None:
    house.versions.update(READY)
    assert "Every Python package" in house.install()
    assert house.asked == []


def test_who_declines_is_left_alone(house: House) -> None:
    house.yes = False
    house.refused("Nothing was installed")
    assert (house.torch, house.pip) == ([], [])


@pytest.mark.parametrize(("version", "old"), [((4, 11), True), ((5, 8), True), ((5, 10), False), ((6, 0), False)])
def test_an_older_slicer_is_one_sentence(house: House, version: tuple[int, int], old: bool) -> None:
    house.app.majorVersion, house.app.minorVersion = version
    assert ("needs Slicer 5.10 or newer" in requirements.too_old()) is old
    if old:
        house.refused(f"this is {version[0]}.{version[1]}")
        assert house.asked == []


def test_packages_of_slicer_that_are_too_old_are_a_sentence(house: House) -> None:
    house.versions["scipy"] = "1.9"
    house.refused("scipy 1.9", "newer Slicer")
    assert house.asked == []


def test_an_absent_extension_is_offered_and_used_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "PyTorchUtils")
    (tmp_path / "PyTorchUtils.py").write_text(
        "class PyTorchUtilsLogic:\n    def installTorch(self, askConfirmation, torchVersionRequirement):\n"
        "        import torch\n        return torch\n"
    )
    house.in_pip = lambda: house.versions.update(READY)
    assert house.install() == "Everything is installed."
    assert house.manager.calls == [("PyTorch", False, False)]
    assert house.manager.interactive
    assert len(house.asked) == 2
    monkeypatch.delitem(sys.modules, "PyTorchUtils")


def test_an_extension_that_only_a_restart_shows(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    house.refused("restart Slicer, then press Install again")


def test_an_extension_that_cannot_be_had(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    house.manager = Manager(tmp_path, works=False)
    house.refused("Extensions Manager")
    assert house.manager.interactive
    house.app.extensionsManagerModel = lambda: None
    house.refused("no extensions manager")
    answers = iter([True, False])
    house.app.extensionsManagerModel = lambda: house.manager
    monkeypatch.setattr(house, "_ask", lambda _: next(answers))
    house.refused("Nothing was installed")


FAILURES = [
    (subprocess.CalledProcessError(1, "pip install"), "pip ended with exit code 1"),
    (RuntimeError("PythonSlicer executable not found"), "PythonSlicer executable not found"),
    (PermissionError(13, "Permission denied"), "Permission denied"),
]


@pytest.mark.parametrize("where", ["in_pip", "in_torch"])
@pytest.mark.parametrize(("problem", "words"), FAILURES, ids=lambda value: type(value).__name__)
def test_a_failed_installation_is_a_sentence(house: House, where: str, problem: Exception, words: str) -> None:
    def fail() -> None:
        raise problem

    setattr(house, where, fail)
    house.refused("The installation failed", words)


@pytest.mark.parametrize("where", ["in_pip", "in_torch"])
def test_an_offline_machine_is_told_so(house: House, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise subprocess.CalledProcessError(1, "pip install")

    def unreachable(*_: Any, **__: Any) -> None:
        raise error.URLError("Name or service not known")

    setattr(house, where, fail)
    monkeypatch.setattr(requirements.request, "urlopen", unreachable)
    house.refused("pypi.org cannot be reached", "Name or service not known", "press Install again")


def test_pip_may_end_well_and_have_done_nothing(house: House) -> None:
    """As pip_ensure does while Slicer tests itself."""
    house.in_pip = lambda: None
    house.refused("this is missing", "monai")


def test_torch_that_another_extension_has_loaded_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = types.ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", loaded)
    house.install()
    assert sys.modules["torch"] is loaded
    monkeypatch.delitem(sys.modules, "torch")


GOOD = {
    "packages": {"numpy": "2.4.6", "torch": "2.15.0"},
    "torch": {"build": "2.15.0", "device": "cpu", "why": "no GPU"},
}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "gave no answer"),
        ({"packages": "x", "torch": {}}, "gave no answer"),
        ({**GOOD, "packages": {"monai": "not installed", "numpy": "2"}}, "Not installed: monai"),
        (
            {**GOOD, "torch": {"problem": "torch cannot be imported: DLL load failed"}},
            "DLL load failed; restart Slicer",
        ),
    ],
)
def test_a_fresh_interpreter_has_the_last_word(found: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        verdict(found)


def test_the_verification_is_a_task_of_the_worker(tmp_path: Path) -> None:
    told: list[Any] = []
    task = requirements.verification(told.append)
    assert list(task.prepare(tmp_path)) == ["doctor", "--json"]
    assert task.heard is not None
    task.heard(Event("text", {"text": "x"}))
    task.heard(Event("doctor", GOOD))
    assert task.finish(tmp_path) == "Ready: torch 2.15.0 computes on cpu (no GPU)."
    assert told == [GOOD]


def test_a_requirement_for_another_python_is_not_one() -> None:
    wanted = (Requirement("tomli", ">=2.0", ("<", "3.11")),)
    assert names(missing(facts({}, python=(3, 10)), wanted)) == ["tomli"]
    assert names(missing(facts({}, python=(3, 11)), wanted)) == []
    assert names(missing(facts({}, python=(3, 9)), wanted)) == ["tomli"]
