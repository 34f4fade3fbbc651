"""Which segment is compared with which: by terminology, then by name. No Qt, no MRML."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_BY_TERMINOLOGY, _BY_NAME = "same terminology", "same name"
_NO_TYPE = {"", "85756007"}  # nothing, and "Tissue", which Slicer gives to a segment that nobody named


@dataclass(frozen=True)
class SegmentFacts:
    """A segment as it is matched; `terminology` is Slicer's entry of seven parts, or ""."""

    id: str
    name: str
    terminology: str = ""

    @property
    def type(self) -> tuple[str, str]:
        """SNOMED code of the type and of its modifier (a side), ("", "") where there is none that says anything."""
        parts = self.terminology.split("~")
        code, side = ("".join(parts[n].split("^")[1:2]) if len(parts) > n else "" for n in (2, 3))
        return ("", "") if code in _NO_TYPE else (code, side)

    @property
    def plain_name(self) -> str:
        """Letters and digits in small print: "Liver", "LIVER_1" and "liver 1" but for the number are one name."""
        flat = unicodedata.normalize("NFKD", self.name).encode("ascii", "ignore").decode().casefold()
        return " ".join(re.findall(r"[a-z]+|\d+", flat))


@dataclass(frozen=True)
class Pair:
    """`right` is None where nothing on the other side was found; `how` says why these two."""

    left: str
    right: str | None
    how: str = ""


def matched(left: Sequence[SegmentFacts], right: Sequence[SegmentFacts]) -> list[Pair]:
    """A pair for each segment on the left, in their order; no segment on the right is used twice."""
    found: dict[str, Pair] = {}
    free = list(right)
    for how, key in ((_BY_TERMINOLOGY, lambda s: s.type if any(s.type) else None), (_BY_NAME, lambda s: s.plain_name)):
        for one in left:
            if one.id in found or not key(one):
                continue
            other = next((s for s in free if key(s) == key(one)), None)
            if other is not None:
                found[one.id] = Pair(one.id, other.id, how)
                free.remove(other)
    return [found.get(one.id, Pair(one.id, None)) for one in left]
