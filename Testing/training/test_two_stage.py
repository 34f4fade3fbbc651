"""Liver, then tumour: two networks in one card, joined on the scan's own grid; fused where they are used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from liverseg_core.errors import InputError, ModelError
from liverseg_core.geometry import Grid, as_image
from liverseg_core.model_card import ModelCard, Stage
from liverseg_core.models import Model, empty_network, load_model
from liverseg_core.networks._reparameterised import Rep
from liverseg_core.pipeline import Request, Result, segment_file, segment_scan
from liverseg_core.preparation import prepare
from liverseg_core.records import LabelMask, Scan
from liverseg_training.experiment import Experiment, experiment_from
from liverseg_training.export import export, filled_network, kept_checkpoint
from liverseg_training.fit import cached_sides, fit
from liverseg_training.fusing import in_use
from liverseg_training.looks import shown_whole
from liverseg_training.organ import kept_inside
from liverseg_training.sampling import Source
from phantoms import GRIDS, ellipsoid, known_model, known_stage, overlap, saved_model, saved_scan
from scipy import ndimage

BODY, LIVER, TUMOUR = -100.0, 150.0, 260.0  # HU; under ct_fixed -1.5, 1.0 and 2.1
FIRST = known_stage(post={"1": ("largest", "fill_holes")})
SECOND = known_stage(
    labels=(2,), options={"levels": (1.55,)}, crop="previous", margin_mm=10.0, inside=1, reach_mm=5.0, post={}
)


def patient(grid: Grid, *, liver: bool = True, tumour: bool = True) -> tuple[Scan, np.ndarray]:
    """A liver with a bright tumour in it, and outside it something as bright: scan and truth."""
    voxels = np.full(grid.array_shape, BODY, np.float32)
    truth = np.zeros(grid.array_shape, np.uint8)
    if liver:
        truth[ellipsoid(grid)] = 1
    if tumour and liver:
        truth[ellipsoid(grid, (9.0, 8.0, 8.0))] = 2
    voxels[truth == 1], voxels[truth == 2] = LIVER, TUMOUR
    voxels[1:4, 1:4, 1:4] = TUMOUR
    return Scan(voxels, grid, "ct_portal", "phantom", "made so"), truth


def drawn(scan: Scan, *stages: Stage, quality: str = "standard") -> Result:
    return segment_scan(scan, known_model(*stages), device="cpu", quality=quality)


@pytest.mark.parametrize("name", ["plain", "thick slices", "oblique", "left-handed"])
def test_perfect_stages_give_the_truth_and_the_liver_stays_around_its_tumour(name: str) -> None:
    scan, truth = patient(GRIDS[name])
    result = drawn(scan, FIRST, SECOND)
    assert overlap(truth > 0, result.mask.voxels > 0) > 0.95
    assert overlap(truth == 2, result.mask.voxels == 2) > 0.85
    assert not result.mask.voxels[1:4, 1:4, 1:4].any()
    rows = {(m.structure, m.quantity): m.value for m in result.report.measurements}
    parts = rows["lesion", "volume"] + rows["liver_parenchyma", "volume"]
    assert rows["liver", "volume"] == pytest.approx(parts)
    assert {segment.key for segment in result.segments} == {"liver", "liver_parenchyma", "lesion", "lesion_1"}


def test_the_liver_is_what_the_first_stage_alone_draws_and_the_tumour_never_leaves_it() -> None:
    scan, _ = patient(GRIDS["plain"])
    alone, both = drawn(scan, FIRST).mask.voxels, drawn(scan, FIRST, SECOND).mask.voxels
    assert np.array_equal(alone > 0, both > 0)
    greedy = replace(SECOND, options={"levels": (-9.0,)})  # calls everything that it sees tumour
    everything = drawn(scan, FIRST, greedy).mask.voxels
    assert np.array_equal(everything == 2, alone == 1)


def test_a_tumour_that_is_not_there_leaves_the_liver_whole() -> None:
    scan, truth = patient(GRIDS["plain"], tumour=False)
    result = drawn(scan, FIRST, SECOND)
    assert set(np.unique(result.mask.voxels)) == {0, 1}
    assert overlap(truth == 1, result.mask.voxels == 1) > 0.95
    assert result.confidence is not None
    assert result.confidence.doubt == drawn(scan, FIRST).confidence.doubt  # the liver's own, not the tumour's


def test_without_a_liver_nothing_is_drawn_and_it_is_said() -> None:
    scan, _ = patient(GRIDS["plain"], liver=False)
    result = drawn(replace(scan, voxels=np.minimum(scan.voxels, 0.0)), FIRST, SECOND)
    assert not result.mask.voxels.any()
    assert [w.code for w in result.report.warnings] == ["no_liver_found"]
    assert all(np.isnan(m.value) for m in result.report.measurements if m.quantity == "volume")


def test_a_fast_look_is_the_liver_alone_and_knows_no_tumours() -> None:
    scan, _ = patient(GRIDS["plain"])
    result = drawn(scan, FIRST, SECOND, quality="fast")
    assert [segment.key for segment in result.segments] == ["liver"]


def test_a_fast_look_is_named_and_compared_for_what_it_is(tmp_path: Path) -> None:
    scan, truth = patient(GRIDS["plain"])
    sitk.WriteImage(as_image(truth, scan.grid), str(tmp_path / "truth.nii.gz"))
    model = saved_model(tmp_path / "model", known_model(FIRST, SECOND))
    request = Request(
        saved_scan(tmp_path / "scan.nii.gz", scan), tmp_path / "out", "ct_portal", str(model), "cpu", "fast",
        tmp_path / "truth.nii.gz",
    )  # fmt: skip
    report = segment_file(request).report
    written = sitk.ReadImage(str(tmp_path / "out" / "segmentation.seg.nrrd"))
    assert written.GetMetaData("Segment0_Name") == "Liver"
    assert {m.structure for m in report.agreement or ()} == {"liver"}


def test_a_coarse_and_a_fine_liver_may_come_before_the_tumour() -> None:
    scan, truth = patient(GRIDS["plain"])
    fine = replace(FIRST, crop="previous", margin_mm=8.0)
    result = drawn(scan, replace(FIRST, spacing_mm=(4.0, 4.0, 4.0)), fine, SECOND)
    assert overlap(truth == 2, result.mask.voxels == 2) > 0.85
    assert result.confidence is not None
    assert result.confidence.accord > 0.9


def test_far_from_the_liver_the_second_network_sees_air() -> None:
    scan, truth = patient(GRIDS["plain"])
    within = LabelMask((truth > 0).astype(np.uint8), scan.grid)
    block = scan.grid.cropped((0, 0, 0), scan.grid.size)
    tensor = prepare([scan], replace(SECOND, spacing_mm=(2.0, 2.0, 2.0)), block, within)
    seen = tensor.tensor[0, 0].numpy() * 100 + 50
    spot = tensor.grid.slices_in(scan.grid)
    at = tuple(slice(-s.start, -s.start + n) for s, n in zip(spot, scan.voxels.shape))
    assert np.allclose(seen[at][truth > 0], scan.voxels[truth > 0], atol=1e-3)
    assert np.allclose(seen[at][:4, :4, :4], -125.0, atol=1e-3)
    middle = [n // 2 for n in truth.shape]
    right = int(np.flatnonzero(truth[middle[0], middle[1]])[-1])
    line = seen[at][middle[0], middle[1]]
    assert np.allclose(line[right + 1 : right + 3], BODY, atol=1e-3)  # 2 and 4 mm beyond it
    assert np.allclose(line[right + 4 :], -125.0, atol=1e-3)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((known_stage(labels=(3,)), SECOND), r"stage 2 draws inside 1 Liver.*\(they give 3 Spleen\)"),
        ((SECOND,), "first stage has no previous one"),
    ],
)
def test_a_card_whose_second_stage_asks_for_what_no_stage_gives_is_refused(stages, words, tmp_path) -> None:
    with pytest.raises(ModelError, match=words):
        ModelCard("wrong", "1", stages, ("ct_portal",))
    folder = saved_model(tmp_path / "model", known_model(FIRST, SECOND))
    card = json.loads((folder / "card.json").read_text())
    card["stages"][0]["labels"] = [3]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="draws inside 1 Liver"):
        ModelCard.load(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"crop": "body"}, "crops to it"), ({"labels": (1,)}, "draws others"), ({"inside": 99}, "not inside 99"),
     ({"reach_mm": -1.0}, "must not be negative")],
)  # fmt: skip
def test_a_stage_that_cannot_draw_inside_is_refused(changes, words) -> None:
    with pytest.raises(ModelError, match=words):
        replace(SECOND, **changes)


def elan_stage(**options: object) -> Stage:
    return replace(
        FIRST, network="elanres_msca", options={"widths": (4, 8, 8), **options}, normalisation={"CT": "ct_by_200"}
    )


@pytest.mark.parametrize("options", [{}, {"attention": False}, {"block": "double"}])
def test_the_form_in_use_answers_as_the_trained_one_and_fusing_twice_is_once(options) -> None:
    torch.manual_seed(0)
    stage = elan_stage(**options)
    trained = empty_network(stage)
    for module in trained.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)
    used, state = in_use(stage, trained.state_dict())
    network = empty_network(used)
    network.load_state_dict(state)
    x = torch.randn(1, 1, 8, 16, 16)
    with torch.no_grad():
        assert float((network.eval()(x)[0] - trained.eval()(x)[0]).abs().max()) <= 1e-5
    assert not any(isinstance(module, Rep) for module in network.modules())
    again = in_use(used, state)
    assert again[0] == used
    assert all(torch.equal(again[1][key], value) for key, value in state.items())


def test_a_network_without_branches_is_used_as_it_was_trained() -> None:
    stage = known_stage()
    state = empty_network(stage).state_dict()
    assert in_use(stage, state) == (stage, dict(state))


@pytest.fixture
def both(raw: dict, tmp_path: Path) -> tuple[Experiment, Experiment]:
    """A liver and a tumour stage of one step; the tumours are made up in the samples."""
    raw["experiment"] |= {"max_steps": 1, "out_dir": str(tmp_path / "liver")}
    raw["data"] |= {"labels": [1], "include": ["one", "three", "held"]}
    raw["network"] = {"kind": "elanres_msca", "options": {"widths": [4, 8]}}
    raw["loss"] = {"deep": {"kind": "alpha"}}
    raw["preprocess"]["normalisation"] = {"CT": "ct_by_200"}
    raw["augment"] = {"lesions": 1.0}
    raw["sampler"] = {"kind": "patch", "batch": 1}
    raw["infer"] = {"window": [16, 32, 32], "snap": [4, 4, 4]}
    liver = experiment_from(raw, "liver")
    raw["experiment"] |= {"name": "tumour", "out_dir": str(tmp_path / "tumour")}
    raw["data"] |= {"labels": [2], "merge": {}}
    raw["preprocess"] |= {"crop": "previous", "margin_mm": 8.0, "inside": 1, "reach_mm": 8.0}
    return liver, experiment_from(raw, "tumour")


def test_two_runs_become_one_card_of_fused_networks(both: tuple[Experiment, Experiment], tmp_path: Path) -> None:
    liver, tumour = both
    for experiment in both:
        fit(experiment)
    card = export([liver, tumour], "both", tmp_path / "both")
    assert [(stage.labels, stage.inside, stage.reach_mm) for stage in card.stages] == [((1,), 0, 0.0), ((2,), 1, 8.0)]
    assert all(stage.options["fused"] for stage in card.stages)
    model = load_model(tmp_path / "both")
    assert not any(isinstance(m, Rep) for network in model.networks for m in network.modules())
    scan, _ = patient(GRIDS["plain"])
    mask = segment_scan(scan, model, device="cpu").mask.voxels
    alone = segment_scan(scan, Model(replace(card, stages=card.stages[:1]), model.networks[:1]), device="cpu")
    assert np.array_equal(mask > 0, alone.mask.voxels > 0)
    with pytest.raises(ModelError, match="first stage has no previous one"):
        export([tumour], "alone", tmp_path / "alone")
    trained = empty_network(liver.stage())
    trained.load_state_dict(kept_checkpoint(liver).averages[0])
    used, x = filled_network(liver), torch.randn(1, 1, 8, 16, 16)  # what validates a recipe and becomes ONNX
    assert not any(isinstance(m, Rep) for m in used.modules())
    with torch.no_grad():
        assert float((used(x)[0] - trained.eval()(x)[0]).abs().max()) <= 1e-5


def test_training_shows_the_second_stage_what_it_sees_in_use(both: tuple[Experiment, Experiment]) -> None:
    """Air beyond the reach, the liver's grey values inside, and an answer that is kept inside the liver."""
    tumour = both[1]
    source = Source(cached_sides(tumour).training[0], tumour.stage())
    prepared, codes, _ = shown_whole(source)
    seen, liver = prepared.tensor[0, 0].numpy() * 200, codes == 1
    assert seen[liver].mean() == pytest.approx(160, abs=4)
    far = ~ndimage.binary_dilation(liver, np.ones((3, 3, 3)), iterations=3)
    assert np.allclose(seen[far], -125.0, atol=0.5)
    near = ndimage.binary_dilation(liver) & ~liver & (codes == 0)
    assert seen[near].mean() == pytest.approx(-60, abs=4)
    everything = LabelMask(np.full(codes.shape, 2, np.uint8), prepared.grid)
    assert np.array_equal(kept_inside(everything, codes, tumour.stage()).voxels > 0, liver)


def test_a_stage_that_asks_for_lesions_keeps_them_apart(raw: dict) -> None:
    raw["data"]["labels"] = [2]
    with pytest.raises(InputError, match=r"data.merge takes \[2\] away"):
        experiment_from(raw, "tumour")
