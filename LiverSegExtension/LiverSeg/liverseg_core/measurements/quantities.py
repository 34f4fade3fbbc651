"""Segments and a study -> Measurements. Adding a quantity is adding a row to QUANTITIES."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..errors import InputError
from ..phases import PHASES
from ..records import Measurement, Segment
from .body import ABSENT, LEAST_LESION_ML, LEAST_LESION_VOXELS, Body, Study, UndefinedError, counts
from .patient import STANDARD_VOLUMES
from .pieces import piece_of

_LESION = "lesion_[0-9]*"
_CUT = "the scan ends inside the liver"
_MINIMAL = "minimal remnants in J Surg Oncol 2019;119:594, table 1"
_LINES = "Lines: 20 % normal liver (Kishi), 30 % after more than 3 months of chemotherapy (Shindoh), 40 % fibrosis or cirrhosis (Kubota, Azoulay); not a decision"
_AT_120 = "The lines hold at 120 kVp, iron and amiodarone raise HU; not a decision"
_LIVER_LINES = f"Lines: 40 HU is 15 % PDFF (ARRS 2024, 4710), up to 48 HU is 30 % fat or more with specificity 100 % (Pickhardt 2012). {_AT_120}"
_DIFFERENCE_LINES = f"Lines: normal 1 to 18 HU (Park, Radiology, 315 donors), moderate steatosis below -10 HU (ACR 2023, at second hand). {_AT_120}"
_RATIO_LINES = f"Line: moderate steatosis below 1.0 (ACR 2023, at second hand). {_AT_120}"
_SMALL = f"below {LEAST_LESION_ML:g} ml or {LEAST_LESION_VOXELS} voxels: not counted as a lesion"


@dataclass(frozen=True)
class Quantity:
    """One thing that can be measured: of which structures, unit, how, where that comes from, and when it is undefined.

    `compute` answers for one structure or raises UndefinedError. `formula` is a template of the study's standard.
    """

    of: tuple[str, ...]  # patterns of structures' keys
    unit: str
    compute: Callable[[Body, str], float]
    formula: str
    source: str
    undefined: str
    remark: Callable[[Body, str], str] = lambda *_: ""  # stands beside a value that is defined
    needs: Callable[[Study], bool] = lambda _: True  # without it there is no row


def _volume_ml(body: Body, key: str) -> float:
    if key in ("remnant", "resected"):
        return body.split.remnant_ml if key == "remnant" else body.split.resected_ml
    return body.piece(key).volume_ml


def _remnant_lesion_ml(body: Body, _: str) -> float:
    body.lesion_ml()
    return body.split.remnant_lesion_ml


def _share_of_liver(body: Body, key: str) -> float:
    return 100 * body.piece(key).volume_ml / body.whole_liver_ml()


def _flr(body: Body, _: str) -> float:
    healthy = body.whole_liver_ml() - (body.lesion_ml() if body.lesions_known else 0.0)
    if not healthy:
        raise UndefinedError("all of the liver is lesion")
    return 100 * _remnant_ml(body) / healthy


def _sflr(body: Body, _: str) -> float:
    return 100 * _remnant_ml(body) / body.standard_ml()


def _remnant_ml(body: Body) -> float:
    body.whole_liver_ml()
    if not body.split.remnant_ml:
        raise UndefinedError("nothing of the liver stays but lesions")
    return body.split.remnant_ml


def _largest_mm(body: Body, _: str) -> float:
    if not body.lesions():
        raise UndefinedError("no lesion")
    return max(body.axial(lesion).longest_mm for lesion in body.lesions())


def _count(body: Body, _: str) -> float:
    return float(len(body.lesions()))


def _spleen_volume_ratio(body: Body, _: str) -> float:
    spleen_ml = body.piece("spleen").volume_ml
    return body.whole_liver_ml() / spleen_ml


def _spleen_hu_ratio(body: Body, _: str) -> float:
    spleen = body.attenuation_of("spleen").mean_hu
    if abs(spleen) < 10.0:
        raise UndefinedError(f"the spleen reads {spleen:.0f} HU: too near 0 to divide by")
    return body.attenuation_of("liver").mean_hu / spleen


def _hu_difference(body: Body, _: str) -> float:
    return body.attenuation_of("liver").mean_hu - body.attenuation_of("spleen").mean_hu


def _flr_remark(body: Body, _: str) -> str:
    return _LINES if body.lesions_known else f"Lesions are not known here: none was taken off. {_LINES}"


def _hu_remark(_: Body, key: str) -> str:
    return _LIVER_LINES if key == "liver" else ""


def _centroid(axis: int) -> Callable[[Body, str], float]:
    return lambda body, key: float(body.piece(key).centroid_mm[axis])


def _with_patient(study: Study) -> bool:
    return study.patient is not None


def _with_ct(study: Study) -> bool:
    return study.scan is not None and PHASES[study.scan.phase].modality == "CT"


def _liver_per(divisor: Callable[[Body], float]) -> Callable[[Body, str], float]:
    return lambda body, key: (_remnant_ml(body) if key == "remnant" else body.whole_liver_ml()) / divisor(body)


_BSA = "BSA = sqrt(kg x cm / 3600)"
_NO_SIZE = "no height or weight"
_HU = "mean over voxels of -50 to 200 HU, {margin} mm from the border in the slice, without lesions"
_HU_UNDEFINED = "not on ct_native; aorta above 100 HU; fewer than 100 voxels left"

QUANTITIES: Mapping[str, Quantity] = {
    "volume": Quantity(("*",), "ml", _volume_ml, "voxels x voxel volume; the remnant without lesions, a voxel that the plane cuts by its part", "voxel counting: no surface, no smoothing", ABSENT),
    "lesion_volume": Quantity(("remnant",), "ml", _remnant_lesion_ml, "volume of the lesions on the remnant's side", "voxel counting", "lesions unknown to the model or mask"),
    "tumour_burden": Quantity(("liver",), "%", lambda body, _: 100 * body.lesion_ml() / body.whole_liver_ml(), "100 x lesions / liver, the liver with its lesions", "as in LiTS", f"lesions unknown to the model or mask; no liver; {_CUT}"),
    "volume_ratio_to_spleen": Quantity(("liver",), "1", _spleen_volume_ratio, "liver volume / spleen volume", "descriptive, no grades", f"no spleen; {_CUT}"),
    "body_surface_area": Quantity(("patient",), "m2", lambda body, _: body.bsa_m2(), _BSA, "Mosteller 1987", _NO_SIZE, needs=_with_patient),
    "standard_volume": Quantity(("liver",), "ml", lambda body, _: body.standard_ml(), "{standard_formula}", "{standard_source}", f"{_NO_SIZE}; BSA below 1.2 m2; below 18 years", needs=_with_patient),
    "volume_per_bsa": Quantity(("liver", "remnant"), "ml/m2", _liver_per(Body.bsa_m2), f"volume / BSA, {_BSA}; the remnant without lesions", f"line for remnants of 250 ml/m2 in cirrhosis: Shirabe, in {_MINIMAL}", f"{_NO_SIZE}; {_CUT}", needs=_with_patient),
    "volume_per_weight": Quantity(("liver", "remnant"), "ml/kg", _liver_per(lambda body: body.body_size()[1]), "volume / body weight; the remnant without lesions", "descriptive, no grades", f"{_NO_SIZE}; {_CUT}", needs=_with_patient),
    "flr": Quantity(("remnant",), "%", _flr, "future liver remnant: 100 x remnant without lesions / (liver - lesions)", _MINIMAL, f"the plane misses the liver; {_CUT}; nothing stays", _flr_remark),
    "flr_standardised": Quantity(("remnant",), "%", _sflr, "100 x remnant without lesions / standard volume of {standard_formula}", f"{{standard_source}}; {_MINIMAL}", f"{_NO_SIZE}; BSA below 1.2 m2; below 18 years; the plane misses the liver; {_CUT}; nothing stays", _flr_remark),
    "share_of_liver": Quantity(("part_*",), "%", _share_of_liver, "100 x part / liver", "voxel counting", f"{ABSENT}; {_CUT}"),
    "count": Quantity(("lesion",), "1", _count, f"components (26 neighbours) of {LEAST_LESION_ML:g} ml and {LEAST_LESION_VOXELS} voxels or more", "voxel counting", "never"),
    "largest_axial_diameter": Quantity(("lesion",), "mm", _largest_mm, "largest axial_diameter of all lesions", "after RECIST 1.1", "no lesion"),
    "axial_diameter": Quantity((_LESION,), "mm", lambda body, key: body.axial(body.piece(key)).longest_mm, "longest line in an axial slice: distance of voxel centres + 0.3 pixels, at least 2 sqrt(area/pi)", "after RECIST 1.1", ABSENT),
    "axial_perpendicular": Quantity((_LESION,), "mm", lambda body, key: body.axial(body.piece(key)).perpendicular_mm, "extent across axial_diameter in its slice + 0.3 pixels, at least area / axial_diameter", "after RECIST 1.1", ABSENT),
    "diameter_3d": Quantity((_LESION,), "mm", lambda body, key: body.piece(key).longest_mm, "largest distance of two voxel centres", "Feret", ABSENT),
    "major_axis_ellipsoid": Quantity((_LESION,), "mm", lambda body, key: body.piece(key).axes_ellipsoid_mm[0], "2 sqrt(5 largest eigenvalue) of the covariance of the voxels", "solid ellipsoid, as scikit-image in 3-D", ABSENT),
    "minor_axis_ellipsoid": Quantity((_LESION,), "mm", lambda body, key: body.piece(key).axes_ellipsoid_mm[1], "2 sqrt(5 middle eigenvalue) of the covariance of the voxels", "solid ellipsoid", ABSENT),
    "least_axis_ellipsoid": Quantity((_LESION,), "mm", lambda body, key: body.piece(key).axes_ellipsoid_mm[2], "2 sqrt(5 smallest eigenvalue) of the covariance of the voxels", "solid ellipsoid", ABSENT),
    "major_axis_pyradiomics": Quantity((_LESION,), "mm", lambda body, key: body.piece(key).major_axis_pyradiomics_mm, "4 sqrt(largest eigenvalue) of the covariance of the voxel centres: 11 % below the ellipsoid's", "PyRadiomics MajorAxisLength", ABSENT),
    "centroid_x": Quantity((_LESION,), "mm", _centroid(0), "mean of the voxel centres, LPS", "voxel counting", ABSENT),
    "centroid_y": Quantity((_LESION,), "mm", _centroid(1), "mean of the voxel centres, LPS", "voxel counting", ABSENT),
    "centroid_z": Quantity((_LESION,), "mm", _centroid(2), "mean of the voxel centres, LPS", "voxel counting", ABSENT),
    "surface_distance": Quantity((_LESION,), "mm", lambda body, key: body.surface_distance_mm(body.piece(key)), "least distance of a voxel to a border voxel of the liver (6 neighbours), the edge of the scan is no border", "distances between voxel centres", f"{ABSENT}; the liver fills the scan"),
    "length": Quantity(("spleen", "kidney_*"), "mm", lambda body, key: body.piece(key).longest_mm, "largest distance of two voxel centres, in any direction", "Feret", ABSENT),
    "attenuation_mean": Quantity(("liver", "spleen"), "HU", lambda body, key: body.attenuation_of(key).mean_hu, _HU.format(margin="liver 5, spleen 3"), "lines: ARRS 2024, 4710; Pickhardt, Eur Radiol 2012", _HU_UNDEFINED, _hu_remark, _with_ct),
    "attenuation_median": Quantity(("liver", "spleen"), "HU", lambda body, key: body.attenuation_of(key).median_hu, _HU.format(margin="liver 5, spleen 3").replace("mean", "median"), "less sensitive to vessels than the mean", _HU_UNDEFINED, needs=_with_ct),
    "attenuation_minus_spleen": Quantity(("liver",), "HU", _hu_difference, "attenuation_mean of the liver - that of the spleen", "lines: Park, Radiology; ACR 2023, at second hand", f"{_HU_UNDEFINED}; no spleen", lambda *_: _DIFFERENCE_LINES, _with_ct),
    "attenuation_ratio_to_spleen": Quantity(("liver",), "1", _spleen_hu_ratio, "attenuation_mean of the liver / that of the spleen", "line: ACR 2023, at second hand", f"{_HU_UNDEFINED}; no spleen; spleen within 10 HU of 0", lambda *_: _RATIO_LINES, _with_ct),
}  # fmt: skip


def measure(segments: Iterable[Segment], study: Study | None = None) -> tuple[Measurement, ...]:
    """Every quantity of every structure, the undefined as NaN with the reason. Without a study, volumes alone.

    InputError where the scan lies on another grid, or the remnant asks for parts that are not there.
    """
    segments = tuple(segments)
    body = Body({segment.key: piece_of(segment) for segment in segments}, study or Study())
    keys = list(body.pieces)
    if study is not None:
        _check(body, segments)
        keys += ["remnant", "resected"] * (study.remnant is not None) + ["patient"] * (study.patient is not None)
    wanted = QUANTITIES if study is not None else {"volume": QUANTITIES["volume"]}
    return tuple(row for key in keys for row in _rows(body, key, wanted))


def _check(body: Body, segments: tuple[Segment, ...]) -> None:
    scan, liver = body.study.scan, next((s for s in segments if s.key == "liver"), None)
    if scan is not None and liver is not None and not scan.grid.matches(liver.grid, tolerance_mm=0.05):
        raise InputError(
            f"the mask ({liver.grid.size_text} voxels) does not lie on the grid of the scan ({scan.grid.size_text})"
        )
    if isinstance(body.study.remnant, tuple):
        body.remnant_parts()


def _rows(body: Body, key: str, wanted: Mapping[str, Quantity]) -> Iterator[Measurement]:
    piece = body.pieces.get(key)
    small = fnmatchcase(key, _LESION) and piece is not None and not counts(piece)
    for name, row in wanted.items():
        if not (_covers(row, key) and row.needs(body.study)) or (small and name != "volume"):
            continue
        try:
            value, reason = row.compute(body, key), _SMALL if small else row.remark(body, key)
        except UndefinedError as problem:
            value, reason = math.nan, str(problem)
        yield Measurement(key, name, value, row.unit, reason, _definition(row, body))


def _covers(row: Quantity, key: str) -> bool:
    """A star covers whatever lies in the scan; the patient as a whole does not."""
    return any(fnmatchcase(key, pattern) for pattern in row.of if pattern != "*" or key != "patient")


def _definition(row: Quantity, body: Body) -> str:
    standard = STANDARD_VOLUMES[body.study.standard]
    words = {"standard_formula": standard.formula, "standard_source": standard.source}
    return f"{row.formula.format(**words)}. Source: {row.source.format(**words)}. Undefined: {row.undefined}."
