"""Scans -> PreparedScan: lay them on the grid that the stage asks for, then normalise. Training calls the same two steps.

Laying is affine and done once a case; normalising looks only at the block that the network will see, so it can be
repeated on every augmented crop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage

from .errors import InputError, ModelError
from .geometry import Grid, bounding_block, resampled
from .model_card import Stage, last_echo
from .phases import CT_RANGE_HU, PHASES
from .records import LabelMask, PreparedScan, Scan

_SLICING_RATIO = 1.5  # 2-D stages slice along the thickest axis if it is at least this much thicker than the next


def prepare(
    scans: Sequence[Scan], stage: Stage, found: Grid | None = None, within: LabelMask | None = None
) -> PreparedScan:
    """The tensor for one stage. `scans` are the echoes of one acquisition, in order, or a single scan; `found` is the
    block where the previous stage saw its organs (crop = "previous"), `within` the mask that a stage draws inside of.

    The prepared grid is derived from the scan's own, so that grid is all that restoration needs: nothing to undo.
    """
    lattice = stage_grid(scans[0].grid, stage)
    region = region_of(lattice, scans[0], stage, found)
    laid = [lay(scan, region) for scan in scans]
    if within is not None:
        far = ~reached(code_on(within, stage.inside, region), region.spacing_mm, stage.reach_mm)
        for scan, volume in zip(scans, laid):
            volume[far] = _air(scan)
    rule = _rule(stage, PHASES[scans[0].phase].modality)
    inside = torch.from_numpy(_inside(region, scans[0].grid))
    return PreparedScan(channels_of(stage, laid, inside, rule)[None], region)


def stage_grid(grid: Grid, stage: Stage) -> Grid:
    """The whole scan on the stage's lattice: canonical axes, its spacing; 2-D stages get their slices along k."""
    turned = grid.canonical()
    if stage.dims == 2:
        thickness = np.sort(turned.spacing_mm)
        axis = int(np.argmax(turned.spacing_mm)) if thickness[2] / thickness[1] >= _SLICING_RATIO else 2
        turned = turned.permuted([a for a in range(3) if a != axis] + [axis])
    return turned.respaced(stage.spacing_mm)


def lay(scan: Scan, region: Grid) -> np.ndarray:
    """The scan's intensities on `region`, float32 [k, j, i]: CT clipped first, anti-aliased, linear; air outside."""
    near, ct = _near(scan.grid, region), PHASES[scan.phase].modality == "CT"
    voxels, grid = _shrunk(scan.voxels[near.slices_in(scan.grid)], near, region, _clipped if ct else np.asarray)
    return resampled(voxels, grid, region, outside=_air(scan))


def _air(scan: Scan) -> float:
    return CT_RANGE_HU[0] if PHASES[scan.phase].modality == "CT" else float(scan.voxels.min())


def code_on(mask: LabelMask, code: int, region: Grid) -> np.ndarray:
    """Where a mask holds a code, bool [k, j, i] on another grid."""
    return resampled((mask.voxels == code).view(np.uint8), mask.grid, region, nearest=True) > 0


def reached(mask: np.ndarray, spacing_mm: Sequence[float], reach_mm: float) -> np.ndarray:
    """A mask and what lies within `reach_mm` of it, bool [k, j, i]; `spacing_mm` is (x, y, z)."""
    radius = [round(reach_mm / s) for s in spacing_mm]
    image = sitk.GetImageFromArray(mask.view(np.uint8))
    return sitk.GetArrayFromImage(sitk.BinaryDilate(image, radius, sitk.sitkBall)) > 0


