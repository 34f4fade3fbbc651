"""The module `qt`: PySide6 with the rules of PythonQt laid over it, for the whole process.

    * a Q_PROPERTY is an attribute (`w.text`, `w.enabled = True`) and hides a method of the same name
    * `name` is objectName; children can be reached by their object name
    * a new attribute on a C++ object, a wrong type for a property and an overwritten slot or signal are AttributeErrors
    * `className()`, `delete()`, plain numbers for enums; `connect` and `disconnect` as in `qtcalls`

Not so here: in Slicer `isinstance(button, qt.QWidget)` is False, for its wrappers know no base classes (the checker refuses it).
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable
from functools import cache
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from . import qtcalls

PARTS = (QtCore, QtGui, QtWidgets, QtUiTools)
VIRTUAL = {
    "sizeHint",
    "minimumSizeHint",
    "singleShot",
}  # PySide would enter the getter again; for QTimer see SingleShot
QObject = QtCore.QObject
_property, _set_property = QObject.property, QObject.setProperty
LIST_TYPES = {"QStringList"}
naming: list[
    bool
] = []  # filled while PySide's loader writes the names of the children into the page, as PythonQt does not


def find(name: str) -> Any:
    """A class of PySide6, or None."""
    return next((getattr(part, name) for part in PARTS if hasattr(part, name)), None)


def _native(kind: type) -> bool:
    return kind.__module__.startswith(("PySide6", "ctk", "slicer.qt"))


def _dynamic(thing: Any) -> list[str]:
    return [bytes(name).decode() for name in thing.dynamicPropertyNames()]


def _make_property(name: str, reader: Callable[[Any], Any] | None, writable: bool, type_name: str) -> property:
    def get(self: Any) -> Any:
        value = reader(self) if reader is not None else _property(self, name)
        return tuple(value) if type_name in LIST_TYPES else value

    def put(self: Any, value: Any) -> None:
        if not writable:
            raise AttributeError(f"Property '{name}' of {type(self).__name__} object is not writable")
        if type_name == "QString" and value is not None:
            value = str(value)
        if value is None or not _set_property(self, name, value):
            kind = f"{type(value).__name__} ({value!r})"
            raise AttributeError(f"Property '{name}' of type '{type_name}' does not accept an object of type {kind}")

    return property(get, put, doc=f"Qt property {name}: {type_name}")


def _with_properties() -> list[type]:
    """Every QObject class of PySide6, its properties turned into attributes."""
    found = (getattr(part, name) for part in PARTS for name in dir(part))
    classes = [kind for kind in found if isinstance(kind, type) and issubclass(kind, QObject)]
    before = {kind: dict(kind.__dict__) for kind in classes}
    for kind in classes:
        meta = kind.staticMetaObject  # type: ignore[attr-defined]
        for number in range(meta.propertyCount()):
            facts = meta.property(number)
            own = number >= meta.propertyOffset() and meta.className() == kind.__name__
            _turn(kind, facts, own, before[kind].get(facts.name()))
    return classes


def _turn(kind: type, facts: Any, own: bool, reader: Any) -> None:
    """A property inherited unchanged is left to the base; a method of its name in this class is its reader."""
    shadow = isinstance(reader, (staticmethod, classmethod)) or type(reader).__name__ == "Signal"
    if facts.name() in VIRTUAL or shadow or not (own or reader is not None):
        return
    setattr(kind, facts.name(), _make_property(facts.name(), reader, facts.isWritable(), facts.typeName()))


def _attribute(kind: type, name: str) -> Any:
    return next((base.__dict__[name] for base in kind.__mro__ if name in base.__dict__), None)


def _set_attribute(self: Any, name: str, value: Any) -> None:
    kind = type(self)
    found = _attribute(kind, name)
    if found is not None and hasattr(type(found), "__set__") and type(found).__name__ != "getset_descriptor":
        found.__set__(self, value)
        return
    # PySide keeps bound signals as attributes; ours begin with _h_
    if not _native(kind) or name.startswith("_h_") or isinstance(value, QtCore.SignalInstance):
        _plain_setattr(self, name, value)
    elif found is not None:
        what = "Signal" if type(found).__name__ in ("Signal", "StandInSignal") else "Slot"
        raise AttributeError(f"{what} '{name}' can not be overwritten on {kind.__name__} object")
    elif name in _dynamic(self):
        _set_property(self, name, value)
    elif not naming:
        raise AttributeError(
            f"'{name}' does not exist on {kind.__name__} and creating new attributes on C++ objects is not allowed"
        )


_plain_setattr = QObject.__mro__[1].__setattr__  # of Shiboken.Object; callable once all the classes have ours


def _missing_attribute(self: Any, name: str) -> Any:
    if not name.startswith("__"):
        if name in _dynamic(self):
            return _property(self, name)
        for child in self.children():
            if _property(child, "objectName") == name:
                return child
        found = _attribute(type(self), name)
        if isinstance(found, int):  # values of enums
            return found
    raise AttributeError(f"{type(self).__name__} has no attribute named '{name}'")


def _single_shot(msec: int, function: Any, member: str | None = None) -> None:
    timer = QtCore.QTimer(QtCore.QCoreApplication.instance())
    timer.setSingleShot(True)
    timer.timeout.connect(lambda: qtcalls.call(function if member is None else getattr(function, member), ()))
    timer.timeout.connect(timer.deleteLater)
    timer.start(int(msec))


class SingleShot:
    """QTimer.singleShot(msec, function) of the class; `timer.singleShot = True` of an object."""

    def __get__(self, timer: Any, kind: type | None = None) -> Any:
        return _single_shot if timer is None else timer.isSingleShot()

    def __set__(self, timer: Any, on: bool) -> None:
        timer.setSingleShot(bool(on))


def _find_children() -> None:
    """`findChild("QLabel", "name")` and `findChild(qt.QLabel, "name")`."""
    one, many = QObject.findChild, QObject.findChildren

    def kind(given: Any) -> Any:
        return (find(given) or QObject) if isinstance(given, str) else given

    QObject.findChild = lambda self, given, name="": one(self, kind(given), *([name] if name else []))  # type: ignore[assignment]
    QObject.findChildren = lambda self, given, name="": many(self, kind(given), *([name] if name else []))  # type: ignore[assignment]


@cache
def build() -> types.ModuleType:
    """The module `qt`. Once: PySide6 itself is changed."""
    qt = types.ModuleType("qt", "PySide6 under the rules of PythonQt")
    for part in PARTS:
        for name in dir(part):
            if not name.startswith("_"):
                setattr(qt, name, getattr(part, name))
    classes = _with_properties()
    for kind in classes:
        kind.__setattr__ = _set_attribute  # type: ignore[method-assign, assignment]
    extra: Any = QObject
    extra.__getattr__ = _missing_attribute
    extra.name = property(
        lambda self: _property(self, "objectName"), lambda self, value: _set_property(self, "objectName", value)
    )
    extra.className = lambda self: self.metaObject().className()
    extra.delete = lambda self: self.deleteLater()
    qtcalls.lay_over(classes)
    _find_children()
    color: Any = QtGui.QColor
    native_name = color.name
    color.name = lambda self, form=0: native_name(
        self, QtGui.QColor.NameFormat(form) if isinstance(form, int) else form
    )
    QtCore.QTimer.singleShot = SingleShot()  # type: ignore[assignment]
    return qt


def optional(name: str) -> Any:
    """PySide6.QtSvg and the like, where they are installed."""
    try:
        return importlib.import_module(f"PySide6.{name}")
    except ImportError:
        return None
