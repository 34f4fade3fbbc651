"""Cached cases -> batches: which case, which block of it, turned how. Every draw of a sample depends on (seed, step,
number of the sample) alone, whichever batch, and whichever process, it is drawn in.

A sampler is a row of SAMPLERS: which block of a case a sample shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from liverseg_core.errors import InputError
from liverseg_core.labels import LESION, LIVER
from liverseg_core.model_card import Stage

from .cache import CachedCase
from .intensity import Scale, scale_of
from .negatives import random_body
from .organ import organ_codes, with_lesions
from .sections import Augment, Sampler
from .views import Part, View, look, random_bend, random_matrix, random_mirror, with_absent

# torch 2.13's bf16 convolution on CPUs reads uninitialised memory for the weight gradient when a volume is two
# slices deep (found by comparing repeated gradients; NaN now and then): three at the coarsest level avoid it.
_LEAST_STEPS = 3
_SPOTS = 20_000  # voxels of the organs that are remembered for each case


@dataclass(frozen=True, eq=False)
class Batch:
    """What the network is shown, before intensities are touched. All tensors [n, 1, k, j, i] unless said."""

    image: torch.Tensor  # float32, HU on CT, arbitrary on MR
    target: torch.Tensor  # uint8 channel numbers of the network's answer; without the slices beside its own
    codes: torch.Tensor  # uint8, every code of the reference, for contrast simulation
    inside: torch.Tensor  # bool, the scan has data here
    known: torch.Tensor  # bool [n, 1 + labels]; nothing, not even the background, of a sample without a reference
    modalities: tuple[str, ...]
    spacing_mm: tuple[tuple[float, float, float], ...]  # (x, y, z) of each sample
    scales: tuple[Scale | None, ...] = ()  # what the whole case says about grey values; None: the block says it
    rngs: tuple[np.random.Generator, ...] = ()  # what decides the rest of each sample


class Source:
    """A case, and what samplers ask about it; each answer is found once, when it is first asked for."""

    def __init__(self, case: CachedCase, stage: Stage) -> None:
        self.case, self.stage = case, stage
        self.spacing = np.asarray(case.spacing_mm)[::-1]
        self.shape = np.asarray(case.image.shape)

    @cached_property
    def block(self) -> tuple[np.ndarray, np.ndarray]:
        """First and one past the last voxel of the organs."""
        return _block_of(self.case, organ_codes(self.stage))

    @cached_property
    def liver_first(self) -> int:
        return int(_block_of(self.case, (LIVER,))[0][0])

    @cached_property
    def slices(self) -> np.ndarray:
        """The slices that hold an organ."""
        return np.flatnonzero(self._sought.any(axis=(1, 2)))

    @cached_property
    def spots(self) -> np.ndarray:
        """Voxels of the organs, evenly thinned to a bearable number, int32 [n, 3]."""
        places = np.flatnonzero(self._sought)
        thin = places[:: max(1, len(places) // _SPOTS)]
        return np.stack(np.unravel_index(thin, self.case.labels.shape), axis=1).astype(np.int32)

    @property
    def _sought(self) -> np.ndarray:
        """Where the case holds what the stage draws, or else the organ in which that would lie."""
        held = np.isin(self.case.labels, self.stage.labels)
        return held if held.any() else np.isin(self.case.labels, organ_codes(self.stage))

    @cached_property
    def scale(self) -> Scale:
        return scale_of(self.case, self.stage)


@dataclass(frozen=True)
class Place:
    """Which block of a case: `size` voxels about `centre`; the imitated scan lies between `first` and `last`."""

    centre: np.ndarray
    size: np.ndarray
    first: np.ndarray
    last: np.ndarray


def _organ(source: Source, sampler: Sampler, rng: np.random.Generator) -> Place:
    """The block of the organs that the corridor would crop, with the coarse stage's errors."""
    reach = source.stage.margin_mm + rng.uniform(-sampler.jitter_mm, sampler.jitter_mm, (2, 3))
    first, last = source.block[0] - reach[0] / source.spacing, source.block[1] + reach[1] / source.spacing
    return _snapped(source, first, last, sampler, rng)


def _scan(source: Source, sampler: Sampler, rng: np.random.Generator) -> Place:
    return _snapped(source, np.zeros(3), source.shape.astype(float), sampler, rng)


