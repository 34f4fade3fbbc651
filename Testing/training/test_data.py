"""From cases to batches: aligned, repeatable, and honest about what is not known."""

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
from liverseg_core.preparation import prepare
from liverseg_core.reading import read_scan
from liverseg_training.augment import _drawn, blurred, shown, thick
from liverseg_training.between import spread
from liverseg_training.cache import cached
from liverseg_training.cases import list_cases
from liverseg_training.contrast import HELD_OUT, random_curve, simulated
from liverseg_training.experiment import Experiment
from liverseg_training.fit import cached_sides
from liverseg_training.negatives import BODIES
from liverseg_training.sampling import BatchSampler
from liverseg_training.sections import Augment, Sampler, Split
from liverseg_training.splits import split_cases
from liverseg_training.views import View, look
from torch.nn import functional

QUIET = Augment(rotate_deg=(0.0, 0.0, 0.0), scale=(1.0, 1.0))


def sampler_of(experiment: Experiment, augment: Augment, **changes: object) -> BatchSampler:
    return BatchSampler(
        cached_sides(experiment).training, experiment.stage(), replace(experiment.sampler, **changes), augment, {}
    )


def test_cases_say_what_was_annotated_and_the_split_keeps_them_apart(data: Path) -> None:
    cases = {case.id: case for case in list_cases(data)}
    assert cases["three"].annotated == (1,)
    assert cases["two"].phase == "mr_t2fs"
    parts = split_cases(cases.values(), Split(), data)
    assert [c.id for c in parts.validation] == ["held"]
    assert {c.id for c in parts.training} == {"one", "two", "three"}
    assert [c.id for c in list_cases(data, ["t*"])] == ["three", "two"]
    with pytest.raises(InputError, match="no case that matches"):
        list_cases(data, ["lits_*"])


def test_the_cache_is_what_preparation_lays(tiny: Experiment) -> None:
    """The same voxels that a user's scan becomes, before the normalisation that both apply to a crop."""
    (case,) = [c for c in cached_sides(tiny).training if c.case.id == "one"]
    prepared = prepare([read_scan(case.case.image, "ct_portal")], tiny.stage())
    whole = prepared.tensor[0, 0, : case.image.shape[0], : case.image.shape[1], : case.image.shape[2]]
    np.testing.assert_allclose((np.asarray(case.image, np.float32) - 50) / 100, whole, atol=2e-3)


