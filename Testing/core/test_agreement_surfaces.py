"""Surface distances: the shells, the tree, the transform and the parts of a noise, against brute force and MONAI."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from liverseg_core.agreement import Options, agreement_of, check_identities, far, pair_of, shells, surfaces, twice
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


NEVER = 10**12
NO_SHELLS = {"shells._FEW": NEVER, "shells._AT_ONCE": 0}
PATHS = {  # what to turn so that one way of finding distances does all the work, and how exact it is
    "as it is": ({}, 1e-9),
    "a part at a time": ({"shells._PART": 100, "far._PART": 7, "shells._REACH": 3, "shells._FARTHER": 4}, 1e-9),
    "shells": ({"shells._FEW": -1, "shells._REACH": 20, "shells._FARTHER": 20}, 1e-9),
    "shells, those that are left at once": ({"shells._REACH": 2, "shells._FARTHER": 20}, 1e-9),
    "all at once": ({"shells._FEW": NEVER, "shells._AT_ONCE": NEVER, "shells._FARTHER": 20}, 1e-9),
    "shells, then tree": ({"shells._FEW": -1, "shells._AT_ONCE": 0, "shells._REACH": 2}, 1e-9),
    "tree": (NO_SHELLS, 1e-9),
    "transform, for there are too many": (NO_SHELLS | {"far._QUERY": NEVER}, 2e-4),
    "transform, for a tree looks at too much": (NO_SHELLS | {"far._LOOK": NEVER}, 2e-4),
    "transform of a crowd": ({"surfaces._FAR": NEVER}, 2e-4),
    "as if it were noise": ({"far._DENSE": NEVER}, 1e-9),
    "as if it were noise, by a transform": ({"far._DENSE": NEVER, "far._LOOK": NEVER, "shells._REACH": 3}, 2e-4),
    "both directions beside each other": ({"twice._ALONE": 0}, 1e-9),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_every_way_finds_the_nearest_border_voxel(
    path: str, spacing: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    turned, error_mm = PATHS[path]
    for name, value in turned.items():
        monkeypatch.setattr(f"liverseg_core.agreement.{name}", value)
    one, other = blob(1, (14, 18, 16)), blob(2, (14, 18, 16))
    found = surfaces.surface_distances(one, other, spacing)
    np.testing.assert_allclose(np.sort(found.pred_to_ref_mm), brute(one, other, spacing), atol=error_mm)
    np.testing.assert_allclose(np.sort(found.ref_to_pred_mm), brute(other, one, spacing), atol=error_mm)


RNG = np.random.default_rng(0)
K, J, X = np.indices((36, 40, 44))
NOISE = RNG.random(K.shape) < 0.5
CORNER = (K > 4) & (K < 30) & (J > 6) & (J < 34) & (X > 20)
CROWDS = {  # a prediction, a reference, and what has to answer
    "noise everywhere": (NOISE, (K < 3) & (J < 3), ["transformed_mm", "parted"]),
    "noise on both sides": (NOISE, RNG.random(K.shape) < 0.4, ["parted"]),
    "noise in a part": (NOISE & (X < 26), CORNER, ["parted"]),
    "the whole scan": (K >= 0, (K > 14) & (K < 20) & (J > 16) & (J < 20), ["transformed_mm"]),
    "one voxel": (K + J + X == 0, NOISE, ["parted", "transformed_mm"]),
}


TIES = (1.6, 2.0, 2.4, 2.5, 5.0)  # tolerances that are distances between voxels, too


@pytest.mark.parametrize("name", CROWDS)
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 1.5), (1.25, 1.25, 7.7)])
def test_a_crowd_of_border_voxels_is_answered_all_at_once(
    name: str, spacing: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise has a border voxel for every second voxel: neither shells nor tree would come to an end."""
    prediction, reference, ways = CROWDS[name]
    monkeypatch.setattr(far, "_LEAST", 0)
    monkeypatch.setattr(surfaces, "_STRIDE", 7)
    asked = {way: spy(monkeypatch, way) for way in ("transformed_mm", "parted")}
    found = surfaces.surface_distances(prediction, reference, spacing)
    if max(spacing) < 6 * min(spacing):  # in thicker slices noise is not parted: the blocks are small
        assert all(any(answer is not None for answer in asked[way]) for way in ways)
    for ours, one, other in (
        (found.pred_to_ref_mm, prediction, reference),
        (found.ref_to_pred_mm, reference, prediction),
    ):
        expected = ndimage.distance_transform_edt(~border(other), spacing[::-1])[border(one)]
        np.testing.assert_allclose(np.sort(ours), np.sort(expected), atol=2e-4)
        assert [np.sum(ours <= mm + 1e-6) for mm in TIES] == [np.sum(expected <= mm + 1e-6) for mm in TIES]


