"""A corrected case as the training package reads it: its files, its facts, and a patient who is told apart, not named.

Standard library only, because the panel asks here, too.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from . import __version__
from .errors import InputError, OutputError
from .labels import LABELS
from .phases import PHASES

IMAGE, LABELS_FILE, AI, FACTS = "image.nii.gz", "labels.nii.gz", "ai.nii.gz", "case.json"
QUEUE = "queue.json"  # in a folder of results: whose turn it is, the most doubtful case first
STATUSES = ("not_started", "in_progress", "completed", "flagged")


@dataclass(frozen=True)
class CaseFacts:
    """What case.json says. `annotated` are the codes that were looked at: any other code is unknown, not background.

    Checked when built: InputError for an unknown phase, code or status. There is no field for a name, a date or a path.
    """

    phase: str
    annotated: tuple[int, ...]
    status: str = "completed"
    model: str = ""
    software: str = f"LiverSeg {__version__}"
    patient: str = ""  # patient_key(), or nothing

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise InputError(f"the phase {self.phase!r} is unknown; expected one of: {', '.join(PHASES)}")
        strange = [code for code in self.annotated if code not in LABELS]
        if strange or not self.annotated:
            raise InputError(f"annotated is {list(self.annotated)}; expected codes of {sorted(LABELS)}, at least one")
        if self.status not in STATUSES:
            raise InputError(f"the status {self.status!r} is unknown; expected one of: {', '.join(STATUSES)}")

    def save(self, folder: Path) -> None:
        (folder / FACTS).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> CaseFacts:
        """Read strictly: InputError for a missing or broken file and for a key that is not ours."""
        path = folder / FACTS
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise InputError(f"{path} cannot be read as JSON ({problem}); expected the facts of a case") from None
        return cls(**_checked(raw, path))


def patient_key(patient_id: str, salt_file: Path) -> str:
    """The same for all scans of a patient in one place, and of no use anywhere else: an HMAC-SHA-256 with a secret salt.

    The salt is made once and kept in `salt_file`, readable by its owner alone. No patient ID, no key: "".
    """
    if not patient_id.strip():
        return ""
    return hmac.new(_salt(salt_file), patient_id.strip().encode("utf-8"), hashlib.sha256).hexdigest()[:32]


def _salt(file: Path) -> bytes:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
            new.write(secrets.token_bytes(32))
    except FileExistsError:
        pass
    except OSError as problem:
        raise OutputError(f"the salt of the patient keys cannot be kept in {file}: {problem.strerror}") from None
    try:
        return file.read_bytes()
    except OSError as problem:
        raise OutputError(f"the salt of the patient keys in {file} cannot be read: {problem.strerror}") from None


def _checked(raw: Any, path: Path) -> Mapping[str, Any]:
    known = {field.name: field.type for field in fields(CaseFacts)}
    if not isinstance(raw, dict) or not {"phase", "annotated"} <= raw.keys():
        raise InputError(f"{path} names no phase or no annotated codes; expected both")
    strange = sorted(raw.keys() - known.keys())
    if strange:
        raise InputError(f"{path} has the unknown keys {', '.join(strange)}; known: {', '.join(known)}")
    annotated = raw["annotated"]
    if not isinstance(annotated, list) or not all(type(code) is int for code in annotated):
        raise InputError(f"{path}: annotated is {annotated!r}; expected a list of codes")
    if not all(isinstance(value, str) for key, value in raw.items() if key != "annotated"):
        raise InputError(f"{path} holds values that are no text; expected text for all keys but annotated")
    return {**raw, "annotated": tuple(annotated)}
