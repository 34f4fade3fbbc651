"""Every layout on a tiny folder, with every known trap: the reader sees through it, or says no in a sentence."""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import layout_folders as tiny
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import write_series
from liverseg_core.errors import InputError
from liverseg_core.geometry import Grid
from liverseg_core.phases import PHASES
from liverseg_training.cache import cached
from liverseg_training.cases import Case
from liverseg_training.experiment import Experiment, experiment_from
from liverseg_training.fit import cached_sides
from liverseg_training.layouts import cases_below, layout_named, names
from liverseg_training.layouts._layout import UnfitError
from liverseg_training.sections import Data, Split
from liverseg_training.splits import split_cases

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Build = Callable[[Path], object]


def both(*steps: Build) -> Build:
    def build(folder: Path) -> None:
        for step in steps:
            step(folder)

    return build


def move(source: str, target: str) -> Build:
    def build(folder: Path) -> None:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / source, folder / target)

    return build


def copy(source: str, target: str) -> Build:
    return lambda folder: shutil.copytree(folder / source, folder / target)


def remove(path: str) -> Build:
    return lambda folder: shutil.rmtree(folder / path) if (folder / path).is_dir() else (folder / path).unlink()


def write(path: str, voxels: np.ndarray, grid: Grid = tiny.GRID) -> Build:
    return lambda folder: tiny.save(folder / path, voxels, grid)


