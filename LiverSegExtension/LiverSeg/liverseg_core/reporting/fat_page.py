"""Fat and iron -> one self-contained HTML page: maps beside anatomy, what was measured, tables and histograms."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from ..labels import name_of
from ..records import Measurement, Report
from .marks import Rgb
from .parts import document, provenance, seconds, undefined, value_text, warnings
from .pictures import png_bytes

_KINDS = {"pdff": "PDFF", "ff": "fat fraction", "r2star": "R2*"}
_WORDS = {**_KINDS, "lic": "liver iron concentration", "sd": "standard deviation", "iqr": "interquartile range",
          "cv": "coefficient of variation", "sd_without_noise": "standard deviation without noise",
    "blocks_sd": "standard deviation over blocks of 1 ml", "discs_mean": "mean of nine discs", "p5": "5th percentile", "p10": "10th percentile", "p25": "25th percentile",
          "p75": "75th percentile", "p90": "90th percentile", "p95": "95th percentile"}  # fmt: skip
_STATISTICS = ("median", "mean", "sd")
_MORE_STYLE = """
.spreads{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,470px),1fr));gap:14px}.spreads svg{max-width:100%;height:auto;display:block}
.heads{display:grid;grid-auto-flow:column;grid-auto-columns:1fr;gap:6px;margin-bottom:6px;font-weight:600}.numbers{display:flex;gap:28px}
.wide{overflow-x:auto}@media print{img,svg{-webkit-print-color-adjust:exact;print-color-adjust:exact}.heads{font-size:8.5pt}}
"""
_NOTHING = Measurement("", "", math.nan, "")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 520, 220, 14, 44


@dataclass(frozen=True, eq=False)
class Spread:
    """Values of one map in what was measured: counts in fixed bins (the first and the last hold what lies outside)."""

    title: str
    unit: str
    counts: np.ndarray
    edges: np.ndarray
    median: float


def save_fat_page(
    report: Report, picture: Rgb, spreads: Sequence[Spread], facts: Mapping[str, object], path: Path
) -> None:
    """Everything is inside the one file. Warnings come before all else, as on the page of a segmentation."""
    rows = report.measurements
    parts = [
        warnings(report.warnings),
        _header(report),
        _maps(picture, spreads),
        _histograms(spreads),
        _liver(rows),
        _regions(rows),
        undefined([m for m in rows if math.isnan(m.value) and m.structure != "liver"]),
        f'<div class="pair">{provenance(report)}{seconds(report)}</div>',
        _made(facts),
    ]
    title = f"fat and iron: {Path(report.scan.path).name}"
    path.write_text(document(title, parts, report.version, _MORE_STYLE), encoding="utf-8")


def fat_quantity(key: str) -> str:
    """`pdff_sd` -> "PDFF, standard deviation"."""
    kind, _, rest = key.partition("_")
    return f"{_KINDS[kind]}, {_word(rest)}" if kind in _KINDS and rest else _word(key)


def _kinds(measurements: Sequence[Measurement]) -> list[str]:
    """What was measured of the liver."""
    held = {m.quantity for m in measurements if m.structure == "liver"}
    return [kind for kind in _KINDS if f"{kind}_median" in held]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _word(key: str) -> str:
    return _WORDS.get(key, key.replace("_", " "))


def _header(report: Report) -> str:
    """The one or two numbers that are asked for, never without what must be known of them."""
    found = {m.quantity: m for m in report.measurements if m.structure == "liver"}
    shown = [found[f"{kind}_median"] for kind in _kinds(report.measurements)]
    title = "Fat and iron of the liver" if "r2star_median" in found else "Fat of the liver, by two echoes"
    numbers = "".join(
        f'<p class="number"><b>{escape(value_text(m))} {escape(m.unit)}</b><span>{escape(fat_quantity(m.quantity))}'
        f"{escape(f': {m.reason}' if m.reason else '')}</span></p>"
        for m in shown
    )
    source = f'<p class="sub">{escape(report.scan.path)}<br>{escape(report.phase["how"])}</p>'
    return f'<header><div><h1>{title}</h1>{source}</div><div class="numbers">{numbers}</div></header>'


def _maps(picture: Rgb, spreads: Sequence[Spread]) -> str:
    data = base64.b64encode(png_bytes(picture)).decode()
    heads = ("First echo", *(f"{spread.title} ({spread.unit})" for spread in spreads))
    caption = (
        "Axial slices from head to feet, the patient's right on the left; the number under a slice counts from the lowest of "
        "the scan. Orange: the liver; other colours: other structures of the mask. White: what was measured, without the "
        "rim. Under each map its scale; what lies beyond takes the colour of the end."
    )
    return (
        '<section><figure><h2>Maps beside the anatomy</h2><div class="heads">'
        f'{"".join(f"<span>{escape(head)}</span>" for head in heads)}</div><div class="picture">'
        f'<img width="{picture.shape[1]}" height="{picture.shape[0]}" alt="{escape(", ".join(heads))}" '
        f'src="data:image/png;base64,{data}"></div><figcaption><span>{escape(caption)}</span></figcaption></figure></section>'
    )


def _histograms(spreads: Sequence[Spread]) -> str:
    drawn = "".join(
        f"<figure>{_histogram(spread)}<figcaption>{escape(_told(spread))}</figcaption></figure>" for spread in spreads
    )
    return f'<section><h2>How it is spread</h2><div class="spreads">{drawn}</div></section>' if drawn else ""


def _told(spread: Spread) -> str:
    width = spread.edges[1] - spread.edges[0]
    return f"{int(spread.counts.sum()):,} voxels of the measured part in bins of {width:g} {spread.unit}; line: median."


def _histogram(spread: Spread) -> str:
    """From the first to the last bin that holds more than a thousandth, some bins more on each side."""
    held = np.flatnonzero(spread.counts > spread.counts.sum() / 1000)
    first, last = (max(held[0] - 2, 0), min(held[-1] + 3, len(spread.counts))) if held.size else (0, len(spread.counts))
    counts, edges = spread.counts[first:last], spread.edges[first : last + 1]
    base, width = _HEIGHT - _BOTTOM, (_WIDTH - 2 * _LEFT) / len(counts)
    tall = (base - 10) / max(int(counts.max()), 1)
    bars = "".join(
        f'<rect x="{_LEFT + n * width:.1f}" y="{base - count * tall:.1f}" width="{max(width - 1, 0.5):.1f}" '
        f'height="{count * tall:.1f}" fill="#0072b2"/>'
        for n, count in enumerate(counts)
    )
    span = float(edges[-1] - edges[0])
    shown = edges[0] <= spread.median <= edges[-1]
    at = _LEFT + (spread.median - edges[0]) / span * (_WIDTH - 2 * _LEFT)
    line = f'<path d="M{at:.1f} 4V{base}" stroke="#1b2733" stroke-width="2"/>' if shown else ""
    ticks = "".join(
        f'<text x="{_LEFT + (tick - edges[0]) / span * (_WIDTH - 2 * _LEFT):.1f}" y="{base + 18}" text-anchor="middle">{tick:g}</text>'
        for tick in _ticks(float(edges[0]), float(edges[-1]))
    )
    name = f'<text x="{_WIDTH / 2}" y="{base + 38}" text-anchor="middle">{escape(f"{spread.title} ({spread.unit})")}</text>'
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" font-size="12" fill="#526170" '
        f'aria-label="{escape(f"Histogram of {spread.title}")}">{bars}{line}'
        f'<path d="M{_LEFT} {base}H{_WIDTH - _LEFT}" stroke="#526170"/>{ticks}{name}</svg>'
    )


def _liver(measurements: Sequence[Measurement]) -> str:
    """A line a statistic, fat beside R2*; then what is told of the liver once."""
    found = {m.quantity: m for m in measurements if m.structure == "liver"}
    kinds = _kinds(measurements)
    names = dict.fromkeys(q.partition("_")[2] for q in found if q.partition("_")[0] in kinds)
    rows = "".join(
        f'<tr><th scope="row">{escape(_word(name))}</th>'
        + "".join(_cell(found.get(f"{kind}_{name}", _NOTHING)) for kind in kinds)
        + "</tr>"
        for name in names
    )
    told = "".join(f'<th scope="col" class="n">{_capital(_KINDS[kind])}</th><th scope="col"></th>' for kind in kinds)
    head = f'<th scope="col">Statistic</th>{told}'
    once = "".join(
        f'<tr><th scope="row">{escape(_word(m.quantity))}</th>{_cell(m, m.definition)}</tr>'
        for m in found.values()
        if m.quantity.partition("_")[0] not in kinds
    )
    return (
        f"<section><h2>The whole liver</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"<table><tbody>{once}</tbody></table></section>"
    )


def _cell(m: Measurement, more: str = "") -> str:
    """The value, and its unit with what must be known of it."""
    told = "; ".join(text for text in (m.reason, more) if text)
    unit = "" if m.unit == "1" else m.unit
    return (
        f'<td class="n">{value_text(m)}</td><td>{escape(unit)}{f" <small>{escape(told)}</small>" if told else ""}</td>'
    )


def _ticks(low: float, high: float) -> np.ndarray:
    """Eight round numbers at most."""
    step = next((s for s in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0) if (high - low) / s <= 8), 200.0)
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step + 0.0


def _regions(measurements: Sequence[Measurement]) -> str:
    """A line a region, the liver itself left out: it has a table of its own."""
    found = {(m.structure, m.quantity): m for m in measurements}
    names = dict.fromkeys(m.structure for m in measurements if m.structure != "liver")
    columns = [*(f"{kind}_{name}" for kind in _kinds(measurements) for name in _STATISTICS), "voxels"]
    if not names:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(name_of(name))}</th>'
        + "".join(f'<td class="n">{value_text(found.get((name, key), _NOTHING))}</td>' for key in columns)
        + "</tr>"
        for name in names
    )
    units = {m.quantity: m.unit for m in measurements}
    head = "".join(
        f'<th scope="col" class="n">{escape(fat_quantity(key))}{escape(_unit(units.get(key, "1")))}</th>'
        for key in columns
    )
    return (
        f'<section><h2>Parts of the liver, and discs as a reader would draw them</h2><div class="wide"><table><thead><tr>'
        f'<th scope="col">Region</th>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _unit(unit: str) -> str:
    return "" if unit == "1" else f" ({unit})"


def _made(facts: Mapping[str, object]) -> str:
    """The model and its protocol, as in maps.json."""
    rows = "".join(
        f"<dt>{escape(key.replace('_', ' '))}</dt><dd>{escape(_fact(value))}</dd>"
        for key, value in facts.items()
        if value is not None
    )
    return f"<section><h2>How the maps were made</h2><dl>{rows}</dl></section>"


def _fact(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_fact(one) for one in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
