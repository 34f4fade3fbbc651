"""What must hold between the figures of any record, and that a breach of it is an internal error."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from drawings import INNER, NAN, OUTER, labels, record_of
from liverseg_core.agreement import check_identities, compare, comparison
from liverseg_core.errors import LiverSegError
from liverseg_core.geometry import Grid

RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize("share", [0.003, 0.1, 0.5, 0.95])
def test_identities_hold_for_random_masks(share: float) -> None:
    for spacing in ((1, 1, 1), (0.7, 0.9, 4.0)):
        prediction, reference = (RANDOM.random((9, 14, 17)) < share for _ in range(2))
        record = record_of(prediction, reference, spacing, percentile=80)
        assert list(record.nsd_by_mm) == [1.0, 2.0, 5.0]


BREACHES = {
    "DSC = 2 IoU": {"iou": 0.5},
    "between precision and recall": {"precision": 0.9, "fdr": 0.1, "recall": 0.9},
    "FDR = 1": {"fdr": 0.3},
    "precision = recall": {"rvd": -0.5},
    "HD >= HD95": {"hd95": 4.0},
    "HD >= ASD, prediction": {"asd_pred_to_ref": 3.0},
    "HD >= ASD, reference": {"asd_ref_to_pred": 3.0},
    "ASSD lies between": {"assd": 1.5},
    "undefined is NaN": {"centroid_mm": NAN},
    "nothing is infinite": {"centroid_mm": math.inf},
    "rises with its rank": {"hd90": 1.7},
    "NSD is the one": {"nsd": 0.5},
}


@pytest.mark.parametrize("sentence", BREACHES)
def test_a_broken_identity_is_an_internal_error(sentence: str) -> None:
    record = record_of(INNER, OUTER, percentile=90)
    figures = [replace(f, value=BREACHES[sentence].get(f.quantity, f.value)) for f in record.figures]
    with pytest.raises(LiverSegError, match=sentence) as caught:
        check_identities(replace(record, figures=tuple(figures)))
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("curve", "sentence"),
    [({1.0: 0.8, 1.5: 0.7, 2.0: 1.0}, "rises with its tolerance"), ({1.0: 0.7, 2.0: 0.9}, "reaches HD")],
)
def test_a_broken_nsd_curve_is_an_internal_error(curve: dict[float, float], sentence: str) -> None:
    with pytest.raises(LiverSegError, match=sentence):
        check_identities(replace(record_of(INNER, OUTER), nsd_by_mm=curve))


def test_exchanged_arguments_are_caught_by_the_identity_of_rvd() -> None:
    record, exchanged = record_of(INNER, OUTER), record_of(OUTER, INNER).values()
    figures = [replace(f, value=exchanged["rvd"]) if f.quantity == "rvd" else f for f in record.figures]
    with pytest.raises(LiverSegError, match="RVD"):
        check_identities(replace(record, figures=tuple(figures)))


def test_compare_checks_every_record(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(record_of(INNER, OUTER), nsd_by_mm={1.0: 0.9, 2.0: 0.8})
    monkeypatch.setattr(comparison, "agreement_of", lambda *_: broken)
    with pytest.raises(LiverSegError, match="NSD rises"):
        compare(labels(INNER, Grid((8, 8, 8))), labels(OUTER, Grid((8, 8, 8))))
