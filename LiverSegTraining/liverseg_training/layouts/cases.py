"""One folder a case with image.nii.gz, labels.nii.gz and meta.json: the development data, and what `convert` writes."""

from __future__ import annotations

from liverseg_core.labels import LABELS

from ._layout import Layout
from ._ours import own_cases

LAYOUT = Layout(
    title="cases",
    licence="that of each case: meta.json says it",
    citation="that of each case: meta.json names the data set",
    address="",
    phase="meta.json: a phase key, or words with the modality",
    labels={label.key: code for code, label in LABELS.items()},
    split="split.json: the ids under `validation`; every other case trains",
    expects="CASE/image.nii.gz, labels.nii.gz and meta.json, in the folder or in its `cases`",
    find=lambda folder: own_cases(folder, "meta.json"),
)
