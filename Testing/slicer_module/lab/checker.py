"""What of a .ui file Slicer could not load, use or translate, found without Qt: XML against the list of classes.

`check_ui` reads a Designer file; `checker_code.check_code` reads Python. Each finding is a sentence with file and line.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import manifest
from .manifest import Api

SEEN = {
    "text",
    "title",
    "toolTip",
    "windowTitle",
    "placeholderText",
    "suffix",
    "prefix",
    "specialValueText",
    "noneDisplay",
    "statusTip",
}
UNSEEN = {"SlicerParameterName", "settingKey", "styleSheet", "baseName"}  # a translation of these would break them
CONTROLS = (
    "QAbstractButton", "QComboBox", "QAbstractSpinBox", "QAbstractSlider", "QLineEdit", "QTextEdit", "QPlainTextEdit",
    "QAbstractItemView", "qMRMLNodeComboBox", "qMRMLSegmentsTableView", "qMRMLSegmentSelectorWidget", "ctkSliderWidget",
    "ctkDoubleSpinBox", "ctkRangeWidget", "ctkPathLineEdit", "ctkDirectoryButton",
)  # fmt: skip
HEADINGS = ("ctkCollapsibleButton", "ctkCollapsibleGroupBox")  # say what they are
PSEUDO = {"Line": "QFrame"}  # names that uic knows and Qt does not


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, and what."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" if self.line else f"{self.file}: {self.what}"


@dataclass(frozen=True)
class Page:
    """A .ui file: the widgets by name, its name for itself and its tree."""

    file: str
    root: ET.Element
    classes: Mapping[str, str]
    top: str


def read_page(path: Path) -> Page:
    root = ET.parse(path).getroot()
    top = root.find("widget")
    assert top is not None, f"{path} has no widget"
    classes = {w.get("name", ""): PSEUDO.get(w.get("class", ""), w.get("class", "")) for w in root.iter("widget")}
    return Page(path.name, root, classes, top.get("name", ""))


def check_ui(path: Path, fields: Mapping[str, str] | None = None) -> list[Finding]:
    """`fields`: parameter -> its type, as `checker_code.parameter_fields` reads them; None leaves the names unchecked."""
    api, page = manifest.load(), read_page(path)
    found = [*_names(page), *_connections(page, api)]
    for widget in page.root.iter("widget"):
        found += [f"{widget.get('name')}: {what}" for what in _widget(widget, api)]
    if fields is not None:
        found += _parameters(page, fields)
    return [Finding(page.file, 0, what) for what in found]


def _names(page: Page) -> Iterator[str]:
    named = [
        thing.get("name", "") for kind in ("widget", "layout", "action", "spacer") for thing in page.root.iter(kind)
    ]
    for name, count in Counter(named).items():
        if not name:
            yield f"{count} things without a name"
        elif count > 1:
            yield f"{name}: the name is used {count} times"


def _widget(widget: ET.Element, api: Api) -> Iterator[str]:
    kind = PSEUDO.get(widget.get("class", ""), widget.get("class", ""))
    if kind not in api.classes:
        yield manifest.missing(kind)
        return
    properties = {element.get("name", ""): element for element in widget.findall("property")}
    for name, element in properties.items():
        yield from _property(kind, name, element, api)
    control = any(api.inherits(kind, base) for base in CONTROLS) and kind not in HEADINGS
    if control and not properties.get("toolTip", ET.Element("")).findtext("string"):
        yield "no tool tip"
    for column in [*widget.findall("column"), *widget.findall("row"), *widget.findall("item")]:
        for element in column.findall("property"):
            yield from _words(element.get("name", ""), element)


def _property(kind: str, name: str, element: ET.Element, api: Api) -> Iterator[str]:
    member = api.member(kind, name)
    dynamic = element.get("stdset") == "0"
    by_name = name == "buddy" and api.inherits(kind, "QLabel")  # uic and the loader make an object of it
    if not by_name and not dynamic and (member is None or member.kind != "properties"):
        yield f"{kind} has no property {name}"
    yield from _words(name, element)
    for inner in element:
        if inner.tag in ("enum", "set"):
            yield from _values(inner.text or "", api)


def _words(name: str, element: ET.Element) -> Iterator[str]:
    for text in element.iter("string"):
        if name in SEEN and text.get("notr") == "true":
            yield f'{name} is read by people: take notr="true" away'
        if name in UNSEEN and text.get("notr") != "true":
            yield f'{name} must not be translated: write <string notr="true">'


def _values(text: str, api: Api) -> Iterator[str]:
    """Qt 5 reads "QFrame::NoFrame"; "QFrame::Shape::NoFrame" is Qt 6's way of writing it."""
    for part in text.split("|"):
        scope, _, value = part.strip().rpartition("::")
        if "::" in scope:
            yield f"{part.strip()}: Qt 5 reads {scope.split('::')[0]}::{value}"
        elif scope in api.classes and api.classes[scope].get("enums") and not _has_value(api, scope, value):
            yield f"{scope} has no value {value}"
        elif scope not in api.classes and scope != "Qt":
            yield manifest.missing(scope)


def _has_value(api: Api, scope: str, value: str) -> bool:
    return any(
        value in values for owner in api.lineage(scope) for values in api.classes[owner].get("enums", {}).values()
    )


def _connections(page: Page, api: Api) -> Iterator[str]:
    for link in page.root.iter("connection"):
        sender, signal, receiver, slot = (link.findtext(key) or "" for key in ("sender", "signal", "receiver", "slot"))
        for name, kinds, signature, what in (
            (sender, ("signals",), signal, "signal"),
            (receiver, ("slots",), slot, "slot"),
        ):
            kind = page.classes.get(name)
            if kind is None:
                yield f"connection: there is no widget {name}"
            elif kind in api.classes and not api.has_signature(kind, kinds, signature):
                yield f"connection: {name} ({kind}) has no {what} {signature}"


def _parameters(page: Page, fields: Mapping[str, str]) -> Iterator[str]:
    """SlicerParameterName names a field, and the widget can show its type (`guilinks.PLAIN` and the node selector)."""
    from .guilinks import PLAIN

    shown = {kind.__name__: set(widgets) for kind, widgets in PLAIN.items()}
    for widget in page.root.iter("widget"):
        for element in widget.findall("property"):
            if element.get("name") != "SlicerParameterName":
                continue
            name, kind, field = widget.get("name"), widget.get("class", ""), element.findtext("string") or ""
            if field not in fields:
                yield f"{name}: there is no parameter {field}"
            elif fields[field].startswith("vtkMRML"):
                if kind != "qMRMLNodeComboBox":
                    yield f"{name}: a {kind} can not show the node parameter {field}"
            elif kind not in {*shown.get(fields[field], set()), "QComboBox"}:
                yield f"{name}: a {kind} can not show the {fields[field]} parameter {field}"
