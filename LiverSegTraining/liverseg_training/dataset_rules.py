"""What the voxels of one case give away: sides, intensities, slices left out. On a thinned copy, so that a large CT costs
no more than a small one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from liverseg_core.geometry import Grid
from liverseg_core.labels import LABELS, LESION, LIVER
from liverseg_core.phases import CT_RANGE_HU
from liverseg_core.records import LabelMask, Scan
from scipy import ndimage

_VOXELS = 2_000_000  # of a thinned copy, about
_MARGIN_MM = 10.0  # between centres, before a side is called wrong
_BELOW_MM = 25.0  # a low liver beside high kidneys is no reason to turn the patient round
_DARKEST_HU = -100.0  # every CT shows air
_LIVER_ML = (500.0, 4500.0)
_FLIPPED = (
    0.75  # of the spread of grey values inside the mask; turned masks of 9 real scans spread 1.5 to 7 times wider
)
_LUNG_HU = -500.0
_LUNG_ML = 200.0
_RIGHT_KIDNEY, _LEFT_KIDNEY, _SPLEEN = 4, 5, 3

Fault = tuple[str, str]  # kind, sentence


@dataclass(frozen=True, eq=False)
class Thin:
    """Every n-th voxel of a scan and its mask, both on one grid."""

    scan: Scan
    codes: np.ndarray  # uint8 [k, j, i]
    annotated: tuple[int, ...]
    liver_hu: tuple[float, float]
    areas: np.ndarray  # voxels of liver in every slice of the whole scan, along the axis that slices were drawn on

    @property
    def grid(self) -> Grid:
        return self.scan.grid

    @property
    def ct(self) -> bool:
        return self.scan.phase.startswith("ct_")

    @cached_property
    def liver(self) -> np.ndarray:
        return (self.codes == LIVER) | (self.codes == LESION)

    @cached_property
    def centres_mm(self) -> Mapping[int, np.ndarray]:
        """Of each annotated structure that is there; lesions belong to the liver."""
        found = {code: self._centre(self.codes == code) for code in self.annotated if code not in (LIVER, LESION)}
        found[LIVER] = self._centre(self.liver)
        return {code: centre for code, centre in found.items() if centre is not None}

    def _centre(self, here: np.ndarray) -> np.ndarray | None:
        index = np.argwhere(here)
        return self.grid.world_mm(index[:, ::-1].mean(axis=0)) if len(index) else None

    @property
    def liver_ml(self) -> float:
        return float(self.liver.sum()) * self.grid.voxel_ml

    @property
    def liver_mean(self) -> float:
        return float(self.scan.voxels[self.liver].mean()) if self.liver.any() else float("nan")


def thinned(scan: Scan, mask: LabelMask, annotated: tuple[int, ...], liver_hu: tuple[float, float]) -> Thin:
    """Steps are larger where voxels are smaller, so that what is left is about cubic."""
    steps = np.ones(3, int)
    while np.prod(-(-np.asarray(scan.grid.size) // steps)) > _VOXELS:
        steps[int(np.argmin(steps * scan.grid.spacing_mm))] += 1
    i, j, k = (int(step) for step in steps)
    voxels, codes = (np.ascontiguousarray(volume[::k, ::j, ::i]) for volume in (scan.voxels, mask.voxels))
    grid = replace(
        scan.grid,
        size=tuple(int(n) for n in codes.shape[::-1]),  # type: ignore[arg-type]
        spacing_mm=tuple(float(s) for s in steps * scan.grid.spacing_mm),  # type: ignore[arg-type]
    )
    return Thin(replace(scan, voxels=voxels, grid=grid), codes, annotated, liver_hu, _areas(mask))


def faults_of(thin: Thin) -> Iterator[Fault]:
    """Everything that is odd; FAULTS says which of it is a reason to leave the case out."""
    if LIVER in thin.annotated and not thin.liver.any():
        yield "liver_missing", "The liver was annotated, and no voxel of it is drawn."
        return
    for rule in RULES:
        yield from rule(thin)


def _areas(mask: LabelMask) -> np.ndarray:
    axis = int(np.argmax(mask.grid.spacing_mm[::-1]))  # the thickest; k where all are alike
    areas = np.zeros(mask.voxels.shape[axis], np.int64)
    for k, plane in enumerate(mask.voxels):
        liver = (plane == LIVER) | (plane == LESION)
        if axis == 0:
            areas[k] = np.count_nonzero(liver)
        else:
            areas += np.count_nonzero(liver, axis=2 - axis)
    return areas


def _units(thin: Thin) -> Iterator[Fault]:
    darkest = float(thin.scan.voxels.min())
    if thin.ct and darkest > _DARKEST_HU:
        yield (
            "not_hu",
            f"The darkest voxel has {darkest:g} HU, where air has -1000: offset, or windowed to grey values.",
        )


def _intensity(thin: Thin) -> Iterator[Fault]:
    low, high = thin.liver_hu
    if thin.ct and LIVER in thin.annotated and not low <= thin.liver_mean <= high:
        yield "liver_intensity", f"The mean inside the liver is {thin.liver_mean:.0f} HU; expected {low:g} to {high:g}."


def _volume(thin: Thin) -> Iterator[Fault]:
    if LIVER not in thin.annotated:
        return
    if not _LIVER_ML[0] <= thin.liver_ml <= _LIVER_ML[1]:
        yield (
            "implausible_volume",
            f"The liver has {thin.liver_ml:.0f} ml; a whole one of an adult has {_LIVER_ML[0]:g} to {_LIVER_ML[1]:g}.",
        )
    if thin.liver.mean() > 0.5:
        yield "mask_everywhere", f"{thin.liver.mean():.0%} of the scan is liver: inverted, or another file."
    pieces, count = ndimage.label(thin.liver)
    if count > 1:
        sizes = np.bincount(pieces.ravel())[1:]
        if sizes.max() < 0.9 * sizes.sum():
            yield (
                "islands",
                f"The liver lies in {count} pieces, the largest holds {sizes.max() / sizes.sum():.0%} of it.",
            )


def _flipped(thin: Thin) -> Iterator[Fault]:
    """A mask turned round along one axis lies on bowel and fat, and its grey values spread."""
    if LIVER not in thin.annotated:
        return
    grey = np.clip(thin.scan.voxels, *CT_RANGE_HU) if thin.ct else thin.scan.voxels
    own = _spread(grey[thin.liver])
    for axis, name in ((0, "slice"), (1, "row"), (2, "column")):
        turned = _spread(grey[np.flip(thin.liver, axis)])
        if turned < _FLIPPED * own:
            yield (
                "mask_flipped",
                f"Grey values inside the liver spread by {own:.3g}, and by {turned:.3g} with the {name}s in reverse.",
            )


def _spread(values: np.ndarray) -> float:
    """Between the tenth and the ninetieth percentile."""
    return float(np.subtract(*np.percentile(values, (90, 10))))


def _gaps(thin: Thin) -> Iterator[Fault]:
    """Slices without liver between slices with much of it, along the axis that slices were drawn on."""
    areas = thin.areas
    held = np.flatnonzero(areas > 0.2 * areas.max())
    empty = [n for n in range(int(held[0]), int(held[-1])) if areas[n] == 0] if len(held) else []
    if empty:
        yield "empty_slices", f"{len(empty)} slices in the middle of the liver have no mask."


def _sides(thin: Thin) -> Iterator[Fault]:
    """LPS: x grows to the patient's left, y to the back, z to the head."""
    at = thin.centres_mm
    if LIVER in at:
        beside, of = (
            (at[_SPLEEN][0], "spleen") if _SPLEEN in at else (_body_x_mm(thin) + _MARGIN_MM, "middle of the body")
        )
        if at[LIVER][0] > beside:
            yield "liver_on_the_left", f"The liver lies {at[LIVER][0] - beside:.0f} mm to the left of the {of}."
    if _RIGHT_KIDNEY in at and _LEFT_KIDNEY in at and at[_RIGHT_KIDNEY][0] > at[_LEFT_KIDNEY][0]:
        yield "kidneys_swapped", f"The {LABELS[4].name.lower()} lies to the left of the {LABELS[5].name.lower()}."
    kidneys = [at[code] for code in (_RIGHT_KIDNEY, _LEFT_KIDNEY) if code in at]
    if LIVER in at and kidneys:
        _, y_mm, z_mm = at[LIVER] - np.mean(kidneys, axis=0)
        if z_mm < -_BELOW_MM:
            yield "upside_down", f"The liver lies {-z_mm:.0f} mm below the kidneys."
        if y_mm > _BELOW_MM:
            yield "back_to_front", f"The liver lies {y_mm:.0f} mm behind the kidneys."


