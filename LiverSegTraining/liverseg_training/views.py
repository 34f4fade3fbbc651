"""View -> the voxels that it shows: one block of a cached case, cut out straight or seen through a turn and a bend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from .between import Block, Corners, cells_of, channels_at, codes_at, corners_at, slabs, spread
from .cache import CachedCase
from .sections import Augment

_NODES_MM = 64.0  # between the nodes of the bend: organs change shape, borders stay smooth
_STRETCH = 0.04  # standard deviation of the log of each axis' own scale

Part = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]  # image, target, codes, inside of one sample


@dataclass(frozen=True)
class View:
    """One block of a case: `size` voxels about `centre`, seen through `matrix` (all k, j, i in voxels)."""

    centre: np.ndarray
    size: np.ndarray
    matrix: np.ndarray  # voxel offsets in the view -> voxel offsets in the case
    first: np.ndarray  # where the imitated scan begins and ends
    last: np.ndarray
    bend: np.ndarray  # [3, k, j, i] displacements in voxels of the case, on nodes spread over the block

    @property
    def straight(self) -> bool:
        """Whether voxels of the view are voxels of the case, each for itself."""
        whole = np.allclose(self.centre - (self.size - 1) / 2, np.round(self.centre - (self.size - 1) / 2))
        upright = np.array_equal(np.abs(self.matrix), np.eye(3))
        return bool(whole and upright and not self.bend.any())


def look(case: CachedCase, view: View, size: np.ndarray, labels: Sequence[int], *, codes: bool = True) -> Part:
    """Image [1, volumes, k, j, i], target, codes and inside of one view, each [1, 1, k, j, i]; `size` may be larger than the
    view's. Without `codes`, which only simulated contrasts ask for, they are those of the target. A volume that the case
    does not have is NaN. Beyond the case its border goes on."""
    if view.straight and np.array_equal(size, view.size):
        return cut(case, view, labels)
    bend, half = _bend(view, size), (size - 1) / 2
    corners = view.centre + (np.indices((2, 2, 2)).reshape(3, -1).T * 2 - 1) * half @ view.matrix.T
    reach = 0.0 if bend is None else bend.abs().amax((1, 2, 3)).numpy()
    shape = np.asarray(case.image.shape)
    low = np.clip(np.floor(corners.min(axis=0) - reach).astype(int) - 1, 0, np.maximum(shape - 2, 0))
    high = np.clip(np.ceil(corners.max(axis=0) + reach).astype(int) + 2, low + 2, shape)
    block = _block_of(case, tuple(slice(a, b) for a, b in zip(low, high)), labels)
    cells, lines = cells_of(block.channels), _lines(view, size, low)
    inside = _inside(view, size, corners)
    k, j, i = (int(n) for n in size)
    image = torch.empty((1, len(block.image), k, j, i))
    target, own = (torch.empty((1, 1, k, j, i), dtype=torch.uint8) for _ in range(2))
    borders: list[Corners] = []
    for slab in slabs(size):
        places = [line[0][slab] + line[1] for line in lines]
        if bend is not None:
            places = [place + way[slab] for place, way in zip(places, bend)]
        about = corners_at(places, block.codes.shape)
        for seen, volume in zip(image[0], block.image):
            seen[slab] = about.mean(volume.flatten()).reshape(places[0].shape)
        found = cells.index_select(0, about.first)
        target[0, 0, slab] = found.reshape(places[0].shape)
        borders.append(about.on_borders(found))
        if codes:
            own[0, 0, slab] = codes_at(places, block.codes)
    target = channels_at(target, borders, block) * inside
    own = own * inside if codes else _codes_of(target, labels)
    return with_absent(image, case), target, own, inside


def _block_of(case: CachedCase, block: tuple[slice, ...], labels: Sequence[int]) -> Block:
    image, codes = _volumes_of(case, block), torch.from_numpy(np.array(case.labels[block]))
    for axis, n in enumerate(codes.shape):
        if n == 1:
            image, codes = image.repeat_interleave(2, axis + 1), codes.repeat_interleave(2, axis)
    return Block(image, codes, _channels_of(codes, labels), 1 + len(labels))


def _lines(view: View, size: np.ndarray, low: np.ndarray) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Where the voxels of a view lie in the block that begins at `low`: along each axis what their k adds, [k, 1, 1], and
    what their place in the plane does, [j, i]."""
    k, j, i = (torch.arange(int(n), dtype=torch.float32) - (int(n) - 1) / 2 for n in size)
    made = []
    for (a, b, c), middle in zip(view.matrix.tolist(), (view.centre - low).tolist()):
        made.append(((k * a + middle)[:, None, None], (j * b)[:, None] + i * c))
    return made


