"""The section Fat and iron: echoes chosen by clicks, the real worker's maps and numbers, what is refused and why."""

# ruff: noqa: F811 (a fixture is named where it is imported and where it is used)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slicer_module.panel_desk import SlowJob, module, panel, pick, rows, status, wait  # noqa: F401

TE_MS = (1.15, 2.1, 3.05, 4.0, 4.95, 5.9)


@pytest.fixture
def fat(panel: Any) -> Any:
    """The panel with the section unfolded."""
    panel.ui.fatSection.collapsed = False
    return panel


@pytest.fixture
def echoes(fat: Any) -> Any:
    """Six echoes as a sequence that knows its times, their phases as another, and the liver as a segmentation, chosen."""
    from slicer_module.fat_scenes import liver_of, sequence

    node = sequence("multiecho")
    sequence("multiecho_phase", phase=True)
    fat.ui.segmentationSelector.setCurrentNode(liver_of(proxy_of(node)))
    fat.ui.fieldSpin.value = 3.0
    settle()
    return node


def settle() -> None:
    from slicer_module.panel_scenes import spin

    spin(0.05)


def proxy_of(sequence: Any) -> Any:
    import slicer

    return slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequence).GetProxyNode(sequence)


def table_of(panel: Any) -> list[tuple[str, str, str]]:
    """Volume, use and times, as they are shown."""
    table = panel.ui.echoTable
    return [
        (table.item(n, 0).text(), table.cellWidget(n, 1).currentText, table.item(n, 2).text())
        for n in range(table.rowCount)
    ]


def use(panel: Any, name: str, role: str) -> None:
    table = panel.ui.echoTable
    pick(table.cellWidget([row[0] for row in table_of(panel)].index(name), 1), role)


def type_times(panel: Any, name: str, text: str) -> None:
    table = panel.ui.echoTable
    table.item([row[0] for row in table_of(panel)].index(name), 2).setText(text)


def answered(job: SlowJob, **how: Any) -> None:
    """The last job ends with made-up maps of the first echo."""
    from slicer_module.fat_scenes import write_results

    write_results(Path(job.arguments[job.arguments.index("--out") + 1]), Path(job.arguments[1]), **how)
    job.ends(0)


def option(job: SlowJob, name: str) -> str:
    return next(word.partition("=")[2] for word in job.arguments if word.startswith(f"{name}="))


def overlay() -> Any:
    """The node over the slices; a view is made where there is none."""
    import slicer

    view = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    if view is None:
        view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
        view.SetLayoutName("Red")
    return slicer.mrmlScene.GetNodeByID(view.GetForegroundVolumeID() or "none")


