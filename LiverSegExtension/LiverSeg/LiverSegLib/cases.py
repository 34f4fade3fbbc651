"""The case list: a folder of scans, where each one stands, and what goes to the training set. No Qt, no MRML."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from liverseg_core.case_folder import QUEUE, STATUSES, CaseFacts
from liverseg_core.cohort.table import read_cases
from liverseg_core.errors import InputError, LiverSegError

STATUS_FILE = "liverseg-status.json"
STATUS_TEXTS = dict(zip(STATUSES, ("Not started", "In progress", "Completed", "Flagged"), strict=True))


@dataclass(frozen=True)
class ListedCase:
    """A scan of the folder. `result` is the folder of its results where they lie already; `why` says why its turn comes
    when it does, where `liverseg-train queue` ranked it."""

    name: str
    scan: Path
    status: str = "not_started"
    problem: str = ""
    result: Path | None = None
    why: str = ""


def find_cases(folder: Path, results: Path | None = None) -> list[ListedCase]:
    """What `liverseg cohort` would read there, with the status saved beside them: ranked ones first, in the order of
    `liverseg-train queue`, and the others after them in that of the cohort.

    `results` is the folder of a cohort. InputError for a folder that is none or that holds no scan.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; choose one with a scan, or a folder of DICOM files, for each case")
    status, queue = load_status(folder), load_queue(results)
    turns = {name: n for n, name in enumerate(queue)}
    listed = [
        ListedCase(
            case.case, case.scan, status.get(case.case, STATUSES[0]), case.problem, _result(results, case.folder),
            queue.get(case.case, ""),
        )
        for case in read_cases(folder)
        if case.scan is not None
    ]  # fmt: skip
    return sorted(listed, key=lambda case: turns.get(case.name, len(turns)))


def load_queue(results: Path | None) -> dict[str, str]:
    """Case -> why its turn comes when it does, in the order of turns; nothing where nobody ranked them. InputError for a
    file that cannot be read."""
    path = results / QUEUE if results is not None else None
    if path is None or not path.is_file():
        return {}
    try:
        return {str(row["case"]): str(row["why"]) for row in json.loads(path.read_text(encoding="utf-8"))["cases"]}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{path} cannot be read ({problem}); rank again with `liverseg-train queue`") from None


def load_status(folder: Path) -> dict[str, str]:
    """Case -> status; what is not known is left out, and a file that cannot be read is refused, not overwritten."""
    path = folder / STATUS_FILE
    if not path.exists():
        return {}
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        told = raw["status"]
        return {str(name): status for name, status in told.items() if status in STATUSES}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise InputError(f"{path} cannot be read ({problem}); move it away to start a new list") from None


def save_status(folder: Path, status: Mapping[str, str]) -> None:
    """Beside the cases, whole or not at all. InputError where the folder cannot be written to."""
    wrong = sorted(set(status.values()) - set(STATUSES))
    if wrong:
        raise InputError(f"unknown status {', '.join(wrong)}; expected one of: {', '.join(STATUSES)}")
    text = json.dumps({"status": dict(sorted(status.items()))}, indent=1, ensure_ascii=False) + "\n"
    try:
        handle, room = tempfile.mkstemp(dir=folder, prefix=f".{STATUS_FILE}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(room).replace(folder / STATUS_FILE)
        finally:
            Path(room).unlink(missing_ok=True)
    except OSError as problem:
        raise InputError(f"the status cannot be saved in {folder}: {problem.strerror}") from None


def neighbour(cases: Sequence[ListedCase], name: str, step: int) -> ListedCase | None:
    """The next (1) or previous (-1) case that can be opened; None at the ends."""
    names = [case.name for case in cases]
    at = names.index(name) + step if name in names else (0 if step > 0 else len(cases) - 1)
    while 0 <= at < len(cases):
        if not cases[at].problem:
            return cases[at]
        at += step
    return None


def training_arguments(scan: Path, mask: Path, into: Path, facts: CaseFacts, ai: Path | None = None) -> list[str]:
    """For the worker: `liverseg case`, which writes CONTRACT's layout and checks that no header carries text along.

    `facts.patient` comes from liverseg_core.case_folder.patient_key; CaseFacts refuses the phase "auto".
    """
    arguments = ["case", str(scan), str(mask), "--into", str(into), "--phase", facts.phase, "--status", facts.status]
    arguments += ["--annotated", ",".join(map(str, facts.annotated))]
    for option, value in (("--ai", ai), ("--model", facts.model), ("--patient-key", facts.patient)):
        arguments += [option, str(value)] if value else []
    return arguments


def travelling_names(texts: Iterable[str], patient: Mapping[str, object]) -> list[str]:
    """The patient fields whose value stands in one of the texts that would be written: the check before sending."""
    written = [text.casefold() for text in texts]
    found = []
    for field, value in patient.items():
        word = str(value).strip().casefold()
        if len(word) > 2 and any(word in text for text in written):
            found.append(field)
    return found


def _result(results: Path | None, folder: str) -> Path | None:
    place = results / folder if results is not None else None
    try:
        return place if place is not None and (place / "report.json").is_file() else None
    except (OSError, LiverSegError):
        return None
