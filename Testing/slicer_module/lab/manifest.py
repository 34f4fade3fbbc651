"""slicer_api.json: what Python sees of the Qt, CTK, qMRML and qSlicer classes that the module uses. Names and types only.

The file is cut from the list of every class (`reduce`), which is too long to keep here. One class looks like

    {"bases": [...], "lib": "ctk", "properties": {name: {"type", "write"?, "notify"?}}, "slots" | "invokables" | "signals":
     {name: [{"sig", "ret", "required"?}]}, "enums": {name: {value: number}}, "methods": [...], "cpp_only": [...], "qt6_only": [...]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

API_FILE = Path(__file__).with_name("slicer_api.json")
HOW_TO_ADD = "add it: python scripts/reduce_api.py FULL_LIST.json --add {name}"

# what PythonQt gives every object, whatever its class
EVERY_OBJECT = {
    "name", "className", "help", "inherits", "delete", "connect", "disconnect", "setParent", "parent", "children",
    "findChild", "findChildren", "property", "setProperty", "tr", "metaObject", "objectName", "setObjectName",
    "blockSignals", "signalsBlocked", "deleteLater", "isWidgetType", "eventFilter", "installEventFilter",
    "removeEventFilter", "dynamicPropertyNames",
}  # fmt: skip
KINDS = ("properties", "slots", "invokables", "signals", "decorators", "enums")


@dataclass(frozen=True)
class Member:
    """Where a name of a class comes from: kind ("properties", "slots", ..., "method", "value") and the class that has it."""

    kind: str
    owner: str


@dataclass(frozen=True)
class Api:
    """The classes by name, and the names of Qt's plain values and namespaces (`Qt`, `QColor`, ...) in use."""

    classes: Mapping[str, Mapping[str, Any]]
    values: frozenset[str]

    def lineage(self, name: str) -> Iterator[str]:
        """The class and its bases, nearest first; bases outside the list are left out."""
        seen, queue = set(), [name]
        while queue:
            current = queue.pop(0)
            if current in seen or current not in self.classes:
                continue
            seen.add(current)
            yield current
            queue += self.classes[current]["bases"]

    def inherits(self, name: str, base: str) -> bool:
        return base in self.lineage(name)

    def member(self, class_name: str, name: str) -> Member | None:
        """None where Python does not see such a name in Qt 5.15 (what only Qt 6 has does not count)."""
        if name in EVERY_OBJECT:
            return Member("method", "QObject")
        for owner in self.lineage(class_name):
            entry = self.classes[owner]
            if name in entry.get("qt6_only", ()):
                return None
            for kind in KINDS:
                if name in entry.get(kind, {}):
                    return Member(kind, owner)
            if name in entry.get("methods", ()):
                return Member("method", owner)
            if any(name in values for values in entry.get("enums", {}).values()):
                return Member("value", owner)
        return None

    def only_cpp(self, class_name: str, name: str) -> bool:
        return any(name in self.classes[owner].get("cpp_only", ()) for owner in self.lineage(class_name))

    def property(self, class_name: str, name: str) -> Mapping[str, Any] | None:
        return next(
            (
                found
                for owner in self.lineage(class_name)
                if (found := self.classes[owner].get("properties", {}).get(name))
            ),
            None,
        )

    def has_signature(self, class_name: str, kinds: tuple[str, ...], signature: str) -> bool:
        """`signature` as in a .ui file or `connect`: "clicked(bool)"; default arguments give the shorter forms."""
        wanted = plain_signature(signature)
        name, count = wanted.split("(")[0], arguments_of(wanted)
        for owner in self.lineage(class_name):
            for kind in kinds:
                for entry in self.classes[owner].get(kind, {}).get(name, ()):
                    full = plain_signature(entry["sig"])
                    if full == wanted or (full.startswith(wanted[:-1]) and entry.get("required", 99) <= count):
                        return True
        return False


def plain_signature(signature: str) -> str:
    without = re.sub(r"\bconst\s+|&", "", signature)
    return re.sub(r"\s*([,*()])\s*", r"\1", without).strip()


def arguments_of(signature: str) -> int:
    return 0 if signature.endswith("()") else signature.count(",") + 1


@cache
def load(file: Path = API_FILE) -> Api:
    raw = json.loads(file.read_text(encoding="utf-8"))
    return Api(raw["classes"], frozenset(raw["values"]))


def missing(name: str) -> str:
    """The sentence for a class that the committed list has not."""
    return f"class {name} is not in {API_FILE.name}; if Slicer has it, {HOW_TO_ADD.format(name=name)}"