def text(path: str, content: str) -> Build:
    def build(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")

    return build


def merged(*codes: int) -> np.ndarray:
    """The anatomy as a data set tells it that draws these codes alone; without lesions they are liver."""
    drawn = np.where(tiny.CODES == 2, 1, tiny.CODES) if 2 not in codes else tiny.CODES
    return np.where(np.isin(drawn, codes), drawn, 0)


PAGES = Path(__file__).resolve().parents[2] / "LiverSegTraining" / "datasets"
LIVER, WITH_LESIONS, ORGANS, ALL = merged(1), merged(1, 2), merged(1, 3, 4, 5), tiny.CODES
CT_SERIES = "Train_Sets/CT/5/DICOM_anon"
CHAOS_T1 = "Train_Sets/MR/1/T1DUAL"


@dataclass(frozen=True)
class Right:
    """A case that is read right: what it is, and where its anatomy is."""

    id: str
    truth: np.ndarray
    phase: str
    annotated: tuple[int, ...]
    patient: str = ""
    part: str = ""
    image: np.ndarray | None = None


SOUND: dict[str, tuple[Build, tuple[Right, ...]]] = {
    "lits": (tiny.lits, tuple(Right(f"lits_{n}", WITH_LESIONS, "ct_unknown", (1, 2), image=tiny.scan(n)) for n in (0, 1))),
    "msd_liver": (
        lambda f: tiny.decathlon(f / "Task03_Liver", "liver", {1: 1, 2: 2}),
        (Right("msd_liver_0", WITH_LESIONS, "ct_unknown", (1, 2), image=tiny.scan(0)),
         Right("msd_liver_12", WITH_LESIONS, "ct_unknown", (1, 2), image=tiny.scan(12))),
    ),
    "msd_hepatic_vessel": (
        lambda f: tiny.decathlon(f / "Task08_HepaticVessel", "hepaticvessel", {3: 1, 2: 2}, ("001", "008")),
        tuple(Right(f"msd_hepatic_vessel_{n}", merged(2), "ct_portal", (2,), part="training") for n in ("001", "008")),
    ),
    "ircadb": (tiny.ircadb, (Right("ircadb_01", merged(1, 2, 4), "ct_unknown", (1, 2, 4), image=tiny.scan(1)),)),
    "chaos": (
        both(tiny.chaos_ct, tiny.chaos_mr),
        (Right("chaos_ct_5", LIVER, "ct_portal", (1,), "chaos_ct_5", image=tiny.scan(5)),
         Right("chaos_mr_1_t1in", ORGANS, "mr_t1_in", (1, 3, 4, 5), "chaos_mr_1", image=tiny.scan(10, "MR")),
         Right("chaos_mr_1_t1out", ORGANS, "mr_t1_opposed", (1, 3, 4, 5), "chaos_mr_1", image=tiny.scan(11, "MR")),
         Right("chaos_mr_1_t2spir", ORGANS, "mr_t2fs", (1, 3, 4, 5), "chaos_mr_1", image=tiny.scan(12, "MR"))),
    ),
    "dlds": (
        tiny.dlds,
        (Right("dlds_0001_4", LIVER, "mr_t1_native", (1,), "dlds_0001", image=tiny.scan(24, "MR")),
         Right("dlds_0001_15", LIVER, "mr_t1_portal", (1,), "dlds_0001"),
         Right("dlds_0002_3", LIVER, "mr_t1_opposed", (1,), "dlds_0002")),
    ),
    "cirrmri600": (
        tiny.cirrmri,
        (Right("cirrmri600_t1_7", LIVER, "mr_t1_portal", (1,), "cirrmri600_7", "training"),
         Right("cirrmri600_t1_8", LIVER, "mr_t1_portal", (1,), "cirrmri600_8", "validation"),
         Right("cirrmri600_t2_9", LIVER, "mr_t2", (1,), "cirrmri600_9", "training"),
         Right("cirrmri600_healthy_t1_7", LIVER, "mr_t1_portal", (1,), "cirrmri600_healthy_7")),
    ),
    "atlas": (tiny.atlas, tuple(Right(f"atlas_{n}", WITH_LESIONS, "mr_unknown", (1, 2), image=tiny.scan(40 + n, "MR")) for n in (0, 10))),
    "care_liver": (tiny.care, (Right("care_liver_1075-B1-S4", LIVER, "mr_t1_hbp", (1,), "care_liver_1075-B1", image=tiny.scan(64, "MR")),)),
    "amos": (
        tiny.amos,
        (Right("amos_0004", ORGANS, "ct_unknown", (1, *range(3, 10), 11, 12, 13), part="training"),
         Right("amos_0507", ORGANS, "mr_unknown", (1, *range(3, 10), 11, 12, 13), part="training"),
         Right("amos_0013", ORGANS, "ct_unknown", (1, *range(3, 10), 11, 12, 13), part="validation")),
    ),
    "btcv": (tiny.btcv, tuple(Right(f"btcv_{n}", ORGANS, "ct_portal", (1, *range(3, 14)), part="training") for n in ("0001", "0021"))),
    "totalsegmentator_ct": (
        tiny.totalsegmentator,
        (Right("totalsegmentator_ct_s0000", merged(1, 3, 4), "ct_unknown", (1, 3, 4), part="training"),
         Right("totalsegmentator_ct_s0001", merged(1, 3, 4), "ct_unknown", (1, 3, 4), part="validation")),
    ),
    "totalsegmentator_mr": (
        lambda f: tiny.totalsegmentator(f, "MR"),
        (Right("totalsegmentator_mr_s0000", merged(1, 3, 4), "mr_unknown", (1, 3, 4), part="training"),
         Right("totalsegmentator_mr_s0001", merged(1, 3, 4), "mr_unknown", (1, 3, 4), part="validation")),
    ),
    "nnunet": (tiny.nnunet, tuple(Right(f"case_{n}", merged(1, 2, 3), "ct_unknown", (1, 2, 3), part="training") for n in (0, 1))),
    "bids": (
        tiny.bids,
        (Right("sub-01_T1w", merged(1, 3), "mr_t1_native", (1, 3), "sub-01"),
         Right("sub-02_ce-gd_T1w", LIVER, "mr_unknown", (1,), "sub-02")),
    ),
    "liverseg": (lambda f: tiny.own(f, "case.json"), tuple(Right(f"case-{n}", ALL, "ct_portal", (1, 2, 3, 4, 5)) for n in (0, 1))),
    "cases": (tiny.own, tuple(Right(f"case-{n}", ALL, "ct_portal", (1, 2, 3, 4, 5)) for n in (0, 1))),
}  # fmt: skip


def pick(layout: str, *ids: str, **changes: object) -> tuple[Right, ...]:
    """Those of the sound folder, some of them changed."""
    return tuple(replace(right, **changes) for right in SOUND[layout][1] if not ids or right.id in ids)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Trap:
    """A folder as somebody has it. Either cases that are read right all the same (and are all there are, with `only`), or
    the case that is refused, the kind, and words of the sentence."""

    layout: str
    name: str
    build: Build
    seen: tuple[Right, ...] = ()
    refused: tuple[str, str, str] = ("", "", "")  # id, kind, words
    notice: str = ""  # what the reader says about it
    only: bool = True


LITS, MSD = SOUND["lits"][0], SOUND["msd_liver"][0]
IDENTITY = Grid(tiny.GRID.size)
_HUGE = Grid((512, 512, 3))
TRAPS = (
    Trap("lits", "labels with an identity affine", both(LITS, write("Training Batch 1/segmentation-1.nii", tiny.valued({1: 1, 2: 2}), IDENTITY)), pick("lits"), notice="label_geometry"),
    Trap("lits", "volumes stored the other way round", both(LITS, write("Training Batch 1/volume-1.nii", tiny.turned(tiny.scan(1)), tiny.RAS), write("Training Batch 1/segmentation-1.nii", tiny.turned(tiny.valued({1: 1, 2: 2})), tiny.RAS)), pick("lits")),
    Trap("lits", "volumes with an identity affine", both(lambda f: tiny.lits(f, (28,)), write("Training Batch 2/volume-28.nii", np.arange(3 * 512 * 512, dtype=np.int16).reshape(3, 512, 512) % 999 - 500, _HUGE), write("Training Batch 2/segmentation-28.nii", np.ones((3, 512, 512), np.uint8), _HUGE)), notice="identity_affine"),
    Trap("lits", "a mirror with other folders, zipped files", both(lambda f: tiny.lits(f, suffix=".nii.gz"), move("Training Batch 1/volume-0.nii.gz", "volume_pt1/volume-0.nii.gz"), move("Training Batch 1/segmentation-0.nii.gz", "segmentations/segmentation-0.nii.gz")), pick("lits")),
    Trap("lits", "test scans beside the training scans", both(LITS, write("LITS-Challenge-Test-Data/test-volume-0.nii", tiny.scan(50))), pick("lits")),
    Trap("lits", "masks in double precision", both(LITS, write("Training Batch 1/segmentation-0.nii", tiny.valued({1: 1, 2: 2}).astype(float))), pick("lits")),
    Trap("lits", "masks that were interpolated", both(LITS, write("Training Batch 1/segmentation-0.nii", tiny.valued({1: 1, 2: 2}) * 0.5)), refused=("lits_0", "labels_outside_map", "holds the values 0.5")),
    Trap("lits", "padding below air", both(LITS, write("Training Batch 1/volume-0.nii", np.where(tiny.scan(0) < -990, -3024, tiny.scan(0)).astype(np.int16))), pick("lits", "lits_0", image=None), only=False),
    Trap("lits", "the folder doubled after unpacking", lambda f: tiny.lits(f / "LiTS" / "LiTS"), pick("lits")),
    Trap("lits", "a batch unpacked twice", both(LITS, copy("Training Batch 1", "Training Batch 1/Training Batch 1")), refused=("lits_0", "case_twice", "is there twice")),
    Trap("lits", "a missing mask", both(LITS, remove("Training Batch 1/segmentation-1.nii")), refused=("lits_1", "labels_missing", "has no labels; unpack")),
    Trap("lits", "a mask without its volume", both(LITS, remove("Training Batch 1/volume-1.nii")), refused=("lits_1", "image_missing", "has no image")),
    Trap("lits", "a mask of another size", both(LITS, write("Training Batch 1/segmentation-1.nii", np.ones((3, 4, 5), np.uint8), Grid((5, 4, 3)))), refused=("lits_1", "grids_differ", "does not lie on the grid")),
    Trap("msd_liver", "litter of a file manager", both(MSD, text("Task03_Liver/imagesTr/._liver_0.nii.gz", "Mac"), text("__MACOSX/Task03_Liver/labelsTr/liver_5.nii.gz", "Mac")), pick("msd_liver")),
    Trap("msd_liver", "labels with an identity affine", both(MSD, write("Task03_Liver/labelsTr/liver_12.nii.gz", tiny.valued({1: 1, 2: 2}), IDENTITY)), pick("msd_liver"), notice="label_geometry"),
    Trap("msd_hepatic_vessel", "no liver among its labels, which others drew", both(SOUND["msd_hepatic_vessel"][0], write("liver_annotation/hepaticvessel_001.nii.gz", tiny.WHOLE_LIVER)), (Right("msd_hepatic_vessel_001", WITH_LESIONS, "ct_portal", (1, 2)), Right("msd_hepatic_vessel_008", merged(2), "ct_portal", (2,)))),
    Trap("ircadb", "zip files instead of folders", lambda f: tiny.ircadb(f, zipped=True), pick("ircadb")),
    Trap("ircadb", "a doubled folder of slices", both(tiny.ircadb, move("3Dircadb1/3Dircadb1.1/PATIENT_DICOM", "x/PATIENT_DICOM"), move("x/PATIENT_DICOM", "3Dircadb1/3Dircadb1.1/PATIENT_DICOM/PATIENT_DICOM")), pick("ircadb")),
    Trap("ircadb", "adrenal tumours are no liver tumours", lambda f: tiny.ircadb(f, 7, ("tumor",)), (Right("ircadb_07", merged(1, 4), "ct_unknown", (1, 2, 4)),)),
    Trap("ircadb", "nor on both sides", lambda f: tiny.ircadb(f, 5, ("leftsurretumor", "rightsurretumor")), (Right("ircadb_05", merged(1, 4), "ct_unknown", (1, 2, 4)),)),
    Trap("ircadb", "one folder a tumour", lambda f: tiny.ircadb(f, 1, ("livertumor01", "livertumor02", "livertumor03")), pick("ircadb")),
    Trap("ircadb", "livertumors in the plural, a cyst beside", both(lambda f: tiny.ircadb(f, 1, ("livertumors",)), copy("3Dircadb1/3Dircadb1.1/MASKS_DICOM/rightkidney", "3Dircadb1/3Dircadb1.1/MASKS_DICOM/livercyst")), pick("ircadb")),
    Trap("ircadb", "a mask slice is missing", both(tiny.ircadb, remove("3Dircadb1/3Dircadb1.1/MASKS_DICOM/liver/image_10")), refused=("ircadb_01", "slices_unpaired", "11 masks for 12 slices")),
    Trap("ircadb", "no liver among the masks", both(tiny.ircadb, remove("3Dircadb1/3Dircadb1.1/MASKS_DICOM/liver")), refused=("ircadb_01", "labels_missing", "no MASKS_DICOM/liver")),
    Trap("ircadb", "a damaged zip file", both(lambda f: tiny.ircadb(f, zipped=True), text("3Dircadb1/3Dircadb1.1/PATIENT_DICOM.zip", "PK not")), refused=("ircadb_01", "unreadable", "is damaged")),
    Trap("chaos", "one UID a slice, or none", both(tiny.chaos_ct, lambda f: _uids(f / CT_SERIES)), pick("chaos", "chaos_ct_5")),
    Trap("chaos", "CT slices of another name", lambda f: tiny.chaos_ct(f, name="IMG-0002-{:05d}.dcm"), pick("chaos", "chaos_ct_5")),
    Trap("chaos", "CT slices numbered without zeros", lambda f: tiny.chaos_ct(f, name="IMG-{}.dcm"), pick("chaos", "chaos_ct_5")),
    Trap("chaos", "both echoes in one folder", lambda f: tiny.chaos_mr(f, together=True), pick("chaos", "chaos_mr_1_t1in", "chaos_mr_1_t1out", "chaos_mr_1_t2spir")),
    Trap("chaos", "a value of the first release that is no organ", both(tiny.chaos_mr, lambda f: _marked(f / CHAOS_T1 / "Ground", 32)), pick("chaos", "chaos_mr_1_t1in", "chaos_mr_1_t1out", "chaos_mr_1_t2spir")),
    Trap("chaos", "a grey value that means nothing", both(tiny.chaos_mr, lambda f: _marked(f / CHAOS_T1 / "Ground", 90)), refused=("chaos_mr_1_t1in", "labels_outside_map", "holds the values 90")),
    Trap("chaos", "the outer folder of the archive", lambda f: tiny.chaos_ct(f / "CHAOS_Train_Sets"), pick("chaos", "chaos_ct_5")),
    Trap("chaos", "test sets without masks", both(tiny.chaos_ct, copy("Train_Sets/CT/5/DICOM_anon", "Test_Sets/CT/3/DICOM_anon")), pick("chaos", "chaos_ct_5")),
    Trap("chaos", "training slices without masks", both(tiny.chaos_ct, remove("Train_Sets/CT/5/Ground")), refused=("chaos_ct_5", "labels_missing", "Ground is missing")),
    Trap("chaos", "a picture is missing", both(tiny.chaos_ct, remove("Train_Sets/CT/5/Ground/liver_GT_003.png")), refused=("chaos_ct_5", "slices_unpaired", "11 masks for 12 slices")),
    Trap("chaos", "a picture that cannot be read", both(tiny.chaos_ct, text("Train_Sets/CT/5/Ground/liver_GT_003.png", "no picture")), refused=("chaos_ct_5", "unreadable", "not a PNG picture or is damaged")),
    Trap("chaos", "slices that say they are the same", both(tiny.chaos_ct, lambda f: _uids(f / CT_SERIES, SOPInstanceUID="1.2.3")), refused=("chaos_ct_5", "slices_repeated", "repeat others")),
    Trap("dlds", "a doubled folder", lambda f: tiny.dlds(f, doubled=True), pick("dlds")),
    Trap("dlds", "the key without a byte-order mark", lambda f: tiny.dlds(f, mark=""), pick("dlds")),
    Trap("dlds", "masks whose level is 255", lambda f: tiny.dlds(f, level=255), pick("dlds")),
    Trap("dlds", "masks with a third level", both(tiny.dlds, lambda f: _third(f / "Segmentation/0002/3/masks")), refused=("dlds_0002_3", "labels_outside_map", "0 and one other")),
    Trap("dlds", "no masks", both(tiny.dlds, remove("Segmentation/0002/3/masks")), refused=("dlds_0002_3", "labels_missing", "masks is missing")),
    Trap("dlds", "series for classification, which have no masks", both(tiny.dlds, copy("Segmentation/0002/3/images", "Series_Classification/0002/9")), pick("dlds")),
    Trap("cirrmri600", "archives that nest their own name", both(tiny.cirrmri, move("Cirrhosis_T1_3D", "x"), move("x", "Cirrhosis_T1_3D/Cirrhosis_T1_3D")), pick("cirrmri600")),
    Trap("cirrmri600", "masks whose level is 255", lambda f: tiny.cirrmri(f, 255), pick("cirrmri600")),
    Trap("cirrmri600", "slices of the 2-D archive", both(tiny.cirrmri, write("Cirrhosis_T2_2D/Cirrhosis_T2_2D/train/train_images/5.nii.gz", tiny.scan(1))), pick("cirrmri600")),
    Trap("cirrmri600", "a mask with another header", both(tiny.cirrmri, write("Cirrhosis_T1_3D/valid_masks/8.nii.gz", tiny.WHOLE_LIVER, IDENTITY)), refused=("cirrmri600_t1_8", "grids_differ", "does not lie on the grid")),
    Trap("atlas", "images padded and labels not", lambda f: tiny.atlas(f, ("4", "5"), "im{:0>2}"), (Right("atlas_04", WITH_LESIONS, "mr_unknown", (1, 2)), Right("atlas_05", WITH_LESIONS, "mr_unknown", (1, 2)))),
    Trap("care_liver", "vendors without the underscore", lambda f: tiny.care(f, "Data/VendorB1"), pick("care_liver")),
    Trap("care_liver", "masks that a team registered", both(tiny.care, write("Vendor_B1/1076-B1-S1/mask_GED4_registered_to_T1.nii.gz", tiny.WHOLE_LIVER)), pick("care_liver")),
    Trap("amos", "labels of the test scans", both(tiny.amos, write("amos22/labelsTs/amos_0020.nii.gz", tiny.valued(tiny.AMOS))), (*pick("amos"), Right("amos_0020", ORGANS, "ct_unknown", (1, *range(3, 10), 11, 12, 13), part="test"))),
    Trap("btcv", "labels in the order of another data set", both(tiny.btcv, write("RawData/Training/label/label0001.nii.gz", tiny.valued({1: 6, 3: 14}))), refused=("btcv_0001", "labels_outside_map", "holds the values 14")),
    Trap("totalsegmentator_ct", "no table of the split", both(tiny.totalsegmentator, remove("meta.csv")), pick("totalsegmentator_ct", part="")),
    Trap("totalsegmentator_ct", "a split of other names, by commas", both(tiny.totalsegmentator, text("meta.csv", "\ufeffimage_id,split\ns0000,paediatric\ns0001,test\n")), (pick("totalsegmentator_ct", "totalsegmentator_ct_s0000", part="")[0], pick("totalsegmentator_ct", "totalsegmentator_ct_s0001", part="test")[0])),
    Trap("totalsegmentator_mr", "fewer structures", both(lambda f: tiny.totalsegmentator(f, "MR"), remove("s0001/segmentations/spleen.nii.gz")), (pick("totalsegmentator_mr")[0], Right("totalsegmentator_mr_s0001", merged(1, 4), "mr_unknown", (1, 4)))),
    Trap("nnunet", "version 1", both(lambda f: tiny.nnunet(f, {"0": "background", "1": "spleen", "2": "Liver", "3": "cancer"}, modality={"0": "CT"}), move("Dataset101_Liver", "Task101_Liver")), pick("nnunet")),
    Trap("nnunet", "regions", lambda f: tiny.nnunet(f, {"background": 0, "spleen": 1, "whole_liver": [2, 3], "lesion": 3}), pick("nnunet")),
    Trap("nnunet", "several channels", lambda f: tiny.nnunet(f, None, channel_names={"0": "mr_t1_portal", "1": "mr_t2"}), (*(Right(f"case_{n}_0000", merged(1, 2, 3), "mr_t1_portal", (1, 2, 3), f"case_{n}") for n in (0, 1)), *(Right(f"case_{n}_0001", merged(1, 2, 3), "mr_t2", (1, 2, 3), f"case_{n}") for n in (0, 1)))),
    Trap("nnunet", "a value that dataset.json does not name", lambda f: tiny.nnunet(f, {"background": 0, "spleen": 1, "liver": 2}), refused=("case_0", "labels_outside_map", "holds the values 3")),
    Trap("nnunet", "a label file is missing", both(tiny.nnunet, remove("Dataset101_Liver/labelsTr/case_1.nii.gz")), refused=("case_1", "labels_missing", "is missing")),
    Trap("bids", "two images of the same entities", both(tiny.bids, write("sub-01/anat/sub-01_T2w.nii.gz", tiny.scan(112, "MR")), move("derivatives/manual_masks/sub-01/anat/sub-01_T1w_dseg.nii.gz", "derivatives/manual_masks/sub-01/anat/sub-01_dseg.nii.gz")), refused=("sub-01", "image_ambiguous", "may belong to")),
    Trap("bids", "the suffix tells them apart", both(tiny.bids, write("sub-01/anat/sub-01_T2w.nii.gz", tiny.scan(112, "MR"))), pick("bids")),
    Trap("bids", "a mask of something else", both(tiny.bids, write("derivatives/manual_masks/sub-02/anat/sub-02_ce-gd_label-uterus_mask.nii.gz", tiny.WHOLE_LIVER)), refused=("sub-02_ce-gd_T1w", "label_unknown", "'uterus'")),
    Trap("bids", "a mask without an image", both(tiny.bids, remove("sub-01")), refused=("sub-01_T1w", "image_missing", "has no image")),
    Trap("liverseg", "a broken case.json", both(lambda f: tiny.own(f, "case.json"), text("cases/case-1/case.json", "{")), refused=("case-1", "facts_unreadable", "cannot be read as JSON")),
    Trap("cases", "a meta.json without a modality", both(tiny.own, text("cases/case-1/meta.json", "{}")), refused=("case-1", "facts_unreadable", "expected modality")),
    Trap("cases", "a split that names nobody", both(tiny.own, text("split.json", '{"validation": ["case-9"]}')), refused=("case-9", "split_names_nobody", "no case is called so")),
)  # fmt: skip


def _uids(folder: Path, **tags: object) -> None:
    """Each slice in a series of its own; every other one in none."""
    import pydicom

    for n, file in enumerate(sorted(folder.iterdir())):
        dataset = pydicom.dcmread(file)
        dataset.SeriesInstanceUID = f"1.2.826.{n}"
        if n % 2:
            del dataset.SeriesInstanceUID
        for name, value in tags.items():
            setattr(dataset, name, value)
        dataset.save_as(file)


def _marked(ground: Path, value: int) -> None:
    """A few pixels of a value in one picture, where nothing is drawn."""
    file = sorted(ground.iterdir())[0]
    plane = sitk.GetArrayFromImage(sitk.ReadImage(str(file)))
    plane[:2, :2] = value
    tiny.picture(file, plane)


def _third(folder: Path) -> None:
    shutil.rmtree(folder)
    drawn = (tiny.WHOLE_LIVER + (tiny.CODES == 3) * 2).astype(np.uint16)
    write_series(folder, drawn, tiny.GRID, modality="MR", name=lambda k: f"{k:04d}.dicom")


def assert_right(case: Case, right: Right) -> None:
    assert (case.phase, case.annotated) == (right.phase, right.annotated)
    assert case.phase in PHASES
    assert right.patient in ("", case.patient)
    assert right.part in ("", case.part)
    scan, mask = case.read()
    drawn = tiny.on_truth(mask.voxels, mask.grid)
    np.testing.assert_array_equal(np.where(np.isin(drawn, (10, 11)), 0, drawn), right.truth)
    assert mask.grid.matches(scan.grid)
    if right.image is not None:
        np.testing.assert_array_equal(tiny.on_truth(scan.voxels, scan.grid), right.image)
    assert case.files()
    assert case.reader is None or case.reader.recipe


@pytest.mark.parametrize("layout", names())
def test_every_layout_reads_its_documented_form(layout: str, tmp_path: Path) -> None:
    build, wanted = SOUND[layout]
    build(tmp_path)
    cases = {case.id: case for case in cases_below(tmp_path, layout)}
    assert set(cases) == {right.id for right in wanted}
    for right in wanted:
        assert_right(cases[right.id], right)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: f"{trap.layout}: {trap.name}")
