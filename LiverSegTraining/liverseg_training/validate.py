"""A model folder, run over reference cases through the corridor that users walk through: what is measured is what they get.

Recipes of papers, which are never exported, are scored at their own cached grid, and said to be.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from liverseg_core.agreement import compare, dsc, on_grid_of, structure
from liverseg_core.agreement.lesions import LesionAgreement
from liverseg_core.errors import InputError
from liverseg_core.inference import device_named
from liverseg_core.labels import LABELS, LESION
from liverseg_core.model_card import Measured, ModelCard
from liverseg_core.models import Model
from liverseg_core.phases import CT_RANGE_HU, PHASES
from liverseg_core.pipeline import segment_scan
from liverseg_core.reading import read_mask, take_scan
from liverseg_core.records import LabelMask, Scan

from .cache import later_echoes
from .cases import Case
from .contrast import HELD_OUT
from .experiment import Experiment
from .export import filled_network
from .fit import cached_sides
from .looks import drawn_by, ready
from .sampling import Source
from .semi.imitated import IMITATED_FROM, IMITATIONS, imitation

IMITATED = "imitated "  # before a phase that was made of another one's grey values
Family = Callable[[torch.Tensor, torch.Tensor, np.random.Generator], torch.Tensor]


@dataclass(frozen=True)
class Score:
    """One structure of one case: every quantity of the agreement room, per volume; and DSC over the slices [k] in which
    the reference is not empty, for the tables that print that."""

    case: str
    phase: str  # or the held-out family that the case was re-synthesised in
    structure: str
    figures: Mapping[str, float]
    volume_ml: float
    reference_ml: float
    slice_dsc: float  # mean over `slices`
    slices: int
    seconds: float
    lesions: LesionAgreement | None = None  # of the row of the lesions: each for itself

    @property
    def dsc(self) -> float:
        return self.figures["dsc"]

    @property
    def hd95_mm(self) -> float:
        return self.figures["hd95"]

    def row(self) -> dict[str, str | float]:
        told: dict[str, str | float] = {
            "case": self.case,
            "phase": self.phase,
            "structure": self.structure,
            **self.figures,
        }
        ends = {"volume_ml": self.volume_ml, "reference_ml": self.reference_ml, "dsc_per_slice": self.slice_dsc}
        return {**told, **ends, "slices": self.slices, "seconds": self.seconds}


def validate(
    model: Model, cases: Sequence[Case], *, contrast: str = "", quality: str = "standard", device: str = "auto"
) -> Iterator[Score]:
    """Scores as they come, of every structure that the reference annotated, on the native grid."""
    for case in cases:
        scan, reference = case.read()
        if contrast:
            scan = resynthesised(scan, reference, contrast, seed=sum(map(ord, case.id)))
        others = () if contrast else later_echoes(case, scan, *model.card.stages)
        result = segment_scan(scan, model, quality=quality, device=device, allow_unfit=True, others=others)
        seconds = result.report.seconds["total"]
        yield from _scores(case, contrast or scan.phase, model.card.labels, result.mask, reference, seconds)


def validate_at_network_grid(experiment: Experiment, device: str = "auto") -> Iterator[Score]:
    """The same for a recipe that is never exported: its validation cases, at its own cached grid."""
    where, stage = device_named(device), experiment.stage()
    form = ready(filled_network(experiment), stage, where)
    for cached in cached_sides(experiment).validation:
        began = time.perf_counter()
        ours, reference, _ = drawn_by(form, Source(cached, stage), where)
        seconds = time.perf_counter() - began
        yield from _scores(cached.case, cached.case.phase, stage.labels, ours, reference, seconds)


def resynthesised(scan: Scan, reference: LabelMask, contrast: str, seed: int) -> Scan:
    """The same patient in a contrast family that training never makes, or as an imitated phase."""
    family = HELD_OUT.get(contrast) or imitation_named(contrast.removeprefix(IMITATED), scan)
    voxels = scan.voxels.astype(np.float32)
    low, high = CT_RANGE_HU if PHASES[scan.phase].modality == "CT" else np.percentile(voxels, (0.5, 99.8))
    unit = torch.from_numpy(np.clip((voxels - low) / (high - low), 0, 1).astype(np.float32))
    drawn = family(unit, torch.from_numpy(reference.voxels), np.random.default_rng(seed))
    return take_scan(drawn.numpy() * 1000, scan.grid, phase="mr_unknown", source=f"{scan.source} as {contrast}")


def contrasts(name: str) -> tuple[str, ...]:
    """What `--contrast NAME` stands for: `all` held-out families, every `imitated` phase, or itself."""
    return {"all": tuple(HELD_OUT), "imitated": tuple(f"{IMITATED}{phase}" for phase in IMITATIONS)}.get(name, (name,))


def imitation_named(phase: str, scan: Scan) -> Family:
    """One row of IMITATIONS as a contrast family; InputError for a scan or a name that has none."""
    if phase not in IMITATIONS:
        known = (*HELD_OUT, *(f"{IMITATED}{key}" for key in IMITATIONS))
        raise InputError(f"unknown contrast {phase!r}; held-out families and imitated phases: {', '.join(known)}")
    if scan.phase not in IMITATED_FROM:
        raise InputError(f"{scan.source} is {scan.phase}; phases are imitated from {' and '.join(IMITATED_FROM)} alone")
    return lambda unit, _, rng: imitation(unit, phase, rng)


def summary(scores: Sequence[Score], *, by: str = "phase") -> list[dict[str, str | float | int]]:
    """Mean and worst of every structure for each phase. NaN (absent from both) is left out and not counted."""
    rows: list[dict[str, str | float | int]] = []
    keys = sorted({(getattr(score, by), score.structure) for score in scores})
    for key, name in keys:
        own = [s for s in scores if getattr(s, by) == key and s.structure == name and not math.isnan(s.dsc)]
        if own:
            rows.append({
                "phase": key, "structure": name, "n": len(own), "dsc_mean": _mean([s.dsc for s in own]),
                "dsc_sd": float(np.std([s.dsc for s in own])), "dsc_median": float(np.median([s.dsc for s in own])),
                "dsc_worst": min(s.dsc for s in own), "worst_case": min(own, key=lambda s: s.dsc).case,
                "hd95_n": sum(not math.isnan(s.hd95_mm) for s in own), "hd95_mm_mean": _mean([s.hd95_mm for s in own]),
                "hd95_mm_worst": max((s.hd95_mm for s in own if not math.isnan(s.hd95_mm)), default=math.nan),
                **{f"{key}_mean": _mean([s.figures[key] for s in own]) for key in _ALSO},
                "dsc_per_slice_mean": _mean([s.slice_dsc for s in own]),
                "seconds_mean": _mean([s.seconds for s in own]),
            })  # fmt: skip
    return rows


_ALSO = ("iou", "precision", "recall", "rvd", "assd", "nsd")  # the other quantities of a summary


def written_into_card(folder: Path, scores: Sequence[Score], cases: str) -> ModelCard:
    """The card with what was measured, phase by phase, of the liver."""
    card = ModelCard.load(folder)
    measured = dict(card.measured)
    for row in summary([s for s in scores if s.structure == "liver"]):
        measured[str(row["phase"])] = Measured(
            round(float(row["dsc_mean"]), 4), round(float(row["dsc_worst"]), 4), int(row["n"]), cases
        )
    card = replace(card, measured=measured)
    card.save(folder)
    return card


def pairs(rows: Sequence[Sequence[str]]) -> tuple[Case, ...]:
    """Cases given on the command line as IMAGE MASK PHASE; the mask's codes are what it annotates."""
    cases = []
    for image, mask, phase in rows:
        codes = np.unique(read_mask(Path(mask)).voxels)
        cases.append(Case(Path(image).parent.name, Path(image), Path(mask), phase, tuple(int(c) for c in codes if c)))
    return tuple(cases)


