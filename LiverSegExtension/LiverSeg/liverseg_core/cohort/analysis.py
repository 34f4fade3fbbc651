"""Outcomes -> what the page shows: distributions, pairs, differences of models, lesions pooled, the worst cases."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from .records import AGREEMENT, EXPECTED, MEASURED, NOTICE, Outcome
from .statistics import (
    BlandAltman,
    Concordance,
    Interval,
    Paired,
    Summary,
    bland_altman,
    bootstrap_interval,
    concordance,
    holm,
    paired,
    patient_sums,
    ratio,
    summary,
)
from .tables import EACH_PART

HEADLINE = ("dsc", "nsd", "hd95", "assd", "rvd")
FAT = ("pdff_median", "ff_median", "r2star_median", "lic")
COMPARED = ("dsc", "nsd", "hd95", "assd", "avd_ml")
_LEFT_OUT = {"pixel_accuracy"}  # depends on the field of view: never pooled
_WORST = 12
_LEAST_PAIRS = 3


@dataclass(frozen=True)
class Distribution:
    """One number over the cases of one model, undefined ones left out of `values`."""

    group: str
    source: str
    structure: str
    quantity: str
    unit: str
    definition: str
    values: tuple[float, ...]
    summary: Summary


@dataclass(frozen=True)
class Pairs:
    """What prediction and reference measure of one structure, in one model's cases."""

    group: str
    structure: str
    quantity: str
    unit: str
    cases: tuple[str, ...]
    measured: tuple[float, ...]
    expected: tuple[float, ...]
    missing: int  # undefined on one side
    limits: BlandAltman
    agreement: Concordance


@dataclass(frozen=True)
class Difference:
    """Two models, one quantity; `p_holm` is adjusted for every test of the page."""

    one: str
    other: str
    structure: str
    quantity: str
    unit: str
    cases: int
    missing: int
    test: Paired
    p_holm: float


@dataclass(frozen=True)
class PooledLesions:
    """Lesions of all cases together: the headline, for a single case's ratios are often undefined."""

    group: str
    name: str
    value: float
    interval: Interval
    count: int  # lesions in the denominator
    cases: int
    patients: int


