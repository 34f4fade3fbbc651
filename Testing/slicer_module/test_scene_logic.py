"""A script inside Slicer segments a volume: the real worker, the shipped model, the same voxels as the command line."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from liverseg_core.cli import main
from liverseg_core.geometry import Grid
from liverseg_core.synthetic import abdomen
from phantoms import saved_scan

pytest.importorskip("slicer", reason="needs the slicer-core wheel (Python < 3.14)", exc_type=ImportError)

MODULE = Path(__file__).resolve().parents[2] / "LiverSegExtension" / "LiverSeg"
FILE, NAME = "segmentation.seg.nrrd", "DICOM.SegmentAlgorithmName"
WORKER = [sys.executable, "-m", "liverseg_core"]
MIDDLING = Grid(
    (90, 64, 60), (4.0, 4.0, 4.2), (-178.0, -126.0, -130.0)
)  # the synthetic abdomen, fine enough for a spleen


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders go: nothing may be left there."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def pretend(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """A worker that is this Python code; sys.argv is what it was asked."""
    from LiverSegLib import logic

    monkeypatch.setattr(logic, "_program", lambda: [sys.executable, "-c", code])


WRITES = """
import json, sys, pathlib
sys.path.insert(0, {testing!r})
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
import numpy as np, SimpleITK as sitk
scan = sitk.ReadImage(sys.argv[2])
out.mkdir()
mask = sitk.Cast(scan > 0, sitk.sitkUInt8)
sitk.WriteImage(mask, str(out / "segmentation.seg.nrrd"), True)
print(json.dumps(dict(event="started", pid=7, protocol=1)), flush=True)
print("some rubbish", flush=True)
report = dict(version="9", model=dict(name="m"), quality="fast", measurements=[dict(structure="liver")], asked=sys.argv[1:])
(out / "report.json").write_text(json.dumps(report))
print(json.dumps(dict(event="done", out=str(out))), flush=True)
"""


def test_a_script_gets_a_node_and_hears_the_worker(volume: Any, rooms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer.util
    from LiverSegLib.logic import segment
    from LiverSegLib.scene import read_provenance
    from slicer_module import scene_results as lab

    pretend(monkeypatch, WRITES.format(testing=str(MODULE)))
    heard: list[str] = []
    node = segment(volume, quality="fast", phase="ct_portal", told=lambda event: heard.append(event.name))
    np.testing.assert_array_equal(lab.seen(node, volume) == 1, slicer.util.arrayFromVolume(volume) > 0)
    assert heard == ["started", "done"]
    made = read_provenance(node)
    assert (made.model, made.version, made.quality) == ("m", "9", "fast")
    assert not list(rooms.iterdir())


SPOILED = {
    "says why": ("print('{\"event\":\"error\",\"kind\":\"input\",\"text\":\"No such phase.\"}'); import sys; sys.exit(2)", "No such phase"),
    "dies": ("import os; os.kill(os.getpid(), 9)", "killed the worker|without an explanation"),
    "says nothing": ("import sys; sys.exit(4)", "not enough memory"),
    "writes nothing": ("print('done')", "without a result"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(SPOILED))
def test_a_worker_that_fails_is_told_in_words_and_leaves_the_scene_as_it_was(
    case: str, volume: Any, rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from LiverSegLib.controller import UserError
    from LiverSegLib.logic import segment
    from slicer_module import scene_results as lab

    code, words = SPOILED[case]
    pretend(monkeypatch, code)
    before = lab.census()
    with pytest.raises(UserError, match=words):
        segment(volume)
    assert lab.census() == before
    assert not list(rooms.iterdir())


def test_an_interrupted_script_ends_the_worker(
    volume: Any, rooms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while it waits: the worker is asked by its stop file, and is gone."""
    import slicer
    from LiverSegLib.logic import segment

    sign = tmp_path / "stopped"
    code = f"""
import pathlib, sys, time
print('{{"event":"started","pid":7}}', flush=True)
stop = pathlib.Path(sys.argv[sys.argv.index("--stop-file") + 1])
while not stop.exists(): time.sleep(0.05)
pathlib.Path({str(sign)!r}).touch()
"""
    pretend(monkeypatch, code)

    def interrupted(event: Any) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        segment(volume, told=interrupted)
    assert time.monotonic() - began < 5
    assert sign.exists()
    assert not list(rooms.iterdir())
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


def test_a_full_or_forbidden_temporary_folder_is_told(
    volume: Any, rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from LiverSegLib.controller import UserError
    from LiverSegLib.logic import segment

    monkeypatch.setattr(tempfile, "tempdir", str(rooms / "not there"))
    with pytest.raises(UserError, match="could not be"):
        segment(volume)


def test_the_phase_comes_from_the_dicom_tags(volume: Any, rooms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from LiverSegLib import logic
    from LiverSegLib.controller import UserError

    asked: list[str] = []
    monkeypatch.setattr(logic, "tags_of", lambda volume: {"Modality": "MR", "SeriesDescription": "t2 tse fs"})

    def run(arguments: list[str], folder: Path, told: Any) -> None:
        asked.extend(arguments)
        raise UserError("enough")

    monkeypatch.setattr(logic, "run_worker", run)
    with pytest.raises(UserError, match="enough"):
        logic.segment(volume)
    assert asked[asked.index("--phase") + 1] == "mr_t2fs"


@pytest.mark.parametrize("moved", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_slicer_finds_the_voxels_of_the_command_line(
    moved: bool, scene: Any, tmp_path: Path, rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The synthetic CT, loaded by Slicer, through the shipped model: voxel by voxel and segment by segment what
    `liverseg segment` writes for the same file; under a shift, a rotation and a shift, for the file that was exported."""
    import slicer.util
    from LiverSegLib import logic
    from LiverSegLib.scene import write_volume
    from slicer_module import scene_results as lab

    pytest.importorskip("torch")
    monkeypatch.setattr(logic, "_program", lambda: WORKER)
    scan = saved_scan(tmp_path / "scan.nii.gz", abdomen("ct", grid=MIDDLING)[0])
    volume = slicer.util.loadVolume(str(scan))
    if moved:
        lab.under(volume, lab.SHIFT, lab.TURN, lab.SHIFT)
        scan = tmp_path / "scan.nrrd"
        write_volume(volume, scan)
    options = ("--phase", "ct_portal", "--device", "cpu", "--quality", "fast")
    assert main(["segment", str(scan), "--out", str(tmp_path / "out"), *options]) == 0
    node = logic.segment(volume, phase="ct_portal", device="cpu", quality="fast")
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "segmentation.nii.gz")))
    assert {1, 3, 4, 5} <= set(np.unique(expected))
    np.testing.assert_array_equal(lab.seen(node, volume), np.where(np.isin(expected, lab.CODES), expected, 0))
    written = {fact["id"]: fact for fact in lab.facts(slicer.util.loadSegmentation(str(tmp_path / "out" / FILE)))}
    for fact in lab.facts(node):
        assert {**fact, NAME: written[fact["id"]][NAME]} == written[fact["id"]]