def _inside(view: View, size: np.ndarray, corners: np.ndarray) -> torch.Tensor:
    """Which voxels lie in the scan, bool [1, 1, k, j, i]: it ends in planes, whatever bends."""
    inside = torch.ones((1, 1, *(int(n) for n in size)), dtype=torch.bool)
    for axis, (deep, plane) in enumerate(_lines(view, size, np.zeros(3))):
        first, last = float(view.first[axis]) - 0.5, float(view.last[axis]) - 0.5
        if corners[:, axis].min() < first or corners[:, axis].max() > last:
            for slab in slabs(size):
                place = (deep[slab] + (plane - (first + last) / 2)).abs_()
                inside[0, 0, slab] &= place <= (last - first) / 2
    return inside


def _bend(view: View, size: np.ndarray) -> torch.Tensor | None:
    """The displacement of every voxel, [3, k, j, i] in voxels of the case."""
    if not view.bend.any():
        return None
    return torch.stack([spread(nodes, size) for nodes in torch.from_numpy(view.bend).float()])


def _codes_of(target: torch.Tensor, labels: Sequence[int]) -> torch.Tensor:
    if list(labels) == list(range(1, len(labels) + 1)):
        return target
    codes = torch.zeros_like(target)
    for n, code in enumerate(labels, start=1):
        codes.add_((target == n).view(torch.uint8), alpha=code)
    return codes


def _channels_of(codes: torch.Tensor, labels: Sequence[int]) -> torch.Tensor:
    """The number of each voxel's channel; 0 where it holds none of `labels`."""
    channels = (codes == labels[0]).view(torch.uint8)
    for n, code in enumerate(labels[1:], start=2):
        channels.add_((codes == code).view(torch.uint8), alpha=n)
    return channels


def cut(case: CachedCase, view: View, labels: Sequence[int]) -> Part:
    """As `look` for a view whose voxels are the case's own: nothing is interpolated. Beyond the case its border goes on."""
    start = np.round(view.centre - (view.size - 1) / 2).astype(int)
    lines = [np.arange(a, a + int(n)) for a, n in zip(start, view.size)]
    lines = [line[::-1] if view.matrix[axis, axis] < 0 else line for axis, line in enumerate(lines)]
    held = [(line >= a) & (line < b) for line, a, b in zip(lines, view.first, view.last)]
    within = [(line >= 0) & (line < n) for line, n in zip(lines, case.image.shape)]
    kept = [np.clip(line, 0, n - 1) for line, n in zip(lines, case.image.shape)]
    low = [int(line.min()) for line in kept]
    block = tuple(slice(a, int(line.max()) + 1) for a, line in zip(low, kept))
    image, codes = _volumes_of(case, block), torch.from_numpy(np.array(case.labels[block]))
    back = [axis for axis in range(3) if view.matrix[axis, axis] < 0]
    whole = all(bool(line.all()) for line in (*held, *within))
    if whole:
        if back:
            image, codes = image.flip([1 + axis for axis in back]), codes.flip(back)
        inside = torch.ones((1, 1, *codes.shape), dtype=torch.bool)
    else:
        index = np.ix_(*(line - a for line, a in zip(kept, low)))
        image = torch.from_numpy(np.stack([volume.numpy()[index] for volume in image]))
        codes = torch.from_numpy(np.ascontiguousarray(codes.numpy()[index]))
        inside = _box(held)
        codes = codes * (inside & _box(within))[0, 0]
    target = _channels_of(codes, labels)
    return with_absent(image.float()[None], case), target[None, None], codes[None, None], inside


