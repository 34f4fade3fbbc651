"""Which block a sample shows: the right size, aligned, and as the corridor will show it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from liverseg_core.errors import InputError
from liverseg_core.preparation import channel_of, prepare
from liverseg_core.reading import read_scan
from liverseg_training.augment import shown
from liverseg_training.cache import CachedCase
from liverseg_training.experiment import Experiment, experiment_from
from liverseg_training.fit import cached_sides
from liverseg_training.intensity import line_of, rule_for, scale_of
from liverseg_training.looks import shown_whole
from liverseg_training.sampling import SAMPLERS, BatchSampler, Source
from liverseg_training.sections import Augment
from liverseg_training.views import View, cut, look, plain_view

STILL = Augment(turned=0.0)
TURNED = Augment(rotate_deg=(20.0, 20.0, 40.0), scale=(0.8, 1.2), bend_mm=8.0, flip={"k": 0.5, "j": 0.5})


def sliced(raw: dict, **changes: object) -> Experiment:
    """A 2-D stage over the body, with neighbours and windows as channels."""
    raw["preprocess"] |= {"crop": "body", "channels": ["slice-1", "image", "slice+1", "window:200/60", "histeq"]}
    raw["network"] = {"kind": "r50_unet", "dims": 2}
    raw["infer"] = {"window": [1, 32, 32], "snap": [1, 16, 16]}
    raw["sampler"] = {"kind": "slice", "batch": 6, **changes}
    return experiment_from(raw, "sliced")


def blocks(raw: dict, kind: str, window: list[int], **changes: object) -> Experiment:
    raw["infer"] = {"window": window, "snap": [4, 4, 4]}
    raw["sampler"] = {"kind": kind, "batch": 4, **changes}
    return experiment_from(raw, kind)


def sampler_of(experiment: Experiment, augment: Augment) -> BatchSampler:
    return BatchSampler(cached_sides(experiment).training, experiment.stage(), experiment.sampler, augment, {})


def test_every_slice_is_shown_as_the_corridor_prepares_it(raw: dict) -> None:
    """Channel by channel, for CT and MR, at both ends of the scan: normalised by the whole, with its neighbours."""
    experiment = sliced(raw, place="centre")
    stage, sampler = experiment.stage(), sampler_of(experiment, STILL)
    prepared = {
        c.case.id: prepare([read_scan(c.case.image, c.case.phase)], stage).tensor[0] for c in sampler.cases
    }  # fmt: skip
    found = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        batch = sampler.batch(rng)
        seen = shown(batch, STILL, stage, rng)
        assert seen.shape[1:3] == (5, 1)
        assert batch.target.shape[2:] == seen.shape[2:]
        for sample, modality in zip(seen, batch.modalities):
            gaps = []
            for name, whole in prepared.items():
                j, i = ((a - b) // 2 for a, b in zip(whole.shape[2:], sample.shape[2:]))
                near = whole[:, :, j : j + sample.shape[2], i : i + sample.shape[3]]
                gap = (near - sample).abs()[:4].amax((0, 2, 3))  # ranks are those of what is seen of a slice
                gaps.append((float(gap.min()), name, int(gap.argmin())))
            best = min(gaps)
            assert best[0] < 0.03, (best, modality)  # the cache holds 16 bits
            found.add(best[1:])
    assert len({name for name, _ in found}) == 3
    assert {0} <= {k for _, k in found} or len(found) > 30


def test_slices_hold_the_organ_as_often_as_they_are_asked_to(raw: dict) -> None:
    for share in (1.0, 0.0):
        sampler = sampler_of(sliced(raw, liver=share), STILL)
        targets = [t for seed in range(10) for t in sampler.batch(np.random.default_rng(seed)).target]
        held = np.mean([bool(t.any()) for t in targets])
        expected = np.mean([s.slices.size / s.shape[0] for s in sampler.sources])
        assert held == 1.0 if share else abs(held - expected) < 0.2
    assert sampler.samples == sum(len(case.image) for case in sampler.cases)


def test_slabs_are_consecutive_slices_inside_the_scan(raw: dict) -> None:
    experiment = blocks(raw, "slab", [12, 40, 44], place="centre")
    sampler = sampler_of(experiment, STILL)
    for seed in range(5):
        batch = sampler.batch(np.random.default_rng(seed))
        assert batch.image.shape == (4, 1, 12, 40, 44)
        for image, inside in zip(batch.image[:, 0], batch.inside[:, 0]):
            assert bool(inside.all())
            match = [
                k
                for case in sampler.cases
                for k in range(len(case.image) - 11)
                if case.image.shape[1:] == (40, 44)
                and np.array_equal(np.asarray(case.image[k : k + 12], np.float32), image.numpy())
            ]
            assert len(match) == 1


def test_patches_are_drawn_to_the_organs_and_stay_inside(raw: dict) -> None:
    for share in (1.0, 0.0):
        sampler = sampler_of(blocks(raw, "patch", [12, 12, 12], foreground=share), STILL)
        batches = [sampler.batch(np.random.default_rng(seed)) for seed in range(12)]
        middles = [bool(b.target[n, 0, 4:9, 4:9, 4:9].any()) for b in batches for n in range(4)]
        assert all(bool(b.inside.all()) for b in batches)
        assert np.mean(middles) > 0.85 if share else np.mean(middles) < 0.7


@pytest.mark.parametrize("kind", SAMPLERS)
def test_image_and_labels_stay_aligned_whatever_the_sampler_and_the_turn(raw: dict, kind: str) -> None:
    """The liver of a CT is 160 HU, and nothing else is: one fourth of a voxel's slip would show."""
    experiment = sliced(raw) if kind == "slice" else blocks(raw, kind, [24, 32, 32])
    sampler, seen = sampler_of(experiment, TURNED), 0
    for seed in range(6):
        batch = sampler.batch(np.random.default_rng(seed))
        context = (batch.image.shape[2] - batch.target.shape[2]) // 2
        image = batch.image[:, :, context : batch.image.shape[2] - context]
        for n, modality in enumerate(batch.modalities):
            liver = batch.target[n : n + 1] == 1
            flat = (1, 3, 3) if kind == "slice" else (3, 3, 3)
            pad = tuple(a // 2 for a in flat)
            core = -torch.nn.functional.max_pool3d(-liver.float(), flat, 1, pad) > 0
            if modality == "CT" and int(core.sum()) > 20:
                seen += 1
                assert float((image[n : n + 1][core] - 160).abs().mean()) < 20
    assert seen > 2


def test_a_straight_cut_is_what_interpolation_sees(raw: dict) -> None:
    case = cached_sides(experiment_from(raw, "x")).training[0]
    first, size = np.array([-2, 3, 5]), np.array([16, 20, 24])
    view = plain_view(first, size, case.first, case.last)
    flipped = replace(view, matrix=np.diag([-1.0, 1.0, -1.0]))
    for v in (view, flipped):
        assert v.straight
        exact = cut(case, v, (1, 3))
        bent = replace(v, bend=np.full((3, 2, 2, 2), 1e-9))
        assert not bent.straight
        seen = look(case, bent, size, (1, 3))
        torch.testing.assert_close(exact[0], seen[0], atol=0.05, rtol=1e-3)
        for one, other in zip(exact[1:], seen[1:]):
            assert torch.equal(one, other)


def foreign(case: CachedCase, view: View) -> tuple[torch.Tensor, torch.Tensor]:
    """The image and the shares of codes 1 and 3 by torch's grid_sample on the whole case, [1, n, k, j, i]."""
    shape, (k, j, i) = np.array(case.image.shape), (int(n) for n in view.size)
    offsets = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in (k, j, i)), indexing="ij"), axis=-1)
    place = offsets @ view.matrix.T + view.centre
    nodes = torch.from_numpy(view.bend)[None]
    bend = torch.nn.functional.interpolate(nodes, (k, j, i), mode="trilinear", align_corners=True)[0].movedim(0, -1)
    grid = ((torch.from_numpy(place) + bend + 0.5) * 2 / torch.from_numpy(shape) - 1).flip(-1)[None]
    stack = np.stack([np.asarray(case.image, float), case.labels == 1, case.labels == 3])
    seen = torch.nn.functional.grid_sample(
        torch.from_numpy(stack)[None], grid, padding_mode="border", align_corners=False
    )  # fmt: skip
    return seen[:, :1], seen[:, 1:]


