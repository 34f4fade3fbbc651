"""Logits and reference -> one number. MONAI's terms where MONAI has them; our seams: deep supervision, partial labels.

HybridLoss1 of the two-stage paper is the terms dice and bce, HybridLoss2 tversky and bce.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.losses import DiceLoss, TverskyLoss
from torch import nn
from torch.nn import functional

from .demands import known_row
from .sections import DEEP, LOSS_TERMS

_UNKNOWN = -1e4  # a logit that cannot win


def dice_term(
    *, smooth: float = 1e-5, squared: bool = False, batch: bool = False, one_sided: bool = False
) -> nn.Module:
    """1 - Dice, mean over structures (background left out) and over cases, or over the `batch` as one case.

    `squared` takes the sums of squares below (Milletari 2016). `smooth` stands above and below, so that an empty
    structure that is not drawn costs nothing; `one_sided`, as in the two-stage paper's lineage, below alone.
    """
    return DiceLoss(
        include_background=False, to_onehot_y=True, softmax=True, squared_pred=squared, batch=batch,
        smooth_nr=0.0 if one_sided else smooth, smooth_dr=smooth,
    )  # fmt: skip


def tversky_term(*, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1e-5, batch: bool = False) -> nn.Module:
    """1 - TP / (TP + alpha FP + beta FN) (Salehi 2017)."""
    return TverskyLoss(
        include_background=False, to_onehot_y=True, softmax=True, alpha=alpha, beta=beta, batch=batch,
        smooth_nr=smooth, smooth_dr=smooth,
    )  # fmt: skip


def ce_term() -> nn.Module:
    return _CrossEntropy()


def bce_term() -> nn.Module:
    return _BinaryCrossEntropy()


class _CrossEntropy(nn.Module):
    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, target[:, 0].long())


class _BinaryCrossEntropy(nn.Module):
    """-(g ln p + (1 - g) ln(1 - p)), mean over voxels and structures; p is the structure's softmax probability."""

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        total = torch.zeros((), device=logits.device)
        everything = logits.logsumexp(dim=1)
        for channel in range(1, logits.shape[1]):
            others = torch.cat([logits[:, :channel], logits[:, channel + 1 :]], dim=1).logsumexp(dim=1)
            hit = target[:, 0] == channel
            total = total + (everything - torch.where(hit, logits[:, channel], others)).mean()
        return total / (logits.shape[1] - 1)


TERMS: Mapping[str, Callable[..., nn.Module]] = {
    "dice": dice_term, "tversky": tversky_term, "ce": ce_term, "bce": bce_term,
}  # fmt: skip


def term_of(row: Mapping[str, Any]) -> nn.Module:
    """One row of loss.terms: {kind, weight, and what the kind knows}."""
    known_row(row, LOSS_TERMS, "loss.terms", "weight")
    return TERMS[row["kind"]](**{key: value for key, value in row.items() if key not in ("kind", "weight")})


def weights_pow2(heads: int, epoch: int, *, drop_last: bool = False) -> list[float]:
    """1, 1/2, 1/4 ... for finer to coarser heads; `drop_last` gives the coarsest none (nnU-Net)."""
    del epoch
    weights = [0.5**n for n in range(heads)]
    return [*weights[:-1], 0.0] if drop_last and heads > 1 else weights


def weights_alpha(heads: int, epoch: int, *, start: float = 0.4, decay: float = 0.8, every: int = 30) -> list[float]:
    """1 for the finest head, and for the others an alpha that falls by `decay` every `every` epochs."""
    return [1.0] + [start * decay ** (epoch // every)] * (heads - 1)


_DEEP: Mapping[str, Callable[..., list[float]]] = {"pow2": weights_pow2, "alpha": weights_alpha}
_SHARED = ("pow2",)  # made to sum to 1


class SegmentationLoss(nn.Module):
    """Weighted terms over every head. A head that is coarser than the reference gets the nearest reference voxels.

    `supervision` lists the weights of the heads, finest first, made to sum to 1; `deep` is a row of DEEP instead.
    """

    def __init__(
        self, terms: Sequence[Mapping[str, Any]], supervision: Sequence[float], deep: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.terms = nn.ModuleList(term_of(row) for row in terms)
        self.weights = [float(row.get("weight", 1.0)) for row in terms]
        self.supervision = [float(weight) for weight in supervision]
        self.deep = dict(deep or {})
        if self.deep:
            known_row(self.deep, DEEP, "loss.deep")

    def weights_of(self, heads: int, epoch: int) -> list[float]:
        """What each head counts for."""
        if not self.deep:
            given = self.supervision[:heads]
            return [weight / sum(given) for weight in given]
        options = {key: value for key, value in self.deep.items() if key != "kind"}
        weights = _DEEP[self.deep["kind"]](heads, epoch, **options)
        return [weight / sum(weights) for weight in weights] if self.deep["kind"] in _SHARED else weights

    def forward(
        self, heads: Sequence[torch.Tensor], target: torch.Tensor, known: torch.Tensor, epoch: int = 0
    ) -> torch.Tensor:
        """`heads` are logits [n, labels, k, j, i], `target` channel numbers [n, 1, k, j, i], `known` bool [n, labels]. A
        sample of which nothing is known, not even its background, does not count at all."""
        taught = known.any(dim=1)
        if not bool(taught.all()):
            heads, target, known = [logits[taught] for logits in heads], target[taught], known[taught]
        if len(known) == 0:
            return 0.0 * sum((logits.sum() for logits in heads), torch.zeros((), device=target.device))
        total = torch.zeros((), device=target.device)
        for weight, logits in zip(self.weights_of(len(heads), epoch), heads):
            if weight == 0.0:
                continue
            shrunk = target if logits.shape[2:] == target.shape[2:] else _nearest(target, logits.shape[2:])
            merged = merge_unknown(logits.float(), known)
            total = total + weight * sum(w * term(merged, shrunk) for w, term in zip(self.weights, self.terms))
        return total


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
