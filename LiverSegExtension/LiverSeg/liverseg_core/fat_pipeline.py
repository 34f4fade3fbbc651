"""The corridor of fat and iron: echoes from disk -> the liver on them -> maps and numbers -> files.

What needs torch is imported where the journey needs it, so that bad input is refused before it is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import __version__
from .errors import InputError, ModelError
from .fat.options import Options
from .fat.protocol import Protocol
from .fat.room import demand_room
from .labels import LIVER
from .library import find_model
from .model_card import ModelCard
from .output import check_output, written_whole
from .pipeline import segment_scan
from .reading import read_mask
from .reading.echoes import Told, read_echoes
from .records import LabelMask, Measurement, MultiEcho, Notice, Report, ScanFacts
from .reporting import (
    Coloured,
    Spread,
    beside_anatomy,
    save_fat_page,
    save_maps,
    save_masks,
    save_measured,
    save_png,
    save_record,
    save_rows,
    scale_top,
)
from .stages import demand_echoes, device_named
from .walk import Listener, Silence, Walk, peak_memory_mb

if TYPE_CHECKING:
    from .fat.results import FatResult

_PHASE = "mr_multiecho"
_SAME_GRID_MM = 0.05
_SCALES: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "pdff": ("PDFF", (20.0, 50.0, 100.0)),
    "ff": ("Fat fraction", (20.0, 50.0)),
    "r2star": ("R2*", (100.0, 200.0, 500.0, 1000.0)),
}
_PLAIN = ("mean", "median", "sd", "iqr", "p5", "p95")


@dataclass(frozen=True)
class FatRequest:
    """Everything `fat` was asked for."""

    echoes: tuple[Path, ...]
    out: Path
    phase_image: tuple[Path, ...] = ()
    mask: Path | None = None
    model: str = "auto"
    told: Told = field(default_factory=Told)
    options: Options = field(default_factory=Options)
    report: bool = True  # the page and the preview, for people; maps and tables are written in any case
    overwrite: bool = False


@dataclass(frozen=True, eq=False)
class _Liver:
    """The liver on the echoes: from a file, or drawn by a model."""

    mask: LabelMask
    model: Mapping[str, str]
    codes: tuple[int, ...] = ()  # of the model; empty for a mask from a file
    notices: tuple[Notice, ...] = ()

    @property
    def parenchyma(self) -> np.ndarray:
        """Without lesions, bool [k, j, i]."""
        return np.asarray(self.mask.voxels == LIVER)


def fat_files(request: FatRequest, listener: Listener | None = None) -> Report:
    """From echoes to a folder of maps, tables and a page. Raises a LiverSegError, and then `out` is as it was."""
    walk = Walk(listener or Silence())
    check_output(request.out, overwrite=request.overwrite, inputs=(*request.echoes, *request.phase_image, request.mask))
    card = None if request.mask is not None else _fit_card(find_model(request.model, _PHASE))
    if request.options.device != "auto":
        device_named(request.options.device)  # refused before anything is read
    with walk.room("reading"):
        echoes = read_echoes(request.echoes, request.phase_image, request.told)
        protocol = Protocol(echoes.te_ms, echoes.field_t, echoes.tr_ms, echoes.flip_deg)
        if card is not None:
            demand_echoes(card, len(echoes.te_ms))
        given = None if request.mask is None else _given(request.mask, echoes)
    device = device_named(request.options.device)
    with_phases = echoes.phase_rad is not None and request.options.method != "magnitude"
    demand_room(echoes.magnitude, phases=with_phases, device=device)
    liver = given or _drawn(echoes, request, walk)
    result = None
    with walk.room("fit"):
        if liver.parenchyma.any():
            result = _analysed(echoes, protocol, liver, replace(request.options, device=device))
    found = (*echoes.notices, *(result.notices if result is not None else ()))
    for notice in dict.fromkeys(found):  # those of a drawn liver were told when it was drawn
        walk.listener.warning(notice)
    notices = tuple(dict.fromkeys((*found, *liver.notices)))
    report = Report(
        version=__version__,
        model=dict(liver.model),
        phase={"used": _PHASE, "how": _protocol_text(protocol)},
        device=device,
        scan=_facts_of(echoes),
        measurements=result.rows if result is not None else _nothing(len(echoes.te_ms)),
        warnings=notices,
    )
    with written_whole(request.out) as folder:
        return _write(report, echoes, liver, result, folder, walk, page=request.report)


def _given(path: Path, echoes: MultiEcho) -> _Liver:
    mask = read_mask(path)
    if not mask.grid.matches(echoes.grid, tolerance_mm=_SAME_GRID_MM):
        raise InputError(
            f"{path} ({mask.grid.size_text} voxels) does not lie on the grid of {echoes.source} ({echoes.grid.size_text}); expected a "
            "mask of these echoes"
        )
    if not (mask.voxels == LIVER).any():
        raise InputError(f"{path} holds no liver (code {LIVER}); expected a mask with one")
    return _Liver(mask, {"name": f"mask {path}", "sha256": "", "licence": ""})


def _drawn(echoes: MultiEcho, request: FatRequest, walk: Walk) -> _Liver:
    """By the model, on the first echo and on as many more as it reads."""
    from .models import load_model

    with walk.room("reading"):
        model = load_model(find_model(request.model, _PHASE))
    count = len(echoes.te_ms)
    first, *others = (replace(echoes.echo(n), notices=()) for n in range(count))  # they are told once, with the fit's
    result = segment_scan(first, model, device=request.options.device, walk=walk, others=others)
    return _Liver(result.mask, result.report.model, model.card.labels, result.report.warnings)


def _fit_card(folder: Path) -> ModelCard:
    card = ModelCard.load(folder)
    if _PHASE not in card.fit_phases:
        raise ModelError(f"{card.name} is not fit for {_PHASE}; choose another model, or give a mask with --mask")
    return card


def _analysed(echoes: MultiEcho, protocol: Protocol, liver: _Liver, options: Options) -> FatResult:
    from .fat.analysis import analyse

    return analyse(echoes.magnitude, echoes.phase_rad, protocol, echoes.grid, liver.parenchyma, options)


def _nothing(echoes: int) -> tuple[Measurement, ...]:
    """The numbers that are promised of so many echoes, undefined: no liver was found."""
    reason = "no liver was found"
    kinds = (("ff", "%"),) if echoes == 2 else (("pdff", "%"), ("r2star", "1/s"))
    return tuple(
        Measurement("liver", f"{kind}_{name}", math.nan, unit, reason) for kind, unit in kinds for name in _PLAIN
    )


def _protocol_text(protocol: Protocol) -> str:
    times = ", ".join(f"{t:g}" for t in protocol.te_ms)
    return f"{len(protocol.te_ms)} echoes at {times} ms, {protocol.field_t:.4g} T"


def _facts_of(echoes: MultiEcho) -> ScanFacts:
    x, y, z = (round(s, 4) for s in echoes.grid.spacing_mm)
    return ScanFacts(echoes.source, echoes.grid.size, (x, y, z))


def _write(
    report: Report, echoes: MultiEcho, liver: _Liver, result: FatResult | None, folder: Path, walk: Walk, *, page: bool
) -> Report:
    """The tables last, so that the times in report.json include everything before."""
    facts: dict[str, object] = {"flags": [notice.code for notice in report.warnings]}
    with walk.room("reporting"):
        if liver.codes:
            save_masks(liver.mask, liver.codes, f"LiverSeg {__version__} {liver.model['name']}", folder)
        if result is not None:
            facts = {**result.facts, **facts}
            maps = {f.name: getattr(result.maps, f.name) for f in fields(result.maps)}
            save_maps(maps, echoes.grid, facts, folder)
            save_measured(result.measured, echoes.grid, folder)
        if page:
            _write_page(replace(report, seconds=walk.times()), echoes, liver, result, facts, folder)
    report = replace(report, seconds=walk.times(), peak_memory_mb=peak_memory_mb())
    save_rows([_row(m) for m in report.measurements], folder / "fat.csv")
    content = {key: value for key, value in asdict(report).items() if key != "agreement"}
    save_record({**content, "fat": {**facts, "histograms": _histograms(result)}}, folder / "report.json")
    return report


def _histograms(result: FatResult | None) -> dict[str, dict[str, list[float]]]:
    """Of what was measured: edges of the bins, in the unit of the map, and counts of voxels."""
    if result is None:
        return {}
    from .fat.statistics import histogram

    made = {kind: histogram(getattr(result.maps, kind)[result.measured], kind) for kind in _scales(result)}
    return {kind: {"edges": edges.tolist(), "counts": counts.tolist()} for kind, (counts, edges) in made.items()}


def _scales(result: FatResult) -> dict[str, tuple[str, tuple[float, ...]]]:
    """The rows of _SCALES that were measured."""
    return {kind: row for kind, row in _SCALES.items() if hasattr(result.maps, kind)}


def _write_page(
    report: Report,
    echoes: MultiEcho,
    liver: _Liver,
    result: FatResult | None,
    facts: Mapping[str, object],
    folder: Path,
) -> None:
    spreads, shown = [], {}
    measured = np.zeros(echoes.grid.array_shape, bool) if result is None else result.measured
    if result is not None:
        from .fat.statistics import UNITS, histogram

        for kind, (title, steps) in _scales(result).items():
            values = getattr(result.maps, kind)
            counts, edges = histogram(values[measured], kind)
            told = next(m for m in report.measurements if (m.structure, m.quantity) == ("liver", f"{kind}_median"))
            spreads.append(Spread(title, UNITS[kind], counts, edges, told.value))
            shown[kind] = Coloured(values, scale_top(values[measured], steps))
    picture = beside_anatomy(echoes.echo(0), liver.mask, measured, shown)
    save_png(picture, folder / "preview.png")
    save_fat_page(report, picture, spreads, facts, folder / "report.html")


def _row(m: Measurement) -> dict[str, str]:
    value = "" if math.isnan(m.value) else f"{m.value:.4f}"
    return {"region": m.structure, "quantity": m.quantity, "value": value, "unit": m.unit, "reason": m.reason}
