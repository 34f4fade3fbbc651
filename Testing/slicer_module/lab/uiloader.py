"""QUiLoader for .ui files that name CTK and qMRML classes; an unknown class, property or slot is an error, not a warning."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools

from . import manifest, qtcalls, qtlayer, standins

_kept: list[Any] = []
SIMPLE: Mapping[str, Callable[[str], Any]] = {
    "bool": lambda text: text.strip() == "true",
    "number": int, "longlong": int, "uint": int, "double": float, "float": float, "string": str, "cstring": str,
}  # fmt: skip


def bury() -> None:
    """Forgets the pages that are gone."""
    _kept[:] = [(page, named) for page, named in _kept if shiboken6.isValid(page)]


def _enum(kind: type, text: str, where: str) -> Any:
    """ "ctkPathLineEdit::Files|ctkPathLineEdit::Readable", by name, from the stand-in, else from Qt."""
    result: Any = 0
    for part in text.split("|"):
        scope, _, name = part.strip().rpartition("::")
        found = getattr(kind, name, None)
        if isinstance(found, int):
            result |= found
            continue
        owner = qtlayer.find(scope.split("::")[0])
        result = getattr(owner, name, None)
        if result is None:
            raise RuntimeError(f"{where}: unknown value {part.strip()}")
    return result


def _value(element: ET.Element, kind: type, where: str) -> Any:
    inner = element[0]
    text = inner.text or ""
    if inner.tag in SIMPLE:
        return SIMPLE[inner.tag](text)
    if inner.tag == "stringlist":
        return [part.text or "" for part in inner.findall("string")]
    if inner.tag in ("enum", "set"):
        return _enum(kind, text, where)
    if inner.tag == "color":
        return QtGui.QColor(*[int(inner.findtext(part) or 0) for part in ("red", "green", "blue")])
    if inner.tag == "size":
        return QtCore.QSize(int(inner.findtext("width") or 0), int(inner.findtext("height") or 0))
    raise RuntimeError(f"{where}: <{inner.tag}> is not read here")


def _natively(kind: type, name: str) -> bool:
    """PySide's own loader can set it: a Qt property that no stand-in took over."""
    for base in kind.__mro__:
        if name in base.__dict__:
            return base.__module__.startswith("PySide6") and isinstance(base.__dict__[name], property)
    return False


class QUiLoader:
    """`load(file)` as slicer.util.loadUI calls it."""

    def load(self, file: Any, parent: Any = None) -> Any:
        path = Path(file if isinstance(file, str) else file.fileName())
        plain, later, links = _read(path, path.stat().st_mtime_ns)
        buffer = QtCore.QBuffer()
        buffer.setData(plain)
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        loader = _loader()
        loader.setWorkingDirectory(QtCore.QDir(str(path.parent)))
        qtlayer.naming.append(True)
        try:
            page = loader.load(buffer, parent)
        finally:
            qtlayer.naming.clear()
        if page is None:
            raise RuntimeError(f"{path.name}: {loader.errorString()}")
        named = {thing.objectName: thing for thing in [page, *page.findChildren(QtCore.QObject)] if thing.objectName}
        _kept.append((page, named))
        for name, attribute, value in later:
            setattr(named[name], attribute, value)
        for link in links:
            _link(named, link, path.name)
        return page


@cache
def _loader() -> QtUiTools.QUiLoader:
    """One for all pages: telling a loader its classes takes longer than the page."""
    return QtUiTools.QUiLoader()


@cache
def _known(kind: type) -> None:
    _loader().registerCustomWidget(kind)


@cache
def _read(path: Path, _modified_ns: int) -> tuple[bytes, list[tuple[str, str, Any]], list[tuple[str, ...]]]:
    """What Qt's loader gets of a file, the properties that are set afterwards, and the connections."""
    root = ET.parse(path).getroot()
    later = [setting for widget in root.iter("widget") for setting in _taken(widget, path.name)]
    links = _cut(root)
    return ET.tostring(root), later, links


def _taken(widget: ET.Element, file: str) -> list[tuple[str, str, Any]]:
    """The properties of a stand-in that Qt's loader can not set, taken out of the tree."""
    kind_name, name = widget.get("class", ""), widget.get("name", "")
    if kind_name == "Line" or kind_name not in manifest.load().classes:
        if kind_name != "Line" and qtlayer.find(kind_name) is None:
            raise RuntimeError(f"{file}: {manifest.missing(kind_name)}")
        return []
    if manifest.load().classes[kind_name]["lib"].startswith("Qt"):
        return []
    kind, taken = standins.get(kind_name), []
    _known(kind)
    for element in widget.findall("property"):
        attribute = element.get("name", "")
        if element.get("stdset") == "0" or _natively(kind, attribute):
            continue
        if not any(isinstance(base.__dict__.get(attribute), property) for base in kind.__mro__):
            raise RuntimeError(f"{file}: {kind_name} '{name}' has no property '{attribute}'")
        taken.append((name, attribute, _value(element, kind, f"{file}: {name}.{attribute}")))
        widget.remove(element)
    return taken


def _cut(root: ET.Element) -> list[tuple[str, ...]]:
    """Connections are made here; custom classes are registered, not promoted."""
    links = [
        tuple(link.findtext(key) or "" for key in ("sender", "signal", "receiver", "slot"))
        for link in root.iter("connection")
    ]
    for tag in ("connections", "customwidgets"):
        found = root.find(tag)
        if found is not None:
            root.remove(found)
    return links


def _link(named: Mapping[str, Any], link: tuple[str, ...], file: str) -> None:
    sender, signal, receiver, slot = link
    if sender not in named or receiver not in named:
        raise RuntimeError(f"{file}: connection between unknown objects {sender} -> {receiver}")
    target, name = named[receiver], slot.split("(")[0]
    if not hasattr(type(target), name):
        raise RuntimeError(f"{file}: {type(target).__name__} has no slot {slot}")
    qtcalls.connect(named[sender], signal, getattr(target, name))