def test_traps_are_seen_through_or_refused(trap: Trap, tmp_path: Path) -> None:
    trap.build(tmp_path)
    cases = {case.id: case for case in cases_below(tmp_path, trap.layout)}
    for right in trap.seen:
        assert_right(cases[right.id], right)
    if trap.seen and trap.only:
        assert set(cases) == {right.id for right in trap.seen}
    if trap.notice:
        assert trap.notice in {notice.code for case in cases.values() for notice in case.read()[0].notices}
    name, kind, words = trap.refused
    if name:
        with pytest.raises(UnfitError, match=words) as refusal:
            cases[name].read()
        assert refusal.value.code == kind
        assert "\n" not in str(refusal.value)


def test_every_layout_has_a_page_and_the_tutorial_resolves() -> None:
    for name in names():
        assert f"`--layout {name}`" in (PAGES / f"{name}.md").read_text(encoding="utf-8")
        assert f"({name}.md)" in (PAGES / "README.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```toml\n(.*?)```", (PAGES / "lits_to_slicer.md").read_text(encoding="utf-8"), re.DOTALL)
    experiment = experiment_from(tomllib.loads(recipe), "lits.toml")
    assert (experiment.data.layout, experiment.split.kind) == ("lits", "kfold")
    assert experiment.stage().labels == (1,)
    excluded = [n for n in range(131) if any(fnmatch(f"lits_{n}", pattern) for pattern in experiment.split.exclude)]
    assert excluded == list(range(28, 49))


