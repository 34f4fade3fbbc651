"""Tiny data sets in the layouts in which they are published: the same anatomy everywhere, so that the right answer is known."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from dicom_files import write_series
from liverseg_core.geometry import Grid, as_image, resampled

GRID = Grid(
    (24, 20, 12), (14.0, 14.0, 16.0), (-160.0, -140.0, -90.0)
)  # LPS: i to the left, j to the back, k to the head
RAS = Grid(GRID.size, GRID.spacing_mm, (162.0, 126.0, -90.0), (-1, 0, 0, 0, -1, 0, 0, 0, 1))  # the same place
SLICES = GRID.size[2]
HU = {0: -60, 1: 100, 2: 60, 3: 130, 4: 170, 5: 170}
MR = {0: 180, 1: 400, 2: 300, 3: 250, 4: 500, 5: 500}


def codes() -> np.ndarray:
    """Our codes [k, j, i]: liver with a lesion on the right, spleen on the left, kidneys below and behind."""
    drawn = np.zeros(GRID.array_shape, np.uint8)
    k, j, i = np.indices(drawn.shape)
    drawn[((i - 7) / 4.5) ** 2 + ((j - 9) / 5.5) ** 2 + ((k - 7) / 3.5) ** 2 <= 1] = 1
    drawn[7:9, 8:10, 6:8] = 2
    drawn[6:9, 11:14, 17:19] = 3
    drawn[2:5, 14:16, 6:8] = 4
    drawn[2:5, 14:16, 15:17] = 5
    return drawn


CODES = codes()
WHOLE_LIVER = np.isin(CODES, (1, 2)).astype(np.uint8)


def scan(seed: int, modality: str = "CT") -> np.ndarray:
    """int16 [k, j, i]: a body in air, lungs above the liver, noise of its own for each seed."""
    rng = np.random.default_rng(seed)
    table = HU if modality == "CT" else MR
    grey = np.vectorize(table.__getitem__)(CODES) + rng.normal(0, 4, CODES.shape)
    k, j, i = np.indices(CODES.shape)
    body = ((i - 11.5) / 11) ** 2 + ((j - 9.5) / 9) ** 2 <= 1
    lungs = (k >= 11) & ((i - 11.5) ** 2 + (j - 9.5) ** 2 <= 30) & (CODES == 0)
    air = -1000 if modality == "CT" else 2
    return np.where(body & ~lungs, grey, air + rng.integers(-2, 3, CODES.shape)).astype(np.int16)


def valued(values: Mapping[int, int]) -> np.ndarray:
    """CODES in the values of a data set: code -> value; what it does not draw is 0."""
    table = np.zeros(256, np.uint8)
    for code, value in values.items():
        table[code] = value
    return table[CODES]


def turned(voxels: np.ndarray) -> np.ndarray:
    """The same voxels as they are stored on RAS."""
    return np.ascontiguousarray(voxels[:, ::-1, ::-1])


def copied(build: Callable[..., Path]) -> Callable[..., Path]:
    """Built once a session for the same arguments, copied afterwards: writing DICOM takes longer than all else here."""
    made: dict[str, tempfile.TemporaryDirectory[str]] = {}

    @wraps(build)
    def place(folder: Path, *arguments: Any, **options: Any) -> Path:
        key = repr((arguments, sorted(options.items())))
        if key not in made:
            made[key] = tempfile.TemporaryDirectory(prefix="liverseg-layout-")
            build(Path(made[key].name), *arguments, **options)
        shutil.copytree(made[key].name, folder, dirs_exist_ok=True)
        return folder

    return place


def dies_of_one(case: Any) -> str:
    """The work of a process that ends in the middle of case-1."""
    if case.id == "case-1":
        os._exit(9)
    return str(case.id)


def save(path: Path, voxels: np.ndarray, grid: Grid = GRID) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(as_image(voxels, grid), str(path))
    return path


def picture(path: Path, plane: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(plane), str(path))


def on_truth(voxels: np.ndarray, grid: Grid) -> np.ndarray:
    """Voxels of any orientation on GRID."""
    return resampled(voxels, grid, GRID, nearest=True)


def lits(folder: Path, numbers: tuple[int, ...] = (0, 1), suffix: str = ".nii") -> Path:
    for n in numbers:
        place = folder / ("Training Batch 1" if n < 28 else "Training Batch 2")
        save(place / f"volume-{n}{suffix}", scan(n))
        save(place / f"segmentation-{n}{suffix}", valued({1: 1, 2: 2}))
    return folder


def decathlon(folder: Path, name: str, values: Mapping[int, int], numbers: tuple[str, ...] = ("0", "12")) -> Path:
    for n in numbers:
        save(folder / "imagesTr" / f"{name}_{n}.nii.gz", scan(int(n)))
        save(folder / "labelsTr" / f"{name}_{n}.nii.gz", valued(values))
    save(folder / "imagesTs" / f"{name}_99.nii.gz", scan(99))
    return folder


@copied
def ircadb(
    folder: Path, patient: int = 1, structures: tuple[str, ...] = ("livertumor",), *, zipped: bool = False
) -> Path:
    """Slices image_0 ... without an extension; tumours by their folders' names, half of the lesion each where there are two."""
    place = folder / "3Dircadb1" / f"3Dircadb1.{patient}"
    write_series(place / "PATIENT_DICOM", (scan(patient) + 1024).astype(np.uint16), GRID, name=lambda k: f"image_{k}")
    drawn = {"liver": WHOLE_LIVER, "rightkidney": CODES == 4, "portalvein": CODES == 1, "bone": CODES == 0}
    parts = np.array_split(np.flatnonzero(CODES == 2), max(1, len(structures)))
    for name, part in zip(structures, parts):
        drawn[name] = np.zeros(CODES.shape, bool)
        drawn[name].flat[part] = True
    for name, mask in drawn.items():
        write_series(
            place / "MASKS_DICOM" / name, mask.astype(np.uint16) * 255, GRID, modality="MR", name=lambda k: f"image_{k}"
        )
    if zipped:
        for part in ("PATIENT_DICOM", "MASKS_DICOM"):
            packed(place / part, place)
    return folder


