"""Our own two layouts, a folder a case: what training reads itself, listed so that a broken one is told of, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from liverseg_core.errors import InputError

from ..cases import Case, case_in
from ..splits import NEVER, read_split
from ._layout import refused

SPLIT = "split.json"


def own_cases(folder: Path, facts: str) -> Iterator[Case]:
    """Every sub-folder that holds `facts`; `part` follows split.json where there is one."""
    root = folder / "cases" if (folder / "cases").is_dir() else folder
    split = next((place / SPLIT for place in (folder, root) if (place / SPLIT).exists()), None)
    parts, problem = _parts(split) if split else ({}, "")
    if problem:
        yield refused(SPLIT, "ct_unknown", "split_unreadable", problem)
    named = set(parts)
    for place in sorted(path.parent for path in root.glob(f"*/{facts}")):
        named.discard(place.name)
        try:
            case = case_in(place)
        except InputError as fault:
            yield refused(place.name, "ct_unknown", "facts_unreadable", str(fault))
            continue
        yield replace(case, part=parts.get(case.id, case.part or ("training" if parts else "")))
    for name in sorted(named):
        yield refused(name, "ct_unknown", "split_names_nobody", f"{SPLIT} names {name}, and no case is called so")


def _parts(split: Path) -> tuple[dict[str, str], str]:
    """Case id -> part, or why the split cannot be read."""
    try:
        held, never = read_split(split)
    except InputError as problem:
        return {}, str(problem)
    return {**dict.fromkeys(never, "test"), **dict.fromkeys(held, "validation")}, ""


__all__ = ["NEVER", "SPLIT", "own_cases"]
