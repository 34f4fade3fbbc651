"""What must be installed before the worker can run: requirements.txt against what is there. requirements.py installs it."""

from __future__ import annotations

import importlib
import operator
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from .commands import doctor_arguments
from .controller import Task, UserError
from .events import Event

LIST = Path(__file__).parents[1] / "Resources" / "requirements.txt"
SLICERS_OWN = ("numpy", "SimpleITK", "scipy")  # come with Slicer and are never touched
OLDEST_SLICER = (5, 10)

# Megabytes to download: the sizes of the wheels on PyPI, 2026-11-21, Python 3.12 (monai 1.6.1, pydicom 3.0.2, safetensors
# 0.8.0, tomli 2.5.0). torch is 2.15.0 with torchvision and all that the two bring along: Linux with CUDA by pip's own
# resolution; Windows and macOS, which have no CUDA on PyPI, 127 and 139 MB and 18 MB of the rest. Linux without a GPU: the
# wheel torch-2.13.0+cpu, 192 MB, and the rest. Windows with CUDA is not measured: users report 2.7 GB
# (bowang-lab/MedSAMSlicer, issue 33).
SIZES_MB: dict[str, float] = {"monai": 1.7, "pydicom": 2.4, "safetensors": 0.5, "tomli": 0.3}
TORCH_MB: dict[tuple[str, bool], float] = {
    ("Linux", True): 3032.0,
    ("Linux", False): 210.0,
    ("Windows", True): 2700.0,
    ("Windows", False): 145.0,
    ("Darwin", False): 157.0,
}

