"""Simulated echoes against their formula, and `liverseg fat` from files to maps, tables and a page."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import write_series
from liverseg_core.cli import main
from liverseg_core.cli.sample import save_echoes, write_multiecho
from liverseg_core.errors import InputError
from liverseg_core.fat import Protocol
from liverseg_core.fat.analysis import FatResult, analyse
from liverseg_core.fat.spectra import spectrum_named
from liverseg_core.geometry import Grid, as_image, grid_of
from liverseg_core.multiecho_synthetic import Liver, Train, Truth, cells, scanned, train_named, truth_of
from liverseg_core.records import LabelMask, MultiEcho, Scan
from liverseg_core.reporting import MAPS
from liverseg_core.reporting.overlays import coloured, scale_top
from liverseg_core.synthetic import GRID as ABDOMEN
from phantoms import ellipsoid, known_model, known_stage, overlap, saved_model

SPECTRUM = spectrum_named("ismrm6")
TRAIN = train_named("3t")
GRID = Grid((40, 36, 8), (3.0, 3.0, 6.0), (-60.0, -54.0, 300.0))
LIVER = ellipsoid(GRID, (40.0, 34.0, 22.0))
LESION = np.zeros_like(LIVER)
LESION[3:5, 16:20, 18:22] = True


def phantom(pdff: float = 12.0, r2star: float = 60.0, snr: float = 60.0, train: Train = TRAIN) -> MultiEcho:
    """An ellipsoid of liver in a dim body without fat."""
    body = ellipsoid(GRID, (56.0, 50.0, 80.0))
    codes = LabelMask(LIVER.astype(np.uint8), GRID)
    truth = Truth(codes, LIVER, np.where(LIVER, 1.0, 0.25 * body), np.where(LIVER, pdff, 0.0),
                  np.where(LIVER, r2star, 30.0), train.field_t)  # fmt: skip
    return scanned(truth, train, SPECTRUM, snr=snr)


def saved(folder: Path, echoes: MultiEcho, *, phases: bool = True) -> list[str]:
    """The arguments that name them; the mask, a lesion in it, lies in mask.nii.gz."""
    save_echoes(1000 * echoes.magnitude, echoes, folder / "magnitude.nii.gz")
    sitk.WriteImage(as_image(LIVER.astype(np.uint8) + LESION, GRID), str(folder / "mask.nii.gz"))
    if not phases:
        return [str(folder / "magnitude.nii.gz")]
    assert echoes.phase_rad is not None
    save_echoes(echoes.phase_rad, echoes, folder / "phase.nii.gz")
    return [str(folder / "magnitude.nii.gz"), "--phase-image", str(folder / "phase.nii.gz")]


def rows_of(out: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (out / "fat.csv").open(encoding="utf-8", newline="") as file:
        return {(row["region"], row["quantity"]): row for row in csv.DictReader(file)}


# the simulator


@pytest.mark.parametrize("name", ["3t", "1.5t-wide", "3t-bipolar"])
def test_a_simulated_voxel_is_the_sum_of_its_peaks(name: str) -> None:
    """Water and every peak of fat turned and decayed by hand, magnitude and phase."""
    train = train_named(name)
    echoes = scanned(
        cells((0.0, 30.0), (40.0, 200.0), 2, field_t=train.field_t), train, SPECTRUM, snr=np.inf, uneven=False
    )
    assert echoes.phase_rad is not None
    for n, te_ms in enumerate(train.te_ms):
        hertz = 42.577478518 * train.field_t * np.array(SPECTRUM.shifts_ppm)
        weights = np.array(SPECTRUM.weights) / sum(SPECTRUM.weights)
        fat = sum(w * np.exp(2j * np.pi * f * te_ms / 1000) for w, f in zip(weights, hertz))
        signal = (0.7 + 0.3 * fat) * np.exp(-0.2 * te_ms) * np.exp(1j * train.alternation_rad * (-1) ** n)
        assert echoes.magnitude[n, 1, 1, 0] == pytest.approx(abs(signal), rel=1e-5)
        assert np.exp(1j * echoes.phase_rad[n, 1, 1, 0]) == pytest.approx(signal / abs(signal), abs=1e-5)


def test_noise_is_what_the_snr_says() -> None:
    """Air is Rayleigh: its mean is sigma times the root of pi / 2."""
    truth = cells((0.0,), (0.0,), 20_000)
    empty = replace(truth, signal=0 * truth.signal)
    echoes = scanned(empty, TRAIN, SPECTRUM, snr=25.0)
    assert echoes.magnitude.mean() == pytest.approx(np.sqrt(np.pi / 2) / 25.0, rel=0.01)
    np.testing.assert_array_equal(scanned(empty, TRAIN, SPECTRUM, snr=25.0).magnitude, echoes.magnitude)


def test_a_voxel_holds_the_water_and_the_fat_of_what_fills_it() -> None:
    """Half liver (signal 1, 10 %), half fat (1.8, 92 %): 1.756 of 2.8 parts are fat."""
    fine = Grid((4, 40, 40), (1.0, 1.0, 1.0))
    hounsfield = np.full(fine.array_shape, -100, np.int16)
    labels = np.zeros(fine.array_shape, np.uint8)
    labels[:, :, 1:] = 1
    hounsfield[0] = -1000  # air, which makes the rest a body
    scan = Scan(hounsfield, fine, "ct_portal", "x")
    truth = truth_of(scan, LabelMask(labels, fine), fine.respaced((2.0, 2.0, 2.0)), Liver(10.0, 50.0), field_t=3.0)
    assert truth.pdff[10, 10] == pytest.approx([100 * (0.1 + 1.656) / 2.8, 10.0], rel=1e-5)
    assert truth.signal[10, 10] == pytest.approx([1.4, 1.0], rel=1e-5)
    assert truth.r2star[10, 10] == pytest.approx([(50 + 1.8 * 50) / 2.8, 50.0], rel=1e-5)
    assert truth.pure[10, 10].tolist() == [False, True]


def test_an_uneven_liver_has_the_mean_the_spread_and_the_slope_that_were_asked_for() -> None:
    voxels = np.where(LIVER, 60, np.where(ellipsoid(GRID, (56.0, 50.0, 80.0)), 30, -1000)).astype(np.int16)
    scan, labels = Scan(voxels, GRID, "ct_portal", "x"), LabelMask(LIVER.astype(np.uint8), GRID)
    truth = truth_of(scan, labels, GRID, Liver(20.0, 80.0, 3.0, 9.0, 20.0), seed=3)
    assert truth.pdff[LIVER].mean() == pytest.approx(20.0, abs=1e-3)
    assert truth.pdff[LIVER].std() == pytest.approx(3.0, rel=1e-3)
    assert truth.r2star[LIVER].std() == pytest.approx(9.0, rel=1e-3)
    slope = truth_of(scan, labels, GRID, Liver(20.0, 80.0, left_minus_right=6.0)).pdff
    left = np.broadcast_to(np.arange(40) >= 20, LIVER.shape)  # i runs toward the left
    assert slope[LIVER & left].mean() - slope[LIVER & ~left].mean() > 2.0


def test_the_sample_says_what_it_is_made_of(tmp_path: Path) -> None:
    facts = write_multiecho(tmp_path, ABDOMEN.respaced((8.0, 8.0, 6.0)))
    labels, pdff = (sitk.ReadImage(str(tmp_path / f"{name}.nii.gz")) for name in ("labels", "pdff_truth"))
    echoes = sitk.ReadImage(str(tmp_path / "magnitude.nii.gz"))
    assert echoes.GetSize() == (*labels.GetSize(), 6)
    assert "no patient" in echoes.GetMetaData("descrip")
    liver = sitk.GetArrayFromImage(labels) == 1
    assert np.median(sitk.GetArrayFromImage(pdff)[liver]) == pytest.approx(facts["pdff_median"], abs=0.5)
    assert json.loads((tmp_path / "truth.json").read_text())["echo_times_ms"] == list(TRAIN.te_ms)


# the command


def test_files_to_maps_tables_and_a_page(tmp_path: Path, capsys: Any) -> None:
    arguments = saved(tmp_path, phantom())
    out = tmp_path / "out"
    assert main(["fat", *arguments, "--mask", str(tmp_path / "mask.nii.gz"), "--out", str(out)]) == 0
    rows = rows_of(out)
    for kind, truth, error, unit in (("pdff", 12.0, 0.3, "%"), ("r2star", 60.0, 1.2, "1/s")):
        for name in ("mean", "median", "sd", "iqr", "p5", "p95"):
            assert rows["liver", f"{kind}_{name}"]["unit"] == unit
        for name in ("mean", "median"):
            assert float(rows["liver", f"{kind}_{name}"]["value"]) == pytest.approx(truth, abs=error)
    measured = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "measured.nii.gz"))) > 0
    assert measured.any()
    assert not (measured & (LESION | ~LIVER)).any()
    assert not (out / "ff.nii.gz").exists()
    for name, row in MAPS.items():
        if name == "ff":
            continue
        image = sitk.ReadImage(str(out / f"{name}.nii.gz"))
        assert grid_of(image).matches(GRID)
        assert image.GetMetaData("descrip").endswith(f"unit {row.unit}")
        assert image.GetPixelID() == sitk.sitkFloat32
    pdff = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "pdff.nii.gz")))
    assert np.median(pdff[measured]) == pytest.approx(float(rows["liver", "pdff_median"]["value"]), abs=1e-3)
    made = json.loads((out / "maps.json").read_text())
    assert made["spectrum"] == "ismrm6"
    assert made["echo_times_ms"] == list(TRAIN.te_ms)
    assert made["sigma"] == pytest.approx(1000 / 60, rel=0.1)
    assert made["maps"]["pdff.nii.gz"]["unit"] == "%"
    assert "synthetic" in made["flags"]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "PDFF" in page
    assert "<script" not in page
    assert page.count("<svg") == 2
    assert page.count("data:image/png") == 1
    report = json.loads((out / "report.json").read_text())
    assert {"reading", "fit", "reporting", "total"} <= report["seconds"].keys()
    assert "pdff_median" in capsys.readouterr().out


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The magnitudes alone, in order: their folder holds them, the mask, and the results in `out`."""
    place = tmp_path_factory.mktemp("plain")
    arguments = [
        *saved(place, phantom(), phases=False),
        "--mask",
        str(place / "mask.nii.gz"),
        "--out",
        str(place / "out"),
    ]
    assert main(["fat", *arguments]) == 0
    return place