def spy(monkeypatch: pytest.MonkeyPatch, way: str) -> list[object]:
    """What a function of `surfaces` has answered."""
    answers, real = [], getattr(surfaces, way)

    def watched(*arguments: object) -> object:
        answers.append(real(*arguments))
        return answers[-1]

    monkeypatch.setattr(surfaces, way, watched)
    return answers


def test_of_a_noise_only_what_can_be_seen_from_afar_is_kept() -> None:
    mask = np.random.default_rng(1).random((60, 60, 60)) < 0.5
    lattice = shells.lattice_around(mask.shape, (1.0, 1.0, 1.0))
    near, seen = far.parted(shells.border(mask, lattice), lattice)
    inner = tuple(slice(n + 12, -n - 12) for n in lattice.pad)
    assert near.flat.reshape(lattice.shape)[inner].all()
    assert not seen.flat.reshape(lattice.shape)[inner].any()
    assert seen.count > 6 * 50 * 50 / 2
    assert far.parted(shells.border(mask & (np.indices(mask.shape)[0] % 5 == 0), lattice), lattice) is None


def test_between_two_sheets_a_tree_looks_at_much_of_both() -> None:
    """Why the number of voxels does not tell what a tree costs."""
    lattice = shells.lattice_around((60, 120, 120), (1.0, 1.0, 1.0))
    middle = np.array([np.ravel_multi_index((30, 60, 60), lattice.shape)])
    whole = np.array([0, np.prod(lattice.shape) - 1])

    def looks(*planes: int) -> float:
        sheet = np.zeros(lattice.shape, bool)
        sheet[list(planes)] = True
        return far._looks(far._tree(whole, shells.Voxels(sheet.ravel()), lattice), middle, lattice)

    assert looks(2) < 500
    assert looks(2, 58) > 2 * 0.8 * np.pi * 28**2 / 2


@pytest.mark.parametrize("voxels", [1, 10**9])
@pytest.mark.parametrize("threads", [1, 2])
def test_each_of_two_works_answers_for_itself(voxels: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitk.ProcessObject, "GetGlobalDefaultNumberOfThreads", lambda: threads)
    workers = set()

    def divided(one: int, other: int) -> float:
        workers.add(threading.get_ident())
        return one / other

    assert twice.twice(voxels, divided, (1, 2), (3, 4)) == (0.5, 0.75)
    assert len(workers) == (2 if threads == 2 and voxels > 1 else 1)
    with pytest.raises(ZeroDivisionError):
        twice.twice(voxels, divided, (1, 2), (3, 0))


def test_an_island_asks_a_tree_of_the_goals_around_it_alone() -> None:
    lattice = shells.lattice_around((60, 60, 60), (1.0, 1.0, 1.0))
    sheet = np.zeros(lattice.shape, bool)
    sheet[12] = True
    island = np.ravel_multi_index(np.indices((3, 3, 3)).reshape(3, -1) + 30, lattice.shape)
    tree = far._tree(island, shells.Voxels(sheet.ravel()), lattice)
    assert tree.n < sheet[12].size / 4
    np.testing.assert_array_equal(tree.query(lattice.points_mm(island))[0], np.indices((3, 3, 3))[0].ravel() + 18)


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
