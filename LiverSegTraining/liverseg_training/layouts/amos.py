"""AMOS22: fifteen abdominal organs on CT and MR."""

from __future__ import annotations

from ._files import NIFTI
from ._layout import Layout
from ._volumes import Volumes, volume_cases

_FIRST_MR = 500  # the number says the modality, the files do not
_VALUES = {1: 3, 2: 4, 3: 5, 4: 6, 5: 12, 6: 1, 7: 7, 8: 8, 9: 9, 10: 11, 11: 13, 12: 13, 13: 0, 14: 0, 15: 0}


def _part(path: str) -> str:
    return {"imagesTr": "training", "imagesVa": "validation"}.get(path.split("/")[-2], "test")


_ROW = Volumes(
    name="amos",
    images=rf"images(?:Tr|Va|Ts)/amos_(?P<key>\d+){NIFTI}",
    labels=rf"labels(?:Tr|Va|Ts)/amos_(?P<key>\d+){NIFTI}",
    values=_VALUES,
    phase=lambda key, _: "ct_unknown" if int(key) < _FIRST_MR else "mr_unknown",
    part=_part,
    labelled=lambda path: "imagesTs/" not in path,
)

LAYOUT = Layout(
    title="AMOS22, Multi-Modality Abdominal Multi-Organ Segmentation",
    licence="CC BY 4.0",
    citation="Ji et al., AMOS: A Large-Scale Abdominal Multi-Organ Benchmark for Versatile Medical Image Segmentation, "
    "NeurIPS 2022",
    address="https://zenodo.org/records/7262581",
    phase="CT (numbers below 500) and MR (500 and above), phase and sequence not stored",
    labels={str(value): code for value, code in _VALUES.items()},
    split="training (Tr), validation (Va) and test (Ts, where its labels are there) by folder",
    expects="amos22/imagesTr/amos_NNNN.nii.gz and labelsTr, imagesVa and labelsVa",
    find=lambda folder: volume_cases(folder, _ROW),
)