def test_the_order_of_the_echoes_changes_nothing(plain: Path, tmp_path: Path) -> None:
    echoes, order = phantom(), [4, 1, 5, 0, 3, 2]
    mixed = replace(echoes, magnitude=echoes.magnitude[order], te_ms=tuple(TRAIN.te_ms[m] for m in order))
    arguments = saved(tmp_path, mixed, phases=False)
    assert main(["fat", *arguments, "--mask", str(tmp_path / "mask.nii.gz"), "--out", str(tmp_path / "out")]) == 0
    one, other = (sitk.GetArrayFromImage(sitk.ReadImage(str(f / "out" / "r2star.nii.gz"))) for f in (plain, tmp_path))
    np.testing.assert_array_equal(one, other)


def test_dicom_and_nifti_lead_to_the_same_numbers(plain: Path, tmp_path: Path) -> None:
    """A folder of DICOM files, its magnitudes in whole numbers; no other argument than the mask."""
    echoes, out = phantom(), tmp_path / "out"
    stored = np.round(2000 * echoes.magnitude).astype(np.uint16)
    for n, te_ms in enumerate(echoes.te_ms):
        write_series(
            tmp_path / "dicom", stored[n], GRID, modality="MR", name=lambda k, n=n: f"{k}.{n}", EchoTime=te_ms,
            MagneticFieldStrength=3.0, RepetitionTime=8.5, FlipAngle=3.0, SeriesInstanceUID="1.2.3",
        )  # fmt: skip
    assert main(["fat", str(tmp_path / "dicom"), "--mask", str(plain / "mask.nii.gz"), "--out", str(out)]) == 0
    one, other = rows_of(plain / "out"), rows_of(out)
    for kind in ("pdff", "r2star"):
        ours, theirs = (float(rows["liver", f"{kind}_median"]["value"]) for rows in (one, other))
        assert ours == pytest.approx(theirs, rel=0.005)


