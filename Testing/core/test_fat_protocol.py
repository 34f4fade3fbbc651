"""What a protocol, a spectrum of fat and the tables of a reader say, and what they refuse."""

from __future__ import annotations

import pytest
from fat_phantoms import TE_MS, protocol
from liverseg_core.errors import InputError
from liverseg_core.fat.protocol import Protocol, notices_about
from liverseg_core.fat.spectra import SPECTRA, spectrum_named
from liverseg_core.fat.tables import CALIBRATIONS, IRON, STEATOSIS, calibration_for, iron_bands

FIELDS = tuple(TE_MS)


@pytest.mark.parametrize("name", SPECTRA)
def test_the_peaks_of_a_spectrum_sum_to_one_and_turn_as_they_must(name: str) -> None:
    row = SPECTRA[name]
    assert len(row.shifts_ppm) == len(row.weights)
    assert row.phasor([0.0], 3.0) == pytest.approx(1)
    assert abs(row.phasor([1.15, 5.0], 3.0)).max() < 1


def test_a_single_peak_is_two_point_dixon() -> None:
    """In and opposed phase at 3 T: 434 Hz slower turns by a whole and by a half."""
    from liverseg_core.fat.spectra import Spectrum

    peak = Spectrum((-3.4,), (1.0,), "one peak")
    hertz = 42.577478518 * 3.0 * 3.4
    assert hertz == pytest.approx(434.3, abs=0.1)
    assert peak.phasor([1e3 / hertz], 3.0) == pytest.approx(1)
    assert peak.phasor([5e2 / hertz], 3.0) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("te_ms", "field_t", "words"),
    [
        ((1.2,), 3.0, "1 echo cannot"), ((0.00115, 0.0021, 0.00305), 3.0, "look like seconds"),
        ((1.2, 1.2, 2.2), 3.0, "all different"), ((0.0, 1.0), 3.0, "must be positive"), ((1.0, 2.0), 30.0, "30 T"),
        ((300.0, 600.0), 3.0, "too long"),
    ],
)  # fmt: skip
def test_a_protocol_that_cannot_be_is_refused(te_ms, field_t, words) -> None:
    with pytest.raises(InputError, match=words):
        Protocol(te_ms, field_t)


def test_echoes_that_are_all_in_phase_are_named() -> None:
    period = 1e3 / (42.577478518 * 1.5 * 3.4)
    in_phase = Protocol(tuple(period * n for n in range(1, 7)), 1.5)
    codes = [notice.code for notice in notices_about(in_phase, SPECTRA["ismrm6"])]
    assert codes == ["fat_not_separable"]
    for field_t in FIELDS:
        assert notices_about(protocol(field_t), SPECTRA["ismrm6"]) == ()


@pytest.mark.parametrize(
    ("field_t", "tr_ms", "flip", "reads"),
    [(1.5, 14, 3, 10.2), (1.5, 14, 10, 11.7), (1.5, 14, 20, 13.7), (3.0, 8.5, 3, 10.6), (3.0, 8.5, 10, 13.9), (3.0, 8.5, 20, 16.9)],
)  # fmt: skip
def test_t1_weighting_colours_ten_per_cent_as_tabulated(field_t, tr_ms, flip, reads) -> None:
    gain = 1 + protocol(field_t, tr_ms=tr_ms, flip_deg=flip).t1_bias()
    assert 100 * 0.1 * gain / (0.1 * gain + 0.9) == pytest.approx(reads, abs=0.06)


def test_t1_weighting_warns_above_a_twentieth() -> None:
    assert notices_about(protocol(1.5, tr_ms=14, flip_deg=3), SPECTRA["ismrm6"]) == ()
    (told,) = notices_about(protocol(3.0, tr_ms=8.5, flip_deg=10), SPECTRA["ismrm6"])
    assert told.code == "t1_weighted"
    assert "not called PDFF" in told.text


@pytest.mark.parametrize(
    ("name", "field_t", "at_100"),
    [("hernando2023", 1.5, 2.44), ("hernando2023", 2.8936, 1.37), ("hernando2023", 3.0, 1.32), ("wood2005", 1.5, 2.74),
     ("garbowski2014", 1.5, 3.09), ("hankins2009", 1.5, 2.35)],
)  # fmt: skip
def test_calibrations_read_a_hundred_as_published(name, field_t, at_100) -> None:
    assert calibration_for(name, field_t)(100) == pytest.approx(at_100, abs=0.006)


def test_another_field_has_no_calibration_and_another_name_is_refused() -> None:
    assert calibration_for("wood2005", 3.0) is None
    assert calibration_for("hernando2023", 2.2) is None
    assert iron_bands(2.2) is None
    with pytest.raises(InputError, match="unknown calibration"):
        calibration_for("wood", 1.5)
    with pytest.raises(InputError, match="unknown spectrum"):
        spectrum_named("ismrm")
    assert all(row.source for rows in CALIBRATIONS.values() for row in rows)


def test_grades_begin_at_their_limits() -> None:
    tang = STEATOSIS["tang"]
    assert [tang.grade(v) for v in (-1, 6.3, 6.4, 17.4, 22.1, 60)] == ["S0", "S0", "S1", "S2", "S3", "S3"]
    assert [IRON[1.5].grade(v) for v in (65, 66, 224, 225, 475, 476)] == [
        "normal",
        "mild",
        "mild",
        "moderate",
        "moderate",
        "severe",
    ]
    assert iron_bands(2.8936) is IRON[3.0]