def _slices(source: Source, sampler: Sampler, rng: np.random.Generator) -> Place:
    """As many consecutive slices as the window has, and those beside them that channels ask for."""
    size, context = np.array(source.stage.window), context_of(source.stage)
    deep = int(source.shape[0])
    if rng.random() < sampler.liver:
        middle = int(rng.choice(source.slices)) + int(rng.integers(-(size[0] // 2), (size[0] + 1) // 2))
    else:
        middle = int(rng.integers(deep))
    if size[0] > 1:
        middle = int(np.clip(middle, size[0] // 2, max(size[0] // 2, deep - (size[0] + 1) // 2)))
    first = np.array([middle - size[0] // 2, *_in_plane(source, sampler, rng)])
    beside = np.array([context, 0, 0])  # beyond the last slice the last slice goes on
    return Place(first + (size - 1) / 2, size + 2 * beside, source.case.first - beside, source.case.last + beside)


def _patch(source: Source, sampler: Sampler, rng: np.random.Generator) -> Place:
    """A block of the window's size: about a voxel of an organ, or anywhere; it stays inside where there is room."""
    size = np.array(source.stage.window)
    room = source.shape - size
    if rng.random() < sampler.foreground:
        first = source.spots[int(rng.integers(len(source.spots)))] - size // 2
        first = np.where(room > 0, np.clip(first, 0, np.maximum(room, 0)), room // 2)
    else:
        first = np.array([int(rng.integers(n + 1)) if n > 0 else n // 2 for n in room])
    return Place(first + (size - 1) / 2, size, source.case.first, source.case.last)


SAMPLERS: Mapping[str, Callable[[Source, Sampler, np.random.Generator], Place]] = {
    "organ": _organ, "scan": _scan, "slice": _slices, "slab": _slices, "patch": _patch,
}  # fmt: skip
_WHOLE = ("organ", "scan")  # what the corridor shows at once: its grey values are normalised by the block itself


class BatchSampler:
    """Draws cases by the share of their phase or modality, and blocks as the sampler's row says. The references of
    `hidden` cases are replaced by nothing before anything looks at them."""

    def __init__(
        self,
        cases: Sequence[CachedCase],
        stage: Stage,
        sampler: Sampler,
        augment: Augment,
        shares: Mapping[str, float],
        *,
        hidden: bool = False,
    ) -> None:
        if not cases:
            raise InputError("no training cases: the split leaves nothing to train on")
        if sampler.kind not in SAMPLERS:
            raise InputError(f"unknown sampler {sampler.kind!r}; known: {', '.join(SAMPLERS)}")
        if (sampler.kind == "slice") != (stage.dims == 2):
            raise InputError(
                f"sampler {sampler.kind} does not fit a {stage.dims}-D network; 2-D ones take slice, 3-D ones the others"
            )
        self.stage, self.sampler, self.augment, self.hidden = stage, sampler, augment, hidden
        self.cases = tuple(_without_reference(case) if hidden else case for case in cases)
        self.sources = tuple(Source(case, stage) for case in self.cases)
        groups = [case.case.phase if case.case.phase in shares else case.modality for case in cases]
        weight = np.array([shares.get(group, 1.0) / groups.count(group) for group in groups])
        self.weights = weight / weight.sum()

    @property
    def samples(self) -> int:
        """How many there are to see: slices of 2-D stages, cases otherwise."""
        return sum(len(case.image) for case in self.cases) if self.stage.dims == 2 else len(self.cases)

    def batch(self, rng: np.random.Generator, number: int = 0) -> Batch:
        """The `number`-th batch of those that make up what `rng` decides. Blocks grow to the largest of their batch."""
        parts: list[Part] = []
        modalities, known, scales = [], [], []
        rngs = tuple(rng.spawn((number + 1) * self.sampler.batch)[number * self.sampler.batch :])
        chosen = [int(own.choice(len(self.cases), p=self.weights)) for own in rngs]
        empty = [bool(self.sampler.empty) and own.random() < self.sampler.empty for own in rngs]
        views = [self._view(self.sources[n], own) for n, own in zip(chosen, rngs)]
        sizes = [self._any_size(own) if nothing else view.size for nothing, view, own in zip(empty, views, rngs)]
        size = np.max(sizes, axis=0)
        for n, view, nothing, own in zip(chosen, views, empty, rngs):
            case = self.cases[n]
            part, made = (_empty(size, case, own), False) if nothing else self._look(case, view, size, own)
            parts.append(part)
            modalities.append("CT" if nothing else case.modality)
            annotated = {*case.case.annotated, *([LESION] if made else [])}
            known.append([not self.hidden, *(nothing or code in annotated for code in self.stage.labels)])
            scales.append(None if nothing or self.sampler.kind in _WHOLE else self.sources[n].scale)
        image, target, codes, inside = (t[0] if len(t) == 1 else torch.cat(t) for t in zip(*parts))
        context = context_of(self.stage)
        target = target[:, :, context : target.shape[2] - context]
        spacings = tuple(self.cases[n].spacing_mm for n in chosen)
        return Batch(
            image, target, codes, inside, torch.tensor(known), tuple(modalities), spacings, tuple(scales), rngs
        )

    def _look(self, case: CachedCase, view: View, size: np.ndarray, rng: np.random.Generator) -> tuple[Part, bool]:
        """What the view shows, and whether lesions were made up in it."""
        share = self.augment.lesions if case.modality == "CT" else 0.0
        codes = self.augment.simulate > 0 or share > 0 or self.stage.inside > 0
        part = look(case, view, size, self.stage.labels, codes=codes)
        if share == 0 or rng.random() >= share:
            return part, False
        return with_lesions(part, case.spacing_mm, self.stage.labels, rng)

    def _view(self, source: Source, rng: np.random.Generator) -> View:
        """The block and the turn it is seen through."""
        place = SAMPLERS[self.sampler.kind](source, self.sampler, rng)
        if rng.random() >= self.augment.turned:
            matrix, bend = np.diag(random_mirror(self.augment, rng)), np.zeros((3, 1, 1, 1))
        else:
            matrix = random_matrix(self.augment, source.spacing, self.stage.dims, rng)
            bend = random_bend(self.augment, place.size, source.spacing, self.stage.dims, rng)
        return View(place.centre, place.size, matrix, place.first, place.last, bend)

    def _any_size(self, rng: np.random.Generator) -> np.ndarray:
        """A field of view of any size that the network can see at once: bodies without organs come in all of them."""
        snap, window = np.asarray(self.stage.snap or self.stage.window), np.asarray(self.stage.window)
        least = _LEAST_STEPS if self.stage.snap else 1
        return np.array([s * rng.integers(least, max(least, w // s) + 1) for s, w in zip(snap, window)])


def context_of(stage: Stage) -> int:
    """How many slices beside its own a 2-D stage reads, on each side."""
    return max((abs(int(name[5:])) for name in stage.channels if name.startswith("slice")), default=0)


def _without_reference(case: CachedCase) -> CachedCase:
    """The same scan; its labels are zeros, of which none is known to be right."""
    labels = np.broadcast_to(np.zeros((), np.uint8), case.labels.shape)
    return replace(case, case=replace(case.case, annotated=()), labels=labels)


def _snapped(source: Source, first: np.ndarray, last: np.ndarray, sampler: Sampler, rng: np.random.Generator) -> Place:
    """The block as far as the imitated scan goes, in whole steps of the network, as the corridor snaps it."""
    stage, shape = source.stage, source.shape
    begin, end = _partial(shape, first, last, sampler, rng)
    if sampler.below and rng.random() < sampler.below:
        begin, end = np.zeros(3), np.array([max(source.liver_first, 1), *shape[1:]], float)
    first, last = np.maximum(first, begin), np.minimum(last, end)
    snap = np.asarray(stage.snap or stage.window)
    steps = np.maximum(-(-np.ceil(last - first) // snap), _LEAST_STEPS if stage.snap else 1)
    size = np.minimum(steps * snap, np.asarray(stage.window)).astype(int)
    return Place((first + last - 1) / 2, size, begin, end)


def _in_plane(source: Source, sampler: Sampler, rng: np.random.Generator) -> tuple[int, int]:
    """Where the window begins along j and i: centred where the case is smaller, otherwise where `place` says."""
    room = source.shape[1:] - np.array(source.stage.window[1:])
    random = [int(rng.integers(max(n, 0) + 1)) for n in room]
    j, i = (a if n > 0 and sampler.place == "random" else int(n) // 2 for a, n in zip(random, room))
    return j, i


def _empty(size: np.ndarray, case: CachedCase, rng: np.random.Generator) -> Part:
    """A body without organs, all of it inside the scan."""
    k, j, i = (int(n) for n in size)
    nothing = torch.zeros((1, 1, k, j, i), dtype=torch.uint8)
    return with_absent(random_body((k, j, i), case.spacing_mm, rng)[None, None], case), nothing, nothing, nothing == 0


def _block_of(case: CachedCase, labels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
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
