"""DICOM as scanners write it: every series of the writer comes back voxel by voxel where it was, or is refused in words."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import compressed_by_gdcm, save, write_multiframe, write_series
from liverseg_core.errors import InputError
from liverseg_core.geometry import Grid, grid_of, resampled
from liverseg_core.reading import dicom, read_scan
from phantoms import GRIDS, SHARED

GRID = Grid((14, 12, 9), (1.5, 1.25, 3.0), (-7.0, 20.0, 100.0))
STORED = (np.indices(GRID.array_shape).sum(axis=0) * 40 + np.indices(GRID.array_shape)[0] * 7 + 300).astype(np.int16)
HU = STORED - 1024
REAL = SHARED / "dicom_ct" / "series"


def codes(volume: dicom.DicomVolume) -> list[str]:
    return [notice.code for notice in volume.notices]


@pytest.mark.parametrize("name", GRIDS)
def test_a_series_comes_back_where_it_was(name: str, tmp_path: Path) -> None:
    """Left-handed stacks are turned to run along the normal: the same values at the same places of the patient."""
    grid = GRIDS[name]
    stored = (np.indices(grid.array_shape) * np.array([31, 7, 3])[:, None, None, None]).sum(axis=0).astype(np.uint16)
    write_series(tmp_path, stored, grid, SliceThickness=grid.spacing_mm[2])
    volume = dicom.read_volume(tmp_path)
    assert volume.grid.size == grid.size
    assert np.linalg.det(volume.grid.axes) == pytest.approx(1.0)
    there = resampled(stored, grid, volume.grid, nearest=True)
    np.testing.assert_array_equal(volume.voxels, there.astype(np.int32) - 1024)
    np.testing.assert_allclose(np.sort(volume.grid.corners_mm(), axis=0), np.sort(grid.corners_mm(), axis=0), atol=1e-3)
    assert volume.notices == ()


@pytest.mark.parametrize("packing", ["RLE", "deflated", "implicit", "big endian", "JPEG2000", "JPEG"])
def test_every_packing_holds_the_same_values(packing: str, tmp_path: Path) -> None:
    write_series(tmp_path, STORED, GRID)
    if packing.startswith("JPEG"):
        compressed_by_gdcm(tmp_path, packing)
    for file in tmp_path.iterdir() if not packing.startswith("JPEG") else ():
        dataset = pydicom.dcmread(file)
        if packing == "RLE":
            dataset.compress(pydicom.uid.RLELossless)
            dataset.save_as(file)
        elif packing == "deflated":
            save(dataset, file, pydicom.uid.DeflatedExplicitVRLittleEndian)
        elif packing == "implicit":
            save(dataset, file, pydicom.uid.ImplicitVRLittleEndian)
        else:
            dataset.PixelData = STORED[int(dataset.InstanceNumber) - 1].astype(">i2").tobytes()
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
            pydicom.dcmwrite(file, dataset, little_endian=False, implicit_vr=False)
    np.testing.assert_array_equal(dicom.read_volume(tmp_path).voxels, HU)


def test_files_without_a_preamble_are_dicom_too(tmp_path: Path) -> None:
    write_series(tmp_path, STORED, GRID)
    for file in tmp_path.iterdir():
        dataset = pydicom.dcmread(file)
        del dataset.file_meta
        pydicom.dcmwrite(file, dataset, implicit_vr=True, little_endian=True, enforce_file_format=False)
    np.testing.assert_array_equal(dicom.read_volume(tmp_path).voxels, HU)


def test_slope_and_intercept_are_those_of_each_slice(tmp_path: Path) -> None:
    write_series(tmp_path, STORED, GRID, each=lambda k: {"RescaleSlope": 0.5 + 0.25 * k, "RescaleIntercept": -k})
    k = np.arange(9)[:, None, None]
    np.testing.assert_allclose(dicom.read_volume(tmp_path).voxels, STORED * (0.5 + 0.25 * k) - k, rtol=1e-6)


def test_mr_without_rescale_keeps_its_values(tmp_path: Path) -> None:
    write_series(tmp_path, STORED.astype(np.uint16), GRID, modality="MR")
    volume = dicom.read_volume(tmp_path)
    np.testing.assert_array_equal(volume.voxels, STORED)
    assert (volume.modality, volume.notices) == ("MR", ())


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_multiframe_files_are_read_by_their_functional_groups(modality: str, tmp_path: Path) -> None:
    """Frames in a mixed order, each with its own slope: the positions decide."""
    order = np.random.default_rng(0).permutation(len(STORED))
    write_multiframe(
        tmp_path / "enhanced.dcm", STORED[order], GRID, modality=modality,
        each=lambda n: {
            "PlanePositionSequence": {"ImagePositionPatient": GRID.world_mm((0, 0, order[n])).tolist()},
            "PixelValueTransformationSequence": {"RescaleSlope": 1 + int(order[n]), "RescaleIntercept": -1000},
        },
    )  # fmt: skip
    expected = STORED.astype(np.int32) * (1 + np.arange(9))[:, None, None] - 1000
    for path in (tmp_path, tmp_path / "enhanced.dcm"):
        volume = dicom.read_volume(path)
        np.testing.assert_array_equal(volume.voxels, expected)
        assert volume.grid.matches(GRID)


# ---------------------------------------------------------------- what lies around a series


def test_other_files_folders_and_copies_do_not_disturb(tmp_path: Path) -> None:
    write_series(tmp_path / "b" / "deep", STORED, GRID, name=lambda k: f"IM{k}")
    moved = tmp_path / "a"
    moved.mkdir()
    for k in range(4):
        (tmp_path / "b" / "deep" / f"IM{k}").rename(moved / f"IM{k}.dcm")
    shutil.copy(moved / "IM1.dcm", tmp_path / "IM1 (copy).dcm")
    (tmp_path / "DICOMDIR").write_bytes(b"")
    (tmp_path / "readme.txt").write_text("not a picture")
    (tmp_path / "b" / "short").write_bytes(b"\x08\x00")
    volume = dicom.read_volume(tmp_path)
    np.testing.assert_array_equal(volume.voxels, HU)
    assert volume.notices == ()


def test_the_only_series_that_can_be_a_scan_is_taken_and_said(tmp_path: Path) -> None:
    uid = write_series(tmp_path / "scan", STORED, GRID, SeriesDescription="Abdomen portal")
    write_series(tmp_path / "scout", STORED[:1], GRID, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(
        tmp_path / "capture", STORED[:2], GRID, SOPClassUID="1.2.840.10008.5.1.4.1.1.7", ImagePositionPatient=None
    )
    write_series(
        tmp_path / "pdf", STORED[:1], GRID, Modality="DOC", SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", Rows=None
    )
    volume = dicom.read_volume(tmp_path)
    np.testing.assert_array_equal(volume.voxels, HU)
    assert codes(volume) == ["series_chosen"]
    assert uid in volume.notices[0].text
    assert "Of 4 series" in volume.notices[0].text


def test_localiser_frames_inside_a_series_are_left_out(tmp_path: Path) -> None:
    uid = write_series(tmp_path / "a", STORED, GRID)
    write_series(
        tmp_path / "b",
        np.zeros((1, 30, 40), np.int16),
        GRID,
        SeriesInstanceUID=uid,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    np.testing.assert_array_equal(dicom.read_volume(tmp_path).voxels, HU)


def test_several_series_are_listed_and_chosen(tmp_path: Path) -> None:
    one = write_series(
        tmp_path / "one", STORED, GRID, SeriesDescription="Arterie Übersicht", SpecificCharacterSet="ISO_IR 192"
    )
    two = write_series(tmp_path / "two", STORED[:5] + 1, GRID, SeriesDescription="portal")
    with pytest.raises(InputError, match="2 series; choose one with --series") as told:
        dicom.read_volume(tmp_path)
    for part in (one, two, "Arterie Übersicht", "14 x 12 x 9", "14 x 12 x 5"):
        assert part in str(told.value)
    np.testing.assert_array_equal(dicom.read_volume(tmp_path, two).voxels, HU[:5] + 1)
    with pytest.raises(InputError, match=r"no series 1\.2\.3"):
        dicom.read_volume(tmp_path, "1.2.3")


def test_two_patients_are_never_one_series(tmp_path: Path) -> None:
    uid = write_series(tmp_path / "a", STORED, GRID)
    write_series(tmp_path / "b", STORED, GRID, SeriesInstanceUID=uid, PatientID="another")
    with pytest.raises(InputError, match="of 2 patients") as told:
        dicom.read_volume(tmp_path)
    assert "another" not in str(told.value)
    with pytest.raises(InputError, match="folders of their own"):
        dicom.read_volume(tmp_path, uid)


def test_japanese_names_and_descriptions_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "腹部CT"
    write_series(
        folder, STORED, GRID, name=lambda k: f"画像{k}", SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName="Yamada^Tarou=山田^太郎", SeriesDescription="腹部 門脈相",
    )  # fmt: skip
    volume = dicom.read_volume(folder)
    np.testing.assert_array_equal(volume.voxels, HU)
    assert volume.tags["SeriesDescription"] == "腹部 門脈相"


# ---------------------------------------------------------------- geometry


def test_missing_slices_are_interpolated_and_said(tmp_path: Path) -> None:
    write_series(tmp_path, STORED, GRID, name=lambda k: f"IM{k}")
    (tmp_path / "IM4").unlink()
    volume = dicom.read_volume(tmp_path)
    assert codes(volume) == ["resampled"]
    assert volume.grid.matches(GRID)
    np.testing.assert_allclose(volume.voxels, HU, atol=1)  # the ramp is linear in k


def test_too_many_missing_slices_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, STORED, GRID, name=lambda k: f"IM{k}")
    for k in (3, 4, 5):
        (tmp_path / f"IM{k}").unlink()
    with pytest.raises(InputError, match=r"3.00 to 12.00 mm apart.*copy the whole series"):
        dicom.read_volume(tmp_path)


def test_uneven_slices_are_interpolated_onto_even_ones(tmp_path: Path) -> None:
    """A ramp along z stays a ramp: two thirds of the slices 3 mm apart, the rest 4.5."""
    z = np.array([0, 3, 6, 9, 12, 15, 18, 22.5, 27.0])
    stored = np.broadcast_to((100 + 20 * z)[:, None, None], GRID.array_shape).astype(np.int16)
    write_series(tmp_path, stored, GRID, each=lambda k: {"ImagePositionPatient": [-7.0, 20.0, 100.0 + z[k]]})
    volume = dicom.read_volume(tmp_path)
    assert codes(volume) == ["resampled"]
    assert volume.grid.size[2] == 10
    assert volume.grid.spacing_mm[2] == pytest.approx(3.0)
    np.testing.assert_allclose(volume.voxels[:, 0, 0] + 1024, 100 + 20 * 3 * np.arange(10), atol=1)


@pytest.mark.parametrize("digits", [1, 2])
def test_rounded_positions_are_even(digits: int, tmp_path: Path) -> None:
    fine = replace(GRID, spacing_mm=(1.5, 1.25, 0.7031))
    write_series(
        tmp_path,
        STORED,
        fine,
        each=lambda k: {"ImagePositionPatient": [round(float(p), digits) for p in fine.world_mm((0, 0, k))]},
    )
    volume = dicom.read_volume(tmp_path)
    assert volume.notices == ()
    assert volume.grid.spacing_mm[2] == pytest.approx(0.7031, abs=0.011)


def test_a_tilted_gantry_is_sheared_straight(tmp_path: Path) -> None:
    """A rod along the patient's axis drifts through tilted slices; afterwards it stands still where it was."""
    tilt = np.deg2rad(12.0)
    grid = Grid((24, 30, 10), (1.0, 1.0, 4.0), (0.0, 0.0, 0.0))
    drift = np.tan(tilt) * 4.0  # mm along +y from slice to slice
    stored = np.full(grid.array_shape, 24, np.int16)
    for k in range(10):
        rod_y = 20.0  # mm, in the patient
        rows = np.arange(30) + drift * k
        stored[k, :, 11] = np.round(24 + 1000 * np.clip(1 - np.abs(rows - rod_y) / 3, 0, 1)).astype(np.int16)
    write_series(tmp_path, stored, grid, each=lambda k: {"ImagePositionPatient": [0.0, drift * k, 4.0 * k]})
    volume = dicom.read_volume(tmp_path)
    assert codes(volume) == ["resampled"]
    assert "12.0 degrees" in volume.notices[0].text
    centre = (
        (volume.voxels[:, :, 11] + 1000.0)
        @ np.arange(volume.grid.size[1])
        / (volume.voxels[:, :, 11] + 1000.0).sum(axis=1)
    )
    world_y = volume.grid.world_mm(np.stack([np.zeros(10), centre, np.arange(10)], axis=1))[:, 1]
    np.testing.assert_allclose(world_y, 20.0, atol=0.05)
    assert volume.grid.size == (24, 30 + int(np.ceil(drift * 9)), 10)
    assert volume.grid.axes[:, 2] == pytest.approx([0, 0, 1])


