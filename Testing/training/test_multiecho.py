"""Simulated echoes of known fat and iron, and how training reads them: in order, zeros where there are none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from fat_phantoms import Tissue, signal
from liverseg_core import networks
from liverseg_core.errors import InputError
from liverseg_core.fat import Options, Protocol
from liverseg_core.fat.analysis import analyse
from liverseg_core.fat.spectra import spectrum_named
from liverseg_core.geometry import as_image
from liverseg_core.labels import LIVER
from liverseg_core.models import load_model
from liverseg_core.multiecho_synthetic import TRAINS, Body, Liver, scanned, truth_of
from liverseg_core.phases import PHASES
from liverseg_core.pipeline import segment_scan
from liverseg_core.preparation import prepare
from liverseg_core.reading import read_mask, read_scan
from liverseg_core.reading.echoes import read_echoes
from liverseg_core.records import LabelMask, Scan
from liverseg_core.synthetic import GRID, abdomen
from liverseg_training.__main__ import main
from liverseg_training.augment import shown
from liverseg_training.cache import CachedCase, cached
from liverseg_training.cases import Case, list_cases
from liverseg_training.experiment import Experiment, experiment_from, load_experiment
from liverseg_training.export import export
from liverseg_training.fit import cached_sides, fit
from liverseg_training.looks import shown_whole
from liverseg_training.multiecho import RANGES, drawn, made
from liverseg_training.sampling import BatchSampler, Source
from liverseg_training.sections import Augment, Preprocess, Split
from liverseg_training.splits import split_cases
from liverseg_training.validate import validate

COARSE = GRID.respaced((7.0, 7.0, 9.0))
CPU = "cpu"
STILL = Augment(turned=0.0)
CHANNELS = [f"echo:{n}" for n in range(1, 7)]
RECIPE = Path(__file__).resolve().parents[2] / "LiverSegTraining" / "experiments" / "mecse_unet.toml"


def write_abdomen(folder: Path, contrast: str, seed: int) -> None:
    folder.mkdir(parents=True)
    scan, labels, _ = abdomen(contrast, grid=COARSE, seed=seed, noise=0.5)
    sitk.WriteImage(as_image(scan.voxels, COARSE), str(folder / "image.nii.gz"))
    sitk.WriteImage(as_image(labels.voxels, COARSE), str(folder / "labels.nii.gz"))
    codes = {str(code): 1.0 for code in np.unique(labels.voxels) if code}
    said = {"ct": ("CT", "portal venous"), "t2": ("MR", "T2-SPIR")}[contrast]
    meta = {"modality": said[0], "phase": said[1], "labels_ml": codes}
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three made-up CT abdomens, one of which must never train, a T2 one, and beside them two simulated scans of each CT."""
    place = tmp_path_factory.mktemp("multiecho")
    for n, name in enumerate(("ct_a", "ct_b", "never")):
        write_abdomen(place / "real" / "cases" / name, "ct", n)
    write_abdomen(place / "real" / "cases" / "t2", "t2", 9)
    split = {"validation": [], "lesion_test_never_in_shipped_training": ["never"]}
    (place / "real" / "split.json").write_text(json.dumps(split))
    arguments = ["--data", str(place / "real"), "--cases", "ct_*,never", "--each", "2", "--seed", "4"]
    assert main(["simulate", "multiecho", str(place / "made"), *arguments]) == 0
    return place


@pytest.fixture
def raw_echoes(folder: Path, tmp_path: Path) -> dict:
    return {
        "experiment": {"name": "tiny", "out_dir": str(tmp_path / "run"), "max_steps": 2, "amp": "off", "device": CPU, "ema": 0.5},
        "data": {"folder": str(folder / "real"), "also": [str(folder / "made")], "cache": str(folder / "cache"),
                 "labels": [1], "include": ["sim_*", "t2"]},
        "split": {"kind": "kfold", "folds": 2},
        "preprocess": {"spacing_mm": [7.0, 7.0, 0.0], "normalisation": {"MR": "body_zscore"}, "channels": CHANNELS,
                       "crop": "body"},
        "network": {"kind": "mecse_unet", "dims": 2, "options": {"widths": [4, 8, 8]}},
        "loss": {"deep": {"kind": "pow2"}},
        "sampler": {"kind": "slice", "batch": 4, "place": "centre"},
        "augment": {"bias": 0.2, "noise": 0.2, "remap": 0.3, "simulate": 0.2, "echo_dropout": 0.2},
        "infer": {"window": [1, 32, 32], "snap": [1, 16, 16]},
        "eval": {"every": 2},
        "card": {"fit_phases": ["mr_multiecho", "mr_t2fs"], "licence": "test"},
    }  # fmt: skip


