"""Sample data: registered once Slicer has started, and made here by the real worker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs the slicer-core wheel (Python < 3.14)", exc_type=ImportError)

WORKER = [sys.executable, "-m", "liverseg_core"]


def test_two_entries_with_pictures_are_registered(desk: Any) -> None:
    from LiverSegLib import samples
    from slicer_module.lab import neighbours

    neighbours.samples.clear()
    samples.register()
    assert [entry["sampleName"] for entry in neighbours.samples] == list(samples.NAMES.values())
    for entry in neighbours.samples:
        assert entry["category"] == "LiverSeg"
        assert Path(entry["thumbnailFileName"]).is_file()


def test_the_worker_is_asked_and_its_file_is_loaded(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer.util
    from LiverSegLib import logic, samples
    from phantoms import saved_scan
    from slicer_module.panel_desk import small_abdomen

    scan, asked = small_abdomen()[0], []

    def pretended(arguments: list[str], folder: Path, *_: Any) -> None:
        asked.extend(arguments)
        place = Path(arguments[2])
        place.mkdir()
        saved_scan(place / "image.nii.gz", scan)

    monkeypatch.setattr(logic, "run_worker", pretended)
    (node,) = samples._maker("ct")()
    assert asked[:2] == ["sample", "ct"]
    assert node.GetName() == "LiverSegSyntheticCT"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), scan.voxels)


@pytest.mark.slow
def test_the_synthetic_ct_arrives_as_the_command_makes_it(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer.util
    from liverseg_core.synthetic import abdomen
    from LiverSegLib import logic, samples
    from slicer_module.lab import neighbours

    monkeypatch.setattr(logic, "_program", lambda: WORKER)
    neighbours.samples.clear()
    samples.register()
    (node,) = neighbours.samples[0]["customDownloader"](None)
    assert node.GetName() == "LiverSegSyntheticCT"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), abdomen("ct")[0].voxels)


def test_a_worker_that_cannot_make_it_is_said(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer.util
    from LiverSegLib import logic, samples

    told: list[str] = []
    monkeypatch.setattr(slicer.util, "errorDisplay", told.append)
    monkeypatch.setattr(logic, "_program", lambda: [sys.executable, "-c", "import sys; sys.exit(6)"])
    assert samples._maker("ct")() == []
    assert len(told) == 1
    assert "could not be made" in told[0]
