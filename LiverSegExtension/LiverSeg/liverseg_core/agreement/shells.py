"""The border of a mask, and the voxels of another border that lie near it: looked up shell by shell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np

from ..geometry import IntTriple, Triple

_REACH = 6  # how many of the finest voxels the shells reach out
_PART = 2**22  # voxels at a time, so that the indices of a noise do not fill the memory
_CACHED = 2**20  # voxels that stay in the processor's cache while their neighbours are looked at
_CALL = 2000  # what a shell's jump costs besides its lookups, in lookups; of those, one is 2 ns
BUILD, QUERY = 55, 500  # what a KD-tree costs for each of its points, and for each query nearby, in lookups

Shell = tuple[float, list[int]]  # a length in mm, and every flat jump of that length


@dataclass(frozen=True, eq=False)
class Lattice:
    """A block of voxels with a margin that no jump of its shells leaves: where a flat index lies, and what is near."""

    shape: IntTriple  # [k, j, i], margin included
    spacing: np.ndarray  # mm (k, j, i)
    pad: np.ndarray  # voxels (k, j, i)
    shells: tuple[Shell, ...]  # shortest first; the first is no step at all

    @property
    def strides(self) -> tuple[int, int, int]:
        return self.shape[1] * self.shape[2], self.shape[2], 1

    @property
    def jumps(self) -> int:
        return sum(len(jumps) for _, jumps in self.shells)

    @property
    def reach_mm(self) -> float:
        """A voxel that no shell finds is farther away."""
        return self.shells[-1][0]

    def points_mm(self, flat: np.ndarray) -> np.ndarray:
        return np.stack(np.unravel_index(flat, self.shape), axis=1) * self.spacing


@dataclass(frozen=True, eq=False)
class Voxels:
    """Some voxels of a lattice."""

    flat: np.ndarray  # bool, one for each voxel of the lattice

    @cached_property
    def count(self) -> int:
        return int(np.count_nonzero(self.flat))

    @cached_property
    def where(self) -> np.ndarray:
        """Their flat indices."""
        return np.flatnonzero(self.flat)

    def parts(self) -> Iterator[np.ndarray]:
        """The same, a part at a time where they are many."""
        if self.count <= _PART:
            yield self.where
            return
        for start in range(0, self.flat.size, _PART):
            yield start + np.flatnonzero(self.flat[start : start + _PART])


class Walked(NamedTuple):
    """How far the shells came: distances found and how often, the voxels that are left, and the lookups it took."""

    found_mm: list[tuple[float, int]]
    left: np.ndarray
    lookups: int


def lattice_around(shape: IntTriple, spacing_mm: Triple) -> Lattice:
    """For masks [k, j, i] of `shape`; spacing_mm is (i, j, k)."""
    offsets, lengths = _offsets(spacing_mm)
    pad = np.maximum(offsets.max(axis=0), 1)  # beyond the image there is at least one voxel outside the mask
    k, j, i = (int(n) for n in np.array(shape) + 2 * pad)
    jumps = offsets @ np.array([j * i, i, 1])
    steps = zip(lengths.tolist(), jumps.tolist())
    shells = [list(group) for _, group in groupby(steps, key=lambda step: round(step[0], 9))]
    alike = tuple((shell[0][0], [jump for _, jump in shell]) for shell in shells)
    return Lattice((k, j, i), np.asarray(spacing_mm[::-1], np.float64), pad, alike)


def border(mask: np.ndarray, lattice: Lattice) -> Voxels:
    """The voxels of a mask that have a face neighbour outside it."""
    block = np.zeros(lattice.shape, bool)
    block[tuple(slice(n, -n) for n in lattice.pad.tolist())] = mask
    flat = block.ravel()
    found = np.zeros(flat.size, bool)
    plane, row, _ = lattice.strides
    for start in range(plane, flat.size - plane, _CACHED):  # the first and the last plane are margin
        stop = min(start + _CACHED, flat.size - plane)
        inside = flat[start - 1 : stop - 1] & flat[start + 1 : stop + 1]
        for stride in (row, plane):  # a neighbour across the end of a row is margin, so never inside
            inside &= flat[start - stride : stop - stride]
            inside &= flat[start + stride : stop + stride]
        np.greater(flat[start:stop], inside, out=found[start:stop])
    return Voxels(found)


def walked(parts: Iterable[np.ndarray], goals: Voxels, lattice: Lattice, *, to_the_end: bool = False) -> Walked:
    """Voxels, given by parts of their flat indices, look around themselves for the nearest of `goals`.

    The walk ends early where a tree of the goals is cheaper than what is still ahead.
    """
    walks = [_walked(part, goals, lattice, to_the_end=to_the_end) for part in parts]
    found = [pair for walk in walks for pair in walk.found_mm]
    return Walked(found, np.concatenate([walk.left for walk in walks]), sum(walk.lookups for walk in walks))


def _walked(left: np.ndarray, goals: Voxels, lattice: Lattice, *, to_the_end: bool) -> Walked:
    found, lookups, ahead = [], 0, lattice.jumps
    farthest = max(max(jumps) for _, jumps in lattice.shells)
    left = left - farthest  # so that a jump is a view of the goals that begins later, and no sum
    for length, jumps in lattice.shells:
        if not left.size or (not to_the_end and ahead * _CALL > BUILD * goals.count + QUERY * left.size):
            break
        ahead -= len(jumps)
        lookups += left.size * len(jumps)
        hit = goals.flat[farthest + jumps[0] :].take(left)
        for jump in jumps[1:]:
            hit |= goals.flat[farthest + jump :].take(left)
        hits = int(np.count_nonzero(hit))
        if hits:
            found.append((length, hits))
            left = left[~hit]
    return Walked(found, left + farthest, lookups)


def _offsets(spacing_mm: Triple) -> tuple[np.ndarray, np.ndarray]:
    """Every (dk, dj, di) within reach and its length in mm, shortest first."""
    spacing = np.asarray(spacing_mm[::-1], np.float64)
    radius = _REACH * float(spacing.min())
    reach = np.floor(radius / spacing + 1e-9).astype(int)
    offsets = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.sqrt(((offsets * spacing) ** 2).sum(axis=1))
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] <= radius * (1 + 1e-9)]
    return offsets[order], lengths[order]