def packed(place: Path, into: Path) -> None:
    """A folder as a zip file of its name, and the folder gone."""
    with zipfile.ZipFile(into / f"{place.name}.zip", "w") as archive:
        for file in sorted(place.rglob("*"), reverse=True):
            if file.is_file():
                archive.write(file, file.relative_to(place.parent))
                file.unlink()
    for sub in sorted((p for p in place.rglob("*") if p.is_dir()), reverse=True):
        sub.rmdir()
    place.rmdir()


@copied
def chaos_ct(folder: Path, key: str = "5", name: str = "i{:04d},0000b.dcm") -> Path:
    """The files run from head to feet, and the pictures with them: against the positions."""
    place = folder / "Train_Sets" / "CT" / key
    stored = (scan(5) + 1024).astype(np.uint16)
    write_series(place / "DICOM_anon", stored, GRID, name=lambda k: name.format(SLICES - 1 - k))
    for k in range(SLICES):
        picture(place / "Ground" / f"liver_GT_{SLICES - 1 - k:03d}.png", (WHOLE_LIVER[k] * 255).astype(np.uint8))
    return folder


CHAOS_GREY = {1: 63, 2: 63, 3: 252, 4: 126, 5: 189}


@copied
def chaos_mr(folder: Path, key: str = "1", *, together: bool = False) -> Path:
    """T1 dual echo and T2-SPIR; pictures of T1 are called as the in-phase slices, which are the even ones."""
    place = folder / "Train_Sets" / "MR" / key
    t1 = place / "T1DUAL"
    for n, (echo, echo_ms) in enumerate((("InPhase", 4.6), ("OutPhase", 2.3))):
        where = t1 / "DICOM_anon" if together else t1 / "DICOM_anon" / echo
        write_series(
            where, scan(10 + n, "MR").astype(np.uint16), GRID, modality="MR", EchoTime=echo_ms,
            name=lambda k, n=n: f"IMG-0004-{2 * k + 2 - n:05d}.dcm",
        )  # fmt: skip
    write_series(
        place / "T2SPIR" / "DICOM_anon", scan(12, "MR").astype(np.uint16), GRID, modality="MR",
        name=lambda k: f"IMG-0007-{k + 1:05d}.dcm",
    )  # fmt: skip
    for k, plane in enumerate(valued(CHAOS_GREY)):
        picture(t1 / "Ground" / f"IMG-0004-{2 * k + 2:05d}.png", plane)
        picture(place / "T2SPIR" / "Ground" / f"IMG-0007-{k + 1:05d}.png", plane)
    return folder


