"""An analysis that would not fit into memory is refused before it begins, and what is asked for is what it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fat_phantoms import Tissue, noisy, protocol, signal
from liverseg_core import memory
from liverseg_core.cli import main
from liverseg_core.cli.sample import save_echoes
from liverseg_core.fat import analysis
from liverseg_core.fat.room import bytes_needed
from liverseg_core.geometry import Grid
from liverseg_core.records import MultiEcho
from liverseg_core.windows import _Ledger

GRID = Grid((24, 24, 8), (3.0, 3.0, 6.0))


def uniform(voxels: int) -> np.ndarray:
    return noisy(signal(Tissue(10, 60), protocol()), voxels, 2.0).numpy()


@pytest.mark.parametrize(("phases", "times"), [(False, 340), (True, 680)])
def test_what_does_not_fit_is_refused_in_a_sentence(
    phases: bool, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reading fits, by 8 bytes a value; the fit does not, by a kilobyte of memory."""
    turns = np.random.default_rng(0).uniform(-np.pi, np.pi, np.prod(GRID.size))
    values = (uniform(turns.size) * np.exp(1j * turns)).reshape(6, *GRID.array_shape)
    echoes = MultiEcho(np.abs(values), np.angle(values), protocol().te_ms, 3.0, None, None, GRID, "x")
    save_echoes(echoes.magnitude, echoes, tmp_path / "magnitude.nii.gz")
    save_echoes(echoes.phase_rad, echoes, tmp_path / "phase.nii.gz")
    need = sum(bytes_needed(values[0].size, values[0].size, 6, phases=phases))
    assert need == pytest.approx(times * values[0].size, rel=0.1)
    monkeypatch.setattr(memory, "free_bytes", lambda: int(need) - 1024)
    monkeypatch.setattr(analysis, "analyse", lambda *_: pytest.fail("it was begun"))
    monkeypatch.setattr("liverseg_core.fat_pipeline._drawn", lambda *_: pytest.fail("it was begun"))
    arguments = [
        str(tmp_path / "magnitude.nii.gz"),
        *(["--phase-image", str(tmp_path / "phase.nii.gz")] if phases else []),
    ]
    assert main(["fat", *arguments, "--device", "cpu", "--out", str(tmp_path / "out")]) == 4
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("error: the fit of 6 echoes of 24 x 24 x 8 voxels needs about 0.00 GB")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("phases", [False, True])
def test_what_is_asked_for_is_what_tensors_take(phases: bool) -> None:
    """More voxels, and what more they take: chunks are the same for both."""
    taken = []
    for slices in (8, 16):
        grid = Grid((60, 60, slices), (2.0, 2.0, 6.0))
        values = uniform(np.prod(grid.size)).reshape(6, *grid.array_shape)
        liver = np.ones(grid.array_shape, bool)
        with _Ledger() as ledger:
            analysis.analyse(np.abs(values), np.angle(values) if phases else None, protocol(), grid, liver)
        taken.append(ledger.most)
    more = 8 * 60 * 60
    need = bytes_needed(more, more, 6, phases=phases)[0]
    assert 0.2 * need < taken[1] - taken[0] < need
