"""What a Python file asks of widgets that they have not: `self.ui.NAME.attr`, `qt.X`, `ctk.X`, `slicer.qX` against the lists.

A name or attribute that is only ever given one kind of widget (`table = self.ui.pairsTable`, `self._timer = qt.QTimer()`) is
followed. What is passed on to other functions is not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import manifest
from .checker import Finding, Page
from .manifest import Api, Member

BLOCKING = {"QMessageBox": "slicer.util.errorDisplay and its sisters"}  # class -> what to use instead


def parameter_fields(path: Path) -> dict[str, str]:
    """Field -> "bool", "float", ..., "vtkMRMLScalarVolumeNode", of the classes under @parameterNodeWrapper."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and any("parameterNodeWrapper" in ast.dump(d) for d in node.decorator_list):
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    found[line.target.id] = _type_name(line.annotation)
    return found


def _type_name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):  # Annotated[float, ...]
        inner = node.slice
        return _type_name(inner.elts[0] if isinstance(inner, ast.Tuple) else inner)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", ast.unparse(node))


def check_code(path: Path, page: Page) -> list[Finding]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    reader = _Reader(page, manifest.load())
    reader.scope(tree.body, {})
    return [Finding(path.name, line, what) for line, what in sorted(set(reader.found))]


@dataclass
class _Reader:
    """`kinds` of a scope: source text of an expression -> class of the widget it holds ("" = more than one)."""

    page: Page
    api: Api
    found: list[tuple[int, str]] = field(default_factory=list)

    def scope(self, body: list[ast.stmt], outer: Mapping[str, str]) -> None:
        """A class hands its `self.x` to its functions; a function knows its own names besides."""
        kinds = {**outer}
        own = [node for statement in body for node in _inside(statement)]
        for node in own:
            self._learn(node, kinds)
        for node in own:
            self._judge(node, kinds)
        for statement in own:
            if isinstance(statement, ast.ClassDef):
                self.scope(statement.body, {**kinds, **self._attributes(statement)})
            elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                passed = {argument.arg for argument in (*statement.args.args, *statement.args.kwonlyargs)}
                known = {text: kind for text, kind in kinds.items() if text.split(".")[0] not in passed - {"self"}}
                self.scope(statement.body, known)

    def _attributes(self, owner: ast.ClassDef) -> dict[str, str]:
        kinds: dict[str, str] = {}
        for node in ast.walk(owner):
            self._learn(node, kinds)
        return {text: kind for text, kind in kinds.items() if text.startswith("self.")}

    def _learn(self, node: ast.AST, kinds: dict[str, str]) -> None:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            return
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        kind = self.kind(node.value, kinds)
        for target in targets:
            text = ast.unparse(target)
            if kind or text in kinds:
                kinds[text] = kind if kinds.get(text, kind) == kind else ""

    def kind(self, node: ast.expr, kinds: Mapping[str, str]) -> str:
        """The class of a widget expression, "" where it is not known."""
        name = _ui_name(node)
        if name is not None:
            return self.page.classes.get(name, "")
        if isinstance(node, ast.Call):
            made = _toolkit_name(node.func)
            return made if made in self.api.classes else ""
        return kinds.get(ast.unparse(node), "")

    def _judge(self, node: ast.AST, kinds: Mapping[str, str]) -> None:
        if isinstance(node, ast.Attribute):
            self._attribute(node, kinds)
        elif isinstance(node, ast.Call):
            self._call(node, kinds)
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                self._target(target, kinds)

    def _attribute(self, node: ast.Attribute, kinds: Mapping[str, str]) -> None:
        name, made = _ui_name(node), _toolkit_name(node)
        if name is not None and name not in self.page.classes:
            self._tell(node, f"there is no widget {name} in {self.page.file}")
        if made is not None and made not in self.api.classes and made not in self.api.values:
            self._tell(node, manifest.missing(made))
        kind = self.kind(node.value, kinds) or self._class_of(node.value)
        if kind in self.api.classes and self._member(kind, node.attr) is None:
            hidden = ": only C++ sees it" if self.api.only_cpp(kind, node.attr) else ""
            self._tell(node, f"{kind} has no {node.attr}{hidden}")

    def _class_of(self, node: ast.expr) -> str:
        made = _toolkit_name(node)
        return made if made in self.api.classes else ""

    def _member(self, kind: str, name: str) -> Member | None:
        """Values of Qt's own enums are not all in the list: a capital letter counts as one."""
        if name[0].isupper() and self.api.classes[kind]["lib"].startswith("Qt"):
            return Member("value", kind)
        return self.api.member(kind, name) or (Member("method", kind) if name == "exec_" else None)

    def _call(self, node: ast.Call, kinds: Mapping[str, str]) -> None:
        function = node.func
        if isinstance(function, ast.Name) and function.id == "isinstance" and len(node.args) == 2:
            tested = (_toolkit_name(part) for part in ast.walk(node.args[1]))
            if any(name in self.api.classes for name in tested):
                self._tell(
                    node, "isinstance of a Qt class: PythonQt's wrappers know no bases, use inherits() or type() =="
                )
        made = _toolkit_name(function)
        if made in BLOCKING:
            self._tell(node, f"{made} stops the panel: use {BLOCKING[made]}")
        if isinstance(function, ast.Attribute):
            kind = self.kind(function.value, kinds)
            if kind in self.api.classes:
                self._method(node, kind, function.attr)

    def _method(self, node: ast.Call, kind: str, name: str) -> None:
        if self.api.property(kind, name) and not self._also_method(kind, name):
            self._tell(node, f"{kind}.{name} is a property: no brackets")
        first = node.args[0] if node.args else None
        signal = str(first.value) if isinstance(first, ast.Constant) else ""
        if name == "connect" and signal and not self.api.has_signature(kind, ("signals",), signal):
            self._tell(node, f"{kind} has no signal {signal}")

    @staticmethod
    def _also_method(kind: str, name: str) -> bool:
        return (kind, name) == ("QTimer", "singleShot")

    def _target(self, node: ast.expr, kinds: Mapping[str, str]) -> None:
        if not isinstance(node, ast.Attribute):
            return
        kind = self.kind(node.value, kinds)
        if kind not in self.api.classes:
            return
        facts, member = self.api.property(kind, node.attr), self.api.member(kind, node.attr)
        if facts is not None and not {"write", "member"} & facts.keys():
            self._tell(node, f"{kind}.{node.attr} can not be written")
        elif facts is None and member is not None and node.attr not in ("name", "objectName"):
            self._tell(node, f"{kind}.{node.attr} is no property and can not be overwritten")

    def _tell(self, node: ast.AST, what: str) -> None:
        self.found.append((getattr(node, "lineno", 0), what))


def _inside(statement: ast.AST) -> Iterator[ast.AST]:
    """The statement and what it holds, not what functions and classes inside it hold."""
    yield statement
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        for decorator in statement.decorator_list:
            yield from _inside(decorator)
        return
    for child in ast.iter_child_nodes(statement):
        yield from _inside(child)


def _ui_name(node: ast.AST) -> str | None:
    """NAME of `ui.NAME`, `self.ui.NAME`, `self.panel.ui.NAME`."""
    if isinstance(node, ast.Attribute):
        owner = node.value
        if (isinstance(owner, ast.Attribute) and owner.attr == "ui") or (
            isinstance(owner, ast.Name) and owner.id == "ui"
        ):
            return node.attr
    return None


def _toolkit_name(node: ast.AST) -> str | None:
    """X of `qt.X`, `ctk.X` and `slicer.qX`."""
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return None
    of_slicer = node.value.id == "slicer" and node.attr.startswith(("qMRML", "qSlicer"))
    return node.attr if of_slicer or node.value.id in ("qt", "ctk") else None
