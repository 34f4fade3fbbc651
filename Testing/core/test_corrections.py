"""A corrected case: what is kept, what is refused, and that no word about a patient travels."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import write_series
from liverseg_core.case_folder import CaseFacts, patient_key
from liverseg_core.cli import main
from liverseg_core.errors import InputError
from liverseg_core.geometry import Grid, as_image
from liverseg_core.reporting.cases import carried

GRID = Grid((9, 8, 7), (1.5, 1.5, 3.0), (-20.0, 10.0, 5.0))
LABELS = np.zeros(GRID.array_shape, np.uint8)
LABELS[2:5, 2:6, 2:7], LABELS[3, 3, 3] = 1, 3
VOXELS = np.random.default_rng(0).integers(-100, 200, GRID.array_shape).astype(np.int16)
SECRETS = ("Mustermann", "4711", "19700101", "Klinikum", "Liver of Erika")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    image = as_image(VOXELS, GRID)
    image.SetMetaData("ITK_FileNotes", SECRETS[4])
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    sitk.WriteImage(as_image(LABELS, GRID), str(tmp_path / "mask.nii.gz"))
    return tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz"


def keep(files: tuple[Path, Path], into: Path, *more: str, annotated: str = "1,3", phase: str = "ct_portal") -> int:
    scan, mask = map(str, files)
    return main(["case", scan, mask, "--into", str(into), "--phase", phase, "--annotated", annotated, *more])


def test_a_case_is_voxels_geometry_and_facts(files, tmp_path) -> None:
    assert (
        keep(files, tmp_path / "kept", "--ai", str(files[1]), "--model", "any-phase 0.2.0", "--status", "flagged") == 0
    )
    (case,) = (tmp_path / "kept").iterdir()
    assert case.name.startswith("case-")
    assert sorted(f.name for f in case.iterdir()) == ["ai.nii.gz", "case.json", "image.nii.gz", "labels.nii.gz"]
    for name, expected in (("image", VOXELS), ("labels", LABELS), ("ai", LABELS)):
        image = sitk.ReadImage(str(case / f"{name}.nii.gz"))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected)
        np.testing.assert_allclose(image.GetOrigin(), GRID.origin_mm, atol=1e-4)
        np.testing.assert_allclose(image.GetSpacing(), GRID.spacing_mm, atol=1e-5)
    facts = CaseFacts.load(case)
    assert (facts.phase, facts.annotated, facts.status, facts.model) == (
        "ct_portal",
        (1, 3),
        "flagged",
        "any-phase 0.2.0",
    )


def test_nothing_about_a_patient_travels(tmp_path) -> None:
    write_series(
        tmp_path / "dicom", VOXELS, GRID, PatientName=SECRETS[0], PatientID=SECRETS[1], PatientBirthDate=SECRETS[2],
        InstitutionName=SECRETS[3], SeriesDescription=SECRETS[4],
    )  # fmt: skip
    sitk.WriteImage(as_image(LABELS, GRID), str(tmp_path / "mask.nii.gz"))
    key = patient_key(SECRETS[1], tmp_path / "salt")
    assert keep((tmp_path / "dicom", tmp_path / "mask.nii.gz"), tmp_path / "kept", "--patient-key", key) == 0
    (case,) = (tmp_path / "kept").iterdir()
    for file in case.iterdir():
        content = file.read_bytes()
        content = gzip.decompress(content) if file.suffix == ".gz" else content
        assert not any(secret.encode() in content for secret in (*SECRETS, "dicom", tmp_path.name)), file.name


def test_text_in_a_header_is_seen(files) -> None:
    assert carried(files[0]) != []
    assert carried(files[1]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"annotated": "1"}, ("[3]", "annotated")),
        ({"annotated": "1,99"}, ("annotated", "99")),
        ({"annotated": "liver"}, ("--annotated", "codes such as")),
        ({"phase": "ct_portal_venous"}, ("phase", "ct_portal")),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_kept(files, tmp_path, capsys, change, words) -> None:
    assert keep(files, tmp_path / "kept", **change) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert not (tmp_path / "kept").exists()


def test_a_mask_of_another_scan_is_refused(files, tmp_path, capsys) -> None:
    other = Grid((9, 8, 7), (1.5, 1.5, 3.0), (0.0, 10.0, 5.0))
    sitk.WriteImage(as_image(LABELS, other), str(files[1]))
    assert keep(files, tmp_path / "kept") == 2
    assert "does not lie on the grid" in capsys.readouterr().err


def test_a_patient_key_is_the_same_in_one_place_and_another_elsewhere(tmp_path) -> None:
    here = patient_key("4711", tmp_path / "here" / "salt")
    assert here == patient_key(" 4711 ", tmp_path / "here" / "salt")
    assert here != patient_key("4712", tmp_path / "here" / "salt")
    assert here != patient_key("4711", tmp_path / "there" / "salt")
    assert "4711" not in here
    assert patient_key("", tmp_path / "here" / "salt") == ""
    assert (tmp_path / "here" / "salt").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Mustermann"}, "unknown keys name"),
        ({"annotated": [1.5]}, "list of codes"),
        ({"annotated": [True]}, "list of codes"),
        ({"annotated": []}, "at least one"),
        ({"status": "done"}, "status"),
        ({"model": 3}, "no text"),
        ({"phase": None}, "no text"),
    ],
)
def test_facts_are_read_strictly(tmp_path, change, words) -> None:
    raw = {"phase": "mr_t2fs", "annotated": [1], **change}
    (tmp_path / "case.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(InputError, match=words):
        CaseFacts.load(tmp_path)
