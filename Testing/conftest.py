"""What tests of more than one folder need."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def environment() -> Iterator[None]:
    """Put back afterwards: Dask's nannies leave OMP_NUM_THREADS = 1 in it, and what starts next would compute otherwise."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
