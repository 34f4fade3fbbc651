"""What a worker lays on the shelf is what the run takes from it, and nothing is laid over what was not taken."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import pytest
import torch
from liverseg_training.experiment import experiment_from
from liverseg_training.feeding import Feed, fed
from liverseg_training.fit import cached_sides
from liverseg_training.semi.streams import streams_of
from liverseg_training.shelf import Laid, Shelf

CPU = torch.device("cpu")


def made(number: int) -> list[torch.Tensor]:
    """An odd number of bytes before what must be aligned."""
    draws = torch.Generator().manual_seed(number)
    size = 3 + number % 4
    return [
        torch.randn(1, 2, size, 5, 7, generator=draws),
        torch.randint(0, 9, (1, 1, size, 5, 7), generator=draws).to(torch.uint8),
        torch.rand(1, 3, generator=draws) > 0.5,
    ]


@pytest.mark.parametrize("way", [1, 4])
def test_what_is_laid_is_taken_while_others_are_on_their_way(way: int) -> None:
    """`way` batches are on their way when one is taken: one place more is enough, and copies stay what they were."""
    shelf, waiting, taken = Shelf(way + 1, 4096), deque[Laid | None](), []
    for number in range(12):
        waiting.append(shelf.lay(number, made(number)))
        if len(waiting) > way:
            laid = waiting.popleft()
            assert laid is not None
            taken.append(shelf.take(laid))
    for number, tensors in enumerate(taken):
        for got, expected in zip(tensors, made(number), strict=True):
            assert got.dtype == expected.dtype
            assert torch.equal(got, expected)


def test_what_does_not_fit_is_not_laid() -> None:
    tensors = made(0)
    spans = [-(-t.nbytes // 64) * 64 for t in tensors]
    assert Shelf(2, sum(spans) - 1).lay(0, tensors) is None
    assert Shelf(2, sum(spans)).lay(0, tensors) is not None


@pytest.mark.parametrize("accumulate", [1, 2])
def test_workers_bring_full_windows_over_the_shelf(raw: dict, monkeypatch, accumulate: int) -> None:
    raw["sampler"] = {"kind": "patch", "batch": 2}
    raw["infer"] = {"window": [16, 16, 16], "snap": [4, 4, 4]}
    raw["experiment"]["accumulate"] = accumulate
    experiment = experiment_from(raw, "x")
    feed = Feed(experiment, streams_of(experiment, cached_sides(experiment).training))
    taken = []
    monkeypatch.setattr(Shelf, "take", lambda self, laid, take=Shelf.take: taken.append(laid) or take(self, laid))
    alone = [batches for _, batches, _ in fed(feed, 3, 9, 0, CPU)]
    assert not taken
    helped = [batches for _, batches, _ in fed(feed, 3, 9, 1, CPU)]
    assert len(taken) == 6 * accumulate
    assert all(one.place != other.place for one, other in pairwise(taken))
    for one, other in zip(alone, helped, strict=True):
        for a, b in zip(one, other, strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a.tensors(), b.tensors(), strict=True))
