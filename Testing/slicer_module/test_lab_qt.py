"""The Qt side of the lab: a stand-in fails where Slicer fails, and does what the panel relies on.

With LIVERSEG_SLICER_LAYER set to a folder of Slicer's own Python files the same tests are held against those.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest


def test_a_module_opens_enters_reloads_and_closes(toy: Any, desk: Any) -> None:
    import slicer
    from slicer_module.lab.boot import observers

    before = observers(slicer.mrmlScene)
    frame = toy.widgetRepresentation()
    widget = frame.self()
    frame.enter()
    assert (toy.title, widget.entered, widget.ui.selector.mrmlScene()) == ("Toy", 1, slicer.mrmlScene)
    assert slicer.util.getModuleWidget("Toy") is widget
    assert slicer.modules.toy.path.endswith("Toy.py")
    widget.onReload()
    assert slicer.modules.ToyWidget is not widget
    assert widget.cleaned == 1
    again = slicer.modules.ToyWidget
    desk.close_all()
    assert again.cleaned == 1
    assert not hasattr(slicer.modules, "toy")
    assert observers(slicer.mrmlScene) == before


WRONG: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "unknown attribute of a stand-in": (lambda ui: ui.selector.nodeType, AttributeError),
    "new attribute on a C++ object": (lambda ui: setattr(ui.check, "chekced", True), AttributeError),
    "setter that only C++ has": (lambda ui: ui.selector.setNodeTypes(["vtkMRMLNode"]), AttributeError),
    "setter that only C++ has, CTK": (lambda ui: ui.slider.setRange(0, 1), AttributeError),
    "property with brackets": (lambda ui: ui.check.checked(), TypeError),
    "wrong type": (lambda ui: setattr(ui.slider, "value", "much"), AttributeError),
    "None for a text": (lambda ui: setattr(ui.check, "text", None), AttributeError),
    "overwritten slot": (lambda ui: setattr(ui.check, "click", print), AttributeError),
    "overwritten signal": (lambda ui: setattr(ui.selector, "currentNodeChanged", print), AttributeError),
    "unknown signal": (lambda ui: ui.check.connect("ticked(bool)", print), RuntimeError),
    "unknown signal of a stand-in": (lambda ui: ui.selector.connect("nodeChanged()", print), Exception),
    "wrong overload": (lambda ui: ui.selector.connect("currentNodeChanged(int)", print), RuntimeError),
    "too many arguments": (lambda ui: ui.selector.currentNode(3), TypeError),
    "too few arguments for a stub": (lambda ui: ui.selector.sortFilterProxyModel(1, 2), ValueError),
    "not a node": (lambda ui: ui.selector.setCurrentNode(3), ValueError),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_stand_in_fails_where_slicer_fails(name: str, toy: Any) -> None:
    act, kind = WRONG[name]
    ui = toy.widgetRepresentation().self().ui
    with pytest.raises(kind):
        act(ui)


def test_unknown_classes_say_how_to_add_them(desk: Any) -> None:
    import ctk
    import slicer

    with pytest.raises(AttributeError, match="--add qMRMLNothingWidget"):
        slicer.qMRMLNothingWidget  # noqa: B018
    with pytest.raises(AttributeError, match="--add ctkNothing"):
        ctk.ctkNothing  # noqa: B018
    with pytest.raises(AttributeError):
        slicer.vtkMRMLNothingNode  # noqa: B018


def test_a_selector_takes_no_node_by_itself_and_forgets_a_removed_one(toy: Any, scene: Any) -> None:
    selector = toy.widgetRepresentation().self().ui.selector
    heard: list[Any] = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    one = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "one")
    for kind in ("vtkMRMLTableNode", "vtkMRMLScalarVolumeNode"):
        scene.AddNewNodeByClass(kind, "other")
    assert (selector.currentNode(), selector.nodeCount()) == (None, 2)
    selector.setCurrentNode(one)
    one.SetName("renamed")
    scene.RemoveNode(one)
    assert (heard, selector.nodeCount()) == ([one, None], 1)
    hidden = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hidden")
    hidden.SetHideFromEditors(True)
    selector.setMRMLScene(None)
    selector.setMRMLScene(scene)
    assert selector.nodeCount() == 1


def test_a_selector_without_none_falls_back_to_the_last_node_left(toy: Any, scene: Any) -> None:
    selector = toy.widgetRepresentation().self().ui.selector
    selector.noneEnabled = False
    one, two, three = (scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in ("one", "two", "three"))
    selector.setCurrentNode(one)
    scene.RemoveNode(one)
    assert (selector.currentNode(), two.GetName()) == (three, "two")


def test_the_segments_table_follows_the_segmentation(desk: Any, volume: Any) -> None:
    import slicer
    from slicer_module.lab import volumes

    table, node = slicer.qMRMLSegmentsTableView(), volumes.liver_node(volume)
    table.setSegmentationNode(node)
    assert (table.segmentCount, table.displayedSegmentIDs()) == (1, ("liver",))
    heard: list[Any] = []
    table.selectionChanged.connect(lambda: heard.append(table.selectedSegmentIDs()))
    table.setSelectedSegmentIDs(["liver"])
    assert heard[-1] == ("liver",)
    node.GetSegmentation().AddEmptySegment("tumour", "tumour")
    assert (table.rowForSegmentID("tumour"), table.selectedSegmentIDs()) == (1, ("liver",))
    table.setHideSegments(["liver"])
    assert table.displayedSegmentIDs() == ("tumour",)


def test_the_editor_needs_its_node_first(desk: Any, volume: Any, scene: Any) -> None:
    import slicer
    from slicer_module.lab import volumes

    editor, node = slicer.qMRMLSegmentEditorWidget(), volumes.liver_node(volume)
    editor.setMRMLScene(scene)
    with pytest.raises(RuntimeError, match="setMRMLSegmentEditorNode"):
        editor.setSegmentationNode(node)
    editor.setMRMLSegmentEditorNode(scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
    editor.setSegmentationNode(node)
    editor.setSourceVolumeNode(volume)
    assert (editor.segmentationNode(), editor.sourceVolumeNode()) == (node, volume)


def test_a_closed_section_hides_what_it_holds_and_keeps_what_was_hidden(desk: Any) -> None:
    import ctk
    import qt

    section = ctk.ctkCollapsibleButton()
    column, shown, hidden = qt.QVBoxLayout(section), qt.QLabel("shown"), qt.QLabel("hidden")
    for label in (shown, hidden):
        column.addWidget(label)
    hidden.visible = False
    section.show()
    section.collapsed = True
    assert (shown.isHidden(), section.checked) == (True, False)
    section.collapsed = False
    assert (shown.isHidden(), hidden.isHidden()) == (False, True)


def test_a_process_runs_and_tells(desk: Any) -> None:
    import qt

    process, words = qt.QProcess(), []
    process.connect("readyReadStandardOutput()", lambda: words.append(bytes(process.readAllStandardOutput())))
    ended: list[tuple[int, Any]] = []
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: ended.append((code, status)))
    process.start(sys.executable, ["-c", "print('alive'); raise SystemExit(3)"])
    assert desk.settle(20.0, until=lambda: bool(ended))
    assert (b"".join(words).split(), ended[0][0]) == ([b"alive"], 3)
    assert ended[0][1] == qt.QProcess.NormalExit


def test_messages_are_told_and_nothing_waits(desk: Any) -> None:
    import qt
    import slicer.util

    slicer.util.errorDisplay("broken")
    desk.answers.append(False)
    assert slicer.util.confirmOkCancelDisplay("sure?") is False
    assert slicer.util.confirmYesNoDisplay("sure?") is True
    assert [(told.kind, told.text) for told in desk.told] == [
        ("error", "broken"),
        ("question", "sure?"),
        ("question", "sure?"),
    ]
    with pytest.raises(RuntimeError, match="wait for a person"):
        qt.QDialog().exec_()
    with pytest.raises(RuntimeError, match="wait for a person"):
        qt.QFileDialog.getOpenFileName()


def test_texts_go_through_the_translation(desk: Any) -> None:
    from slicer.i18n import tr
    from slicer_module.lab.behaviours import application

    application.translations["Liver"] = "Leber"
    assert (tr("Liver"), tr("Spleen")) == ("Leber", "Spleen")


def test_an_exception_in_an_observer_fails_the_test(desk: Any, volume: Any) -> None:
    heard: list[str] = []
    told, sys.excepthook = sys.excepthook, lambda kind, error, trace: heard.append(kind.__name__)
    volume.AddObserver("ModifiedEvent", lambda *_: 1 / 0)
    volume.Modified()
    sys.excepthook = told
    assert heard == ["ZeroDivisionError"]


def test_an_exception_in_a_slot_is_kept(desk: Any) -> None:
    import qt
    from slicer_module.lab import qtcalls

    box = qt.QCheckBox()
    box.connect("toggled(bool)", lambda on: 1 / 0)
    box.checked = True
    (error,) = qtcalls.errors
    assert isinstance(error, ZeroDivisionError)
    qtcalls.errors.clear()


def test_a_slot_gets_as_many_arguments_as_it_names(desk: Any) -> None:
    import qt

    heard: list[Any] = []
    box = qt.QCheckBox()
    box.connect("toggled(bool)", lambda: heard.append("none"))
    box.connect("toggled(bool)", lambda on: heard.append(bool(on)))
    box.connect("toggled(bool)", lambda *given: heard.append(given))
    box.checked = True
    assert heard == ["none", True, (True,)]
    assert box.disconnect("toggled(bool)")
    box.checked = False
    assert len(heard) == 3


def test_the_dicom_database_answers_what_was_written_down(desk: Any) -> None:
    import slicer

    slicer.dicomDatabase._h_add("1.2", "/tmp/a.dcm", {"0008,103E": "portal"}, series="9")
    assert slicer.dicomDatabase.instanceValue("1.2", "0008,103e") == "portal"
    assert slicer.dicomDatabase.fileValue("/tmp/a.dcm", "0008,103E") == "portal"
    assert slicer.dicomDatabase.filesForSeries("9") == ("/tmp/a.dcm",)
    assert slicer.dicomDatabase.instanceValue("1.3", "0008,103e") == ""


def test_the_layout_shows_volumes_in_real_views(views: Any, volume: Any) -> None:
    import slicer.util

    red = views.sliceWidget("Red")
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    assert views.sliceViewNames() == ("Red", "Yellow", "Green")
    assert red.mrmlSliceCompositeNode().GetBackgroundVolumeID() == volume.GetID()
    assert red._view.picture().max() > 100
    views.setLayout(4)
    assert (views.layout, views.threeDViewCount) == (4, 1)


def test_the_hierarchy_shows_what_people_see(desk: Any, scene: Any) -> None:
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    seen, hidden = (slicer.vtkMRMLScalarVolumeNode() for _ in range(2))
    hidden.SetHideFromEditors(True)
    items = {node: tree.GetItemByDataNode(scene.AddNode(node)) for node in (seen, hidden)}
    assert tree.GetItemParent(items[seen]) == tree.GetSceneItemID()
    assert items[hidden] == tree.GetInvalidItemID()
    folder = tree.CreateFolderItem(tree.GetSceneItemID(), "folder")
    assert tree.CreateItem(folder, seen) == items[seen]  # moved, not made twice
    assert tree.GetItemParent(items[seen]) == folder
    scene.RemoveNode(seen)
    assert tree.GetItemByDataNode(seen) == tree.GetInvalidItemID()
