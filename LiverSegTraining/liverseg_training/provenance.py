"""What a run was made of: versions, and a hash of every case on both sides. Written beside the checkpoints."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import liverseg_core

from .cache import CachedCase

NAME = "provenance.json"
_PACKAGES = ("torch", "monai", "numpy", "scipy", "SimpleITK", "safetensors")


def provenance(training: Sequence[CachedCase], validation: Sequence[CachedCase], device: str) -> dict[str, Any]:
    """Versions, device, and case -> digest of its voxels as the stage sees them."""
    return {
        "liverseg": liverseg_core.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "device": device,
        "packages": {name: _version(name) for name in _PACKAGES},
        "training": {case.case.id: case.digest for case in training},
        "validation": {case.case.id: case.digest for case in validation},
    }


def save_provenance(record: dict[str, Any], folder: Path) -> None:
    (folder / NAME).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def load_provenance(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / NAME).read_text(encoding="utf-8"))) if (folder / NAME).exists() else {}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
