"""Two label masks -> lesion by lesion: what was found, how well each was drawn, and how large the missed ones are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry import Triple, ellipsoid_axes_mm
from ..labels import LESION, LIVER
from ..records import LabelMask
from .detection import RULES, Detection, Overlaps, Parts, matched, overlaps_of, parts_of
from .pairs import block_of, structure
from .results import Figure

DRAWN_WELL = 0.6  # the DSC at which the two-stage paper parts its tumours
SIZES_MM = (0.0, 10.0, 20.0, 50.0, math.inf)  # of the major axis; a bin holds its lower bound
_HEADLINE = "iou10"  # the rule by which partners are found
_SLICES = 32  # at a time: the indices of a voxel take 24 bytes
_AXIS = "2 sqrt(5 x largest eigenvalue of the covariance of the lesion's voxels), the axis of the solid ellipsoid"


@dataclass(frozen=True)
class Lesion:
    """One lesion of the reference. Its DSC is with its one predicted partner (IoU > 0.1), 0 without one."""

    structure: str  # lesion_1 is the largest
    volume_ml: float
    major_axis_mm: float
    dsc: float

    @property
    def found(self) -> bool:
        return self.dsc > 0


@dataclass(frozen=True)
class LesionAgreement:
    """The lesions of one pair of masks."""

    lesions: tuple[Lesion, ...]
    detections: Mapping[str, Detection]  # rule -> counts
    dropped: tuple[int, int]  # components too small to count: of the prediction, of the reference
    burden: tuple[float, float]  # lesion / whole liver: of the prediction, of the reference; NaN without a liver

    @property
    def burden_error_points(self) -> float:
        """Prediction minus reference, in percentage points. LiTS prints the other sign."""
        return 100.0 * (self.burden[0] - self.burden[1])


def lesion_agreement(prediction: LabelMask, reference: LabelMask) -> LesionAgreement:
    """Two masks of one grid; lesions are the components of code 2."""
    ours, theirs = structure(prediction, LESION), structure(reference, LESION)
    where = block_of(ours, theirs)
    ours, theirs = ours[where], theirs[where]
    parts = {
        kind: (parts_of(ours, reference.grid.voxel_ml, kind), parts_of(theirs, reference.grid.voxel_ml, kind))
        for kind in dict.fromkeys(rule.components for rule in RULES.values())
    }
    overlaps = {kind: overlaps_of(*both) for kind, both in parts.items()}
    headline = RULES[_HEADLINE].components
    return LesionAgreement(
        _lesions(parts[headline][1], overlaps[headline], reference.grid.spacing_mm),
        {key: rule.match(overlaps[rule.components]) for key, rule in RULES.items()},
        (parts[headline][0].dropped, parts[headline][1].dropped),
        (tumour_burden(prediction), tumour_burden(reference)),
    )


def tumour_burden(mask: LabelMask) -> float:
    """The share of the whole liver that is lesion; NaN where nothing but lesions was drawn."""
    lesion, parenchyma = (int(np.count_nonzero(mask.voxels == code)) for code in (LESION, LIVER))
    return lesion / (lesion + parenchyma) if parenchyma else math.nan


def axes_by_agreement(lesions: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """From (DSC, major axis in mm) of lesions or of cases: the mean axis below a DSC of 0.6, and from 0.6 on.

    As the two-stage paper prints them. It groups by outcome: it is no estimate of how size acts on DSC.
    """
    known = list(lesions)
    return (
        _mean([axis for dsc, axis in known if dsc < DRAWN_WELL]),
        _mean([axis for dsc, axis in known if dsc >= DRAWN_WELL]),
    )


def recall_by_size(lesions: Sequence[Lesion]) -> dict[tuple[float, float], float]:
    """(from, to) of the major axis in mm -> the share of the lesions of that size that was found; NaN without any."""
    return {
        (low, high): _mean([float(lesion.found) for lesion in lesions if low <= lesion.major_axis_mm < high])
        for low, high in zip(SIZES_MM, SIZES_MM[1:])
    }


def case_figures(found: LesionAgreement) -> tuple[Figure, ...]:
    """Everything about the lesions of a case together."""
    headline = found.detections[_HEADLINE]
    rule = RULES[_HEADLINE].definition
    figures = [
        Figure(
            "lesions_reference", headline.found + headline.missed, "1", f"number of lesions in the reference; {rule}"
        ),
        Figure("lesions_predicted", headline.real + headline.false, "1", f"number of predicted lesions; {rule}"),
        Figure("lesions_too_small_reference", found.dropped[1], "1", "components that were too small to count"),
        Figure("lesions_too_small_predicted", found.dropped[0], "1", "components that were too small to count"),
    ]
    for key, detection in found.detections.items():
        figures += _detection_figures(key, detection)
    figures.append(
        _figure("lesion_dsc_found", _mean([lesion.dsc for lesion in found.lesions if lesion.found]), "1",
                f"mean DSC of the lesions found; {rule}", "no lesion was found")
    )  # fmt: skip
    for (low, high), share in recall_by_size(found.lesions).items():
        name = f"over_{low:g}mm" if math.isinf(high) else f"{low:g}_to_{high:g}mm"
        text = f"found / all of the reference with a major axis from {low:g} to below {high:g} mm; {rule}; {_AXIS}"
        figures.append(_figure(f"lesion_recall_{name}", share, "1", text, "no lesion of this size in the reference"))
    below, above = axes_by_agreement((lesion.dsc, lesion.major_axis_mm) for lesion in found.lesions)
    for name, axis, side in (("below", below, "<"), ("from", above, ">=")):
        text = f"mean major axis of the lesions with DSC {side} {DRAWN_WELL:g} (0 where not found); {_AXIS}"
        figures.append(_figure(f"major_axis_dsc_{name}_06", axis, "mm", text, "no such lesion in the reference"))
    return (*figures, *_burden_figures(found))


def lesion_figures(lesion: Lesion) -> tuple[Figure, ...]:
    """Everything about one lesion of the reference."""
    return (
        Figure(
            "dsc", lesion.dsc, "1", f"2TP/(2TP+FP+FN) with its partner, 0 without one; {RULES[_HEADLINE].definition}"
        ),
        Figure("volume", lesion.volume_ml, "ml", "voxels x voxel volume, of the reference"),
        Figure("major_axis_mm_ellipsoid", lesion.major_axis_mm, "mm", f"{_AXIS}, of the reference"),
    )


def _lesions(reference: Parts, overlaps: Overlaps, spacing_mm: Triple) -> tuple[Lesion, ...]:
    partners = matched(overlaps, 0.1)
    drawn = np.flatnonzero(overlaps.p == partners[overlaps.g])
    dsc = np.zeros(partners.size)
    both = reference.voxels[overlaps.g[drawn]] + overlaps.predicted_voxels[overlaps.p[drawn]]
    dsc[overlaps.g[drawn]] = 2 * overlaps.shared[drawn] / both
    volumes_ml = reference.voxels * math.prod(spacing_mm) / 1000.0
    axes_mm = ellipsoid_axes_mm(_covariances_mm2(reference, spacing_mm), spacing_mm[::-1])[:, -1]
    rows = zip(volumes_ml.tolist(), axes_mm.tolist(), dsc.tolist())
    return tuple(Lesion(f"lesion_{n}", *row) for n, row in enumerate(rows, start=1))


def _covariances_mm2(parts: Parts, spacing_mm: Triple) -> np.ndarray:
    """Of the voxels' centres of each part, (n, 3, 3) along k, j, i: from sums of whole numbers, a few slices at a time."""
    count = parts.voxels.size
    sums, products = np.zeros((count, 3)), np.zeros((count, 3, 3))
    for first in range(0, len(parts.labels), _SLICES):
        held = np.nonzero(parts.labels[first : first + _SLICES])
        names = parts.labels[first : first + _SLICES][held] - 1
        index = (held[0] + first, held[1], held[2])
        for a in range(3):
            sums[:, a] += np.bincount(names, weights=index[a], minlength=count)
            for b in range(3):
                products[:, a, b] += np.bincount(names, weights=index[a] * index[b], minlength=count)
    means = sums / parts.voxels[:, None]
    spread = products / parts.voxels[:, None, None] - means[:, :, None] * means[:, None, :]
    return spread * np.outer(spacing_mm[::-1], spacing_mm[::-1])