@copied
def dlds(folder: Path, *, doubled: bool = False, level: int = 1, mark: str = "\ufeff") -> Path:
    root = folder / "Segmentation" / "Segmentation" if doubled else folder / "Segmentation"
    for patient, series in (("0001", "4"), ("0001", "15"), ("0002", "3")):
        grey = scan(int(patient) * 20 + int(series), "MR").astype(np.uint16)
        write_series(root / patient / series / "images", grey, GRID, modality="MR", name=lambda k: f"{k:04d}.dicom")
        write_series(
            root / patient / series / "masks", (WHOLE_LIVER * level).astype(np.uint16), GRID, modality="MR",
            name=lambda k: f"{k:04d}.dicom",
        )  # fmt: skip
    rows = "DLDS,Series,Label\n1,4,B\n1,15,K\n2,3,H\n"
    (folder / "SegmentationKey.csv").write_text(mark + rows, encoding="utf-8")
    return folder


def cirrmri(folder: Path, value: int = 1) -> Path:
    for seed, (where, key) in enumerate(
        (("Cirrhosis_T1_3D/train", "7"), ("Cirrhosis_T1_3D/valid", "8"), ("Cirrhosis_T2_3D/train", "9"))
    ):
        save(folder / f"{where}_images" / f"{key}.nii.gz", scan(30 + seed, "MR"))
        save(folder / f"{where}_masks" / f"{key}.nii.gz", WHOLE_LIVER * np.uint8(value))
    healthy = folder / "Healthy_subjects" / "T1_W_Healthy"
    save(healthy / "T1_images" / "7.nii.gz", scan(35, "MR"))
    save(healthy / "T1_masks" / "7.nii.gz", WHOLE_LIVER)
    return folder


def atlas(folder: Path, numbers: tuple[str, ...] = ("0", "10"), image: str = "im{}") -> Path:
    for n in numbers:
        save(folder / "train" / "imagesTr" / f"{image.format(n)}.nii.gz", scan(40 + int(n), "MR"))
        save(folder / "train" / "labelsTr" / f"lb{n}.nii.gz", valued({1: 1, 2: 2}))
    return folder


def care(folder: Path, vendor: str = "Vendor_B1") -> Path:
    for seed, key in enumerate(("1075-B1-S4", "1076-B1-S1")):
        for phase in ("GED1", "GED4", "T1"):
            save(folder / vendor / key / f"{phase}.nii.gz", scan(60 + 5 * seed + len(phase), "MR"))
    save(folder / vendor / "1075-B1-S4" / "mask_GED4.nii.gz", WHOLE_LIVER)
    return folder


AMOS = {1: 6, 2: 6, 3: 1, 4: 2, 5: 3}
BTCV = {1: 6, 2: 6, 3: 1, 4: 2, 5: 3}


