"""Losses against their formulas and against MONAI; heads, epochs and structures that nobody annotated."""

from __future__ import annotations

import inspect

import pytest
import torch
from liverseg_core.errors import InputError
from liverseg_training import losses
from liverseg_training.losses import SegmentationLoss, merge_unknown, term_of, weights_alpha, weights_pow2
from liverseg_training.sections import DEEP, LOSS_TERMS
from monai.losses import DiceCELoss

KNOWN = torch.ones(2, 3, dtype=torch.bool)


def pair(labels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, labels, 6, 6, 6), torch.randint(0, labels, (2, 1, 6, 6, 6))


def sums(logits: torch.Tensor, target: torch.Tensor, channel: int) -> tuple[torch.Tensor, ...]:
    """Of p, g, p g, p squared, one value a case."""
    p, g = logits.softmax(1)[:, channel], (target[:, 0] == channel).float()
    return tuple(x.sum((1, 2, 3)) for x in (p, g, p * g, p * p))


def dice_formula(logits: torch.Tensor, target: torch.Tensor, s: float, squared: bool, above: float) -> torch.Tensor:
    each = []
    for channel in (1, 2):
        p, g, pg, pp = sums(logits, target, channel)
        each.append(1 - (2 * pg + above) / ((pp if squared else p) + g + s))
    return torch.stack(each).mean()


def tversky_formula(logits: torch.Tensor, target: torch.Tensor, a: float, b: float, s: float) -> torch.Tensor:
    each = []
    for channel in (1, 2):
        p, g, pg, _ = sums(logits, target, channel)
        each.append(1 - (pg + s) / (pg + a * (p - pg) + b * (g - pg) + s))
    return torch.stack(each).mean()


def bce_formula(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    p = logits.double().softmax(1)
    each = [
        torch.nn.functional.binary_cross_entropy(p[:, c], (target[:, 0] == c).double()) for c in range(1, p.shape[1])
    ]
    return torch.stack(each).mean().float()


@pytest.mark.parametrize(
    ("row", "formula"),
    [
        ({"kind": "dice"}, lambda x, y: dice_formula(x, y, 1e-5, False, 1e-5)),
        ({"kind": "dice", "squared": True, "smooth": 1.0}, lambda x, y: dice_formula(x, y, 1.0, True, 1.0)),
        ({"kind": "dice", "squared": True, "smooth": 1.0, "one_sided": True}, lambda x, y: dice_formula(x, y, 1.0, True, 0.0)),
        ({"kind": "tversky"}, lambda x, y: tversky_formula(x, y, 0.3, 0.7, 1e-5)),
        ({"kind": "tversky", "alpha": 0.5, "beta": 0.5, "smooth": 0.0}, lambda x, y: dice_formula(x, y, 0.0, False, 0.0)),
        ({"kind": "bce"}, bce_formula),
        ({"kind": "ce"}, lambda x, y: torch.nn.functional.cross_entropy(x, y[:, 0])),
    ],
    ids=str,
)  # fmt: skip
def test_a_term_is_its_formula(row, formula) -> None:
    logits, target = pair()
    torch.testing.assert_close(term_of(row)(logits, target), formula(logits, target), atol=1e-5, rtol=1e-5)


def test_the_dice_of_a_batch_sums_over_it_first() -> None:
    logits, target = pair()
    p, g, pg, _ = (x.sum() for x in sums(logits, target, 1))
    only = term_of({"kind": "dice", "batch": True})(logits[:, :2], target.clamp(max=1))
    torch.testing.assert_close(only, term_of({"kind": "dice"})(
        logits[:, :2].transpose(0, 1).reshape(1, 2, 12, 6, 6), target.clamp(max=1).reshape(1, 1, 12, 6, 6)
    ), atol=1e-5, rtol=1e-5)  # fmt: skip
    assert float(p + g + pg) > 0


def test_every_row_of_the_tables_can_be_made() -> None:
    assert losses.TERMS.keys() == LOSS_TERMS.keys()
    assert losses._DEEP.keys() == DEEP.keys()
    for kind, options in LOSS_TERMS.items():
        assert set(inspect.signature(losses.TERMS[kind]).parameters) == set(options)
    for kind, options in DEEP.items():
        assert set(inspect.signature(losses._DEEP[kind]).parameters) == {"heads", "epoch", *options}


def test_hybrids_are_sums() -> None:
    logits, target = pair()
    for first in ("dice", "tversky"):
        both = SegmentationLoss([{"kind": first}, {"kind": "bce", "weight": 0.5}], [1.0])([logits], target, KNOWN)
        apart = term_of({"kind": first})(logits, target) + 0.5 * term_of({"kind": "bce"})(logits, target)
        torch.testing.assert_close(both, apart)


def test_a_perfect_answer_and_an_empty_one_cost_nothing() -> None:
    target = pair()[1]
    perfect = 60.0 * torch.nn.functional.one_hot(target[:, 0], 3).movedim(-1, 1).float()
    empty = torch.zeros_like(target)
    nothing = 60.0 * torch.nn.functional.one_hot(empty[:, 0], 3).movedim(-1, 1).float()
    for row in (
        {"kind": "dice"},
        {"kind": "tversky"},
        {"kind": "bce"},
        {"kind": "ce"},
        {"kind": "dice", "squared": True},
    ):
        assert float(term_of(row)(perfect, target)) == pytest.approx(0, abs=1e-4), row
        assert float(term_of(row)(nothing, empty)) == pytest.approx(0, abs=1e-4), row
    one_sided = term_of({"kind": "dice", "one_sided": True, "smooth": 1.0})
    assert float(one_sided(nothing, empty)) == pytest.approx(
        1
    )  # as published: an empty slice costs 1 whatever is drawn


def test_bce_survives_logits_that_overflow_a_logarithm() -> None:
    logits = torch.tensor([[[[[-500.0]]], [[[500.0]]]]], requires_grad=True)
    loss = term_of({"kind": "bce"})(logits, torch.zeros(1, 1, 1, 1, 1))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(1000)
    assert torch.isfinite(logits.grad).all()


def test_weights_of_the_heads() -> None:
    assert weights_pow2(4, 0) == [1, 0.5, 0.25, 0.125]
    nnunet = SegmentationLoss([{"kind": "ce"}], [1.0], {"kind": "pow2", "drop_last": True}).weights_of(5, 0)
    assert nnunet == pytest.approx([8 / 15, 4 / 15, 2 / 15, 1 / 15, 0])
    alphas = {0: 0.4, 29: 0.4, 30: 0.32, 59: 0.32, 60: 0.256, 180: 0.104858}
    for epoch, alpha in alphas.items():
        assert weights_alpha(4, epoch) == pytest.approx([1, alpha, alpha, alpha], abs=1e-6)
    assert sum(weights_alpha(4, 0)) == pytest.approx(2.2)
    assert sum(SegmentationLoss([{"kind": "ce"}], [1.0], {"kind": "pow2"}).weights_of(4, 9)) == pytest.approx(1)


def test_the_epoch_reaches_the_weights() -> None:
    logits, target = pair()
    loss = SegmentationLoss([{"kind": "ce"}], [1.0], {"kind": "alpha", "every": 1, "decay": 0.0})
    early, late = (loss([logits, logits], target, KNOWN, epoch) for epoch in (0, 1))
    torch.testing.assert_close(early, 1.4 * late)


@pytest.mark.parametrize(
    ("terms", "deep", "words"),
    [
        ([{"kind": "dice", "squred": True}], None, "did you mean 'squared'"),
        ([{"kind": "ce", "alpha": 1}], None, "unknown key 'alpha'"),
        ([{"kind": "ce"}], {"kind": "powers"}, "pow2"),
        ([{"kind": "ce"}], {"kind": "alpha", "drop_last": True}, "unknown key 'drop_last'"),
    ],
)
def test_what_a_loss_does_not_know_is_refused(terms, deep, words) -> None:
    with pytest.raises(InputError, match=words):
        SegmentationLoss(terms, [1.0], deep)


def test_the_loss_is_monai_s_where_everything_is_known() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 6, 6, 6), torch.randint(0, 3, (2, 1, 6, 6, 6))
    ours = SegmentationLoss([{"kind": "dice", "weight": 1.0}, {"kind": "ce", "weight": 1.0}], [1.0])
    theirs = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True)
    known = torch.ones(2, 3, dtype=torch.bool)
    foreground_dice = theirs.dice(logits, target) + torch.nn.functional.cross_entropy(logits, target[:, 0])
    torch.testing.assert_close(ours([logits], target, known), foreground_dice, atol=1e-5, rtol=1e-5)


