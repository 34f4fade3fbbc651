"""LabelMask -> cleaned LabelMask -> Segments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .errors import ModelError
from .geometry import bounding_block
from .labels import LABELS, LESION, LIVER, PARENCHYMA
from .records import LabelMask, Segment


def clean(mask: LabelMask, post: Mapping[str, Sequence[str]]) -> LabelMask:
    """Each code's own steps, as the card lists them ("largest", "fill_holes", "min_ml:5"). Steps see one code alone."""
    voxels = mask.voxels.copy()
    for code, steps in post.items():
        here = voxels == int(code)
        block = bounding_block(here, mask.grid)
        if block is None:
            continue
        where = block.slices_in(mask.grid)
        before = here[where]
        after = before
        for step in steps:
            after = _step(step)(after, mask.grid.voxel_ml)
        part = voxels[where]
        part[before & ~after] = 0
        part[after & (part == 0)] = int(code)
    return LabelMask(voxels, mask.grid)


def cut_segments(mask: LabelMask, codes: Sequence[int]) -> tuple[Segment, ...]:
    """One segment per code in the order of the table, empty ones included; the liver is always codes 1 and 2."""
    present = sorted(set(codes))
    segments = []
    for code in present:
        label = LABELS[code]
        if code == LIVER:
            whole = (mask.voxels == LIVER) | (mask.voxels == LESION)
            segments.append(Segment(label.key, label.name, whole, mask.grid))
            if LESION in present:
                segments.append(Segment("liver_parenchyma", PARENCHYMA, mask.voxels == LIVER, mask.grid))
        else:
            segments.append(Segment(label.key, label.name, mask.voxels == code, mask.grid))
            if code == LESION:
                segments.extend(_each_lesion(mask))
    return tuple(segments)


def cut_parts(mask: LabelMask) -> tuple[Segment, ...]:
    """The liver and its parts, from a mask whose codes number the parts (Couinaud's segments, say) and nothing else."""
    codes = [code for code in range(1, 256) if (mask.voxels == code).any()]
    liver = Segment("liver", LABELS[LIVER].name, mask.voxels > 0, mask.grid)
    return (liver, *(Segment(f"part_{code}", f"Part {code}", mask.voxels == code, mask.grid) for code in codes))


def _each_lesion(mask: LabelMask) -> list[Segment]:
    """Lesions that touch each other, by a corner too, are one; the largest is lesion_1. Each is cut to its block."""
    here = mask.voxels == LESION
    block = bounding_block(here, mask.grid)
    if block is None:
        return []
    here = here[block.slices_in(mask.grid)]
    finder = sitk.ConnectedComponentImageFilter()
    finder.FullyConnectedOn()
    image = finder.Execute(sitk.GetImageFromArray(here.view(np.uint8)))
    parts = sitk.GetArrayViewFromImage(image).astype(np.int32)
    order = np.argsort(-np.bincount(parts[here])[1:], kind="stable")
    spots = ndimage.find_objects(parts)
    segments = []
    for n, part in enumerate(order, start=1):
        k, j, i = spot = spots[part]
        size = (i.stop - i.start, j.stop - j.start, k.stop - k.start)
        grid = block.cropped((i.start, j.start, k.start), size)
        segments.append(Segment(f"lesion_{n}", f"Lesion {n}", parts[spot] == part + 1, grid))
    return segments


def _largest(mask: np.ndarray, voxel_ml: float) -> np.ndarray:
    """The biggest face-connected part; an empty mask stays empty."""
    del voxel_ml
    parts, count = ndimage.label(mask)
    if count <= 1:
        return mask
    kept: np.ndarray = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    return kept


def _fill_holes(mask: np.ndarray, voxel_ml: float) -> np.ndarray:
    """With the background that no path over faces leads out of."""
    del voxel_ml
    parts, count = ndimage.label(np.pad(~mask, 1, constant_values=True))
    if count == 1:
        return mask
    filled: np.ndarray = (parts != parts[0, 0, 0])[1:-1, 1:-1, 1:-1]
    return filled


def _at_least(mask: np.ndarray, voxel_ml: float, least_ml: float) -> np.ndarray:
    return mask if float(mask.sum()) * voxel_ml >= least_ml else np.zeros_like(mask)


def _step(text: str) -> Callable[[np.ndarray, float], np.ndarray]:
    name, _, argument = text.partition(":")
    if name == "min_ml":
        return lambda mask, voxel_ml: _at_least(mask, voxel_ml, float(argument))
    try:
        return {"largest": _largest, "fill_holes": _fill_holes}[name]
    except KeyError:
        raise ModelError(f"unknown post-processing step {text!r}; known: largest, fill_holes, min_ml:N") from None
