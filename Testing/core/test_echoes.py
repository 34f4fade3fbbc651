"""Multi-echo scans as vendors and converters write them come back echo by echo, or are refused in words; and `liverseg fat`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import save, write_multiframe, write_series
from liverseg_core.errors import InputError
from liverseg_core.geometry import Grid, as_image
from liverseg_core.reading.echoes import Told, read_echoes
from liverseg_core.reading.echoes.parts import field_t_of
from liverseg_core.reading.echoes.radians import as_radians

GRID = Grid((14, 12, 4), (1.5, 1.25, 6.0), (-7.0, 20.0, 100.0))
TE = (1.15, 2.1, 3.05, 4.0, 4.95, 5.9)
RNG = np.random.default_rng(5)
MAGNITUDE = RNG.integers(50, 3500, (6, *GRID.array_shape)).astype(np.uint16)
RADIANS = RNG.uniform(-np.pi, np.pi, MAGNITUDE.shape)
TWELVE_BIT = np.floor((RADIANS + np.pi) / np.pi * 2048).astype(np.uint16)
COMMON = {"MagneticFieldStrength": 3.0, "ImagingFrequency": 123.2, "RepetitionTime": 8.5, "FlipAngle": 3.0}
FIELD_T = 123.2 / 42.577478518
TOLD = Told(TE, 3.0)
PHASE_STEP = 1.3 * np.pi / 2048


def write_echoes(
    folder: Path, stored: np.ndarray, kind: str, *, each: Callable[[int], dict[str, Any]] = lambda n: {}, **common: Any
) -> str:
    """One series [n, k, j, i], echoes in no order. `each(n)` overrides tags of echo n."""
    uid = common.pop("SeriesInstanceUID", pydicom.uid.generate_uid())
    for n in (3, 0, 5, 1, 4, 2)[: len(stored)] if len(stored) == 6 else range(len(stored)):
        tags = {"EchoTime": TE[n], "EchoNumbers": n + 1, **COMMON, **common, **each(n)}
        write_series(
            folder, stored[n], GRID, modality="MR", SeriesInstanceUID=uid, name=lambda k, n=n: f"{kind}{97 * k % 100}{n}",
            ImageType=["ORIGINAL", "PRIMARY", kind], **tags,
        )  # fmt: skip
    return uid


def add_private(folder: Path, group: int, creator: str, element: int, vr: str, value: Callable[[Any], Any]) -> None:
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        dataset.private_block(group, creator, create=True).add_new(element, vr, value(dataset))
        save(dataset, file)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest angle between two phases."""
    return float(np.abs(np.angle(np.exp(1j * (one - other)))).max())


def siemens(folder: Path) -> None:
    """Magnitudes and phases are series of their own; phases from -4096 to 4094 by slope and intercept."""
    write_echoes(folder, MAGNITUDE, "M", Manufacturer="SIEMENS")
    write_echoes(folder, TWELVE_BIT, "P", Manufacturer="SIEMENS", RescaleSlope=2, RescaleIntercept=-4096)


def siemens_raw(folder: Path) -> None:
    """A series an echo, phases as stored: 0 to 4095."""
    for n in range(6):
        write_echoes(folder / str(n), MAGNITUDE[n : n + 1], "M", each=lambda _, n=n: {"EchoTime": TE[n]})
        write_echoes(folder / f"p{n}", TWELVE_BIT[n : n + 1], "P", each=lambda _, n=n: {"EchoTime": TE[n]})


