"""Which widget may show which parameter, and how: the pairs that Slicer's parameterNodeWrapper knows, no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .parameters import Field


@dataclass(frozen=True)
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value: float) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


@dataclass(frozen=True)
class Minimum:
    minimum: float

    def validate(self, value: float) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must be greater than {self.minimum}, is {value}")


@dataclass(frozen=True)
class Maximum:
    maximum: float

    def validate(self, value: float) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must be less than {self.maximum}, is {value}")


@dataclass(frozen=True)
class Choice:
    choices: tuple[Any, ...] | list[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be in one of the following: {self.choices}")


@dataclass
class Link:
    """A widget and the property (or node) that carries the value."""

    widget: Any
    signal: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    _told: Callable[[], None] | None = None

    def on_change(self, told: Callable[[], None] | None) -> None:
        """None unties."""
        signal = getattr(self.widget, self.signal)
        if told is None:
            signal.disconnect(self._changed)
        self._told = told
        if told is not None:
            signal.connect(self._changed)

    def _changed(self) -> None:
        if self._told is not None:
            self._told()


# value type -> widget class -> (property, signal)
PLAIN: dict[type, dict[str, tuple[str, str]]] = {
    bool: {"QCheckBox": ("checked", "stateChanged"), "QPushButton": ("checked", "toggled")},
    int: {"QSpinBox": ("value", "valueChanged"), "QSlider": ("value", "valueChanged")},
    float: {"QDoubleSpinBox": ("value", "valueChanged"), "ctkSliderWidget": ("value", "valueChanged")},
    str: {"QLineEdit": ("text", "textChanged")},
    Path: {
        "ctkPathLineEdit": ("currentPath", "currentPathChanged"),
        "ctkDirectoryButton": ("directory", "directoryChanged"),
    },
}


def link(widget: Any, field: Field) -> Link:
    """Raises RuntimeError for a pair that Slicer does not tie."""
    kind = type(widget).__name__
    if field.is_node and kind == "qMRMLNodeComboBox":
        widget.nodeTypes = (field.kind().GetClassName(),)
        return Link(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)
    if kind == "QComboBox" and field.kind in (int, float, str, bool):
        return _combo(widget, field)
    pair = PLAIN.get(field.kind, {}).get(kind)
    if pair is None:
        raise RuntimeError(
            f"Unable to create GUI connector from datatype '{field.kind}' to widget type '{type(widget)}'"
        )
    if field.kind in (int, float):
        _bounded(widget, field)
    name, signal = pair

    def write(value: Any) -> None:
        setattr(widget, name, str(value) if field.kind is Path else value)

    return Link(widget, signal, lambda: field.kind(getattr(widget, name)), write)


def _combo(widget: Any, field: Field) -> Link:
    choices = _choices(field.notes)
    widget.clear()
    for choice in choices:
        widget.addItem(str(choice))

    def write(value: Any) -> None:
        widget.currentIndex = choices.index(value)

    return Link(widget, "currentIndexChanged", lambda: choices[widget.currentIndex], write)


def _choices(notes: Iterable[Any]) -> list[Any]:
    found = [note for note in notes if isinstance(note, Choice)]
    if not found:
        raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
    return list(found[0].choices)


def _bounded(widget: Any, field: Field) -> None:
    """The range of the parameter becomes that of the widget."""
    lows = [note.minimum for note in field.notes if isinstance(note, (WithinRange, Minimum))]
    highs = [note.maximum for note in field.notes if isinstance(note, (WithinRange, Maximum))]
    sliding = type(widget).__name__ in ("QSlider", "ctkSliderWidget")
    if sliding and not (lows and highs):
        raise RuntimeError("Cannot have a connection to a slider where the number is unbounded.")
    widest = 2**31 - 1 if field.kind is int else float("inf")
    widget.minimum = lows[0] if lows else -widest
    widget.maximum = highs[0] if highs else widest