def _detection_figures(key: str, detection: Detection) -> list[Figure]:
    rule = RULES[key].definition
    return [
        _figure(f"lesion_recall_{key}", detection.recall, "1", f"found / all of the reference; {rule}", "no lesion in the reference"),
        _figure(f"lesion_precision_{key}", detection.precision, "1", f"real / all predicted; {rule}", "no predicted lesion"),
        _figure(f"lesion_f1_{key}", detection.f1, "1", f"2PR/(P+R), 0 without a hit; {rule}", "no lesion in either mask"),
        Figure(f"lesion_false_positives_{key}", detection.false, "1", f"predicted lesions that match none; {rule}"),
    ]  # fmt: skip


def _burden_figures(found: LesionAgreement) -> tuple[Figure, ...]:
    text = "lesion voxels / voxels of the whole liver, lesions included"
    return (
        _figure("tumour_burden_prediction", 100.0 * found.burden[0], "%", text, "no liver in the prediction"),
        _figure("tumour_burden_reference", 100.0 * found.burden[1], "%", text, "no liver in the reference"),
        _figure("tumour_burden_error", found.burden_error_points, "percentage points", f"prediction minus reference; {text}", "no liver in one of the masks"),
    )  # fmt: skip


def _figure(quantity: str, value: float, unit: str, definition: str, undefined: str) -> Figure:
    return Figure(quantity, value, unit, definition, undefined if math.isnan(value) else "")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