def philips(folder: Path) -> None:
    """Everything in one series. Each echo is stored by a scale of its own and shown by another: only both together undo it."""
    uid = pydicom.uid.generate_uid()
    scales, slopes = [1.0, 0.9, 0.7, 0.8, 0.6, 0.75], [0.5 + 0.25 * n for n in range(6)]
    stored = np.round(MAGNITUDE * np.array(scales)[:, None, None, None]).astype(np.uint16)
    write_echoes(folder / "m", stored, "M_FFE", each=lambda n: {"RescaleSlope": slopes[n], "RescaleIntercept": 0},
                 Manufacturer="Philips", SeriesInstanceUID=uid)  # fmt: skip
    add_private(folder / "m", 0x2005, "Philips MR Imaging DD 001", 0x0E, "FL", lambda d: scales[int(d.EchoNumbers) - 1])
    milliradian = {"RescaleSlope": 1.53455, "RescaleIntercept": -3142, "RescaleType": "mrad"}
    write_echoes(folder / "p", TWELVE_BIT, "PHASE MAP", SeriesInstanceUID=uid, **milliradian)


def ge(folder: Path) -> None:
    """Real and imaginary parts, told by a private number alone."""
    signal = MAGNITUDE * np.exp(1j * RADIANS)
    for kind, part in ((2, signal.real), (3, signal.imag)):
        place = folder / str(kind)
        write_echoes(place, np.round(part).astype(np.int16), "OTHER", Manufacturer="GE MEDICAL SYSTEMS")
        add_private(place, 0x0043, "GEMS_PARM_01", 0x2F, "SS", lambda _, kind=kind: kind)


