"""Medical Segmentation Decathlon, Task03: the scans of LiTS under other names."""

from __future__ import annotations

from dataclasses import replace

from . import lits
from ._files import NIFTI
from ._volumes import Volumes, volume_cases

_ROW = Volumes(
    name="msd_liver",
    images=rf"imagesTr/liver_(?P<key>\d+){NIFTI}",
    labels=rf"labelsTr/liver_(?P<key>\d+){NIFTI}",
    values=lits.VALUES,
    phase=lambda *_: "ct_unknown",
    source=lambda key: f"lits/{key}",
    image_rules=True,
)

LAYOUT = replace(
    lits.LAYOUT,
    title="Medical Segmentation Decathlon, Task03 Liver",
    licence="CC BY-SA 4.0",
    citation="Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 13 (2022) 4128",
    address="http://medicaldecathlon.com",
    split="imagesTr are labelled, imagesTs are not and are left out",
    expects="Task03_Liver/imagesTr/liver_N.nii.gz and labelsTr/liver_N.nii.gz",
    find=lambda folder: volume_cases(folder, _ROW),
)
