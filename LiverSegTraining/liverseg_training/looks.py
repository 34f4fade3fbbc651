"""The averaged network on cached validation cases, while training: DSC by structure and phase, and an overlay."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import zip_longest

import numpy as np
import torch
from liverseg_core.agreement import dsc, structure
from liverseg_core.fastform import FastForm, half_type
from liverseg_core.geometry import Grid
from liverseg_core.inference import infer
from liverseg_core.labels import LABELS
from liverseg_core.model_card import Stage
from liverseg_core.phases import CT_RANGE_HU
from liverseg_core.preparation import channels_of
from liverseg_core.records import LabelMask, PreparedScan
from liverseg_core.reporting.marks import inked, outline
from liverseg_core.restoration import decided
from liverseg_core.segments import clean
from liverseg_core.windows import bytes_a_voxel
from torch import nn

from .cache import CachedCase
from .experiment import Experiment
from .intensity import reach, rule_for
from .organ import kept_inside, veiled
from .sampling import Source
from .sections import Eval
from .views import cut, plain_view

_OURS, _REFERENCE = (255, 140, 0), (0, 200, 255)  # of the outlines
_PICTURE_PX = 320


@dataclass(frozen=True)
class Glance:
    """One structure of one case at the cached grid."""

    case: str
    phase: str
    structure: str
    dsc: float


@dataclass(frozen=True, eq=False)
class Seen:
    """One look: mean DSC of every cell (structure and phase), their mean as the score, and pictures by phase."""

    glances: tuple[Glance, ...]
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)  # uint8 [j, i, 3]

    @property
    def cells(self) -> dict[str, float]:
        values: dict[str, list[float]] = defaultdict(list)
        for glance in self.glances:
            if not math.isnan(glance.dsc):
                values[cell_name(glance.structure, glance.phase)].append(glance.dsc)
        return {cell: sum(own) / len(own) for cell, own in values.items()}

    @property
    def score(self) -> float:
        """Every cell counts alike, whatever its number of cases."""
        cells = self.cells
        return sum(cells.values()) / len(cells) if cells else 0.0


class Looks:
    """The validation cases of an experiment, ready to be looked at again and again."""

    def __init__(self, experiment: Experiment, cases: Sequence[CachedCase], device: torch.device) -> None:
        self.stage, self.device = experiment.stage(), device
        self.sources = [Source(case, self.stage) for case in chosen(cases, experiment.eval)]

    @property
    def cells(self) -> tuple[str, ...]:
        """Every structure and phase that a look can speak of."""
        known = {
            cell_name(LABELS[code].key, source.case.case.phase)
            for source in self.sources
            for code in self._codes(source)
        }
        return tuple(sorted(known))

    def __call__(self, network: nn.Module, *, pictures: bool = False) -> Seen:
        form = ready(network, self.stage, self.device)
        glances: list[Glance] = []
        drawn: dict[str, np.ndarray] = {}
        for source in self.sources:
            ours, reference, grey = drawn_by(form, source, self.device)
            case, phase = source.case.case, source.case.case.phase
            for code in self._codes(source):
                agreed = float(dsc(structure(ours, code), structure(reference, code)))
                glances.append(Glance(case.id, phase, LABELS[code].key, agreed))
            if pictures and phase not in drawn:
                drawn[phase] = _overlay(grey, ours.voxels > 0, np.isin(reference.voxels, self.stage.labels))
        return Seen(tuple(glances), drawn)

    def _codes(self, source: Source) -> list[int]:
        return [code for code in self.stage.labels if code in source.case.case.annotated]


def ready(network: nn.Module, stage: Stage, device: torch.device) -> FastForm:
    """A copy of the network as inference wants it, measured once for all cases."""
    form = FastForm(network, stage.dims, device, half_type(device) if device.type == "cuda" else None)
    with torch.inference_mode():
        form.bytes_a_voxel = bytes_a_voxel(form, stage, device)
    return form


def drawn_by(form: FastForm, source: Source, device: torch.device) -> tuple[LabelMask, LabelMask, np.ndarray]:
    """What the network draws at the cached grid, the reference there, and grey values [k, j, i]."""
    prepared, codes, grey = shown_whole(source)
    logits = infer(prepared, source.stage, form, device=device)
    ours = clean(kept_inside(decided(logits, source.stage.sure), codes, source.stage), source.stage.post)
    return ours, LabelMask(codes, prepared.grid), grey


def cell_name(structure_key: str, phase: str) -> str:
    return f"{structure_key} {phase}"


def chosen(cases: Sequence[CachedCase], wanted: Eval) -> list[CachedCase]:
    """At most `most` of the cases that were asked for, the phases in turn."""
    by_phase: dict[str, list[CachedCase]] = defaultdict(list)
    for case in sorted(cases, key=lambda c: c.case.id):
        if any(fnmatch(case.case.id, pattern) for pattern in wanted.cases):
            by_phase[case.case.phase].append(case)
    turns = zip_longest(*(by_phase[phase] for phase in sorted(by_phase)))
    return [case for turn in turns for case in turn if case is not None][: wanted.most]


def shown_whole(source: Source) -> tuple[PreparedScan, np.ndarray, np.ndarray]:
    """What the corridor would show the stage of this case, the codes of the reference there [k, j, i], and grey values.
    A stage that waits for another one gets the reference's block and its margin."""
    case, stage = source.case, source.stage
    region = _region(source)
    first, size = np.array([s.start for s in region[0]]), np.array([s.stop - s.start for s in region[0]])
    image, _, codes, inside = cut(case, plain_view(first, size, case.first, case.last), stage.labels)
    laid, within = image[0, [v is not None for v in case.volumes]], inside[0, 0]
    if case.modality == "CT":
        laid = torch.where(within, laid, CT_RANGE_HU[0])
    if stage.inside:
        air = CT_RANGE_HU[0] if case.modality == "CT" else float(laid[0].min())
        laid = veiled(laid, codes[0, 0], stage, case.spacing_mm, stage.reach_mm, air)
    channels = channels_of(stage, list(laid.numpy()), within, rule_for(stage, case.modality))
    return PreparedScan(channels[None], region[1]), codes[0, 0].numpy(), laid[0].numpy()