def amos(folder: Path) -> Path:
    for where, key, modality in (("Tr", "0004", "CT"), ("Tr", "0507", "MR"), ("Va", "0013", "CT")):
        save(folder / "amos22" / f"images{where}" / f"amos_{key}.nii.gz", scan(int(key), modality))
        save(folder / "amos22" / f"labels{where}" / f"amos_{key}.nii.gz", valued(AMOS))
    save(folder / "amos22" / "imagesTs" / "amos_0020.nii.gz", scan(20))
    return folder


def btcv(folder: Path) -> Path:
    for key in ("0001", "0021"):
        save(folder / "RawData" / "Training" / "img" / f"img{key}.nii.gz", scan(70 + int(key)))
        drawn = valued(BTCV)
        drawn[4:6, 10, 11:13], drawn[4:6, 11, 11:13] = 11, 10  # pancreas and portal vein
        save(folder / "RawData" / "Training" / "label" / f"label{key}.nii.gz", drawn)
    save(folder / "RawData" / "Testing" / "img" / "img0061.nii.gz", scan(61))
    return folder


def totalsegmentator(folder: Path, modality: str = "CT") -> Path:
    """Subject s0002 shows no liver."""
    for n in range(3):
        place = folder / f"s{n:04d}"
        save(place / ("ct.nii.gz" if modality == "CT" else "mri.nii.gz"), scan(80 + n, modality))
        drawn = {
            "liver": WHOLE_LIVER * (n < 2),
            "spleen": CODES == 3,
            "kidney_right": CODES == 4,
            "humerus_left": CODES == 5,
        }
        for name, mask in drawn.items():
            save(place / "segmentations" / f"{name}.nii.gz", mask.astype(np.uint8))
    (folder / "meta.csv").write_text(
        "image_id;age;split\ns0000;50;train\ns0001;60;val\ns0002;70;test\n", encoding="utf-8"
    )
    return folder


def nnunet(folder: Path, labels: Mapping[str, object] | None = None, **told: object) -> Path:
    root = folder / "Dataset101_Liver"
    named = labels or {"background": 0, "spleen": 1, "liver": 2, "tumor": 3}
    for n in range(2):
        for channel in range(len(told.get("channel_names", "1"))):  # type: ignore[arg-type]
            save(root / "imagesTr" / f"case_{n}_{channel:04d}.nii.gz", scan(90 + 10 * n + channel))
        save(root / "labelsTr" / f"case_{n}.nii.gz", valued({3: 1, 1: 2, 2: 3}))
    described = {"channel_names": {"0": "CT"}, "labels": named, "numTraining": 2, "file_ending": ".nii.gz", **told}
    (root / "dataset.json").write_text(json.dumps(described))
    return folder


def bids(folder: Path, label: str = "sub-01_T1w_dseg") -> Path:
    save(folder / "sub-01" / "anat" / "sub-01_T1w.nii.gz", scan(110, "MR"))
    save(folder / "sub-02" / "anat" / "sub-02_ce-gd_T1w.nii.gz", scan(111, "MR"))
    root = folder / "derivatives" / "manual_masks"
    save(root / "sub-01" / "anat" / f"{label}.nii.gz", valued({1: 5, 2: 5, 3: 1}))
    save(root / "sub-02" / "anat" / "sub-02_ce-gd_label-liver_mask.nii.gz", WHOLE_LIVER)
    (root / "dseg.tsv").write_text("index\tname\n1\tSpleen\n5\tLiver\n")
    return folder


def own(folder: Path, facts: str = "meta.json") -> Path:
    for n in range(2):
        place = folder / "cases" / f"case-{n}"
        save(place / "image.nii.gz", scan(120 + n))
        save(place / "labels.nii.gz", CODES)
        told: dict[str, object] = {"phase": "ct_portal", "annotated": [1, 2, 3, 4, 5]}
        if facts == "meta.json":
            told = {"modality": "CT", "phase": "portal venous", "labels_ml": {str(c): 1 for c in range(1, 6)}}
        (place / facts).write_text(json.dumps(told))
    return folder
