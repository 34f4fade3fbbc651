"""The tables of the two-stage CT system, from validated runs written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from liverseg_core.geometry import Grid
from liverseg_core.records import LabelMask
from liverseg_training.cases import Case
from liverseg_training.experiment import Experiment
from liverseg_training.results import read_runs
from liverseg_training.results_ct import ablation, losses, sizes, tumours
from liverseg_training.tables import lesion_rows, save_validation
from liverseg_training.validate import _scores

GRID = Grid((60, 60, 60), (1.0, 1.0, 1.0))


def masks() -> tuple[LabelMask, LabelMask]:
    """Reference: a lesion of 8 mm and one of 24 mm; prediction: the second one, and one that is none."""
    k, j, i = np.indices(GRID.array_shape)

    def ball(at: tuple[int, int, int], radius: float) -> np.ndarray:
        return (k - at[0]) ** 2 + (j - at[1]) ** 2 + (i - at[2]) ** 2 <= radius**2

    liver = ball((30, 30, 30), 28.0).astype(np.uint8)
    reference, ours = liver.copy(), liver.copy()
    reference[ball((20, 30, 30), 4.0)] = reference[ball((40, 30, 30), 12.0)] = 2
    ours[ball((40, 30, 30), 12.0)] = ours[ball((25, 15, 30), 4.0)] = 2
    return LabelMask(ours, GRID), LabelMask(reference, GRID)


def run_folder(folder: Path, experiment: Experiment, name: str, terms: list[str], **options: object) -> None:
    """What `fit` and `validate` leave: the resolved experiment, a summary, and every case."""
    told = json.loads(json.dumps(experiment.as_dict()))
    told["experiment"]["name"] = name
    told["data"]["labels"] = [2] if "tumor" in name else [1]
    told["network"] = {"kind": "elanres_msca", "options": {"widths": [8, 8, 16], **options}}
    told["loss"]["terms"] = [{"kind": kind} for kind in terms]
    (folder / name).mkdir(parents=True)
    (folder / name / "experiment.json").write_text(json.dumps(told))
    case = Case("one", Path("image"), Path("labels"), "ct_portal", (1, 2))
    codes = (1, 2) if "tumor" in name else (1,)
    ours, reference = masks()
    scores = list(_scores(case, "ct_portal", codes, ours, reference, 1.0))
    save_validation(scores, name, "per volume, native grid", "one case", folder / name / "validation.csv")


@pytest.fixture
def runs(tiny: Experiment, tmp_path: Path):
    run_folder(tmp_path, tiny, "unet3d_liver", ["dice", "bce"], block="double", attention=False)
    run_folder(tmp_path, tiny, "elanres_msca_liver", ["dice", "bce"])
    run_folder(tmp_path, tiny, "only_dice", ["dice"])
    run_folder(tmp_path, tiny, "elanres_msca_tumor", ["dice", "bce"])
    return read_runs([tmp_path])


def test_the_ablation_names_each_network_with_its_parameters_and_what_the_paper_prints(runs) -> None:
    plain, full = ablation(runs)
    assert (plain["network"], plain["paper: Dice"], plain["paper: ASD (mm)"]) == ("U-Net", "0.937", "3.242")
    assert (full["network"], full["paper: Dice"], full["n"]) == ("ELANRes-MSCA-UNet", "0.972", "1")
    assert plain["parameters"] == plain["in use"]
    assert int(full["in use"].replace(",", "")) < int(full["parameters"].replace(",", ""))
    assert float(full["DSC"]) == 1.0  # lesions are liver


def test_losses_are_those_of_the_whole_network_in_the_paper_s_order(runs) -> None:
    assert [(row["loss"], row["paper: Dice"]) for row in losses(runs)] == [
        ("Dice", "0.951"), ("Dice + BCE (its HybridLoss1)", "0.972"),
    ]  # fmt: skip


def test_tumours_are_counted_lesion_by_lesion_beside_what_the_paper_cannot_mean(runs) -> None:
    (row,) = tumours(runs)
    assert (row["lesion F1"], row["lesion recall"], row["lesion precision"]) == ("0.50", "0.50", "0.50")
    assert 0.9 < float(row["DSC"]) < 1.0
    assert "forbids" in row["paper: Dice"]
    assert pytest.approx(0.721, abs=5e-4) == 2 * 0.564 / (1 + 0.564)


def test_sizes_are_those_of_the_reference(runs) -> None:
    (row,) = sizes(runs)
    assert (row["0 to 10 mm"], row["20 to 50 mm"], row["10 to 20 mm"]) == ("0.00 (n=1)", "1.00 (n=1)", "")
    assert float(row["mean axis, DSC < 0.6"].split()[0]) == pytest.approx(8.5, abs=0.6)
    assert float(row["mean axis, DSC >= 0.6"].split()[0]) == pytest.approx(24.0, abs=0.7)
    assert "not" in row["paper: mean axis (mm)"]


def test_a_run_without_lesions_writes_no_record_of_them(runs, tmp_path: Path) -> None:
    assert {file.parent.name for file in tmp_path.glob("*/lesions.json")} == {"elanres_msca_tumor"}
    assert lesion_rows([]) == []