def drawing_model(folder: Path, level: float) -> str:
    """What is brighter than `level` (the mean of the body is 0) on the first echo is liver."""
    stage = known_stage(spacing_mm=(3.0, 3.0, 6.0), options={"levels": (level,)})
    model = known_model(stage)
    return str(saved_model(folder, replace(model, card=replace(model.card, fit_phases=("mr_multiecho",)))))


def test_without_a_mask_a_model_draws_the_liver(tmp_path: Path) -> None:
    arguments, out = saved(tmp_path, phantom(), phases=False), tmp_path / "out"
    assert main(["fat", *arguments, "--model", drawing_model(tmp_path / "model", 0.0), "--out", str(out)]) == 0
    drawn = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "segmentation.nii.gz"))) == 1
    assert overlap(drawn, LIVER) > 0.9
    assert (out / "segmentation.seg.nrrd").exists()
    assert float(rows_of(out)["liver", "pdff_median"]["value"]) == pytest.approx(12.0, abs=0.4)
    assert json.loads((out / "report.json").read_text())["model"]["name"] == "known-answer"


def test_no_liver_found_is_an_answer(tmp_path: Path) -> None:
    arguments, out = saved(tmp_path, phantom(), phases=False), tmp_path / "out"
    assert main(["fat", *arguments, "--model", drawing_model(tmp_path / "model", 99.0), "--out", str(out)]) == 0
    row = rows_of(out)["liver", "pdff_mean"]
    assert (row["value"], row["reason"]) == ("", "no liver was found")
    assert "no_liver_found" in {w["code"] for w in json.loads((out / "report.json").read_text())["warnings"]}
    assert "<svg" not in (out / "report.html").read_text(encoding="utf-8")


