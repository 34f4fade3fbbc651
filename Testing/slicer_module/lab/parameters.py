"""Our own slicer.parameterNodeWrapper: typed fields of a parameter node, saved in the scene, tied to widgets.

Kept in the node as Slicer keeps them: "True"/"False", numbers and texts as parameters, nodes as references of the field's name.
Field types: bool, int, float, str, Path, a node class; with Annotated also WithinRange, Minimum, Maximum, Choice, Default.
"""

# ruff: noqa: N803, N815 (the names are Slicer's)

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
import slicer.util
import vtk

from . import guilinks
from .guilinks import Choice, Maximum, Minimum, WithinRange

PROPERTY = "SlicerParameterName"


@dataclass(frozen=True)
class Default:
    value: Any


@dataclass(frozen=True)
class Field:
    """One parameter: its name and type, its rules, its default."""

    name: str
    kind: type
    notes: tuple[Any, ...]
    default: Any

    @property
    def is_node(self) -> bool:
        return issubclass(self.kind, slicer.vtkMRMLNode)

    def checked(self, value: Any) -> None:
        """Raises TypeError or ValueError, as Slicer's validators do."""
        if value is None and not self.is_node:
            raise ValueError("Value must not be None")
        allowed = (int, float) if self.kind is float else self.kind
        if value is not None and not isinstance(value, allowed):
            raise TypeError(f"Value must be of type '{self.kind}', is type '{type(value)}' value '{value}'")
        for note in self.notes:
            if hasattr(note, "validate"):
                note.validate(value)

    def write(self, node: Any, value: Any) -> None:
        self.checked(value)
        with slicer.util.NodeModify(node):
            node.SetParameter(self.name, "" if self.is_node else str(value))
            if self.is_node:
                node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)

    def read(self, node: Any) -> Any:
        if self.is_node:
            return node.GetNodeReference(self.name)
        if not node.HasParameter(self.name):
            self.write(node, self.default)
        text = node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)


EMPTY: Mapping[type, Any] = {bool: False, int: 0, float: 0.0, str: "", Path: Path()}


def _field(owner: type, name: str, hint: Any) -> Field:
    kind, *notes = typing.get_args(typing.Annotated[hint, ""])[:-1]
    if not isinstance(kind, type) or not (kind in EMPTY or issubclass(kind, slicer.vtkMRMLNode)):
        raise TypeError(f"Unable to create serializer for {owner} member {name}")
    given = [note.value for note in notes if isinstance(note, Default)]
    default = getattr(owner, name, given[0] if given else EMPTY.get(kind))
    return Field(name, kind, tuple(notes), default)


class Wrapped:
    """What the decorator gives a class."""

    allParameters: Mapping[str, Field]

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._links: dict[int, dict[str, guilinks.Link]] = {}
        self._next_tag = 0
        self._drawing = False
        for field in self.allParameters.values():
            if not parameterNode.HasParameter(field.name):
                field.write(parameterNode, field.default)

    def _known(self, name: str) -> Field:
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}")
        return self.allParameters[name]

    def default(self, name: str) -> Default:
        return Default(self._known(name).default)

    def dataType(self, name: str) -> type:
        return self._known(name).kind

    def getValue(self, name: str) -> Any:
        return self._known(name).read(self.parameterNode)

    def setValue(self, name: str, value: Any) -> None:
        self._known(name).write(self.parameterNode, value)

    def connectGui(self, gui: Any) -> None:
        """Every child widget with the dynamic property SlicerParameterName. Slicer's own forgets to return the tag, too."""
        import qt

        widgets = gui.findChildren(qt.QWidget) if hasattr(gui, "isWidgetType") else vars(gui).values()
        named = {widget.property(PROPERTY): widget for widget in widgets if widget.property(PROPERTY)}
        self.connectParametersToGui(named)

    def connectParametersToGui(self, widgets: Mapping[str, Any]) -> int:
        links = {name: guilinks.link(widget, self._known(name)) for name, widget in widgets.items()}
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        self._links[tag] = links
        for name, link in links.items():
            link.write(self.getValue(name))
            link.on_change(self._follower(name, link))
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda _caller, _event: self._draw())
        return tag

    def disconnectGui(self, tag: int) -> None:
        for link in self._links.pop(tag, {}).values():
            link.on_change(None)

    def _follower(self, name: str, link: guilinks.Link) -> Callable[[], None]:
        def follow() -> None:
            if not self._drawing:
                self.setValue(name, link.read())

        return follow

    def _draw(self) -> None:
        if self._drawing:
            return
        self._drawing = True
        try:
            with slicer.util.NodeModify(self):
                for links in self._links.values():
                    for name, link in links.items():
                        link.write(self.getValue(name))
        finally:
            self._drawing = False

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, before: int) -> int:
        return self.parameterNode.EndModify(before)

    def AddObserver(self, event: Any, callback: Callable[..., Any], priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def _value_property(name: str) -> property:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))


def parameterNodeWrapper(owner: type | None = None) -> Any:
    """The class decorator; a field may not have a name that the wrapper uses."""
    if owner is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(owner, include_extras=True)
    fields = {name: _field(owner, name, hint) for name, hint in hints.items()}
    taken = {name for name in vars(Wrapped) if not name.startswith("__")} | {"allParameters"}
    for name in taken:
        if name in vars(owner) or name in fields:
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
    for name in fields:
        setattr(owner, name, _value_property(name))
    for name in (*sorted(taken - {"allParameters"}), "__init__"):
        setattr(owner, name, vars(Wrapped)[name])
    owner.allParameters = fields  # type: ignore[attr-defined]
    owner._is_parameter_node_wrapper = True  # type: ignore[attr-defined]
    return owner


def module() -> types.ModuleType:
    made = types.ModuleType("slicer.parameterNodeWrapper")
    made.__dict__.update(
        parameterNodeWrapper=parameterNodeWrapper, Default=Default, WithinRange=WithinRange, Minimum=Minimum, Maximum=Maximum,
        Choice=Choice, SlicerParameterNamePropertyName=PROPERTY,
        isParameterNodeWrapper=lambda thing: getattr(thing, "_is_parameter_node_wrapper", False),
    )  # fmt: skip
    return made
