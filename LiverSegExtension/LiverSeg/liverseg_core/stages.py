"""The part of the corridor that needs a network: preparation, inference and restoration, stage after stage.

What needs torch is imported where the journey needs it, so that the corridor opens without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .confidence import accord, doubt
from .errors import MemoryShortageError
from .geometry import Grid, bounding_block
from .labels import LIVER
from .measurements.flags import Confidence
from .memory import demand_memory
from .model_card import ModelCard, Stage
from .records import LabelMask, Logits, Notice, Scan
from .segments import clean
from .walk import Walk

if TYPE_CHECKING:
    import torch

    from .models import Model


@dataclass(frozen=True, eq=False)
class Drawing:
    """The mask on the scan's own grid, how sure its network is of it, and the device that drew it."""

    mask: LabelMask
    confidence: Confidence
    device: str
    notices: tuple[Notice, ...] = ()


def drawn(scan: Scan, model: Model, quality: str, device: str, walk: Walk) -> Drawing:
    """A GPU that LiverSeg chose itself may give way to the CPU, with a notice; one that was asked for may not."""
    where = device_named(device)
    try:
        return Drawing(*_drawn_on(where, scan, model, quality, walk), where)
    except MemoryShortageError as problem:
        if device != "auto" or where == "cpu":
            raise
        told = Notice("gpu_memory_short", f"The CPU computed instead of {where}, which is slower: {problem}.")
    return Drawing(*_drawn_on("cpu", scan, model, quality, walk), "cpu", (told,))


def _drawn_on(device: str, scan: Scan, model: Model, quality: str, walk: Walk) -> tuple[LabelMask, Confidence]:
    """Every stage crops to what the one before it found; nothing found is an empty mask, not an error."""
    import torch

    from .inference import infer
    from .preparation import grown, prepare
    from .restoration import decided, restore

    def look(stage: Stage, network: torch.nn.Module, found: Grid | None) -> tuple[Logits, LabelMask]:
        with walk.room("preparation"):
            prepared = prepare([scan], stage, found)
        with walk.room("inference"):
            logits = infer(
                prepared, stage, network, device=torch.device(device), mirrored=quality == "best",
                progress=lambda done, total: walk.listener.progress("inference", done, total),
            )  # fmt: skip
        with walk.room("restoration"):
            return logits, clean(decided(logits, stage.sure), stage.post)

    _demand_room(scan, model.card)
    stages = list(zip(model.card.stages, model.networks, strict=True))[: 1 if quality == "fast" else None]
    found: Grid | None = None
    earlier: LabelMask | None = None  # the liver as the stage before saw it
    lost: set[int] = set()  # what a stage looked for and did not find: a later one, sure that it is there, invents it
    for n, (stage, network) in enumerate(stages):
        logits, seen = look(stage, network, found)
        wider = grown(found, seen, scan.grid, stage) if found is not None and stage.crop == "previous" else None
        if wider is not None:  # the coarse stage saw too little: once more, with room where it was cut
            logits, seen = look(stage, network, wider)
        lost |= set(stage.labels) - set(np.unique(seen.voxels).tolist())
        found = bounding_block(seen.voxels > 0, seen.grid)
        if found is None:
            break
        if n + 1 == len(stages):
            with walk.room("restoration"):
                seen.voxels[np.isin(seen.voxels, sorted(lost))] = 0
                return restore(logits, scan.grid, seen), _confidence(logits, seen, earlier)
        if LIVER in stage.labels:
            earlier = seen
    return LabelMask(np.zeros(scan.grid.array_shape, np.uint8), scan.grid), Confidence()


def _confidence(logits: Logits, seen: LabelMask, earlier: LabelMask | None) -> Confidence:
    """What the last stage says of its own liver, and whether the one before it saw the same."""
    voxel_mm = float(np.cbrt(1000.0 * seen.grid.voxel_ml))
    return Confidence(doubt(logits, seen), voxel_mm, math.nan if earlier is None else accord(earlier, seen))


def _demand_room(scan: Scan, card: ModelCard) -> None:
    """Refuse before anything is allocated: two copies of the scan on its way to the network, and the masks after it."""
    size = " x ".join(map(str, scan.grid.size))
    masks = (2.0 + len(card.labels)) * scan.voxels.size
    demand_memory(2.0 * scan.voxels.nbytes + masks, f"drawing on a scan of {size} voxels")


def device_named(name: str) -> str:
    """What was asked for, resolved; imports torch only where a device must be looked for."""
    if name == "cpu":
        return name
    from .inference import device_named as found

    return str(found(name))
