"""Other modules as far as ours talks to them: slicer.packaging, PyTorchUtils, SampleData, DICOMLib. They record what they were asked."""

# ruff: noqa: N803 (the names are Slicer's)

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Installer:
    """What pip would have been asked for; `missing` are the packages that `pip_check` misses, `fails` ends an installation."""

    asked: list[tuple[str, Any, dict[str, Any]]] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    fails: Exception | None = None
    torch: bool = True

    def forget(self) -> None:
        self.asked, self.missing, self.fails, self.torch = [], set(), None, True


installer = Installer()
samples: list[dict[str, Any]] = []
SAMPLE_FIELDS = {
    "category", "sampleName", "uris", "fileNames", "nodeNames", "customDownloader", "thumbnailFileName", "loadFileType",
    "loadFileTypes", "loadFiles", "loadFileProperties", "checksums", "sampleDescription",
}  # fmt: skip


def _requirements(given: Any) -> list[Any]:
    from packaging.requirements import Requirement

    parts = [given] if isinstance(given, (str, Requirement)) else given
    return [Requirement(part) if isinstance(part, str) else part for part in parts]


def load_requirements(path: str | Path) -> list[Any]:
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return _requirements([line for line in lines if line and not line.startswith(("#", "-"))])


def pip_check(req: Any) -> bool:
    return not any(requirement.name in installer.missing for requirement in _requirements(req))


def pip_install(
    requirements: Any, constraints: Any = None, no_deps_requirements: Any = None, skip_packages: Any = None,
    blocking: bool = True, show_progress: bool = True, requester: str | None = None,
    logCallback: Callable[[str], None] | None = None, completedCallback: Callable[[int], None] | None = None,
) -> None:  # fmt: skip
    options = {"constraints": constraints, "skip_packages": skip_packages, "requester": requester, "blocking": blocking}
    installer.asked.append(("pip_install", requirements, options))
    if installer.fails is not None:
        raise installer.fails
    installer.missing -= {requirement.name for requirement in _requirements(requirements)}
    if completedCallback is not None:
        completedCallback(0)


def pip_ensure(
    requirements: Any, constraints: Any = None, skip_packages: Any = None, prompt_install: bool = True,
    prompt_restart: bool = True, requester: str | None = None, skip_in_testing: bool = True, show_progress: bool = True,
) -> None:  # fmt: skip
    """As in testing mode: nothing is installed unless `skip_in_testing` is off."""
    options = {"constraints": constraints, "skip_packages": skip_packages, "requester": requester}
    installer.asked.append(("pip_ensure", requirements, options))
    missing = [str(requirement) for requirement in _requirements(requirements) if not pip_check(requirement)]
    if missing and not skip_in_testing:
        pip_install(missing, constraints=constraints, skip_packages=skip_packages, requester=requester)


def pip_uninstall(requirements: Any, **options: Any) -> None:
    installer.asked.append(("pip_uninstall", requirements, options))


class PyTorchUtilsLogic:
    """Of the extension PyTorch."""

    def torchInstalled(self) -> bool:
        return installer.torch

    def installTorch(
        self, askConfirmation: bool = False, forceComputationBackend: str | None = None,
        torchVersionRequirement: str | None = None, torchvisionVersionRequirement: str | None = None,
    ) -> Any:  # fmt: skip
        options = {"askConfirmation": askConfirmation, "forceComputationBackend": forceComputationBackend}
        installer.asked.append(("installTorch", torchVersionRequirement, options))
        if installer.fails is not None:
            raise installer.fails
        installer.torch = True
        return types.ModuleType("torch")


class SampleDataLogic:
    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", sampleName: str | None = None, **fields: Any) -> None:
        unknown = fields.keys() - SAMPLE_FIELDS
        if unknown:
            raise TypeError(
                f"registerCustomSampleDataSource() got an unexpected keyword argument {sorted(unknown)[0]!r}"
            )
        samples.append({"category": category, "sampleName": sampleName, **fields})


def modules() -> dict[str, types.ModuleType]:
    """Module name -> module, for sys.modules."""
    found = {name: types.ModuleType(name) for name in ("slicer.packaging", "PyTorchUtils", "SampleData")}
    functions = (load_requirements, pip_check, pip_ensure, pip_install, pip_uninstall)
    found["slicer.packaging"].__dict__.update({function.__name__: function for function in functions})
    found["PyTorchUtils"].__dict__.update(PyTorchUtilsLogic=PyTorchUtilsLogic)
    found["SampleData"].__dict__.update(SampleDataLogic=SampleDataLogic)
    return found
