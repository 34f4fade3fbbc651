"""LiQA (CARE 2024) and CARE-Liver: multi-phase MR, the hepatobiliary phase (GED4) drawn in some patients."""

from __future__ import annotations

import re

from ._files import NIFTI
from ._layout import Layout
from ._volumes import Volumes, volume_cases

_CASE = r"Vendor_?[A-C]\d?/(?P<key>[^/]+)"  # Vendor_B1 in training, VendorB1 in validation
_ROW = Volumes(
    name="care_liver",
    images=rf"{_CASE}/GED4{NIFTI}",
    labels=rf"{_CASE}/mask_GED4{NIFTI}",
    values=dict.fromkeys(range(1, 256), 1),
    phase=lambda *_: "mr_t1_hbp",
    patient=lambda key, _: re.sub(r"-S\d$", "", key),  # the stage of fibrosis is no part of who it is
    labelled=lambda _: False,
)

LAYOUT = Layout(
    title="LiQA (CARE 2024, track 3) and CARE-Liver",
    licence="by data agreement; CC BY-NC-SA 4.0 according to a participant",
    citation="CARE-Liver: Comprehensive Analysis and computing of REal-world medical images, liver track, MICCAI 2024 and 2025",
    address="https://zmic.org.cn/care_2024",
    phase="MR, T1 hepatobiliary (GED4). The other phases are not registered to it and have no masks",
    labels={"1": 1},
    split="30 of 250 training cases are annotated; validation and test references are not published",
    expects="Vendor_A, Vendor_B1, Vendor_B2 with CASE/GED4.nii.gz and, where annotated, CASE/mask_GED4.nii.gz",
    find=lambda folder: volume_cases(folder, _ROW),
)
