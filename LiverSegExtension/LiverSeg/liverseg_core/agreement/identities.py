"""What must hold between the figures of one record, whatever the masks. A breach is our own fault, never the user's."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import LiverSegError
from .results import Agreement

_LEAST = 1e-9  # of rounding, in ratios and in mm
_ROUNDING_MM = 1e-6  # the slack of NSD's tolerance


@dataclass(frozen=True)
class Identity:
    """A sentence about some quantities; it is silent where one of them is undefined."""

    text: str
    quantities: tuple[str, ...]
    holds: Callable[..., bool]


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= _LEAST


def _reaches(larger: float, smaller: float) -> bool:
    return larger >= smaller - _LEAST


def _between(one: float, middle: float, other: float) -> bool:
    return min(one, other) - _LEAST <= middle <= max(one, other) + _LEAST


IDENTITIES: tuple[Identity, ...] = (
    Identity("DSC = 2 IoU/(1 + IoU)", ("dsc", "iou"), lambda d, i: _same(d, 2 * i / (1 + i))),
    Identity("DSC lies between precision and recall", ("precision", "dsc", "recall"), _between),
    Identity("FDR = 1 - precision", ("fdr", "precision"), lambda f, p: _same(f, 1 - p)),
    Identity("(1 + RVD) precision = recall", ("rvd", "precision", "recall"), lambda v, p, r: _same((1 + v) * p, r)),
    Identity("HD >= HD95", ("hd", "hd95"), _reaches),
    Identity("HD >= ASD, prediction to reference", ("hd", "asd_pred_to_ref"), _reaches),
    Identity("HD >= ASD, reference to prediction", ("hd", "asd_ref_to_pred"), _reaches),
    Identity("ASSD lies between the two directed ASD", ("asd_pred_to_ref", "assd", "asd_ref_to_pred"), _between),
)  # fmt: skip


def check_identities(agreement: Agreement) -> Agreement:
    """The same record; LiverSegError (an internal error) names the structure and the identity that it breaks."""
    values = agreement.values()
    broken = [
        identity.text
        for identity in IDENTITIES
        if not any(math.isnan(values[key]) for key in identity.quantities)
        and not identity.holds(*(values[key] for key in identity.quantities))
    ]
    broken += [text for text, holds in _RECORD.items() if not holds(agreement)]
    if broken:
        raise LiverSegError(
            f"agreement of {agreement.structure}: {'; '.join(broken)} does not hold; please report this"
        )
    return agreement


def _undefined_has_a_reason(agreement: Agreement) -> bool:
    return all(math.isfinite(f.value) or (math.isnan(f.value) and f.reason) for f in agreement.figures)


def _percentiles_rise(agreement: Agreement) -> bool:
    """HD is the percentile 100."""
    named = [(re.fullmatch(r"hd([\d.]*)", f.quantity), f.value) for f in agreement.figures]
    ranked = sorted((float(match[1] or 100), value) for match, value in named if match and not math.isnan(value))
    return all(_reaches(after[1], before[1]) for before, after in zip(ranked, ranked[1:]))


def _nsd_rises(agreement: Agreement) -> bool:
    shares = [share for _, share in sorted(agreement.nsd_by_mm.items())]
    return all(before <= after for before, after in zip(shares, shares[1:]))


def _nsd_is_complete_at_hd(agreement: Agreement) -> bool:
    """NSD is 1 from HD on, and not before. Where HD is undefined, nothing is near."""
    hd = agreement.values()["hd"]
    return all(
        (share == 1.0) == (not math.isnan(hd) and hd <= t + _ROUNDING_MM) for t, share in agreement.nsd_by_mm.items()
    )


def _nsd_is_the_curve_s(agreement: Agreement) -> bool:
    nsd = agreement.values()["nsd"]
    return math.isnan(nsd) or nsd == agreement.nsd_by_mm.get(agreement.options.tolerance_mm)


_RECORD: dict[str, Callable[[Agreement], bool]] = {
    "undefined is NaN with a reason, and nothing is infinite": _undefined_has_a_reason,
    "a percentile of the distances rises with its rank": _percentiles_rise,
    "NSD rises with its tolerance": _nsd_rises,
    "NSD is 1 exactly where the tolerance reaches HD": _nsd_is_complete_at_hd,
    "NSD is the one of its tolerance": _nsd_is_the_curve_s,
}
