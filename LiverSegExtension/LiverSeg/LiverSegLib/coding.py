"""Which label code each segment gets in a mask that the worker reads. No Qt, no MRML.

A mapping segment id -> code holds the segments that the table of labels knows; the others are the user's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from liverseg_core.labels import LABELS, LESION, LIVER

from .controller import UserError

MOST = len(LABELS)  # a mask holds the codes of the table and no others


def codes_of_pairs(
    ours: Mapping[str, int], theirs: Mapping[str, int], pairs: Mapping[str, str]
) -> tuple[dict[str, int], dict[str, int]]:
    """Segment id -> code on either side, so that a pair (our id -> their id) lies under one code.

    A pair of the table takes its own code, another one a code that nothing else needs. The liver of files is parenchyma
    and lesions together: where lesions have no pair of their own, they count for the liver. UserError for no pair and
    for more pairs than codes.
    """
    if not pairs:
        raise UserError("No segment has a partner: choose one in the table of pairs.")
    codes: dict[str, int] = {}
    for one, other in pairs.items():
        own = ours.get(one) or theirs.get(other)
        if own is not None and own not in codes.values():
            codes[one] = own
    for one in pairs:
        if one not in codes:
            codes[one] = _free(codes.values(), (*ours.values(), *theirs.values()), len(pairs))
    partners = {other: codes[one] for one, other in pairs.items()}
    return _with_lesions(codes, ours), _with_lesions(partners, theirs)


def parts_of(ids: Sequence[str]) -> dict[str, int]:
    """Segment id -> number of the part in a mask of parts. UserError for more parts than codes."""
    if len(ids) > MOST:
        raise UserError(f"{len(ids)} parts of the liver are too many: at most {MOST} are measured at once.")
    return {segment_id: part for part, segment_id in enumerate(ids, start=1)}


def _free(taken: Collection[int], wanted: Iterable[int], pairs: int) -> int:
    """At best a code that no segment would have; never the liver's or the lesions', which mean more than a place."""
    left = [code for code in LABELS if code not in taken and code not in (LIVER, LESION)]
    if not left:
        raise UserError(f"{pairs} pairs are too many to be compared at once; set some to 'not compared'.")
    return next((code for code in left if code not in wanted), left[0])


def _with_lesions(codes: Mapping[str, int], known: Mapping[str, int]) -> dict[str, int]:
    if LIVER not in codes.values() or LESION in codes.values():
        return dict(codes)
    return {**codes, **{one: LIVER for one, code in known.items() if code == LESION and one not in codes}}