def test_a_model_that_was_not_measured_on_echoes_is_refused(tmp_path: Path, capsys: Any) -> None:
    arguments, model = saved(tmp_path, phantom(), phases=False), saved_model(tmp_path / "model")
    assert main(["fat", *arguments, "--model", str(model), "--out", str(tmp_path / "out")]) == 3
    assert "not fit for mr_multiecho; choose another model, or give a mask" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        (["--echo-times-ms", "0.00115,0.0021,0.00305,0.004,0.00495,0.0059"], 2, "look like seconds"),
        (["--echo-times-ms", "1.1,2.1"], 2, "2 echo times were given for the 6 echoes"),
        (["--echo-times-ms", "1.1;2.1"], 2, "is no list of numbers"),
        (["--field-t", "1.5"], 2, "--field-t 1.5 contradicts"),
        (["--tr-ms", "8"], 2, "--tr-ms and --flip-deg belong together"),
        (["--spectrum", "butter"], 2, "unknown spectrum 'butter'"),
        (["--calibration", "rust"], 2, "unknown calibration 'rust'"),
        (["--method", "complex"], 2, "needs the phases"),
        (["--mask", "elsewhere.nii.gz"], 2, "does not lie on the grid"),
        (["--mask", "empty.nii.gz"], 2, "holds no liver"),
        (["--model", "nobody", "--mask", ""], 3, "unknown model 'nobody'"),
        (["--device", "cuda:99"], 2, "cuda:99"),
        (["--out", "mask.nii.gz"], 6, "is a file"),
    ],
)
def test_bad_input_is_one_sentence(more: list[str], code: int, text: str, tmp_path: Path, capsys: Any) -> None:
    arguments = saved(tmp_path, phantom(), phases=False)
    other = GRID.cropped((1, 0, 0), GRID.size)
    sitk.WriteImage(as_image(LIVER.astype(np.uint8), other), str(tmp_path / "elsewhere.nii.gz"))
    sitk.WriteImage(as_image(np.zeros_like(LIVER, np.uint8), GRID), str(tmp_path / "empty.nii.gz"))
    given = {"--out": str(tmp_path / "out"), "--mask": str(tmp_path / "mask.nii.gz")}
    for name, value in zip(more[::2], more[1::2]):
        given[name] = str(tmp_path / value) if value and name in ("--mask", "--out") else value
    words = [word for pair in given.items() if pair[1] for word in pair]
    assert main(["fat", *arguments, *words]) == code
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("error: ")
    assert text in error.splitlines()[-1]
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def analysed(magnitude: np.ndarray) -> FatResult:
    return analyse(magnitude, None, Protocol(TRAIN.te_ms, TRAIN.field_t), GRID, LIVER)


def test_motion_between_echoes_is_flagged() -> None:
    """The later half of the echoes lies 9 mm aside."""
    still = phantom().magnitude
    moved = still.copy()
    moved[3:] = np.roll(still[3:], 3, axis=3)
    flags = [[notice.code for notice in analysed(echoes).notices] for echoes in (still, moved)]
    assert flags == [[], ["residual_high"]]


