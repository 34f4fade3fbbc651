"""DICOM tags of one series -> its phase, and the sentence that says why. The tables are in words.py.

What the tags say is collected row by row and combined in four steps:
1. a derived picture (a map, a subtraction, a projection) or a sequence that no phase stands for is not known;
2. two statements that cannot both be true make it not known, and both are named;
3. the first of DECISIONS whose first need is stated decides;
4. without a statement, the first whose first need is hinted at (echo time, delay), unless another hint contradicts it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..errors import InputError
from ..phases import PHASES
from . import words as w

Tags = Mapping[str, object]  # DICOM keyword -> text, number or a tuple of those; what is absent has no key


@dataclass(frozen=True)
class Recognition:
    """A key of PHASES, and one sentence for the report and the panel."""

    phase: str
    how: str


@dataclass(frozen=True)
class Evidence:
    """One thing that a tag says, as a statement (`strong`) or a hint. `because` begins the reason; `word` was read."""

    says: str
    because: str
    word: str = ""
    strong: bool = True


@dataclass(frozen=True)
class Decision:
    """The phase of a series of which all of `needs` is said; `also` is quoted with it where it was said."""

    phase: str
    needs: tuple[str, ...]
    also: tuple[str, ...] = ()
    doubt: str = ""  # why this combination is not known


_T1 = (w.T1, w.WATER, w.CONTRAST, w.GADOXETATE)
DECISIONS = {  # in this order
    "CT": (
        Decision("ct_native", (w.NATIVE,)),
        Decision("ct_arterial", (w.ARTERIAL,), (w.CONTRAST,)),
        Decision("ct_portal", (w.PORTAL,), (w.CONTRAST,)),
        Decision("ct_delayed", (w.DELAYED,), (w.CONTRAST,)),
    ),
    "MR": (
        Decision("mr_adc", (w.ADC,)),
        Decision("mr_dwi", (w.DIFFUSION,)),
        Decision("mr_fat", (w.FAT,)),
        Decision("mr_unknown", (w.FAT_WORD, w.DIXON), doubt="that may be the fat image or fat suppression"),
        # of a T2-weighted Dixon the water image is the fat-suppressed one and the in-phase image the plain one
        Decision("mr_t2fs", (w.T2, w.WATER)),
        Decision("mr_t2", (w.T2, w.IN_PHASE)),
        Decision("mr_t2fs", (w.T2, w.SUPPRESSED)),
        Decision("mr_unknown", (w.T2, w.DIXON), doubt="nothing says which of the Dixon images it is"),
        Decision("mr_unknown", (w.T2, w.FAT_WORD), doubt="that may be the fat image or fat suppression"),
        Decision("mr_t2", (w.T2,), (w.NOT_SUPPRESSED,)),
        Decision("mr_t1_in", (w.IN_PHASE,), (w.DUAL,)),
        Decision("mr_t1_opposed", (w.OPPOSED,), (w.DUAL,)),
        # the water image of a contrast phase is the fat-suppressed T1 of that phase
        Decision("mr_t1_arterial", (w.ARTERIAL,), _T1),
        Decision("mr_t1_portal", (w.PORTAL,), _T1),
        Decision("mr_t1_delayed", (w.DELAYED,), _T1),
        Decision("mr_t1_hbp", (w.HBP,), _T1),
        Decision("mr_water", (w.WATER,)),
        Decision("mr_multiecho", (w.MULTIECHO,)),
        Decision("mr_unknown", (w.T2_STAR,), doubt="that is none of the phases"),
        Decision("mr_t1_native", (w.NATIVE, w.T1)),
    ),
}
_ALONE = (w.T1, w.NATIVE, w.CONTRAST, w.GADOXETATE, w.NO_AGENT, w.DIXON, w.DUAL)  # decides nothing, but is worth saying


def recognise(tags: Tags) -> Recognition:
    """The phase of one series. In doubt `ct_unknown` or `mr_unknown`; InputError for any other Modality.

    The water image of a contrast phase that is named ("VIBE dixon post 70s_W") has the key of that phase, any other
    `mr_water`. MRCP and other echoes of 250 ms and more are not `mr_t2`, because the liver is dark on them. Numbers that
    only count (TriggerTime, TemporalPositionIdentifier) are not asked: which phase is the second differs by protocol.
    """
    modality = _text(tags, "Modality").upper()
    if modality not in w.ROWS:
        raise InputError(f"a {modality or 'nameless'} series has no phase; expected the tag Modality to say CT or MR")
    evidence = _collected(tags, modality)
    strong = [e for e in evidence if e.strong]
    if none_of_ours := _why(strong, w.NONE_OF_OURS):
        return _unknown(modality, f"{none_of_ours}, which is none of the phases")
    if clash := _clash(strong):
        return _unknown(modality, f"the tags contradict each other: {clash}")
    said = {e.says for e in evidence}
    if decision := _decision(modality, {e.says for e in strong}, said):
        return _decided(decision, evidence)
    timed = modality == "CT" or w.T1 in said  # a delay alone says nothing of a T2-weighted image
    if decision := _decision(modality, said if timed else said.difference(w.TIMINGS), said):
        if clash := _clash(evidence, decision.needs[0]):
            return _unknown(modality, f"the tags contradict each other: {clash}")
        return _decided(decision, evidence)
    known = _why(evidence, _ALONE)
    return _unknown(modality, "nothing in the tags says which phase" + (f"; what they say: {known}" if known else ""))


def _decision(modality: str, leading: set[str], said: set[str]) -> Decision | None:
    rows = (row for row in DECISIONS[modality] if row.needs[0] in leading and said.issuperset(row.needs))
    return next(rows, None)


def _decided(decision: Decision, evidence: list[Evidence]) -> Recognition:
    reasons = _why(evidence, (*decision.needs, *decision.also))
    meaning = PHASES[decision.phase].meaning.partition(" (")[0]
    return Recognition(decision.phase, f"{meaning}: {reasons}" + (f"; {decision.doubt}" if decision.doubt else ""))


def _unknown(modality: str, why: str) -> Recognition:
    key = f"{modality.lower()}_unknown"
    return Recognition(key, f"{PHASES[key].meaning}: {why}")


def _clash(evidence: list[Evidence], about: str = "") -> str:
    """The first two statements that cannot both be true, in words, or ""; with `about` those that concern it alone."""
    said = {e.says for e in evidence}
    pairs = (pair for pair in w.CONTRADICTIONS if said.issuperset(pair) and (not about or about in pair))
    return _why(evidence, next(pairs, ()))


def _why(evidence: Iterable[Evidence], about: Iterable[str]) -> str:
    """SeriesDescription 't2_spair' says T2-weighted ('t2') and fat suppressed ('spair'), EchoTime 80 ms suggests ..."""
    about, reasons = set(about), dict[str, list[str]]()
    for e in evidence:
        if e.says in about:
            reasons.setdefault(e.because, []).append(e.says + (f" ('{e.word}')" if e.word else ""))
    return ", ".join(f"{because} {' and '.join(says)}" for because, says in reasons.items())


def _collected(tags: Tags, modality: str) -> list[Evidence]:
    """Everything that the tables find, in an order that does not depend on that of the tags."""
    found = [e for tag in w.TEXTS for e in _in_text(tags, tag, modality)]
    found += [e for tag in w.CODED for e in _in_codes(tags, tag, modality)]
    found += [e for band in w.BANDS[modality] for e in _in_band(tags, band, {e.says for e in found})]
    found += _of_the_agent(tags, {e.says for e in found})
    said = {e.says for e in found}
    if not {w.T2, w.DIFFUSION, w.ADC} & said:  # there, "20 s" is the length of a breath-hold
        found += [e for tag in w.NAMES for e in _in_times(tags, tag, modality, said)]
    found += [*_of_the_delay(tags, modality, found), *_of_the_echo(tags, said)]
    late = {w.HBP, w.GADOXETATE} <= {e.says for e in found}  # "delayed, 20 min" after gadoxetate is hepatobiliary
    return [e for e in found if not (late and e.says == w.DELAYED)]


def _in_text(tags: Tags, tag: str, modality: str) -> list[Evidence]:
    text = w.plain(_text(tags, tag))
    rows = [row for row in w.ROWS[modality] if tag in row.tags]
    hits = [(row, hit) for row in rows for hit in w.pattern(row.words).finditer(text)]
    spans = [hit.span() for _, hit in hits]
    found: dict[str, Evidence] = {}
    for row, hit in hits:
        inside = any(a <= hit.start() and hit.end() <= b and (a, b) != hit.span() for a, b in spans)
        if row.says != w.NOTHING and not inside:
            word = hit.group().strip()
            found.setdefault(row.says, Evidence(row.says, f"{tag} '{_text(tags, tag)}' says", word, row.strong))
    return _of_one_series(tag, list(found.values()))


def _of_one_series(tag: str, evidence: list[Evidence]) -> list[Evidence]:
    """A protocol that names what contradicts itself ("nativ art pv") speaks of the examination: that is no evidence."""
    if tag == w.SERIES:
        return evidence
    said = {e.says for e in evidence}
    both = {says for pair in w.CONTRADICTIONS if said.issuperset(pair) for says in pair}
    return [e for e in evidence if e.says not in both]


def _in_codes(tags: Tags, tag: str, modality: str) -> Iterator[Evidence]:
    codes = {re.sub(r"[\W_]+", " ", w.plain(code)).strip(): code for code in _values(tags, tag)}
    for row in w.ROWS[modality]:
        for word in row.words.split(", ") if tag in row.tags else ():
            if word in codes:
                yield Evidence(row.says, f"{tag} says", codes[word], row.strong)


def _in_band(tags: Tags, band: w.Band, said: set[str]) -> Iterator[Evidence]:
    planar = w.ECHO_PLANAR in said and band.sequence != w.ECHO_PLANAR
    if band.sequence and (planar or band.sequence not in said):
        return
    values = {keyword: _number(tags, keyword) for keyword in band.ranges}
    if all(low <= values[keyword] <= high for keyword, (low, high) in band.ranges.items()):
        first, *others = (f"{keyword} {value:g}{w.UNITS[keyword]}" for keyword, value in values.items())
        named = first + (f" with {' and '.join(others)}" if others else "")
        yield Evidence(band.says, f"{named} {band.verb}", strong=band.strong)


_BREATH = "bh|breath|hold|apnee|apnea|atem"
_TIME = re.compile(
    rf"(?P<other>(?<![a-z])({_BREATH}|ttc|ta|tr|te|ti)[\W_]*)?"
    r"((?<![a-z0-9.,])|(?<=[a-z]{3}))(?P<count>\d+([.,]\d+)?)[ _-]?"  # "post70s" is a time, "B30s" a kernel
    rf"(?P<unit>{'|'.join(w.TIME_UNITS_S)})(?![a-z0-9'])(?P<breath>[\W_]*({_BREATH}))?"
)
_INJECTED = {w.CONTRAST, w.GADOXETATE, w.DYNAMIC}


def _in_times(tags: Tags, tag: str, modality: str, said: set[str]) -> list[Evidence]:
    """`70s`, `3 min` in a name, unless they time a breath-hold; 20 min is hepatobiliary if no other agent is named."""
    found: dict[str, Evidence] = {}
    for hit in _TIME.finditer(w.plain(_text(tags, tag))):
        delay_s = float(hit["count"].replace(",", ".")) * w.TIME_UNITS_S[hit["unit"]]
        says = _phase_at(delay_s, modality)
        breath = hit["other"] or hit["breath"] or (modality == "MR" and delay_s < 30 and not said & _INJECTED)
        if says and not breath and not (says == w.HBP and w.OTHER_AGENT in said):
            found.setdefault(says, Evidence(says, f"{tag} '{_text(tags, tag)}' says", hit.group().strip()))
    return _of_one_series(tag, list(found.values()))


def _of_the_agent(tags: Tags, said: set[str]) -> Iterator[Evidence]:
    if _text(tags, w.AGENT) and w.NO_AGENT not in said and (w.BY_MOUTH not in said or w.BY_VEIN in said):
        yield Evidence(w.CONTRAST, f"{w.AGENT} '{_text(tags, w.AGENT)}' says", strong=False)


def _of_the_delay(tags: Tags, modality: str, found: list[Evidence]) -> Iterator[Evidence]:
    """A start before AcquisitionTime states that contrast was given; how long before is a hint of the phase."""
    delay_s = _seconds(_text(tags, "AcquisitionTime")) - _seconds(_text(tags, "ContrastBolusStartTime"))
    delay_s += 86400 if delay_s < -43200 else 0  # over midnight
    if 5 <= delay_s <= 3600:
        because = f"AcquisitionTime is {delay_s:.0f} s after ContrastBolusStartTime, which says"
        yield Evidence(w.CONTRAST, because)
        says = _phase_at(delay_s, modality)
        gadoxetate = any(e.says == w.GADOXETATE and e.because.startswith(w.AGENT) for e in found)
        if says and (says != w.HBP or gadoxetate):
            yield Evidence(says, because, strong=False)


def _of_the_echo(tags: Tags, said: set[str]) -> Iterator[Evidence]:
    """In or opposed phase, of a series that its name calls one of the two and that holds one echo.

    Water and fat, 3.4 ppm apart, are in phase every 1 / (3.4e-6 * 42.577e6 Hz/T * B0) s: 4.61 ms at 1.5 T, 2.30 at 3 T.
    """
    echo_ms, field_t = _number(tags, "EchoTime"), _number(tags, "MagneticFieldStrength")
    turns = echo_ms * 1e-3 * 3.4e-6 * 42.577e6 * field_t
    one_of_two = w.DUAL in said and said & {w.T1, w.GRADIENT_ECHO} and not _number(tags, "NumberOfEchoes") > 1
    if one_of_two and 0.3 < turns < 3:
        because = f"EchoTime {echo_ms:g} ms at MagneticFieldStrength {field_t:g} T suggests"
        for says, away in ((w.IN_PHASE, turns), (w.OPPOSED, turns - 0.5)):
            if abs(away - round(away)) <= 0.12:
                yield Evidence(says, because, strong=False)


def _phase_at(delay_s: float, modality: str) -> str:
    fitting = (says for says, (low, high) in w.DELAYS_S[modality].items() if low <= delay_s <= high)
    return next(fitting, "")


def _values(tags: Tags, keyword: str) -> tuple[str, ...]:
    value = tags.get(keyword, "")
    return tuple(str(v) for v in value) if isinstance(value, tuple) else tuple(str(value).split("\\"))


def _text(tags: Tags, keyword: str) -> str:
    return " ".join(_values(tags, keyword)).strip()


def _number(tags: Tags, keyword: str) -> float:
    """NaN where there is none."""
    try:
        return float(_values(tags, keyword)[0])
    except (ValueError, IndexError):
        return math.nan


def _seconds(time: str) -> float:
    """HHMMSS.frac as seconds of the day, NaN for anything else."""
    parts = re.fullmatch(r"(\d\d):?(\d\d):?(\d\d(?:\.\d*)?)", time)
    return int(parts[1]) * 3600 + int(parts[2]) * 60 + float(parts[3]) if parts else math.nan