@pytest.mark.parametrize("bend_mm", [0.0, 8.0])
@pytest.mark.parametrize("codes", [True, False])
def test_what_is_seen_through_a_turn_is_what_torch_interpolates(raw: dict, bend_mm: float, codes: bool) -> None:
    """Both where several slabs and where a case of one slice alone is looked at; codes differ on borders alone."""
    sampler = sampler_of(blocks(raw, "patch", [16, 20, 24]), replace(TURNED, bend_mm=bend_mm))
    flat = replace(sampler.cases[0], image=sampler.cases[0].image[9:10], labels=sampler.cases[0].labels[9:10])
    for n, source in enumerate([*sampler.sources, Source(replace(flat, last=np.array(flat.image.shape, float)), sampler.stage)]):  # fmt: skip
        view = replace(sampler._view(source, np.random.default_rng(n)), size=np.array([60, 50, 56]))
        image, target, own, inside = look(source.case, view, view.size, (1, 3), codes=codes)
        seen, shares = foreign(source.case, view)
        torch.testing.assert_close(image[inside].double(), seen[inside], atol=0.1, rtol=1e-3)
        best, winner = torch.cat([1 - shares.sum(1, keepdim=True), shares], 1).max(1, keepdim=True)
        assert float((target != winner * inside)[best > 0.51].float().sum()) == 0
        assert bool(target.any())
        sure = best > 0.999
        assert torch.equal(own[sure], (torch.tensor([0, 1, 3])[winner] * inside)[sure].to(torch.uint8)) or codes
        assert set(own.unique().tolist()) <= set(np.unique(source.case.labels))


