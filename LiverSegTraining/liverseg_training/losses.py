"""Logits and reference -> one number. MONAI's terms, our seams: deep supervision and partial labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from liverseg_core.errors import InputError
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional

_UNKNOWN = -1e4  # a logit that cannot win


def dice_term() -> nn.Module:
    """1 - Dice, mean over structures and cases; background left out (Milletari 2016, without squares)."""
    return DiceLoss(include_background=False, to_onehot_y=True, softmax=True, smooth_nr=1e-5, smooth_dr=1e-5)


def ce_term() -> nn.Module:
    return _CrossEntropy()


class _CrossEntropy(nn.Module):
    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, target[:, 0].long())


TERMS = {"dice": dice_term, "ce": ce_term}


class SegmentationLoss(nn.Module):
    """Weighted terms over every head. A head that is coarser than the reference gets the nearest reference voxels."""

    def __init__(self, terms: Sequence[Mapping[str, Any]], supervision: Sequence[float]) -> None:
        super().__init__()
        strange = [term["kind"] for term in terms if term["kind"] not in TERMS]
        if strange:
            raise InputError(f"unknown loss {strange[0]!r}; known: {', '.join(TERMS)}")
        self.terms = nn.ModuleList(TERMS[term["kind"]]() for term in terms)
        self.weights = [float(term.get("weight", 1.0)) for term in terms]
        self.supervision = [float(weight) for weight in supervision]

    def forward(self, heads: Sequence[torch.Tensor], target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """`heads` are logits [n, labels, k, j, i], `target` channel numbers [n, 1, k, j, i], `known` bool [n, labels]."""
        total = torch.zeros((), device=target.device)
        for weight, logits in zip(self.supervision, heads):
            shrunk = target if logits.shape[2:] == target.shape[2:] else _nearest(target, logits.shape[2:])
            merged = merge_unknown(logits.float(), known)
            total = total + weight * sum(w * term(merged, shrunk) for w, term in zip(self.weights, self.terms))
        return total / sum(self.supervision[: len(heads)])


def merge_unknown(logits: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Where a case does not know a structure, its probability counts as background (marginal loss, Shi et al. 2021)."""
    if bool(known.all()):
        return logits
    everywhere = known[:, :, None, None, None]
    background = torch.tensor([n == 0 for n in range(logits.shape[1])], device=logits.device)[None, :, None, None, None]
    rest = torch.logsumexp(logits.masked_fill(everywhere & ~background, _UNKNOWN), dim=1, keepdim=True)
    return torch.cat([rest, logits[:, 1:].masked_fill(~everywhere[:, 1:], _UNKNOWN)], dim=1)


def _nearest(target: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    return functional.interpolate(target.float(), size=tuple(size), mode="nearest-exact")
