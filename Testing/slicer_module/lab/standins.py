"""Classes for ctk, qMRML and qSlicer, made from the list: exactly the members the real class shows to Python.

Behaviour is what `behaviours/` writes by hand. Everything else is a stub: it checks the number of arguments, counts the call in
`calls` and answers the empty value of its type. A behaviour never shows more than the real class does.
"""

from __future__ import annotations

import re
import types
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui

from . import manifest, qtlayer
from .qtcalls import StandInSignal, bound_signal

calls: Counter[str] = Counter()  # "Class.member" -> calls of a stub
alive: list[Any] = []  # QUiLoader does not keep the Python half of what it makes
BEHAVIOURS: dict[str, type] = {}
SUBSTITUTES = {"QApplication": "QObject", "QVTKOpenGLNativeWidget": "QWidget", "vtkQtChartView": "QWidget"}
EVENTS = {
    "paintEvent",
    "showEvent",
    "hitButton",
    "sizeHint",
    "minimumSizeHint",
}  # C++ virtuals that a behaviour may overwrite
EMPTY: Mapping[str, Callable[[], Any]] = {
    "bool": bool, "int": int, "unsigned int": int, "double": float, "float": float, "qreal": float, "QString": str,
    "QStringList": tuple, "QVariant": lambda: None, "QColor": QtGui.QColor, "QIcon": QtGui.QIcon, "QVariantMap": dict,
    "QSize": QtCore.QSize,
}  # fmt: skip


def behaviour(*names: str) -> Callable[[type], type]:
    """The decorated class gives these stand-ins their behaviour.

    `_get_x` and `_set_x` are those of the property x; `_h_defaults` are values of properties that have neither.
    """

    def register(kind: type) -> type:
        BEHAVIOURS.update(dict.fromkeys(names, kind))
        return kind

    return register


def emit(thing: Any, signal: str, *arguments: Any, overload: int = 0) -> None:
    getattr(thing, signal).emit(*arguments, overload=overload)


def empty(type_name: str) -> Any:
    plain = type_name.replace("const ", "")
    if plain in EMPTY:
        return EMPTY[plain]()
    return None if plain.startswith(("Q", "vtk")) or not re.match(r"^[\w:]+$", plain) else 0


def accepted(name: str, type_name: str, value: Any) -> Any:
    """The value as the property keeps it; AttributeError as PythonQt raises it."""
    numbers = {"bool": bool, "int": int, "unsigned int": int, "double": float, "float": float, "qreal": float}
    if type_name in numbers and (isinstance(value, (bool, int, float)) or hasattr(value, "__index__")):
        return numbers[type_name](value)
    if type_name == "QString" and value is not None:
        return str(value)
    if type_name == "QStringList" and isinstance(value, (list, tuple)):
        return tuple(str(part) for part in value)
    if type_name in numbers or type_name in ("QString", "QStringList"):
        kind = f"{type(value).__name__} ({value!r})"
        raise AttributeError(f"Property '{name}' of type '{type_name}' does not accept an object of type {kind}")
    return value


def _property(name: str, facts: Mapping[str, Any]) -> property:
    type_name, notify, store = facts["type"], facts.get("notify"), f"_h_p_{name}"

    def get(self: Any) -> Any:
        reader = getattr(type(self), f"_get_{name}", None)
        if reader is not None:
            return reader(self)
        return self.__dict__.get(store, getattr(type(self), "_h_defaults", {}).get(name, empty(type_name)))

    def put(self: Any, value: Any) -> None:
        writer = getattr(type(self), f"_set_{name}", None)
        if writer is None and not {"write", "member"} & facts.keys():
            raise AttributeError(f"Property '{name}' of {type(self).__name__} object is not writable")
        value = accepted(name, type_name, value)
        if writer is not None:
            writer(self, value)
            return
        before = get(self)
        self.__dict__[store] = value
        if notify and before != value and bound_signal(self, notify):
            emit(self, notify, value)

    return property(get, put, doc=type_name)


def _stub(name: str, forms: list[Mapping[str, Any]]) -> Callable[..., Any]:
    most = [manifest.arguments_of(form["sig"]) for form in forms]
    counts = [(form.get("required", high), high) for form, high in zip(forms, most)]
    answer = forms[0]["ret"]

    def stub(self: Any, *arguments: Any) -> Any:
        if not any(low <= len(arguments) <= high for low, high in counts):
            known = "; ".join(form["sig"] for form in forms)
            raise ValueError(f"Called {name} with wrong number of arguments: {len(arguments)}; it is {known}")
        calls[f"{type(self).__name__}.{name}"] += 1
        return None if answer == "void" else empty(answer)

    stub.__name__, stub.__doc__ = name, "; ".join(form["sig"] for form in forms)
    return stub


