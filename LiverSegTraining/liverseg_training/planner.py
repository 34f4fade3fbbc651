"""Cases -> spacing, patch, batch and poolings by the rules of nnU-Net (Isensee 2021), with the reasons, as TOML lines.

Two things are ours: scans are not cropped before they are measured, and the memory is what STU-Net itself would hold
(budget.py) instead of a plain U-Net's. Triples of a plan are (z, y, x) as arrays are; the TOML has mm as (x, y, z).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from liverseg_core.errors import InputError, MemoryShortageError
from liverseg_core.geometry import Grid, IntTriple
from liverseg_core.memory import spelled

from .budget import training_bytes
from .cases import Case
from .experiment import experiment_from

_ANISOTROPIC = 3.0  # an axis this many times as coarse as the others, and as many times shorter, is treated apart
_LEAST_EDGE = 4  # voxels of a pooled map
_LARGEST = 256.0**3  # voxels of the patch that the search begins with
_LEAST_BATCH = 2
_MOST_OF_ALL = 0.05  # of all voxels in one batch
_POOLINGS = 5  # of STU-Net
_NORMALISATIONS = {"CT": "ct_fixed", "MR": "body_zscore"}
Bytes = Callable[[IntTriple, Sequence[IntTriple], int], float]  # patch, strides, batch -> what training holds


@dataclass(frozen=True)
class Fingerprint:
    """One scan in canonical axes."""

    spacing_mm: tuple[float, float, float]  # (z, y, x)
    size: IntTriple  # [k, j, i]
    modality: str


@dataclass(frozen=True)
class Plan:
    """What to train with; `reasons` say how each choice came about."""

    spacing_mm: tuple[float, float, float]  # (z, y, x)
    median: IntTriple  # voxels of the middle scan at that spacing
    patch: IntTriple
    strides: tuple[IntTriple, ...]
    batch: int
    modalities: tuple[str, ...]
    reasons: tuple[str, ...]

    def toml(self, size: str) -> str:
        """The lines of an experiment that the plan decides."""
        rules = ", ".join(f'{m} = "{_NORMALISATIONS[m]}"' for m in self.modalities)
        return "\n".join([
            "[preprocess]", f"spacing_mm = {json.dumps([round(mm, 4) for mm in self.spacing_mm[::-1]])}",
            f"normalisation = {{ {rules} }}", "",
            "[network]", 'kind = "stunet"', f'options = {{ size = "{size}", strides = {json.dumps(self.strides)} }}', "",
            "[sampler]", 'kind = "patch"', f"batch = {self.batch}", "foreground = 0.33", "",
            "[infer]", f"window = {json.dumps(self.patch)}",
        ])  # fmt: skip


def fingerprints(cases: Sequence[Case]) -> tuple[Fingerprint, ...]:
    """Of every case; only the headers are read where they say it all."""
    return tuple(_fingerprint(case) for case in cases)


def planned(prints: Sequence[Fingerprint], bytes_of: Bytes, room: float) -> Plan:
    """The plan for scans like these on a device with `room` bytes. MemoryShortageError where not even the smallest
    patch fits."""
    if not prints:
        raise InputError("there is no scan to plan for")
    spacing, why = target_spacing(prints)
    shapes = [np.round(np.array(p.size) * p.spacing_mm / spacing).clip(1) for p in prints]
    median = np.median(shapes, axis=0)
    first = np.minimum(_aspect(spacing), median).astype(int)
    patch, strides, steps = pooled(spacing, first)
    begun = patch
    while bytes_of(patch, strides, _LEAST_BATCH) > room:
        axis = int(np.argsort(np.array(patch) / median)[-1])
        smaller = np.array(patch)
        smaller[axis] -= steps[axis]
        if smaller[axis] < _LEAST_EDGE:
            raise MemoryShortageError(
                f"not even a batch of {_LEAST_BATCH} patches of {patch} fits into {spelled(room)}; take a smaller network"
            )
        patch, strides, steps = pooled(spacing, _less(patch, axis, pooled(spacing, smaller)[2][axis]))
    need, everything = bytes_of(patch, strides, _LEAST_BATCH), float(sum(np.prod(shape) for shape in shapes))
    fitting = round(room / need * _LEAST_BATCH)
    covering = round(_MOST_OF_ALL * everything / float(np.prod(patch)))
    batch = max(_LEAST_BATCH, min(fitting, covering))
    reasons = (
        why,
        f"patch: {_by(first)} is as wide in every direction as 256 x 256 x 256 voxels, within the median scan of {_by(median)}; "
        + f"{_by(begun)} lets each pooling halve it"
        + ("" if patch == begun else f", and {_by(patch)} fits into {spelled(room)} at a batch of {_LEAST_BATCH}"),
        f"poolings: {' '.join(_by(s) for s in strides)} (z x y x x), while a pooled edge keeps {_LEAST_EDGE} voxels and "
        f"axes are within a factor of two; STU-Net has {_POOLINGS}",
        f"batch: {batch}; {fitting} would fit, and {covering} are 5 % of all voxels ({_LEAST_BATCH} at least)",
    )
    modalities = tuple(sorted({p.modality for p in prints}))
    return Plan(_mm(spacing), _triple(median), patch, (*strides, *[(1, 1, 1)] * _POOLINGS)[:_POOLINGS], batch, modalities, reasons)  # fmt: skip


def target_spacing(prints: Sequence[Fingerprint]) -> tuple[np.ndarray, str]:
    """The median of each axis; of an axis that is much coarser and much shorter than the others the finest tenth, but
    not finer than those."""
    spacings, sizes = (np.array([getattr(p, name) for p in prints], float) for name in ("spacing_mm", "size"))
    target, size = np.median(spacings, axis=0), np.median(sizes, axis=0)
    worst = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != worst]
    median = f"spacing: the median of {len(prints)} scans is {_by(np.round(target, 3))} mm (z, y, x)"
    coarse = target[worst] > _ANISOTROPIC * max(target[others])
    if not (coarse and size[worst] * _ANISOTROPIC < min(size[others])):
        return target, median
    before = target[worst]
    target[worst] = max(float(np.percentile(spacings[:, worst], 10)), float(max(target[others])))
    return target, f"{median}; {'zyx'[worst]} is far coarser, so its finest tenth counts: {target[worst]:.3f} instead of {before:.3f} mm"  # fmt: skip


def pooled(spacing: Sequence[float] | np.ndarray, size: Sequence[int] | np.ndarray) -> tuple[IntTriple, list[IntTriple], IntTriple]:  # fmt: skip
    """The patch made divisible, its poolings, and what it is divisible by."""
    mm, edge, strides = np.array(spacing, float), np.array(size, float), []
    while True:
        axes = np.flatnonzero(edge >= 2 * _LEAST_EDGE)
        axes = axes[mm[axes] < 2 * mm[axes].min()] if len(axes) else axes
        if len(axes) == 0 or (len(axes) == 1 and edge[axes[0]] < 3 * _LEAST_EDGE):
            break
        stride = np.ones(3, int)
        stride[axes] = 2
        mm, edge = mm * stride, np.ceil(edge / stride)
        strides.append(_triple(stride))
    steps = np.prod(np.array([(1, 1, 1), *strides]), axis=0)
    return _triple(-(-np.array(size) // steps) * steps), strides, _triple(steps)


def stunet_bytes(size: str, modalities: Sequence[str]) -> Bytes:
    """What STU-Net of a size holds in training with one channel and two labels."""
    raw: Mapping[str, object] = {
        "experiment": {"name": "plan", "out_dir": "plan", "max_steps": 1},
        "preprocess": {"spacing_mm": [1.0] * 3, "normalisation": {m: _NORMALISATIONS[m] for m in modalities}},
        "data": {"labels": [1]}, "optim": {"kind": "sgd"}, "sampler": {"kind": "patch"}, "infer": {"window": [1, 1, 1]},
    }  # fmt: skip

    def held(patch: IntTriple, strides: Sequence[IntTriple], batch: int) -> float:
        first = [list(stride) for stride in (*strides, *[(1, 1, 1)] * _POOLINGS)[:_POOLINGS]]
        network = {"kind": "stunet", "options": {"size": size, "strides": first}}
        return training_bytes(experiment_from({**raw, "network": network}, "plan"), batch, patch)

    return held


def _fingerprint(case: Case) -> Fingerprint:
    if case.reader is not None:
        grid = case.read()[0].grid
    else:
        header = sitk.ImageFileReader()
        header.SetFileName(str(case.image))
        try:
            header.ReadImageInformation()
        except RuntimeError:
            raise InputError(f"{case.id}: {case.image} cannot be read; repair it, or leave the case out") from None
        if header.GetDimension() != 3:
            raise InputError(f"{case.id}: {case.image} has {header.GetDimension()} dimensions; expected three")
        grid = Grid(header.GetSize(), header.GetSpacing(), header.GetOrigin(), header.GetDirection())
    turned = grid.canonical()
    x, y, z = turned.spacing_mm
    return Fingerprint((z, y, x), turned.array_shape, case.modality)


def _aspect(spacing: np.ndarray) -> np.ndarray:
    """As many voxels as 256 x 256 x 256, as wide in mm along every axis."""
    inverse = 1.0 / spacing
    return np.round(inverse * (_LARGEST / np.prod(inverse)) ** (1 / 3))


def _less(patch: IntTriple, axis: int, step: int) -> np.ndarray:
    smaller = np.array(patch)
    smaller[axis] -= step
    return smaller


def _triple(three: np.ndarray) -> IntTriple:
    k, j, i = (int(n) for n in three)
    return (k, j, i)


def _mm(three: np.ndarray) -> tuple[float, float, float]:
    z, y, x = (float(n) for n in three)
    return (z, y, x)


def _by(three: Sequence[float] | np.ndarray) -> str:
    return " x ".join(f"{n:g}" for n in three)
