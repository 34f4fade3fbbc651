"""Outcomes -> cohort.html: one self-contained page, failures and the worst cases before what is pleasant."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from .. import __version__
from ..labels import name_of
from ..reporting import document
from .analysis import (
    FAT,
    HEADLINE,
    Difference,
    Distribution,
    Pairs,
    PooledLesions,
    differences,
    distributions,
    groups_of,
    pairs,
    pooled_lesions,
    worst,
)
from .plots import Points, Strip, bland_altman_plot, legend, scatter, strips
from .records import AGREEMENT, MEASURED, Outcome
from .words import figure, in_unit, p_value, quantity, table, unit_name, with_interval

_SOURCES = {"prediction": "measured", "reference": "reference", "agreement": "agreement"}
_MORE_STYLE = """
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,470px),1fr));gap:14px}.plots figure{break-inside:avoid}
.plot{max-width:100%;height:auto;display:block}.plots h3,h3{font-size:14px;margin:0 0 6px}.mark{display:inline-flex;align-items:center;gap:6px;margin-right:16px}
.wide{overflow-x:auto}.wide table{font-size:13px}.wide td,.wide th{padding:4px 12px 4px 0}.wide td:last-child{min-width:9em}
.cases{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:14px}.cases img{width:100%;height:auto;border:1px solid var(--line)}.cases figure{break-inside:avoid}
@media print{.wide table{font-size:7pt}.wide{overflow:visible}.wide td,.wide th{padding:1px 6px 1px 0}.cases{grid-template-columns:repeat(4,1fr)}img,svg{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""


def page(outcomes: Sequence[Outcome], folder: Path, title: str) -> str:
    """Everything is inside, pictures too; each links to its case's folder. `folder` is where the cases lie."""
    done = [outcome for outcome in outcomes if not outcome.error]
    groups = groups_of(outcomes)
    spread = distributions(done)
    parts = [
        _failures([outcome for outcome in outcomes if outcome.error]),
        _header(outcomes, done, title),
        _worst(done, folder),
        _plots("Distributions", _strips(spread, groups), groups),
        _volumes(pairs(done), groups),
        _lesions(pooled_lesions(done)),
        _differences(differences(done)),
        _summaries(spread),
        _methods(spread),
    ]
    return document(f"cohort: {title}", parts, __version__, _MORE_STYLE)


def _failures(lost: Sequence[Outcome]) -> str:
    if not lost:
        return ""
    rows = "".join(f"<li><b>{escape(outcome.folder)}</b>: {escape(outcome.error)}</li>" for outcome in lost)
    count = "1 case failed and is" if len(lost) == 1 else f"{len(lost)} cases failed and are"
    return f'<aside aria-labelledby="failed"><h2 id="failed">{count} in no number below</h2><ul>{rows}</ul></aside>'


def _header(outcomes: Sequence[Outcome], done: Sequence[Outcome], title: str) -> str:
    patients = len({outcome.person for outcome in done})
    models = ", ".join(dict.fromkeys(o.model or o.group for o in done if o.model or o.group))
    told = f"{patients} patients{f'; models: {models}' if models else ''}"
    return (
        f'<header><div><h1>Cohort</h1><p class="sub">{escape(title)}<br>{escape(told)}</p></div>'
        f'<p class="number"><b>{len(done)}</b><span>of {len(outcomes)} cases</span></p></header>'
    )


def _worst(done: Sequence[Outcome], folder: Path) -> str:
    figures = "".join(_figure(outcome, score, folder) for outcome, score in worst(done))
    if not figures:
        return ""
    note = (
        "Where there is a reference: the axial slice with the largest difference; grey, both masks; dark blue, only the "
        "reference; orange, only the prediction. The patient's right is on the left."
    )
    return f'<section><h2>Worst cases first</h2><div class="cases">{figures}</div><p class="note">{note}</p></section>'


def _figure(outcome: Outcome, score: str, folder: Path) -> str:
    """The picture inside the page, and the way to the case's folder."""
    link = quote(f"{outcome.folder}/{outcome.picture}" if outcome.picture else f"{outcome.folder}/")
    try:
        data = base64.b64encode((folder / outcome.folder / outcome.picture).read_bytes()).decode()
        image = f'<img alt="{escape(outcome.case)}" src="data:image/png;base64,{data}">'
    except OSError:
        image = "no picture"
    return f'<figure><a href="{link}">{image}</a><figcaption>{escape(outcome.folder)}: {escape(score)}</figcaption></figure>'


def _plots(title: str, plots: Sequence[str], groups: Sequence[str]) -> str:
    if not plots:
        return ""
    key = legend(groups) if len(groups) > 1 else ""
    return f'<section><h2>{escape(title)}</h2>{key}<div class="plots">{"".join(plots)}</div></section>'


def _strips(spread: Sequence[Distribution], groups: Sequence[str]) -> list[str]:
    """One plot a headline quantity; without a reference, one of the volumes; of fat and iron, one each."""
    shown = [(AGREEMENT, quantity) for quantity in HEADLINE]
    if not any(d.source == AGREEMENT for d in spread):
        shown = [(MEASURED, "volume")]
    plots = []
    for which in [*shown, *((MEASURED, name) for name in FAT)]:
        rows = [d for d in spread if (d.source, d.quantity) == which and d.values]
        if rows:
            plots.append(_strip_plot(rows, groups))
    return plots


def _strip_plot(rows: Sequence[Distribution], groups: Sequence[str]) -> str:
    title = f"{quantity(rows[0].quantity)}{in_unit(rows[0].unit)}"
    drawn = [
        Strip(f"{name_of(d.structure)}{f', {d.group}' if d.group else ''} (n = {d.summary.n})",
              groups.index(d.group), d.values, d.summary)
        for d in rows
    ]  # fmt: skip
    missing = sum(d.summary.missing for d in rows)
    note = f"Each mark is a case; box: first to third quartile; line: median. Undefined, not shown: {missing}."
    return f"<figure><h3>{escape(title)}</h3>{strips(drawn, title, title)}<figcaption>{note}</figcaption></figure>"


def _volumes(found: Sequence[Pairs], groups: Sequence[str]) -> str:
    """Scatter and Bland-Altman of what both masks measure, the numbers beside them."""
    plots, rows = [], []
    for key in dict.fromkeys((p.structure, p.quantity, p.unit) for p in found):
        mine = [p for p in found if (p.structure, p.quantity, p.unit) == key]
        unit, title = key[2], f"{name_of(key[0])}, {quantity(key[1])}"
        plots += [_scatter(mine, groups, unit, title), _bland_altman(mine, groups, unit, title)]
        rows += [_pair_row(p) for p in mine]
    head = (
        "Structure", "Quantity", "Model", "n", "Undefined", "Bias", "Limits of agreement", "ICC(2,1)", "Concordance", "Unit",
        "Note",
    )  # fmt: skip
    return _plots("Prediction and reference, measured", plots, groups) + table(
        "Agreement of what is measured", head, rows
    )


def _scatter(found: Sequence[Pairs], groups: Sequence[str], unit: str, title: str) -> str:
    series = [
        Points(p.group, groups.index(p.group), p.expected, p.measured, [f"{case}: {one:.6g} against {other:.6g} {unit}" for case, one, other in zip(p.cases, p.measured, p.expected)])
        for p in found
    ]  # fmt: skip
    told = "; ".join(
        f"{f'{p.group}: ' if p.group else ''}n = {p.agreement.n}, ICC(2,1) {with_interval(p.agreement.icc, p.agreement.icc_interval)}, "
        f"concordance {with_interval(p.agreement.ccc, p.agreement.ccc_interval)}"
        for p in found
    )
    return f"<figure><h3>{escape(title)}</h3>{scatter(series, unit, title)}<figcaption>{escape(told)}. Broken line: equal.</figcaption></figure>"


def _bland_altman(found: Sequence[Pairs], groups: Sequence[str], unit: str, title: str) -> str:
    series = []
    for p in found:
        x = [(one + other) / 2 for one, other in zip(p.measured, p.expected)]
        y = [one - other for one, other in zip(p.measured, p.expected)]
        labels = [f"{case}: {d:+.6g} {unit}" for case, d in zip(p.cases, y)]
        series.append(Points(p.group, groups.index(p.group), x, y, labels))
    told = "; ".join(
        f"{f'{p.group}: ' if p.group else ''}n = {p.limits.n}, bias {with_interval(p.limits.bias, p.limits.bias_interval)} {unit}, "
        f"limits {with_interval(p.limits.low, p.limits.low_interval)} and {with_interval(p.limits.high, p.limits.high_interval)} {unit}"
        for p in found
    )
    plot = bland_altman_plot(series, [p.limits for p in found], unit, f"{title}, Bland-Altman")
    return f"<figure><h3>{escape(title)}, Bland-Altman</h3>{plot}<figcaption>{escape(told)}.</figcaption></figure>"


def _pair_row(p: Pairs) -> list[str]:
    grows = p.limits.slope_p < 0.05
    note = (
        f"the differences change with the size (slope {p.limits.slope:.2g}, p {p_value(p.limits.slope_p)})"
        if grows
        else ""
    )
    repeated = (
        "several cases a patient: the limits take them as independent" if p.agreement.patients < p.agreement.n else ""
    )
    return [
        name_of(p.structure), quantity(p.quantity), p.group, str(p.limits.n), str(p.missing),
        with_interval(p.limits.bias, p.limits.bias_interval), f"{figure(p.limits.low)} to {figure(p.limits.high)}",
        with_interval(p.agreement.icc, p.agreement.icc_interval), with_interval(p.agreement.ccc, p.agreement.ccc_interval),
        unit_name(p.unit), "; ".join(filter(None, (note, repeated))),
    ]  # fmt: skip


def _lesions(found: Sequence[PooledLesions]) -> str:
    rows = [
        [f.name, f.group, with_interval(f.value, f.interval), str(f.count), str(f.cases), str(f.patients)]
        for f in found
    ]
    return table(
        "Lesions of all cases together (one-to-one, IoU above 0.1)",
        ("Quantity", "Model", "Value (95 % interval)", "Lesions", "Cases", "Patients"), rows,
    )  # fmt: skip


def _differences(found: Sequence[Difference]) -> str:
    head = (
        "Models", "Structure", "Quantity", "Cases", "Undefined", "Patients", "Mean difference (95 % interval)", "Median",
        "Hodges-Lehmann", "p (Wilcoxon)", "p (Holm)", "Unit", "Note",
    )  # fmt: skip
    rows = [
        [
            f"{d.one} - {d.other}", name_of(d.structure), quantity(d.quantity), str(d.cases), str(d.missing),
            str(d.test.patients), with_interval(d.test.mean, d.test.interval), figure(d.test.median), figure(d.test.hodges_lehmann),
            p_value(d.test.p), p_value(d.p_holm), unit_name(d.unit), d.test.reason,
        ]
        for d in found
    ]  # fmt: skip
    return table("Models compared on the same cases", head, rows)


def _summaries(spread: Sequence[Distribution]) -> str:
    head = (
        "Structure", "Quantity", "Of", "Model", "n", "Undefined", "Patients", "Mean (95 % interval)", "SD", "Median",
        "Quartiles", "Least", "Most", "Unit",
    )  # fmt: skip
    rows = []
    for d in spread:
        s = d.summary
        rows.append([
            name_of(d.structure), quantity(d.quantity), _SOURCES[d.source], d.group, str(s.n), str(s.missing),
            str(s.patients), with_interval(s.mean, s.interval), figure(s.sd), figure(s.median), f"{figure(s.q1)} to {figure(s.q3)}", figure(s.least),
            figure(s.most), unit_name(d.unit),
        ])  # fmt: skip
    return table("Every number", head, rows)


def _methods(spread: Sequence[Distribution]) -> str:
    """How the numbers came about, and the definition of each that has one."""
    told = dict.fromkeys((quantity(d.quantity), d.definition) for d in spread if d.definition)
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in told)
    text = (
        "Undefined values (an empty mask has no surface) are left out and counted. Intervals: 95 %, bootstrap over patients "
        "(BCa, 9999 resamples). ICC(2,1): absolute agreement of single measurements (Shrout and Fleiss 1979). Concordance: "
        "Lin 1989. Limits of agreement: bias -+ 1.96 SD (Bland and Altman 1986). Models: Wilcoxon's signed ranks, two-sided, "
        "a patient's cases averaged, exact for few patients without ties; Holm's adjustment over all tests of the table."
    )
    return f"<section><h2>How these numbers came about</h2><p>{text}</p><dl>{rows}</dl></section>"