def ct_fixed(x: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """HU through the shared range to about zero mean and unit variance over an abdomen."""
    del inside
    return (x.clamp(*CT_RANGE_HU) - 50.0) / 100.0


def ct_by_200(x: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """HU from -125 (where every CT is clipped) to 200, over 200: the two-stage paper's -200 to 200."""
    del inside
    return x.clamp(CT_RANGE_HU[0], 200.0) / 200.0


def body_zscore(x: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Arbitrary units: clip at percentiles 0.5 and 99.5 of the body, then zero mean and unit variance of the body.

    The body is what is brighter than the mean of the block: a share of air or of lung changes nothing.
    """
    values = x[inside]
    if values.numel() == 0:
        return torch.zeros_like(x)
    bright = _thinned(values[values > values.mean()])
    if bright.numel() == 0:
        return torch.zeros_like(x)
    low = torch.quantile(_thinned(values), 0.005)
    high = torch.quantile(bright, 0.995)
    clipped = x.clamp(low, high)
    body = bright.clamp(low, high)
    scaled = (clipped - body.mean()) / body.std(correction=0).clamp_min(1e-6)
    return torch.where(inside, scaled, scaled[inside].min())


Normaliser = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
NORMALISATIONS: Mapping[str, Normaliser] = {
    "ct_fixed": ct_fixed, "ct_by_200": ct_by_200, "body_zscore": body_zscore,
}  # fmt: skip


def _rule(stage: Stage, modality: str) -> Normaliser:
    """The row of NORMALISATIONS for this modality; ModelError when the model was never meant for it."""
    name = stage.normalisation.get(modality)
    if name is not None and name not in NORMALISATIONS:
        raise ModelError(f"unknown normalisation {name!r}; known: {', '.join(NORMALISATIONS)}")
    if name is None:
        raise ModelError(f"this model has no normalisation for {modality}; it takes {', '.join(stage.normalisation)}")
    return NORMALISATIONS[name]


def region_of(lattice: Grid, scan: Scan, stage: Stage, found: Grid | None) -> Grid:
    """The part of the lattice that a stage looks at, as it crops and snaps."""
    if stage.crop == "none":
        first, last = np.zeros(3, int), np.asarray(lattice.size)
    else:
        block = body_block(scan) if stage.crop == "body" else found
        if block is None:
            raise InputError("there is nothing to crop to: no body was found in the scan")
        first, last = lattice.overlap(block, stage.margin_mm)
    multiple = stage.snap[::-1] if stage.snap else (1, 1, 1)
    # two steps of the coarsest level at least: instance normalisation of a single voxel is undefined
    least = stage.window[::-1] if stage.snap is None else [2 * n if n > 1 else 1 for n in multiple]
    last = np.maximum(last, first + np.asarray(least))
    return lattice.snapped(first, last, multiple)


def grown(found: Grid, seen: LabelMask, scan_grid: Grid, stage: Stage) -> Grid | None:
    """`found` grown where `seen`, what the stage drew in it, touches a face of its region and the scan goes on.

    None when nothing was cut. It grows by a step of the network or by the margin, whichever is more, so that the
    region that `prepare` makes of it reaches further whatever it was snapped to.
    """
    lattice = stage_grid(scan_grid, stage)
    low, high = _touched(seen, lattice)
    if not (low.any() or high.any()):
        return None
    first, last = lattice.overlap(found)
    reach_mm = np.maximum(np.multiply(stage.snap or stage.window, lattice.spacing_mm[::-1])[::-1], stage.margin_mm)
    reach = np.ceil(reach_mm / lattice.spacing_mm).astype(int)
    first, last = np.maximum(first - reach * low, 0), np.minimum(last + reach * high, lattice.size)
    return lattice.cropped(first, last - first)


def body_block(scan: Scan) -> Grid | None:
    """The block of the largest thing that is not air: above -120 HU on CT, above a tenth of the bright voxels on MR."""
    coarse = scan.grid.respaced((4.0, 4.0, 4.0))
    voxels = lay(scan, coarse)
    level = -120.0 if PHASES[scan.phase].modality == "CT" else float(0.1 * np.percentile(voxels, 99))
    wider = np.pad(voxels > level, 2, mode="edge")  # a body goes on where the scan ends; so does that of a single slice
    parts, count = ndimage.label(ndimage.binary_opening(wider, iterations=2)[2:-2, 2:-2, 2:-2])
    if count == 0:
        return None
    return bounding_block(parts == np.bincount(parts.ravel())[1:].argmax() + 1, coarse)


def _clipped(voxels: np.ndarray) -> np.ndarray:
    """Inside CT_RANGE_HU, in the type that came: integers stay integers, which keeps memory small."""
    low, high = CT_RANGE_HU
    if voxels.dtype.kind in "iu":
        limits = np.iinfo(voxels.dtype)
        low, high = max(low, limits.min), min(high, limits.max)
    return np.clip(voxels, voxels.dtype.type(low), voxels.dtype.type(high))


def _near(grid: Grid, region: Grid) -> Grid:
    """The part of the scan that `region` reads, cut between whole blocks of what `_shrunk` averages: nothing changes."""
    block = _blocks(grid, region)
    first, last = grid.overlap(region, 2.0 * max(region.spacing_mm))
    first = first // block * block
    last = np.minimum(-(-last // block) * block, grid.size)
    return grid.cropped(first, last - first)


def _blocks(grid: Grid, region: Grid) -> np.ndarray:
    """How many voxels (i, j, k) of a scan fit into one of `region`, one at least."""
    toward = np.abs(grid.axes.T @ region.axes).argmax(axis=1)
    return np.maximum(np.floor(np.asarray(region.spacing_mm)[toward] / grid.spacing_mm + 1e-3).astype(int), 1)


def _shrunk(
    voxels: np.ndarray, grid: Grid, region: Grid, taken: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, Grid]:
    """What is `taken` of the voxels, averaged over whole blocks along the axes that will lose resolution, so that
    resampling does not alias. One layer of blocks after the other: caches hold it, and no copy of the scan is made."""
    factors = np.minimum(_blocks(grid, region), grid.size)
    if (factors == 1).all():
        return taken(voxels), grid
    layers = []
    for first in range(0, len(voxels), factors[2]):
        layer = taken(voxels[first : first + factors[2]])
        for axis, factor in enumerate(factors[::-1]):
            layer = np.moveaxis(_means(np.moveaxis(layer, axis, 0), int(factor)), 0, axis)
        layers.append(layer)
    shrunk = np.concatenate(layers)
    whole = grid.cropped((0, 0, 0), np.multiply(shrunk.shape[::-1], factors))
    return shrunk, whole.respaced(np.multiply(grid.spacing_mm, factors).tolist())


def _means(parts: np.ndarray, factor: int) -> np.ndarray:
    """Of every `factor` neighbours along the first axis, float32; a last block that is not full repeats its last part."""
    total = parts[::factor].astype(np.float32)
    for offset in range(1, factor):
        part = parts[offset::factor]
        total[: len(part)] += part
        total[len(part) :] += parts[-1:]
    return total / np.float32(factor) if factor > 1 else total


def _touched(seen: LabelMask, lattice: Grid) -> tuple[np.ndarray, np.ndarray]:
    """For the low and the high face of each axis (i, j, k): whether the mask reaches it short of the scan's end."""
    where = seen.grid.slices_in(lattice)[::-1]
    faces = [(2, 0), (1, 0), (0, 0)], [(2, -1), (1, -1), (0, -1)]
    low, high = (np.array([bool(seen.voxels.take(end, axis).any()) for axis, end in side]) for side in faces)
    begins = np.array([span.start > 0 for span in where])
    goes_on = np.array([span.stop < size for span, size in zip(where, lattice.size)])
    return low & begins, high & goes_on


def _inside(region: Grid, scan_grid: Grid) -> np.ndarray:
    """True where the scan has data: half a voxel beyond its outermost centres still counts."""
    whole = scan_grid.respaced(np.multiply(scan_grid.size, scan_grid.spacing_mm).tolist())  # one voxel over all of it
    return resampled(np.ones((1, 1, 1), np.uint8), whole, region, nearest=True) > 0


def channels_of(stage: Stage, laid: Sequence[np.ndarray], inside: torch.Tensor, rule: Normaliser) -> torch.Tensor:
    """Every channel of a stage, float32 [channel, k, j, i]; an optional echo that the scan does not have is zero."""
    missing = {name for name in stage.optional if last_echo([name]) > len(laid)}
    return torch.stack([
        torch.zeros(inside.shape) if name in missing else channel_of(name, laid, inside, rule)
        for name in stage.channels
    ])  # fmt: skip


def channel_of(name: str, laid: Sequence[np.ndarray], inside: torch.Tensor, rule: Normaliser) -> torch.Tensor:
    """One named channel, float32 [k, j, i]. A neighbour beyond the last slice is the last slice."""
    if name == "image":
        return rule(torch.from_numpy(laid[0]), inside)
    if match := re.fullmatch(r"echo:(\d+)", name):
        if not 1 <= int(match[1]) <= len(laid):
            raise ModelError(f"this model reads echo {match[1]}, the scan has {len(laid)}; expected a multi-echo scan")
        return rule(torch.from_numpy(laid[int(match[1]) - 1]), inside)
    if match := re.fullmatch(r"slice([+-]\d+)", name):
        kept = np.clip(np.arange(len(laid[0])) + int(match[1]), 0, len(laid[0]) - 1)
        return rule(torch.from_numpy(laid[0]), inside)[kept]
    if match := re.fullmatch(r"window:(\d+)/(-?\d+)", name):
        width, level = float(match[1]), float(match[2])
        return torch.from_numpy(np.clip((laid[0] - level) / width + 0.5, 0.0, 1.0))
    if name == "histeq":
        return torch.from_numpy(np.stack([_equalised(plane, float(laid[0].min())) for plane in laid[0]]))
    raise ModelError(f"unknown channel {name!r}; known: image, echo:N, slice-N, slice+N, window:WIDTH/LEVEL, histeq")


def _equalised(plane: np.ndarray, air: float, bins: int = 256) -> np.ndarray:
    """Each pixel's rank among those of its slice, 0 to 1 and rising with the grey value; air is 0 and does not count."""
    tissue = plane[plane > air]
    if tissue.size == 0:
        return np.zeros_like(plane, np.float32)
    counts, edges = np.histogram(tissue, bins, (air, max(float(tissue.max()), air + 1e-3)))
    ranks = np.concatenate([[0.0], np.cumsum(counts) / tissue.size])
    return np.interp(plane, edges, ranks).astype(np.float32)


def _thinned(values: torch.Tensor, most: int = 50_000) -> torch.Tensor:
    """Every n-th value: percentiles of fifty thousand are as good as of all, and repeatable."""
    return values[:: max(1, values.numel() // most)]
