"""A model folder <-> networks in memory. Weights are safetensors, 8-bit with a scale for each output channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from . import networks
from .errors import ModelError
from .library import WEIGHTS, verify, weights_digest
from .model_card import ModelCard, Stage

_SCALE = "::scale"


@dataclass(frozen=True, eq=False)
class Model:
    """A card and one network for each of its stages, ready to run."""

    card: ModelCard
    networks: tuple[nn.Module, ...]


def load_model(folder: Path) -> Model:
    """Verified by SHA-256 first. ModelError for weights that do not belong to the card or the network."""
    card = verify(folder)
    try:
        packed = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError, ValueError) as problem:
        raise ModelError(f"{folder / WEIGHTS} cannot be read ({problem}); import the model again") from None
    tensors = _unpacked(packed)
    return Model(card, tuple(_filled(stage, n, tensors, card.name) for n, stage in enumerate(card.stages)))


def save_model(
    card: ModelCard, states: Sequence[Mapping[str, torch.Tensor]], folder: Path, *, bits: int = 8
) -> ModelCard:
    """Write card and weights; `bits` is 8 (a scale a channel), 16 or 32. Returns the card with its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    packed: dict[str, torch.Tensor] = {}
    for n, state in enumerate(states):
        for name, tensor in state.items():
            packed |= _packed(f"stage{n}.{name}", tensor.detach().cpu(), bits)
    save_file(packed, folder / WEIGHTS)
    signed = replace(card, sha256=weights_digest(folder))
    signed.save(folder)
    return signed


def empty_network(stage: Stage) -> nn.Module:
    return networks.build(
        stage.network, channels=len(stage.channels), labels=1 + len(stage.labels), dims=stage.dims, **stage.options
    )


def _filled(stage: Stage, number: int, tensors: Mapping[str, torch.Tensor], name: str) -> nn.Module:
    network = empty_network(stage)
    prefix = f"stage{number}."
    own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    try:
        network.load_state_dict(own)
    except RuntimeError as problem:
        first = str(problem).splitlines()[1].strip() if "\n" in str(problem) else str(problem)
        raise ModelError(f"the weights of {name} do not fit its {stage.network}: {first[:160]}") from None
    return network.eval().requires_grad_(requires_grad=False)


def _packed(name: str, tensor: torch.Tensor, bits: int) -> dict[str, torch.Tensor]:
    """Matrices shrink; vectors (norms, biases) are few and stay exact."""
    if bits == 32 or tensor.ndim < 2 or not tensor.dtype.is_floating_point:
        return {name: tensor.contiguous()}
    if bits == 16:
        return {name: tensor.half().contiguous()}
    flat = tensor.float().flatten(1)
    scale = flat.abs().amax(dim=1).clamp_min(1e-12) / 127.0
    whole = torch.round(flat / scale[:, None]).to(torch.int8)
    return {name: whole.reshape(tensor.shape).contiguous(), name + _SCALE: scale}


def _unpacked(packed: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in packed.items():
        if name.endswith(_SCALE):
            continue
        scale = packed.get(name + _SCALE)
        whole = tensor.float() if tensor.dtype.is_floating_point or scale is not None else tensor
        tensors[name] = whole if scale is None else whole * scale.reshape(-1, *[1] * (tensor.ndim - 1))
    return tensors
