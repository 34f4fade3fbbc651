"""`liverseg doctor`: what runs here and why."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib import import_module, metadata
from importlib.util import find_spec

from .. import __version__
from ..errors import LiverSegError
from ..library import installed, model_roots, verify
from ..memory import free_bytes
from .events import Terminal

_IMPORTED = ("numpy", "SimpleITK", "scipy", "pydicom", "safetensors.torch", "torch")
_PACKAGES = ("numpy", "SimpleITK", "torch", "monai", "scipy", "pydicom", "safetensors")


def run(options: argparse.Namespace, terminal: Terminal) -> None:
    facts = {
        "liverseg": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "free_memory_gb": round(free_bytes() / 2**30, 1),
        "packages": {name: _version(name) for name in _PACKAGES},
        "torch": _torch(),
        "problem": _problem(),
        "models": _models(),
        "model_folders": [str(root) for root in model_roots()],
    }
    if options.json:
        terminal.event("doctor", **facts) if terminal.json_lines else print(json.dumps(facts, indent=1))
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            terminal.say(key)
            for inner, told in value.items():
                terminal.say(f"  {inner:16s} {told}")
        else:
            terminal.say(f"{key:18s} {', '.join(value) if isinstance(value, list) else value or 'none'}")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _problem() -> str:
    """What of the stack cannot be imported, or ""; MONAI is only looked for, because no shipped model needs it."""
    for name in _IMPORTED:
        try:
            import_module(name)
        except Exception as problem:  # a broken wheel raises whatever it likes
            return f"{name} cannot be imported: {problem}"
    return "" if find_spec("monai") is not None else "monai is not installed"


def _torch() -> dict[str, object]:
    try:
        import torch

        from ..inference import device_named, fast_in_half
    except ImportError as problem:
        return {"problem": f"torch cannot be imported: {problem}"}
    chosen = device_named("auto")
    half = fast_in_half(chosen)
    return {
        "build": torch.__version__,
        "device": str(chosen),
        "devices": _devices(),
        "why": "a GPU was found" if chosen.type != "cpu" else "no GPU that torch can use was found: the CPU computes",
        "threads": torch.get_num_threads(),
        "16 bits": "used: this device computes them fast"
        if half
        else "not used: this device does not compute them fast",
    }


def _devices() -> list[dict[str, object]]:
    """What --device may name here, with its memory where it tells of it."""
    import torch

    found: list[dict[str, object]] = [{"key": "cpu", "name": platform.processor() or platform.machine()}]
    for n in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(n)
        found.append(
            {
                "key": f"cuda:{n}",
                "name": torch.cuda.get_device_name(n),
                "free_gb": round(free / 2**30, 1),
                "total_gb": round(total / 2**30, 1),
            }
        )
    if torch.backends.mps.is_available():
        found.append({"key": "mps", "name": "GPU of this Mac"})
    return found


def _models() -> dict[str, str]:
    states = {}
    for name, folder in installed().items():
        try:
            states[name] = f"{verify(folder).version}, verified"
        except LiverSegError as problem:
            states[name] = f"unusable: {problem}"
    return states


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
