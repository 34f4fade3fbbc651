"""Network architectures by name. Adding one is adding a file to this folder.

The file name is the network's name, and its `build(channels=, labels=, dims=, **options)` returns a
module that maps [n, channels, k, j, i] to a list of logits [n, labels, k', j', i'], finest first:
one entry in use, more while training where the network has several heads. 2-D networks get k = 1; a file
whose network sees nothing else says `DIMS = (2,)`.
Only the file that was asked for is imported. Files whose names start with an underscore are helpers.
"""

from __future__ import annotations

import pkgutil
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from torch import nn

from ..errors import ModelError


def names() -> tuple[str, ...]:
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_")))


def dims_of(name: str) -> tuple[int, ...]:
    """Which `dims` a network can be built for."""
    return getattr(import_module(f"{__name__}.{name}"), "DIMS", (2, 3))


def build(name: str, *, channels: int, labels: int, dims: int = 3, **options: Any) -> nn.Module:
    """`labels` counts the background. ModelError for an unknown name or option."""
    if name not in names():
        near = get_close_matches(name, names(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModelError(f"unknown network {name!r}{hint} Known: {', '.join(names())}")
    try:
        network: nn.Module = import_module(f"{__name__}.{name}").build(
            channels=channels, labels=labels, dims=dims, **options
        )
    except TypeError as problem:
        raise ModelError(f"network {name!r} refuses its options {sorted(options)}: {problem}") from None
    return network
