"""Complex echoes -> water, fat, R2*, field and phases, starting from the magnitude's answer.

S_n = (W + F c_n) exp(i (phi + 2 pi psi t_n + (-1)^n theta)) exp(-R2* t_n), with W and F real. The field psi starts from
the phase between neighbouring echoes (of one polarity where the read-out is bipolar); no unwrapping is needed, because
psi plus a whole turn an echo spacing leaves water, fat and R2* as they are. theta, the alternating phase of a bipolar
read-out, is taken where it halves the residual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from .descent import Limits, Normal, descended
from .magnitude import Echoes, Fit

_CHUNK = 1 << 14
_SAMPLE = 2000  # voxels that decide about polarity and precession
_BIPOLAR_GAIN = 2.0  # how often smaller the residual must be with theta; noise alone makes 1.1 of one more unknown
_FREE = (-1e9, 1e9)
_LIMITS = (  # lowest, highest, and a step that changes nothing: of W, F, R2*, field, phase, alternating phase
    (*_FREE, 1e-5), (*_FREE, 1e-5), (-20.0, 2000.0, 1e-2), (*_FREE, 1e-2), (*_FREE, 1e-4), (*_FREE, 1e-4),
)  # fmt: skip
_BEST = 0.25  # the share of voxels fitted best: flow and breathing leave more, and say nothing about the scanner
_SIGNS = (1, -1)
_SURE = 3.0  # standard errors of the mean
_SAME = 1.0  # half of that is reached by echo times that are rounded
_SMALL = 1e-9
_NOTHING = 1e-3  # of the signal: a residual this small needs no further explanation; 12 bits leave half of it


@dataclass(frozen=True, eq=False)
class ComplexFit(Fit):
    """A Fit with the field in Hz (modulo one turn an echo spacing) and the phases in radians, float64 [v]."""

    field_hz: torch.Tensor
    phase: torch.Tensor
    alternation: torch.Tensor


@dataclass(frozen=True, eq=False)
class _Look:
    """What some conventions leave of some voxels, [v]: the residual relative to the signal and the alternating phase in
    radians, of the better start; PDFF in per cent, of the first."""

    residual: torch.Tensor
    alternation: torch.Tensor
    pdff: torch.Tensor


def fit_complex(signals: torch.Tensor, echoes: Echoes, start: Fit, *, bipolar: bool, precession: int = 1) -> ComplexFit:
    """`signals` complex [n, v]. `precession` is the sign with which fat turns; see `conventions`."""
    echoes = echoes.to(signals.device)
    turned = Echoes(echoes.times_s, echoes.real, echoes.imag * precession)
    parts = []
    for first in range(0, signals.shape[1], _CHUNK):
        span = slice(first, first + _CHUNK)
        begin = torch.stack([start.water[span], start.fat[span], start.rate[span]])
        parts.append(_fit_chunk(signals[:, span].to(torch.complex128), turned, begin, bipolar=bipolar))
    return ComplexFit(*(torch.cat([part[n] for part in parts]) for n in range(7)))


def conventions(signals: torch.Tensor, echoes: Echoes, start: Fit) -> tuple[bool, int]:
    """Whether the read-out is bipolar, and the sign with which fat turns: what leaves the smallest residual.

    The alternating phase is looked at under the sign that is found with it: under the other one the fat asks for one,
    the same in all voxels. It must halve the residual, or be so much the same in all voxels that noise cannot make it;
    and it needs five echoes: with fewer it would explain anything.
    """
    some, begin = _strongest(signals, start)
    plain = {sign: _looked_at(some, echoes, begin, bipolar=False, precession=sign) for sign in _SIGNS}
    if len(echoes.times_s) < 5:
        return False, _sign(plain, begin)
    free = {sign: _looked_at(some, echoes, begin, bipolar=True, precession=sign) for sign in _SIGNS}
    sign = _sign(free, begin)
    most, least = (float(looks[sign].residual.quantile(_BEST)) for looks in (plain, free))
    bipolar = most > _NOTHING and (most > _BIPOLAR_GAIN * least or _is_one_value(free[sign].alternation))
    return bipolar, _sign(free if bipolar else plain, begin)


def _sign(told: Mapping[int, _Look], begin: Fit) -> int:
    """By all voxels together, each against its own noise. Lean tissue cannot tell: there the magnitudes break the tie."""
    logs = {sign: look.residual.clamp_min(_NOTHING).log() for sign, look in told.items()}
    gain = logs[-1] - logs[1]
    if float(gain.mean().abs()) > _SURE * float(gain.std()) / len(gain) ** 0.5:
        return 1 if float(gain.mean()) > 0 else -1
    lean = begin.fat < begin.water
    ours = begin.pdff()[lean].nanmedian()
    return min(told, key=lambda sign: float((told[sign].pdff[lean].nanmedian() - ours).abs()))


def _looked_at(signals: torch.Tensor, echoes: Echoes, begin: Fit, *, bipolar: bool, precession: int) -> _Look:
    """From the better of two starts: magnitudes may have taken fat for water, and turning the wrong way comes near to
    that."""
    swapped = Fit(begin.fat, begin.water, begin.rate, begin.residual)
    one, other = (fit_complex(signals, echoes, at, bipolar=bipolar, precession=precession) for at in (begin, swapped))
    first = one.residual <= other.residual
    residual = torch.where(first, one.residual, other.residual) / signals.abs().amax(dim=0).clamp_min(_SMALL)
    alternation = torch.where(first, one.alternation, other.alternation)
    return _Look(residual, alternation, one.pdff())


def _is_one_value(alternation: torch.Tensor) -> bool:
    """Whether voxels agree about the alternating phase: their median lies beyond their spread."""
    middle = alternation.median()
    spread = 1.4826 * (alternation - middle).abs().median()
    return bool(middle.abs() > _SAME * spread)


def _strongest(signals: torch.Tensor, start: Fit) -> tuple[torch.Tensor, Fit]:
    """Up to a few thousand voxels, spread over those with more than the median signal."""
    strength = signals.abs().amax(dim=0)
    where = torch.nonzero(strength >= strength.median()).squeeze(1)
    where = where[:: max(1, len(where) // _SAMPLE)]
    return signals[:, where], start[where]


def _fit_chunk(signals: torch.Tensor, echoes: Echoes, begin: torch.Tensor, *, bipolar: bool) -> list[torch.Tensor]:
    largest = signals.abs().amax(dim=0)
    there = largest > 0
    scale = torch.where(there, largest, 1.0)
    scaled = signals / scale
    begin = torch.stack([begin[0] / scale, begin[1] / scale, begin[2]])
    state = _phases(scaled, echoes, begin, bipolar=bipolar)
    unknowns = 6 if bipolar else 5
    limits = Limits.of(_LIMITS[:unknowns], signals.device)
    state[:unknowns] = descended(_Phasors.of(scaled, echoes), state[:unknowns], limits)
    residual = (scaled - _model(state, echoes)).abs().square().mean(dim=0).sqrt()
    values = (state[0] * scale, state[1] * scale, state[2], residual * scale, state[3], state[4], state[5])
    return [torch.where(there, value, torch.zeros_like(value)) for value in values]


def _phases(signals: torch.Tensor, echoes: Echoes, begin: torch.Tensor, *, bipolar: bool) -> torch.Tensor:
    """(W, F, R) and what they leave of the phases -> (W, F, R, psi, phi, theta) [6, v]."""
    zero = torch.zeros_like(begin[0])
    plain = _model(torch.stack([*begin, zero, zero, zero]), echoes)
    left, times = signals * plain.conj(), echoes.times_s
    lag = 2 if bipolar and len(times) > 2 else 1
    apart = times[lag:] - times[:-lag]
    closest = apart <= apart.min() * 1.02  # one spacing, so that the turns of all pairs add up
    product = (left[lag:] * left[:-lag].conj())[closest].sum(dim=0)
    spacing = apart[closest].mean()
    field = torch.angle(product) / (2 * torch.pi * spacing)
    left = left * torch.exp(-2j * torch.pi * times[:, None] * field)
    if bipolar:
        even, odd = left[0::2].sum(dim=0), left[1::2].sum(dim=0)
        theta = torch.angle(even * odd.conj()) / 2
        aside = (
            theta.abs() > torch.pi / 4
        ) * theta.sign()  # a field that is half a turn an echo off makes that of theta
        theta, beyond = theta - aside * torch.pi / 2, aside / spacing
        field, left = field + beyond, left * torch.exp(-2j * torch.pi * times[:, None] * beyond)
        sign = torch.exp(-1j * _alternating(len(times), left.device)[:, None] * theta)
        return torch.stack([*begin, field, torch.angle((left * sign).sum(dim=0)), theta])
    return torch.stack([*begin, field, torch.angle(left.sum(dim=0)), zero])


def _model(state: torch.Tensor, echoes: Echoes) -> torch.Tensor:
    """Signal [n, v]."""
    water, fat, rate = state[:3]
    decay = torch.exp(-echoes.times_s[:, None] * rate)
    return (water + fat * torch.complex(echoes.real, echoes.imag)[:, None]) * decay * _turned(state, echoes.times_s)


def _turned(state: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """What field and phases do to every echo: unit phasors [n, v]."""
    turn = state[4] + 2 * torch.pi * times[:, None] * state[3]
    if len(state) == 6:
        turn = turn + _alternating(len(times), times.device)[:, None] * state[5]
    return torch.complex(turn.cos(), turn.sin())


@dataclass(frozen=True, eq=False)
class _Phasors:
    """The problem of the descent over (W, F, R2*, field, phase[, alternating phase]).

    Turned back by the phases of the state, water lies along the real axis in every echo, and each sum of the normal
    equations is a product of the decay with numbers that all voxels share: `weights` [18, n] for the square of the decay,
    `projections` [6, n] for the signals turned back. `energy` [v] is the sum of the squared signals.
    """

    signals: torch.Tensor
    energy: torch.Tensor
    times: torch.Tensor
    weights: torch.Tensor
    projections: torch.Tensor

    @staticmethod
    def of(signals: torch.Tensor, echoes: Echoes) -> _Phasors:
        t, a, b = echoes.times_s, echoes.real, echoes.imag
        one, sign, power = torch.ones_like(t), _alternating(len(t), t.device), a.square() + b.square()
        weights = [w * row for w in (one, t, t.square(), sign, sign * t) for row in (one, a, power)]
        weights += [w * b for w in (one, t, sign)]
        projections = [w * row for w in (one, t, sign) for row in (one, torch.complex(a, -b))]
        energy = torch.view_as_real(signals).square().sum((0, 2))
        return _Phasors(signals, energy, t, torch.stack(weights), torch.stack(projections))

    def __getitem__(self, where: torch.Tensor) -> _Phasors:
        return _Phasors(self.signals[:, where], self.energy[where], self.times, self.weights, self.projections)

    def normal(self, state: torch.Tensor) -> Normal:
        water, fat = state[:2]
        decay = torch.exp(-self.times[:, None] * state[2])
        back = self.signals * (_turned(state, self.times).conj() * decay)
        of_water, of_fat = (self.projections @ back).view(3, 2, -1).unbind(1)  # each [3, v]: plain, by t, by sign
        sums = self.weights @ decay.square()
        even, odd = sums[:15].view(5, 3, -1), sums[15:]
        by_water, by_fat = water * even[:, 0] + fat * even[:, 1], water * even[:, 1] + fat * even[:, 2]
        power = water * by_water + fat * by_fat  # [5, v]: plain, by t, by t squared, by sign, by both
        overlap = water * of_water + fat * of_fat
        turn = 2 * torch.pi
        descent = [
            of_water[0].real - by_water[0], of_fat[0].real - by_fat[0], power[1] - overlap[1].real,
            turn * overlap[1].imag, overlap[0].imag, overlap[2].imag,
        ]  # fmt: skip
        zero = torch.zeros_like(water)
        rows = [
            [even[0, 0], even[0, 1], -by_water[1], -turn * fat * odd[1], -fat * odd[0], -fat * odd[2]],
            [even[0, 2], -by_fat[1], turn * water * odd[1], water * odd[0], water * odd[2]],
            [power[2], zero, zero, zero],
            [turn**2 * power[2], turn * power[1], turn * power[4]],
            [power[0], power[3]],
            [power[0]],
        ]
        count = len(state)
        triangle = [entry for i, row in enumerate(rows[:count]) for entry in row[: count - i]]
        cost = self.energy - 2 * overlap[0].real + power[0]
        return Normal(cost, torch.stack(descent[:count]), torch.stack(triangle))


def _alternating(count: int, device: torch.device) -> torch.Tensor:
    """+1, -1, +1 ..."""
    return 1.0 - 2.0 * (torch.arange(count, device=device, dtype=torch.float64) % 2)
