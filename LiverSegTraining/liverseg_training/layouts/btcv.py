"""BTCV, Beyond the Cranial Vault: thirteen organs on portal venous CT."""

from __future__ import annotations

from ._files import NIFTI
from ._layout import Layout
from ._volumes import Volumes, volume_cases

_VALUES = {1: 3, 2: 4, 3: 5, 4: 6, 5: 12, 6: 1, 7: 7, 8: 8, 9: 9, 10: 10, 11: 11, 12: 13, 13: 13}  # not AMOS's order

_ROW = Volumes(
    name="btcv",
    images=rf"(?:Training|Testing)/img/img(?P<key>\d+){NIFTI}",
    labels=rf"(?:Training|Testing)/label/label(?P<key>\d+){NIFTI}",
    values=_VALUES,
    phase=lambda *_: "ct_portal",
    part=lambda path: "training" if "Training/" in path else "test",
    labelled=lambda path: "Training/" in path,
)

LAYOUT = Layout(
    title="BTCV, Multi-Atlas Labeling Beyond the Cranial Vault",
    licence="Synapse terms: registration, research use, no redistribution",
    citation="Landman et al., MICCAI Multi-Atlas Labeling Beyond the Cranial Vault: Workshop and Challenge, 2015, syn3193805",
    address="https://www.synapse.org/Synapse:syn3193805",
    phase="CT, portal venous",
    labels={str(value): code for value, code in _VALUES.items()},
    split="30 labelled training scans; the 20 test scans have no labels and are left out",
    expects="RawData/Training/img/imgNNNN.nii.gz and RawData/Training/label/labelNNNN.nii.gz",
    find=lambda folder: volume_cases(folder, _ROW),
    liver_hu=(20.0, 200.0),
)
