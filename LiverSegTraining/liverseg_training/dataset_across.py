"""What only shows between cases: the same voxels, the same scan under two names, a patient on two sides."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from .dataset_findings import Finding, Looked

# Published accounts differ on where the range ends (28 to 47, or 28 to 44, 46 to 48): all of it is kept apart.
_KIN = (
    (
        re.compile(r"lits/(2[89]|3\d|4[0-8])"),
        re.compile(r"ircadb/\d+"),
        "LiTS 28 to 48 hold the scans of 3D-IRCADb-01; leave them out where 3D-IRCADb tests",
    ),
)


def between(cases: Sequence[Looked]) -> Iterator[Finding]:
    """Findings of pairs, told of the later case of each pair."""
    told: set[tuple[str, str]] = set()
    for kind, key, text in (
        ("same_voxels", _digest, "has the same voxels as"),
        ("same_scan", _source, "is the scan of"),
    ):
        for one, other in _pairs(cases, key):
            if (one.case, other.case) not in told:
                told.add((one.case, other.case))
                yield Finding(other.case, kind, f"{_called(other)} {text} {_called(one)}.")
    yield from _kin(cases, told)
    yield from _patients(cases)


def _digest(looked: Looked) -> str:
    return looked.digest


def _source(looked: Looked) -> str:
    return looked.source


def _pairs(cases: Sequence[Looked], key: Callable[[Looked], str]) -> Iterator[tuple[Looked, Looked]]:
    groups: dict[str, list[Looked]] = defaultdict(list)
    for looked in cases:
        if key(looked):
            groups[key(looked)].append(looked)
    for group in groups.values():
        yield from ((group[0], other) for other in group[1:])


def _kin(cases: Sequence[Looked], told: set[tuple[str, str]]) -> Iterator[Finding]:
    """By number, where the voxels differ: one copy was resampled, cut or stored in another way."""
    for ours, theirs, text in _KIN:
        kin = [looked for looked in cases if theirs.fullmatch(looked.source)]
        for looked in cases:
            if kin and ours.fullmatch(looked.source) and not any((other.case, looked.case) in told for other in kin):
                yield Finding(looked.case, "same_scan", f"{_called(looked)}: {text}.")


def _patients(cases: Sequence[Looked]) -> Iterator[Finding]:
    groups: dict[str, list[Looked]] = defaultdict(list)
    for looked in cases:
        if looked.patient and looked.part:
            groups[looked.patient].append(looked)
    for patient, group in groups.items():
        one = next((pair for pair in combinations(group, 2) if pair[0].part != pair[1].part), None)
        if one is not None:
            text = f"Patient {patient} is on both sides: {_called(one[0])} and {_called(one[1])}."
            yield Finding(one[1].case, "same_patient", text)


def _called(looked: Looked) -> str:
    return f"{looked.case} ({looked.part})" if looked.part else looked.case
