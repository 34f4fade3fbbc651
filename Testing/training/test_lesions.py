"""Made-up lesions: what is drawn is what is there, nothing else changes, and the same seed draws the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from liverseg_core.errors import InputError
from liverseg_core.geometry import Grid, as_image
from liverseg_core.labels import LESION, LIVER
from liverseg_training.__main__ import main
from liverseg_training.cases import list_cases
from liverseg_training.experiment import Experiment, experiment_from
from liverseg_training.fit import cached_sides
from liverseg_training.lesions import KINDS, LAWS, Lesion, _drawn, _implant, implanted, stray_lesions
from liverseg_training.organ import with_lesions
from liverseg_training.semi.streams import streams_of
from liverseg_training.splits import split_cases
from phantoms import ellipsoid
from scipy import ndimage

GRID = Grid((80, 72, 48), (1.5, 1.5, 3.0))
SPACING = np.array([3.0, 1.5, 1.5])
HU = 100.0


def organ(noise_hu: float = 8.0) -> tuple[np.ndarray, np.ndarray]:
    """A liver of 100 HU in fat."""
    codes = ellipsoid(GRID, (50.0, 46.0, 60.0)).astype(np.uint8)
    grey = np.where(codes == 1, HU, -90.0) + np.random.default_rng(0).normal(0, noise_hu, codes.shape)
    return grey.astype(np.float32), codes


def one(kind: str = "metastasis", **changes: object) -> Lesion:
    middle = tuple((n - 1) / 2 for n in GRID.array_shape)
    lesion = Lesion(kind, middle, (12.0, 12.0, 12.0), -50.0, 1.0, 0.0, 0.0, lumpy=0.0, pushed=0.0)
    return replace(lesion, **changes)


def implant(lesion: Lesion, noise_hu: float = 0.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    image, codes = organ(noise_hu)
    _implant(lesion, image, codes, SPACING, np.random.default_rng(seed))
    return image, codes


def test_the_same_seed_draws_the_same_and_another_one_others() -> None:
    image, codes = organ()
    alone = replace(LAWS, mean_count=1.0)
    first, again, other = (
        implanted(image, codes, GRID.spacing_mm, np.random.default_rng(seed), alone) for seed in (4, 4, 5)
    )
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert first[2] == again[2]
    assert first[2] != other[2]
    assert np.array_equal(codes, organ()[1])  # what came is not touched


@pytest.mark.parametrize("seed", range(3))
def test_lesions_lie_in_the_liver_and_far_from_them_nothing_changes(seed: int) -> None:
    image, codes = organ()
    seen, held, lesions = implanted(image, codes, GRID.spacing_mm, np.random.default_rng(seed))
    assert lesions
    assert set(np.unique(held)) <= {0, LIVER, LESION}
    assert stray_lesions(held) == []
    near = np.zeros(codes.shape, bool)
    for lesion in lesions:
        index = np.stack(np.indices(codes.shape), axis=-1) - lesion.centre
        near |= np.linalg.norm(index * SPACING, axis=-1) < 5.0 * max(lesion.radii_mm) + 6.0
    assert np.array_equal(seen[~near], image[~near])
    assert np.array_equal(held[~near], codes[~near])
    burden = (held == LESION).sum() / (codes == LIVER).sum()
    assert 0 < burden <= 1.3 * LAWS.most_burden


def test_a_lesion_at_the_border_of_the_liver_ends_there() -> None:
    image, liver = organ(0.0)
    codes = liver.copy()
    _implant(replace(one(), centre=(23.5, 35.5, 68.0)), image, codes, SPACING, np.random.default_rng(1))
    assert 0 < (codes == LESION).sum() < 1000  # a whole one has 1072
    assert np.array_equal(codes > 0, liver > 0)
    beyond = ~ndimage.binary_dilation(liver > 0, np.ones((3, 3, 3)), iterations=2)
    assert np.array_equal(image[beyond], organ(0.0)[0][beyond])


def test_what_is_drawn_follows_the_laws() -> None:
    """Diameters, kinds and looks of many draws; counts of many livers with small lesions on coarse voxels."""
    rng = np.random.default_rng(3)
    every = [_drawn(LAWS, rng) for _ in range(600)]
    diameters = np.array([lesion.diameter_mm for lesion in every])
    assert np.median(diameters) == pytest.approx(LAWS.median_mm, rel=0.12)
    assert np.log(diameters).std() == pytest.approx(np.hypot(LAWS.spread, LAWS.oblong / np.sqrt(3)), rel=0.1)
    shares = {name: sum(lesion.kind == name for lesion in every) / len(every) for name in KINDS}
    assert shares == pytest.approx({name: kind.share for name, kind in KINDS.items()}, abs=0.06)
    rims = [lesion.rim_hu > 0 for lesion in every if lesion.kind == "metastasis"]
    assert np.mean(rims) == pytest.approx(KINDS["metastasis"].rim, abs=0.08)
    assert all(lesion.core_hu == 0 for lesion in every if lesion.diameter_mm < 20.0)
    codes = np.full((16, 20, 20), LIVER, np.uint8)
    image, small = np.full(codes.shape, HU, np.float32), replace(LAWS, median_mm=8.0, spread=0.1)
    counts = [len(implanted(image, codes, (6.0, 6.0, 6.0), rng, small)[2]) for _ in range(40)]
    assert np.mean(counts) == pytest.approx(LAWS.mean_count, rel=0.35)
    assert sum(kind.share for kind in KINDS.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("lesion", "expected"),
    [(one(), HU - 50.0), (one("hypervascular", contrast_hu=40.0), HU + 40.0), (one("cyst", contrast_hu=8.0), 8.0)],
)
def test_a_lesion_has_the_density_that_was_drawn_for_it(lesion: Lesion, expected: float) -> None:
    """On the mean of several: its patches make one lesion lighter and another one darker."""
    within, around = [], []
    for seed in range(6):
        image, codes = implant(lesion, seed=seed)
        within.append(float(image[ndimage.binary_erosion(codes == LESION, iterations=2)].mean()))
        around.append(float(image[ndimage.binary_dilation(codes == LESION, iterations=3) & (codes == LIVER)].mean()))
    assert np.mean(within) == pytest.approx(expected, abs=5.0)
    assert np.mean(around) == pytest.approx(HU, abs=8.0)


def test_its_volume_is_that_of_its_axes_and_its_lumps_keep_it() -> None:
    ball = 4 / 3 * np.pi * 12.0**3 / float(SPACING.prod())
    assert (implant(one())[1] == LESION).sum() == pytest.approx(ball, rel=0.04)
    lumpy = [(implant(one(lumpy=0.25), seed=seed)[1] == LESION).sum() for seed in range(8)]
    assert np.std(lumpy) > 0.01 * ball
    assert np.mean(lumpy) == pytest.approx(ball, rel=0.2)


def test_a_rim_and_a_core_differ_from_what_lies_between() -> None:
    image, codes = implant(one("ring", radii_mm=(18.0, 18.0, 18.0), rim_hu=40.0, core_hu=-25.0))
    depth = ndimage.distance_transform_edt(codes == LESION, sampling=SPACING)
    rim, between, core = (
        float(image[(depth > low) & (depth <= high)].mean()) for low, high in ((0.5, 2.5), (6.5, 8.5), (13.0, 20.0))
    )
    assert rim > HU > between > core


def test_the_grain_of_the_scan_goes_on_inside() -> None:
    image, codes = implant(one("cyst", contrast_hu=8.0), noise_hu=12.0)
    inside = ndimage.binary_erosion(codes == LESION, iterations=2)
    assert 6.0 < float(image[inside].std()) < 14.0


def test_what_a_lesion_pushes_aside_is_its_share_of_its_volume() -> None:
    """A mark in the liver moves outward, liver and lesion together grow by what was pushed, and far off nothing moves."""
    image, codes = organ(0.0)
    before = int((codes > 0).sum())
    near_edge = replace(one(pushed=0.6), centre=(23.5, 35.5, 62.0))
    _implant(near_edge, image, codes, SPACING, np.random.default_rng(1))
    grown = int((codes > 0).sum()) - before
    pushed = 0.6 * 4 / 3 * np.pi * 12.0**3 / float(SPACING.prod())
    assert 20 < grown < pushed
    image, codes = organ(0.0)
    k, j, i = 23, 35, 50  # 15.75 mm from the middle
    codes[k, j, i] = 9
    _implant(one(pushed=0.5), image, codes, SPACING, np.random.default_rng(1))
    moved = np.argwhere(codes == 9)
    assert len(moved)
    assert moved[:, 2].min() >= i
    assert moved[:, 2].max() > i


def test_without_a_liver_there_is_nothing_to_put_lesions_into() -> None:
    image, codes = organ()
    seen, held, lesions = implanted(image, np.zeros_like(codes), GRID.spacing_mm, np.random.default_rng(0))
    assert lesions == ()
    assert np.array_equal(seen, image)
    assert not held.any()


@pytest.mark.parametrize(("labels", "expected"), [((1,), {0, 1}), ((2,), {0, 1}), ((1, 2), {0, 1, 2}), ((3,), {0})])
def test_a_sample_with_lesions_asks_for_what_the_network_answers(labels, expected) -> None:
    image, codes = organ()
    part = tuple(torch.from_numpy(a)[None, None] for a in (image, codes, codes, np.ones(codes.shape, bool)))
    (seen, target, held, _), made = with_lesions(part, GRID.spacing_mm, labels, np.random.default_rng(2))
    assert made
    assert seen.dtype == torch.float32
    assert set(target.unique().tolist()) == expected
    wanted = {(1,): (1, 2), (2,): (2,), (1, 2): (1, 2), (3,): ()}[labels]
    assert torch.equal(target > 0, torch.isin(held, torch.tensor(wanted, dtype=torch.uint8)))


def trained_on(raw: dict, **augment: object) -> Experiment:
    raw["data"] |= {"labels": [2], "merge": {}, "include": ["one", "three", "held"]}
    raw["preprocess"] |= {"crop": "previous", "inside": 1, "reach_mm": 8.0, "margin_mm": 8.0}
    raw["sampler"] = {"kind": "patch", "batch": 2, "foreground": 1.0}
    raw["infer"] = {"window": [32, 32, 32], "snap": [4, 4, 4]}
    raw["augment"] = dict(augment)
    return experiment_from(raw, "tumour")


def test_lesions_made_up_in_training_are_known_and_the_others_are_not(raw: dict) -> None:
    with_them, without = (
        streams_of(e, cached_sides(e).training) for e in (trained_on(raw, lesions=1.0), trained_on(raw))
    )
    for seed in range(3):
        batch, again = (with_them.batch(np.random.default_rng(seed)) for _ in range(2))
        assert torch.equal(batch.image, again.image)
        made = (batch.codes == LESION).flatten(1).any(1)
        assert batch.known[:, 1].tolist() == made.tolist()
        assert torch.equal(batch.target == 1, batch.codes == LESION)
    assert not without.batch(np.random.default_rng(0)).known[:, 1].any()


def test_magnetic_resonance_is_left_as_it_is(raw: dict) -> None:
    experiment = trained_on(raw, lesions=1.0)
    raw["data"]["include"] = ["two", "held"]
    batch = streams_of(experiment_from(raw, "mr"), cached_sides(experiment_from(raw, "mr")).training).batch(
        np.random.default_rng(0)
    )
    assert experiment.augment.lesions == 1.0
    assert set(batch.modalities) == {"MR"}
    assert not (batch.codes == LESION).any()


def test_a_lesion_outside_the_liver_in_a_reference_is_refused(raw: dict, data: Path, tmp_path: Path) -> None:
    codes = np.zeros((8, 8, 8), np.uint8)
    codes[2:6, 2:6, 2:4], codes[3:5, 3:5, 4] = LIVER, LESION
    assert stray_lesions(codes) == []
    codes[0, 0, 7], codes[7, 6:8, 7] = LESION, LESION
    assert stray_lesions(codes) == [2, 1]
    case = tmp_path / "cases" / "stray"
    case.mkdir(parents=True)
    for name in ("image.nii.gz", "labels.nii.gz"):
        (case / name).write_bytes((data / "cases" / "one" / name).read_bytes())
    meta = {"modality": "CT", "phase": "portal venous", "labels_ml": {"1": 1.0, "2": 1.0}}
    (case / "meta.json").write_text(json.dumps(meta))
    image = sitk.ReadImage(str(case / "labels.nii.gz"))
    voxels = sitk.GetArrayFromImage(image)
    voxels[0, 0, :3] = LESION
    labels = as_image(voxels, Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()))
    sitk.WriteImage(labels, str(case / "labels.nii.gz"))
    (tmp_path / "split.json").write_text('{"validation": []}')
    experiment = trained_on(raw)
    raw["data"] |= {"folder": str(tmp_path), "include": ["stray"]}
    assert experiment.stage().inside == LIVER
    with pytest.raises(InputError, match=r"stray: 1 lesions of the reference \(0\.2 ml\) touch no liver"):
        cached_sides(experiment_from(raw, "stray"))


def test_the_command_writes_cases_that_train_with_the_split_of_their_source(data: Path, tmp_path: Path) -> None:
    arguments = ["simulate", "lesions", "--data", str(data), "--seed", "3"]
    assert main([*arguments, str(tmp_path / "out"), "--each", "2"]) == 0
    cases = {case.id: case for case in list_cases(tmp_path / "out")}
    assert set(cases) == {f"lesions_{name}{n}" for name in ("one", "three", "held") for n in ("", "_2")}
    assert {case.patient for case in cases.values()} == {"one", "three", "held"}
    assert all(LESION in case.annotated and case.phase == "ct_portal" for case in cases.values())
    split = json.loads((tmp_path / "out" / "split.json").read_text())
    assert split["validation"] == ["lesions_held", "lesions_held_2"]
    sides = split_cases(cases.values(), Experiment.__dataclass_fields__["split"].default_factory(), tmp_path / "out")
    assert {case.id for case in sides.validation} == set(split["validation"])
    meta = json.loads((tmp_path / "out" / "cases" / "lesions_one" / "meta.json").read_text())
    _, labels = cases["lesions_one"].read()
    ml = sum(lesion["volume_ml"] for lesion in meta["lesions"])
    assert float((labels.voxels == LESION).sum()) * labels.grid.voxel_ml == pytest.approx(ml, abs=0.2)
    assert meta["simulated"] is True
    assert main([*arguments, str(tmp_path / "alone"), "--cases", "three"]) == 0
    for file in ("image.nii.gz", "labels.nii.gz"):
        alone, among = (tmp_path / o / "cases" / "lesions_three" / file for o in ("alone", "out"))
        assert np.array_equal(*(sitk.GetArrayFromImage(sitk.ReadImage(str(f))) for f in (alone, among)))


def test_the_command_refuses_what_has_no_liver_on_ct(data: Path, tmp_path: Path, capsys) -> None:
    assert main(["simulate", "lesions", "--data", str(data), "--cases", "two", str(tmp_path / "out")]) == 2
    assert "0 of 1 cases are CT with a liver" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
