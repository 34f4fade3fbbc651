"""Volumes, ratios, the remnant and attenuation: known answers, refusals, and what is left blank."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from liverseg_core.errors import InputError
from liverseg_core.geometry import Grid
from liverseg_core.measurements import (
    QUANTITIES,
    STANDARD_VOLUMES,
    Patient,
    Plane,
    Study,
    measure,
    patient_from,
    plane_from,
)
from liverseg_core.measurements.attenuation import eroded_in_slices
from liverseg_core.measurements.patient import bsa_dubois_m2, bsa_mosteller_m2
from liverseg_core.records import LabelMask, Measurement, Scan
from liverseg_core.segments import cut_parts, cut_segments
from phantoms import GRIDS, OBLIQUE, ellipsoid, ellipsoid_ml
from scipy import ndimage

ML = Grid((20, 14, 14), (10.0, 10.0, 10.0), (-100.0, 30.0, 400.0))  # a voxel is 1 ml
LIVER = (slice(2, 12), slice(2, 12), slice(2, 17))  # 1500 ml, a layer across i is 100 ml
ADULT = Patient(height_cm=170.0, weight_kg=70.0)
ALONG_I = 1.0, 0.0, 0.0


def mask_of(*blocks: tuple[int, tuple[slice, slice, slice]], grid: Grid = ML) -> LabelMask:
    voxels = np.zeros(grid.array_shape, np.uint8)
    for code, where in blocks:
        voxels[where] = code
    return LabelMask(voxels, grid)


def rows_of(mask: LabelMask, codes: list[int], study: Study | None = None) -> dict[tuple[str, str], Measurement]:
    return {(m.structure, m.quantity): m for m in measure(cut_segments(mask, codes), study or Study())}


def with_lesion(*lesions: tuple[slice, slice, slice]) -> LabelMask:
    return mask_of((1, LIVER), *((2, lesion) for lesion in lesions))


LESIONS = (slice(3, 4), slice(2, 12), slice(2, 3)), (slice(2, 12), slice(2, 12), slice(13, 15))  # 10 and 200 ml - 10


@pytest.mark.parametrize("name", [n for n in GRIDS if n != "single slice"])
def test_volumes_agree_with_the_formula_on_every_grid(name: str) -> None:
    mask = LabelMask(ellipsoid(GRIDS[name]).astype(np.uint8), GRIDS[name])
    assert rows_of(mask, [1])["liver", "volume"].value == pytest.approx(ellipsoid_ml(), rel=0.02)


def test_a_volume_is_voxels_times_their_size_however_the_grid_lies() -> None:
    grid = Grid((102, 102, 102), (0.8, 0.8, 2.5), (5.0, 6.0, 7.0), OBLIQUE)
    mask = mask_of((3, (slice(1, 101),) * 3), grid=grid)
    assert rows_of(mask, [1, 3])["spleen", "volume"].value == pytest.approx(1600.0, abs=1e-9)


def test_without_a_study_volumes_alone_are_measured() -> None:
    rows = measure(cut_segments(with_lesion(*LESIONS), [1, 2, 3]))
    assert {row.quantity for row in rows} == {"volume"}


@pytest.mark.parametrize(("lesion_ml", "percent"), [(100, 10.0), (150, 15.0)])
def test_tumour_burden_is_the_share_of_the_liver_with_its_lesions(lesion_ml: int, percent: float) -> None:
    liver = mask_of((1, (slice(2, 12), slice(2, 12), slice(2, 12))), (2, (slice(2, 12), slice(2, 12), slice(2, 3))))
    if lesion_ml == 150:
        liver.voxels[2:7, 2:12, 3] = 2
    assert rows_of(liver, [1, 2])["liver", "tumour_burden"].value == pytest.approx(percent)


def test_where_lesions_are_unknown_the_burden_is_blank_and_where_there_is_none_it_is_0() -> None:
    unknown = rows_of(mask_of((1, LIVER)), [1])
    assert math.isnan(unknown["liver", "tumour_burden"].value)
    assert unknown["liver", "tumour_burden"].reason == "lesions unknown to this model or mask"
    assert unknown["liver", "volume_ratio_to_spleen"].reason == "spleen unknown to this model or mask"
    none = rows_of(mask_of((1, LIVER)), [1, 2])
    assert (none["liver", "tumour_burden"].value, none["lesion", "count"].value) == (0.0, 0.0)
    assert math.isnan(none["lesion", "largest_axial_diameter"].value)
    assert none["lesion", "largest_axial_diameter"].reason == "no lesion"


def test_a_liver_that_the_scan_cuts_has_a_volume_and_no_ratio() -> None:
    cut = mask_of(
        (1, (slice(0, 12), slice(2, 12), slice(2, 17))),
        (2, (slice(3, 6),) * 3),
        (3, (slice(2, 4), slice(2, 4), slice(18, 20))),
    )
    rows = rows_of(cut, [1, 2, 3], Study(patient=ADULT, remnant=plane_from([0, 0, 0, *ALONG_I])))
    assert rows["liver", "volume"].value == 1800.0
    for key in [
        ("liver", "tumour_burden"),
        ("liver", "volume_per_bsa"),
        ("liver", "volume_ratio_to_spleen"),
        ("remnant", "flr"),
        ("remnant", "flr_standardised"),
    ]:
        assert math.isnan(rows[key].value), key
        assert "the scan ends inside the liver" in rows[key].reason
    assert rows["liver", "standard_volume"].value > 0


def test_no_liver_leaves_every_row_blank_with_a_reason() -> None:
    study = Study(patient=Patient(), remnant=plane_from([0, 0, 0, *ALONG_I]))
    rows = measure(cut_segments(mask_of(), [1, 2, 3]), study)
    assert rows
    for row in rows:
        known_to_be_none = (row.structure, row.quantity) == ("lesion", "count")
        assert (row.value == 0.0) if known_to_be_none else (math.isnan(row.value) and row.reason), row


def test_formulas_of_body_size_give_the_published_numbers() -> None:
    assert bsa_mosteller_m2(170, 70) == pytest.approx(1.8181, abs=5e-5)
    assert bsa_dubois_m2(170, 70) == pytest.approx(1.8097, abs=5e-5)
    known = {"vauthey": 1509.7, "urata": 1280.4, "yu": 1536.8, "heinemann": 1595.8}
    assert {key: round(row.compute_ml(170, 70), 1) for key, row in STANDARD_VOLUMES.items()} == known
    for key, standard_ml in known.items():
        rows = rows_of(mask_of((1, LIVER)), [1], Study(patient=ADULT, standard=key))
        assert rows["liver", "standard_volume"].value == pytest.approx(standard_ml, abs=0.05)
        assert STANDARD_VOLUMES[key].formula in rows["liver", "standard_volume"].definition
    assert rows["patient", "body_surface_area"].value == pytest.approx(1.8181, abs=5e-5)
    assert rows["liver", "volume_per_weight"].value == pytest.approx(1500 / 70)
    assert ("patient", "volume") not in rows
    assert rows["liver", "volume_per_bsa"].value == pytest.approx(1500 / 1.8181, rel=1e-4)


@pytest.mark.parametrize(
    ("patient", "reason"),
    [
        (None, "no body size"),
        (Patient(height_cm=170.0), "no body size"),
        (Patient(height_cm=105.0, weight_kg=20.0), "below 1.2 m2"),
        (Patient(height_cm=170.0, weight_kg=70.0, age_years=15), "at 15 years"),
    ],
)
def test_without_an_adult_s_size_the_standardised_remnant_is_blank(patient: Patient | None, reason: str) -> None:
    rows = rows_of(with_lesion(*LESIONS), [1, 2], Study(patient=patient, remnant=plane_from([-50, 0, 0, -1, 0, 0])))
    assert math.isnan(rows["remnant", "flr_standardised"].value)
    assert reason in rows["remnant", "flr_standardised"].reason
    assert rows["remnant", "flr"].value > 0


def test_the_remnant_is_its_healthy_part_of_the_healthy_liver() -> None:
    """1500 ml of liver with 210 ml of lesions, of which 10 lie in the 400 ml that stay."""
    plane = plane_from([-100 + 10 * 5.5, 0, 0, -1, 0, 0])  # between the layers 5 and 6 of i; 2, 3, 4 and 5 stay
    rows = rows_of(with_lesion(*LESIONS), [1, 2], Study(patient=ADULT, remnant=plane))
    assert rows["remnant", "volume"].value == pytest.approx(390.0)
    assert rows["remnant", "lesion_volume"].value == pytest.approx(10.0)
    assert rows["resected", "volume"].value == pytest.approx(1100.0)
    assert rows["remnant", "flr"].value == pytest.approx(100 * 390 / 1290)
    assert rows["remnant", "flr_standardised"].value == pytest.approx(25.83, abs=0.005)
    assert rows["remnant", "volume_per_bsa"].value == pytest.approx(390 / 1.81812, rel=1e-5)
    for line in ("20 %", "30 %", "40 %", "Kishi", "Shindoh", "Kubota", "not a decision"):
        assert line in rows["remnant", "flr_standardised"].reason
    assert "Vauthey" in rows["remnant", "flr_standardised"].definition


def test_the_worked_answer_of_390_of_1300() -> None:
    lesions = LESIONS[0], (slice(2, 12), slice(2, 12), slice(13, 14)), (slice(2, 11), slice(2, 12), slice(14, 15))
    plane = plane_from([-45, 0, 0, -1, 0, 0])
    assert rows_of(with_lesion(*lesions), [1, 2], Study(remnant=plane))["remnant", "flr"].value == pytest.approx(30.0)


def test_where_lesions_are_unknown_the_remnant_says_so() -> None:
    rows = rows_of(mask_of((1, LIVER)), [1], Study(remnant=plane_from([-45, 0, 0, -1, 0, 0])))
    assert rows["remnant", "flr"].value == pytest.approx(100 * 400 / 1500)
    assert "none was taken off" in rows["remnant", "flr"].reason
    assert math.isnan(rows["remnant", "lesion_volume"].value)


@pytest.mark.parametrize("name", [n for n in GRIDS if n != "single slice"])
@pytest.mark.parametrize("normal", [(1, 0, 0), (0, -1, 0), (0, 0, 1), (1, 2, 3), (-2, 1, -0.5)])
def test_a_plane_through_the_middle_halves_an_ellipsoid_and_both_sides_make_the_whole(name: str, normal: tuple) -> None:
    grid = GRIDS[name]
    centre = grid.world_mm((np.asarray(grid.size) - 1) / 2)
    mask = LabelMask(ellipsoid(grid).astype(np.uint8), grid)
    study = Study(remnant=Plane(tuple(centre), normal))
    rows = rows_of(mask, [1], study)
    assert rows["remnant", "flr"].value == pytest.approx(50.0, abs=1e-6)
    total = rows["remnant", "volume"].value + rows["resected", "volume"].value
    assert total == pytest.approx(rows["liver", "volume"].value, rel=1e-12)


@pytest.mark.parametrize("name", [n for n in GRIDS if n != "single slice"])
def test_a_plane_cuts_off_a_cap_of_known_volume(name: str) -> None:
    """Through an ellipsoid at half its semi-axis: the smaller cap is 5/32 of the whole."""
    grid = GRIDS[name]
    centre = grid.world_mm((np.asarray(grid.size) - 1) / 2)
    mask = LabelMask(ellipsoid(grid).astype(np.uint8), grid)
    for axis, radius in enumerate((28.0, 22.0, 20.0)):
        normal = np.eye(3)[axis]
        study = Study(remnant=plane_from([*(centre + normal * radius / 2), *(7 * normal)]))
        assert rows_of(mask, [1], study)["remnant", "flr"].value == pytest.approx(100 * 5 / 32, abs=0.5)


@pytest.mark.parametrize("point", [-1000.0, 1000.0])
def test_a_plane_that_misses_the_liver_leaves_the_remnant_blank(point: float) -> None:
    rows = rows_of(with_lesion(*LESIONS), [1, 2], Study(patient=ADULT, remnant=plane_from([point, 0, 0, *ALONG_I])))
    for (structure, _), row in rows.items():
        if structure in ("remnant", "resected"):
            assert math.isnan(row.value)
            assert row.reason == "the plane misses the liver"


def test_nothing_but_lesions_staying_is_no_remnant() -> None:
    rows = rows_of(
        with_lesion((slice(2, 12), slice(2, 12), slice(2, 4))), [1, 2], Study(remnant=plane_from([-65, 0, 0, -1, 0, 0]))
    )
    assert rows["remnant", "flr"].reason == "nothing of the liver stays but lesions"


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ([1, 2, 3, 4, 5], "expected six numbers"),
        ([0, 0, 0, 0, 0, 0], "normal is 0,0,0"),
        ([0, 0, math.nan, 0, 0, 1], "six finite numbers"),
        ([0, 0, 0, 0, 0, math.inf], "six finite numbers"),
    ],
)
def test_a_plane_that_is_none_is_refused(numbers: list[float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        plane_from(numbers)


def parts() -> LabelMask:
    return mask_of(*((code, (slice(2, 12), slice(2, 12), slice(2 * code, 2 * code + 2))) for code in range(1, 9)))


def test_parts_add_up_to_the_liver_and_some_of_them_are_the_remnant() -> None:
    segments = cut_parts(parts())
    rows = {(m.structure, m.quantity): m.value for m in measure(segments, Study(remnant=(3, 2, 3), patient=ADULT))}
    assert sum(rows[f"part_{n}", "volume"] for n in range(1, 9)) == rows["liver", "volume"] == 1600.0
    assert sum(rows[f"part_{n}", "share_of_liver"] for n in range(1, 9)) == pytest.approx(100.0)
    assert (rows["remnant", "volume"], rows["resected", "volume"], rows["remnant", "flr"]) == (400.0, 1200.0, 25.0)
    assert rows["remnant", "flr_standardised"] == pytest.approx(100 * 400 / 1509.655, rel=1e-5)


@pytest.mark.parametrize(
    ("codes", "says"), [((2, 9), "parts 9; the mask has the parts: 1, 2, 3"), ((), "parts nothing")]
)
def test_parts_that_the_mask_does_not_have_are_refused(codes: tuple[int, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        measure(cut_parts(parts()), Study(remnant=codes))


def test_parts_are_refused_where_the_mask_has_none() -> None:
    with pytest.raises(InputError, match="the mask has the parts: none"):
        rows_of(with_lesion(*LESIONS), [1, 2], Study(remnant=(2, 3)))


def test_a_patient_file_gives_a_patient() -> None:
    content = {"height_cm": 170, "weight_kg": 70.5, "sex": "female", "age_years": None}
    assert patient_from(content) == Patient(170, 70.5, "female", None)
    assert patient_from({}).body_size is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"height_cm": 1.7}, "height_cm is 1.7; expected 100 to 230: is that in m[?] Then write 170"),
        ({"weight_kg": 70000}, "is that in g[?] Then write 70"),
        ({"weight_kg": 5}, "weight_kg is 5; expected 20 to 300$"),
        ({"height_cm": 0}, "height_cm is 0; expected 100 to 230$"),
        ({"height_cm": -170}, "expected 100 to 230$"),
        ({"height_cm": "170"}, "height_cm is '170'; expected a number"),
        ({"weight_kg": True}, "weight_kg is True; expected a number"),
        ({"weight_kg": math.nan}, "expected a number"),
        ({"age_years": 130}, "expected 0 to 120$"),
        ({"sex": "f"}, "sex is 'f'; expected one of: female, male"),
        ({"height": 170}, "unknown key 'height'; did you mean 'height_cm'"),
        ({"weigth_kg": 70}, "did you mean 'weight_kg'"),
        ({"zzz": 1}, "known: height_cm, weight_kg, sex, age_years"),
        ([170, 70], "holds no object; expected one with some of the keys"),
    ],
)
def test_a_patient_who_cannot_be_is_refused(content: object, says: str) -> None:
    with pytest.raises(InputError, match=says) as refusal:
        patient_from(content, "p.json")
    assert "p.json" in str(refusal.value)


def test_an_unknown_formula_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown formula 'vothey'.*vauthey, urata"):
        Study(standard="vothey")


CT = Grid((60, 50, 30), (2.0, 2.0, 4.0))
CT_MASK = mask_of(
    (1, (slice(5, 25), slice(5, 45), slice(5, 30))), (3, (slice(5, 25), slice(5, 45), slice(38, 55))), grid=CT
)


def ct(liver_hu: float, spleen_hu: float, phase: str = "ct_native", mask: LabelMask = CT_MASK) -> Scan:
    values = np.select([np.isin(mask.voxels, (1, 2)), mask.voxels == 3], [liver_hu, spleen_hu], -80.0)
    return Scan(values.astype(np.float32), mask.grid, phase, "made")


def test_attenuation_is_read_on_native_ct() -> None:
    rows = rows_of(CT_MASK, [1, 3], Study(scan=ct(40, 55)))
    assert (rows["liver", "attenuation_mean"].value, rows["spleen", "attenuation_median"].value) == (40.0, 55.0)
    assert rows["liver", "attenuation_minus_spleen"].value == -15.0
    assert rows["liver", "attenuation_ratio_to_spleen"].value == pytest.approx(0.7273, abs=5e-5)
    assert "Pickhardt" in rows["liver", "attenuation_mean"].reason
    assert not rows["spleen", "attenuation_mean"].reason
    assert "not a decision" in rows["liver", "attenuation_ratio_to_spleen"].reason


def test_attenuation_leaves_out_the_rim_lesions_and_what_is_no_parenchyma() -> None:
    mask = LabelMask(CT_MASK.voxels.copy(), CT)
    mask.voxels[10:14, 20:24, 14:18] = 2
    scan = ct(60, 55, mask=mask)
    inner = ndimage.binary_erosion(mask.voxels == 1, np.ones((1, 3, 3)))
    voxels = scan.voxels.copy()
    voxels[(mask.voxels == 1) & ~inner] = 10.0
    voxels[mask.voxels == 2] = 20.0
    voxels[16, 30:34, 16:20] = 900.0
    assert rows_of(mask, [1, 2, 3], Study(scan=replace(scan, voxels=voxels)))["liver", "attenuation_mean"].value == 60.0


@pytest.mark.parametrize("phase", ["ct_portal", "ct_unknown"])
def test_attenuation_is_blank_on_other_ct(phase: str) -> None:
    row = rows_of(CT_MASK, [1, 3], Study(scan=ct(40, 55, phase)))["liver", "attenuation_mean"]
    assert math.isnan(row.value)
    assert row.reason.startswith(f"read on ct_native alone; this scan is {phase}")


def test_there_is_no_attenuation_on_mr_and_without_a_scan() -> None:
    for study in (Study(), Study(scan=ct(40, 55, "mr_t2"))):
        assert not [name for _, name in rows_of(CT_MASK, [1, 3], study) if name.startswith("attenuation")]


def test_an_aorta_with_contrast_agent_contradicts_native() -> None:
    mask = LabelMask(CT_MASK.voxels.copy(), CT)
    mask.voxels[5:25, 20:24, 32:36] = 8
    scan = ct(60, 55, mask=mask)
    rows = rows_of(mask, [1, 3, 8], Study(scan=scan))
    assert rows["liver", "attenuation_mean"].value == 60.0
    scan.voxels[mask.voxels == 8] = 180.0
    assert "aorta reads 180 HU" in rows_of(mask, [1, 3, 8], Study(scan=scan))["liver", "attenuation_mean"].reason


@pytest.mark.parametrize(
    ("spleen_hu", "reason"), [(9.0, "too near 0"), (-9.0, "too near 0"), (300.0, "fewer than 100")]
)
def test_a_spleen_near_0_divides_nothing(spleen_hu: float, reason: str) -> None:
    row = rows_of(CT_MASK, [1, 3], Study(scan=ct(40, spleen_hu)))["liver", "attenuation_ratio_to_spleen"]
    assert math.isnan(row.value)
    assert reason in row.reason


def test_a_scan_of_another_grid_is_refused() -> None:
    moved = replace(ct(40, 55), grid=replace(CT, origin_mm=(1.0, 0.0, 0.0)))
    with pytest.raises(InputError, match="does not lie on the grid of the scan"):
        rows_of(CT_MASK, [1, 3], Study(scan=moved))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 5.0), (0.7, 1.1, 2.0), (3.0, 0.8, 0.9), (1.0, 1.0, 1.0)])
def test_erosion_in_slices_is_that_of_a_distance_in_each_slice(spacing: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(3)
    mask = ndimage.gaussian_filter(rng.normal(size=(20, 30, 40)), 3) > -0.02
    grid = Grid((40, 30, 20), spacing)
    across = 2 if spacing[0] == 3.0 else 0
    kept = np.zeros_like(mask)
    flat = [s for axis, s in enumerate(spacing[::-1]) if axis != across]
    for plane, out in zip(np.moveaxis(mask, across, 0), np.moveaxis(kept, across, 0)):
        out[...] = ndimage.distance_transform_edt(np.pad(plane, 9), flat)[9:-9, 9:-9] > 5.0 + 1e-6
    assert kept.any()
    assert (eroded_in_slices(mask, grid, 5.0) == kept).all()


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_row_says_of_what_it_is_and_carries_its_definition_into_every_measurement(name: str) -> None:
    row = QUANTITIES[name]
    assert row.of
    assert row.source
    study = Study(scan=ct(40, 55), patient=ADULT, remnant=plane_from([40, 0, 0, *ALONG_I]))
    if "part_*" in row.of:
        rows = measure(cut_parts(parts()), Study())
    else:
        mask = LabelMask(CT_MASK.voxels.copy(), CT)
        mask.voxels[10:14, 20:24, 14:18] = 2
        rows = measure(cut_segments(mask, [1, 2, 3]), study)
    found = [m for m in rows if m.quantity == name]
    assert found
    for m in found:
        assert m.unit == row.unit
        assert "Source: " in m.definition
        assert "Undefined: " in m.definition
        assert "{" not in m.definition