def test_the_table_of_traps_is_as_long_as_promised() -> None:
    assert len(names()) >= 16
    assert len(TRAPS) >= 30
    assert {trap.layout for trap in TRAPS} == set(names())


@pytest.mark.parametrize("layout", names())
def test_a_row_says_its_terms(layout: str) -> None:
    row = layout_named(layout)
    assert all((row.title, row.licence, row.phase, row.split, row.expects))
    assert row.citation or layout == "liverseg"
    assert set(row.labels.values()) <= set(range(14))


@pytest.mark.parametrize("layout", names())
def test_another_folder_is_refused_with_what_was_expected(layout: str, tmp_path: Path) -> None:
    tiny.save(tmp_path / "something" / "else.nii.gz", tiny.scan(1))
    with pytest.raises(InputError, match="does not hold"):
        cases_below(tmp_path, layout)


def test_unknown_layouts_ids_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'chaos'"):
        layout_named("chaos1")
    with pytest.raises(InputError, match="no folder"):
        cases_below(tmp_path / "nowhere", "lits")
    tiny.lits(tmp_path)
    with pytest.raises(InputError, match="none of the 2 cases is left, such as lits_0"):
        cases_below(tmp_path, "lits", ("chaos*",))
    assert [case.id for case in cases_below(tmp_path, "lits", exclude=("lits_0",))] == ["lits_1"]


