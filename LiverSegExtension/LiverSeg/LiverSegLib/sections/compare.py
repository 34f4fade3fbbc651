"""Compare: two segmentations segment by segment. The worker measures; here they are paired, shown and saved."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import qt
import slicer
from liverseg_core.labels import LABELS, LIVER
from slicer.i18n import tr as _

from ..coding import codes_of_pairs
from ..commands import compare_arguments
from ..controller import Task, UserError
from ..pairs import SegmentFacts, matched
from ..scene.export import scan_of, write_segments
from ..scene.overlay import error_overlay
from ..scene.provenance import BASELINE
from ..scene.terminology import code_of, facts_of
from ..tables import agreement_table
from . import fill
from .results import Results, WorkingSection, busy

AGREEMENT = "out/agreement.csv"
BY_HAND = "by hand"
_OVERLAY_MS = 1000  # after the last edit


class CompareSection(WorkingSection):
    """Follows `panel.segmentation()` and the reference. A match that was corrected by hand stays until one of them changes."""

    lane = "compare"

    def __init__(self, ui: Any, panel: Any) -> None:
        super().__init__(ui, panel)
        self._ai: Any = None  # the AI result, while it is the reference
        self._left: list[SegmentFacts] = []
        self._right: list[SegmentFacts] = []
        self._partners: dict[str, str] = {}  # segment id -> id in the reference; "" for none
        self._how: dict[str, str] = {}
        self._combos: list[Any] = []
        self._overlay: Any = None
        self._none = ui.referenceSelector.noneDisplay
        self.results = Results(self, "LiverSeg.agreement", ui.agreementTable)
        ui.pairsTable.setColumnCount(3)
        ui.pairsTable.setHorizontalHeaderLabels([_("Segment"), _("Reference"), _("Matched by")])
        self._timer = qt.QTimer()
        self._timer.singleShot = True
        self._timer.interval = _OVERLAY_MS
        self.on(self._timer, "timeout()", self._draw_overlay)
        self.on(ui.compareButton, "clicked()", self._pressed)
        self.on(ui.overlayCheck, "toggled(bool)", self._draw_overlay)
        self.on(ui.pairsTable, "itemSelectionChanged()", self._draw_overlay)
        self.on(ui.copyAgreementButton, "clicked()", self.results.copy)
        self.on(ui.saveAgreementButton, "clicked()", lambda: self.results.save("agreement.csv"))

    def draw(self) -> None:
        self._draw_reference()
        self._draw_pairs()
        self.results.draw()
        state = self.news()
        if state is not None:
            self.ui.compareButton.text = _("Cancel") if state.busy else _("Compare")
            self.tell(state)

    def reference(self) -> Any:
        """The node that is chosen, or the AI result; None without either."""
        parameters = self.panel.parameters
        return (parameters.reference if parameters is not None else None) or self._ai

    def compare_with(self, ai: Any) -> None:
        """Take the hidden AI result for the reference, and compare."""
        if self.panel.parameters is not None:
            self.panel.parameters.reference = None
        self._ai = ai
        self.ui.compareSection.collapsed = False
        self.panel.changed()
        self._start()

    def edited(self) -> None:
        """The voxels are no longer those that were compared, and segments may have come or gone."""
        self._draw_pairs()
        self.results.grey(bool(self.results.table.lines))
        if self.ui.overlayCheck.checked:
            self._timer.start()

    def scene_closing(self) -> None:
        self._timer.stop()
        self._ai = self._overlay = None
        self.results.forget()
        self.hush()

    def close(self) -> None:
        self._timer.stop()
        self._remove_overlay()
        self.off(self._combos)
        self.ui.pairsTable.setRowCount(0)
        super().close()

    def _pressed(self) -> None:
        if self.controller.state.busy:
            self.controller.cancel()
        else:
            self._start()

    def _start(self) -> None:
        prediction, reference = self._both()
        self._draw_pairs()
        pairs = {one: other for one, other in self._partners.items() if other}
        ours, theirs = codes_of_pairs(_codes(self._left), _codes(self._right), pairs)
        keys = {LABELS[ours[one]].key: self._name(one) for one in pairs}
        names = {
            key: name for key, name in keys.items() if key != LABELS[LIVER].key
        }  # with its lesions it is the liver
        parameters = self.panel.parameters
        settings = {"tolerance_mm": parameters.tolerance_mm, "percentile": parameters.percentile}
        title = _("{0} and {1}").format(prediction.GetName(), reference.GetName())

        def prepare(folder: Path) -> list[str]:
            files = folder / "prediction.nrrd", folder / "reference.nrrd"
            write_segments(prediction, ours, None, files[0])
            write_segments(reference, theirs, None, files[1])
            return compare_arguments(*files, folder / "out", **settings)

        def finish(folder: Path) -> str:
            table = agreement_table(folder / AGREEMENT, names)
            self.results.show(table, title)
            self.results.grey(False)
            told = [line for line in table.lines if line.quantity == "dsc" and line.structure in keys]
            if told and all(line.value == 0 for line in told):
                return _("The two share no voxel: is {0} of another patient?").format(reference.GetName())
            return _("DSC: {0}.").format(", ".join(f"{line.cells[0]} {line.shown}" for line in told))

        self.begin(Task("compare", prepare, finish, (AGREEMENT,)))

    def _both(self) -> tuple[Any, Any]:
        prediction, reference = self.panel.segmentation(), self.reference()
        if prediction is None:
            raise UserError(_("Choose a segmentation under Segments first."))
        if reference is None:
            raise UserError(_("Choose the segmentation that counts as the truth as the reference."))
        if reference is prediction:
            raise UserError(_("The reference is the segmentation itself; choose another one."))
        one, other = _patient(prediction), _patient(reference)
        if one and other and one != other:
            raise UserError(_("{0} is of another patient; choose a reference of this one.").format(reference.GetName()))
        return prediction, reference

    def _draw_reference(self) -> None:
        node = self.panel.segmentation()
        chosen = self.panel.parameters.reference if self.panel.parameters is not None else None
        if chosen is not None or node is None or node.GetNodeReference(BASELINE) is not self._ai:
            self._ai = None
        text = self._none if self._ai is None else _("The AI result of this segmentation")
        if self.ui.referenceSelector.noneDisplay != text:
            self.ui.referenceSelector.noneDisplay = text

    def _draw_pairs(self) -> None:
        left, right = _facts(self.panel.segmentation()), _facts(self.reference())
        if (left, right) == (self._left, self._right):
            return
        ids = {fact.id for fact in right}
        by_hand = {
            one: other
            for one, other in self._partners.items()
            if self._how.get(one) == BY_HAND and (other in ids or not other)
        }
        self._left, self._right = left, right
        pairs = matched(_plain(left), _plain(right))
        self._partners = {pair.left: by_hand.get(pair.left, pair.right or "") for pair in pairs}
        self._how = {pair.left: BY_HAND if pair.left in by_hand else pair.how for pair in pairs}
        self._fill_pairs()

    def _fill_pairs(self) -> None:
        table = self.ui.pairsTable
        self.off(self._combos)
        self._combos = []
        table.setRowCount(len(self._left))
        for row, fact in enumerate(self._left):
            combo = qt.QComboBox()
            combo.toolTip = _("The segment of the reference with which {0} is compared.").format(fact.name)
            self.on(combo, "currentIndexChanged(int)", partial(self._choose, fact.id, combo))
            self._combos.append(combo)
            table.setItem(row, 0, qt.QTableWidgetItem(fact.name))
            table.setCellWidget(row, 1, combo)
        self._show_partners()
        table.horizontalHeader().setSectionResizeMode(1, qt.QHeaderView.Stretch)
        table.resizeColumnToContents(0)

    def _show_partners(self) -> None:
        choices = [("", _("not compared")), *((fact.id, fact.name) for fact in self._right)]
        for row, fact in enumerate(self._left):
            fill(self._combos[row], choices, self._partners[fact.id])
            self.ui.pairsTable.setItem(row, 2, qt.QTableWidgetItem(_(self._how[fact.id])))

    def _choose(self, one: str, combo: Any, index: int) -> None:
        """A partner chosen by hand; whoever had it before has none any more."""
        other = combo.itemData(index) or ""
        for left, held in self._partners.items():
            if left == one or (other and held == other):
                self._partners[left] = other if left == one else ""
                self._how[left] = BY_HAND
        self._show_partners()
        self._draw_overlay()

    def _draw_overlay(self) -> None:
        """The errors of the selected pair (the first one where none is selected); nothing while the box is not ticked."""
        self._remove_overlay()
        if not self.ui.overlayCheck.checked:
            return
        try:
            with busy(self.ui.overlayCheck):
                self._overlay = error_overlay(*self._selected())
        except UserError:
            self.ui.overlayCheck.checked = False
            raise

    def _selected(self) -> tuple[Any, list[str], Any, list[str], str]:
        """Segmentation and segments on either side, and what they are. UserError where there is no such pair."""
        prediction, reference = self._both()
        self._draw_pairs()
        pairs = {one: other for one, other in self._partners.items() if other}
        if not pairs:
            raise UserError(_("No segment has a partner: choose one in the table of pairs."))
        row = self.ui.pairsTable.currentRow()
        wanted = self._left[row].id if 0 <= row < len(self._left) else ""
        one = wanted if wanted in pairs else next(iter(pairs))
        ours, theirs = codes_of_pairs(_codes(self._left), _codes(self._right), {one: pairs[one]})
        return prediction, [*ours], reference, [*theirs], self._name(one)  # a liver is measured with its lesions

    def _remove_overlay(self) -> None:
        node, self._overlay = self._overlay, None
        if node is not None and node.GetScene() is not None:
            slicer.mrmlScene.RemoveNode(node)

    def _name(self, segment_id: str) -> str:
        return next(fact.name for fact in self._left if fact.id == segment_id)


def _facts(segmentation: Any) -> list[SegmentFacts]:
    return facts_of(segmentation) if segmentation is not None else []


def _plain(facts: list[SegmentFacts]) -> list[SegmentFacts]:
    """A liver beside lesions is still the liver, whatever it is called there."""
    codes = _codes(facts)
    return [replace(fact, name=LABELS[codes[fact.id]].name) if fact.id in codes else fact for fact in facts]


def _codes(facts: list[SegmentFacts]) -> dict[str, int]:
    return {fact.id: code for fact in facts if (code := code_of(fact)) is not None}


def _patient(segmentation: Any) -> str:
    """The patient's ID in the subject hierarchy, of the segmentation or of its scan; "" where none is known."""
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    for node in (segmentation, scan_of(segmentation)):
        item = hierarchy.GetItemByDataNode(node) if hierarchy is not None and node is not None else 0
        patient = hierarchy.GetItemAncestorAtLevel(item, constants.GetDICOMLevelPatient()) if item else 0
        uid = hierarchy.GetItemUID(patient, constants.GetDICOMUIDName()) if patient else ""
        if uid:
            return str(uid)
    return ""
