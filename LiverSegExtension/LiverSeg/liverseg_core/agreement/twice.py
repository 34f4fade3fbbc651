"""The same work for either of two masks, side by side: what NumPy and scipy do to large arrays leaves Python's lock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import SimpleITK as sitk

_ALONE = 2**20  # fewer voxels than this are not worth a second thread
T = TypeVar("T")


def twice(voxels: int, work: Callable[..., T], one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[T, T]:
    """`work(*one)` and `work(*other)`; in a process that is given one processor, one after the other."""
    if voxels < _ALONE or sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() < 2:
        return work(*one), work(*other)
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(work, *other)
        return work(*one), second.result()
