"""How far a network can be believed about its liver: numbers with known answers, and scans that are doubted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from liverseg_core.confidence import accord, doubt
from liverseg_core.geometry import Grid, as_image, resampled
from liverseg_core.library import BUNDLE, DEFAULT_MODEL
from liverseg_core.model_card import Stage
from liverseg_core.models import Model, load_model
from liverseg_core.pipeline import Result, segment_scan
from liverseg_core.records import LabelMask, Logits, Scan
from liverseg_core.synthetic import abdomen
from phantoms import GRIDS, OBLIQUE, bright_liver, ellipsoid, known_model, known_stage
from scipy.special import softmax

GRID = Grid((40, 36, 32), (3.0, 3.0, 3.0), (5.0, -7.0, 11.0))
LIVER = (slice(12, 19), slice(12, 22), slice(12, 24))  # 840 voxels
NEAR = (slice(4, 27), slice(4, 30), slice(4, 32))  # and 24 mm around them: 8 voxels each way


def mask_of(where: tuple[slice, slice, slice] = LIVER, code: int = 1, grid: Grid = GRID) -> LabelMask:
    voxels = np.zeros(grid.array_shape, np.uint8)
    voxels[where] = code
    return LabelMask(voxels, grid)


def said(*probabilities: np.ndarray, labels: tuple[int, ...] = (1,)) -> Logits:
    """A network that says these probabilities of its labels; the rest is background."""
    rest = 1.0 - np.sum(probabilities, axis=0)
    return Logits(torch.from_numpy(np.log([rest, *probabilities]).astype(np.float32)), GRID, labels)


def everywhere(value: float) -> np.ndarray:
    return np.full(GRID.array_shape, value)


def test_the_doubt_counts_what_the_network_is_not_sure_of() -> None:
    """84 voxels of the liver and 42 near it, of 840; what it is sure of by 91 % does not count, nor what lies far off."""
    likely = everywhere(0.4)
    likely[NEAR] = 0.09
    likely[LIVER] = 0.91
    assert doubt(said(likely), mask_of()) == 0.0
    likely[12:19, 12:13, 12:24] = 0.89
    likely[4:10, 4:11, 4:5] = 0.11
    assert doubt(said(likely), mask_of()) == pytest.approx((84 + 42) / 840)


def test_a_lesion_is_liver_and_a_kidney_is_not() -> None:
    """Torn between liver and lesion is no doubt about the liver; torn between liver and kidney is one."""
    half = np.where(mask_of().voxels > 0, 0.4999, 1e-6)
    assert doubt(said(half, half, labels=(1, 2)), mask_of()) == 0.0
    assert doubt(said(half, half, labels=(1, 2)), mask_of(code=2)) == 0.0
    assert doubt(said(half, half, labels=(1, 4)), mask_of()) == 1.0


@pytest.mark.parametrize("labels", [(1,), (1, 3, 4, 5), (2, 7, 1)])
def test_the_doubt_agrees_with_scipy(labels: tuple[int, ...]) -> None:
    logits = np.random.default_rng(0).normal(0, 3, (1 + len(labels), *GRID.array_shape)).astype(np.float32)
    liver = [n for n, code in enumerate(labels, 1) if code in (1, 2)]
    likely = softmax(logits.astype(np.float64), axis=0)[liver].sum(axis=0)[NEAR]
    expected = np.count_nonzero(np.maximum(likely, 1 - likely) < 0.9) / 840
    assert expected > 5
    assert doubt(Logits(torch.from_numpy(logits), GRID, labels), mask_of()) == pytest.approx(expected, rel=1e-4)


def test_without_a_liver_there_is_no_doubt_about_it() -> None:
    assert math.isnan(doubt(said(everywhere(0.3), labels=(3,)), mask_of(code=3)))
    assert math.isnan(doubt(said(everywhere(0.3), labels=(2,)), mask_of(code=2)))  # it looks for lesions alone
    assert math.isnan(doubt(said(everywhere(0.3)), mask_of(code=0)))
    assert math.isnan(accord(mask_of(code=3), mask_of(code=0)))


def moved(k: int) -> tuple[slice, slice, slice]:
    return (slice(LIVER[0].start + k, LIVER[0].stop + k), *LIVER[1:])


@pytest.mark.parametrize(
    ("fine", "expected"), [(moved(0), 1.0), (moved(2), 5 / 7), (moved(8), 0.0), ((slice(12, 16), *LIVER[1:]), 8 / 11)]
)
def test_the_accord_is_a_dsc(fine: tuple[slice, slice, slice], expected: float) -> None:
    assert accord(mask_of(), mask_of(fine)) == pytest.approx(expected)
    assert accord(mask_of(), mask_of(fine, code=2)) == pytest.approx(expected)


@pytest.mark.parametrize("direction", [GRID.direction, OBLIQUE, (0, 0, 1, 1, 0, 0, 0, 1, 0)])
def test_the_accord_agrees_with_simpleitk_on_the_coarse_grid(direction: tuple[float, ...]) -> None:
    """The fine stage sees a block of the scan in voxels a third as wide: beyond it, it says nothing of the liver."""
    coarse = replace(GRID, direction=tuple(map(float, direction)))
    fine = coarse.cropped((6, 8, 10), (26, 20, 15)).respaced((1.0, 1.0, 1.0))
    one, other = (LabelMask(ellipsoid(grid).astype(np.uint8), grid) for grid in (coarse, fine))
    there = resampled(other.voxels, fine, coarse, nearest=True)
    judge = sitk.LabelOverlapMeasuresImageFilter()
    judge.Execute(as_image(one.voxels, coarse), as_image(there, coarse))
    assert 0.5 < judge.GetDiceCoefficient() < 0.95
    assert accord(one, other) == pytest.approx(judge.GetDiceCoefficient(), abs=1e-6)


COARSE = known_stage(spacing_mm=(4.0, 4.0, 4.0))
FINE = known_stage(crop="previous", margin_mm=8.0)
WIDE = replace(COARSE, options={"levels": (-1.0,)})  # takes the halo for liver, too


def steep(*stages: Stage, slope: float = 10.0) -> Model:
    """Networks of known answer that are as sure of it as their logits are steep."""
    model = known_model(*stages)
    for network in model.networks:
        network.register_forward_hook(lambda _network, _x, answer: [logits * slope for logits in answer])
    return model


def haloed_liver() -> Scan:
    """The phantom in a halo of a third of its contrast and 3.4 times its volume."""
    scan = bright_liver(GRIDS["plain"])
    around = ellipsoid(scan.grid, (42.0, 33.0, 30.0)) & ~ellipsoid(scan.grid)
    return replace(scan, voxels=np.where(around, -20.0, scan.voxels).astype(np.float32))


def doubts(result: Result) -> list[str]:
    return [notice.text for notice in result.report.warnings if notice.code == "low_confidence"]


@pytest.mark.parametrize("stages", [(known_stage(),), (COARSE, FINE)], ids=["one stage", "two stages"])
def test_the_report_says_that_the_network_is_unsure(stages: tuple[Stage, ...]) -> None:
    """Of the phantom a slope of 1 is sure by 97 %, one of a half by 85 %: of the liver itself and of all around it."""
    surest, sure, unsure = (
        segment_scan(bright_liver(GRIDS["plain"]), steep(*stages, slope=slope), device="cpu")
        for slope in (10.0, 1.0, 0.5)
    )
    assert doubts(surest) == []
    assert doubts(sure) == []
    assert sure.confidence.doubt < 0.2
    assert unsure.confidence.doubt > 1.0
    (told,) = doubts(unsure)
    assert f"{100 * unsure.confidence.doubt:.1f} % of the liver's volume" in told
    assert "grid of 2.0 mm up to 23.0 %" in told
    assert math.isnan(unsure.confidence.accord) is (len(stages) == 1)


def test_the_report_says_that_the_stages_disagree() -> None:
    agree, disagree = (segment_scan(haloed_liver(), steep(coarse, FINE), device="cpu") for coarse in (COARSE, WIDE))
    assert doubts(agree) == []
    assert agree.confidence.accord > 0.9
    (told,) = doubts(disagree)
    assert disagree.confidence.accord == pytest.approx(2 / (1 + 1.5**3), abs=0.04)
    assert f"their DSC is {disagree.confidence.accord:.2f}" in told
    assert told.endswith("Look at the outline.")


def test_a_single_stage_disagrees_with_none_and_a_model_without_liver_says_nothing() -> None:
    fast = segment_scan(haloed_liver(), steep(WIDE, FINE), quality="fast", device="cpu")
    assert math.isnan(fast.confidence.accord)
    assert fast.confidence.voxel_mm == pytest.approx(4.0)
    assert doubts(fast) == []
    spleen = segment_scan(haloed_liver(), known_model(known_stage(labels=(3,), post={})), device="cpu")
    assert (spleen.mask.voxels == 3).any()
    assert math.isnan(spleen.confidence.doubt)
    assert doubts(spleen) == []


def test_the_stages_between_which_the_liver_is_compared_are_those_that_know_it() -> None:
    """A first stage that looks for another organ only places the second: nothing disagrees with it."""
    placing = replace(COARSE, labels=(3,), post={})
    result = segment_scan(haloed_liver(), steep(placing, replace(FINE, labels=(1,))), device="cpu")
    assert (result.mask.voxels == 1).any()
    assert math.isnan(result.confidence.accord)
    assert doubts(result) == []


def test_the_shipped_model_doubts_an_abdomen_in_noise_and_not_a_clear_one() -> None:
    shipped = load_model(BUNDLE / DEFAULT_MODEL)
    clear, _, _ = abdomen("ct")
    noise = np.random.default_rng(0).normal(0, 400.0, clear.voxels.shape)
    drowned = replace(clear, voxels=(clear.voxels + noise).astype(np.float32))
    assert doubts(segment_scan(clear, shipped, device="cpu")) == []
    assert doubts(segment_scan(drowned, shipped, device="cpu")) != []
