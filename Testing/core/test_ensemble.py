"""Several networks as one: their mean answer, and the map of how far they are apart."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from liverseg_core.errors import ModelError
from liverseg_core.geometry import Grid
from liverseg_core.inference import infer
from liverseg_core.model_card import ModelCard
from liverseg_core.models import Model, empty_network, load_model
from liverseg_core.networks.ensemble import Ensemble
from liverseg_core.pipeline import Request, segment_file
from liverseg_core.records import PreparedScan
from phantoms import BODY_HU, LIVER_HU, bright_liver, ellipsoid, known_stage, saved_model, saved_scan
from scipy import ndimage
from torch import nn

GRID = Grid((40, 36, 32), (4.0, 4.0, 4.0))
BETWEEN_HU = 130.0  # above the level of one member, below that of the other


class Said(nn.Module):
    """A network that says the same of everything: logits [1, labels, k, j, i]."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        del x
        return [self.logits]


def pair(*levels: float, **changes: object) -> Model:
    """An ensemble of two thresholds that draw the line at these levels of the prepared scan."""
    options = {"of": "threshold", "members": 2, "options": {"levels": (0.0,)}}
    stage = known_stage(network="ensemble", options=options, **changes)
    network = empty_network(stage).eval()
    network.load_state_dict({f"members.{n}.levels": torch.tensor([level]) for n, level in enumerate(levels)})
    return Model(ModelCard("pair", "1", (stage,), ("ct_portal", "ct_unknown")), (network,))


def test_the_answer_is_the_mean_and_the_map_half_the_difference_of_probabilities() -> None:
    third = math.log(3.0)
    first = torch.tensor([[0.0, 0.0, 0.0, 40.0], [0.0, 0.0, third, 0.0]])[None, :, None, None]
    second = torch.tensor([[0.0, third, 0.0, 0.0], [0.0, 0.0, 0.0, 40.0]])[None, :, None, None]
    weighed = Ensemble([Said(first), Said(second)]).weighed(torch.zeros(1))
    assert weighed[0, 2, 0, 0].tolist() == pytest.approx([0.0, 0.25, 0.25, 1.0])
    likely = (first.softmax(1) + second.softmax(1)) / 2
    torch.testing.assert_close(weighed[:, :2].softmax(1), likely)
    torch.testing.assert_close(Ensemble([Said(first), Said(second)])(torch.zeros(1))[0].softmax(1), likely)
    assert not Ensemble([Said(first), Said(first)]).weighed(torch.zeros(1))[:, 2].any()


def test_of_three_the_two_that_are_furthest_apart_count() -> None:
    sure = torch.tensor([40.0, 0.0])[None, :, None, None, None]
    members = [Said(logits) for logits in (sure, torch.zeros_like(sure), torch.zeros_like(sure))]
    assert float(Ensemble(members).weighed(torch.zeros(1))[0, 2]) == pytest.approx(0.5)


@pytest.mark.parametrize(("dims", "window"), [(3, (64, 64, 64)), (3, (16, 16, 16)), (2, (1, 64, 64))])
def test_windows_and_tiles_carry_the_map(dims: int, window: tuple[int, int, int]) -> None:
    """Of one voxel's brightness alone: whatever the window, the map is that of the two probabilities."""
    model = pair(0.2, 1.2, dims=dims, window=window, snap=(1, 8, 8) if dims == 2 else (8, 8, 8))
    x = torch.randn(1, 1, 20, 24, 28, generator=torch.Generator().manual_seed(0))
    logits = infer(
        PreparedScan(x, Grid((28, 24, 20))), model.card.stages[0], model.networks[0], device=torch.device("cpu"),
        half=False,
    )  # fmt: skip
    assert logits.tensor.shape == (2, 20, 24, 28)
    one, other = (torch.sigmoid(2 * (x[0, 0] - level)) for level in (0.2, 1.2))
    assert logits.apart is not None
    torch.testing.assert_close(logits.apart, (one - other).abs(), atol=1e-5, rtol=0)


def test_one_network_has_no_map() -> None:
    stage = known_stage()
    logits = infer(
        PreparedScan(torch.zeros(1, 1, 8, 8, 8), Grid((8, 8, 8))), stage, empty_network(stage), device=torch.device("cpu")
    )  # fmt: skip
    assert logits.apart is None


def test_segment_writes_where_the_networks_are_apart(tmp_path: Path) -> None:
    """A part of the liver lies between the levels of the two: the map is high there and low in what both see."""
    scan = bright_liver(GRID)
    liver = ellipsoid(GRID)
    half = liver & (np.arange(GRID.size[0]) > 19)
    scan.voxels[half] = BETWEEN_HU
    levels = [(hu - 50.0) / 100.0 for hu in ((BODY_HU + LIVER_HU) / 2, 190.0)]
    folder = saved_model(tmp_path / "model", pair(*levels))
    path = saved_scan(tmp_path / "scan.nii.gz", scan)
    result = segment_file(Request(path, tmp_path / "out", phase="ct_portal", model=str(folder), device="cpu"))
    told = sitk.ReadImage(str(tmp_path / "out" / "disagreement.nii.gz"))
    assert told.GetPixelID() == sitk.sitkUInt8
    assert told.GetSpacing() == pytest.approx(GRID.spacing_mm)
    percent = sitk.GetArrayFromImage(told)
    inner = ndimage.binary_erosion(liver, iterations=2)
    for hu, part in (
        (BETWEEN_HU, inner & (np.arange(GRID.size[0]) > 21)),
        (LIVER_HU, inner & (np.arange(GRID.size[0]) < 18)),
    ):
        one, other = (1 / (1 + math.exp(-2 * ((hu - 50.0) / 100.0 - level))) for level in levels)
        assert np.median(percent[part]) == pytest.approx(100 * (one - other), abs=1.0)
    found = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["confidence"]["apart"]
    assert found == pytest.approx(percent[result.mask.voxels == 1].mean() / 100, abs=0.05)


def test_without_an_ensemble_there_is_no_file(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "model")
    path = saved_scan(tmp_path / "scan.nii.gz", bright_liver(GRID))
    segment_file(Request(path, tmp_path / "out", phase="ct_portal", model=str(folder), device="cpu"))
    assert not (tmp_path / "out" / "disagreement.nii.gz").exists()


def test_weights_of_one_network_are_not_those_of_an_ensemble(tmp_path: Path) -> None:
    model = pair(0.2, 1.2)
    single = Model(model.card, (empty_network(known_stage()),))
    with pytest.raises(ModelError, match="do not fit its ensemble"):
        load_model(saved_model(tmp_path / "model", single))
