"""Finding files below a folder that somebody unpacked: nested once more, littered, or still zipped."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

from liverseg_core.errors import InputError

NIFTI = r"\.nii(\.gz)?"
_NUMBER = re.compile(r"(\d+)")


def files_below(folder: Path, pattern: str) -> Iterator[tuple[Path, re.Match[str]]]:
    """Files whose path below `folder` ends in `pattern` (a regular expression over whole names, folders parted by /).

    What file managers leave behind (._name, .DS_Store, __MACOSX) is passed over; so are hidden folders.
    """
    wanted = re.compile(rf"(?:.*/)?{pattern}")
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not litter(name))
        for name in sorted(files, key=natural):
            path = Path(place) / name
            found = None if litter(name) else wanted.fullmatch(path.relative_to(folder).as_posix())
            if found is not None:
                yield path, found


def folders_below(folder: Path, pattern: str) -> Iterator[tuple[Path, re.Match[str]]]:
    """The same for folders, `folder` itself among them; nothing is looked for inside of one that was found."""
    wanted = re.compile(rf"(?:.*/)?{pattern}")
    own = wanted.fullmatch(folder.resolve().name)
    if own is not None:
        yield folder, own
        return
    for place, folders, _ in os.walk(folder):
        for name in sorted(folders, key=natural):  # a sorted copy: what was found is not walked through
            path = Path(place) / name
            found = None if litter(name) else wanted.fullmatch(path.relative_to(folder).as_posix())
            if found is not None:
                yield path, found
                folders.remove(name)
        folders[:] = sorted(name for name in folders if not litter(name))


def litter(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts image_2 before image_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _NUMBER.split(name)]


def plain(key: str) -> str:
    """A number however it was padded: 007 and 7 are one case."""
    return str(int(key)) if key.isdigit() else key


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a table: UTF-8 with a byte-order mark or without, commas, semicolons or tabs. InputError for others."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"{path} cannot be read as a table ({problem}); expected CSV in UTF-8") from None
    first = text.partition("\n")[0]
    sign = max(",;\t", key=first.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=sign)
    return [{(k or "").strip(): (v or "").strip() for k, v in row.items() if isinstance(v, str)} for row in rows]
