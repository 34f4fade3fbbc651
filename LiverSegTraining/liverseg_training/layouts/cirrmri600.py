"""CirrMRI600+: T1- and T2-weighted MR of cirrhotic livers, and of healthy ones."""

from __future__ import annotations

import re

from ._files import NIFTI
from ._layout import Layout
from ._volumes import Volumes, volume_cases

_CIRRHOSIS = r"Cirrhosis_T[12]_3D/(?:Cirrhosis_T[12]_3D/)?(?:train|valid|test)_"
_HEALTHY = r"T[12]_W_Healthy/(?:T[12]_W_Healthy/)?T[12]_"
_NAME = rf"/(?P<key>[^/]+?){NIFTI}"
_PARTS = {"train": "training", "valid": "validation", "test": "test"}


def _group(path: str) -> str:
    """T1 and T2 number the same patients; healthy subjects have numbers of their own."""
    sequence = "t1" if re.search(r"Cirrhosis_T1|T1_W_Healthy", path) else "t2"
    return f"healthy_{sequence}" if "Healthy" in path else sequence


def _part(path: str) -> str:
    found = re.search(r"(train|valid|test)_(?:images|masks)/", path)
    return _PARTS[found[1]] if found else ""


_ROW = Volumes(
    name="cirrmri600",
    images=rf"(?:{_CIRRHOSIS}|{_HEALTHY})images{_NAME}",
    labels=rf"(?:{_CIRRHOSIS}|{_HEALTHY})masks{_NAME}",
    values=dict.fromkeys(range(1, 256), 1),
    phase=lambda _, path: "mr_t1_portal" if _group(path).endswith("t1") else "mr_t2",
    part=_part,
    patient=lambda key, path: f"healthy_{key}" if "Healthy" in path else key,
    group=_group,
)

LAYOUT = Layout(
    title="CirrMRI600+",
    licence="CC BY-NC 4.0",
    citation="Jha et al., Large Scale MRI Collection and Segmentation of Cirrhotic Liver, Scientific Data (2025), "
    "doi 10.1038/s41597-025-05201-7",
    address="https://doi.org/10.17605/OSF.IO/CUK24",
    phase="MR: T1 with contrast agent (taken for portal venous), and T2",
    labels={"1 and more": 1},
    split="training, validation and test by folder, made for T1 and T2 apart though they are of the same patients",
    expects="Cirrhosis_T1_3D and Cirrhosis_T2_3D with {train,valid,test}_images and _masks, and Healthy_subjects",
    find=lambda folder: volume_cases(folder, _ROW),
)
