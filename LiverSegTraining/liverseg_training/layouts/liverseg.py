"""Cases that were corrected with this software: image.nii.gz, labels.nii.gz and case.json."""

from __future__ import annotations

from liverseg_core.case_folder import FACTS
from liverseg_core.labels import LABELS

from ._layout import Layout
from ._ours import own_cases

LAYOUT = Layout(
    title="corrected cases of LiverSeg",
    licence="yours",
    citation="",
    address="",
    phase="case.json: a phase key",
    labels={label.key: code for code, label in LABELS.items()},
    split="split.json where there is one: the ids under `validation`; every other case trains",
    expects="case-UUID/image.nii.gz, labels.nii.gz and case.json, in the folder or in its `cases`",
    find=lambda folder: own_cases(folder, FACTS),
)
