"""What is told about a run and about a validation, each as one self-contained page."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from liverseg_core.reporting.pictures import png_bytes
from liverseg_core.reporting.style import STYLE

_OWN = "svg.plot{max-width:100%;height:auto}pre{font-size:12px;overflow:auto;margin:0}.scroll{overflow-x:auto}"


def page(title: str, sub: str, sections: Iterable[tuple[str, str]]) -> str:
    """HTML of a title, a line below it, and sections of (heading, HTML)."""
    body = "".join(f"<section><h2>{escape(name)}</h2>{html}</section>" for name, html in sections)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}{_OWN}</style></head><body><main><header><div><h1>{escape(title)}</h1>"
        f'<p class="sub">{escape(sub)}</p></div></header>{body}'
        "<footer>LiverSeg: research software, not a medical device</footer></main></body></html>\n"
    )


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Columns are those of the first row; numbers stand right, and nothing stands for what is undefined."""
    if not rows:
        return "<p>None.</p>"
    heads = "".join(f"<th{_side(value)}>{escape(str(name))}</th>" for name, value in rows[0].items())
    lines = "".join(
        "<tr>" + "".join(f"<td{_side(v)}>{escape(cell(v))}</td>" for v in row.values()) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'


def cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"  # noqa: PLR0124
    return str(value)


def pictures(shown: Mapping[str, np.ndarray]) -> str:
    """Each picture with its name below."""
    figures = (
        f'<figure><div class="picture"><img alt="{escape(name)}" src="data:image/png;base64,{_encoded(picture)}"></div>'
        f"<figcaption>{escape(name)}: network orange, reference blue</figcaption></figure>"
        for name, picture in shown.items()
    )
    return "".join(figures)


def preformatted(record: Mapping[str, Any]) -> str:
    return f"<pre>{escape(json.dumps(record, indent=1))}</pre>"


def save(path: Path, html: str) -> None:
    """Beside, then renamed: whoever reloads the page sees all of it."""
    beside = path.with_suffix(".part")
    beside.write_text(html, encoding="utf-8")
    beside.replace(path)


def _side(value: Any) -> str:
    return ' class="n"' if isinstance(value, (int, float)) else ""


def _encoded(picture: np.ndarray) -> str:
    return base64.b64encode(png_bytes(picture)).decode("ascii")