@pytest.mark.parametrize("content", ["{", "{}", '{"labels": 3}', '{"labels": {"background": 0, "heart": 1}}'])
def test_a_dataset_json_that_cannot_be_used_is_refused(content: str, tmp_path: Path) -> None:
    tiny.nnunet(tmp_path)
    (tmp_path / "Dataset101_Liver" / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=r"dataset\.json"):
        cases_below(tmp_path, "nnunet")


def test_vessels_inside_the_liver_are_liver_and_lesions_lie_on_top(tmp_path: Path) -> None:
    """`liver` is 1 + 2 in every number, whatever order the files are listed in."""
    tiny.totalsegmentator(tmp_path)
    tiny.save(
        tmp_path / "s0000" / "segmentations" / "portal_vein_and_splenic_vein.nii.gz", (tiny.CODES > 0).astype(np.uint8)
    )
    mask = cases_below(tmp_path, "totalsegmentator_ct", ("*s0000",))[0].read()[1]
    np.testing.assert_array_equal(mask.voxels == 1, tiny.WHOLE_LIVER > 0)
    assert (mask.voxels == 10).any()


def test_btcv_and_amos_differ_in_pancreas_and_portal_vein(tmp_path: Path) -> None:
    tiny.btcv(tmp_path)
    drawn = cases_below(tmp_path, "btcv")[0].read()[1].voxels
    assert drawn[5, 10, 11] == 11
    assert drawn[5, 11, 11] == 10


