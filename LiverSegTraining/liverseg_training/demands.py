"""The refusals of an experiment: what is not understood is one sentence, and an unknown key names its nearest neighbour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from liverseg_core.errors import InputError


def known_keys(raw: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for key in raw:
        if key not in allowed:
            near = get_close_matches(key.lower(), allowed, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(allowed)}"
            raise InputError(f"{where}: unknown key {key!r}; {hint}")


def known_row(row: Mapping[str, Any], table: Mapping[str, Sequence[str]], where: str, *always: str) -> None:
    """A table {kind, ...} whose kind is a key of `table` and whose other keys are those of that row."""
    one_of(f"{where}.kind", str(row.get("kind", "")), tuple(table))
    known_keys(row, ("kind", *always, *table[row["kind"]]), f"{where} {row['kind']}")


def one_of(where: str, value: str, allowed: Sequence[str]) -> None:
    demand(value in allowed, f"{where} must be one of {', '.join(allowed)}, not {value!r}")


def demand(condition: bool, sentence: str) -> None:  # noqa: FBT001
    if not condition:
        raise InputError(sentence)