def score_line(s: Score) -> str:
    return (
        f"{s.case:20s} {s.phase:16s} {s.structure:14s} DSC {s.dsc:.4f}  HD95 {s.hd95_mm:6.2f} mm  "
        f"{s.volume_ml:7.1f} of {s.reference_ml:7.1f} ml  {s.seconds:.1f} s"
    )


def summary_line(row: Mapping[str, str | float | int]) -> str:
    """HD95 has an n of its own: a structure that was missed altogether has none."""
    return (
        f"{row['phase']:16s} {row['structure']:14s} n={row['n']:<3d} DSC mean {row['dsc_mean']:.4f} worst {row['dsc_worst']:.4f} "
        f"({row['worst_case']})  HD95 mean {row['hd95_mm_mean']:.2f} worst {row['hd95_mm_worst']:.2f} mm (n={row['hd95_n']})"
    )


def _scores(
    case: Case, phase: str, codes: Sequence[int], mask: LabelMask, reference: LabelMask, seconds: float
) -> Iterator[Score]:
    known = [code for code in codes if code in case.annotated]
    ours, ml = on_grid_of(mask, reference), reference.grid.voxel_ml
    comparison = compare(ours, reference, codes=known)
    figures = comparison.values()
    for code in known:
        one, other = structure(ours, code), structure(reference, code)
        held = np.flatnonzero(other.any(axis=(1, 2)))
        slice_dsc = _mean([dsc(one[k], other[k]) for k in held])
        key, volumes_ml = LABELS[code].key, (float(one.sum()) * ml, float(other.sum()) * ml)
        lesions = comparison.lesions if code == LESION else None
        yield Score(case.id, phase, key, figures[key], *volumes_ml, slice_dsc, len(held), seconds, lesions)


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan
