"""Numbers -> plots as SVG: shapes and places carry the meaning, colours repeat it. Readable in print, and in grey."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from .statistics import BlandAltman, Summary

# Okabe and Ito: told apart by colour-blind readers, and each model has a shape of its own
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444")
_INK, _SOFT, _FAINT = "#1b2733", "#526170", "#c5ced6"
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 520, 74, 16, 14, 48
_ROW, _NAME = 34, 190


@dataclass(frozen=True)
class Strip:
    """One row of a plot of distributions."""

    name: str
    group: int  # which model
    values: Sequence[float]
    summary: Summary


@dataclass(frozen=True)
class Points:
    """One model's pairs."""

    name: str
    group: int
    x: Sequence[float]
    y: Sequence[float]
    labels: Sequence[str]  # what a pointer over it says


@dataclass(frozen=True)
class _Axis:
    """Values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """About five round numbers."""
        span = self.high - self.low
        rough = span / 5
        base = 10.0 ** math.floor(math.log10(rough))
        step = base * next(n for n in (1, 2, 2.5, 5, 10) if rough <= n * base * (1 + 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def axis(values: Sequence[float], start: float, end: float) -> _Axis:
    """Over all values, with a margin of 5 %."""
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return _Axis(low - margin, high + margin, start, end)


def strips(rows: Sequence[Strip], unit: str, title: str) -> str:
    """A row a distribution: every case a mark, the box from the first to the third quartile, a line at the median."""
    height = len(rows) * _ROW + _BOTTOM
    x = axis([value for row in rows for value in row.values], _NAME + 8, _WIDTH - _RIGHT)
    parts = _ticks_x(x, 4, height - _BOTTOM, unit)
    for n, row in enumerate(rows):
        middle = n * _ROW + _ROW / 2 + 2
        parts.append(_text(_NAME, middle + 4, row.name, "end"))
        q1, median, q3 = (x.at(v) for v in (row.summary.q1, row.summary.median, row.summary.q3))
        parts.append(
            f'<rect x="{q1:.1f}" y="{middle - 9:.1f}" width="{max(q3 - q1, 0.5):.1f}" height="18" fill="none" stroke="{_SOFT}"/>'
        )
        for place, value in enumerate(row.values):
            parts.append(_mark(x.at(value), middle + 10 * (_spread(place + 1) - 0.5), row.group))
        parts.append(_line(median, middle - 12, median, middle + 12, _INK, 3))
    return _svg(_WIDTH, height, title, parts)


def scatter(series: Sequence[Points], unit: str, title: str) -> str:
    """Prediction over reference at one scale, with the line on which both are equal."""
    values = [value for points in series for value in (*points.x, *points.y)]
    x, y, parts = _frame(values, values, f"reference ({unit})", f"prediction ({unit})")
    ends = (x.low, x.high)
    parts.append(_line(x.at(ends[0]), y.at(ends[0]), x.at(ends[1]), y.at(ends[1]), _SOFT, 1, "6 4"))
    return _svg(_WIDTH, 400, title, [*parts, *_marks(series, x, y)])


def bland_altman_plot(series: Sequence[Points], found: Sequence[BlandAltman], unit: str, title: str) -> str:
    """Difference over mean; for each model its bias (whole line) and its limits of agreement (broken lines)."""
    lines = [value for one in found for value in (one.bias, one.low, one.high)]
    heights = [*(value for points in series for value in points.y), *lines, 0.0]
    widths = [value for points in series for value in points.x]
    x, y, parts = _frame(widths, heights, f"mean of both ({unit})", f"prediction - reference ({unit})")
    parts.append(_line(_LEFT, y.at(0), _WIDTH - _RIGHT, y.at(0), _FAINT, 1))
    for points, one in zip(series, found):
        colour = _COLOURS[points.group % len(_COLOURS)]
        for value, dash in ((one.bias, ""), (one.low, "6 4"), (one.high, "6 4")):
            parts.append(_line(_LEFT, y.at(value), _WIDTH - _RIGHT, y.at(value), colour, 1.5, dash))
            if len(series) == 1:
                parts.append(_text(_WIDTH - _RIGHT - 2, y.at(value) - 4, f"{value:.4g} {unit}", "end"))
    return _svg(_WIDTH, 400, title, [*parts, *_marks(series, x, y)])


def legend(names: Sequence[str]) -> str:
    """The shape and colour of each model."""
    keys = (
        f'<span class="mark"><svg width="16" height="16" aria-hidden="true">{_mark(8, 8, n)}</svg>{escape(name)}</span>'
        for n, name in enumerate(names)
    )
    return f"<p>{''.join(keys)}</p>"


def _frame(xs: Sequence[float], ys: Sequence[float], x_name: str, y_name: str) -> tuple[_Axis, _Axis, list[str]]:
    height = 400
    x, y = axis(xs, _LEFT, _WIDTH - _RIGHT), axis(ys, height - _BOTTOM, _TOP)
    parts = _ticks_x(x, _TOP, height - _BOTTOM, x_name)
    for tick in y.ticks():
        parts += [
            _line(_LEFT - 4, y.at(tick), _LEFT, y.at(tick), _SOFT, 1),
            _text(_LEFT - 8, y.at(tick) + 4, f"{tick:g}", "end"),
        ]
    parts.append(_line(_LEFT, _TOP, _LEFT, height - _BOTTOM, _SOFT, 1))
    middle = (_TOP + height - _BOTTOM) / 2
    parts.append(
        f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>'
    )
    return x, y, parts


def _ticks_x(x: _Axis, top: float, bottom: float, name: str) -> list[str]:
    parts = [_line(x.start, bottom, x.end, bottom, _SOFT, 1)]
    for tick in x.ticks():
        parts += [
            _line(x.at(tick), top, x.at(tick), bottom + 4, _FAINT, 0.5),
            _text(x.at(tick), bottom + 18, f"{tick:g}"),
        ]
    return [*parts, _text((x.start + x.end) / 2, bottom + 38, name)]


def _marks(series: Sequence[Points], x: _Axis, y: _Axis) -> list[str]:
    return [
        _mark(x.at(one), y.at(other), points.group, label)
        for points in series
        for one, other, label in zip(points.x, points.y, points.labels)
    ]


def _mark(x: float, y: float, group: int, label: str = "") -> str:
    """Circle, square, triangle, diamond, cross: hollow, so that many on one place are seen."""
    colour = _COLOURS[group % len(_COLOURS)]
    told = f"<title>{escape(label)}</title>" if label else ""
    path = _SHAPES[group % len(_SHAPES)](x, y)
    return f'<path d="{path}" fill="{colour}" fill-opacity=".25" stroke="{colour}">{told}</path>'


def _polygon(*corners: tuple[float, float]) -> Callable[[float, float], str]:
    return lambda x, y: "M" + "L".join(f"{x + dx:.1f} {y + dy:.1f}" for dx, dy in corners) + "Z"


_SHAPES = (
    lambda x, y: f"M{x - 3.5:.1f} {y:.1f}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z",
    _polygon((-3.2, -3.2), (3.2, -3.2), (3.2, 3.2), (-3.2, 3.2)),
    _polygon((0, -4.4), (4.2, 3.2), (-4.2, 3.2)),
    _polygon((0, -4.6), (4.6, 0), (0, 4.6), (-4.6, 0)),
    _polygon(
        (-4, -1), (-1, -1), (-1, -4), (1, -4), (1, -1), (4, -1), (4, 1), (1, 1), (1, 4), (-1, 4), (-1, 1), (-4, 1)
    ),
)


def _spread(n: int) -> float:
    """The n-th place of an even spread over 0 to 1 (van der Corput): marks of equal values stand beside each other."""
    place, part = 0.0, 0.5
    while n:
        place, part, n = place + part * (n & 1), part / 2, n >> 1
    return place


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float, dash: str = "") -> str:
    broken = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" stroke-width="{width:g}"{broken} fill="none"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" aria-label="{escape(title)}" '
        f'font-size="12" fill="{_INK}">{"".join(parts)}</svg>'
    )
