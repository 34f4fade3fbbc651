"""Many cases on processes of this machine, no more at once than memory holds."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

import SimpleITK as sitk
from liverseg_core.errors import LiverSegError

from .cases import Case
from .layouts._volumes import Volume

Answer = TypeVar("Answer")
MEMORY_GB = 1.5
_PROCESS_BYTES = 160e6  # of Python, its packages and a thinned copy (measured: 155 MB beside the voxels)
_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")
_DICOM = 1.5  # of the files: as stored, and stacked


def worked(
    work: Callable[[Case], Answer],
    cases: Sequence[Case],
    lost: Callable[[Case], Answer],
    *,
    workers: int,
    memory_gb: float = MEMORY_GB,
) -> Iterator[Answer]:
    """Answers as they come. A process that dies costs its own case alone: `lost` says so; another takes its place."""
    if workers <= 1:
        yield from (work(case) for case in cases)
        return
    room = memory_gb * 1e9 - _PROCESS_BYTES * (workers + 1)
    waiting = sorted(
        ((case, weight_of(case)) for case in cases), key=lambda one: -one[1]
    )  # small ones fill what is left
    idle = [_process(workers) for _ in range(min(workers, len(cases)))]
    busy: dict[Future[Answer], tuple[ProcessPoolExecutor, Case, float]] = {}
    try:
        while waiting or busy:
            while idle and (n := _next(waiting, room - sum(held for _, _, held in busy.values()), alone=not busy)) >= 0:
                case, weight = waiting.pop(n)
                process = idle.pop()
                busy[process.submit(work, case)] = (process, case, weight)
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                process, case, _ = busy.pop(future)
                try:
                    answer = future.result()
                except BrokenProcessPool:
                    answer, process = lost(case), _process(workers)
                idle.append(process)
                yield answer
    finally:
        for process in [*idle, *(process for process, _, _ in busy.values())]:
            process.shutdown(wait=not busy, cancel_futures=True)


def weight_of(case: Case) -> float:
    """About how many bytes a case holds while it is worked on; 0 where that cannot be known, for then it will not be read."""
    try:
        files = case.files()
        volumes = [_volume_bytes(str(file)) for file in files if file.name.lower().endswith(_VOLUMES)]
        others = sum(file.stat().st_size for file in files if not file.name.lower().endswith(_VOLUMES))
    except (LiverSegError, OSError, RuntimeError):
        return 0.0
    stored, voxels = volumes[0] if volumes else (0.0, 0.0)
    masks = [mask for mask, _ in volumes[1:]]
    as_stored = isinstance(case.reader, Volume) and case.reader.as_stored and masks == [voxels]
    codes = 0.0 if as_stored else voxels  # a byte for each, beside the mask as it was read
    return stored + codes + max(masks, default=0.0) + _DICOM * others


def _next(waiting: Sequence[tuple[Case, float]], room: float, *, alone: bool) -> int:
    """The first case that fits, any where nothing else is worked on; -1 for none."""
    fitting = (n for n, (_, weight) in enumerate(waiting) if weight <= room)
    return next(fitting, 0 if alone and waiting else -1)


def _volume_bytes(file: str) -> tuple[float, float]:
    """Of its voxels as they are read, and one for each."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    reader.ReadImageInformation()
    voxels = float(math.prod(reader.GetSize()))
    each = {sitk.sitkInt8: 1, sitk.sitkUInt8: 1, sitk.sitkInt16: 2, sitk.sitkUInt16: 2, sitk.sitkFloat64: 8}
    return voxels * each.get(reader.GetPixelID(), 4), voxels


def _process(workers: int) -> ProcessPoolExecutor:
    """Spawned, not forked: SimpleITK has threads, which a fork would not take along."""
    share = max(1, (os.cpu_count() or 1) // workers)
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_settle, initargs=(share,))


def _settle(threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
