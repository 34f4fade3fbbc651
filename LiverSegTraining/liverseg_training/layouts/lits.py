"""LiTS17: CT with liver and tumours, in the files of the challenge or of its mirrors."""

from __future__ import annotations

from ._files import NIFTI
from ._layout import Layout
from ._volumes import Volumes, volume_cases

VALUES = {1: 1, 2: 2}
_ROW = Volumes(
    name="lits",
    images=rf"volume-(?P<key>\d+){NIFTI}",  # the test scans are test-volume-N and have no labels
    labels=rf"segmentation-(?P<key>\d+){NIFTI}",
    values=VALUES,
    phase=lambda *_: "ct_unknown",
    source=lambda key: f"lits/{key}",
    image_rules=True,  # some masks carry an identity affine beside a placed image
)

LAYOUT = Layout(
    title="LiTS17, the Liver Tumor Segmentation Challenge",
    licence="CC BY-NC-ND 4.0 (challenge site); the same scans are CC BY-SA 4.0 as MSD Task03",
    citation="Bilic et al., The Liver Tumor Segmentation Benchmark (LiTS), Medical Image Analysis 84 (2023) 102680",
    address="https://competitions.codalab.org/competitions/17094",
    phase="CT, mixed, mostly portal venous; the files do not say",
    labels={"1": 1, "2": 2},
    split="none for the 131 labelled scans; the 70 test scans have no labels and are left out",
    expects="volume-N.nii and segmentation-N.nii, N from 0 to 130, in one folder or several",
    find=lambda folder: volume_cases(folder, _ROW),
)
