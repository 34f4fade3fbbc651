"""Rows of `benchmark.py claim`: fat and iron of whole livers that a network drew, against those under the reference mask.

The paper's claim, on simulated scans whose fat and iron are uneven: every fold of `mecse_unet` draws its own validation
cases, and the default model draws the same ones from their first echo. `liverseg fat` does the rest, as for users. Before:

    liverseg-train simulate multiecho runs/multiecho --cases 'btcv_*' --each 2
    liverseg-train fit LiverSegTraining/experiments/mecse_unet.toml --folds all
    liverseg-train validate LiverSegTraining/experiments/mecse_unet.toml --folds all
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmark import Options, Row

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "LiverSegExtension" / "LiverSeg"), str(ROOT / "LiverSegTraining")]

from liverseg_core.cohort.statistics import bland_altman  # noqa: E402
from liverseg_core.fat_pipeline import FatRequest, fat_files  # noqa: E402
from liverseg_core.library import DEFAULT_MODEL  # noqa: E402
from liverseg_core.reading import read_mask  # noqa: E402

EXPERIMENT = ROOT / "LiverSegTraining" / "experiments" / "mecse_unet.toml"
QUANTITIES = ("pdff_median", "r2star_median")
ECHOES = "echoes.nii.gz"


@dataclass(frozen=True)
class Simulated:
    """The folder of a case, and the model that never saw it."""

    folder: Path
    model: Path


def rows(options: Options) -> Iterator[Row]:
    cases = list(_cases())
    if options.quick:
        cases = cases[:4]
    if not cases:
        yield Row("no fold of mecse_unet was validated here", None, None, None, "", None)
        return
    with tempfile.TemporaryDirectory(prefix="liverseg-claim-") as folder:
        expected = [_read(case, Path(folder), None) for case in cases]
        for name in ("mecse_unet, by folds", DEFAULT_MODEL):
            drew = [str(case.model) if name != DEFAULT_MODEL else name for case in cases]
            found = [_read(case, Path(folder), model) for case, model in zip(cases, drew, strict=True)]
            yield from _compared(name, np.array(found), np.array(expected))


def _cases() -> Iterator[Simulated]:
    """Simulated validation cases of every fold that has a model."""
    from liverseg_training.experiment import load_experiment
    from liverseg_training.layouts import cases_of
    from liverseg_training.splits import split_cases

    for fold in load_experiment(EXPERIMENT).folds():
        model, data = fold.out_dir / "model", Path(fold.data.folder)
        if not (model / "card.json").is_file():
            continue
        for case in split_cases(cases_of(data, fold.data), fold.split, data).validation:
            if (case.image.parent / ECHOES).is_file():
                yield Simulated(case.image.parent, model)


def _read(case: Simulated, folder: Path, model: str | None) -> list[float]:
    """Medians of PDFF (%) and R2* (1/s) in the liver that `model` drew, or in the reference where it is None; then the DSC
    of the two livers."""
    labels = case.folder / "labels.nii.gz"
    request = FatRequest(
        (case.folder / ECHOES,), folder / "fat", mask=labels if model is None else None, model=model or "auto",
        report=False, overwrite=True,
    )  # fmt: skip
    told = {row.quantity: row.value for row in fat_files(request).measurements if row.structure == "liver"}
    liver = read_mask(labels).voxels == 1
    drawn = liver if model is None else read_mask(folder / "fat" / "segmentation.nii.gz").voxels == 1
    dsc = 2.0 * np.count_nonzero(liver & drawn) / (np.count_nonzero(liver) + np.count_nonzero(drawn))
    return [told[QUANTITIES[0]], told[QUANTITIES[1]], dsc]


def _compared(name: str, found: np.ndarray, expected: np.ndarray) -> Iterator[Row]:
    """`found` and `expected`: [case, (PDFF, R2*, DSC)]. A case without a number (an empty mask, too much iron) counts as
    unread."""
    whole = np.isfinite(found[:, :2]).all(axis=1) & np.isfinite(expected[:, :2]).all(axis=1)
    dsc = found[:, 2]
    told = f"{name}, {len(found)} simulated livers, DSC {np.nanmean(dsc):.3f} ({np.nanmin(dsc):.3f} to {np.nanmax(dsc):.3f})"
    yield Row(f"{told}: read under both masks", float(whole.sum()), float(len(whole)), None, "all", bool(whole.all()))
    fat, iron, at_fat, at_iron = *found[whole, :2].T, *expected[whole, :2].T
    between = bland_altman(fat, at_fat)
    limits = (between.high - between.low) / 2
    yield Row(f"{told}: bias of PDFF, points", between.bias, None, None, "<= 0.3 either way", abs(between.bias) <= 0.3)
    yield Row(f"{told}: limits of agreement of PDFF, +- points", limits, None, None, "<= 1.5", limits <= 1.5)
    relative = 100 * (iron / at_iron - 1)
    mean, worst = float(relative.mean()), float(np.abs(relative).max())
    yield Row(f"{told}: mean difference of R2*, %", mean, None, None, "<= 2 either way", abs(mean) <= 2)
    yield Row(f"{told}: largest difference of R2*, %", worst, None, None, "", None)
    yield Row(f"{told}: largest difference of PDFF, points", float(np.abs(fat - at_fat).max()), None, None, "", None)
    for kind, one, other in (("PDFF", fat, at_fat), ("R2*", iron, at_iron)):
        yield Row(f"{told}: correlation of {kind}", float(np.corrcoef(one, other)[0, 1]), None, None, "", None)