def enhanced(folder: Path) -> None:
    """One multi-frame file: slices within echoes within components."""
    folder.mkdir()
    stored = np.concatenate([MAGNITUDE.reshape(-1, 12, 14), TWELVE_BIT.reshape(-1, 12, 14)])

    def each(n: int) -> dict[str, Any]:
        part, echo = divmod(n // 4, 6)
        kind = ("MAGNITUDE", "PHASE")[part]
        return {
            "MREchoSequence": {"EffectiveEchoTime": TE[echo]},
            "MRImageFrameTypeSequence": {"ComplexImageComponent": kind, "FrameType": ["ORIGINAL", "PRIMARY", "OTHER"]},
            "MRImagingModifierSequence": {"TransmitterFrequency": 123.2},
            "MRTimingAndRelatedParametersSequence": {"RepetitionTime": 8.5, "FlipAngle": 3.0},
        }

    write_multiframe(folder / "all", stored, GRID, each=each, MagneticFieldStrength=3.0)


@pytest.mark.parametrize("write", [siemens, siemens_raw, philips, ge, enhanced], ids=lambda f: f.__name__)
def test_every_vendor_s_echoes_come_back(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "scan")
    echoes = read_echoes([tmp_path / "scan"])
    assert echoes.te_ms == TE
    assert echoes.field_t == pytest.approx(FIELD_T, rel=1e-6)
    assert (echoes.tr_ms, echoes.flip_deg) == (8.5, 3.0)
    assert echoes.grid.matches(GRID)
    np.testing.assert_allclose(echoes.magnitude, MAGNITUDE, atol=1.0 if write in (ge, philips) else 0)  # rounded
    assert echoes.phase_rad is not None
    assert apart(echoes.phase_rad, RADIANS) < (0.02 if write is ge else PHASE_STEP)
    assert {notice.code for notice in echoes.notices} <= {"phase_converted"}


def test_an_echo_of_the_record_is_a_scan_of_its_own(tmp_path: Path) -> None:
    siemens(tmp_path)
    scan = read_echoes([tmp_path]).echo(2)
    assert (scan.phase, scan.phase_how) == ("mr_multiecho", "echo 3 of 6, 3.05 ms")
    np.testing.assert_array_equal(scan.voxels, MAGNITUDE[2])


def test_maps_that_a_vendor_made_of_the_echoes_are_left_out(tmp_path: Path) -> None:
    siemens(tmp_path)
    for kind in ("FAT_FRACTION", "R2_STAR", "WATER"):
        write_echoes(tmp_path / kind, MAGNITUDE[:1], kind)
    assert read_echoes([tmp_path]).te_ms == TE


def test_two_acquisitions_are_not_mixed(tmp_path: Path) -> None:
    write_echoes(tmp_path / "a", MAGNITUDE, "M", SeriesDescription="first breath")
    write_echoes(tmp_path / "b", MAGNITUDE + np.uint16(1), "M", SeriesDescription="second breath")
    with pytest.raises(InputError, match=r"several multi-echo acquisitions.*second breath"):
        read_echoes([tmp_path])
    np.testing.assert_array_equal(read_echoes([tmp_path / "a"]).magnitude, MAGNITUDE)


def test_phases_in_a_folder_of_their_own_need_not_call_themselves_so(tmp_path: Path) -> None:
    write_echoes(tmp_path / "m", MAGNITUDE, "OTHER")
    write_echoes(tmp_path / "p", TWELVE_BIT, "OTHER")
    echoes = read_echoes([tmp_path / "m"], [tmp_path / "p"])
    np.testing.assert_array_equal(echoes.magnitude, MAGNITUDE)
    assert echoes.phase_rad is not None
    assert apart(echoes.phase_rad, RADIANS) < PHASE_STEP


def test_phases_of_other_echoes_are_left_out(tmp_path: Path) -> None:
    write_echoes(tmp_path / "m", MAGNITUDE, "M")
    write_echoes(tmp_path / "p", TWELVE_BIT[:4], "P")
    echoes = read_echoes([tmp_path])
    assert echoes.phase_rad is None
    assert [notice.code for notice in echoes.notices] == ["phase_unusable"]


@pytest.mark.parametrize("by", ["EchoNumbers", "run number"])
def test_equal_echo_times_are_asked_for(by: str, tmp_path: Path) -> None:
    """GE: every echo carries the shortest time, and their number or the run tells them apart."""
    number = (lambda n: n + 1) if by == "EchoNumbers" else (lambda n: 1)
    write_echoes(
        tmp_path, MAGNITUDE, "M", each=lambda n: {"EchoTime": TE[0], "EchoNumbers": number(n), "AcquisitionNumber": n}
    )
    if by == "run number":
        add_private(tmp_path, 0x0019, "GEMS_ACQU_01", 0xA2, "SL", lambda d: 100 + int(d.AcquisitionNumber))
    with pytest.raises(InputError, match=r"all carry the echo time 1.15 ms.*--echo-times-ms, 6 times"):
        read_echoes([tmp_path])
    echoes = read_echoes([tmp_path], told=Told(TE[::-1]))
    assert echoes.te_ms == TE
    np.testing.assert_array_equal(echoes.magnitude, MAGNITUDE)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"MagneticFieldStrength": 1.5}, "contradict each other: 123.2 MHz is 2.89 T"),
        ({"MagneticFieldStrength": None, "ImagingFrequency": None}, "nothing says the field strength"),
        ({"EchoTime": 1.15}, "all carry the echo time"),
    ],
)
def test_tags_that_cannot_be_used_are_refused(change: dict[str, Any], text: str, tmp_path: Path) -> None:
    write_echoes(tmp_path, MAGNITUDE, "M", each=lambda n: change)
    with pytest.raises(InputError, match=text):
        read_echoes([tmp_path])


def test_one_echo_or_a_missing_slice_is_refused(tmp_path: Path) -> None:
    write_echoes(tmp_path / "one", MAGNITUDE[:1], "M")
    with pytest.raises(InputError, match="no multi-echo acquisition"):
        read_echoes([tmp_path / "one"])
    write_echoes(tmp_path / "six", MAGNITUDE, "M")
    last = [f for f in (tmp_path / "six").iterdir() if pydicom.dcmread(f).EchoTime == 4.0]
    max(last, key=lambda f: pydicom.dcmread(f).ImagePositionPatient[2]).unlink()
    with pytest.raises(InputError, match="differ in size or place: 14 x 12 x 4 voxels, and 14 x 12 x 3 at 4 ms"):
        read_echoes([tmp_path / "six"])


