"""What every page is made of: the document around it, warnings, undefined values, where it comes from, and the time it took."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import accumulate

from ..labels import name_of
from ..records import Measurement, Notice, Report
from .style import STYLE

_QUANTITIES = {
    "dsc": "DSC", "iou": "IoU", "fdr": "FDR", "rvd": "RVD", "avd_ml": "absolute volume difference", "hd": "HD",
    "hd95": "HD95", "asd_pred_to_ref": "ASD, prediction to reference", "assd": "ASSD", "nsd": "NSD",
    "asd_ref_to_pred": "ASD, reference to prediction", "centroid_mm": "distance of the centroids",
    "flr": "future liver remnant (FLR)", "flr_standardised": "FLR, standardised",
}  # fmt: skip
_MODEL = {"name": "Model", "sha256": "Model SHA-256", "licence": "Model licence"}
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # the browser, too, fetches and runs nothing
_GRAVE = (  # these doubt the result itself and come first; the others follow as they came
    "synthetic", "no_liver_found", "liver_cut_by_scan", "model_unfit", "implausible_volume", "low_confidence",
)  # fmt: skip


def document(title: str, parts: Iterable[str], version: str, more_style: str = "") -> str:
    """Everything is inside the one file: pictures, style, no script, nothing fetched. Empty parts are left out."""
    footer = (
        f"<footer>Made by LiverSeg {escape(version)}. Research software, not a medical device: "
        "no number on this page may decide about a patient.</footer>"
    )
    body = "\n".join(part for part in (*parts, footer) if part)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>LiverSeg {escape(title)}</title><style>{STYLE}{more_style}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def value_text(m: Measurement) -> str:
    """About three figures, as a reader quotes them; an undefined value as a dash."""
    if math.isnan(m.value):
        return "–"
    size = abs(m.value)
    return f"{m.value:,.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"


def warnings(notices: Sequence[Notice]) -> str:
    if not notices:
        return ""
    ordered = sorted(notices, key=lambda n: _GRAVE.index(n.code) if n.code in _GRAVE else len(_GRAVE))
    rows = "".join(f"<li>{escape(_sentence(n.text))} <code>{escape(n.code)}</code></li>" for n in ordered)
    return f'<aside aria-labelledby="before"><h2 id="before">Before you read the numbers</h2><ul>{rows}</ul></aside>'


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def undefined(measurements: Sequence[Measurement]) -> str:
    """What could not be computed here, and why: folded away, but never left out."""
    rows = "".join(
        f'<li>{escape(name_of(m.structure))}, <span title="{escape(m.definition)}">{escape(quantity_name(m.quantity))}</span>: '
        f"{escape(m.reason)}</li>"
        for m in measurements
    )
    title = f"Not computed here: {len(measurements)}"
    return f"<section><details><summary>{title}</summary><ul>{rows}</ul></details></section>" if rows else ""


def quantity_name(key: str) -> str:
    return _QUANTITIES.get(key, key.replace("_", " "))


def provenance(report: Report) -> str:
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


def seconds(report: Report) -> str:
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
