"""The phantom's truth is what its shapes say."""

from __future__ import annotations

import numpy as np
import pytest
from liverseg_core.errors import InputError
from liverseg_core.geometry import Grid
from liverseg_core.synthetic import CONTRASTS, GRID, abdomen, ellipsoid

COARSE = GRID.respaced((6.0, 6.0, 6.0))


def test_an_ellipsoid_s_distance_is_zero_on_its_surface_and_mm_beside_it() -> None:
    shape = ellipsoid((10.0, 0.0, 0.0), (30.0, 20.0, 10.0))
    points = np.array([[40.0, 0, 0], [41.0, 0, 0], [10, 20, 0], [10, 0, 9], [10, 0, 11.0]])
    np.testing.assert_allclose(shape(points), [0, 1, 0, -1, 1], atol=0.1)


def test_volumes_do_not_depend_on_the_grid() -> None:
    """Partial volume makes a 6-mm grid know the volume that a grid of twice the resolution counts."""
    _, _, coarse = abdomen("ct", grid=COARSE)
    _, mask, fine = abdomen("ct", grid=GRID.respaced((3.5, 3.5, 3.5)))
    for code in (1, 3, 4, 5):
        assert coarse[code] == pytest.approx(fine[code], rel=0.03)
        assert float((mask.voxels == code).sum()) * mask.grid.voxel_ml == pytest.approx(fine[code], rel=0.01)


def test_a_sphere_of_tissue_has_the_volume_of_a_sphere() -> None:
    grid = Grid((60, 60, 60), (1.0, 1.0, 1.0), (-29.5, -29.5, -29.5))
    k, j, i = np.indices(grid.array_shape)
    points = grid.world_mm(np.stack([i, j, k], axis=-1).reshape(-1, 3))
    cover = np.clip(0.5 - ellipsoid((0, 0, 0), (20.0, 20.0, 20.0))(points), 0, 1)
    assert cover.sum() == pytest.approx(4 / 3 * np.pi * 20**3, rel=2e-3)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_each_contrast_has_its_own_greys_and_the_same_truth(contrast: str) -> None:
    scan, mask, _ = abdomen(contrast, grid=COARSE)
    liver, spleen = (float(np.median(scan.voxels[mask.voxels == code])) for code in (1, 3))
    assert (liver > spleen) == (contrast == "t1")
    same, again, _ = abdomen(contrast, grid=COARSE)
    np.testing.assert_array_equal(same.voxels, scan.voxels)
    np.testing.assert_array_equal(again.voxels, mask.voxels)
    assert "no patient" in scan.source


def test_an_unknown_contrast_is_refused() -> None:
    with pytest.raises(InputError, match="ct, t1, t2"):
        abdomen("pet")
