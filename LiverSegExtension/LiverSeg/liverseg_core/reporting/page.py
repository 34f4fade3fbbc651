"""Report and pictures -> one self-contained HTML page that a radiologist would want to look at."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import accumulate
from pathlib import Path

from ..labels import LABELS, name_of
from ..phases import PHASES
from ..records import Measurement, Notice, Report
from .marks import DASHED, Rgb
from .pictures import png_bytes
from .style import STYLE

_QUANTITIES = {
    "dsc": "DSC", "iou": "IoU", "fdr": "FDR", "rvd": "RVD", "avd_ml": "absolute volume difference (ml)", "hd": "HD (mm)",
    "hd95": "HD95 (mm)", "asd_pred_to_ref": "ASD, prediction to reference (mm)", "assd": "ASSD (mm)", "nsd": "NSD",
    "asd_ref_to_pred": "ASD, reference to prediction (mm)", "centroid_mm": "distance of the centroids (mm)",
    "flr": "future liver remnant (FLR)", "flr_standardised": "FLR, standardised",
}  # fmt: skip
_MODEL = {"name": "Model", "sha256": "Model SHA-256", "licence": "Model licence"}
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # the browser, too, fetches and runs nothing
_GRAVE = (  # these doubt the result itself and come first; the others follow as they came
    "synthetic", "no_liver_found", "liver_cut_by_scan", "model_unfit", "implausible_volume", "low_confidence",
)  # fmt: skip


def save_page(report: Report, views: Rgb, slices: Rgb, path: Path) -> None:
    """Everything is inside the one file: pictures, style, no script, nothing fetched. Warnings come before all else."""
    parts = [
        _warnings(report.warnings),
        _header(report),
        _picture("Three views through the middle of the liver", views, report,
                 "Axial, coronal and sagittal at one scale. R, L: the patient's right and left; A, P: front and back; "
                 "H, F: head and feet."),
        _table("Measurements", [m for m in report.measurements if _told(m)]),
        _undefined([m for m in report.measurements if not _told(m)]),
        _table("Agreement with the reference", _agreement(report)),
        _picture("Slices from head to feet", slices, report,
                 "Axial, evenly spaced over the liver, the patient's right on the left. Under each slice its number, 1 is "
                 "the lowest of the scan, and its position (LPS z), larger toward the head."),
        f'<div class="pair">{_provenance(report)}{_seconds(report)}</div>',
        f"<footer>Made by LiverSeg {escape(report.version)}. Research software, not a medical device: "
        "no number on this page may decide about a patient.</footer>",
    ]  # fmt: skip
    body = "\n".join(part for part in parts if part)
    path.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>LiverSeg report: {escape(Path(report.scan.path).name)}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n",
        encoding="utf-8",
    )


def value_text(m: Measurement) -> str:
    """About three figures, as a reader quotes them; an undefined value as a dash."""
    if math.isnan(m.value):
        return "–"
    size = abs(m.value)
    return f"{m.value:,.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"


def _warnings(notices: Sequence[Notice]) -> str:
    if not notices:
        return ""
    ordered = sorted(notices, key=lambda n: _GRAVE.index(n.code) if n.code in _GRAVE else len(_GRAVE))
    rows = "".join(f"<li>{escape(_sentence(n.text))} <code>{escape(n.code)}</code></li>" for n in ordered)
    return f'<aside aria-labelledby="before"><h2 id="before">Before you read the numbers</h2><ul>{rows}</ul></aside>'


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


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
        f'<tr><th scope="row">{escape(name_of(m.structure))}</th><td title="{escape(m.definition)}">{escape(_quantity(m.quantity))}</td>'
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


def _undefined(measurements: Sequence[Measurement]) -> str:
    """What could not be computed here, and why: folded away, but never left out."""
    rows = "".join(
        f'<li>{escape(name_of(m.structure))}, <span title="{escape(m.definition)}">{escape(_quantity(m.quantity))}</span>: '
        f"{escape(m.reason)}</li>"
        for m in measurements
    )
    title = f"Not computed here: {len(measurements)}"
    return f"<section><details><summary>{title}</summary><ul>{rows}</ul></details></section>" if rows else ""


def _quantity(key: str) -> str:
    return _QUANTITIES.get(key, key.replace("_", " "))


def _agreement(report: Report) -> Iterable[Measurement]:
    for key, values in (report.agreement or {}).items():
        for quantity, value in values.items():
            yield Measurement(key, quantity, value, "")


def _provenance(report: Report) -> str:
    pairs = {
        "Scan": f"{report.scan.path}",
        "Size, spacing": report.scan.lattice(),
        "Phase": f"{report.phase['used']}: {report.phase['how']}" if report.phase["used"] else "",
        **{_MODEL.get(key, f"Model {key}"): text for key, text in report.model.items()},
        "Computed on": report.device,
        "Software": f"LiverSeg {report.version}",
    }
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in pairs.items() if text)
    return f"<section><h2>Where this comes from</h2><dl>{rows}</dl></section>"


def _seconds(report: Report) -> str:
    """One bar over all rooms, a step a room, each beside its name and seconds. Borders, not grounds: they are printed."""
    rooms = {name: s for name, s in report.seconds.items() if name != "total"}
    total = sum(rooms.values())
    if total <= 0:
        return ""
    starts = accumulate(rooms.values(), initial=0.0)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="n">{s:.2f} s</td>'
        f'<td><i style="margin-left:{100 * start / total:.2f}%;width:{100 * s / total:.2f}%"></i></td></tr>'
        for (name, s), start in zip(rooms.items(), starts)
    )
    memory = "" if math.isnan(report.peak_memory_mb) else f", at most {report.peak_memory_mb:,.0f} MB of memory"
    head = '<th scope="col">Room</th><th scope="col" class="n">Seconds</th><th scope="col">In turn</th>'
    return (
        f'<section><h2>Time: {total:.1f} s{memory}</h2><table class="times"><thead><tr>{head}</tr></thead>'
        f'<tbody>{rows}</tbody></table><p class="note">Up to the drawing of this page.</p></section>'
    )
