"""A checkpoint of a pre-trained network, or of a trunk, from a file -> a network. Tensors and numbers alone are read."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from liverseg_core.errors import ModelError
from torch import nn

_HEADS = ("classifier.", "fc.", "features.8.", "head.")  # what ImageNet's thousand classes end in
_WRAPPERS = ("state_dict", "model", "network_weights", "net", "averages")  # where checkpoints keep their tensors
_PREFIXES = ("module.", "encoder.", "_orig_mod.")
_SCALARS: list[Any] = [  # numbers of NumPy, which nnU-Net (and so STU-Net) keeps beside its tensors; nothing else is let in
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.dtype, *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64)),
]  # fmt: skip
_UNCOUNTED = "num_batches_tracked"


@dataclass(frozen=True)
class Loaded:
    """How many tensors came in, which did not (heads, and what is drawn anew), and whether the first convolution was adapted."""

    tensors: int
    left_out: tuple[str, ...]
    adapted: bool

    def sentence(self) -> str:
        told = f"{self.tensors} tensors were loaded, {len(self.left_out)} left out"
        return told + ("; the first convolution was adapted to the number of channels" if self.adapted else "")


def load_pretrained(network: nn.Module, file: Path, *, encoder: bool = False) -> Loaded:
    """Fill `network` from a checkpoint of the whole of it (one of a run, or a published one under the network's own
    names), with `encoder` only that; or its encoder from a checkpoint of a trunk.

    Heads are left out where they answer other labels. Every other tensor must be there in its shape: one that is
    missing, strange or of another shape is a ModelError, and then nothing has changed.
    """
    tensors = _plain(_read(file), file)
    own = {key: value for key, value in network.state_dict().items() if not key.endswith(_UNCOUNTED)}
    parts = tuple(getattr(network, "encoder_parts", ("encoder.",) if hasattr(network, "encoder") else ()))
    if isinstance(getattr(network, "encoder", None), nn.Module) and not any(key.startswith(parts) for key in tensors):
        return _load_trunk(network, tensors, file)
    if encoder and not parts:
        raise ModelError(f"{type(network).__name__} has no encoder that a second network could share; train it afresh")
    heads = tuple(getattr(network, "head_parts", ()))
    other = {key for key in tensors if key in own and key.startswith(heads) and tensors[key].shape != own[key].shape}
    _refuse_strange(tensors, own, file, type(network).__name__)
    wanted = [key for key in own if (key.startswith(parts) if encoder else key not in other)]
    _refuse_shapes({key: tensors[key] for key in wanted}, own, file)
    network.load_state_dict({key: tensors[key] for key in wanted}, strict=False)
    return Loaded(len(wanted), tuple(key for key in own if key not in wanted), adapted=False)


def _load_trunk(network: nn.Module, tensors: Mapping[str, torch.Tensor], file: Path) -> Loaded:
    """Only the first convolution may have another number of input channels: its mean over them is shared out, so that
    a constant input gives the same answer."""
    encoder: nn.Module = network.encoder  # type: ignore[assignment]
    wanted = {key: value for key, value in encoder.state_dict().items() if not key.endswith(_UNCOUNTED)}
    left_out = tuple(key for key in tensors if key not in wanted and key.startswith(_HEADS))
    _refuse_strange({k: v for k, v in tensors.items() if k not in left_out}, wanted, file, type(encoder).__name__)
    first = next(iter(wanted))
    adapted = _adapted(tensors[first], wanted[first])
    fitting = {**{key: tensors[key] for key in wanted}, first: adapted}
    _refuse_shapes(fitting, wanted, file)
    encoder.load_state_dict(fitting, strict=False)
    return Loaded(len(wanted), left_out, adapted is not tensors[first])


def _refuse_strange(
    tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], file: Path, of: str
) -> None:
    strange = [key for key in tensors if key not in wanted and not key.endswith(_UNCOUNTED)]
    missing = [key for key in wanted if key not in tensors]
    if missing or strange:
        raise ModelError(
            f"{file} does not fit the network: {len(missing)} tensors are missing ({', '.join(missing[:3])} ...) and "
            f"{len(strange)} are strange ({', '.join(strange[:3])} ...); expected a checkpoint of {of}"
        )


def _refuse_shapes(tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], file: Path) -> None:
    wrong = next((key for key, tensor in tensors.items() if tensor.shape != wanted[key].shape), None)
    if wrong is not None:
        shapes = f"{tuple(tensors[wrong].shape)}, expected {tuple(wanted[wrong].shape)}"
        raise ModelError(f"{file} does not fit the network: {wrong} has the shape {shapes}")


def _read(file: Path) -> object:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        with torch.serialization.safe_globals(_SCALARS):
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
        content = content[0] if inner == "averages" and isinstance(content, list) and content else content
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