def test_slices_are_never_mixed_by_a_turn(raw: dict) -> None:
    """Grey values that are the number of the slice stay whole numbers under every turn of a 2-D stage."""
    sampler = sampler_of(sliced(raw), TURNED)
    case = sampler.cases[0]
    ramp = np.broadcast_to(np.arange(len(case.image), dtype=np.float16)[:, None, None], case.image.shape)
    source = Source(replace(case, image=np.array(ramp)), sampler.stage)
    for seed in range(5):
        view: View = sampler._view(source, np.random.default_rng(seed))
        image = look(source.case, view, view.size, (1,))[0]
        np.testing.assert_allclose(image, image.round(), atol=2e-3)


def test_a_normalisation_is_a_clipped_line_over_one_volume(raw: dict) -> None:
    stage = experiment_from(raw, "x").stage()
    for case in cached_sides(experiment_from(raw, "x")).training:
        volume = torch.from_numpy(np.array(case.image, np.float32))
        inside = torch.ones(volume.shape, dtype=torch.bool)
        rule = rule_for(stage, case.modality)
        torch.testing.assert_close(scale_of(case, stage).rule(volume, inside), rule(volume, inside), atol=2e-3, rtol=0)
    flat = line_of(rule, torch.ones(2, 2, 2), torch.ones(2, 2, 2, dtype=torch.bool))
    assert bool(torch.isfinite(flat(torch.ones(2, 2, 2), torch.ones(2, 2, 2, dtype=torch.bool))).all())


def test_the_equalised_channel_rises_with_the_grey_value_and_stays_in_its_range() -> None:
    rng = np.random.default_rng(0)
    laid = rng.normal(40, 60, (3, 24, 24)).clip(-125, 275).astype(np.float32)
    laid[:, :6] = -125
    inside = torch.ones(laid.shape, dtype=torch.bool)
    rule = lambda x, _: x
    channel = channel_of("histeq", [laid], inside, rule).numpy()
    assert channel.min() == 0.0
    assert channel.max() <= 1.0
    for k in range(3):
        order = np.argsort(laid[k].ravel())
        assert (np.diff(channel[k].ravel()[order]) >= 0).all()
        tissue = channel[k][laid[k] > -125]
        assert np.histogram(tissue, 4, (0, 1))[0] / tissue.size == pytest.approx([0.25] * 4, abs=0.03)
    assert (channel[:, :6] == 0).all()
    window = channel_of("window:150/30", [np.float32([[[-45.0, 30.0, 105.0, 200.0]]])], inside, rule)
    assert window.flatten().tolist() == [0.0, 0.5, 1.0, 1.0]


def test_validation_is_shown_the_block_that_prepare_makes(raw: dict) -> None:
    """For every crop; a stage that waits for another one gets the block of the reference."""
    for crop in ("none", "body"):
        raw["preprocess"]["crop"] = crop
        experiment = experiment_from(raw, "x")
        for case in cached_sides(experiment).training:
            whole, codes, _ = shown_whole(Source(case, experiment.stage()))
            wanted = prepare([read_scan(case.case.image, case.case.phase)], experiment.stage())
            assert whole.tensor.shape == wanted.tensor.shape
            torch.testing.assert_close(whole.tensor, wanted.tensor, atol=0.03, rtol=0)
            assert codes.shape == whole.tensor.shape[2:]


def test_a_sampler_for_other_networks_is_refused(raw: dict) -> None:
    with pytest.raises(InputError, match="2-D ones take slice"):
        sampler_of(blocks(raw, "slice", [4, 8, 8]), STILL)
    with pytest.raises(InputError, match="known: organ, scan, slice"):
        sampler_of(blocks(raw, "cube", [4, 8, 8]), STILL)
