"""The block of the body, which some networks see instead of the whole scan."""

from __future__ import annotations

import numpy as np
import pytest
from liverseg_core.geometry import Grid
from liverseg_core.preparation import body_block
from liverseg_core.records import Scan
from phantoms import ellipsoid


def scan_of(spacing_z_mm: float, slices: int, phase: str) -> Scan:
    """A body of 120 x 90 mm that goes on above and below the scan, and a table of one voxel's height beneath it."""
    grid = Grid((100, 80, slices), (2.0, 2.0, spacing_z_mm))
    body = np.repeat(ellipsoid(Grid((100, 80, 1), (2.0, 2.0, 2.0)), (60.0, 45.0, 1e6)), slices, axis=0)
    voxels = np.where(body, 0.0, -1000.0) if phase.startswith("ct") else np.where(body, 100.0, 0.0)
    voxels[:, 70, :] = voxels.max()
    return Scan(voxels.astype(np.float32), grid, phase, "phantom", "made so")


@pytest.mark.parametrize("phase", ["ct_portal", "mr_t2fs"])
@pytest.mark.parametrize(("spacing_z_mm", "slices"), [(1.0, 1), (8.0, 1), (5.0, 2), (5.0, 30), (1.0, 90)])
def test_the_body_is_found_however_few_slices_there_are(phase: str, spacing_z_mm: float, slices: int) -> None:
    """Within two voxels of 4 mm of what was drawn; thin things beside it are not the body."""
    scan = scan_of(spacing_z_mm, slices, phase)
    block = body_block(scan)
    assert block is not None
    low = block.world_mm(np.zeros(3)) - np.array(block.spacing_mm) / 2
    high = low + np.array(block.size) * block.spacing_mm
    assert low[:2] == pytest.approx([40.0 - 1, 35.0 - 1], abs=8.0)
    assert high[:2] == pytest.approx([160.0 - 1, 125.0 - 1], abs=8.0)
    assert high[2] - low[2] >= min(4.0, slices * spacing_z_mm) - 1e-6


def test_air_is_no_body() -> None:
    assert body_block(Scan(np.full((3, 40, 40), -1000.0, np.float32), Grid((40, 40, 3), (4.0, 4.0, 4.0)), "ct_portal", "", "")) is None  # fmt: skip
