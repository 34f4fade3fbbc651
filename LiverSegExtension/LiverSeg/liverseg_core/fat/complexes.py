"""Complex echoes -> water, fat, R2*, field and phases, starting from the magnitude's answer.

S_n = (W + F c_n) exp(i (phi + 2 pi psi t_n + (-1)^n theta)) exp(-R2* t_n), with W and F real. The field psi starts from
the phase between neighbouring echoes (of one polarity where the read-out is bipolar); no unwrapping is needed, because
psi plus a whole turn an echo spacing leaves water, fat and R2* as they are. theta, the alternating phase of a bipolar
read-out, is taken where it halves the residual.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .magnitude import Echoes, Fit

_CHUNK = 1 << 13
_MOST_STEPS = 15
_SAMPLE = 4000  # voxels that decide about polarity and precession
_BIPOLAR_GAIN = 2.0  # how often smaller the residual must be with theta; noise alone makes 1.1 of one more unknown
_LOWEST_RATE, _HIGHEST_RATE = -20.0, 2000.0
_SMALL = 1e-9
_NOTHING = 1e-4  # of the signal: a residual this small needs no further explanation


@dataclass(frozen=True, eq=False)
class ComplexFit(Fit):
    """A Fit with the field in Hz (modulo one turn an echo spacing) and the phases in radians, float64 [v]."""

    field_hz: torch.Tensor
    phase: torch.Tensor
    alternation: torch.Tensor


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

    Decided where there is fat, if there is any: lean tissue cannot tell the sign, and then it does not matter either.
    The alternating phase must halve the residual, and needs five echoes: with fewer it would explain anything.
    """
    share = start.fat / (start.water + start.fat).clamp_min(_SMALL)
    fatty = (share > 0.15) & (share < 0.85)
    signs = (1, -1)
    some, begin = _strongest(signals, start)
    fat, begin_fat = _strongest(signals[:, fatty], start[fatty]) if int(fatty.sum()) >= 50 else (some, begin)

    def best(*, bipolar: bool) -> tuple[float, int]:
        told = {sign: fit_complex(fat, echoes, begin_fat, bipolar=bipolar, precession=sign) for sign in signs}
        sign = min(signs, key=lambda s: _usual_residual(fat, told[s]))
        fit = fit_complex(some, echoes, begin, bipolar=bipolar, precession=sign)
        return _usual_residual(some, fit), sign

    without, sign = best(bipolar=False)
    if len(echoes.times_s) < 5 or without < _NOTHING:
        return False, sign
    with_it, other = best(bipolar=True)
    return (True, other) if without > _BIPOLAR_GAIN * with_it else (False, sign)


