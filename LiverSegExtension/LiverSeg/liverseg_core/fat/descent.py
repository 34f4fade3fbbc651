"""Levenberg-Marquardt on many small problems at once: each voxel has its own damping, and leaves when it stands still."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

_MOST_STEPS = 20
_FIRST_DAMPING, _LAST_DAMPING = 1e-3, 1e6
_SMALL = 1e-300

_Entries = dict[tuple[int, int], torch.Tensor]  # [v] each, by row and column


@dataclass(frozen=True, eq=False)
class Normal:
    """What a problem tells of a state: cost [v], descent J^T r [u, v] and the upper triangle of J^T J, row by row
    [u (u + 1) / 2, v]."""

    cost: torch.Tensor
    descent: torch.Tensor
    curvature: torch.Tensor

    def __getitem__(self, where: torch.Tensor) -> Normal:
        return Normal(self.cost[where], self.descent[:, where], self.curvature[:, where])

    def unless(self, better: torch.Tensor, new: Normal) -> Normal:
        """This one where the new one is not better."""
        return Normal(
            torch.where(better, new.cost, self.cost),
            torch.where(better, new.descent, self.descent),
            torch.where(better, new.curvature, self.curvature),
        )


@dataclass(frozen=True, eq=False)
class Limits:
    """For every unknown [u, 1]: between which values it stays, and a step of it that changes nothing."""

    low: torch.Tensor
    high: torch.Tensor
    step: torch.Tensor

    @staticmethod
    def of(rows: tuple[tuple[float, float, float], ...], device: torch.device) -> Limits:
        low, high, step = torch.tensor(rows, dtype=torch.float64, device=device).T[:, :, None]
        return Limits(low, high, step)


class Problem(Protocol):
    """Voxels with their signals. The cost of each depends on its own unknowns alone."""

    def normal(self, state: torch.Tensor) -> Normal:
        """At a state [u, v]."""

    def __getitem__(self, where: torch.Tensor) -> Problem:
        """Some of the voxels."""


def descended(problem: Problem, state: torch.Tensor, limits: Limits) -> torch.Tensor:
    """The nearest minimum within the limits, [u, v]. An unknown that a limit holds back stays there while the others
    go on."""
    done, at = state.clone(), torch.arange(state.shape[1], device=state.device)
    damping = torch.full_like(state[0], _FIRST_DAMPING)
    told = problem.normal(state)
    for _ in range(_MOST_STEPS):
        held = ((state <= limits.low) & (told.descent < 0)) | ((state >= limits.high) & (told.descent > 0))
        tried = torch.clamp(state + _solved(told, damping, held), limits.low, limits.high)
        moved = ((tried - state).abs() / limits.step).amax(dim=0) * (1 + damping)
        still = (moved < 1) | (damping > _LAST_DAMPING)  # so small a step is taken without another look
        if bool(still.any()):
            done[:, at[still]] = tried[:, still]
            going = torch.nonzero(~still).squeeze(1)
            if len(going) == 0:
                return done
            at, problem, told, damping = at[going], problem[going], told[going], damping[going]
            state, tried = state[:, going], tried[:, going]
        new = problem.normal(tried)
        better = new.cost <= told.cost
        state, told = torch.where(better, tried, state), told.unless(better, new)
        damping = torch.where(better, damping * 0.1, damping * 10.0)
    done[:, at] = state
    return done


def _solved(told: Normal, damping: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
    """(J^T J + damping diag) x = J^T r without the unknowns that are held, by L D L^T over all voxels: for matrices so
    small a batched solver is many times slower."""
    rows, right, count = list(told.curvature), list(told.descent), len(told.descent)
    pairs = [(i, j) for i in range(count) for j in range(i, count)]
    if bool(held.any()):
        free = (~held).to(damping.dtype)
        rows = [row if i == j else row * free[i] * free[j] for (i, j), row in zip(pairs, rows)]
        right = list(told.descent * free)
    matrix = {at: row * (1 + damping) + _SMALL if at[0] == at[1] else row for at, row in zip(pairs, rows)}
    step = torch.stack(_substituted(*_factored(matrix, count), right))
    return torch.nan_to_num(step, nan=0.0, posinf=0.0, neginf=0.0)


def _factored(matrix: _Entries, count: int) -> tuple[_Entries, list[torch.Tensor]]:
    """Upper triangle -> L below its unit diagonal, and D."""
    lower: _Entries = {}
    pivots: list[torch.Tensor] = []
    for j in range(count):
        weighed = [lower[j, k] * pivots[k] for k in range(j)]
        for i in range(j, count):
            entry = matrix[j, i]
            for k in range(j):
                entry = torch.addcmul(entry, lower[i, k], weighed[k], value=-1)
            if i == j:
                pivots.append(entry)
            lower[i, j] = entry / pivots[j]
    return lower, pivots


def _substituted(lower: _Entries, pivots: list[torch.Tensor], right: list[torch.Tensor]) -> list[torch.Tensor]:
    solved = list(right)
    for i in range(len(solved)):
        for k in range(i):
            solved[i] = torch.addcmul(solved[i], lower[i, k], solved[k], value=-1)
    solved = [value / pivot for value, pivot in zip(solved, pivots)]
    for i in reversed(range(len(solved))):
        for k in range(i + 1, len(solved)):
            solved[i] = torch.addcmul(solved[i], lower[k, i], solved[k], value=-1)
    return solved