def test_slopes_without_a_scale_are_said(tmp_path: Path) -> None:
    write_echoes(tmp_path, MAGNITUDE, "M", each=lambda n: {"RescaleSlope": 1 + 0.1 * n, "RescaleIntercept": 0})
    assert "rescale_differs" in {notice.code for notice in read_echoes([tmp_path]).notices}


def test_the_field_is_that_of_the_frequency_in_whatever_unit() -> None:
    assert field_t_of([123.2, 123.2], [3.0], "x") == pytest.approx(FIELD_T)
    assert field_t_of([123_200_000.0], [30000.0], "x") == pytest.approx(FIELD_T)
    assert field_t_of([], [1.5, 1.5], "x") == 1.5
    assert field_t_of([], [], "x") is None
    with pytest.raises(InputError, match="one scanner"):
        field_t_of([], [1.5, 3.0], "x")


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (RADIANS, ""),
        (RADIANS % (2 * np.pi), "whole turn"),
        (RADIANS * 1000, "milliradians"),
        (np.rad2deg(RADIANS), "degrees"),
        (np.rad2deg(RADIANS % (2 * np.pi)), "degrees from 0"),
        (TWELVE_BIT.astype(float), "0 to 4095"),
        (TWELVE_BIT * 2.0 - 4096, "-4096 to 4094"),
        (TWELVE_BIT - 2048.0, "-2048 to 2047"),
    ],
)
def test_a_phase_tells_its_unit_by_its_range(values: np.ndarray, name: str) -> None:
    radians, notices = as_radians(values, "x")
    assert radians is not None
    assert apart(radians, RADIANS) < PHASE_STEP
    assert [name in notice.text for notice in notices] == [True] * bool(name)


@pytest.mark.parametrize("values", [RADIANS / 2, RADIANS * 777, np.zeros((4, 4)), np.where(RADIANS > 3.1, 3.1, -3.1)])
def test_a_phase_in_no_known_unit_is_not_used(values: np.ndarray) -> None:
    radians, (notice,) = as_radians(values, "x")
    assert radians is None
    assert notice.code == "phase_unusable"


# NIfTI


def save_volumes(path: Path, voxels: np.ndarray, grid: Grid = GRID, car: dict[str, Any] | None = None) -> Path:
    volumes = [as_image(volume, grid) for volume in (voxels if voxels.ndim == 4 else voxels[None])]
    sitk.WriteImage(sitk.JoinSeries(volumes) if voxels.ndim == 4 else volumes[0], str(path))
    if car is not None:
        path.with_name(path.name.replace(".nii", ".json")).write_text(json.dumps(car), encoding="utf-8")
    return path


def test_one_file_or_many_in_any_order_are_the_same_echoes(tmp_path: Path) -> None:
    whole = save_volumes(tmp_path / "all.nii", MAGNITUDE)
    phases = save_volumes(tmp_path / "phase.nii", RADIANS.astype(np.float32))
    told = Told(TE, 3.0)
    order = [4, 0, 2, 5, 1, 3]
    files = [
        save_volumes(tmp_path / f"e{n}.nii", MAGNITUDE[n], car={"EchoTime": TE[n] / 1000, "MagneticFieldStrength": 3})
        for n in order
    ]
    angles = [
        save_volumes(tmp_path / f"p{n}.nii", RADIANS[n].astype(np.float32), car={"EchoTime": TE[n] / 1000})
        for n in range(6)
    ]
    one, many = read_echoes([whole], [phases], told), read_echoes(files, angles)
    for echoes in (one, many):
        assert echoes.te_ms == TE
        np.testing.assert_array_equal(echoes.magnitude, MAGNITUDE)
        assert echoes.phase_rad is not None
        assert apart(echoes.phase_rad, RADIANS) < 1e-5
        assert echoes.field_t == 3.0
        assert echoes.notices == ()