def test_slices_without_signal_are_not_measured() -> None:
    """As zeros they would halve R2* slice by slice."""
    echoes = phantom().magnitude.copy()
    echoes[:, 3:5] = 0.0
    result = analysed(echoes)
    assert not result.measured[3:5].any()
    rate = next(row for row in result.rows if (row.structure, row.quantity) == ("liver", "r2star_median"))
    assert rate.value == pytest.approx(60.0, rel=0.02)
    with pytest.raises(InputError, match="nothing but zeros under the liver mask"):
        analysed(np.where(LIVER, 0.0, phantom().magnitude))


def test_two_echoes_give_a_fat_fraction_that_is_not_called_pdff(tmp_path: Path, capsys: Any) -> None:
    two, out = Train((1.15, 2.3), 3.0, 8.5, 3.0), tmp_path / "out"
    arguments = saved(tmp_path, phantom(r2star=0.0, train=two))
    assert main(["fat", *arguments, "--mask", str(tmp_path / "mask.nii.gz"), "--out", str(out)]) == 0
    assert "ff_median" in capsys.readouterr().out
    rows = rows_of(out)
    assert float(rows["liver", "ff_median"]["value"]) == pytest.approx(12.0, abs=0.4)
    assert not [quantity for _, quantity in rows if quantity.startswith(("pdff", "r2star", "lic", "steatosis", "iron"))]
    assert {f.name for f in out.glob("*.nii.gz")} == {f"{name}.nii.gz" for name in ("ff", "water", "fat", "measured")}
    image = sitk.ReadImage(str(out / "ff.nii.gz"))
    assert grid_of(image).matches(GRID)
    assert "no PDFF" in image.GetMetaData("descrip")
    report, page = json.loads((out / "report.json").read_text()), (out / "report.html").read_text(encoding="utf-8")
    assert "two_echoes" in {warning["code"] for warning in report["warnings"]}
    assert "not PDFF" in page
    assert "PDFF" not in page.replace("not PDFF", "")
    assert page.count("<svg") == 1


def test_no_liver_in_two_echoes_promises_no_pdff_either(tmp_path: Path) -> None:
    arguments, out = saved(tmp_path, phantom(train=Train((1.15, 2.3), 3.0, 8.5, 3.0)), phases=False), tmp_path / "out"
    assert main(["fat", *arguments, "--model", drawing_model(tmp_path / "model", 99.0), "--out", str(out)]) == 0
    assert {quantity.partition("_")[0] for _, quantity in rows_of(out)} == {"ff"}


def test_without_the_report_everything_for_machines_is_written(tmp_path: Path) -> None:
    arguments, out = saved(tmp_path, phantom(train=Train((1.15, 2.3), 3.0, 8.5, 3.0)), phases=False), tmp_path / "out"
    words = [*arguments, "--mask", str(tmp_path / "mask.nii.gz"), "--out", str(out), "--no-report"]
    assert main(["fat", *words]) == 0
    maps = {f"{name}.nii.gz" for name in ("ff", "water", "fat", "measured")}
    assert {f.name for f in out.iterdir()} == {*maps, "maps.json", "fat.csv", "report.json"}


# the pictures


def test_a_colour_says_how_much() -> None:
    picture = coloured(np.array([[np.nan, -5.0, 0.0, 25.0, 50.0, 80.0]]), 50.0)[0]
    assert picture[0].tolist() == [0, 0, 0]
    assert picture[1].tolist() == picture[2].tolist() == [68, 1, 84]
    assert picture[3].tolist() == [33, 144, 141]
    assert picture[4].tolist() == picture[5].tolist() == [253, 231, 37]
    grey = coloured(np.linspace(0, 1, 50)[None], 1.0)[0] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(grey) > 0).all()


def test_a_scale_is_the_first_that_holds_the_values() -> None:
    assert scale_top(np.array([1.0, 2.0, np.nan]), (20.0, 50.0)) == 20.0
    assert scale_top(np.array([*[1.0] * 90, *[30.0] * 10]), (20.0, 50.0)) == 50.0
    assert scale_top(np.array([*[1.0] * 97, *[30.0] * 3]), (20.0, 50.0)) == 20.0
    assert scale_top(np.full(9, 90.0), (20.0, 50.0)) == 50.0
    assert scale_top(np.full(3, np.nan), (20.0, 50.0)) == 20.0
