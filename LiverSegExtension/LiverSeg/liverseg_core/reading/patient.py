"""A patient file: JSON with what is known of the body. Its keys are checked where they are used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError


def read_patient(path: Path) -> Mapping[str, Any]:
    """The keys and values of the file. InputError for what is not one JSON object."""
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a patient file (JSON)") from None
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror or problem}") from None
    except ValueError as problem:
        raise InputError(f"{path} is not JSON ({problem}); expected a patient file") from None
    if not isinstance(parsed, dict):
        raise InputError(f"{path} holds no JSON object; expected a patient file with keys such as height_cm, weight_kg")
    return parsed