def test_a_side_car_says_the_protocol_in_seconds(tmp_path: Path) -> None:
    car = {"EchoTime": [t / 1000 for t in TE], "ImagingFrequency": 123.2, "RepetitionTime": 0.0085, "FlipAngle": 3}
    echoes = read_echoes([save_volumes(tmp_path / "a.nii", MAGNITUDE, car=car)])
    assert (echoes.te_ms, echoes.tr_ms, echoes.flip_deg) == (TE, 8.5, 3.0)
    assert echoes.field_t == pytest.approx(FIELD_T)
    assert [notice.code for notice in echoes.notices] == ["phase_missing"]
    wrong = read_echoes([save_volumes(tmp_path / "b.nii", MAGNITUDE, car={**car, "EchoTime": list(TE)})])
    assert wrong.te_ms == TE
    assert "taken for milliseconds" in wrong.notices[0].text
    given = read_echoes([tmp_path / "a.nii"], told=Told(tuple(2 * t for t in TE)))
    assert given.te_ms == tuple(2 * t for t in TE)
    assert given.notices[0].code == "echo_times_given"


def refused(paths: Sequence[Path], text: str, told: Told = TOLD, phases: Sequence[Path] = ()) -> None:
    with pytest.raises(InputError, match=text):
        read_echoes(paths, phases, told)


def test_files_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    whole = save_volumes(tmp_path / "all.nii", MAGNITUDE)
    refused([whole], "5 echo times were given for the 6 echoes", Told(TE[:5], 3.0))
    refused([whole], "nothing says the echo times", Told((), 3.0))
    refused([whole], "nothing says the field strength", Told(TE))
    refused([whole], "share a time", Told((*TE[:5], TE[0]), 3.0))
    refused([tmp_path / "none.nii"], "does not exist")
    refused([save_volumes(tmp_path / "one.nii", MAGNITUDE[0])], "one echo")
    other = save_volumes(tmp_path / "other.nii", MAGNITUDE[1], GRID.cropped((0, 0, 1), GRID.size))
    refused([tmp_path / "one.nii", other], "differ in size or place")
    refused([save_volumes(tmp_path / "p.nii", (RADIANS * 900).astype(np.int16))], "expected magnitudes")
    refused([save_volumes(tmp_path / "z.nii", MAGNITUDE * (np.arange(6) != 3)[:, None, None, None])], "echo 4 .* zeros")
    refused(
        [whole], "the phase images .5 echoes", phases=[save_volumes(tmp_path / "f.nii", RADIANS[:5].astype(np.float32))]
    )
    save_volumes(tmp_path / "car.nii", MAGNITUDE, car={"EchoTime": [0.001], "MagneticFieldStrength": 1.5})
    refused([tmp_path / "car.nii"], "1 echo times for 6 echoes", Told())
    save_volumes(tmp_path / "car.nii", MAGNITUDE, car={"MagneticFieldStrength": 1.5})
    refused([tmp_path / "car.nii"], "--field-t 3 contradicts .* 1.5 T")
    (tmp_path / "car.json").write_text("{", encoding="utf-8")
    refused([tmp_path / "car.nii"], "no JSON")


def test_voxels_that_mislead_are_said(tmp_path: Path) -> None:
    """Saturated voxels, empty slices, values that are no numbers; half a decay is no decay."""
    voxels = MAGNITUDE.astype(np.float32)
    voxels[0, 1][voxels[0, 1] > 1500] = 1500
    voxels[0, [0, 2, 3]] *= 0.4
    voxels[3, 2] = 0
    voxels[4, 0, 5, 5] = np.nan
    echoes = read_echoes([save_volumes(tmp_path / "a.nii", voxels)], told=Told(TE, 3.0))
    told = {notice.code: notice.text for notice in echoes.notices}
    assert set(told) == {"saturated", "empty_slices", "nan_voxels", "phase_missing"}
    assert "of echo 1 at 1500" in told["saturated"]
    assert "Slices 3 are" in told["empty_slices"]
    assert not echoes.magnitude[:, 2].any()
    assert not echoes.magnitude[:, 0, 5, 5].any()
    assert np.isfinite(echoes.magnitude).all()