def test_lits_and_its_copy_are_one_source(tmp_path: Path) -> None:
    tiny.lits(tmp_path / "a", (12,))
    MSD(tmp_path / "b")
    (ours,) = cases_below(tmp_path / "a", "lits")
    assert ours.source == cases_below(tmp_path / "b", "msd_liver", ("msd_liver_12",))[0].source == "lits/12"


def test_a_patient_whose_sequences_are_split_apart_is_refused_to_train(tmp_path: Path) -> None:
    """The two archives of CirrMRI600+ were split on their own, though they number the same patients."""
    tiny.cirrmri(tmp_path)
    parts = split_cases(cases_below(tmp_path, "cirrmri600"), Split(kind="layout"), tmp_path)
    assert [case.id for case in parts.validation] == ["cirrmri600_t1_8"]
    for kind in ("images", "masks"):
        shutil.move(
            tmp_path / f"Cirrhosis_T2_3D/train_{kind}/9.nii.gz", tmp_path / f"Cirrhosis_T2_3D/train_{kind}/8.nii.gz"
        )
    with pytest.raises(InputError, match="both of patient cirrmri600_8"):
        split_cases(cases_below(tmp_path, "cirrmri600"), Split(kind="layout"), tmp_path)
    tiny.lits(tmp_path / "lits")
    with pytest.raises(InputError, match="no split of its own"):
        split_cases(cases_below(tmp_path / "lits", "lits"), Split(kind="layout"), tmp_path)


