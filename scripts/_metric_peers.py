"""One way of comparing masks in a process of its own: `python _metric_peers.py JOB.json` prints one line of JSON.

Masks come as arrays that are in memory before the clock starts; imports and a first, tiny comparison do not count.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Values = dict[str, float]
Way = Callable[[np.ndarray, np.ndarray, tuple[float, ...], float], Values]  # masks [k, j, i], mm (k, j, i), tolerance


def ours() -> Way:
    """All fifteen quantities in one call; the peers answer five or fewer."""
    from liverseg_core.agreement import Options, agreement_of, pair_of

    def work(
        prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...], tolerance_mm: float
    ) -> Values:
        options = Options(tolerance_mm=tolerance_mm)
        return agreement_of(pair_of(prediction, reference, spacing_mm[::-1]), "liver", options).values()

    return work


def monai() -> Way:
    """Five calls; each finds the surfaces anew."""
    import torch
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
        compute_surface_dice,
    )

    def work(
        prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...], tolerance_mm: float
    ) -> Values:
        y_pred, y = (torch.from_numpy(mask)[None, None] for mask in (prediction, reference))
        how = {"include_background": True, "spacing": list(spacing_mm)}
        return {
            "dsc": float(compute_dice(y_pred, y)),
            "hd": float(compute_hausdorff_distance(y_pred, y, **how)),
            "hd95": float(compute_hausdorff_distance(y_pred, y, percentile=95, **how)),
            "assd": float(compute_average_surface_distance(y_pred, y, symmetric=True, **how)),
            "nsd": float(compute_surface_dice(y_pred, y, [tolerance_mm], **how)),
        }

    return work


def surface_distance() -> Way:
    """One expensive call, and five that read its answer."""
    import surface_distance as library

    def work(
        prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...], tolerance_mm: float
    ) -> Values:
        found = library.compute_surface_distances(reference, prediction, spacing_mm)
        from_reference, from_prediction = library.compute_average_surface_distance(found)
        return {
            "dsc": float(library.compute_dice_coefficient(reference, prediction)),
            "hd": float(library.compute_robust_hausdorff(found, 100)),
            "hd95": float(library.compute_robust_hausdorff(found, 95)),
            "asd_pred_to_ref": float(from_prediction),
            "asd_ref_to_pred": float(from_reference),
            "nsd": float(library.compute_surface_dice_at_tolerance(found, tolerance_mm)),
        }

    return work


def medpy() -> Way:
    """Four calls; it knows no NSD."""
    from medpy.metric import binary

    def work(prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...], _: float) -> Values:
        return {
            "dsc": float(binary.dc(prediction, reference)),
            "hd": float(binary.hd(prediction, reference, voxelspacing=spacing_mm)),
            "hd95": float(binary.hd95(prediction, reference, voxelspacing=spacing_mm)),
            "assd": float(binary.assd(prediction, reference, voxelspacing=spacing_mm)),
        }

    return work


def our_lesions() -> Way:
    """Every lesion in one call: two masks of code 2 in, the DSC of each lesion and all the rest out."""
    from liverseg_core.agreement import compare
    from liverseg_core.geometry import Grid
    from liverseg_core.records import LabelMask

    def work(prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...], _: float) -> Values:
        grid = Grid(reference.shape[::-1], spacing_mm[::-1])
        masks = (LabelMask(np.minimum(numbers, 1) * np.uint8(2), grid) for numbers in (prediction, reference))
        lesions = compare(*masks, codes=(2,)).lesions
        return {} if lesions is None else {lesion.structure: lesion.dsc for lesion in lesions.lesions}

    return work


def each_lesion(way: Way, quantities: tuple[str, ...], limit: int | None) -> Way:
    """One by one, of arrays that hold the number of a lesion: both partners have the same."""

    def work(
        prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...], tolerance_mm: float
    ) -> Values:
        found: Values = {}
        for n in range(1, 1 + (limit or int(reference.max()))):
            values = way(prediction == n, reference == n, spacing_mm, tolerance_mm)
            found |= {f"lesion_{n} {key}": values[key] for key in quantities}
        return found

    return work


def monai_dice() -> Way:
    import torch
    from monai.metrics import compute_dice

    def work(prediction: np.ndarray, reference: np.ndarray, _spacing: tuple[float, ...], _tolerance: float) -> Values:
        return {"dsc": float(compute_dice(*(torch.from_numpy(mask)[None, None] for mask in (prediction, reference))))}

    return work


FIVE = ("dsc", "hd", "hd95", "assd", "nsd")
WAYS: dict[str, Callable[[int | None], Way]] = {
    "ours": lambda _: ours(),
    "monai": lambda _: monai(),
    "surface-distance": lambda _: surface_distance(),
    "medpy": lambda _: medpy(),
    "our lesions": lambda _: our_lesions(),
    "our lesions, five figures each": lambda limit: each_lesion(ours(), FIVE, limit),
    "monai's lesions": lambda limit: each_lesion(monai_dice(), ("dsc",), limit),
    "monai's lesions, five figures each": lambda limit: each_lesion(monai(), FIVE, limit),
}


def main() -> None:
    warnings.simplefilter("ignore")
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    work = WAYS[job["way"]](job["limit"])
    tiny = np.zeros((12, 12, 12), np.load(job["reference"], mmap_mode="r").dtype)
    tiny[3:8, 3:8, 3:8] = 1
    work(tiny, tiny, (1.0, 1.0, 1.0), 1.0) if job["limit"] is None else None
    prediction, reference = (np.load(job[name]) for name in ("prediction", "reference"))
    before_mb = _memory_mb("VmRSS", reset=True)
    took, values, peak_mb = [], {}, float("nan")
    for n in range(job["repeat"]):
        began = time.perf_counter()
        values = work(prediction, reference, tuple(job["spacing_mm"]), job["tolerance_mm"])
        took.append(time.perf_counter() - began)
        if n == 0:
            peak_mb = _memory_mb("VmHWM") - before_mb
    print(json.dumps({"seconds": min(took), "peak_mb": peak_mb, "values": values}))


def _memory_mb(entry: str, *, reset: bool = False) -> float:
    """What Linux says of this process; NaN elsewhere. `reset` begins a new peak."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    return float(lines[entry].split()[0]) / 1024.0


if __name__ == "__main__":
    main()
