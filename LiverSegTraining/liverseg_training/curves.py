"""Numbers over steps -> a plot as SVG: each line named at its end, so that it reads in grey and in print."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from liverseg_core.cohort.plots import axis

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444")
_DASHES = ("", "7 3", "2 3", "9 3 2 3")
_INK, _SOFT, _FAINT = "#1b2733", "#526170", "#c5ced6"
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 300, 62, 190, 12, 42
_LINE_PX = 15  # between the names at the end of the lines
_MOST = 400  # points of a line: more are averaged over neighbours

Series = Sequence[tuple[float, float]]


def curves(lines: Mapping[str, Series], x_name: str, y_name: str) -> str:
    """One plot for all lines; NaN is left out. Without any point a sentence says so."""
    known = {name: thinned([p for p in line if not math.isnan(p[1])]) for name, line in lines.items()}
    known = {name: line for name, line in known.items() if line}
    if not known:
        return f"<p>No {escape(y_name)} yet.</p>"
    points = [point for line in known.values() for point in line]
    x = axis([p[0] for p in points], _LEFT, _WIDTH - _RIGHT)
    y = axis([p[1] for p in points], _HEIGHT - _BOTTOM, _TOP)
    parts = [_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, x_name), _text(_LEFT, _TOP, y_name, "start")]
    for tick in x.ticks():
        parts.append(_text(x.at(tick), _HEIGHT - _BOTTOM + 18, f"{tick:g}"))
    for tick in y.ticks():
        parts += [_path([(_LEFT, y.at(tick)), (_WIDTH - _RIGHT, y.at(tick))], _FAINT, 0.5)]
        parts.append(_text(_LEFT - 6, y.at(tick) + 4, f"{tick:.4g}", "end"))
    ends = _spread({name: y.at(line[-1][1]) for name, line in known.items()})
    for n, (name, line) in enumerate(known.items()):
        colour, dash = _COLOURS[n % len(_COLOURS)], _DASHES[n // len(_COLOURS) % len(_DASHES)]
        parts.append(_path([(x.at(a), y.at(b)) for a, b in line], colour, 1.6, dash))
        parts.append(_path([(x.at(line[-1][0]), y.at(line[-1][1])), (_WIDTH - _RIGHT + 6, ends[name])], colour, 0.6))
        parts.append(_text(_WIDTH - _RIGHT + 9, ends[name] + 4, f"{name} {line[-1][1]:.4g}", "start"))
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
    return f'<svg class="plot" {size} role="img" aria-label="{escape(y_name)}" font-size="12" fill="{_INK}">{"".join(parts)}</svg>'


def thinned(line: Series, most: int = _MOST) -> list[tuple[float, float]]:
    """At most `most` points, each the mean of its neighbours."""
    size = max(1, -(-len(line) // most))
    groups = [line[n : n + size] for n in range(0, len(line), size)]
    return [(sum(p[0] for p in g) / len(g), sum(p[1] for p in g) / len(g)) for g in groups]


def _spread(ends: Mapping[str, float]) -> dict[str, float]:
    """Where names stand: at the end of their line, or as much lower as the name above needs."""
    placed: dict[str, float] = {}
    free = -math.inf
    for name in sorted(ends, key=lambda n: ends[n]):
        placed[name] = max(ends[name], free)
        free = placed[name] + _LINE_PX
    return placed


def _path(points: Sequence[tuple[float, float]], colour: str, width: float, dash: str = "") -> str:
    broken = f' stroke-dasharray="{dash}"' if dash else ""
    way = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{way}" stroke="{colour}" stroke-width="{width:g}"{broken} fill="none"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
