"""What others call our structures."""

from __future__ import annotations

import re

from liverseg_core.labels import LABELS

_OTHERS = {
    "liverparenchyma": 1, "wholeliver": 1, "tumor": 2, "tumour": 2, "livertumor": 2, "livertumour": 2, "cancer": 2,
    "lesions": 2, "liverlesion": 2, "livermass": 2, "rightkidney": 4, "leftkidney": 5, "gallblader": 6,
    "gallbladder": 6, "postcava": 9, "ivc": 9, "portalveinandsplenicvein": 10, "portalandsplenicvein": 10, "esophagus": 12,
    "rightadrenalgland": 13, "leftadrenalgland": 13, "adrenalglandright": 13, "adrenalglandleft": 13,
}  # fmt: skip
_CODES = {
    re.sub(r"[^a-z]", "", word.lower()): code for code, label in LABELS.items() for word in (label.key, label.name)
}


def code_named(name: str) -> int:
    """Our code for a structure's name, however it is spelled; 0 for what we do not know."""
    word = re.sub(r"[^a-z]", "", name.lower())
    return _CODES.get(word, _OTHERS.get(word, 0))