def test_the_real_worker_finds_the_fat_and_the_iron_that_were_put_in(fat: Any, echoes: Any) -> None:
    import slicer
    from LiverSegLib.job import WorkerJob
    from slicer_module.fat_scenes import PDFF, R2STAR, small_echoes
    from slicer_module.panel_scenes import cells, shown_value

    assert table_of(fat) == [
        ("multiecho", "magnitude", "1.15, 2.1, 3.05, 4, 4.95, 5.9"),
        ("multiecho_phase", "phase", "1.15, 2.1, 3.05, 4, 4.95, 5.9"),
    ]
    fat.new_job = WorkerJob
    overlay()
    fat.ui.fatButton.click()
    assert fat.ui.fatButton.text == "Cancel"
    assert not fat.ui.fatProgress.isHidden()
    assert wait(fat, "fat").status.name == "DONE", fat.controllers["fat"].report()
    view = fat.ui.fatTable
    assert float(shown_value(view, "Liver", "PDFF median")) == pytest.approx(PDFF, abs=0.5)
    assert float(shown_value(view, "Liver", "R2* median")) == pytest.approx(R2STAR, abs=2.0)
    assert cells(view)[0][:2] == ["Liver", "PDFF median"]
    assert len(cells(view)) > 100
    assert fat.ui.fatMessage.text.startswith("Liver: PDFF 1")
    maps = {node.GetAttribute("LiverSeg.map"): node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")}
    liver = small_echoes()[1]
    for key, value, margin in (("pdff", PDFF, 0.5), ("r2star", R2STAR, 2.0)):
        held = slicer.util.arrayFromVolume(maps[key])[liver]
        assert np.nanmedian(held) == pytest.approx(value, abs=margin)
    assert rows(fat.ui.fatMapCombo) == [
        "none", "PDFF (%) where measured", "PDFF (%) everywhere", "R2* (1/s) where measured", "R2* (1/s) everywhere",
    ]  # fmt: skip
    assert overlay().GetName().endswith("PDFF (%) where measured")
    fat.ui.fatPlotButton.click()
    (chart,) = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    assert chart.GetTitle() == "PDFF (%)"
    fat.ui.copyFatButton.click()
    assert "Liver\tPDFF median\t1" in slicer.app.clipboard().text()
    assert fat.log == []


def test_the_worker_is_told_what_was_chosen(fat: Any, echoes: Any, tmp_path: Path) -> None:
    import SimpleITK as sitk

    fat.ui.trSpin.value, fat.ui.flipSpin.value = 8.5, 3.0
    pick(fat.ui.fatMethodCombo, "magnitude")
    use(fat, "multiecho_phase", "")
    type_times(fat, "multiecho", "1.2, 2.2, 3.2, 4.2, 5.2, 6.2")
    fat.ui.fatButton.click()
    job = SlowJob.made[-1]
    assert option(job, "--echo-times-ms") == "1.2,2.2,3.2,4.2,5.2,6.2"
    assert [option(job, f"--{name}") for name in ("field-t", "tr-ms", "flip-deg")] == ["3", "8.5", "3"]
    assert job.arguments[job.arguments.index("--method") + 1] == "magnitude"
    assert "--phase-image" not in job.arguments
    assert "--model" not in job.arguments
    mask = sitk.GetArrayFromImage(sitk.ReadImage(job.arguments[job.arguments.index("--mask") + 1]))
    from slicer_module.fat_scenes import small_echoes

    np.testing.assert_array_equal(mask == 1, small_echoes()[1])
    job.says("warning", code="fat_above_half", text="The liver reads above 50 %.")
    answered(job)
    assert fat.ui.fatMessage.text == "Liver: PDFF 12.0 %, R2* 59.9 1/s (medians).\nThe liver reads above 50 %."
    assert fat.ui.messageLabel.text == ""


def test_single_volumes_are_chosen_by_hand_and_a_model_draws_the_liver(fat: Any, tmp_path: Path) -> None:
    import SimpleITK as sitk
    from liverseg_core.geometry import grid_of
    from liverseg_core.records import LabelMask
    from liverseg_core.reporting import save_masks
    from slicer_module.fat_scenes import echo_nodes, small_echoes

    nodes = echo_nodes(3)
    settle()
    assert [row[1] for row in table_of(fat)] == ["magnitude"] * 3  # by their names
    use(fat, "mag echo 3", "")
    for name, text in (("mag echo 1", "2.3"), ("mag echo 2", "1.15")):
        type_times(fat, name, text)
    fat.ui.fieldSpin.value = 1.5
    fat.ui.fatLiverCombo.currentIndex = 1
    fat.ui.fatButton.click()
    job = SlowJob.made[-1]
    assert option(job, "--echo-times-ms") == "1.15,2.3"
    assert "--mask" not in job.arguments
    out = Path(job.arguments[job.arguments.index("--out") + 1])
    grid = grid_of(sitk.ReadImage(job.arguments[1]))
    save_masks(LabelMask(small_echoes()[1].astype(np.uint8), grid), (1,), "LiverSeg", tmp_path)
    from slicer_module.fat_scenes import write_results

    write_results(out, Path(job.arguments[1]))
    (tmp_path / "segmentation.seg.nrrd").rename(out / "segmentation.seg.nrrd")
    job.ends(0)
    assert status(fat, "fat") == "DONE", fat.controllers["fat"].report()
    assert fat.segmentation().GetName() == "mag echo 2 liver"
    assert fat.segmentation().GetSegmentation().GetSegmentIDs() == ("liver",)
    assert len(table_of(fat)) == 3  # the maps are no echoes
    assert nodes[1].GetName() == "mag echo 2"


def test_two_echoes_give_a_fat_fraction_in_place_of_earlier_maps(fat: Any, echoes: Any) -> None:
    from slicer_module.fat_scenes import ROWS

    overlay()
    fat.ui.fatButton.click()
    answered(SlowJob.made[-1])
    assert fat.ui.fatMapCombo.count == 5
    rows = [{**ROWS[0], "quantity": "ff_median", "value": 8.5, "unit": "%", "reason": ""}]
    fat.ui.fatButton.click()
    answered(SlowJob.made[-1], rows=rows, maps=("ff",))
    assert status(fat, "fat") == "DONE", fat.controllers["fat"].report()
    shown = [fat.ui.fatMapCombo.itemText(n) for n in range(fat.ui.fatMapCombo.count)]
    assert [text.partition(" (")[0] for text in shown] == ["none", "Fat fraction", "Fat fraction"]
    assert "Fat fraction (%) where measured" in overlay().GetName()
    assert "Liver: Fat fraction 8.5 % (medians)." in fat.ui.fatMessage.text


def test_a_folder_is_read_by_the_worker_and_its_maps_lie_on_water(fat: Any, tmp_path: Path) -> None:
    import SimpleITK as sitk
    from liverseg_core.geometry import as_image
    from slicer_module.fat_scenes import small_echoes

    folder = tmp_path / "dicom"
    folder.mkdir()
    echoes = small_echoes()[0]
    sitk.WriteImage(as_image(echoes.magnitude[0], echoes.grid), str(tmp_path / "one.nrrd"))
    fat.ui.echoFolder.currentPath = str(folder)
    assert not fat.ui.echoTable.enabled
    fat.ui.fatLiverCombo.currentIndex = 1
    fat.ui.fatButton.click()
    job = SlowJob.made[-1]
    assert job.arguments[1] == str(folder)
    assert not any(word.startswith(("--echo-times-ms", "--field-t")) for word in job.arguments)
    job.arguments[1] = str(tmp_path / "one.nrrd")
    overlay()
    answered(job)
    assert status(fat, "fat") == "DONE", fat.controllers["fat"].report()
    assert overlay().GetName() == "dicom: water: PDFF (%) where measured"


@pytest.mark.slow
def test_the_real_worker_reads_a_dicom_folder(fat: Any, tmp_path: Path) -> None:
    from LiverSegLib.job import WorkerJob
    from slicer_module.fat_scenes import PDFF, R2STAR, dicom_folder
    from slicer_module.panel_scenes import shown_value

    folder = tmp_path / "Bäuche und Lebern"
    fat.ui.segmentationSelector.setCurrentNode(dicom_folder(folder))
    fat.ui.echoFolder.currentPath = str(folder)
    fat.new_job = WorkerJob
    fat.ui.fatButton.click()
    assert wait(fat, "fat").status.name == "DONE", fat.controllers["fat"].report()
    assert float(shown_value(fat.ui.fatTable, "Liver", "PDFF median")) == pytest.approx(PDFF, abs=1.0)
    assert float(shown_value(fat.ui.fatTable, "Liver", "R2* median")) == pytest.approx(R2STAR, abs=3.0)
    assert "There are no phase images" in fat.ui.fatMessage.text
    assert fat.sections["fat"].shown_map().GetName() == "Bäuche und Lebern: water: PDFF (%) where measured"
    assert fat.log == []


def test_the_shown_map_is_chosen_and_comes_back_with_the_scene(fat: Any, echoes: Any, tmp_path: Path) -> None:
    import slicer

    overlay()
    fat.ui.fatButton.click()
    answered(SlowJob.made[-1])
    fat.ui.fatMapCombo.currentIndex = 3
    assert overlay().GetName().endswith("R2* (1/s) where measured")
    fat.ui.fatPlotButton.click()
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotChartNode").GetTitle() == "R2* (1/s)"
    file = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(file)
    slicer.mrmlScene.Clear(False)
    assert fat.ui.fatMapCombo.count == 1
    assert fat.ui.fatMessage.text == ""
    assert table_of(fat) == []
    slicer.util.loadScene(file)
    assert fat.ui.fatMapCombo.currentText == "R2* (1/s) where measured"
    assert fat.sections["fat"].results.table.value("liver", "r2star_median") == 59.9
    fat.ui.fatMapCombo.currentIndex = 0
    assert overlay() is None
    assert fat.log == []


def small_volume(panel: Any) -> None:
    from slicer_module.lab import volumes

    volumes.volume_node("plain", "small")
    settle()
    use(panel, "small", "magnitude")
    type_times(panel, "small", "7.0")


def one_echo(panel: Any) -> None:
    for name in ("multiecho", "multiecho_phase"):
        use(panel, name, "")


def renamed(panel: Any) -> None:
    panel.segmentation().GetSegmentation().GetNthSegment(0).SetName("Spleen")


def unchosen(panel: Any) -> None:
    panel.ui.segmentationSelector.setCurrentNode(None)


BAD: list[tuple[Callable[[Any], None], str]] = [  # one after the other: each is found before what was spoilt earlier
    (unchosen, "Choose a segmentation under Segments first"),
    (lambda panel: setattr(panel.ui.fieldSpin, "value", 0.0), "Nothing says the field strength"),
    (lambda panel: type_times(panel, "multiecho", ""), "Nothing says the echo times"),
    (lambda panel: type_times(panel, "multiecho", "0.00115, 0.0021"), "look like seconds"),
    (lambda panel: type_times(panel, "multiecho", "1, 2, 3"), "multiecho has 6 volumes, but 3 echo times"),
    (lambda panel: type_times(panel, "multiecho", "1, 2, 3, 4, 5, 6"), "are not those of the magnitudes"),
    (small_volume, "differ in size"),
    (one_echo, "small holds one echo; expected two"),
    (lambda panel: use(panel, "small", ""), "No echo is chosen"),
]


def test_bad_input_is_a_sentence_and_starts_no_worker(fat: Any, echoes: Any) -> None:
    from slicer_module.scene_results import census

    renamed(fat)
    fat.ui.fatButton.click()
    assert "drawn liver has no liver; choose another segmentation" in fat.ui.messageLabel.text
    for spoil, words in BAD:
        spoil(fat)
        before = census()
        fat.ui.fatButton.click()
        assert words in fat.ui.messageLabel.text
        assert census() == before
    assert not SlowJob.made
    assert fat.log == []


def test_no_liver_in_the_echoes_is_told_and_no_map_is_made(fat: Any, echoes: Any) -> None:
    import slicer
    from slicer_module.fat_scenes import ROWS

    fat.ui.fatButton.click()
    nothing_found = [{**row, "value": None, "reason": "no liver was found"} for row in ROWS]
    answered(SlowJob.made[-1], rows=nothing_found, maps=())
    assert fat.ui.fatMessage.text == "Nothing could be measured: no liver was found."
    assert rows(fat.ui.fatMapCombo) == ["none"]
    assert all(
        node.GetAttribute("LiverSeg.map") is None for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    )


def test_with_nothing_chosen_a_sentence_says_so(panel: Any) -> None:
    for button in ("fatButton", "fatPlotButton", "copyFatButton", "saveFatButton"):
        panel.say("")
        getattr(panel.ui, button).click()
        assert panel.ui.messageLabel.text, button
    assert panel.log == []


def test_the_echoes_may_go_and_the_scene_may_close_while_it_fits(fat: Any, echoes: Any) -> None:
    import slicer

    fat.ui.fatButton.click()
    job = SlowJob.made[-1]
    slicer.mrmlScene.RemoveNode(proxy_of(echoes))
    answered(job)
    assert status(fat, "fat") == "FAILED"
    assert "deleted meanwhile" in fat.ui.fatMessage.text
    fat.ui.fatButton.click()
    slicer.mrmlScene.Clear(False)
    assert status(fat, "fat") == "CANCELLED"
    assert fat.ui.fatMessage.text == ""
    SlowJob.made[-1].ends(0)
    assert fat.log == []


def test_two_lanes_speak_in_places_of_their_own(fat: Any, echoes: Any) -> None:
    """What one run tells is not lost when another one ends, or when a button answers."""
    from LiverSegLib.controller import Task

    fat.ui.fatButton.click()
    fitting = SlowJob.made[-1]
    fat.controllers["cases"].start(
        Task("cohort", lambda _folder: ["cohort"], lambda _folder: "2 of 2 cases have a result.")
    )
    fitting.says("error", kind="input", text="the echoes moved")
    fitting.ends(2)
    SlowJob.made[-1].ends(0)
    fat.ui.copyAgreementButton.click()
    assert fat.ui.fatMessage.text == "the echoes moved"
    assert fat.ui.casesMessage.text == "2 of 2 cases have a result."
    assert "no table yet" in fat.ui.messageLabel.text
