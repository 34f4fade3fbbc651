"""Values between voxels: what lies at any place of a block, and lines of voxels through one matrix.

Places are taken slab by slab, so that what is worked on stays in the processor's cache; the eight voxels about a place
are found once for the image and the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.nn import functional

_SLAB = 2**17  # places at once
MIXED = 255  # a cell between voxels of several channels


@dataclass(frozen=True, eq=False)
class Block:
    """Part of a case, of two voxels or more along each axis: between fewer there is nothing."""

    image: torch.Tensor  # [n, k, j, i], of any kind of number
    codes: torch.Tensor  # uint8 [k, j, i]
    channels: torch.Tensor  # uint8 [k, j, i], the numbers of the network's answer
    channel_count: int  # the background is one


@dataclass(frozen=True, eq=False)
class Corners:
    """The eight voxels about each of m places."""

    first: torch.Tensor  # int32 [m], the first of them in the flat block
    parts: tuple[torch.Tensor, ...]  # float32 [m] each: how far the place is from it along k, j, i, 0 to 1
    shape: tuple[int, ...]

    def of(self, flat: torch.Tensor, k: int, j: int, i: int) -> torch.Tensor:
        """The value of one corner of each place."""
        return flat[(k * self.shape[1] + j) * self.shape[2] + i :].index_select(0, self.first)

    def mean(self, flat: torch.Tensor, channel: int | None = None) -> torch.Tensor:
        """Trilinear between the corners, float32: of their values, or of whether they are the `channel`."""
        along_k, along_j, along_i = self.parts

        def value(k: int, j: int, i: int) -> torch.Tensor:
            held = self.of(flat, k, j, i)
            return held.float() if channel is None else (held == channel).float()

        def line(k: int, j: int) -> torch.Tensor:
            return torch.lerp(value(k, j, 0), value(k, j, 1), along_i)

        def plane(k: int) -> torch.Tensor:
            return torch.lerp(line(k, 0), line(k, 1), along_j)

        return torch.lerp(plane(0), plane(1), along_k)

    def most(self, flat: torch.Tensor, count: int) -> torch.Tensor:
        """Of `count` channels the one with the largest trilinear share, uint8; the lower one of two that share alike."""
        shares = [self.mean(flat, n) for n in range(1, count)]
        best, found = 1 - torch.stack(shares).sum(0), torch.zeros(len(self.first), dtype=torch.uint8)
        for n, share in enumerate(shares, start=1):
            found[share > best] = n
            best = torch.maximum(best, share)
        return found

    def on_borders(self, found: torch.Tensor) -> Corners:
        """Those of the places where the cells say MIXED."""
        chosen = torch.from_numpy(np.flatnonzero(found.numpy() == MIXED))
        return Corners(self.first[chosen], tuple(part[chosen] for part in self.parts), self.shape)


def slabs(size: Sequence[int] | np.ndarray) -> Iterator[slice]:
    """Planes of `size` to be worked on at once."""
    planes = max(1, _SLAB // int(size[1] * size[2]))
    return (slice(k, min(k + planes, int(size[0]))) for k in range(0, int(size[0]), planes))


def corners_at(places: Sequence[torch.Tensor], shape: Sequence[int]) -> Corners:
    """About places given by their voxel along k, j and i, float32; beyond the block its border goes on."""
    first, parts = torch.zeros(1, dtype=torch.int32), []
    for place, n in zip(places, shape):
        within = place.flatten().clamp(0.0, float(np.nextafter(np.float32(n - 1), np.float32(0))))
        first = within.int().add_(first, alpha=int(n))
        parts.append(within.frac_())
    return Corners(first, tuple(parts), tuple(int(n) for n in shape))


def cells_of(channels: torch.Tensor) -> torch.Tensor:
    """For the first voxel of each cell of eight: the channel that all of them hold, or MIXED; flat uint8, without the last
    voxels, which are no cell's first."""
    low = high = channels.flatten()
    for step in (1, channels.shape[2], channels.shape[1] * channels.shape[2]):  # past the end of a line no cell begins
        low, high = torch.minimum(low[:-step], low[step:]), torch.maximum(high[:-step], high[step:])
    return low | (low != high).view(torch.uint8).mul_(MIXED)


def channels_at(found: torch.Tensor, borders: Sequence[Corners], block: Block) -> torch.Tensor:
    """What the cells of all places say, uint8; where that is MIXED the channel with the largest share about the place.
    `borders`: the corners of those, in the order of the places."""
    mixed = torch.from_numpy(np.flatnonzero(found.numpy() == MIXED))
    about = Corners(
        torch.cat([part.first for part in borders]),
        tuple(torch.cat(parts) for parts in zip(*(part.parts for part in borders))),
        borders[0].shape,
    )
    found.view(-1)[mixed] = about.most(block.channels.flatten(), block.channel_count)
    return found


def codes_at(places: Sequence[torch.Tensor], codes: torch.Tensor) -> torch.Tensor:
    """The code of the voxel that each place lies in; 0 beyond the block. As the places are shaped."""
    index, inside = torch.zeros((), dtype=torch.int32), torch.ones((), dtype=torch.bool)
    for place, n in zip(places, codes.shape):
        nearest = (place + 0.5).floor_()
        inside = inside & (nearest >= 0) & (nearest < n)
        index = nearest.clamp_(0, n - 1).int().add_(index * n)
    return codes.flatten().index_select(0, index.flatten()).reshape(index.shape) * inside


def along(volume: torch.Tensor, axis: int, change: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """`change`, a linear map of lines [n, 1, old] -> [n, 1, new], done to every line of [k, j, i] along an axis.

    What it makes of the unit lines is its matrix; one product with it takes half of the time of doing it in 3-D.
    """
    matrix = change(torch.eye(volume.shape[axis])[:, None])[:, 0]  # [old, new]
    if axis == 2:
        return volume @ matrix
    if axis == 1:
        return matrix.T @ volume
    return (matrix.T @ volume.flatten(1)).reshape(-1, *volume.shape[1:])


def spread(nodes: torch.Tensor, shape: Sequence[int] | np.ndarray) -> torch.Tensor:
    """Trilinear between nodes [k, j, i] laid over a volume of `shape`, from its first voxel to its last."""
    for axis, n in enumerate(shape):
        between = partial(functional.interpolate, size=int(n), mode="linear", align_corners=True)
        nodes = along(nodes, axis, between)
    return nodes