def with_absent(seen: torch.Tensor, case: CachedCase) -> torch.Tensor:
    """The first volumes of a case [1, n, k, j, i], and NaN for the others that channels ask for."""
    absent = len(case.volumes) - seen.shape[1]
    return seen if absent == 0 else functional.pad(seen, (0,) * 7 + (absent,), value=torch.nan)


def _volumes_of(case: CachedCase, block: tuple[slice, ...]) -> torch.Tensor:
    """A block of every volume that the case has, [n, k, j, i]."""
    return torch.from_numpy(np.stack([volume[block] for volume in case.volumes if volume is not None]))


def plain_view(first: np.ndarray, size: np.ndarray, begin: np.ndarray, end: np.ndarray) -> View:
    """The block of `size` voxels from `first`, as it lies."""
    return View(first + (size - 1) / 2, size, np.eye(3), begin, end, np.zeros((3, 1, 1, 1)))


def random_matrix(augment: Augment, spacing: np.ndarray, dims: int, rng: np.random.Generator) -> np.ndarray:
    """Voxel offsets in the view -> voxel offsets in the case, (k, j, i): rotation and scale in mm, then flips. Slices
    of a 2-D stage turn and stretch in their plane alone. `spacing` is (z, y, x)."""
    angles = np.deg2rad([rng.uniform(-limit, limit) for limit in augment.rotate_deg])
    scale = np.exp(rng.uniform(*np.log(augment.scale)) + rng.normal(0, _STRETCH, 3))
    if dims == 2:
        angles[:2], scale[0] = 0.0, 1.0
    turn = np.eye(3)
    for axis, angle in enumerate(angles):  # about x, y, z; rows and columns in (z, y, x)
        a, b = [n for n in range(3) if n != 2 - axis]
        plane = np.eye(3)
        plane[a, a] = plane[b, b] = np.cos(angle)
        plane[a, b], plane[b, a] = -np.sin(angle), np.sin(angle)
        turn = plane @ turn
    matrix: np.ndarray = (turn * (random_mirror(augment, rng) / scale)[None, :]) * spacing[None, :] / spacing[:, None]
    return matrix


def random_mirror(augment: Augment, rng: np.random.Generator) -> np.ndarray:
    """-1 for the axes (k, j, i) that are flipped, 1 for the others."""
    return np.array([-1.0 if rng.random() < augment.flip.get(axis, 0.0) else 1.0 for axis in "kji"])


def random_bend(
    augment: Augment, size: np.ndarray, spacing: np.ndarray, dims: int, rng: np.random.Generator
) -> np.ndarray:
    """Half of the views are bent: smooth random displacements, each node's at most about twice `bend_mm`."""
    nodes = np.maximum(np.round(size * spacing / _NODES_MM).astype(int), 1) + 1
    strength_mm = augment.bend_mm * rng.random() * (rng.random() < 0.5)
    if strength_mm == 0:
        return np.zeros((3, 1, 1, 1))
    bend = rng.standard_normal((3, *nodes)) * strength_mm / spacing[:, None, None, None]
    if dims == 2:
        bend[0], bend[:, 1:] = 0.0, bend[:, :1]
    return bend


def _box(lines: Sequence[np.ndarray]) -> torch.Tensor:
    """True where all three lines are, bool [1, 1, k, j, i]."""
    k, j, i = (torch.from_numpy(np.ascontiguousarray(line)) for line in lines)
    return (k[:, None, None] & j[None, :, None] & i[None, None, :])[None, None]
