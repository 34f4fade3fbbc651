"""Signals and slots as PythonQt has them: `w.connect("clicked(bool)", f)`, short argument lists, exceptions that are only told."""

from __future__ import annotations

import inspect
import re
import traceback
import types
from collections.abc import Callable, Sequence
from typing import Any

from PySide6 import QtCore

errors: list[BaseException] = []  # what slots raised; PythonQt prints it and goes on, a test wants to know
_links: dict[tuple[int, str], list[tuple[Callable[..., Any], Callable[..., Any]]]] = {}
_native_connect = QtCore.QObject.connect
_native_disconnect = QtCore.QObject.disconnect


def accepts(function: Callable[..., Any]) -> int | None:
    """How many positional arguments PythonQt passes at most; None = all (partials, *args, built-ins)."""
    bound = 0
    if inspect.ismethod(function):
        function, bound = function.__func__, 1
    if not inspect.isfunction(function) or function.__code__.co_flags & inspect.CO_VARARGS:
        return None
    return function.__code__.co_argcount - bound


def call(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    count = accepts(function)
    try:
        return function(*arguments[:count])
    except Exception as error:
        traceback.print_exc()
        errors.append(error)
        return None


def split_signature(signature: str) -> tuple[str, list[str] | None]:
    """ "clicked(bool)" -> ("clicked", ["bool"]); without brackets the arguments are None."""
    match = re.match(r"^\s*[12]?([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*$", signature)
    if not match:
        raise ValueError(f"not a signature of a signal or slot: {signature!r}")
    name, inside = match.groups()
    return name, None if inside is None else [part.strip() for part in inside.split(",") if part.strip()]


class BoundSignal:
    """A signal of one stand-in object, with the overloads of the real class."""

    def __init__(self, owner: Any, name: str, overloads: list[list[str]]) -> None:
        self.owner, self.name, self.overloads = owner, name, overloads
        self._slots: list[tuple[int, Callable[..., Any]]] = []

    def _overload(self, arguments: list[str] | None) -> int:
        if arguments is None:
            return 0
        wanted = [re.sub(r"\bconst\s+|[& ]", "", argument) for argument in arguments]
        for number, overload in enumerate(self.overloads):
            if [argument.replace(" ", "") for argument in overload] == wanted:
                return number
        asked, known = ",".join(arguments), "; ".join(f"{self.name}({','.join(o)})" for o in self.overloads)
        raise RuntimeError(f"{type(self.owner).__name__} has no signal {self.name}({asked}); it has {known}")

    def connect(self, slot: Any, arguments: list[str] | None = None) -> bool:
        slot = getattr(slot, "emit", slot)
        if not callable(slot):
            raise TypeError("signal.connect() needs something that can be called")
        self._slots.append((self._overload(arguments), slot))
        return True

    def disconnect(self, slot: Any = None) -> bool:
        before = len(self._slots)
        self._slots[:] = [pair for pair in self._slots if slot is not None and pair[1] != slot]
        return len(self._slots) != before

    def emit(self, *arguments: Any, overload: int = 0) -> None:
        if self.owner.signalsBlocked():
            return
        for number, slot in list(self._slots):
            if number == overload:
                call(slot, arguments[: len(self.overloads[number])])

    __call__ = emit


class StandInSignal:
    """Descriptor of a signal on a stand-in class."""

    def __init__(self, name: str, overloads: list[list[str]]) -> None:
        self.name, self.overloads = name, overloads

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            return self
        bound = owner.__dict__.setdefault("_h_signals", {})
        if self.name not in bound:
            bound[self.name] = BoundSignal(owner, self.name, self.overloads)
        return bound[self.name]


def bound_signal(owner: Any, name: str) -> BoundSignal | None:
    """The stand-in's own signal of that name, or None where the name is Qt's or unknown."""
    for kind in type(owner).__mro__:
        found = kind.__dict__.get(name)
        if found is not None:
            return found.__get__(owner) if isinstance(found, StandInSignal) else None
    return None


def _receiver(rest: Sequence[Any]) -> Callable[..., Any]:
    if len(rest) == 1 and callable(rest[0]):
        return rest[0]
    if len(rest) >= 2:
        slot = getattr(rest[0], split_signature(rest[1])[0])
        return getattr(slot, "emit", slot)
    raise TypeError("connect(signal, function) or connect(signal, receiver, slot)")


def _fixed(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """PySide counts the parameters of what it calls."""
    forms: tuple[Callable[..., Any], ...] = (
        lambda: call(function, ()),
        lambda a: call(function, (a,)),
        lambda a, b: call(function, (a, b)),
        lambda a, b, c: call(function, (a, b, c)),
    )
    return forms[min(count, 3)]


def connect(self: Any, signal: Any, *rest: Any) -> bool:
    """obj.connect("sig(t)", function) | obj.connect("sig(t)", receiver, "slot(t)"); raises for an unknown signal."""
    if isinstance(signal, QtCore.QObject):  # obj.connect(sender, "sig()", "slot()")
        return connect(signal, rest[0], self, rest[1])
    function = _receiver(rest)
    name, arguments = split_signature(signal)
    own = bound_signal(self, name)
    if own is not None:
        return own.connect(function, arguments)
    normal = f"{name}({','.join(arguments or [])})"
    if self.metaObject().indexOfSignal(bytes(QtCore.QMetaObject.normalizedSignature(normal)).decode()) < 0:
        raise RuntimeError(f"{type(self).__name__} has no signal {signal!r}")
    wrapped = _fixed(function, len(arguments or []))
    _links.setdefault((id(self), normal), []).append((function, wrapped))
    return bool(_native_connect(self, QtCore.SIGNAL(normal), wrapped))


def disconnect(self: Any, signal: str | None = None, *rest: Any) -> bool:
    if signal is None:
        return False
    function = _receiver(rest) if rest else None
    name, arguments = split_signature(signal)
    own = bound_signal(self, name)
    if own is not None:
        return own.disconnect(function)
    key = (id(self), f"{name}({','.join(arguments or [])})")
    links = _links.get(key, [])
    gone = [pair for pair in links if function is None or pair[0] == function]
    for _, wrapped in gone:
        _native_disconnect(self, QtCore.SIGNAL(key[1]), wrapped)
    _links[key] = [pair for pair in links if pair not in gone]
    return bool(gone)


def lay_over(classes: Sequence[type]) -> None:
    """Shiboken finds `connect` of an object before the class dictionary is asked: taken over at `__getattribute__`."""
    ours = {"connect": connect, "disconnect": disconnect}
    for kind in classes:
        kind.connect, kind.disconnect = connect, disconnect  # type: ignore[attr-defined]
        if "__getattribute__" in kind.__dict__ or kind is QtCore.QObject:
            kind.__getattribute__ = _taking(kind.__getattribute__, ours)  # type: ignore[method-assign, assignment]


def _taking(native: Callable[..., Any], ours: dict[str, Callable[..., Any]]) -> Callable[[Any, str], Any]:
    def get(self: Any, name: str) -> Any:
        return types.MethodType(ours[name], self) if name in ours else native(self, name)

    return get
