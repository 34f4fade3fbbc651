"""Surface distances: the shells, the tree and the transform against brute force and against MONAI."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from liverseg_core.agreement import Options, agreement_of, check_identities, pair_of, surfaces
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from scipy import ndimage
from scipy.spatial.distance import cdist

SPACINGS = [(1.0, 1.0, 1.0), (0.742, 0.742, 2.0), (1.25, 1.25, 7.7), (3.0, 0.8, 1.5)]


def blob(seed: int, shape: tuple[int, int, int] = (16, 26, 22)) -> np.ndarray:
    """A smooth random shape that touches the edges of its image, with an island or two."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return noise > np.quantile(noise, 0.7)


def border(mask: np.ndarray) -> np.ndarray:
    """Written again: eroded by its six neighbours, with nothing outside the image."""
    return mask & ~ndimage.binary_erosion(np.pad(mask, 1))[1:-1, 1:-1, 1:-1]


def brute(one: np.ndarray, other: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    points = [np.argwhere(border(mask)) * spacing[::-1] for mask in (one, other)]
    return np.sort(cdist(*points).min(axis=1))


PATHS = {  # what to turn so that one way of finding distances does all the work
    "as it is": {},
    "shells": {"_FEW": 0, "_REACH": 20, "_WALK_LIMIT": 10**9},
    "shells, then tree": {"_FEW": 0, "_REACH": 2, "_WALK_LIMIT": 10**9},
    "tree": {"_FEW": 10**9},
    "transform": {"_FEW": 10**9, "_TREE_LIMIT": 0},
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_every_way_finds_the_nearest_border_voxel(
    path: str, spacing: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in PATHS[path].items():
        monkeypatch.setattr(surfaces, name, value)
    one, other = blob(1, (14, 18, 16)), blob(2, (14, 18, 16))
    found = surfaces.surface_distances(one, other, spacing)
    np.testing.assert_allclose(np.sort(found.pred_to_ref_mm), brute(one, other, spacing), atol=1e-9)
    np.testing.assert_allclose(np.sort(found.ref_to_pred_mm), brute(other, one, spacing), atol=1e-9)


def test_noise_is_left_to_the_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise has a border voxel for every second voxel: neither shells nor tree would come to an end."""
    asked = []
    transform = surfaces.distance_transform_edt
    monkeypatch.setattr(surfaces, "distance_transform_edt", lambda *a, **k: asked.append(1) or transform(*a, **k))
    monkeypatch.setattr(surfaces, "_TREE_LIMIT", 50)  # as if both borders were six times as large
    noise = np.random.default_rng(0).random((30, 40, 40)) < 0.5
    corner = np.zeros_like(noise)
    corner[:8, :8, :8] = True
    found = surfaces.surface_distances(noise, corner, (1, 1, 1))
    assert asked
    np.testing.assert_allclose(np.sort(found.pred_to_ref_mm), brute(noise, corner, (1, 1, 1)), atol=1e-9)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("spacing", SPACINGS)
def test_monai_gives_the_same_numbers(seed: int, spacing: tuple[float, float, float]) -> None:
    prediction, reference = blob(seed), blob(seed) ^ (blob(seed + 100) & blob(seed + 200))
    tolerance = 2.0
    options = Options(percentile=80, tolerance_mm=tolerance)
    values = check_identities(agreement_of(pair_of(prediction, reference, spacing), "liver", options)).values()
    ours, theirs = (torch.from_numpy(mask)[None, None] for mask in (prediction, reference))
    kji = list(spacing[::-1])
    expected = {
        "hd": compute_hausdorff_distance(ours, theirs, include_background=True, spacing=kji),
        "hd95": compute_hausdorff_distance(ours, theirs, include_background=True, percentile=95, spacing=kji),
        "hd80": compute_hausdorff_distance(ours, theirs, include_background=True, percentile=80, spacing=kji),
        "asd_pred_to_ref": compute_average_surface_distance(ours, theirs, include_background=True, spacing=kji),
        "asd_ref_to_pred": compute_average_surface_distance(theirs, ours, include_background=True, spacing=kji),
        "assd": compute_average_surface_distance(ours, theirs, include_background=True, symmetric=True, spacing=kji),
        "nsd": compute_surface_dice(ours, theirs, [tolerance + 1e-6], include_background=True, spacing=kji),
    }
    assert {key: values[key] for key in expected} == pytest.approx({k: float(v) for k, v in expected.items()}, abs=1e-5)


def test_in_a_single_slice_every_voxel_lies_on_the_border() -> None:
    """Above and below it the image ends."""
    disc = (np.hypot(*np.indices((40, 40)) - 20) < 12)[None]
    found = surfaces.surface_distances(np.roll(disc, 3, axis=2), disc, (1.5, 1.5, 5.0))
    assert found.ref_to_pred_mm.size == disc.sum()
    assert found.percentile_mm(100) == 4.5


def test_distances_to_an_empty_mask_are_infinite() -> None:
    found = surfaces.surface_distances(blob(0), np.zeros_like(blob(0)), (1, 1, 1))
    assert np.isinf(found.pred_to_ref_mm).all()
    assert found.ref_to_pred_mm.size == 0
    assert found.nsd(1000.0) == 0
