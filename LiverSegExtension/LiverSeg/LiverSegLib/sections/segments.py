"""Segments: how they look, how far their correction is, the segment editor, and the way back to the AI result."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from ..cases import STATUS_TEXTS
from ..controller import UserError
from ..scene.edits import EditWatch, compare_with_ai, restore_ai
from ..scene.export import scan_of
from ..scene.terminology import helper_ids
from . import Section

EDITOR_TAG = "LiverSeg"  # of our own segment-editor node: the Segment Editor module keeps its settings


class SegmentsSection(Section):
    """Follows `panel.segmentation()`. Every edit of its voxels is told to the panel's other sections by `edited`."""

    def __init__(self, ui: Any, panel: Any) -> None:
        super().__init__(ui, panel)
        self._node: Any = None
        self._watch: Any = None
        self._helpers: bool | None = None  # whether the helper organs were shown when that was last asked
        self._entered = self._drawing = False
        for text in STATUS_TEXTS.values():
            ui.statusCombo.addItem(_(text))
        ui.statusCombo.setCurrentIndex(-1)
        self.on(ui.statusCombo, "activated(int)", self._set_status)
        self.on(ui.opacitySlider, "valueChanged(double)", self._set_opacity)
        self.on(ui.outlineCheck, "toggled(bool)", self._set_outline)
        self.on(ui.restoreButton, "clicked()", self._restore)
        self.on(ui.compareAiButton, "clicked()", self._compare)
        self.on(ui.segmentsTable, "selectionChanged(QItemSelection,QItemSelection)", self._draw_status)

    def draw(self) -> None:
        node = self.panel.segmentation()
        if node is not self._node:
            self._follow(node)
        self._draw_helpers()
        self._draw_status()
        display = node.GetDisplayNode() if node is not None else None
        if display is None:
            return
        self._drawing = True  # the slider rounds: what it shows must not be written back
        self.ui.opacitySlider.value = display.GetOpacity()
        self.ui.outlineCheck.checked = not display.GetVisibility2DFill()
        self._drawing = False

    def enter(self) -> None:
        self._entered = True
        editor = self.ui.editorWidget
        editor.setupViewObservations()
        editor.installKeyboardShortcuts()
        if self._node is not None:
            self._edit(self._node)

    def exit(self) -> None:
        self._entered = False
        editor = self.ui.editorWidget
        editor.setActiveEffect(None)
        editor.uninstallKeyboardShortcuts()
        editor.removeViewObservations()

    def scene_closing(self) -> None:
        self.ui.editorWidget.setActiveEffect(None)
        self._follow(None)

    def close(self) -> None:
        self.exit()
        self._follow(None)
        super().close()

    def _follow(self, node: Any) -> None:
        """Let go of the segmentation that was shown, and take up `node` (None for none)."""
        if self._watch is not None:
            self._watch.close()
        self._watch = EditWatch(node, self.panel.guarded(self._edited)) if node is not None else None
        self._node, self._helpers = node, None
        self.ui.segmentsTable.setSegmentationNode(node)
        self.ui.show3DButton.setSegmentationNode(node)
        self._edit(node)

    def _edit(self, node: Any) -> None:
        """Give `node` to the segment editor, which overwrites whatever lies where one paints."""
        editor = self.ui.editorWidget
        if node is not None:
            editor.setMRMLSegmentEditorNode(_editor_node())
        if editor.mrmlSegmentEditorNode() is not None:
            editor.setSegmentationNode(node)
            editor.setSourceVolumeNode(None if node is None else scan_of(node) or self.panel.volume())

    def _edited(self) -> None:
        for section in self.panel.sections.values():
            section.edited()
        self._draw_status()

    def _chosen(self) -> Any:
        node = self.panel.segmentation()
        if node is None:
            raise UserError(_("Choose a segmentation first; a run of Segment liver makes one."))
        return node

    def _segment_ids(self) -> tuple[str, ...]:
        """Those that are selected; all where none is."""
        selected = self.ui.segmentsTable.selectedSegmentIDs()
        return tuple(selected) or tuple(self._chosen().GetSegmentation().GetSegmentIDs())

    def _set_status(self, index: int) -> None:
        segmentation = self._chosen().GetSegmentation()
        for segment_id in self._segment_ids():
            segment = segmentation.GetSegment(segment_id)
            slicer.vtkSlicerSegmentationsModuleLogic.SetSegmentStatus(segment, index)

    def _set_opacity(self, opacity: float) -> None:
        display = self._display()
        if display is not None:
            display.SetOpacity(opacity)

    def _set_outline(self, outline: bool) -> None:  # noqa: FBT001
        display = self._display()
        if display is not None:
            display.SetVisibility2DFill(not outline)
            display.SetVisibility2DOutline(True)

    def _display(self) -> Any:
        """None while the section draws, and where nothing is chosen: there is nothing to set then."""
        node = None if self._drawing else self.panel.segmentation()
        return node.GetDisplayNode() if node is not None else None

    def _restore(self) -> None:
        node = self._chosen()
        selected = self.ui.segmentsTable.selectedSegmentIDs()
        self.ui.editorWidget.saveStateForUndo()
        for segment_id in selected or (None,):
            restore_ai(node, segment_id)
        self.panel.say(_("The AI result is restored; Undo in the segment editor takes it back."))

    def _compare(self) -> None:
        node = self._chosen()
        self.panel.sections["compare"].compare_with(compare_with_ai(node)[1])

    def _draw_helpers(self) -> None:
        """A new segmentation comes with hidden helper organs; they are touched only when the answer changes."""
        parameters = self.panel.parameters
        if self._node is None or parameters is None:
            return
        shown = bool(parameters.show_helpers)
        if shown != bool(self._helpers):
            display = self._node.GetDisplayNode()
            for segment_id in helper_ids(self._node):
                display.SetSegmentVisibility(segment_id, shown)
        self._helpers = shown

    def _draw_status(self) -> None:
        """The status that all selected segments share; blank where they differ."""
        status = -1
        if self._node is not None:
            segmentation = self._node.GetSegmentation()
            of = slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentStatus
            held = {of(segmentation.GetSegment(segment_id)) for segment_id in self._segment_ids()}
            status = held.pop() if len(held) == 1 else -1
        self.ui.statusCombo.setCurrentIndex(status)


def _editor_node() -> Any:
    """Our own: one a scene, apart from the one of the Segment Editor module."""
    scene = slicer.mrmlScene
    node = scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)
        node.SetSingletonTag(EDITOR_TAG)
        node.SetOverwriteMode(node.OverwriteAllSegments)
        node = scene.AddNode(node)
    return node
