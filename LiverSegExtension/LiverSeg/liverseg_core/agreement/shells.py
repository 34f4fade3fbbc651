"""The border of a mask, and the voxels of another border that lie near it: looked up shell by shell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np

from ..geometry import IntTriple, Triple

_REACH, _FARTHER = 6, 10  # how many of the finest voxels all look out, and those that are few
_FEW, _AT_ONCE = 500, 2**21  # so few voxels, or lookups, and all is looked up in one call
_PART = 2**22  # voxels at a time, so that the indices of a noise do not fill the memory
_CACHED = 2**20  # voxels that stay in the processor's cache while their neighbours are looked at
_SLACK = 1 + 1e-9  # of rounding

Shell = tuple[float, list[int]]  # a length in mm, and every flat jump of that length


@dataclass(frozen=True, eq=False)
class Lattice:
    """A block of voxels with a margin that no jump of its shells leaves: where a flat index lies, and what is near."""

    shape: IntTriple  # [k, j, i], margin included
    spacing: np.ndarray  # mm (k, j, i)
    pad: np.ndarray  # voxels (k, j, i)
    shells: tuple[Shell, ...]  # shortest first; the first is no step at all
    jumps: np.ndarray  # flat, of the shells and farther ones, in the order of their lengths
    lengths_mm: np.ndarray

    @property
    def strides(self) -> tuple[int, int, int]:
        return self.shape[1] * self.shape[2], self.shape[2], 1

    @property
    def inner(self) -> int:
        """The voxels of the block without its margin."""
        return int(np.prod(self.shape - 2 * self.pad))

    @property
    def steps(self) -> int:
        """The jumps of all shells."""
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
    spacing = np.asarray(spacing_mm[::-1], np.float64)
    offsets, lengths = _offsets(spacing, _FARTHER * float(spacing.min()))
    pad = np.maximum(offsets.max(axis=0), 1)  # beyond the image there is at least one voxel outside the mask
    k, j, i = (int(n) for n in np.array(shape) + 2 * pad)
    jumps = offsets @ np.array([j * i, i, 1])
    near = int(np.searchsorted(lengths, _REACH * spacing.min() * _SLACK))
    steps = zip(lengths[:near].tolist(), jumps[:near].tolist())
    shells = [list(group) for _, group in groupby(steps, key=lambda step: round(step[0], 9))]
    alike = tuple((shell[0][0], [jump for _, jump in shell]) for shell in shells)
    return Lattice((k, j, i), spacing, pad, alike, jumps, lengths)


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


def walked(parts: Iterable[np.ndarray], goals: Voxels, lattice: Lattice, *, farther: bool = True) -> Walked:
    """Voxels, given by parts of their flat indices, look around themselves for the nearest of `goals`; those that find
    none and are few look out farther."""
    walks = [_walked(part, goals, lattice, farther=farther) for part in parts]
    found = [pair for walk in walks for pair in walk.found_mm]
    return Walked(found, np.concatenate([walk.left for walk in walks]), sum(walk.lookups for walk in walks))


def _walked(left: np.ndarray, goals: Voxels, lattice: Lattice, *, farther: bool) -> Walked:
    found, lookups, done = [], 0, 0
    margin = int(lattice.jumps.max())
    left = left - margin  # so that a jump is a view of the goals that begins later, and no sum
    for length, jumps in lattice.shells:
        if farther and left.size <= _FEW:
            break
        done += len(jumps)
        lookups += left.size * len(jumps)
        hit = goals.flat[margin + jumps[0] :].take(left)
        for jump in jumps[1:]:
            hit |= goals.flat[margin + jump :].take(left)
        hits = int(np.count_nonzero(hit))
        if hits:
            found.append((length, hits))
            left = left[~hit]
    left = left + margin
    if farther and 0 < left.size * (lattice.jumps.size - done) <= _AT_ONCE:
        lengths, left = _at_once(left, goals, lattice, done)
        found += [(length, 1) for length in lengths.tolist()]
    return Walked(found, left, lookups)


def _at_once(left: np.ndarray, goals: Voxels, lattice: Lattice, done: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances along the jumps that are not done yet, mm, and the voxels that they do not lead to a goal."""
    hit = goals.flat.take(left[:, None] + lattice.jumps[done:])
    first = hit.argmax(axis=1)
    near = hit[np.arange(left.size), first]
    return lattice.lengths_mm[done + first[near]], left[~near]


def _offsets(spacing: np.ndarray, radius_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Every (dk, dj, di) within the radius and its length in mm, shortest first."""
    reach = np.floor(radius_mm / spacing * _SLACK).astype(int)
    offsets = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.sqrt(((offsets * spacing) ** 2).sum(axis=1))
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] <= radius_mm * _SLACK]
    return offsets[order], lengths[order]
