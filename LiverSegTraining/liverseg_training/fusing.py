"""A trained stage -> the stage as it is used: parallel branches of its network become single convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from liverseg_core.model_card import Stage
from liverseg_core.models import empty_network


def in_use(stage: Stage, state: Mapping[str, torch.Tensor]) -> tuple[Stage, dict[str, torch.Tensor]]:
    """The stage whose options build the fused network, and its weights. Both stay as they are for a network that has no
    `fuse`, and for one that is fused already. It is done in the precision of the checkpoint, before any rounding."""
    network = empty_network(stage)
    fuse = getattr(network, "fuse", None)
    if fuse is None or stage.options.get("fused"):
        return stage, dict(state)
    network.load_state_dict(state)
    network.eval()
    return replace(stage, options={**stage.options, "fused": True}), fuse().state_dict()
