"""Report and pictures -> one self-contained HTML page that a radiologist would want to look at."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from html import escape
from pathlib import Path

from ..labels import LABELS, name_of
from ..phases import PHASES
from ..records import Measurement, Report
from .marks import DASHED, Rgb
from .parts import document, provenance, quantity_name, seconds, undefined, value_text, warnings
from .pictures import png_bytes


def save_page(report: Report, views: Rgb, slices: Rgb, path: Path) -> None:
    """Warnings come before all else."""
    parts = [
        warnings(report.warnings),
        _header(report),
        _picture("Three views through the middle of the liver", views, report,
                 "Axial, coronal and sagittal at one scale. R, L: the patient's right and left; A, P: front and back; "
                 "H, F: head and feet."),
        _table("Measurements", [m for m in report.measurements if _told(m)]),
        undefined([m for m in report.measurements if not _told(m)]),
        _table("Agreement with the reference", report.agreement or ()),
        _picture("Slices from head to feet", slices, report,
                 "Axial, evenly spaced over the liver, the patient's right on the left. Under each slice its number, 1 is "
                 "the lowest of the scan, and its position (LPS z), larger toward the head."),
        f'<div class="pair">{provenance(report)}{seconds(report)}</div>',
    ]  # fmt: skip
    title = f"report: {Path(report.scan.path).name}"
    path.write_text(document(title, parts, report.version), encoding="utf-8")


def _header(report: Report) -> str:
    liver = next((m for m in report.measurements if m.structure == "liver" and m.quantity == "volume"), None)
    used = report.phase["used"]
    phase = PHASES[used].meaning if used else "a mask without its scan"
    return (
        f'<header><div><h1>Liver segmentation</h1><p class="sub">{escape(str(report.scan.path))}<br>{escape(phase)}</p></div>'
        f"{_number(liver, len(report.warnings)) if liver else ''}</header>"
    )


def _number(liver: Measurement, warnings: int) -> str:
    """The liver's volume, never without what must be known of it."""
    notes = ["liver volume" if not liver.reason else f"liver volume: {liver.reason}"]
    if warnings:
        notes.append("1 warning above" if warnings == 1 else f"{warnings} warnings above")
    value = value_text(liver) if math.isnan(liver.value) else f"{value_text(liver)} {liver.unit}"
    return f'<p class="number"><b>{escape(value)}</b><span>{escape(", ".join(notes))}</span></p>'


def _picture(title: str, picture: Rgb, report: Report, caption: str) -> str:
    data = base64.b64encode(png_bytes(picture)).decode()
    seen = {m.structure for m in report.measurements if not math.isnan(m.value)}
    shown = [(code, label) for code, label in LABELS.items() if label.key in seen]
    keys = "".join(
        f'<span class="key"><i><b style="border-color:rgb{label.colour};border-top-style:{_line(code)}"></b></i>'
        f"{escape(label.name)}</span>"
        for code, label in shown
    )
    outlined = ", ".join(f"{label.name} ({_line(code)} line)" for code, label in shown) or "nothing"
    return (
        f"<section><figure><h2>{escape(title)}</h2>"
        f'<div class="picture"><img width="{picture.shape[1]}" height="{picture.shape[0]}" '
        f'alt="{escape(f"{title}. Outlined: {outlined}.")}" src="data:image/png;base64,{data}"></div>'
        f"<figcaption><span>{escape(caption)}</span><span>{keys}</span></figcaption></figure></section>"
    )


def _line(code: int) -> str:
    return "dashed" if code in DASHED else "solid"


def _table(title: str, measurements: Iterable[Measurement]) -> str:
    """A quantity is a row."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name_of(m.structure))}</th><td title="{escape(m.definition)}">{escape(quantity_name(m.quantity))}</td>'
        f'<td class="n">{value_text(m)}</td><td>{escape(m.unit.removeprefix("1"))}</td><td>{escape(m.reason)}</td></tr>'
        for m in measurements
    )
    if not rows:
        return ""
    head = "".join(
        f'<th scope="col"{" class=n" if name == "Value" else ""}>{name}</th>'
        for name in ("Structure", "Quantity", "Value", "Unit", "Note")
    )
    return (
        f'<section><h2>{escape(title)}</h2><table class="rows"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )


def _unit(m: Measurement) -> str:
    return escape(m.unit.removeprefix("1"))  # "1" is the unit of what has none


def _told(m: Measurement) -> bool:
    """What has a value, and every volume whether it has one or not."""
    return not math.isnan(m.value) or m.quantity == "volume"