def test_the_cache_is_made_once_and_anew_when_labels_change(tiny: Experiment, data: Path, tmp_path) -> None:
    case = list_cases(data, ["one"])[0]
    cached(case, tiny.stage(), tiny.preprocess, {}, tmp_path)
    made = {f: f.stat().st_mtime_ns for f in tmp_path.iterdir()}
    cached(case, tiny.stage(), tiny.preprocess, {}, tmp_path)
    assert {f: f.stat().st_mtime_ns for f in tmp_path.iterdir()} == made
    cached(case, tiny.stage(), tiny.preprocess, {"3": 1}, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 * len(made)


def test_cases_whose_ids_share_a_beginning_keep_their_own_cache(data: Path, tiny: Experiment, tmp_path) -> None:
    one, two = (replace(case, id=name) for case, name in zip(list_cases(data, ["one", "two"]), ("pat.1", "pat.2")))
    images = [np.array(cached(case, tiny.stage(), tiny.preprocess, {}, tmp_path).image) for case in (one, two)]
    assert not np.array_equal(*images)
    np.testing.assert_array_equal(cached(one, tiny.stage(), tiny.preprocess, {}, tmp_path).image, images[0])


@pytest.mark.parametrize("content", ["{", "{}", '{"validation": 3}', "3"])
def test_a_split_that_is_none_is_refused(data: Path, tmp_path, content: str) -> None:
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(InputError, match="not a split"):
        split_cases(list_cases(data), Split(), tmp_path)


def test_labels_on_another_grid_are_refused(data: Path, tiny: Experiment, tmp_path) -> None:
    case = list_cases(data, ["one"])[0]
    other = Grid((9, 9, 9))
    sitk.WriteImage(as_image(np.ones(other.array_shape, np.uint8), other), str(tmp_path / "labels.nii.gz"))
    with pytest.raises(InputError, match="same grid"):
        cached(replace(case, labels=tmp_path / "labels.nii.gz"), tiny.stage(), tiny.preprocess, {}, tmp_path / "cache")


@pytest.mark.parametrize("kind", ["scan", "organ"])
def test_image_and_labels_stay_aligned_under_every_turn(tiny: Experiment, kind: str) -> None:
    """The liver is 160 HU and its surroundings are not: wherever the target says liver, the image must."""
    turned = Augment(rotate_deg=(20.0, 20.0, 40.0), scale=(0.8, 1.2), bend_mm=10.0, flip={"k": 0.5, "j": 0.5})
    sampler = sampler_of(tiny, turned, kind=kind, batch=1, jitter_mm=8.0)
    for seed in range(12):
        batch = sampler.batch(np.random.default_rng(seed))
        if batch.modalities == ("CT",) and bool((batch.target == 1).any()):
            core = -torch.nn.functional.max_pool3d(-(batch.target == 1).float(), 3, 1, 1) > 0
            values = batch.image[core]
            assert values.numel() == 0 or float((values - 160).abs().mean()) < 20
            assert float((batch.image[batch.target == 0][batch.inside[batch.target == 0]] > 130).float().mean()) < 0.1


def test_a_view_is_drawn_from_the_cached_case_and_from_nothing_else(tiny: Experiment) -> None:
    """Unturned and unscaled but for the small stretch of each axis: sorted grey values agree with the case's own."""
    sampler = sampler_of(tiny, QUIET, batch=1, partial=0.0)
    batch = sampler.batch(np.random.default_rng(0))
    levels = torch.linspace(0.05, 0.95, 10)
    seen = torch.quantile(batch.image[batch.inside], levels)
    gaps = []
    for case in sampler.cases:
        own = torch.quantile(torch.from_numpy(np.array(case.image, np.float32)).flatten(), levels)
        gaps.append(float((own - seen).abs().max()))
    assert min(gaps) < 12
    assert float(batch.inside.float().mean()) > 0.8


def test_a_bend_moves_the_organs_and_leaves_the_end_of_the_scan_straight(tiny: Experiment) -> None:
    """The same nodes everywhere are a shift: two voxels up, so the target is what lay two slices further."""
    case = next(c for c in cached_sides(tiny).training if c.case.id == "one")
    size = np.array(case.image.shape) // 4 * 4
    nodes = np.zeros((3, 2, 2, 2))
    nodes[0] = 2.0
    plain = View((size - 1) / 2, size, np.eye(3), np.zeros(3), size.astype(float), np.zeros((3, 2, 2, 2)))
    straight, bent = (look(case, view, size, (1,)) for view in (plain, replace(plain, bend=nodes)))
    np.testing.assert_array_equal(bent[1][0, 0, :-2], straight[1][0, 0, 2:])
    assert bool(straight[1].any())
    np.testing.assert_array_equal(bent[3], straight[3])


def test_a_batch_depends_on_its_seed_alone(tiny: Experiment) -> None:
    sampler = sampler_of(tiny, tiny.augment)
    looks = [shown(sampler.batch(rng), tiny.augment, tiny.stage(), rng)
             for rng in (np.random.default_rng((1, 5)), np.random.default_rng((1, 6)), np.random.default_rng((1, 5)))]  # fmt: skip
    assert torch.equal(looks[0], looks[2])
    assert looks[0].shape != looks[1].shape or not torch.equal(looks[0], looks[1])


def test_partial_scans_end_inside_the_organ_and_hold_nothing_outside(tiny: Experiment) -> None:
    sampler = sampler_of(tiny, QUIET, partial=1.0, batch=1)
    shares = []
    for seed in range(6):
        batch = sampler.batch(np.random.default_rng(seed))
        assert not (batch.target[~batch.inside]).any()
        assert not (batch.codes[~batch.inside]).any()
        shares.append(float(batch.inside.float().mean()))
    assert min(shares) < 0.95


def test_real_ct_keeps_its_units_and_changed_ct_does_not(tiny: Experiment) -> None:
    sampler = sampler_of(tiny, QUIET, batch=1, partial=0.0)
    rngs = (np.random.default_rng(seed) for seed in range(40))
    batch = next(b for b in (sampler.batch(rng) for rng in rngs) if b.modalities == ("CT",))
    plain = shown(batch, QUIET, tiny.stage(), np.random.default_rng(0))
    expected = (batch.image.clamp(-125, 275) - 50) / 100
    torch.testing.assert_close(plain[batch.inside], expected[batch.inside], atol=1e-4, rtol=1e-4)
    changed = shown(batch, replace(QUIET, simulate=1.0), tiny.stage(), np.random.default_rng(0))
    assert float((changed - plain).abs().mean()) > 0.1
    mr = next(b for b in (sampler.batch(rng) for rng in rngs) if b.modalities == ("MR",))
    for seen, inside in (
        (changed, batch.inside),
        (shown(mr, QUIET, tiny.stage(), np.random.default_rng(0)), mr.inside),
    ):
        values = seen[inside]
        body = values[values > values.mean()]
        assert float(body.mean()) == pytest.approx(0.0, abs=0.15)  # zero mean and unit variance over the body
        assert float(body.std()) == pytest.approx(1.0, abs=0.25)


def test_a_sampler_that_does_not_exist_and_an_empty_split_are_refused(tiny: Experiment) -> None:
    with pytest.raises(InputError, match="organ, scan, slice"):
        sampler_of(tiny, QUIET, kind="slices")
    with pytest.raises(InputError, match="no training cases"):
        BatchSampler((), tiny.stage(), Sampler(), QUIET, {})


def test_empty_samples_are_bodies_without_organs(tiny: Experiment) -> None:
    sampler = sampler_of(tiny, QUIET, empty=1.0)
    batch = sampler.batch(np.random.default_rng(0))
    assert not batch.target.any()
    assert bool(batch.inside.all())
    assert bool(batch.known.all())
    assert float(batch.image.std()) > 100  # something is there


@pytest.mark.parametrize("kind", BODIES)
def test_every_made_up_body_has_air_around_it_and_tissue_in_it(kind: str) -> None:
    axes = [(torch.arange(40) - 19.5) * 9.0 for _ in range(3)]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    image = torch.full((40, 40, 40), -1000.0)
    BODIES[kind](image, (x, y, z), np.random.default_rng(0))
    assert float(image[:, 0].max()) == -1000.0
    assert 0.005 < float((image > -200).float().mean()) < 0.9


def test_scans_that_end_below_the_liver_hold_none_of_it(tiny: Experiment) -> None:
    sampler = sampler_of(tiny, QUIET, below=1.0, batch=1)
    for seed in range(4):
        assert not (sampler.batch(np.random.default_rng(seed)).target == 1).any()


def unit_and_codes() -> tuple[torch.Tensor, torch.Tensor]:
    codes = torch.zeros(12, 12, 12, dtype=torch.uint8)
    codes[3:9, 3:9, 3:9] = 1
    codes[9:11, 2:4, 2:4] = 3
    unit = torch.rand(12, 12, 12, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4 + 0.2 * (codes == 1)
    return unit, codes


def test_simulated_contrast_gives_each_organ_a_grey_of_its_own_over_draws() -> None:
    unit, codes = unit_and_codes()
    means = []
    for seed in range(30):
        drawn = simulated(unit, codes, np.random.default_rng(seed))
        assert torch.isfinite(drawn).all()
        means.append((float(drawn[codes == 1].mean()), float(drawn[codes == 3].mean())))
    liver, spleen = np.array(means).T
    assert np.ptp(liver) > 0.5
    assert 0.2 < float((liver > spleen).mean()) < 0.8  # neither is always the brighter one


def test_a_random_curve_is_a_function_of_the_grey_value() -> None:
    unit, _ = unit_and_codes()
    unit[0] = unit[1]
    drawn = random_curve(unit, np.random.default_rng(3))
    assert torch.equal(drawn[0], drawn[1])
    assert float(drawn.min()) >= 0.0
    assert float(drawn.max()) <= 1.0


@pytest.mark.parametrize("family", HELD_OUT)
def test_held_out_families_change_the_picture_and_repeat(family: str) -> None:
    unit, codes = unit_and_codes()
    one, two = (HELD_OUT[family](unit, codes, np.random.default_rng(1)) for _ in range(2))
    assert one.shape == unit.shape
    assert torch.isfinite(one).all()
    assert torch.equal(one, two)
    assert float((one - unit).abs().mean()) > 0.05


def test_training_never_calls_a_held_out_family() -> None:
    """By name, in the source: the families exist for validation alone."""
    package = Path(__import__("liverseg_training").__file__).parent
    for module in ("augment", "sampling", "fit"):
        assert not any(name in (package / f"{module}.py").read_text() for name in (*HELD_OUT, "HELD_OUT"))


def test_blur_and_thick_slices_keep_the_mean_and_lose_detail() -> None:
    noise = torch.rand(20, 20, 20, generator=torch.Generator().manual_seed(0))
    for worn in (blurred(noise, [1.5, 1.5, 1.5]), thick(noise, 0, 3.0)):
        assert float(worn.mean()) == pytest.approx(float(noise.mean()), abs=0.01)
        assert float(worn.std()) < 0.7 * float(noise.std())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_matrix_an_axis_does_what_torch_does_in_three_dimensions(axis: int) -> None:
    """Blur, thick slices and a field between nodes, against the 3-D layers that they stand for."""
    volume = torch.rand(20, 17, 26, generator=torch.Generator().manual_seed(0))
    sigma, shape, pad = 1.3, [1, 1, 1, 1, 1], [0] * 6
    kernel = torch.exp(-0.5 * (torch.arange(-4, 5) / sigma) ** 2)
    shape[2 + axis], pad[4 - 2 * axis], pad[5 - 2 * axis] = 9, 4, 4
    padded = functional.pad(volume[None, None], pad, mode="replicate")
    wanted = functional.conv3d(padded, (kernel / kernel.sum()).reshape(shape))[0, 0]
    torch.testing.assert_close(blurred(volume, [sigma if n == axis else 0.0 for n in range(3)]), wanted)
    coarse = list(volume.shape)
    coarse[axis] = round(coarse[axis] / 2.5)
    fewer = functional.adaptive_avg_pool3d(volume[None, None], coarse)
    wanted = functional.interpolate(fewer, volume.shape, mode="trilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(thick(volume, axis, 2.5), wanted)
    nodes = torch.randn(3, 4, 2)
    wanted = functional.interpolate(nodes[None, None], volume.shape, mode="trilinear", align_corners=True)[0, 0]
    torch.testing.assert_close(spread(nodes, volume.shape), wanted)


def test_every_kind_of_wear_comes_to_its_own_share_of_the_samples() -> None:
    augment = Augment(gamma=(0.7, 1.5), bias=0.2, noise=0.3, blur_mm=3.0, thick_mm=6.0, worn=0.5, shares={"blur": 0.1, "gamma": 0.8, "bias": 0.0})  # fmt: skip
    rng = np.random.default_rng(0)
    looks = [_drawn(augment, 3, rng) for _ in range(3000)]
    found = [np.mean([test(drawn) for drawn in looks]) for test in (
        lambda drawn: drawn.gamma != 1.0, lambda drawn: drawn.bias > 0, lambda drawn: drawn.noise > 0,
        lambda drawn: drawn.blur_mm > 0, lambda drawn: drawn.thick_mm > 0,
    )]  # fmt: skip
    assert found == pytest.approx([0.8, 0.0, 0.5, 0.1, 0.5], abs=0.03)
    for shares in ({"blurr": 0.1}, {"blur": 1.1}):
        with pytest.raises(InputError, match=r"augment\.shares"):
            Augment(shares=shares)


def test_a_case_without_its_meta_is_not_a_case(tmp_path) -> None:
    (tmp_path / "cases" / "x").mkdir(parents=True)
    (tmp_path / "split.json").write_text(json.dumps({"validation": []}))
    with pytest.raises(InputError):
        list_cases(tmp_path)


def test_a_corrected_case_is_found_beside_the_others(tmp_path) -> None:
    from liverseg_core.case_folder import CaseFacts

    for name, facts in (("case-a", CaseFacts("mr_t2fs", (1, 3))), ("case-b", CaseFacts("ct_portal", (1,)))):
        (tmp_path / name).mkdir()
        facts.save(tmp_path / name)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "meta.json").write_text('{"modality": "CT", "labels_ml": {"1": 2.0}}', encoding="utf-8")
    found = {case.id: (case.phase, case.annotated) for case in list_cases(tmp_path)}
    assert found == {
        "case-a": ("mr_t2fs", (1, 3)), "case-b": ("ct_portal", (1,)), "other": ("ct_unknown", (1,)),
    }  # fmt: skip
