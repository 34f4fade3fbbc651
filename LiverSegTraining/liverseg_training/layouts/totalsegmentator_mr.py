"""TotalSegmentator's MR data set: any sequence and body part, 50 structures and more."""

from __future__ import annotations

from ._layout import Layout
from ._totalsegmentator import STRUCTURES, subjects

LAYOUT = Layout(
    title="TotalSegmentator MRI",
    licence="CC BY-NC-SA or CC BY 4.0, by version: see its page",
    citation="Akinci D'Antonoli et al., TotalSegmentator MRI: Robust Sequence-independent Segmentation of Multiple Anatomic "
    "Structures in MRI, Radiology 314 (2025) e241613",
    address="https://zenodo.org/records/14710732",
    phase="MR of any sequence and body part",
    labels=STRUCTURES,
    split="meta.csv, column split; other versions name other parts",
    expects="sNNNN/mri.nii.gz and sNNNN/segmentations/liver.nii.gz, meta.csv beside them",
    find=lambda folder: subjects(folder, "totalsegmentator_mr", "mri.nii.gz", "mr_unknown"),
)
