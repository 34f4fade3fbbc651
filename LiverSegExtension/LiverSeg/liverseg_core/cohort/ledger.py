"""case.json: what was asked for, what came of it, and the digest of every file beside it. So a resumed run knows what is done."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .. import __version__
from .records import Case, Outcome, Row, Settings

LEDGER = "case.json"


def asked(case: Case, settings: Settings) -> dict[str, Any]:
    """Everything that the results depend on, plain; the inputs by their paths."""
    plain = asdict(replace(case, body={}))
    plain |= plain.pop("fat") or {}
    line = {key: _text(value) for key, value in plain.items() if value not in (None, {}, "", ())}
    return {"version": __version__, "case": line, "body": dict(case.body), "settings": asdict(settings)}


def stamps(case: Case) -> dict[str, list[int]]:
    """Of each input file or folder: count, bytes, latest change (ns). Missing ones are left out."""
    found = {}
    for path in case.inputs:
        if path.exists():
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            states = [file.stat() for file in files]
            latest = max((state.st_mtime_ns for state in states), default=0)
            found[str(path)] = [len(states), sum(state.st_size for state in states), latest]
    return found


def save_ledger(outcome: Outcome, question: Mapping[str, Any], inputs: Mapping[str, list[int]], folder: Path) -> None:
    """Last of all files: it holds the digests of the others."""
    plain = asdict(outcome)
    for row in plain["rows"]:
        row["value"] = row["value"] if math.isfinite(row["value"]) else None  # NaN is not JSON
    files = {name: _digest(folder / name) for name in _names(folder)}
    content = {"asked": question, "inputs": inputs, "files": files, "outcome": plain}
    (folder / LEDGER).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def verified(case: Case, settings: Settings, folder: Path) -> Outcome | None:
    """What came of a case that is done, where the question is the same, no input changed, and every file is as it was
    written; otherwise nothing. An input that is no longer there does not undo what was made from it."""
    content = _content(folder)
    if content is None or content.get("asked") != asked(case, settings):
        return None
    try:
        now, files = stamps(case), content["files"]
        unchanged = all(content["inputs"].get(path) == stamp for path, stamp in now.items())
        whole = set(files) == set(_names(folder)) and all(_digest(folder / n) == digest for n, digest in files.items())
        return _outcome(content["outcome"]) if unchanged and whole else None
    except (OSError, KeyError, TypeError, AttributeError):
        return None


def outcome_in(folder: Path) -> Outcome | None:
    """What case.json says, unverified."""
    content = _content(folder)
    return None if content is None else _outcome(content["outcome"])


def _text(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _content(folder: Path) -> dict[str, Any] | None:
    try:
        content = json.loads((folder / LEDGER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _names(folder: Path) -> Iterable[str]:
    return sorted(file.name for file in folder.iterdir() if file.is_file() and file.name != LEDGER)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _outcome(content: Mapping[str, Any]) -> Outcome:
    rows = [{**row, "value": math.nan if row["value"] is None else float(row["value"])} for row in content["rows"]]
    return Outcome(**{**content, "rows": tuple(Row(**row) for row in rows)})