def test_a_tilt_the_other_way_keeps_everything(tmp_path: Path) -> None:
    grid = Grid((8, 8, 5), (1.0, 1.0, 2.0))
    stored = np.full(grid.array_shape, 500, np.int16)
    write_series(tmp_path, stored, grid, each=lambda k: {"ImagePositionPatient": [0.0, -1.0 * k, 2.0 * k]})
    volume = dicom.read_volume(tmp_path)
    assert volume.grid.size == (8, 12, 5)
    assert volume.grid.origin_mm == pytest.approx((0.0, -4.0, 0.0))


# ---------------------------------------------------------------- several volumes in one series


def _times(volumes: int) -> np.ndarray:
    return np.concatenate([STORED + 1000 * n for n in range(volumes)]).astype(np.int16)


@pytest.mark.parametrize(
    ("tell", "told"),
    [
        (lambda v, k: {"TemporalPositionIdentifier": v + 1}, "time point 2"),
        (lambda v, k: {"AcquisitionNumber": v + 1}, "acquisition 2"),
        (lambda v, k: {"DiffusionBValue": 400.0 * v}, "b = 400 s/mm2"),
        (lambda v, k: {"EchoTime": 2.3 + 2.3 * v}, "echo time 4.6 ms"),
        (lambda v, k: {"ImageType": ["ORIGINAL", "PRIMARY", "M", "IP" if v else "OP"]}, "M/OP"),
        (lambda v, k: {"AcquisitionTime": f"1010{10 + 20 * v:02d}.{k:03d}"}, "number 2 by AcquisitionTime"),
        (lambda v, k: {}, "number 2 by InstanceNumber"),
    ],
)
def test_volumes_are_told_apart_by_their_tags(tell: Any, told: str, tmp_path: Path) -> None:
    grid = Grid((14, 12, 18), GRID.spacing_mm, GRID.origin_mm)
    write_series(
        tmp_path, _times(2), grid, modality="MR",
        each=lambda n: {"ImagePositionPatient": GRID.world_mm((0, 0, n % 9)).tolist(), **tell(n // 9, n % 9)},
    )  # fmt: skip
    with pytest.raises(InputError, match="holds 2 volumes; choose one with --volume 0 to --volume 1") as listed:
        dicom.read_volume(tmp_path)
    assert told in str(listed.value)
    read = [dicom.read_volume(tmp_path, number=n) for n in (0, 1)]
    firsts = sorted(int(volume.voxels[0, 0, 0]) for volume in read)
    assert firsts == [300, 1300]
    for volume in read:
        np.testing.assert_array_equal(volume.voxels - volume.voxels[0, 0, 0], STORED - 300)
    with pytest.raises(InputError, match="--volume 2 is not in"):
        dicom.read_volume(tmp_path, number=2)


def test_a_multiframe_file_of_echoes_and_time_points_is_taken_apart_twice(tmp_path: Path) -> None:
    write_multiframe(
        tmp_path / "e", _times(4), GRID,
        each=lambda n: {
            "MREchoSequence": {"EffectiveEchoTime": 1.2 + 1.1 * (n // 9 % 2)},
            "FrameContentSequence": {"TemporalPositionIndex": 1 + n // 18},
        },
    )  # fmt: skip
    with pytest.raises(InputError, match=r"holds 4 volumes.*3: time point 2, echo time 2.3 ms \(9 slices\)"):
        dicom.read_volume(tmp_path)
    volume = dicom.read_volume(tmp_path, number=3)
    np.testing.assert_array_equal(volume.voxels, STORED + 3000)
    assert volume.tags["EchoTime"] == pytest.approx(2.3)
    assert volume.tags["NumberOfEchoes"] == 2


@pytest.mark.parametrize(
    ("creator", "group", "element", "value"),
    [("SIEMENS MR HEADER", 0x0019, 0x0C, "800"), ("GEMS_PARM_01", 0x0043, 0x39, ["1000000800", "8", "0", "0"])],
)
def test_b_values_are_found_where_vendors_keep_them(
    creator: str, group: int, element: int, value: Any, tmp_path: Path
) -> None:
    write_series(tmp_path, STORED, GRID, modality="MR", SeriesDescription="ep2d_diff_tra")
    for file in tmp_path.iterdir():
        dataset = pydicom.dcmread(file)
        dataset.private_block(group, creator, create=True).add_new(element, "IS", value)
        dataset.save_as(file)
    assert dicom.read_volume(tmp_path).tags["DiffusionBValue"] == 800


def test_two_directions_are_two_volumes(tmp_path: Path) -> None:
    uid = write_series(tmp_path / "a", STORED, GRID, modality="MR")
    sagittal = GRIDS["sagittal"]
    write_series(
        tmp_path / "b", np.zeros(sagittal.array_shape, np.int16), sagittal, modality="MR", SeriesInstanceUID=uid
    )
    with pytest.raises(InputError, match="holds 2 volumes"):
        dicom.read_volume(tmp_path)
    sizes = {dicom.read_volume(tmp_path, number=n).grid.size for n in (0, 1)}
    assert sizes == {GRID.size, sagittal.size}


# ---------------------------------------------------------------- what cannot be read, and what must be said


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ImageOrientationPatient": None}, "no usable ImageOrientationPatient"),
        ({"ImagePositionPatient": None}, "no usable ImagePositionPatient"),
        ({"PixelSpacing": None}, "no usable PixelSpacing"),
        ({"PixelSpacing": [0, 1]}, "no usable PixelSpacing"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "no usable ImageOrientationPatient"),
        ({"Modality": "US"}, "neither CT nor MR"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localiser"),
        ({"SeriesDescription": "Topogramm 0.6"}, "localiser"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour pictures"),
        ({"RescaleSlope": 0}, "RescaleSlope"),
        ({"each": lambda k: {"Rows": 11, "PixelData": b"\0" * 308} if k == 3 else {}}, "differ in size"),
        ({"each": lambda k: {"PixelSpacing": [2, 2]} if k == 3 else {}}, "differ in PixelSpacing"),
        ({"each": lambda k: {"ImagePositionPatient": [0, 0, 3 * min(k, 5)]}}, "lie in the same place and differ"),
        ({"each": lambda k: {"ImagePositionPatient": [5 * (k == 3), 0, 3 * k]}}, "shifted against each other"),
        ({"each": lambda k: {"PixelData": b"\0" * 100} if k == 3 else {}}, "damaged or cut off"),
        ({"each": lambda k: {"PixelData": None} if k == 3 else {}}, "holds no picture"),
    ],
)
def test_bad_series_are_refused_in_words(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    write_series(tmp_path, STORED, GRID, **changes)
    with pytest.raises(InputError, match=sentence):
        dicom.read_volume(tmp_path)


@pytest.mark.parametrize("keep", [200, 400, 1000])
def test_a_file_cut_off_in_the_middle_is_refused(keep: int, tmp_path: Path) -> None:
    write_series(tmp_path, STORED, GRID, name=lambda k: f"IM{k}")
    content = (tmp_path / "IM4").read_bytes()
    (tmp_path / "IM4").write_bytes(content[:keep])
    with pytest.raises(InputError):
        dicom.read_volume(tmp_path)


def test_a_folder_without_dicom_and_a_single_slice_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x" * 300)
    with pytest.raises(InputError, match="no DICOM pictures"):
        dicom.read_volume(tmp_path)
    write_series(tmp_path, STORED, GRID, name=lambda k: f"IM{k}")
    with pytest.raises(InputError, match="one slice of a DICOM series; name its folder"):
        dicom.read_volume(tmp_path / "IM0")


def test_slices_stored_twice_count_once(tmp_path: Path) -> None:
    """The same picture under another SOPInstanceUID, as two exports into one folder make it."""
    uid = write_series(tmp_path / "a", STORED, GRID)
    write_series(
        tmp_path / "b", STORED[2:4], Grid((14, 12, 2), GRID.spacing_mm, (-7.0, 20.0, 106.0)), SeriesInstanceUID=uid
    )
    volume = dicom.read_volume(tmp_path)
    assert codes(volume) == ["slices_repeated"]
    np.testing.assert_array_equal(volume.voxels, HU)


def _ct_like(grid: Grid) -> np.ndarray:
    """Air, fat and soft tissue in HU."""
    k = np.indices(grid.array_shape)[1]
    return np.where(k < 4, -1000, np.where(k < 6, -90, 50)).astype(np.int16)


def test_a_pixel_representation_that_lies_is_corrected_and_said(tmp_path: Path) -> None:
    """Signed HU in files that call them unsigned: air would be at 64,536."""
    hu = _ct_like(GRID)
    write_series(tmp_path, hu.view(np.uint16), GRID, RescaleIntercept=0)
    volume = dicom.read_volume(tmp_path)
    np.testing.assert_array_equal(volume.voxels, hu)
    assert codes(volume) == ["hu_assumed"]


def test_a_ct_without_rescale_is_taken_for_hu_plus_1024_only_when_it_looks_like_it(tmp_path: Path) -> None:
    hu = _ct_like(GRID)
    none = {"RescaleSlope": None, "RescaleIntercept": None}
    write_series(tmp_path / "a", (hu + 1024).astype(np.uint16), GRID, **none)
    volume = dicom.read_volume(tmp_path / "a")
    np.testing.assert_array_equal(volume.voxels, hu)
    assert codes(volume) == ["hu_assumed"]
    write_series(
        tmp_path / "b", np.random.default_rng(0).integers(0, 255, GRID.array_shape).astype(np.uint16), GRID, **none
    )
    with pytest.raises(InputError, match="no RescaleIntercept"):
        dicom.read_volume(tmp_path / "b")


@pytest.mark.parametrize(
    ("tags", "phase"),
    [
        ({"SeriesDescription": "Abdomen portalvenös 5.0", "ContrastBolusAgent": "Ultravist"}, "ct_portal"),
        ({"SeriesDescription": "Abdomen"}, "ct_unknown"),
    ],
)
def test_the_phase_follows_from_the_tags_unless_the_user_says_it(
    tags: dict[str, Any], phase: str, tmp_path: Path
) -> None:
    write_series(tmp_path, _ct_like(GRID) + 1024, GRID, SpecificCharacterSet="ISO_IR 192", **tags)
    scan = read_scan(tmp_path)
    assert scan.phase == phase
    assert "SeriesDescription" in scan.phase_how or phase == "ct_unknown"
    assert "phase_guessed" not in {notice.code for notice in scan.notices}
    assert (read_scan(tmp_path, "ct_arterial").phase, read_scan(tmp_path, "ct_arterial").phase_how) == (
        "ct_arterial",
        "chosen by the user",
    )


@pytest.mark.skipif(not REAL.exists(), reason="needs the development data")
def test_the_real_series_is_read_as_simpleitk_reads_it() -> None:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(REAL)))
    image = reader.Execute()
    volume = dicom.read_volume(REAL)
    np.testing.assert_array_equal(volume.voxels, sitk.GetArrayFromImage(image))
    assert volume.grid.matches(grid_of(image))
