"""Cached cases -> batches: which case, which block of it, turned how. Every draw depends on (seed, step) alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from liverseg_core.errors import InputError
from liverseg_core.labels import LIVER
from liverseg_core.model_card import Stage
from torch.nn import functional

from .cache import CachedCase
from .negatives import random_body
from .sections import Augment, Sampler

# torch 2.13's bf16 convolution on CPUs reads uninitialised memory for the weight gradient when a volume is two
# slices deep (found by comparing repeated gradients; NaN now and then): three at the coarsest level avoid it.
_LEAST_STEPS = 3
_NODES_MM = 64.0  # between the nodes of the bend: organs change shape, borders stay smooth


Part = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]  # image, target, codes, inside of one sample


@dataclass(frozen=True, eq=False)
class Batch:
    """What the network is shown, before intensities are touched. All tensors [n, 1, k, j, i] unless said."""

    image: torch.Tensor  # float32, HU on CT, arbitrary on MR
    target: torch.Tensor  # uint8 channel numbers of the network's answer
    codes: torch.Tensor  # uint8, every code of the reference, for contrast simulation
    inside: torch.Tensor  # bool, the scan has data here
    known: torch.Tensor  # bool [n, 1 + labels]
    modalities: tuple[str, ...]
    spacing_mm: tuple[float, float, float]  # (x, y, z)


@dataclass(frozen=True)
class View:
    """One block of a case: `size` voxels about `centre`, seen through `matrix` (all k, j, i in voxels)."""

    centre: np.ndarray
    size: np.ndarray
    matrix: np.ndarray
    first: np.ndarray  # where the imitated scan begins and ends
    last: np.ndarray
    bend: np.ndarray  # [3, k, j, i] displacements in voxels of the case, on nodes spread over the block


class BatchSampler:
    """Draws cases by modality share, and blocks as the corridor will crop them."""

    def __init__(
        self, cases: Sequence[CachedCase], stage: Stage, sampler: Sampler, augment: Augment, shares: Mapping[str, float]
    ) -> None:
        if not cases:
            raise InputError("no training cases: the split leaves nothing to train on")
        if sampler.kind not in ("organ", "scan"):
            raise InputError(f"unknown sampler {sampler.kind!r}; known: organ, scan")
        self.cases, self.stage, self.sampler, self.augment = tuple(cases), stage, sampler, augment
        modalities = [case.modality for case in cases]
        weight = np.array([shares.get(m, 1.0) / modalities.count(m) for m in modalities])
        self.weights = weight / weight.sum()
        self.blocks = [_organ_block(case, stage.labels) for case in cases]
        self.livers = [_organ_block(case, (LIVER,))[0][0] for case in cases] if sampler.below else []

    def batch(self, rng: np.random.Generator) -> Batch:
        parts: list[Part] = []
        modalities, known = [], []
        chosen = [int(n) for n in rng.choice(len(self.cases), self.sampler.batch, p=self.weights)]
        empty = [bool(self.sampler.empty) and rng.random() < self.sampler.empty for _ in chosen]
        views = [self._view(n, rng) for n in chosen]
        sizes = [self._any_size(rng) if nothing else view.size for nothing, view in zip(empty, views)]
        size = np.max(sizes, axis=0)
        for n, view, nothing in zip(chosen, views, empty):
            case = self.cases[n]
            parts.append(_empty(size, case.spacing_mm, rng) if nothing else _look(case, view, size, self.stage.labels))
            modalities.append("CT" if nothing else case.modality)
            known.append([True, *(nothing or code in case.case.annotated for code in self.stage.labels)])
        image, target, codes, inside = (torch.cat(tensors) for tensors in zip(*parts))
        spacing_mm = self.cases[chosen[0]].spacing_mm
        return Batch(image, target, codes, inside, torch.tensor(known), tuple(modalities), spacing_mm)

    def _view(self, number: int, rng: np.random.Generator) -> View:
        """The block that the corridor would crop, with the coarse stage's errors, and the turn it is seen through."""
        case = self.cases[number]
        spacing = np.asarray(case.spacing_mm)[::-1]
        shape = np.asarray(case.image.shape)
        first, last = np.zeros(3), shape.astype(float)
        if self.sampler.kind == "organ":
            reach = self.stage.margin_mm + rng.uniform(-self.sampler.jitter_mm, self.sampler.jitter_mm, (2, 3))
            first, last = self.blocks[number][0] - reach[0] / spacing, self.blocks[number][1] + reach[1] / spacing
        begin, end = _partial(shape, first, last, self.sampler, rng)
        if self.sampler.below and rng.random() < self.sampler.below:
            begin, end = np.zeros(3), np.array([max(self.livers[number], 1), *shape[1:]], float)
        first, last = np.maximum(first, begin), np.minimum(last, end)
        snap = np.asarray(self.stage.snap or self.stage.window)
        steps = np.maximum(-(-np.ceil(last - first) // snap), _LEAST_STEPS if self.stage.snap else 1)
        size = np.minimum(steps * snap, np.asarray(self.stage.window)).astype(int)
        matrix, bend = self._matrix(spacing, rng), self._bend(size, spacing, rng)
        return View((first + last - 1) / 2, size, matrix, begin, end, bend)

    def _any_size(self, rng: np.random.Generator) -> np.ndarray:
        """A field of view of any size that the network can see at once: bodies without organs come in all of them."""
        snap, window = np.asarray(self.stage.snap or self.stage.window), np.asarray(self.stage.window)
        least = _LEAST_STEPS if self.stage.snap else 1
        return np.array([s * rng.integers(least, max(least, w // s) + 1) for s, w in zip(snap, window)])

    def _bend(self, size: np.ndarray, spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Half of the views are bent: smooth random displacements, each node's at most about twice `bend_mm`."""
        nodes = np.maximum(np.round(size * spacing / _NODES_MM).astype(int), 1) + 1
        strength_mm = self.augment.bend_mm * rng.random() * (rng.random() < 0.5)
        return rng.standard_normal((3, *nodes)) * strength_mm / spacing[:, None, None, None]

    def _matrix(self, spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Voxel offsets in the view -> voxel offsets in the case, (k, j, i): rotation and scale in mm, then flips."""
        angles = np.deg2rad([rng.uniform(-limit, limit) for limit in self.augment.rotate_deg])
        turn = np.eye(3)
        for axis, angle in enumerate(angles):  # about x, y, z; rows and columns in (z, y, x)
            a, b = [n for n in range(3) if n != 2 - axis]
            plane = np.eye(3)
            plane[a, a] = plane[b, b] = np.cos(angle)
            plane[a, b], plane[b, a] = -np.sin(angle), np.sin(angle)
            turn = plane @ turn
        scale = np.exp(rng.uniform(*np.log(self.augment.scale)) + rng.normal(0, 0.04, 3))
        mirror = np.array([-1.0 if rng.random() < self.augment.flip.get(axis, 0.0) else 1.0 for axis in "kji"])
        matrix: np.ndarray = (turn * (mirror / scale)[None, :]) * spacing[None, :] / spacing[:, None]
        return matrix


def _empty(size: np.ndarray, spacing_mm: tuple[float, float, float], rng: np.random.Generator) -> Part:
    """A body without organs, all of it inside the scan."""
    k, j, i = (int(n) for n in size)
    nothing = torch.zeros((1, 1, k, j, i), dtype=torch.uint8)
    return random_body((k, j, i), spacing_mm, rng)[None, None], nothing, nothing, nothing == 0


def _organ_block(case: CachedCase, labels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    voxels = np.argwhere(np.isin(case.labels, labels))
    if len(voxels) == 0:
        raise InputError(f"{case.case.id}: the reference holds none of the codes {list(labels)}")
    return voxels.min(axis=0).astype(float), voxels.max(axis=0) + 1.0


def _partial(
    shape: np.ndarray, first: np.ndarray, last: np.ndarray, sampler: Sampler, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Where the imitated scan begins and ends: mostly the whole scan, sometimes it stops inside the block along z."""
    begin, end = np.zeros(3), shape.astype(float)
    draws = rng.random(3)
    if draws[0] < sampler.partial:
        kept = (0.25 + 0.6 * draws[1]) * (last[0] - first[0])
        if draws[2] < 0.5:
            begin[0] = max(begin[0], np.floor(last[0] - kept))
        else:
            end[0] = min(end[0], np.ceil(first[0] + kept))
    return begin, np.maximum(end, begin + 1)


def _look(case: CachedCase, view: View, size: np.ndarray, labels: Sequence[int]) -> Part:
    """Image, target, codes and inside of one view, each [1, 1, k, j, i]."""
    axes = [torch.arange(int(n), dtype=torch.float32) - (int(n) - 1) / 2 for n in size]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    straight = offsets @ torch.from_numpy(view.matrix.T).float() + torch.from_numpy(view.centre).float()
    nodes = torch.from_numpy(view.bend).float()[None]
    bend = functional.interpolate(nodes, straight.shape[:3], mode="trilinear", align_corners=True)
    position = straight + bend[0].movedim(0, -1)
    low = np.maximum(np.floor(position.amin((0, 1, 2)).numpy()).astype(int) - 1, 0)
    high = np.minimum(np.ceil(position.amax((0, 1, 2)).numpy()).astype(int) + 2, case.image.shape)
    low = np.minimum(low, high - 1)
    block = tuple(slice(a, b) for a, b in zip(low, high))
    codes = torch.from_numpy(np.array(case.labels[block]))[None, None]
    members = [(codes == code).float() for code in labels]
    stack = torch.cat([torch.from_numpy(np.array(case.image[block], np.float32))[None, None], *members], dim=1)
    span = torch.from_numpy(high - low).float()
    where = ((position - torch.from_numpy(low).float()) * 2 + 1) / span - 1
    grid = where.flip(-1)[None]
    seen = functional.grid_sample(stack, grid, mode="bilinear", padding_mode="border", align_corners=False)
    near = functional.grid_sample(codes.float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    begin, end = torch.from_numpy(view.first).float() - 0.5, torch.from_numpy(view.last).float() - 0.5
    inside = ((straight >= begin) & (straight <= end)).all(-1)[None, None]  # a scan ends in planes, whatever bends
    shares = seen[:, 1:]
    best, winner = shares.max(dim=1, keepdim=True)
    target = torch.where((best > 0.5) | (best > 1 - shares.sum(1, keepdim=True)), winner + 1, 0)
    return seen[:, :1], (target * inside).to(torch.uint8), (near * inside).to(torch.uint8), inside
