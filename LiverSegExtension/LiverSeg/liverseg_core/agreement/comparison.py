"""Two label masks -> Comparison: every figure of every structure that both can speak of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..errors import InputError
from ..labels import LABELS, LESION, LIVER
from ..records import LabelMask, Measurement, Notice
from .identities import check_identities
from .lesions import LesionAgreement, case_figures, lesion_agreement, lesion_figures
from .pairs import cut_to_foreground, pair_of, structure
from .placement import placed
from .quantities import agreement_of
from .results import DEFAULTS, Agreement, Figure, Options

COLUMNS = ("structure", "quantity", "value", "unit", "definition", "reason")


@dataclass(frozen=True)
class Comparison:
    """How well two masks agree, and what a reader of it must know."""

    agreements: tuple[Agreement, ...]
    lesions: LesionAgreement | None  # None where lesions were not compared
    notices: tuple[Notice, ...]

    def values(self) -> dict[str, dict[str, float]]:
        """structure -> quantity -> value."""
        return {agreement.structure: agreement.values() for agreement in self.agreements}


def compare(
    prediction: LabelMask, reference: LabelMask, options: Options = DEFAULTS, *, codes: Sequence[int] | None = None
) -> Comparison:
    """Every quantity of every structure, on the reference's grid.

    `codes` are the structures that the reference annotates; left out, they are those that it holds, and where it is
    empty those of the prediction. What only the prediction holds is unknown, not wrong, and is named in a notice.
    InputError where the masks lie in different places or hold codes that are not in LABELS.
    """
    _refuse_wide(prediction, reference)
    ours, notices = placed(prediction, reference)
    image_voxels = reference.voxels.size
    cut, truth = cut_to_foreground(ours, reference)
    chosen, unknown = _chosen(cut, truth, codes)
    agreements = []
    for code in chosen:
        pair = pair_of(structure(cut, code), structure(truth, code), truth.grid.spacing_mm, image_voxels=image_voxels)
        agreements.append(check_identities(agreement_of(pair, LABELS[code].key, options)))
    lesions = lesion_agreement(cut, truth) if LESION in chosen else None
    return Comparison(tuple(agreements), lesions, (*notices, *unknown, *_thick(reference, options)))


def rows_of(comparison: Comparison) -> list[dict[str, str | float]]:
    """The rows of agreement.csv: COLUMNS -> value; an undefined value is NaN, which a writer leaves blank."""
    return [{"structure": name, **asdict(figure)} for name, figure in _figures(comparison)]


def measurements_of(comparison: Comparison) -> tuple[Measurement, ...]:
    """The same rows, as a report keeps them."""
    return tuple(
        Measurement(name, f.quantity, f.value, f.unit, f.reason, f.definition) for name, f in _figures(comparison)
    )


def _figures(comparison: Comparison) -> list[tuple[str, Figure]]:
    """Of the structures, of the lesions together, of each lesion; beside the structure's key."""
    figures = [(agreement.structure, figure) for agreement in comparison.agreements for figure in agreement.figures]
    if comparison.lesions is not None:
        key = LABELS[LESION].key
        figures += [(key, figure) for figure in case_figures(comparison.lesions)]
        figures += [(each.structure, figure) for each in comparison.lesions.lesions for figure in lesion_figures(each)]
    return figures


def _refuse_wide(*masks: LabelMask) -> None:
    """Fractions, negative numbers and instance numbers do not fit into a byte; what reading returns always does."""
    for mask in masks:
        if mask.voxels.dtype.itemsize > 1:
            raise InputError(f"a mask of {mask.voxels.dtype}; expected label codes as uint8, 0 to {max(LABELS)}")


def _chosen(
    prediction: LabelMask, reference: LabelMask, codes: Sequence[int] | None
) -> tuple[list[int], tuple[Notice, ...]]:
    """The codes to compare, and a notice about those of the prediction that the reference knows nothing of."""
    if codes is not None:
        return sorted(_known(set(codes))), ()
    held, expected = _codes_in(prediction), _codes_in(reference)
    chosen = sorted(expected or held or {LIVER})
    left_out = ", ".join(LABELS[code].key for code in sorted(held - set(chosen)))
    text = f"Only the prediction holds {left_out}: the reference may not know it, so it was not compared."
    return chosen, (Notice("not_compared", text),) if left_out else ()


def _codes_in(mask: LabelMask) -> set[int]:
    """The structures that a mask holds."""
    counts = np.zeros(256, np.int64)
    for plane in mask.voxels:  # a slice at a time: counting makes eight bytes of each voxel
        counts += np.bincount(plane.ravel(), minlength=256)
    return _known(set(np.flatnonzero(counts).tolist()) - {0})


def _known(codes: set[int]) -> set[int]:
    strange = sorted(codes - LABELS.keys())
    if strange:
        known = ", ".join(f"{code} {label.key}" for code, label in LABELS.items())
        raise InputError(f"unknown label codes {', '.join(map(str, strange))}; expected some of: {known}")
    return codes


def _thick(reference: LabelMask, options: Options) -> tuple[Notice, ...]:
    thickest = max(reference.grid.spacing_mm)
    if thickest <= options.tolerance_mm:
        return ()
    text = (
        f"Slices of {thickest:g} mm are thicker than the tolerance of {options.tolerance_mm:g} mm: "
        "NSD then depends on the slices more than on the border."
    )
    return (Notice("thick_slices", text),)