def _setter(name: str) -> Callable[[Any, Any], None]:
    return lambda self, value: setattr(self, name, value)


def _members(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The class dictionary from the list: properties first, for they hide methods of their name."""
    found: dict[str, Any] = {name: _property(name, facts) for name, facts in entry.get("properties", {}).items()}
    for name, forms in entry.get("signals", {}).items():
        overloads = [[part for part in form["sig"][len(name) + 1 : -1].split(",") if part] for form in forms]
        found.setdefault(name, StandInSignal(name, overloads))
    for kind in ("slots", "invokables", "decorators"):
        for name, forms in entry.get(kind, {}).items():
            target = name[3:4].lower() + name[4:]
            if name.startswith("set") and target in entry.get("properties", {}):
                found.setdefault(name, _setter(target))
            elif name != "__init__":
                found.setdefault(name, _stub(name, forms))
    for name, values in entry.get("enums", {}).items():
        for value, number in values.items():
            found.setdefault(value, number)
        found.setdefault(name, type(name, (), dict(values)))
    found.pop("connect", None)
    return found


def _handwritten(name: str) -> dict[str, Any]:
    """The behaviour's members; AttributeError if one has a public name that the real class has not."""
    found: dict[str, Any] = {}
    for kind in reversed(BEHAVIOURS[name].__mro__[:-1]):
        found.update({key: value for key, value in vars(kind).items() if not key.startswith("__")})
    for key in found:
        if not key.startswith("_") and key not in EVENTS and manifest.load().member(name, key) is None:
            raise AttributeError(f"the behaviour of {name} shows {key}, which the real class has not")
    return found


def _base(name: str) -> type:
    api = manifest.load()
    for base in (SUBSTITUTES.get(base, base) for base in api.classes[name]["bases"]):
        if base in api.classes and api.classes[base]["lib"] in ("ctk", "slicer"):
            kind = get(base)
            if issubclass(kind, QtCore.QObject):
                return kind
        elif qtlayer.find(base) is not None:
            return qtlayer.find(base)
    return QtCore.QObject


def _initialiser(base: type) -> Callable[..., None]:
    def initialise(self: Any, *arguments: Any) -> None:
        parents = [given for given in arguments if isinstance(given, QtCore.QObject)]
        others = [given for given in arguments if given is not None and given not in parents]
        base.__init__(self, *others, *parents)  # type: ignore[misc]
        if self.__dict__.get("_h_made"):
            return
        self._h_made = True
        alive.append(self)
        for kind in reversed(type(self).__mro__):
            if "_h_init" in kind.__dict__:
                kind.__dict__["_h_init"](self)

    return initialise


@cache
def get(name: str) -> Any:
    """The stand-in for a class of CTK or Slicer; AttributeError with what to do where the list has no such class."""
    api = manifest.load()
    if name not in api.classes or api.classes[name]["lib"] not in ("ctk", "slicer"):
        raise AttributeError(manifest.missing(name))
    entry, base = api.classes[name], _base(name)
    members = _members(entry)
    if base.__name__ == "QAbstractButton":  # abstract in PySide
        members.setdefault("paintEvent", lambda self, event: None)
    if name in BEHAVIOURS:
        members.update(_handwritten(name))
    members["__module__"] = "ctk" if entry["lib"] == "ctk" else "slicer.qt"
    members["__doc__"] = f"stand-in for {name}"
    members["__init__"] = _initialiser(base)
    return type(base)(name, (base,), members)


def bury() -> None:
    """Forgets the stand-ins whose C++ half is gone, and takes their observers off the scene."""
    for thing in alive:
        if not shiboken6.isValid(thing):
            for watch in (value for key, value in vars(thing).items() if key in ("_h_watch", "_h_names")):
                watch.stop()
    alive[:] = [thing for thing in alive if shiboken6.isValid(thing)]


class Namespace(types.ModuleType):
    """The module `ctk`, or one of Slicer's PythonQt modules: stand-ins come into being when asked for."""

    def __init__(self, name: str, lib: str) -> None:
        super().__init__(name)
        self.__dict__["_lib"] = lib

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or manifest.load().classes.get(name, {"lib": self._lib})["lib"] != self._lib:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        kind = get(name)
        setattr(self, name, kind)
        return kind


def names(lib: str) -> Iterable[str]:
    return (name for name, entry in manifest.load().classes.items() if entry["lib"] == lib)
