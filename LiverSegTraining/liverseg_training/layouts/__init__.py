"""Data sets as they lie on disk, by name. Adding one is adding a file to this folder.

The file's name is the layout's name, and its `LAYOUT` is the row: title, licence, citation, phase, label map, split, and
`find`, which makes a Case of every scan below a folder. Files whose names start with an underscore are helpers. Only the
file that was asked for is imported.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from liverseg_core.errors import InputError

if TYPE_CHECKING:
    from ..cases import Case
    from ..sections import Data
    from ._layout import Layout

OURS = ("cases", "liverseg")  # one folder a case, as training itself reads it


def names() -> tuple[str, ...]:
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_")))


def layout_named(name: str) -> Layout:
    """InputError names the layouts there are."""
    if name not in names():
        near = get_close_matches(name, names(), 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"unknown layout {name!r}; {hint}known: {', '.join(names())}")
    row: Layout = import_module(f"{__name__}.{name}").LAYOUT
    return row


def cases_of(folder: Path, data: Data) -> tuple[Case, ...]:
    """The cases that an experiment's [data] asks for."""
    from ..cases import list_cases

    if data.layout in OURS:
        return list_cases(folder, data.include, data.also)
    further = [case for name in data.also for case in list_cases(Path(name), data.include)]
    return (*cases_below(folder, data.layout, data.include), *further)


def cases_below(
    folder: Path, name: str, include: Sequence[str] = ("*",), exclude: Sequence[str] = ()
) -> tuple[Case, ...]:
    """Every labelled case of a data set whose id matches, those that cannot be used among them: reading them says why.

    InputError where the folder is not laid out so, or nothing matches.
    """
    row = layout_named(name)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; expected {row.title}: {row.expects}")
    every = sorted(row.find(folder), key=lambda case: case.id)
    if not every:
        raise InputError(f"{folder} does not hold {row.title}; expected {row.expects}")
    cases = tuple(
        case
        for case in every
        if any(fnmatch(case.id, pattern) for pattern in include)
        and not any(fnmatch(case.id, pattern) for pattern in exclude)
    )
    if not cases:
        raise InputError(f"none of the {len(every)} cases is left, such as {every[0].id}; expected ids that match")
    return cases