def _body_x_mm(thin: Thin) -> float:
    grey = thin.scan.voxels
    dark = -200.0 if thin.ct else 0.15 * float(np.percentile(grey, 99))
    index = np.argwhere(grey[::2, ::2, ::2] > dark)
    return float(thin.grid.world_mm(2 * index[:, ::-1].mean(axis=0))[0]) if len(index) else float("nan")


def _lungs(thin: Thin) -> Iterator[Fault]:
    """On CT: air that the body encloses lies above the liver, but for what is in the bowel."""
    if not thin.ct or LIVER not in thin.centres_mm or thin.scan.voxels.min() > _LUNG_HU:
        return
    axis = int(np.abs(thin.grid.axes[2]).argmax())  # the array's axis along the body, in (i, j, k)
    air = np.moveaxis(thin.scan.voxels < _LUNG_HU, 2 - axis, 0)
    ml = np.array([_enclosed(plane) for plane in air]) * thin.grid.voxel_ml
    up = thin.grid.axes[2, axis] > 0
    at = round(float(thin.grid.index_of(thin.centres_mm[LIVER])[axis]))
    below, above = (ml[:at].sum(), ml[at + 1 :].sum()) if up else (ml[at + 1 :].sum(), ml[:at].sum())
    if below > max(_LUNG_ML, 4 * above):
        yield (
            "upside_down",
            f"{below:.0f} ml of air lie in the body below the liver, and {above:.0f} ml above it: lungs.",
        )


def _enclosed(air: np.ndarray) -> int:
    """Pixels of air that is not connected with the border of the slice."""
    pieces, _ = ndimage.label(air)
    outside = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    return int((air & ~np.isin(pieces, outside)).sum())


RULES: tuple[Callable[[Thin], Iterator[Fault]], ...] = (_units, _intensity, _volume, _flipped, _gaps, _sides, _lungs)
