"""Report and pictures -> one self-contained HTML page that a radiologist would want to look at."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..labels import LABELS
from ..phases import PHASES
from ..records import Measurement, Report
from .pictures import Rgb, png_bytes

_NAMES = {label.key: label.name for label in LABELS.values()} | {"liver_parenchyma": "Liver without lesions"}
_COLOURS = {label.key: "#{:02x}{:02x}{:02x}".format(*label.colour) for label in LABELS.values()}
_STYLE = """
:root{--ink:#1b2733;--soft:#5b6b7a;--line:#dde4ea;--paper:#fff;--ground:#f3f6f8;--accent:#0b5d7a}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 48px}
header{display:flex;justify-content:space-between;align-items:flex-end;gap:24px;flex-wrap:wrap;margin-bottom:18px}
h1{font-size:24px;margin:0;letter-spacing:-.01em}h2{font-size:13px;text-transform:uppercase;letter-spacing:.08em;color:var(--soft);margin:0 0 12px}
.sub{color:var(--soft);margin-top:4px;overflow-wrap:anywhere}
.number{text-align:right}.number b{display:block;font-size:38px;line-height:1;font-weight:650;font-variant-numeric:tabular-nums}.number span{color:var(--soft)}
section{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin-bottom:16px}
.warnings{border-left:5px solid #d55e00;background:#fff7f1}.warnings ul{margin:0;padding-left:18px}.warnings code{color:#a34700;font-size:13px}
.picture{background:#000;border-radius:6px;overflow:hidden}.picture img{display:block;width:100%;height:auto}
.caption{display:flex;justify-content:space-between;flex-wrap:wrap;gap:4px 18px;color:var(--soft);font-size:13px;margin-top:8px}
.key{display:inline-flex;align-items:center;gap:6px;margin-right:14px}.key i{width:12px;height:12px;border-radius:2px;display:inline-block}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th{text-align:left;font-weight:600;color:var(--soft);font-size:13px}
th,td{padding:7px 10px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}tr:last-child td{border-bottom:0}td.n,th.n{text-align:right;white-space:nowrap}
dl{display:grid;grid-template-columns:170px 1fr;gap:6px 16px;margin:0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.bar{display:flex;height:14px;border-radius:4px;overflow:hidden;margin:4px 0 8px}
footer{color:var(--soft);font-size:13px}
@media print{body{background:#fff}section{break-inside:avoid;border-color:#bbb}main{padding:0;max-width:none}}
"""
_ROOM_COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#999999")


def save_page(report: Report, views: Rgb, slices: Rgb, path: Path) -> None:
    """Everything is inside the one file: pictures, style, no script, nothing fetched."""
    parts = [
        _header(report),
        _warnings(report),
        _picture("Three views through the middle of the liver", views, report,
                 "axial, coronal, sagittal; the patient's right is on the left, front on the left in the sagittal view"),
        _table(report.measurements),
        _picture("Slices from head to feet", slices, report, "axial, evenly spaced over the liver"),
        _provenance(report),
        _seconds(report),
    ]  # fmt: skip
    body = "\n".join(part for part in parts if part)
    path.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>LiverSeg report</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>{body}<footer>Made by LiverSeg {escape(report.version)}. Research software, not a medical device: "
        f"no number on this page may decide about a patient.</footer></main></body></html>\n",
        encoding="utf-8",
    )


def value_text(m: Measurement) -> str:
    """A volume as a reader quotes it; an undefined value as a dash."""
    if math.isnan(m.value):
        return "–"
    return f"{m.value:,.0f}" if abs(m.value) >= 100 else f"{m.value:.1f}"


def _header(report: Report) -> str:
    liver = next((m for m in report.measurements if m.structure == "liver" and m.quantity == "volume"), None)
    number = f'<div class="number"><b>{value_text(liver)} ml</b><span>liver volume</span></div>' if liver else ""
    used = report.phase["used"]
    phase = PHASES[used].meaning if used else "a mask without its scan"
    return (
        f"<header><div><h1>Liver segmentation</h1><div class='sub'>{escape(str(report.scan.path))}<br>{escape(phase)}</div></div>"
        f"{number}</header>"
    )


def _warnings(report: Report) -> str:
    if not report.warnings:
        return ""
    rows = "".join(f"<li>{escape(w.text)} <code>{escape(w.code)}</code></li>" for w in report.warnings)
    return f'<section class="warnings"><h2>Before you read the numbers</h2><ul>{rows}</ul></section>'


def _picture(title: str, picture: Rgb, report: Report, caption: str) -> str:
    data = base64.b64encode(png_bytes(picture)).decode()
    seen = {m.structure for m in report.measurements if not math.isnan(m.value)}
    keys = "".join(
        f'<span class="key"><i style="background:{_COLOURS[key]}"></i>{escape(_NAMES[key])}</span>'
        for key in _COLOURS
        if key in seen
    )
    return (
        f'<section><h2>{escape(title)}</h2><div class="picture"><img alt="{escape(title)}" src="data:image/png;base64,{data}"></div>'
        f'<div class="caption"><span>{escape(caption)}</span><span>{keys}</span></div></section>'
    )


def _table(measurements: Sequence[Measurement]) -> str:
    rows = "".join(
        f"<tr><td>{escape(_NAMES.get(m.structure, m.structure))}</td><td>{escape(m.quantity)}</td>"
        f'<td class="n">{value_text(m)}</td><td>{escape(m.unit)}</td><td>{escape(m.reason)}</td></tr>'
        for m in measurements
    )
    head = '<tr><th>Structure</th><th>Quantity</th><th class="n">Value</th><th>Unit</th><th></th></tr>'
    return f"<section><h2>Measurements</h2><table><thead>{head}</thead><tbody>{rows}</tbody></table></section>"


def _provenance(report: Report) -> str:
    pairs = {
        "Scan": f"{report.scan.path}",
        "Size, spacing": report.scan.lattice(),
        "Phase": f"{report.phase['used']}: {report.phase['how']}" if report.phase["used"] else "",
        **{f"Model {key}" if key != "name" else "Model": text for key, text in report.model.items()},
        "Computed on": report.device,
        "Software": f"LiverSeg {report.version}",
    }
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in pairs.items() if text)
    return f"<section><h2>Where this comes from</h2><dl>{rows}</dl></section>"


def _seconds(report: Report) -> str:
    rooms = {name: s for name, s in report.seconds.items() if name != "total"}
    total = sum(rooms.values())
    if total <= 0:
        return ""
    spans = "".join(
        f'<i style="width:{100 * s / total:.1f}%;background:{colour}" title="{escape(name)}: {s:.2f} s"></i>'
        for (name, s), colour in zip(rooms.items(), _ROOM_COLOURS)
    )
    keys = "".join(
        f'<span class="key"><i style="background:{colour}"></i>{escape(name)} {s:.1f} s</span>'
        for (name, s), colour in zip(rooms.items(), _ROOM_COLOURS)
    )
    memory = "" if math.isnan(report.peak_memory_mb) else f", at most {report.peak_memory_mb:,.0f} MB of memory"
    return f'<section><h2>Time: {total:.1f} s{memory}</h2><div class="bar">{spans}</div><div class="caption">{keys}</div></section>'
