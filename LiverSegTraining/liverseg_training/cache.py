"""Case -> CachedCase: `prepare`'s first step done once, memory-mapped, keyed by what it was made from."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from liverseg_core.errors import InputError
from liverseg_core.geometry import Grid, resampled
from liverseg_core.model_card import Stage
from liverseg_core.preparation import lay, stage_grid
from liverseg_core.reading import read_mask, read_scan

from .cases import Case

_RECIPE = "3"  # raised when laying changes, so that old caches are not taken for new ones


@dataclass(frozen=True, eq=False)
class CachedCase:
    """A whole case on the stage's lattice. `labels` holds every code of the reference, merged codes applied."""

    case: Case
    image: np.ndarray  # float16 [k, j, i]
    labels: np.ndarray  # uint8 [k, j, i]
    spacing_mm: tuple[float, float, float]

    @property
    def modality(self) -> str:
        return self.case.modality


def cached(case: Case, stage: Stage, merge: Mapping[str, int], folder: Path) -> CachedCase:
    """Open the cache of one case, and make it first where it is missing."""
    stem = folder / f"{case.id}-{_key(case, stage, merge)}"
    image, labels, grid = (stem.with_name(f"{stem.name}.{part}.npy") for part in ("image", "labels", "spacing"))
    if not grid.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _make(case, stage, merge, (image, labels, grid))
    spacing = tuple(float(s) for s in np.load(grid))
    return CachedCase(case, np.load(image, mmap_mode="r"), np.load(labels, mmap_mode="r"), spacing)  # type: ignore[arg-type]


def _make(case: Case, stage: Stage, merge: Mapping[str, int], files: tuple[Path, Path, Path]) -> None:
    scan = read_scan(case.image, case.phase)
    mask = read_mask(case.labels)
    if not mask.grid.matches(scan.grid, tolerance_mm=0.1):
        raise InputError(f"{case.id}: image {scan.grid.size} and labels {mask.grid.size} do not lie on the same grid")
    voxels = mask.voxels.copy()
    for code, into in merge.items():
        voxels[voxels == int(code)] = into
    lattice = stage_grid(scan.grid, stage)
    _write(files[0], lay(scan, lattice).astype(np.float16))
    _write(files[1], _labels_on(voxels, mask.grid, lattice))
    _write(files[2], np.array(lattice.spacing_mm))  # last: its presence says that the others are whole


def _labels_on(voxels: np.ndarray, grid: Grid, lattice: Grid) -> np.ndarray:
    """Each voxel's likeliest code: linear interpolation of every code's membership, then the winner."""
    best = np.full(lattice.array_shape, 0.5, np.float32)
    best = np.minimum(best, resampled((voxels == 0).astype(np.uint8), grid, lattice, outside=1.0))
    out = np.zeros(lattice.array_shape, np.uint8)
    for code in np.unique(voxels[voxels > 0]):
        share = resampled((voxels == code).astype(np.uint8), grid, lattice)
        out[share > best] = code
        np.maximum(best, share, out=best)
    return out


def _key(case: Case, stage: Stage, merge: Mapping[str, int]) -> str:
    digest = hashlib.sha256(f"{_RECIPE}|{stage.spacing_mm}|{stage.dims}|{sorted(merge.items())}|{case.phase}".encode())
    for path in (case.image, case.labels):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _write(path: Path, array: np.ndarray) -> None:
    """Beside, then renamed: a file that exists is whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        np.save(file, array)
    Path(name).replace(path)
