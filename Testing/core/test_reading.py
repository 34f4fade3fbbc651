"""Files of every kind, and every way in which one can be no scan."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import write_series
from liverseg_core import memory
from liverseg_core.errors import InputError, MemoryShortageError
from liverseg_core.geometry import Grid, as_image
from liverseg_core.labels import LABELS
from liverseg_core.reading import read_mask, read_scan
from liverseg_core.recognition.intensities import guess_modality
from liverseg_core.records import SYNTHETIC_NOTE, LabelMask
from liverseg_core.reporting import save_masks
from liverseg_core.synthetic import abdomen
from phantoms import GRIDS, SHARED, bright_liver, saved_scan

SMALL = Grid((12, 10, 8), (1.0, 1.5, 2.0), (5.0, 6.0, 7.0))
VOXELS = np.arange(960, dtype=np.int16).reshape(SMALL.array_shape)


def nifti(path: Path, **changes: tuple[int, bytes]) -> Path:
    """A good NIfTI, then bytes changed at offsets."""
    sitk.WriteImage(as_image(VOXELS, SMALL), str(path))
    raw = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    for offset, content in changes.values():
        raw[offset : offset + len(content)] = content
    path.write_bytes(gzip.compress(bytes(raw)) if path.suffix == ".gz" else bytes(raw))
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"])
@pytest.mark.parametrize("name", GRIDS)
def test_every_format_gives_the_same_voxels_in_the_same_place(tmp_path, suffix: str, name: str) -> None:
    scan = bright_liver(GRIDS[name])
    read = read_scan(saved_scan(tmp_path / f"scan{suffix}", scan), "ct_portal")
    np.testing.assert_array_equal(read.voxels, scan.voxels)
    assert read.grid.matches(scan.grid, tolerance_mm=1e-2)  # NIfTI keeps single precision
    assert read.phase == "ct_portal"


FLOAT = lambda value: struct.pack("<f", value)
BAD_HEADERS = {
    "zero spacing": (80, FLOAT(0.0)),
    "negative spacing": (84, FLOAT(-1.5)),
    "NaN spacing": (88, FLOAT(np.nan)),
    "singular direction": (280, struct.pack("<12f", *[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])),
    "no size": (42, struct.pack("<h", 0)),
    "not a header": (0, b"#!/bin/sh"),
}


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("fault", BAD_HEADERS)
def test_a_nifti_header_that_simpleitk_would_pass_over_is_refused(tmp_path, fault: str, suffix: str) -> None:
    path = nifti(tmp_path / f"scan{suffix}", fault=BAD_HEADERS[fault])
    with pytest.raises(InputError, match=r"spacing|singular|size|not a NIfTI"):
        read_scan(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("kept", [0.0, 0.05, 0.5, 0.98])
def test_a_file_that_was_cut_off_is_refused(tmp_path, suffix: str, kept: float) -> None:
    grid = Grid((30, 30, 30))
    noise = np.random.default_rng(0).integers(0, 30000, grid.array_shape).astype(np.int16)
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(as_image(noise, grid), str(path))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(InputError):
        read_scan(path)


def test_a_gzip_of_several_members_is_whole(tmp_path) -> None:
    path = nifti(tmp_path / "scan.nii.gz")
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(raw[:1000]) + gzip.compress(raw[1000:]))
    np.testing.assert_array_equal(read_scan(path, "mr_t2").voxels, VOXELS)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.nii.gz", b"", "empty"),
        ("text.nii", b"this is a letter, not a scan\n" * 40, "not a NIfTI"),
        ("text.nii.gz", b"this is a letter, not a scan\n" * 40, "gzip"),
        ("text.nrrd", b"this is a letter, not a scan\n" * 40, "not a NRRD"),
        ("text.mha", b"this is a letter, not a scan\n" * 40, "not a MetaImage"),
        ("letter.docx", b"PK", "not a format"),
    ],
)
def test_what_is_no_image_is_refused_in_a_sentence(tmp_path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_scan(tmp_path / name)


@pytest.mark.parametrize("spacing", ["0 1 1", "nan 1 1", "-1 1 1"])
def test_impossible_spacing_in_a_text_header_is_refused(tmp_path, spacing: str) -> None:
    sitk.WriteImage(as_image(VOXELS, SMALL), str(tmp_path / "scan.mhd"))
    header = (tmp_path / "scan.mhd").read_text().splitlines()
    changed = [f"ElementSpacing = {spacing}" if line.startswith("ElementSpacing") else line for line in header]
    (tmp_path / "scan.mhd").write_text("\n".join(changed) + "\n")
    with pytest.raises(InputError, match="spacing"):
        read_scan(tmp_path / "scan.mhd")


@pytest.mark.parametrize("vectors", ["(0,0,0) (0,1,0) (0,0,1)", "(1,0,0) (1,0,0) (0,0,1)", "(nan,0,0) (0,1,0) (0,0,1)"])
def test_impossible_directions_in_a_nrrd_are_refused(tmp_path, vectors: str) -> None:
    sitk.WriteImage(as_image(VOXELS, SMALL), str(tmp_path / "scan.nrrd"))
    head, _, data = (tmp_path / "scan.nrrd").read_bytes().partition(b"\n\n")
    lines = [
        b"space directions: " + vectors.encode() if li.startswith(b"space dir") else li for li in head.split(b"\n")
    ]
    (tmp_path / "scan.nrrd").write_bytes(b"\n".join(lines) + b"\n\n" + data)
    with pytest.raises(InputError):
        read_scan(tmp_path / "scan.nrrd")


@pytest.mark.parametrize("damage", ["middle", "end"])
def test_a_compressed_metaimage_that_is_damaged_is_refused(tmp_path, damage: str) -> None:
    path = tmp_path / "scan.mha"
    noise = np.random.default_rng(0).integers(0, 3000, (20, 20, 20)).astype(np.int16)
    sitk.WriteImage(as_image(noise, Grid((20, 20, 20))), str(path), useCompression=True)
    np.testing.assert_array_equal(read_scan(path, "mr_t2").voxels, noise)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 255
    path.write_bytes(bytes(raw) if damage == "middle" else bytes(raw[:-200]))
    with pytest.raises(InputError, match="damaged or cut off"):
        read_scan(path)


def test_axes_that_are_not_at_right_angles_are_refused(tmp_path) -> None:
    sitk.WriteImage(as_image(VOXELS, SMALL), str(tmp_path / "scan.nrrd"))
    head, _, rest = (tmp_path / "scan.nrrd").read_bytes().partition(b"\n\n")
    tilted = b"space directions: (1,0,0) (0,1.5,0) (0,0.8,1.8)"
    lines = [tilted if line.startswith(b"space dir") else line for line in head.split(b"\n")]
    (tmp_path / "scan.nrrd").write_bytes(b"\n".join(lines) + b"\n\n" + rest)
    with pytest.raises(InputError, match="right angles"):
        read_scan(tmp_path / "scan.nrrd")


def test_a_name_that_is_no_text_and_a_file_that_may_not_be_read_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="not a name in UTF-8"):
        read_scan(Path("scan-\udcff.nii.gz"))
    with pytest.raises(InputError, match="cannot be read"):
        read_scan(tmp_path / ("x" * 400 + ".nii"))


def test_a_synthetic_scan_says_so_in_its_file(tmp_path) -> None:
    image = as_image(VOXELS, SMALL)
    image.SetMetaData("ITK_FileNotes", SYNTHETIC_NOTE)
    sitk.WriteImage(image, str(tmp_path / "made-up.nii.gz"))
    assert [n.code for n in read_scan(tmp_path / "made-up.nii.gz", "mr_t2").notices] == ["synthetic"]
    assert read_scan(nifti(tmp_path / "real.nii.gz"), "mr_t2").notices == ()


def test_pictures_colours_and_missing_files_are_refused(tmp_path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((9, 9), np.int16)), str(tmp_path / "flat.nii.gz"))
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((5, 9, 9, 3), np.uint8), isVector=True), str(tmp_path / "rgb.nrrd"))
    with pytest.raises(InputError, match="2-D picture"):
        read_scan(tmp_path / "flat.nii.gz")
    with pytest.raises(InputError, match="3 values a voxel"):
        read_scan(tmp_path / "rgb.nrrd")
    with pytest.raises(InputError, match="does not exist"):
        read_scan(tmp_path / "nowhere.nii.gz")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "letter.txt").write_text("no DICOM here")
    with pytest.raises(InputError, match="no DICOM"):
        read_scan(tmp_path / "notes")


def test_four_dimensions_ask_for_a_volume_and_give_it(tmp_path) -> None:
    volumes = [as_image(VOXELS + 1000 * n, SMALL) for n in range(3)]
    sitk.WriteImage(sitk.JoinSeries(volumes), str(tmp_path / "series.nii.gz"))
    with pytest.raises(InputError, match=r"3 volumes; choose one with --volume 0 to --volume 2"):
        read_scan(tmp_path / "series.nii.gz")
    with pytest.raises(InputError, match="--volume 3"):
        read_scan(tmp_path / "series.nii.gz", volume=3)
    with pytest.raises(InputError, match="expected one 3-D mask"):
        read_mask(tmp_path / "series.nii.gz")
    second = read_scan(tmp_path / "series.nii.gz", "mr_t2", volume=1)
    np.testing.assert_array_equal(second.voxels, VOXELS + 1000)
    assert second.grid.matches(SMALL, tolerance_mm=1e-3)


def test_constant_and_all_nan_are_refused_and_a_few_nan_are_background(tmp_path) -> None:
    for name, value in (("constant", 7.0), ("nan", np.nan)):
        sitk.WriteImage(as_image(np.full(SMALL.array_shape, value, np.float32), SMALL), str(tmp_path / f"{name}.nii"))
        with pytest.raises(InputError):
            read_scan(tmp_path / f"{name}.nii")
    few = VOXELS.astype(np.float32)
    few[0, 0, :3] = [np.nan, np.inf, -np.inf]
    sitk.WriteImage(as_image(few, SMALL), str(tmp_path / "few.nii"))
    scan = read_scan(tmp_path / "few.nii", "mr_t2")
    assert np.isfinite(scan.voxels).all()
    assert (scan.voxels[0, 0, :3] == 3.0).all()
    assert [n.code for n in scan.notices] == ["nan_voxels"]
    assert "3 voxels" in scan.notices[0].text


@pytest.mark.parametrize("kind", ["file.nii", "file.nii.gz", "file.nrrd", "file.mha", "dicom"])
def test_a_scan_that_does_not_fit_into_memory_is_refused_before_it_is_read(tmp_path, monkeypatch, kind: str) -> None:
    path = tmp_path / kind
    if kind == "dicom":
        write_series(path, VOXELS, SMALL)
    else:
        sitk.WriteImage(as_image(VOXELS, SMALL), str(path))
    monkeypatch.setattr(memory, "free_bytes", lambda: VOXELS.nbytes - 1)
    with pytest.raises(MemoryShortageError, match=r"needs about .* of memory, .* are free"):
        read_scan(path)


def test_a_header_that_promises_more_than_any_memory_is_refused_without_unpacking(tmp_path) -> None:
    with pytest.raises(MemoryShortageError, match=r"\[30000, 30000, 30000\] voxels"):
        read_scan(nifti(tmp_path / "huge.nii.gz", size=(40, struct.pack("<4h", 3, 30000, 30000, 30000))))


def test_voxels_outlive_the_image_that_they_were_read_from(tmp_path) -> None:
    rng = np.random.default_rng(0)
    wanted = rng.integers(-1000, 1000, (40, 90, 100)).astype(np.int16)
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(wanted), str(path))
    voxels = read_scan(path, "ct_portal").voxels
    others = [sitk.GetImageFromArray(rng.integers(0, 9, wanted.shape).astype(np.int16)) for _ in range(8)]
    assert np.array_equal(voxels, wanted)
    assert len(others) == 8
    with pytest.raises(ValueError, match="read-only"):
        voxels[0, 0, 0] = 1


def test_a_single_slice_works_and_says_so(tmp_path) -> None:
    scan = read_scan(saved_scan(tmp_path / "slice.nii.gz", bright_liver(GRIDS["single slice"])), "ct_portal")
    assert [n.code for n in scan.notices] == ["thick_slices"]


@pytest.mark.parametrize(("contrast", "modality"), [("ct", "CT"), ("t1", "MR"), ("t2", "MR")])
def test_ct_and_mr_are_told_apart_by_their_intensities(contrast: str, modality: str) -> None:
    scan, _, _ = abdomen(contrast, grid=Grid((45, 32, 28), (7.8, 7.8, 9.0), (-175.5, -123.5, -132.0)))
    guess = guess_modality(scan.voxels)
    assert guess.modality == modality
    assert guess.confidence > 0.9
    assert f"{guess.confidence:.2f}" in guess.sentence


def test_a_guessed_modality_is_a_warning(tmp_path) -> None:
    scan = read_scan(nifti(tmp_path / "scan.nii.gz"))
    assert scan.phase == "mr_unknown"
    assert [n.code for n in scan.notices] == ["phase_guessed"]
    assert "confidence" in scan.notices[0].text


@pytest.mark.skipif(not SHARED.exists(), reason="needs the development data")
@pytest.mark.parametrize("case", ["btcv_0005", "chaos_t2spir_05", "ircadb_17"])
def test_real_scans_are_told_apart(case: str) -> None:
    scan = read_scan(SHARED / "cases" / case / "image.nii.gz")
    assert scan.phase == ("mr_unknown" if "chaos" in case else "ct_unknown")


def test_masks_are_codes_of_our_table(tmp_path) -> None:
    write = lambda name, voxels: sitk.WriteImage(as_image(voxels, SMALL), str(tmp_path / name))
    good = (VOXELS % 6).astype(np.float32)
    write("good.nii.gz", good)
    np.testing.assert_array_equal(read_mask(tmp_path / "good.nii.gz").voxels, good)
    for name, voxels in (("soft", good * 0.5), ("negative", good - 1), ("many", VOXELS.astype(np.float32))):
        write(f"{name}.nii.gz", voxels)
        with pytest.raises(InputError, match=r"fractions|codes"):
            read_mask(tmp_path / f"{name}.nii.gz")


@pytest.mark.parametrize("code", LABELS)
def test_a_slicer_segmentation_comes_back_with_every_code(tmp_path, code: int) -> None:
    voxels = np.where(VOXELS > 500, code, 0).astype(np.uint8)
    save_masks(LabelMask(voxels, SMALL), [code], "test", tmp_path)
    again = read_mask(tmp_path / "segmentation.seg.nrrd")
    np.testing.assert_array_equal(again.voxels, voxels)
    assert again.grid.matches(SMALL)


def test_a_foreign_segmentation_is_understood_by_name_and_refused_otherwise(tmp_path) -> None:
    image = as_image(np.where(VOXELS > 500, 7, 0).astype(np.uint8), SMALL)
    for name, known in (("Liver", True), ("Mystery", False)):
        for key, value in {"ID": "x", "Name": name, "LabelValue": "7", "Layer": "0"}.items():
            image.SetMetaData(f"Segment0_{key}", value)
        sitk.WriteImage(image, str(tmp_path / "foreign.seg.nrrd"))
        if known:
            assert set(np.unique(read_mask(tmp_path / "foreign.seg.nrrd").voxels)) == {0, 1}
        else:
            with pytest.raises(InputError, match="Mystery"):
                read_mask(tmp_path / "foreign.seg.nrrd")