def test_an_unknown_structure_counts_as_background_exactly() -> None:
    """p(background) becomes p(background) + p(unknown); the others stay as they were."""
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 2, 2, 2)
    known = torch.tensor([[True, True, False, True], [True, True, True, True]])
    before, after = logits.softmax(1), merge_unknown(logits, known).softmax(1)
    torch.testing.assert_close(after[0, 0], before[0, 0] + before[0, 2])
    torch.testing.assert_close(after[0, [1, 3]], before[0, [1, 3]])
    assert float(after[0, 2].max()) < 1e-6
    torch.testing.assert_close(after[1], before[1])


def test_predicting_an_unknown_structure_on_background_costs_nothing() -> None:
    target = torch.zeros(1, 1, 4, 4, 4, dtype=torch.uint8)
    logits = torch.zeros(1, 3, 4, 4, 4)
    logits[:, 2] = 12.0
    ce = SegmentationLoss([{"kind": "ce"}], [1.0])
    assert float(ce([logits], target, torch.tensor([[True, True, False]]))) < 1e-3
    assert float(ce([logits], target, torch.tensor([[True, True, True]]))) > 5


def test_coarser_heads_are_weighed_and_the_sum_normalised() -> None:
    torch.manual_seed(0)
    fine, target, known = (
        torch.randn(1, 2, 8, 8, 8),
        torch.randint(0, 2, (1, 1, 8, 8, 8)),
        torch.ones(1, 2, dtype=torch.bool),
    )
    coarse = torch.randn(1, 2, 4, 4, 4)
    one, other = (SegmentationLoss([{"kind": "ce"}], [1.0])([h], target, known) for h in (fine, coarse))
    both = SegmentationLoss([{"kind": "ce"}], [1.0, 0.5])([fine, coarse], target, known)
    torch.testing.assert_close(both, (one + 0.5 * other) / 1.5)
    with pytest.raises(InputError, match="must be one of dice, tversky, ce, bce, not 'focal'"):
        SegmentationLoss([{"kind": "focal"}], [1.0])
