"""Promises that every row of every table keeps. New rows are tested by existing."""

from __future__ import annotations

import re

import pytest
import torch
from liverseg_core.errors import InputError
from liverseg_core.labels import LABELS
from liverseg_core.measurements import QUANTITIES
from liverseg_core.phases import PHASES, phase_named
from liverseg_core.preparation import NORMALISATIONS

CONTRACT_PHASES = [
    "ct_native",
    "ct_arterial",
    "ct_portal",
    "ct_delayed",
    "ct_unknown",
    "mr_t1_native",
    "mr_t1_in",
    "mr_t1_opposed",
    "mr_water",
    "mr_fat",
    "mr_t1_arterial",
    "mr_t1_portal",
    "mr_t1_delayed",
    "mr_t1_hbp",
    "mr_t2",
    "mr_t2fs",
    "mr_dwi",
    "mr_adc",
    "mr_multiecho",
    "mr_unknown",
]


def test_the_phase_keys_are_those_of_the_contract() -> None:
    assert list(PHASES) == CONTRACT_PHASES


@pytest.mark.parametrize("key", PHASES)
def test_a_phase_key_begins_with_its_modality(key: str) -> None:
    assert key.startswith(PHASES[key].modality.lower() + "_")
    assert PHASES[key].meaning
    assert (PHASES[key].display is not None) == (PHASES[key].modality == "CT")


def test_an_unknown_phase_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown phase 'venous'.*ct_portal"):
        phase_named("venous")


def test_labels_are_codes_1_to_13_with_distinct_names_and_colours() -> None:
    assert list(LABELS) == list(range(1, 14))
    assert len({label.key for label in LABELS.values()}) == 13
    assert len({label.colour for label in LABELS.values()}) == 13


@pytest.mark.parametrize("code", LABELS)
def test_a_label_is_usable_in_files(code: int) -> None:
    label = LABELS[code]
    assert re.fullmatch(r"[a-z_]+", label.key)
    assert re.fullmatch(r"\d+", label.snomed[0])
    assert all(0 <= c <= 255 for c in label.colour)


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_quantity_says_its_unit_its_formula_and_when_it_is_undefined(name: str) -> None:
    row = QUANTITIES[name]
    assert row.unit
    assert row.formula
    assert row.undefined


@pytest.mark.parametrize("name", NORMALISATIONS)
@pytest.mark.parametrize("x", [torch.zeros(3, 3, 3), torch.full((3, 3, 3), 7.0), torch.arange(27.0).reshape(3, 3, 3)])
def test_normalising_gives_finite_numbers_of_the_same_shape(name: str, x: torch.Tensor) -> None:
    out = NORMALISATIONS[name](x, torch.ones_like(x, dtype=torch.bool))
    assert out.shape == x.shape
    assert torch.isfinite(out).all()


def test_body_zscore_ignores_scale_offset_and_the_share_of_air() -> None:
    body = torch.randn(20, 20, 20, generator=torch.Generator().manual_seed(0)).abs() * 100 + 300
    scan = torch.cat([torch.zeros(20, 20, 20), body])
    more_air = torch.cat([torch.zeros(60, 20, 20), body])
    inside = lambda x: torch.ones_like(x, dtype=torch.bool)
    rule = NORMALISATIONS["body_zscore"]
    torch.testing.assert_close(rule(scan, inside(scan)), rule(scan * 7 + 40, inside(scan)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(rule(scan, inside(scan))[20:], rule(more_air, inside(more_air))[60:], atol=0.1, rtol=0.1)


def test_ct_fixed_is_the_formula() -> None:
    x = torch.tensor([-1000.0, -125.0, 50.0, 150.0, 275.0, 3000.0])
    torch.testing.assert_close(NORMALISATIONS["ct_fixed"](x, x > 0), torch.tensor([-1.75, -1.75, 0.0, 1.0, 2.25, 2.25]))
