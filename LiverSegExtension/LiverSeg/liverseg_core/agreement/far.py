"""Voxels that lie far from a border -> their distances in mm: asked for one by one in a tree, or all at once.

A KD-tree of the border's voxels is exact. A distance transform of the whole block is exact but for single precision
(up to 1e-4 mm), and costs the same whatever the masks look like. The cheaper one answers. Which one that is follows
from counts alone, so that the same masks always have the same distances.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import cKDTree

from ..geometry import Grid, as_image
from .shells import Lattice, Voxels

_TRANSFORM = 15  # what the transform costs for each voxel of the block, in lookups
_LEAST = 25_000_000  # lookups that are not worth the rounding of a transform: 50 ms
_BUILD, _QUERY, _LOOK = 55, 500, 3  # what a tree costs for each point, each query, each point that a query looks at
_SAMPLE = 16  # so many queries tell how many points one looks at
_PART = 2**20  # queries at a time
_ALONE = 2**14  # fewer queries than this are not worth a second thread
_ROUNDING_MM = 1e-6
_DIGITS = 4  # of a transform's mm: what equals a tolerance in truth has to do so in the end
_DENSE = 8  # where one voxel of so many lies on a border, the mask is noise


def transform_lookups(voxels: int) -> int:
    """What may be spent on exact distances in a block of so many voxels before a transform is cheaper."""
    return max(_TRANSFORM * voxels, _LEAST)


def far_mm(left: np.ndarray, goals: Voxels, lattice: Lattice) -> np.ndarray:
    """For each flat index of `left` the distance to the nearest of `goals`."""
    limit = transform_lookups(goals.flat.size)
    parts = np.array_split(left, left.size // _PART + 1)
    if _BUILD * goals.count + _QUERY * left.size > limit:
        return transformed_mm(parts, left.size, goals, lattice)
    tree = _tree(left, goals, lattice)
    worst = _LOOK * left.size
    if worst * tree.n > limit and worst * _looks(tree, left, lattice) > limit:
        return transformed_mm(parts, left.size, goals, lattice)
    threads = 1 if left.size < _ALONE else sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    return np.concatenate([tree.query(lattice.points_mm(part), workers=threads)[0] for part in parts])


def transformed_mm(parts: Iterable[np.ndarray], count: int, goals: Voxels, lattice: Lattice) -> np.ndarray:
    """The same by a transform, for `count` flat indices that come in parts."""
    k, j, i = lattice.shape
    z, y, x = lattice.spacing.tolist()
    image = as_image(goals.flat.reshape(lattice.shape).view(np.uint8), Grid((i, j, k), (x, y, z)))
    squared = sitk.SignedMaurerDistanceMap(image, squaredDistance=True, useImageSpacing=True)
    found = sitk.GetArrayViewFromImage(squared).ravel()
    away, end = np.empty(count), 0
    for part in parts:
        mm = np.sqrt(np.abs(found[part].astype(np.float64)))  # the sign says inside and outside
        away[end : end + part.size] = np.round(mm, _DIGITS)
        end += part.size
    return away


def parted(goals: Voxels, lattice: Lattice) -> tuple[Voxels, Voxels] | None:
    """Of a border that is noise: the voxels that may lie near it, and those of it that can be nearest to any other
    voxel; None where there is no noise, or the voxels are too long for it.

    The block is cut into cells. Where a voxel's neighbouring cells hold no goal, every goal is farther away than a
    cell's diagonal. Seen from such a voxel, a goal is hidden where all its neighbouring cells hold goals: on the
    straight line, a diagonal before it, lies a cell whose goals are nearer.
    """
    cell = np.floor(lattice.reach_mm / np.sqrt(3) / lattice.spacing).astype(int)
    if goals.count * _DENSE < lattice.inner or not cell.all():
        return None
    held = np.pad(goals.flat.reshape(lattice.shape), [(0, -n % c) for n, c in zip(lattice.shape, cell)])
    for axis, length in enumerate(cell.tolist()):
        lines = np.moveaxis(held, axis, 0)
        held = np.moveaxis(np.logical_or.reduce([lines[n::length] for n in range(length)]), 0, axis)
    sides = cell * lattice.spacing
    around = 2 * np.ceil(np.linalg.norm(sides) / sides).astype(int) + 1  # cells
    near = ndimage.maximum_filter(held, around, mode="constant")
    hidden = ndimage.minimum_filter(held, around, mode="constant")
    return Voxels(_spread(near, cell, lattice)), Voxels(goals.flat & ~_spread(hidden, cell, lattice))


def _spread(cells: np.ndarray, cell: np.ndarray, lattice: Lattice) -> np.ndarray:
    """A flat array of the lattice: what its cell holds, for each voxel."""
    for axis, length in enumerate(cell.tolist()):
        cells = cells.repeat(length, axis)
    k, j, i = lattice.shape
    return cells[:k, :j, :i].ravel()


def _tree(left: np.ndarray, goals: Voxels, lattice: Lattice) -> Any:
    """Of the goals that may be nearest to one of `left`: an island lies in a small ball, and needs few of them.

    Built fast: balanced or compact ones answered slower on borders.
    """
    asking = lattice.points_mm(left)
    middle = (asking.min(axis=0) + asking.max(axis=0)) / 2
    radius = np.linalg.norm(asking - middle, axis=1).max()
    index = np.unravel_index(goals.where, lattice.shape)
    away = np.sqrt(sum((n * mm - at) ** 2 for n, mm, at in zip(index, lattice.spacing, middle)))
    kept = goals.where[away <= away.min() + 2 * radius + _ROUNDING_MM]
    return cKDTree(lattice.points_mm(kept), leafsize=128, balanced_tree=False, compact_nodes=False)


def _looks(tree: Any, left: np.ndarray, lattice: Lattice) -> float:
    """How many points a query looks at, the mean of a sample. A tree knows its parts by the splits on the way to them
    alone, so between two sheets a query looks at much of both."""
    points = lattice.points_mm(left[:: left.size // _SAMPLE + 1])
    return float(np.mean([_looked_at(tree, point, far) for point, far in zip(points, tree.query(points)[0])]))


def _looked_at(tree: Any, point: np.ndarray, distance: float) -> int:
    looks = 0
    ahead = [(tree.tree, np.maximum(np.maximum(tree.mins - point, point - tree.maxes), 0.0))]
    while ahead:
        node, gaps = ahead.pop()
        if node.split_dim < 0:
            looks += node.children
            continue
        gap = point[node.split_dim] - node.split
        here, there = (node.lesser, node.greater) if gap < 0 else (node.greater, node.lesser)
        beyond = gaps.copy()
        beyond[node.split_dim] = abs(gap)
        ahead.append((here, gaps))
        if beyond @ beyond <= distance * distance:
            ahead.append((there, beyond))
    return looks
