"""TotalSegmentator's CT data set: any CT, 117 structures, drawn with the help of a network."""

from __future__ import annotations

from ._layout import Layout
from ._totalsegmentator import STRUCTURES, subjects

LAYOUT = Layout(
    title="TotalSegmentator CT (v2)",
    licence="CC BY 4.0",
    citation="Wasserthal et al., TotalSegmentator: Robust Segmentation of 104 Anatomic Structures in CT Images, "
    "Radiology: Artificial Intelligence 5 (2023) e230024",
    address="https://zenodo.org/records/10047292",
    phase="CT of any phase and body part, resampled to 1.5 mm",
    labels=STRUCTURES,
    split="meta.csv, column split; other versions name other parts",
    expects="sNNNN/ct.nii.gz and sNNNN/segmentations/liver.nii.gz, meta.csv beside them",
    find=lambda folder: subjects(folder, "totalsegmentator_ct", "ct.nii.gz", "ct_unknown"),
)
