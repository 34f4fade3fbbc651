"""A checkpoint of a pre-trained trunk, from a file -> the encoder of a network. Tensors alone are read, never a pickle."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from liverseg_core.errors import ModelError
from torch import nn

_HEADS = ("classifier.", "fc.", "features.8.", "head.")  # what ImageNet's thousand classes end in
_WRAPPERS = ("state_dict", "model", "network_weights", "net")  # where checkpoints keep their tensors
_PREFIXES = ("module.", "encoder.", "_orig_mod.")
_UNCOUNTED = "num_batches_tracked"


@dataclass(frozen=True)
class Loaded:
    """How many tensors came in, which stayed outside (heads), and whether the first convolution was adapted."""

    tensors: int
    left_out: tuple[str, ...]
    adapted: bool

    def sentence(self) -> str:
        told = f"{self.tensors} tensors of the encoder were loaded, {len(self.left_out)} of its head left out"
        return told + ("; the first convolution was adapted to the number of channels" if self.adapted else "")


def load_encoder(network: nn.Module, file: Path) -> Loaded:
    """Fill `network.encoder` from `file` (.safetensors, or a torch file that holds tensors alone).

    Every tensor of the encoder must be there in its shape: one that is missing, strange or of another shape is a
    ModelError. Only the first convolution may have another number of input channels: its mean over them is shared out,
    so that a constant input gives the same answer.
    """
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise ModelError(
            f"{type(network).__name__} has no encoder that a checkpoint could fill; leave `pretrained` out"
        )
    tensors = _plain(_read(file), file)
    wanted = {key: value for key, value in encoder.state_dict().items() if not key.endswith(_UNCOUNTED)}
    left_out = tuple(key for key in tensors if key not in wanted and key.startswith(_HEADS))
    strange = [key for key in tensors if key not in wanted and key not in left_out and not key.endswith(_UNCOUNTED)]
    missing = [key for key in wanted if key not in tensors]
    if missing or strange:
        raise ModelError(
            f"{file} does not fit the encoder: {len(missing)} tensors are missing ({', '.join(missing[:3])} ...) and "
            f"{len(strange)} are strange ({', '.join(strange[:3])} ...); expected a checkpoint of {type(encoder).__name__}"
        )
    first = next(iter(wanted))
    adapted = _adapted(tensors[first], wanted[first])
    fitting = {**{key: tensors[key] for key in wanted}, first: adapted}
    wrong = [key for key in wanted if fitting[key].shape != wanted[key].shape]
    if wrong:
        shapes = f"{tuple(fitting[wrong[0]].shape)}, expected {tuple(wanted[wrong[0]].shape)}"
        raise ModelError(f"{file} does not fit the encoder: {wrong[0]} has the shape {shapes}")
    encoder.load_state_dict(fitting, strict=False)
    return Loaded(len(wanted), left_out, adapted is not tensors[first])


def _read(file: Path) -> object:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"the checkpoint {file} does not exist; network.pretrained names a file") from None
    except pickle.UnpicklingError:
        raise ModelError(f"{file} holds more than tensors, which is not loaded; save its state_dict alone") from None
    except Exception as problem:
        reason = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise ModelError(f"{file} cannot be read as a checkpoint: {reason}") from None


def _plain(content: object, file: Path) -> dict[str, torch.Tensor]:
    """The tensors by the names of the trunk, whatever they were wrapped in."""
    while isinstance(content, Mapping) and (inner := next((key for key in _WRAPPERS if key in content), None)):
        content = content[inner]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ModelError(f"{file} holds no plain table of tensors; save the state_dict of the trunk")
    tensors = {str(key): value.float() if value.is_floating_point() else value for key, value in content.items()}
    for prefix in _PREFIXES:
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def _adapted(kernel: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """A first convolution for another number of channels; what already fits, or never can, comes back as it is."""
    same_but_for_channels = kernel.ndim == wanted.ndim >= 3 and kernel.shape[2:] == wanted.shape[2:]
    if kernel.shape == wanted.shape or not same_but_for_channels or kernel.shape[0] != wanted.shape[0]:
        return kernel
    return (kernel.sum(dim=1, keepdim=True) / wanted.shape[1]).expand_as(wanted).clone()
