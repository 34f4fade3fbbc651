"""Installs what the worker needs (packages.py says what) by Slicer's own means.

torch comes through Slicer's PyTorch extension, which knows the driver; the rest through pip, held by constraints to the
versions of Slicer's own packages. Nothing happens on import, and torch is never imported here.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib import error, request

from .controller import UserError
from .packages import OLDEST_SLICER, Facts, Package, Plan, constraints, facts_here, missing, verdict, verification

__all__ = [
    "Facts", "Package", "Plan", "facts_here", "install", "missing", "too_old", "verdict", "verification",
]  # fmt: skip

_INDEX = "https://pypi.org/simple/pip/"
_ANSWER_S = 3.0
_EXTENSION = "PyTorch"
_NO_RESTART = (False, False)  # nor a new download of what is there
_DECLINED = "Nothing was installed; LiverSeg can segment only after Install."

Ask = Callable[[str], bool]
Tell = Callable[[str], None]


def too_old() -> str:
    """A sentence, or nothing when this Slicer is new enough."""
    import slicer

    here = (int(slicer.app.majorVersion), int(slicer.app.minorVersion))
    wanted = ".".join(map(str, OLDEST_SLICER))
    return "" if here >= OLDEST_SLICER else f"LiverSeg needs Slicer {wanted} or newer; this is {here[0]}.{here[1]}."


def install(plan: Plan, ask: Ask, told: Tell) -> str:
    """The closing sentence. UserError in every other case: declined, offline, too old, failed. `ask` is a question with
    yes and no; `told` hears what is being done. What was installed must still be verified in a fresh interpreter."""
    refusal = too_old() or (plan.sentence if plan.outdated else "")
    if refusal:
        raise UserError(refusal)
    if plan.complete:
        return plan.sentence
    if not ask(f"{plan.sentence} Install now?"):
        raise UserError(_DECLINED)
    with _constraints_file(facts_here(), plan) as held:
        if plan.torch:
            _install_torch(plan, ask, told, held)
        rest = [f"{package.name}{package.bounds}" for package in plan.packages if package.name != "torch"]
        if rest:
            told(f"Installing {', '.join(rest)}")
            with _in_words():
                _pip(rest, held)
    left = missing(facts_here())
    if not left.complete:
        raise UserError(f"The installation ended, and yet this is missing: {left.sentence}")
    return "Everything is installed."


def _install_torch(plan: Plan, ask: Ask, told: Tell, held: Path) -> None:
    logic = _torch_logic(ask, told)
    bounds = next(package.bounds for package in plan.packages if package.name == "torch")
    told(f"Installing torch {bounds} ({plan.size_text}); this takes some minutes")
    with _in_words(), _torch_not_imported(), _constrained(held):
        if logic.installTorch(askConfirmation=False, torchVersionRequirement=bounds) is None:
            raise UserError(_DECLINED)


def _torch_logic(ask: Ask, told: Tell) -> Any:
    """Of the PyTorch extension, which is installed first where it is absent."""
    try:
        module = importlib.import_module("PyTorchUtils")
    except ImportError:
        _install_extension(ask, told)
        try:
            module = importlib.import_module("PyTorchUtils")
        except ImportError:
            raise UserError("The PyTorch extension is installed; restart Slicer, then press Install again.") from None
    return module.PyTorchUtilsLogic()


def _install_extension(ask: Ask, told: Tell) -> None:
    import slicer

    manager = slicer.app.extensionsManagerModel() if hasattr(slicer.app, "extensionsManagerModel") else None
    if manager is None:
        raise UserError(
            "LiverSeg installs torch through the PyTorch extension, and this Slicer has no extensions manager."
        )
    if not ask(
        "LiverSeg installs torch through Slicer's PyTorch extension, which is not there. Install the extension, too?"
    ):
        raise UserError(_DECLINED)
    told("Installing the PyTorch extension")
    before, manager.interactive = manager.interactive, False
    try:
        done = manager.isExtensionInstalled(_EXTENSION) or manager.installExtensionFromServer(_EXTENSION, *_NO_RESTART)
    finally:
        manager.interactive = before
    if not done:
        raise UserError(_offline() or "The PyTorch extension could not be installed; try Slicer's Extensions Manager.")
    sys.path.extend(str(path) for path in manager.extensionModulePaths(_EXTENSION) if str(path) not in sys.path)
    importlib.invalidate_caches()


def _pip(rest: list[str], held: Path) -> None:
    import slicer.util

    try:
        packaging = importlib.import_module("slicer.packaging")
    except ImportError:  # Slicer 5.10
        slicer.util.pip_install([*rest, "-c", str(held)])
        return
    packaging.pip_ensure(rest, constraints=str(held), prompt_install=False, requester="LiverSeg")


@contextmanager
def _constraints_file(facts: Facts, plan: Plan) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="liverseg-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("\n".join([*constraints(facts, plan), ""]), encoding="utf-8")
        yield path


@contextmanager
def _constrained(held: Path) -> Iterator[None]:
    """For a pip that is started by others. An address, because pip cuts this variable at spaces."""
    before = os.environ.get("PIP_CONSTRAINT")
    os.environ["PIP_CONSTRAINT"] = held.as_uri()
    try:
        yield
    finally:
        if before is None:
            del os.environ["PIP_CONSTRAINT"]
        else:
            os.environ["PIP_CONSTRAINT"] = before


@contextmanager
def _torch_not_imported() -> Iterator[None]:
    """PyTorchUtils ends with `import torch`. In Slicer's own process that would take seconds and a gigabyte, and lock the
    files of torch on Windows: it meets an empty module instead."""
    if "torch" in sys.modules:  # another extension was first
        yield
        return
    empty = types.ModuleType("torch")
    empty.__dict__["__version__"] = "(installed)"
    sys.modules["torch"] = empty
    try:
        yield
    finally:
        if sys.modules.get("torch") is empty:
            del sys.modules["torch"]


@contextmanager
def _in_words() -> Iterator[None]:
    """Whatever the installers of others raise becomes a sentence."""
    try:
        yield
    except UserError:
        raise
    except subprocess.CalledProcessError as problem:
        reason = f"pip ended with exit code {problem.returncode}"
        raise UserError(
            _offline() or f"The installation failed: {reason}; Slicer's Python console shows why."
        ) from problem
    except Exception as problem:
        raise UserError(_offline() or f"The installation failed: {problem}.") from problem


def _offline() -> str:
    """A sentence when the package index does not answer, which explains most failures."""
    try:
        request.urlopen(_INDEX, timeout=_ANSWER_S).close()
    except error.HTTPError:
        return ""  # something answers
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "reason", problem)
        return f"pypi.org cannot be reached ({reason}); connect this machine to the network, or set a proxy, then press Install again."
    return ""
