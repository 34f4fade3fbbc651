"""How the liver is to be cut: by a plane, or into the segments that stay and those that are resected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import qt
import vtk
from liverseg_core.labels import LIVER
from slicer.i18n import tr as _

from ..coding import parts_of
from ..controller import UserError
from ..pairs import SegmentFacts
from ..scene.plane import make_plane, move_plane, plane_argument, reach_mm
from ..scene.terminology import code_of, facts_of
from . import Section, chosen, fill
from .results import busy

OUT, CUT, STAYS = "out", "cut", "stays"
_FATES = {OUT: "not of the liver", CUT: "is resected", STAYS: "stays"}


class Remnant:
    """The plane and the table of segments. `changed` is called when the answer may be another one."""

    def __init__(self, section: Section, changed: Callable[[], None]) -> None:
        self.ui, self.panel, self._section, self._changed = section.ui, section.panel, section, changed
        self._node: Any = None
        self._plane: Any = None
        self._facts: list[SegmentFacts] = []
        self._fate: dict[str, str] = {}  # segment id -> a key of _FATES, for every segment that can be of the liver
        self._combos: list[Any] = []
        self._offset_mm = 0.0
        self.ui.remnantTable.setColumnCount(2)
        self.ui.remnantTable.setHorizontalHeaderLabels([_("Segment"), _("When the liver is cut")])
        section.on(self.ui.planeCheck, "toggled(bool)", self._use_plane)
        section.on(self.ui.flipPlaneButton, "clicked()", self._flip)
        section.on(self.ui.planeSlider, "valueChanged(double)", self._shift)

    def draw(self, node: Any) -> None:
        self._node = node
        parameters = self.panel.parameters
        self._draw_plane(parameters.plane if parameters is not None else None)
        facts = facts_of(node) if node is not None else []
        if facts != self._facts:
            self._facts = facts
            self._draw_segments()

    def forget(self) -> None:
        """Let go of every node."""
        self._follow(None)
        self._section.off(self._combos)
        self._node, self._facts, self._combos = None, [], []
        self.ui.remnantTable.setRowCount(0)

    def plane(self) -> str:
        """The cut as the worker takes it; "" without a plane."""
        return plane_argument(self._plane) if self._plane is not None and _shown(self._plane) else ""

    def codes(self) -> dict[str, int]:
        """Of a mask of everything: each segment under its own code, whatever the liver was cut into under the liver's."""
        whole = {segment_id: LIVER for segment_id, fate in self._fate.items() if fate != OUT}
        others = {fact.id: code_of(fact) for fact in self._facts if fact.id not in self._fate}
        return {**whole, **{segment_id: code for segment_id, code in others.items() if code is not None}}

    def parts(self) -> tuple[dict[str, int], list[int], dict[int, str]]:
        """Of a mask of the liver's parts: segment id -> part, the parts that stay, part -> name. Nothing stays where a
        plane cuts, and where nothing was chosen."""
        fates = {} if self.plane() else self._fate
        parts = parts_of([segment_id for segment_id, fate in fates.items() if fate != OUT])
        names = {fact.id: fact.name for fact in self._facts}
        stay = [part for segment_id, part in parts.items() if fates[segment_id] == STAYS]
        return parts, stay, {part: names[segment_id] for segment_id, part in parts.items()}

    def _draw_segments(self) -> None:
        of_liver = [fact for fact in self._facts if code_of(fact) in (None, LIVER)]
        usual = {fact.id: OUT if code_of(fact) is None else CUT for fact in of_liver}
        self._fate = {segment_id: self._fate.get(segment_id, fate) for segment_id, fate in usual.items()}
        table = self.ui.remnantTable
        self._section.off(self._combos)
        table.setRowCount(len(of_liver))
        self._combos = [self._combo(fact) for fact in of_liver]
        for row, fact in enumerate(of_liver):
            table.setItem(row, 0, qt.QTableWidgetItem(fact.name))
            table.setCellWidget(row, 1, self._combos[row])
        table.resizeColumnToContents(0)

    def _combo(self, fact: SegmentFacts) -> Any:
        combo = qt.QComboBox()
        fill(combo, [(key, _(text)) for key, text in _FATES.items()], self._fate[fact.id])
        combo.toolTip = _("What becomes of {0} when the liver is cut; what stays is the future liver remnant.").format(
            fact.name
        )
        self._section.on(combo, "currentIndexChanged(int)", partial(self._choose, fact.id, combo))
        return combo

    def _choose(self, segment_id: str, combo: Any) -> None:
        self._fate[segment_id] = chosen(combo)
        self._changed()

    def _use_plane(self, on: bool) -> None:  # noqa: FBT001
        if self._plane is not None:
            self._plane.GetDisplayNode().SetVisibility(on)
        elif on:
            self.ui.planeCheck.checked = False  # until there is one
            if self._node is None:
                raise UserError(_("Choose a segmentation under Segments first: the plane is put through its liver."))
            slider, self._offset_mm = self.ui.planeSlider, 0.0
            slider.value = 0.0
            with busy(self.ui.planeCheck):
                plane = make_plane(self._node)
                slider.minimum, slider.maximum = reach_mm(plane, self._node)
            self.panel.parameters.plane = plane
        self._changed()
        self.panel.changed()

    def _draw_plane(self, plane: Any) -> None:
        if plane is not self._plane:
            self._follow(plane)
            self._changed()
        used = plane is not None and _shown(plane)
        blocked = self.ui.planeCheck.blockSignals(True)
        self.ui.planeCheck.checked = used
        self.ui.planeCheck.blockSignals(blocked)
        self.ui.planeSlider.enabled = used
        self.ui.remnantTable.enabled = not used  # one way to cut at a time

    def _follow(self, plane: Any) -> None:
        if self._plane is not None:
            self._section.removeObserver(self._plane, vtk.vtkCommand.ModifiedEvent, self._moved)
        self._plane = plane
        if plane is not None:
            self._section.addObserver(plane, vtk.vtkCommand.ModifiedEvent, self._moved)

    def _moved(self, _caller: Any, _event: Any) -> None:
        self._changed()

    def _flip(self) -> None:
        """The other side stays."""
        if self._plane is None or not _shown(self._plane):
            raise UserError(_("Tick Cutting plane first."))
        slider = self.ui.planeSlider
        self._offset_mm, low, high = -self._offset_mm, slider.minimum, slider.maximum
        blocked = slider.blockSignals(True)
        slider.minimum, slider.maximum = -high, -low
        slider.value = self._offset_mm
        slider.blockSignals(blocked)
        self._plane.SetNormalWorld([-part for part in self._plane.GetNormalWorld()])

    def _shift(self, offset_mm: float) -> None:
        """The slider tells where the plane is to be along its normal; dragged by hand, it goes on from there."""
        step_mm, self._offset_mm = offset_mm - self._offset_mm, offset_mm
        if self._plane is not None and step_mm:
            move_plane(self._plane, step_mm)


def _shown(plane: Any) -> bool:
    """A plane that is hidden does not cut."""
    display = plane.GetDisplayNode()
    return plane.GetScene() is not None and display is not None and bool(display.GetVisibility())
