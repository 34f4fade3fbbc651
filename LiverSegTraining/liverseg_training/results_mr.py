"""Validated runs of the any-phase MR system -> its tables: by phase as its paper prints them, and volumes across phases."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .coverage import volume_consistency
from .results import Row, Run, Table

_METHODS = {"none": "supervised only", "cps": "cross pseudo supervision"}
_GIVEN = "given: native grid, per volume, largest component kept"


def _of_the_system(runs: Sequence[Run]) -> list[Run]:
    """Those that say how many cases are labelled: the pre-training does not."""
    return [r for r in runs if r.experiment["network"]["kind"] == "stunet" and r.experiment["semi"]["labelled"]]


def _groups(runs: Sequence[Run]) -> Mapping[tuple[str, int, int, str], list[Run]]:
    """Runs that differ in their seeds alone: method, labelled cases, steps, and what they began from."""
    groups: dict[tuple[str, int, int, str], list[Run]] = defaultdict(list)
    for run in _of_the_system(runs):
        semi, began = run.experiment["semi"], bool(run.experiment["network"]["pretrained"])
        begins = "own pre-training" if began else "nothing"
        steps = int(run.experiment["experiment"]["max_steps"])
        groups[(_METHODS[semi["kind"]], int(semi["labelled"]), steps, begins)].append(run)
    return dict(sorted(groups.items(), key=lambda group: (-group[0][1], group[0])))


def by_phase(runs: Sequence[Run], quantity: str) -> list[Row]:
    """Method x labelled cases x seeds; a cell is the mean of the seeds' means, with their standard deviation."""
    groups = _groups(runs)
    phases = sorted({row["phase"] for own in groups.values() for run in own for row in run.rows})
    made: list[Row] = []
    for (method, labelled, steps, begins), own in groups.items():
        cells = {phase: _cell(own, phase, quantity) for phase in phases}
        made.append({
            "method": method, "labelled": str(labelled), "seeds": str(len(own)), "steps": str(steps), "began from": begins,
            **cells,
        })  # fmt: skip
    return made


def volumes_across_phases(runs: Sequence[Run]) -> list[Row]:
    """By method and two phases: |difference| / mean of the liver's volumes of one case, over cases and seeds."""
    made: list[Row] = []
    for (method, labelled, steps, _), own in _groups(runs).items():
        volumes: dict[str, dict[str, float]] = defaultdict(dict)
        for run in own:
            for score in run.scores:
                if score["structure"] == "liver" and score["volume_ml"]:
                    volumes[f"{run.folder} {score['case']}"][score["phase"]] = float(score["volume_ml"])
        for (one, other), (mean, worst, n) in volume_consistency(volumes).items():
            made.append({
                "method": method, "labelled": str(labelled), "steps": str(steps), "phases": f"{one} and {other}",
                "mean": f"{100 * mean:.1f} %", "worst": f"{100 * worst:.1f} %", "n": str(n),
            })  # fmt: skip
    return made


def _cell(runs: Sequence[Run], phase: str, quantity: str) -> str:
    found: list[Mapping[str, Any]] = [
        row for run in runs for row in run.rows if row["phase"] == phase and row["structure"] == "liver"
    ]
    values = [float(row[quantity]) for row in found if row[quantity] is not None and not math.isnan(row[quantity])]
    if not values:
        return ""
    spread = f" ± {float(np.std(values, ddof=1)):.3f}" if len(values) > 1 else ""
    return f"{float(np.mean(values)):.3f}{spread} (n={found[0]['n']})"


def dsc_by_phase(runs: Sequence[Run]) -> list[Row]:
    return by_phase(runs, "dsc_mean")


def hd95_by_phase(runs: Sequence[Run]) -> list[Row]:
    return by_phase(runs, "hd95_mm_mean")


_SEEDS = "Mean over the seeds of the mean over the validation cases (n of each seed), ± the standard deviation over the seeds"
_IMITATED = "Phases named `imitated` are made of the T2-SPIR scans' grey values (`semi/imitated.py`): they are not scans of those phases"
TABLES = (
    Table(
        "mr_dsc_by_phase", "STU-Net, liver DSC by phase", f"DSC of the liver, {_GIVEN}. {_SEEDS}. {_IMITATED}.", dsc_by_phase
    ),
    Table("mr_hd95_by_phase", "STU-Net, liver HD95 by phase", f"HD95 of the liver in mm, {_GIVEN}. {_SEEDS}. {_IMITATED}.", hd95_by_phase),
    Table(
        "mr_volumes_across_phases", "STU-Net, liver volumes of one patient from phase to phase",
        f"|difference| / mean of the two volumes, without any reference; n counts cases and seeds. {_IMITATED}.", volumes_across_phases,
    ),
)  # fmt: skip