_LINE = re.compile(
    r"([\w.-]+)\s*((?:(?:>=|<=|==|!=|<|>)\s*[\d.]+\s*,?\s*)*)(?:;\s*python_version\s*(\S+)\s*['\"]([\d.]+)['\"])?"
)
_BOUND = re.compile(r"(>=|<=|==|!=|<|>)\s*([\d.]+)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


@dataclass(frozen=True)
class Requirement:
    """A line of requirements.txt; `bounds` such as ">=1.4"; `python` such as ("<", "3.11")."""

    name: str
    bounds: str
    python: tuple[str, str] | None = None


@dataclass(frozen=True)
class Facts:
    """`versions` of what is installed, by name; `gpu`: an NVIDIA driver answers."""

    python: tuple[int, int]
    versions: Mapping[str, str]
    system: str
    gpu: bool


@dataclass(frozen=True)
class Package:
    """Something to install; `installed` is a version that is too old, or nothing."""

    name: str
    bounds: str
    installed: str
    size_mb: float


@dataclass(frozen=True)
class Plan:
    """What is missing, and what of Slicer's own packages is too old, which only a newer Slicer can cure."""

    packages: tuple[Package, ...]
    outdated: tuple[Package, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.packages and not self.outdated

    @property
    def torch(self) -> bool:
        return any(package.name == "torch" for package in self.packages)

    @property
    def size_text(self) -> str:
        size_mb = sum(package.size_mb for package in self.packages)
        return f"about {size_mb / 1000.0:.1f} GB" if size_mb >= 1000.0 else f"about {max(size_mb, 1.0):.0f} MB"

    @property
    def sentence(self) -> str:
        """For the panel and for the question before the installation."""
        if self.outdated:
            told = ", ".join(f"{p.name} {p.installed or 'missing'} ({p.bounds} is needed)" for p in self.outdated)
            return f"LiverSeg cannot use this Slicer's own packages: {told}; install a newer Slicer."
        if not self.packages:
            return "Every Python package that LiverSeg needs is installed."
        names = ", ".join(
            f"{p.name} {p.bounds}" + (f" (now {p.installed})" if p.installed else "") for p in self.packages
        )
        return f"LiverSeg needs {names}: {self.size_text} to download into Slicer's own Python."


def read_requirements(path: Path = LIST) -> tuple[Requirement, ...]:
    """Raises ValueError for a line that is written in another way than ours."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.split("#")[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise ValueError(f"{path}: cannot read {text!r}; expected such as numpy>=1.26; python_version < '3.11'")
        name, bounds, relation, python = match.groups()
        marker = (relation, python) if relation in _COMPARE else None
        found.append(Requirement(name, re.sub(r"\s", "", bounds), marker))
    return tuple(found)


def satisfied(version: str, bounds: str) -> bool:
    """Numbers alone are compared: a build such as +cu126 and a pre-release count as their release."""
    return all(_compared(version, relation, bound) for relation, bound in _BOUND.findall(bounds))


def missing(facts: Facts, wanted: tuple[Requirement, ...] | None = None) -> Plan:
    """The plan for a Python with these packages; torch stands first."""
    lacking = []
    for requirement in wanted if wanted is not None else read_requirements():
        if requirement.python and not _compared(".".join(map(str, facts.python)), *requirement.python):
            continue
        installed = facts.versions.get(requirement.name, "")
        if not installed or not satisfied(installed, requirement.bounds):
            size_mb = _torch_mb(facts) if requirement.name == "torch" else SIZES_MB.get(requirement.name, 1.0)
            lacking.append(Package(requirement.name, requirement.bounds, installed, size_mb))
    lacking.sort(key=lambda package: package.name != "torch")
    own = tuple(package for package in lacking if package.name in SLICERS_OWN)
    return Plan(tuple(package for package in lacking if package.name not in SLICERS_OWN), own)


def facts_here() -> Facts:
    """Of this Python, as it is on disk now. Imports none of the packages."""
    importlib.invalidate_caches()
    versions = {}
    for requirement in read_requirements():
        try:
            versions[requirement.name] = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            continue
    gpu = shutil.which("nvidia-smi") is not None  # comes with the driver
    return Facts((sys.version_info[0], sys.version_info[1]), versions, platform.system(), gpu)


def constraints(facts: Facts, plan: Plan) -> list[str]:
    """Lines for pip: what Slicer brought, and a torch that is good already, stay what they are."""
    kept = (*SLICERS_OWN, *(() if plan.torch else ("torch",)))
    return [f"{name}=={facts.versions[name]}" for name in kept if name in facts.versions]


def verification(told: Callable[[Mapping[str, Any]], None] = lambda _: None) -> Task:
    """Asks a fresh interpreter; `told` gets what `doctor` found."""
    found: dict[str, Any] = {}

    def heard(event: Event) -> None:
        if event.name == "doctor":
            found.update(event.facts)

    def finish(_: Path) -> str:
        told(found)
        return verdict(found)

    return Task("doctor", lambda _: doctor_arguments(), finish, heard=heard)


def verdict(found: Mapping[str, Any]) -> str:
    """The closing sentence of what `doctor` told; UserError when the worker could not run."""
    packages, torch = found.get("packages"), found.get("torch")
    if not isinstance(packages, Mapping) or not isinstance(torch, Mapping):
        raise UserError("The check of the installation gave no answer; copy the log and report it.")
    absent = [name for name, version in packages.items() if version == "not installed"]
    if absent:
        raise UserError(f"Not installed: {', '.join(absent)}; press Install.")
    broken = torch.get("problem") or found.get("problem")
    if broken:
        raise UserError(
            f"{broken}; restart Slicer and check again, or remove torch in the PyTorch module and press Install."
        )
    return f"Ready: torch {torch.get('build', '?')} computes on {torch.get('device', '?')} ({torch.get('why', '')})."


def _torch_mb(facts: Facts) -> float:
    return TORCH_MB.get((facts.system, facts.gpu), TORCH_MB["Linux", False])


def _compared(version: str, relation: str, bound: str) -> bool:
    left, right = _release(version), _release(bound)
    width = max(len(left), len(right))
    return _COMPARE[relation](*((*part, *[0] * (width - len(part))) for part in (left, right)))


def _release(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else (0,)