def _region(source: Source) -> tuple[tuple[slice, slice, slice], Grid]:
    """Where the stage looks, as slices of the cached case (they may reach outside) and as a grid."""
    stage, case = source.stage, source.case
    lattice = Grid(_ijk(source.shape), case.spacing_mm)
    first, last = np.zeros(3, int), source.shape.copy()
    if stage.crop == "previous":
        reach_voxels = stage.margin_mm / source.spacing
        first = np.maximum(np.floor(source.block[0] - reach_voxels).astype(int), 0)
        last = np.minimum(np.ceil(source.block[1] + reach_voxels).astype(int), source.shape)
    if stage.crop != "body":  # a body's block was snapped when it was cached
        least = stage.window if stage.snap is None else [2 * n if n > 1 else 1 for n in stage.snap]
        last = np.maximum(last, first + np.asarray(least))
        lattice = lattice.snapped(first[::-1], last[::-1], (stage.snap or (1, 1, 1))[::-1])
    start = np.round(np.asarray(lattice.origin_mm) / lattice.spacing_mm).astype(int)[::-1]
    k, j, i = (slice(int(a), int(a) + n) for a, n in zip(start, lattice.array_shape))
    return (k, j, i), lattice


def _ijk(shape: np.ndarray) -> tuple[int, int, int]:
    k, j, i = (int(n) for n in shape)
    return (i, j, k)


def _overlay(grey: np.ndarray, ours: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The slice with most of the reference; both outlines on it."""
    k = int(reference.sum(axis=(1, 2)).argmax())
    low, high = reach(torch.from_numpy(grey[k]).flatten())
    larger = max(1, -(-_PICTURE_PX // grey.shape[2]))  # so that outlines stay thin beside what they surround
    ours, reference, image = (np.kron(a[k], np.ones((larger, larger), a.dtype)) for a in (ours, reference, grey))
    plane = np.clip((image - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    inks = [(outline(reference), _REFERENCE), (outline(ours), _OURS)]
    return inked(np.repeat(plane[..., None], 3, axis=-1), inks, halo_px=0)
