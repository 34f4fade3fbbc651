"""Keys and numbers -> the words, figures and tables of the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from ..reporting import fat_quantity
from .analysis import HEADLINE
from .statistics import Interval

_ROUNDING = 1e-12


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    blank = {n for n in range(len(head)) if not any(row[n] for row in rows)}  # such as the model, where none is named
    return (
        f'<section><h2>{escape(title)}</h2><div class="wide"><table><thead>{_cells(head, blank, "th")}</thead>'
        f"<tbody>{''.join(_cells(row, blank, 'td') for row in rows)}</tbody></table></div></section>"
    )


def _cells(row: Iterable[str], blank: set[int], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for n, cell in enumerate(row) if n not in blank)}</tr>"


def quantity(key: str) -> str:
    return key.upper() if key in HEADLINE else fat_quantity(key)


def in_unit(unit: str) -> str:
    return "" if unit in ("", "1") else f" ({unit})"


def unit_name(unit: str) -> str:
    return "none" if unit == "1" else unit


def figure(value: float) -> str:
    """Four figures; what is nothing but rounding is 0."""
    return "–" if math.isnan(value) else f"{value if abs(value) > _ROUNDING else 0.0:.4g}"


def p_value(value: float) -> str:
    return "–" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def with_interval(value: float, interval: Interval) -> str:
    """A line may break before the interval, not in it."""
    if math.isnan(interval.low):
        return figure(value)
    return f"{figure(value)} ({figure(interval.low)}\u00a0to\u00a0{figure(interval.high)})"
