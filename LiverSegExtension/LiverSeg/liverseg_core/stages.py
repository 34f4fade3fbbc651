"""The part of the corridor that needs a network: preparation, inference and restoration, stage after stage.

What needs torch is imported where the journey needs it, so that the corridor opens without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from .confidence import accord, apart, doubt
from .errors import MemoryShortageError, ModelError
from .geometry import Grid, bounding_block, resampled
from .labels import LIVER
from .measurements.flags import Confidence
from .memory import demand_memory
from .model_card import ModelCard, Stage, last_echo
from .records import LabelMask, Logits, Notice, Scan
from .segments import clean
from .walk import Walk

if TYPE_CHECKING:
    import torch

    from .models import Model

T = TypeVar("T")
Drawn = tuple[LabelMask, Confidence, np.ndarray | None]  # the first three of a Drawing
Look = Callable[..., tuple[Logits, LabelMask]]  # of a stage, its network, the block to crop to and the mask around it


@dataclass(frozen=True, eq=False)
class Drawing:
    """The mask on the scan's own grid, how sure its network is of it, and the device that drew it."""

    mask: LabelMask
    confidence: Confidence
    apart: np.ndarray | None  # of an ensemble: how far its members are apart there, float32 [k, j, i] from 0 to 1
    device: str
    notices: tuple[Notice, ...] = ()


def drawn(scan: Scan, model: Model, quality: str, device: str, walk: Walk, others: Sequence[Scan] = ()) -> Drawing:
    """A GPU that LiverSeg chose itself may give way to the CPU, with a notice; one that was asked for may not.

    `others` are the echoes after the first, where `scan` is that.
    """
    echoes = (scan, *others)
    demand_echoes(model.card, len(echoes))
    where = device_named(device)
    try:
        return Drawing(*_drawn_on(where, echoes, model, quality, walk), where)
    except MemoryShortageError as problem:
        if device != "auto" or where == "cpu":
            raise
        told = Notice("gpu_memory_short", f"The CPU computed instead of {where}, which is slower: {problem}.")
    return Drawing(*_drawn_on("cpu", echoes, model, quality, walk), "cpu", (told,))


def demand_echoes(card: ModelCard, count: int) -> None:
    """ModelError where an acquisition of `count` echoes (1: a single scan) lacks one that the model cannot do without."""
    if card.echoes_needed > count:
        have = "a single scan" if count == 1 else f"an acquisition of {count}"
        raise ModelError(
            f"{card.name} reads {card.echoes_needed} echoes, this is {have}; give `liverseg fat` the echoes of one "
            "gradient echo, or choose another model"
        )


def _drawn_on(device: str, echoes: Sequence[Scan], model: Model, quality: str, walk: Walk) -> Drawn:
    """Part after part of the card: what a later one draws lies inside a code of the mask so far. Confidence, and how far
    networks are apart, are those of the first part, which draws the liver."""
    import torch

    from .inference import infer
    from .preparation import code_on, prepare
    from .restoration import decided, joined

    def look(
        stage: Stage, network: torch.nn.Module, found: Grid | None, within: LabelMask | None
    ) -> tuple[Logits, LabelMask]:
        with walk.room("preparation"):
            prepared = prepare(echoes[: last_echo(stage.channels)], stage, found, within if stage.inside else None)
        with walk.room("inference"):
            logits = infer(
                prepared, stage, network, device=torch.device(device), mirrored=quality == "best",
                progress=lambda done, total: walk.listener.progress("inference", done, total),
            )  # fmt: skip
        with walk.room("restoration"):
            seen = decided(logits, stage.sure)
            if within is not None and stage.inside:
                seen.voxels[~code_on(within, stage.inside, seen.grid)] = 0
            return logits, clean(seen, stage.post)

    scan = echoes[0]
    _demand_room(scan, model.card)
    stages = list(zip(model.card.stages, model.networks, strict=True))[: 1 if quality == "fast" else None]
    (_, first), *others = parts_of(stages)
    mask, confidence, between = _part_drawn(look, first, scan, walk, None)
    for code, part in others:
        if not (mask.voxels == code).any():
            break
        drawn_inside, *_ = _part_drawn(look, part, scan, walk, mask)
        mask = joined(mask, drawn_inside, code)
    return mask, confidence, between


def parts_of(stages: Sequence[tuple[Stage, T]]) -> list[tuple[int, list[tuple[Stage, T]]]]:
    """Stages that crop to each other, coarse to fine; one that draws inside a code (given here, 0 for the first part)
    begins a part of its own."""
    parts: list[tuple[int, list[tuple[Stage, T]]]] = []
    for stage, network in stages:
        if stage.inside or not parts:
            parts.append((stage.inside, []))
        parts[-1][1].append((stage, network))
    return parts


def _part_drawn(
    look: Look, part: Sequence[tuple[Stage, torch.nn.Module]], scan: Scan, walk: Walk, within: LabelMask | None
) -> Drawn:
    """Every stage crops to what the one before it found; nothing found is an empty mask, not an error."""
    from .preparation import grown
    from .restoration import restore

    found = None if within is None else bounding_block(within.voxels == part[0][0].inside, within.grid)
    earlier: LabelMask | None = None  # the liver as the stage before saw it
    lost: set[int] = set()  # what a stage looked for and did not find: a later one, sure that it is there, invents it
    for n, (stage, network) in enumerate(part):
        logits, seen = look(stage, network, found, within)
        crops = found is not None and stage.crop == "previous" and not stage.inside
        wider = grown(found, seen, scan.grid, stage) if found is not None and crops else None
        if wider is not None:  # the coarse stage saw too little: once more, with room where it was cut
            logits, seen = look(stage, network, wider, within)
        lost |= set(stage.labels) - set(np.unique(seen.voxels).tolist())
        found = bounding_block(seen.voxels > 0, seen.grid)
        if found is None:
            break
        if n + 1 == len(part):
            with walk.room("restoration"):
                seen.voxels[np.isin(seen.voxels, sorted(lost))] = 0
                between = None if logits.apart is None else resampled(logits.apart.numpy(), logits.grid, scan.grid)
                return restore(logits, scan.grid, seen), _confidence(logits, seen, earlier), between
        if LIVER in stage.labels:
            earlier = seen
    return LabelMask(np.zeros(scan.grid.array_shape, np.uint8), scan.grid), Confidence(), None


def _confidence(logits: Logits, seen: LabelMask, earlier: LabelMask | None) -> Confidence:
    """What the last stage says of its own liver, and whether the one before it saw the same."""
    voxel_mm = float(np.cbrt(1000.0 * seen.grid.voxel_ml))
    both = math.nan if earlier is None else accord(earlier, seen)
    return Confidence(doubt(logits, seen), voxel_mm, both, apart(logits, seen))


def _demand_room(scan: Scan, card: ModelCard) -> None:
    """Refuse before anything is allocated: two copies of each echo on its way to the network, and the masks after it."""
    size = scan.grid.size_text
    echoes = max(last_echo(stage.channels) for stage in card.stages)
    masks = (2.0 + len(card.labels)) * scan.voxels.size
    demand_memory(2.0 * echoes * scan.voxels.nbytes + masks, f"drawing on a scan of {size} voxels")


def device_named(name: str) -> str:
    """What was asked for, resolved; imports torch only where a device must be looked for."""
    if name == "cpu":
        return name
    from .inference import device_named as found

    return str(found(name))
