"""Which phases each patient has, and how well the volumes of one patient agree from phase to phase."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
from liverseg_core.errors import InputError

from .cases import Case


def phase_coverage(cases: Iterable[Case]) -> list[dict[str, str | int]]:
    """A row for each patient: how many scans of each phase that anybody has, and `missing`, the phases with none."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for case in cases:
        counts[case.patient or case.id][case.phase] += 1
    phases = sorted({phase for own in counts.values() for phase in own})
    return [
        {"patient": patient, **{phase: own[phase] for phase in phases}, "missing": ", ".join(p for p in phases if not own[p])}
        for patient, own in sorted(counts.items())
    ]  # fmt: skip


def coverage_lines(cases: Sequence[Case]) -> list[str]:
    """The coverage in short: how many patients have each phase, and who lacks what."""
    rows = phase_coverage(cases)
    phases = [key for key in rows[0] if key not in ("patient", "missing")]
    told = [f"{phase}: {sum(bool(row[phase]) for row in rows)} of {len(rows)} patients" for phase in phases]
    return told + [f"{row['patient']} lacks {row['missing']}" for row in rows if row["missing"] and len(phases) > 1]


def volume_differences(volumes_ml: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """|difference| / mean of the two, for every two phases of one patient that have a volume: 0 where they agree. It
    needs no reference; an empty liver in one phase alone is the largest, 2."""
    for phase, ml in volumes_ml.items():
        if ml < 0:
            raise InputError(f"the volume of {phase} is {ml} ml; expected none below 0")
    there = {phase: ml for phase, ml in sorted(volumes_ml.items()) if not np.isnan(ml)}
    return {
        (one, other): 2.0 * abs(there[one] - there[other]) / (there[one] + there[other])
        for one, other in combinations(there, 2)
        if there[one] + there[other] > 0
    }


def volume_consistency(
    volumes_ml: Mapping[str, Mapping[str, float]],
) -> dict[tuple[str, str], tuple[float, float, int]]:
    """Mean and worst of `volume_differences` over the patients, and how many have both: by two phases."""
    gathered: dict[tuple[str, str], list[float]] = defaultdict(list)
    for own in volumes_ml.values():
        for pair, difference in volume_differences(own).items():
            gathered[pair].append(difference)
    return {pair: (sum(d) / len(d), max(d), len(d)) for pair, d in sorted(gathered.items())}