def groups_of(outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """The models in the order of the table; one without a name where the table names none."""
    return tuple(dict.fromkeys(outcome.group for outcome in outcomes))


def distributions(outcomes: Sequence[Outcome]) -> tuple[Distribution, ...]:
    """Every number of every structure, single lesions and discs apart; in the order of the cases' own tables."""
    keys: dict[tuple[str, str, str, str], str] = {}
    for row in (row for outcome in outcomes for row in outcome.rows):
        if row.source != NOTICE and row.quantity not in _LEFT_OUT and not EACH_PART.fullmatch(row.structure):
            keys.setdefault((row.source, row.structure, row.quantity, row.unit), row.definition)
    found = []
    for (source, structure, quantity, unit), definition in keys.items():
        for group in groups_of(outcomes):
            cases = _cases(outcomes, group, source, structure, quantity)
            if cases:
                values = [value for _, value in cases]
                known = tuple(value for value in values if not math.isnan(value))
                told = summary(values, [outcome.person for outcome, _ in cases])
                found.append(Distribution(group, source, structure, quantity, unit, definition, known, told))
    return tuple(found)


def pairs(outcomes: Sequence[Outcome]) -> tuple[Pairs, ...]:
    """Every quantity that was measured on both masks, where at least three cases have it."""
    keys = dict.fromkeys(
        (row.structure, row.quantity, row.unit)
        for outcome in outcomes
        for row in outcome.rows
        if row.source == EXPECTED and not EACH_PART.fullmatch(row.structure)
    )
    found = (_pairs(outcomes, group, *key) for key in keys for group in groups_of(outcomes))
    return tuple(pair for pair in found if pair is not None)


def differences(outcomes: Sequence[Outcome]) -> tuple[Difference, ...]:
    """Every two models on the cases that both did. Holm's adjustment is over all of them."""
    found = []
    structures = dict.fromkeys(
        row.structure
        for outcome in outcomes
        for row in outcome.rows
        if row.source == AGREEMENT and not EACH_PART.fullmatch(row.structure)
    )
    for one, other in combinations(groups_of(outcomes), 2):
        for structure in structures:
            for quantity in COMPARED:
                difference = _difference(outcomes, one, other, structure, quantity)
                if difference is not None:
                    found.append(difference)
    adjusted = holm([difference.test.p for difference in found])
    return tuple(replace(difference, p_holm=p) for difference, p in zip(found, adjusted))


def pooled_lesions(outcomes: Sequence[Outcome]) -> tuple[PooledLesions, ...]:
    """Recall and precision over all lesions (IoU above 0.1), intervals over patients."""
    found = []
    for group in groups_of(outcomes):
        counted = [(outcome, _lesions(outcome)) for outcome in outcomes if outcome.group == group]
        known = [(outcome.person, counts) for outcome, counts in counted if counts is not None]
        for name, part, whole in (("recall", 0, 1), ("precision", 2, 3)):
            parts, wholes = [counts[part] for _, counts in known], [counts[whole] for _, counts in known]
            if not sum(wholes):
                continue
            persons = [person for person, _ in known]
            interval = bootstrap_interval(patient_sums([parts, wholes], persons), ratio)
            value, count = sum(parts) / sum(wholes), round(sum(wholes))
            found.append(PooledLesions(group, name, value, interval, count, len(known), len(set(persons))))
    return tuple(found)


def worst(outcomes: Sequence[Outcome]) -> tuple[tuple[Outcome, str], ...]:
    """The cases to look at first, with the number they are ranked by: the lowest DSC of the first structure, undefined
    ones (an empty mask) before all; without a reference, those with most warnings."""
    done = [outcome for outcome in outcomes if not outcome.error]
    rows = [
        (outcome, next((r for r in outcome.rows if (r.source, r.quantity) == (AGREEMENT, "dsc")), None))
        for outcome in done
    ]
    scored = [(outcome, row) for outcome, row in rows if row is not None]
    if scored:
        scored.sort(key=lambda pair: -1.0 if math.isnan(pair[1].value) else pair[1].value)
        return tuple(
            (outcome, f"{row.structure} DSC {'undefined' if math.isnan(row.value) else f'{row.value:.3f}'}")
            for outcome, row in scored[:_WORST]
        )
    warned = [(outcome, sum(row.source == NOTICE for row in outcome.rows)) for outcome in done]
    warned.sort(key=lambda pair: -pair[1])
    return tuple((outcome, f"{count} warnings") for outcome, count in warned[:_WORST] if count)


def _cases(
    outcomes: Iterable[Outcome], group: str, source: str, structure: str, quantity: str
) -> list[tuple[Outcome, float]]:
    """The cases of a model that have this row, undefined values included."""
    rows = ((outcome, outcome.value(source, structure, quantity)) for outcome in outcomes if outcome.group == group)
    return [(outcome, row.value) for outcome, row in rows if row is not None]


def _pairs(outcomes: Sequence[Outcome], group: str, structure: str, quantity: str, unit: str) -> Pairs | None:
    expected = {o.case: value for o, value in _cases(outcomes, group, EXPECTED, structure, quantity)}
    both = [
        (o, value, expected[o.case])
        for o, value in _cases(outcomes, group, MEASURED, structure, quantity)
        if o.case in expected
    ]
    known = [(o, one, other) for o, one, other in both if not math.isnan(one + other)]
    if len(known) < _LEAST_PAIRS:
        return None
    ours, theirs = tuple(one for _, one, _ in known), tuple(other for *_, other in known)
    return Pairs(
        group, structure, quantity, unit, tuple(o.case for o, *_ in known), ours, theirs, len(both) - len(known),
        bland_altman(ours, theirs), concordance(ours, theirs, [o.person for o, *_ in known]),
    )  # fmt: skip


def _difference(outcomes: Sequence[Outcome], one: str, other: str, structure: str, quantity: str) -> Difference | None:
    second = {o.case: value for o, value in _cases(outcomes, other, AGREEMENT, structure, quantity)}
    first = [(o, value) for o, value in _cases(outcomes, one, AGREEMENT, structure, quantity) if o.case in second]
    known = [(o.person, value - second[o.case]) for o, value in first if not math.isnan(value + second[o.case])]
    if not first:
        return None
    row = first[0][0].value(AGREEMENT, structure, quantity)
    test = paired(np.array([d for _, d in known]), [person for person, _ in known])
    missing = len(first) - len(known)
    return Difference(one, other, structure, quantity, row.unit if row else "", len(known), missing, test, math.nan)


def _lesions(outcome: Outcome) -> tuple[float, float, float, float] | None:
    """Found, all of the reference, real, all predicted; None where lesions were not compared."""
    names = ("lesions_reference", "lesions_predicted", "lesion_recall_iou10", "lesion_false_positives_iou10")
    rows = [outcome.value(AGREEMENT, "lesion", name) for name in names]
    reference, predicted, recall, false = (row.value if row is not None else math.nan for row in rows)
    if math.isnan(reference):
        return None
    found = 0.0 if math.isnan(recall) else recall * reference
    return found, reference, predicted - false, predicted