def cases_of(experiment: Experiment) -> dict[str, CachedCase]:
    sides = cached_sides(experiment)
    return {case.case.id: case for case in (*sides.training, *sides.validation)}


def anatomy() -> tuple[Scan, LabelMask]:
    scan, labels, _ = abdomen("ct", grid=COARSE, noise=0.5)
    return scan, labels


# the simulator


@pytest.mark.parametrize("name", TRAINS)
def test_a_voxel_of_a_simulated_body_is_the_formula_at_its_truth(name: str) -> None:
    """Any voxel, partial volumes too: the signal written once more in plain sums."""
    train, (scan, labels) = TRAINS[name], anatomy()
    truth = truth_of(scan, labels, COARSE, Liver(18.0, 120.0, 3.0, 20.0), field_t=train.field_t, body=Body(texture=0.3))
    echoes = scanned(truth, train, spectrum_named("ismrm6"), snr=np.inf, uneven=False)
    rng, at = np.random.default_rng(0), Protocol(train.te_ms, train.field_t)
    for k, j, i in rng.choice(np.argwhere(truth.signal > 0.05), 20, replace=False):
        tissue = Tissue(float(truth.pdff[k, j, i]), float(truth.r2star[k, j, i]))
        expected = truth.signal[k, j, i] * np.abs(signal(tissue, at)) / 100
        np.testing.assert_allclose(echoes.magnitude[:, k, j, i], expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("train", ["3t", "1.5t-dense"])
def test_the_projects_own_fit_reads_a_simulated_liver_back(train: str) -> None:
    scan, labels = anatomy()
    draw = replace(
        drawn(np.random.default_rng(1)), train=train, liver=Liver(14.0, 90.0, 3.0, 12.0), snr=np.inf,
        spacing_mm=(7.0, 7.0, 9.0),
    )  # fmt: skip
    truth, echoes = made(scan, labels, draw)
    at = Protocol(echoes.te_ms, echoes.field_t)
    maps = analyse(echoes.magnitude, None, at, echoes.grid, truth.pure, Options(method="magnitude", device=CPU)).maps
    assert truth.pure.sum() > 200
    np.testing.assert_allclose(maps.pdff[truth.pure], truth.pdff[truth.pure], atol=0.1)
    np.testing.assert_allclose(maps.r2star[truth.pure], truth.r2star[truth.pure], atol=0.5)
    assert np.ptp(truth.pdff[truth.pure]) > 5


def test_the_texture_of_the_scan_is_proton_density_and_nothing_else() -> None:
    """An even liver on a mottled CT: the signal follows the HU, fat and iron stay even; gas in the stomach is dark."""
    scan, labels = anatomy()
    mottled = replace(scan, voxels=scan.voxels + 40 * np.random.default_rng(0).standard_normal(scan.voxels.shape))
    truth = truth_of(mottled, labels, COARSE, Liver(12.0, 60.0), body=Body(texture=0.4))
    pure = truth.pure
    hounsfield = mottled.voxels[pure] - np.median(mottled.voxels[labels.voxels == LIVER])
    np.testing.assert_allclose(truth.signal[pure], np.clip(1 + 0.4 * hounsfield / 100, 0.2, 2.0), rtol=1e-3)
    np.testing.assert_allclose(truth.pdff[pure], 12.0, rtol=1e-4)
    np.testing.assert_allclose(truth.r2star[pure], 60.0, rtol=1e-4)
    gas = (labels.voxels == 7) & (mottled.voxels < -700)
    assert gas.sum() > 5
    assert float(truth.signal[gas].max()) < 0.1
    flat = truth_of(mottled, labels, COARSE, Liver(12.0, 60.0))
    np.testing.assert_allclose(flat.signal[pure], 1.0, rtol=1e-4)


def test_what_is_drawn_lies_in_the_ranges_and_depends_on_the_seed_alone() -> None:
    draws = [drawn(np.random.default_rng(seed)) for seed in range(300)]
    assert drawn(np.random.default_rng(7)) == draws[7]
    assert {draw.train for draw in draws} == set(TRAINS)
    pdff, rate = (np.array([getattr(draw.liver, name) for draw in draws]) for name in ("pdff", "r2star"))
    for values, low, high, median in ((pdff, 0, 40, 10), (rate, 25, 400, 50)):
        assert low <= values.min() < low + 0.02 * (high - low)
        assert 0.9 * high < values.max() <= high
        assert np.median(values) == pytest.approx(median, rel=0.25)
    for draw in draws:
        assert draw.liver.pdff + 3 * draw.liver.pdff_sd + abs(draw.liver.left_minus_right) / 2 < 50
        assert 15 <= draw.snr <= 80
        for code, span in RANGES.items():
            row = draw.body.matters[code]
            assert span.pdff[0] <= row.pdff <= span.pdff[1]
            assert span.rate[0] <= row.rates[0] <= span.rate[1]
        assert draw.body.matters[LIVER].signal == 1.0
        assert draw.body.matters[4] == draw.body.matters[5]


# cases on disk


def test_a_simulated_case_says_what_it_is_and_holds_its_truth(folder: Path) -> None:
    assert sorted(p.name for p in (folder / "made" / "cases").iterdir()) == [
        "sim_ct_a", "sim_ct_a_2", "sim_ct_b", "sim_ct_b_2",
    ]  # fmt: skip
    snr = set()
    for case in list_cases(folder / "made"):
        place = case.image.parent
        meta = json.loads((place / "meta.json").read_text())
        snr.add(meta["snr"])
        assert meta["simulated"] is True
        assert (case.phase, case.patient) == ("mr_multiecho", meta["made_from"])
        assert LIVER in case.annotated
        assert case.echoes is not None
        echoes, labels = read_echoes([case.echoes]), read_mask(case.labels)
        assert echoes.te_ms == pytest.approx(TRAINS[meta["train"]].te_ms)
        assert echoes.field_t == pytest.approx(TRAINS[meta["train"]].field_t)
        assert "not of a patient" in sitk.ReadImage(str(case.echoes)).GetMetaData("descrip")
        np.testing.assert_array_equal(read_scan(case.image, case.phase).voxels, echoes.magnitude[0])
        pdff, rate = (
            sitk.GetArrayFromImage(sitk.ReadImage(str(place / f"{n}_truth.nii.gz"))) for n in ("pdff", "r2star")
        )
        liver = labels.voxels == LIVER
        assert liver.any()
        assert meta["labels_ml"]["1"] == pytest.approx(float(liver.sum()) * labels.grid.voxel_ml, abs=0.1)
        assert np.median(pdff[liver]) == pytest.approx(meta["liver_pdff_mean"], abs=3)
        assert np.median(rate[liver]) == pytest.approx(meta["liver_r2star_mean"], rel=0.2)
    assert len(snr) == 4  # every scan is a draw of its own


def test_the_same_seed_makes_the_same_case_whatever_stands_beside_it(folder: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(folder / "real"), "--seed", "4"]
    assert main(["simulate", "multiecho", str(tmp_path / "b"), "--cases", "ct_b", *arguments]) == 0
    assert main(["simulate", "multiecho", str(tmp_path / "c"), "--cases", "ct_b", *arguments[:3], "5"]) == 0
    whole, alone, other = (sitk.GetArrayFromImage(sitk.ReadImage(str(f / "cases" / "sim_ct_b" / "echoes.nii.gz")))
                           for f in (folder / "made", tmp_path / "b", tmp_path / "c"))  # fmt: skip
    np.testing.assert_array_equal(whole, alone)
    assert whole.shape != other.shape or not np.array_equal(whole, other)


def test_what_cannot_be_simulated_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simulate", "multiecho", str(tmp_path / "x"), "--data", str(folder / "real")]
    assert main([*arguments, "--cases", "never"]) == 2
    assert "0 cases with a liver" in capsys.readouterr().err
    assert main([*arguments, "--cases", "nobody"]) == 2
    assert main([*arguments, "--cases", "ct_a", "--each", "0"]) == 2
    assert not (tmp_path / "x").exists()
    assert main([*arguments[:2], str(folder / "made"), *arguments[3:]]) == 6
    with pytest.raises(InputError, match="two data folders hold a case sim_ct_a"):
        list_cases(folder / "made", also=[str(folder / "made")])


def test_five_folds_keep_the_scans_of_a_patient_together(folder: Path) -> None:
    """Two simulated scans of each of five patients, and the CT that they were made from: B.5.6."""
    found = list_cases(folder / "made", ["sim_ct_a*"])
    cases = [replace(case, id=f"{case.id}_{n}", patient=f"p{n}") for n in range(5) for case in found]
    cases += [Case(f"p{n}", Path(), Path(), "ct_portal", (1,)) for n in range(5)]
    held = []
    for n in range(5):
        parts = split_cases(cases, Split(kind="kfold", fold=n), Path())
        patients = {case.patient or case.id for case in parts.validation}
        assert not patients & {case.patient or case.id for case in parts.training}
        assert len(parts.validation) == 3 * len(patients)
        held += sorted(patients)
    assert sorted(held) == [f"p{n}" for n in range(5)]


# how training reads them


def test_the_cache_holds_the_echoes_that_the_channels_ask_for(raw_echoes: dict, tmp_path: Path) -> None:
    cases = cases_of(experiment_from(raw_echoes, "x"))
    assert cases["t2"].others == (None,) * 5
    for name, case in cases.items():
        if name != "t2":
            assert [volume is not None and volume.shape == case.image.shape for volume in case.volumes] == [True] * 6
    raw_echoes["preprocess"]["channels"] = ["image"]
    raw_echoes["data"]["cache"] = str(tmp_path)
    alone = cases_of(experiment_from(raw_echoes, "x"))
    assert all(case.others == () for case in alone.values())
    assert not [file for file in tmp_path.iterdir() if file.name.endswith("others.npy")]
    assert [case.digest for case in alone.values()] == [case.digest for case in cases.values()]


def test_a_case_without_echoes_that_a_stage_needs_is_refused(raw_echoes: dict) -> None:
    raw_echoes["augment"]["echo_dropout"] = 0.0
    with pytest.raises(InputError, match="t2 has 1 of the 6 echoes that the channels ask for"):
        cached_sides(experiment_from(raw_echoes, "x"))
    raw_echoes["data"]["include"] = ["sim_*"]
    experiment = experiment_from(raw_echoes, "x")
    assert experiment.stage().optional == ()
    assert len(cases_of(experiment)) == 4
    raw_echoes["augment"]["echo_dropout"] = 1.0
    with pytest.raises(InputError, match="less than 1"):
        experiment_from(raw_echoes, "x")


def test_echoes_are_shown_as_the_corridor_prepares_them(raw_echoes: dict) -> None:
    """Channel by channel in the card's order, each normalised by its own volume; zeros where a case has one echo."""
    experiment = experiment_from(raw_echoes, "x")
    stage = experiment.stage()
    for name, case in cases_of(experiment).items():
        scan, echoes = case.case.image, case.case.echoes
        scans = [read_scan(scan, case.case.phase)]
        if echoes is not None:
            several = read_echoes([echoes])
            scans = [several.echo(n) for n in range(6)]
        whole = prepare(scans, stage).tensor[0]
        seen, _, _ = shown_whole(Source(case, stage))
        torch.testing.assert_close(seen.tensor[0], whole, atol=0.03, rtol=0)
        assert bool((seen.tensor[0, 1:] == 0).all()) == (name == "t2")
        sampler = BatchSampler([case], stage, experiment.sampler, STILL, {})
        batch = sampler.batch(np.random.default_rng(0))
        samples = shown(batch, STILL, stage, np.random.default_rng(0))
        assert samples.shape[1:3] == (6, 1)
        j, i = ((a - b) // 2 for a, b in zip(whole.shape[2:], samples.shape[3:]))
        whole = whole[:, :, j : j + samples.shape[3], i : i + samples.shape[4]]
        for sample in samples:
            k = int((whole[:1] - sample[:1]).abs().amax((0, 2, 3)).argmin())
            torch.testing.assert_close(sample[:, 0], whole[:, k], atol=0.03, rtol=0)


def test_every_echo_is_seen_through_the_same_turn(raw_echoes: dict) -> None:
    """Echo n is the image times n + 1: it is so after every turn and bend, and what is missing stays missing."""
    case = cases_of(experiment_from(raw_echoes, "x"))["sim_ct_a"]
    image = np.asarray(case.image, np.float32)
    several = replace(case, others=(2 * image, 3 * image, None))
    for codes, bend_mm in ((0.0, 0.0), (0.0, 9.0), (1.0, 9.0)):
        turned = Augment(rotate_deg=(0.0, 0.0, 30.0), bend_mm=bend_mm, simulate=codes)
        stage, sampler = experiment_from(raw_echoes, "x").stage(), experiment_from(raw_echoes, "x").sampler
        batch = BatchSampler([several], stage, sampler, turned, {}).batch(np.random.default_rng(2))
        torch.testing.assert_close(batch.image[:, 1:3], batch.image[:, :1] * torch.tensor([2, 3])[:, None, None, None])
        assert bool(batch.image[:, 3].isnan().all())
        assert not bool(batch.image[:, :3].isnan().any())


@pytest.mark.parametrize("dropout", [0.0, 0.2, 0.6])
def test_dropout_leaves_the_first_echo_and_depends_on_the_seed(raw_echoes: dict, dropout: float) -> None:
    """Later echoes go with this share each, and for this share of the samples from some echo on."""
    experiment = experiment_from(raw_echoes, "x")
    case, stage = cases_of(experiment)["sim_ct_a"], experiment.stage()
    sampler = BatchSampler([case], stage, replace(experiment.sampler, batch=40), STILL, {})
    batch = sampler.batch(np.random.default_rng(0))
    augment = replace(STILL, echo_dropout=dropout)
    looks = [shown(batch, augment, stage, np.random.default_rng(seed)) for seed in (1, 1, 2, 3, 4)]
    assert torch.equal(looks[0], looks[1])
    assert torch.equal(looks[0], looks[2]) == (dropout == 0)
    there = torch.cat(looks[1:]).abs().amax((2, 3, 4)) > 0
    assert bool(there[:, 0].all())
    ended = np.mean([(n + 1 <= m) for n in range(5) for m in range(5)])  # of the five later echoes, those before an end
    kept = (1 - dropout) * (1 - dropout * (1 - ended + 1 / 5))
    assert float(there[:, 1:].float().mean()) == pytest.approx(kept, abs=0.06)
    plain = shown(batch, STILL, stage, np.random.default_rng(1))
    assert torch.equal(looks[1][there[:40]], plain[there[:40]])


def test_empty_bodies_have_no_later_echoes(raw_echoes: dict) -> None:
    experiment = experiment_from(raw_echoes, "x")
    sampler = replace(experiment.sampler, kind="scan", empty=1.0)
    stage = replace(experiment.stage(), dims=3, window=(16, 16, 16), snap=(4, 4, 4), normalisation={"CT": "ct_fixed"})
    batch = BatchSampler([cases_of(experiment)["sim_ct_a"]], stage, sampler, STILL, {}).batch(np.random.default_rng(0))
    assert bool(batch.image[:, 1:].isnan().all())
    seen = shown(batch, STILL, stage, np.random.default_rng(0))
    assert float(seen[:, 0].abs().max()) > 0
    assert not seen[:, 1:].any()


def test_a_tiny_run_learns_exports_and_is_validated_on_echoes_and_on_one_scan(raw_echoes: dict, tmp_path: Path) -> None:
    raw_echoes["experiment"]["ema"] = 0.0
    experiment = experiment_from(raw_echoes, "x")
    fit(experiment)
    export([experiment], "tiny", tmp_path / "model", measure=False)
    model = load_model(tmp_path / "model")
    (stage,) = model.card.stages
    assert stage.channels == tuple(CHANNELS)
    assert stage.optional == tuple(CHANNELS[1:])
    cases = [case.case for case in cases_of(experiment).values()]
    scores = list(validate(model, cases, device=CPU))
    assert {(score.case, score.phase) for score in scores} == {(case.id, case.phase) for case in cases}
    echoes = read_echoes([next(case.echoes for case in cases if case.echoes)])
    several = [echoes.echo(n) for n in range(len(echoes.te_ms))]
    for given in (several[1:], several[1:3], []):
        mask = segment_scan(several[0], model, device=CPU, others=given).mask
        assert mask.grid.matches(echoes.grid)


def test_missing_echoes_give_finite_answers_and_leave_the_norms_alone() -> None:
    """B.5.7, on the network of the recipe."""
    experiment = load_experiment(RECIPE)
    torch.manual_seed(0)
    network = networks.build("mecse_unet", channels=6, labels=2, dims=2, **experiment.network.options).eval()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    x = torch.randn(1, 6, 1, 48, 64)
    x[:, 3:] = 0
    (answer,) = network(x)
    assert bool(torch.isfinite(answer).all())
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())


def test_the_recipe_is_what_the_card_will_say() -> None:
    experiment = load_experiment(RECIPE)
    assert experiment.stage().channels == tuple(CHANNELS)
    assert experiment.stage().optional == tuple(CHANNELS[1:])
    assert (experiment.split.kind, experiment.split.folds) == ("kfold", 5)
    assert set(experiment.card.fit_phases) == {"mr_multiecho", "mr_t2fs"} <= set(PHASES)
    assert "trained on simulated multi-echo only" in experiment.card.known_failures


def test_the_key_of_a_cache_is_the_same_for_a_case_that_gained_echoes(
    folder: Path, raw_echoes: dict, tmp_path: Path
) -> None:
    """A stage that reads one image takes no notice of the others."""
    raw_echoes["preprocess"]["channels"] = ["image"]
    stage = experiment_from(raw_echoes, "x").stage()
    case = list_cases(folder / "made", ["sim_ct_a"])[0]
    preprocess = Preprocess((7.0, 7.0, 0.0), {"MR": "body_zscore"})
    for one in (case, replace(case, echoes=None)):
        cached(one, stage, preprocess, {}, tmp_path / "one")
    assert len(list((tmp_path / "one").iterdir())) == 3