def test_an_experiment_trains_on_a_layout_as_it_lies_on_disk(raw: dict, tmp_path: Path) -> None:
    tiny.lits(tmp_path / "lits")
    (tmp_path / "lits" / "split.json").write_text(json.dumps({"validation": ["lits_1"]}))
    raw["data"] |= {"folder": str(tmp_path / "lits"), "layout": "lits"}
    sides = cached_sides(experiment_from(raw, "tiny.toml"))
    assert ([c.case.id for c in sides.training], [c.case.id for c in sides.validation]) == (["lits_0"], ["lits_1"])
    assert set(np.unique(sides.training[0].labels)) == {0, 1}
    with pytest.raises(InputError, match="layout"):
        Data(layout="lit")


def test_the_cache_refuses_a_lost_spacing_and_follows_the_label_map(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    lost = next(trap for trap in TRAPS if trap.notice == "identity_affine")
    lost.build(tmp_path)
    (case,) = cases_below(tmp_path, "lits")
    with pytest.raises(InputError, match=r"split\.exclude = \['lits_28'\]"):
        cached(case, tiny_experiment.stage(), tiny_experiment.preprocess, {}, tmp_path / "cache")


@pytest.fixture
def tiny_experiment(raw: dict) -> Experiment:
    return experiment_from(raw, "tiny.toml")


def test_a_zip_cannot_write_outside_of_its_room(tmp_path: Path) -> None:
    tiny.ircadb(tmp_path, zipped=True)
    masks = tmp_path / "3Dircadb1" / "3Dircadb1.1" / "MASKS_DICOM.zip"
    with zipfile.ZipFile(masks, "a") as archive:
        archive.writestr("../../liver/escaped", "no")
    cases_below(tmp_path, "ircadb")[0].read()
    assert not list(tmp_path.parent.glob("**/escaped"))