def _strongest(signals: torch.Tensor, start: Fit) -> tuple[torch.Tensor, Fit]:
    """Up to a few thousand voxels, spread over those with more than the median signal."""
    strength = signals.abs().amax(dim=0)
    where = torch.nonzero(strength >= strength.median()).squeeze(1)
    where = where[:: max(1, len(where) // _SAMPLE)]
    return signals[:, where], start[where]


def _usual_residual(signals: torch.Tensor, fit: Fit) -> float:
    """Of the quarter that is fitted best: flow and breathing leave more, and say nothing about the scanner."""
    return float((fit.residual / signals.abs().amax(dim=0).clamp_min(_SMALL)).quantile(0.25))


def _fit_chunk(signals: torch.Tensor, echoes: Echoes, begin: torch.Tensor, *, bipolar: bool) -> list[torch.Tensor]:
    scale = torch.where(signals.abs().amax(dim=0) > 0, signals.abs().amax(dim=0), 1.0)
    scaled, there = signals / scale, signals.abs().amax(dim=0) > 0
    begin = torch.stack([begin[0] / scale, begin[1] / scale, begin[2]])
    state = _phases(scaled, echoes, begin, bipolar=bipolar)
    state = _descend(scaled, echoes, state, bipolar=bipolar)
    residual = (scaled - _model(state, echoes)[0]).abs().square().mean(dim=0).sqrt()
    values = (state[0] * scale, state[1] * scale, state[2], residual * scale, state[3], state[4], state[5])
    return [torch.where(there, value, torch.zeros_like(value)) for value in values]


def _phases(signals: torch.Tensor, echoes: Echoes, begin: torch.Tensor, *, bipolar: bool) -> torch.Tensor:
    """(W, F, R) and what they leave of the phases -> (W, F, R, psi, phi, theta) [6, v]."""
    zero = torch.zeros_like(begin[0])
    plain = _model(torch.stack([*begin, zero, zero, zero]), echoes)[0]
    left, times = signals * plain.conj(), echoes.times_s
    lag = 2 if bipolar and len(times) > 2 else 1
    apart = times[lag:] - times[:-lag]
    closest = apart <= apart.min() * 1.02  # one spacing, so that the turns of all pairs add up
    product = (left[lag:] * left[:-lag].conj())[closest].sum(dim=0)
    field = torch.angle(product) / (2 * torch.pi * apart[closest].mean())
    left = left * torch.exp(-2j * torch.pi * times[:, None] * field)
    if bipolar:
        even, odd = left[0::2].sum(dim=0), left[1::2].sum(dim=0)
        theta = torch.angle(even * odd.conj()) / 2
        sign = torch.exp(-1j * _alternating(len(times), left.device)[:, None] * theta)
        return torch.stack([*begin, field, torch.angle((left * sign).sum(dim=0)), theta])
    return torch.stack([*begin, field, torch.angle(left.sum(dim=0)), zero])


def _model(state: torch.Tensor, echoes: Echoes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Signal [n, v], and what W and F are multiplied by."""
    water, fat, rate, field, phase, theta = state
    times = echoes.times_s[:, None]
    turn = phase + 2 * torch.pi * field * times + _alternating(len(times), times.device)[:, None] * theta
    unit = torch.polar(torch.exp(-rate * times), turn)
    by_fat = torch.complex(echoes.real, echoes.imag)[:, None] * unit
    return water * unit + fat * by_fat, unit, by_fat


def _descend(signals: torch.Tensor, echoes: Echoes, state: torch.Tensor, *, bipolar: bool) -> torch.Tensor:
    """Levenberg-Marquardt, as for the magnitudes, over five unknowns or, with the alternating phase, six."""
    unknowns = 6 if bipolar else 5
    damping = torch.full_like(state[0], 1e-3)
    cost, gradient, hessian = _normal(signals, echoes, state, unknowns)
    done, at = state.clone(), torch.arange(state.shape[1], device=state.device)
    for _ in range(_MOST_STEPS):
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        damped = hessian + torch.diag_embed(diagonal * damping[:, None] + 1e-12)
        step, _ = torch.linalg.solve_ex(damped, gradient)
        tried = state.clone()
        tried[:unknowns] += torch.nan_to_num(step.T)
        tried[2] = tried[2].clamp(_LOWEST_RATE, _HIGHEST_RATE)
        new = _normal(signals, echoes, tried, unknowns)
        better = new[0] <= cost
        moved = (tried - state).abs()
        still = (moved[:2].amax(0) < 1e-7) & (moved[2] < 1e-3) | (~better & (damping > 1e6))
        state = torch.where(better, tried, state)
        cost = torch.where(better, new[0], cost)
        gradient = torch.where(better[:, None], new[1], gradient)
        hessian = torch.where(better[:, None, None], new[2], hessian)
        damping = torch.where(better, damping * 0.1, damping * 10.0)
        if bool(still.any()):
            done[:, at[still]] = state[:, still]
            going = ~still
            if not bool(going.any()):
                return done
            at, signals, state, cost = at[going], signals[:, going], state[:, going], cost[going]
            gradient, hessian, damping = gradient[going], hessian[going], damping[going]
    done[:, at] = state
    return done


def _normal(
    signals: torch.Tensor, echoes: Echoes, state: torch.Tensor, unknowns: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cost [v], J^T r [v, unknowns], J^T J [v, unknowns, unknowns], real and imaginary parts being residuals alike."""
    signal, by_water, by_fat = _model(state, echoes)
    times = echoes.times_s[:, None]
    turning = 1j * signal
    rows = [by_water, by_fat, -times * signal, 2 * torch.pi * times * turning, turning]
    if unknowns == 6:
        rows.append(_alternating(len(times), times.device)[:, None] * turning)
    jacobian = torch.view_as_real(torch.stack(rows)).permute(2, 0, 1, 3).flatten(2)  # [v, unknowns, 2 n]
    rest = torch.view_as_real(signals - signal).permute(1, 0, 2).flatten(1)
    gradient = (jacobian @ rest[:, :, None]).squeeze(2)
    return rest.square().sum(1), gradient, jacobian @ jacobian.transpose(1, 2)


def _alternating(count: int, device: torch.device) -> torch.Tensor:
    """+1, -1, +1 ..."""
    return 1.0 - 2.0 * (torch.arange(count, device=device, dtype=torch.float64) % 2)
