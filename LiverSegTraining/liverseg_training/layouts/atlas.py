"""ATLAS 2023: contrast-enhanced T1 with hepatocellular carcinoma."""

from __future__ import annotations

from ._files import NIFTI
from ._layout import Layout
from ._volumes import Volumes, volume_cases

_ROW = Volumes(
    name="atlas",
    images=rf"imagesTr/im(?P<key>\d+){NIFTI}",
    labels=rf"labelsTr/lb(?P<key>\d+){NIFTI}",  # the stroke data set of the same name has no lb files
    values={1: 1, 2: 2},
    phase=lambda *_: "mr_unknown",
)

LAYOUT = Layout(
    title="ATLAS 2023, A Tumor and Liver Automatic Segmentation challenge",
    licence="CC BY-NC-SA 4.0",
    citation="Quinton et al., A Tumour and Liver Automatic Segmentation (ATLAS) Dataset on Contrast-Enhanced Magnetic "
    "Resonance Imaging for Hepatocellular Carcinoma, Data 8 (2023) 79",
    address="https://atlas-challenge.u-bourgogne.fr",
    phase="MR, T1 with contrast agent: arterial, portal venous and delayed mixed; a table beside the data says which",
    labels={"1": 1, "2": 2},
    split="60 labelled scans for training; the test scans are not published",
    expects="train/imagesTr/imN.nii.gz and train/labelsTr/lbN.nii.gz",
    find=lambda folder: volume_cases(folder, _ROW),
)
