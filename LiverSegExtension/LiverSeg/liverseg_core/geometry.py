"""Where voxels are. The only module that does affine arithmetic.

Convention, used everywhere: a :class:`Grid` speaks (i, j, k) and LPS millimetres,
as SimpleITK does; an array speaks [k, j, i], as NumPy views of SimpleITK images do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np
import SimpleITK as sitk

Triple = tuple[float, float, float]
IntTriple = tuple[int, int, int]


@dataclass(frozen=True)
class Grid:
    """The lattice a volume is sampled on: size in voxels, everything else in mm (LPS)."""

    size: IntTriple
    spacing_mm: Triple = (1.0, 1.0, 1.0)
    origin_mm: Triple = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @property
    def size_text(self) -> str:
        """For sentences."""
        return " x ".join(map(str, self.size))

    @property
    def array_shape(self) -> IntTriple:
        i, j, k = self.size
        return (k, j, i)

    @property
    def voxel_ml(self) -> float:
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def axes(self) -> np.ndarray:
        """Unit vectors of the i, j and k axes, as columns."""
        return np.reshape(self.direction, (3, 3))

    def world_mm(self, index: Sequence[float] | np.ndarray) -> np.ndarray:
        """Patient position of one (3,) or many (n, 3) possibly fractional voxel indices."""
        return np.asarray(self.origin_mm) + (np.asarray(index) * self.spacing_mm) @ self.axes.T

    def index_of(self, world_mm: np.ndarray) -> np.ndarray:
        """Fractional voxel index of one (3,) or many (n, 3) patient positions."""
        return (np.asarray(world_mm) - self.origin_mm) @ np.linalg.inv(self.axes).T / self.spacing_mm

    def corners_mm(self) -> np.ndarray:
        """Patient positions of the eight outer corners (voxel faces, not centres), (8, 3)."""
        return self.world_mm(np.array([np.multiply(c, self.size) - 0.5 for c in product((0, 1), repeat=3)]))

    def matches(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """True when every voxel of one grid lies on its twin in the other."""
        if self.size != other.size:
            return False
        return bool(np.abs(self.corners_mm() - other.corners_mm()).max() < tolerance_mm)

    def permuted(self, order: Sequence[int]) -> Grid:
        """The same voxels with axis `order[n]` as the new axis n."""
        chosen = list(order)
        size, spacing = np.asarray(self.size)[chosen], np.asarray(self.spacing_mm)[chosen]
        return replace(
            self, size=_ints(size), spacing_mm=_floats(spacing), direction=tuple(self.axes[:, chosen].ravel().tolist())
        )

    def canonical(self) -> Grid:
        """The same voxels, with axes permuted and flipped to run closest to L, P, S."""
        rows = [0, 1, 2]
        order = max(map(list, permutations(rows)), key=lambda columns: np.abs(self.axes[rows, columns]).sum())
        turned = self.permuted(order)
        flip = turned.axes[rows, rows] < 0
        corner = turned.world_mm(np.where(flip, np.asarray(turned.size) - 1, 0))
        direction = turned.axes * np.where(flip, -1.0, 1.0)
        return replace(turned, origin_mm=_floats(corner), direction=tuple(direction.ravel().tolist()))

    def respaced(self, spacing_mm: Sequence[float | None]) -> Grid:
        """A grid with new spacing (None: as it is) over the same field of view and the same centre."""
        wanted = np.array([own if new is None else new for own, new in zip(self.spacing_mm, spacing_mm, strict=True)])
        extent = np.asarray(self.size) * self.spacing_mm
        size = np.maximum(np.ceil(extent / wanted - 1e-6), 1).astype(int)
        centre = self.world_mm((np.asarray(self.size) - 1) / 2)
        origin = centre - self.axes @ (wanted * (size - 1) / 2)
        return replace(self, size=_ints(size), spacing_mm=_floats(wanted), origin_mm=_floats(origin))

    def cropped(self, start: Sequence[int] | np.ndarray, size: Sequence[int] | np.ndarray) -> Grid:
        """The block of `size` voxels that begins at index `start`; it may reach outside the grid."""
        return replace(self, size=_ints(np.asarray(size)), origin_mm=_floats(self.world_mm(np.asarray(start))))

    def overlap(self, region: Grid, margin_mm: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """First and one-past-last index (i, j, k) of the voxels that `region` touches, kept inside the grid."""
        index = self.index_of(region.corners_mm())
        reach = margin_mm / np.asarray(self.spacing_mm)
        first = np.floor(index.min(axis=0) - reach + 0.5 + 1e-6).astype(int)
        last = np.ceil(index.max(axis=0) + reach + 0.5 - 1e-6).astype(int)
        return np.clip(first, 0, np.asarray(self.size) - 1), np.clip(last, 1, np.asarray(self.size))

    def snapped(self, first: np.ndarray, last: np.ndarray, multiple: Sequence[int]) -> Grid:
        """The block [first, last) grown to a multiple of voxels (i, j, k): into the grid where there is room."""
        step = np.asarray(multiple)
        size = -(-(last - first) // step) * step
        start = first - (size - (last - first)) // 2
        start = np.clip(start, 0, np.maximum(np.asarray(self.size) - size, 0))
        roomless = size > np.asarray(self.size)
        start = np.where(roomless, -((size - np.asarray(self.size)) // 2), start)
        return self.cropped(start, size)

    def plane(self, axis: int, index: int, pixel_mm: float) -> Grid:
        """One slice of a canonical grid as a picture is looked at: 0 sagittal, 1 coronal, 2 axial; head and front up,
        the patient's right on the left (axial, coronal), front on the left (sagittal)."""
        order = {0: [1, 2, 0], 1: [0, 2, 1], 2: [0, 1, 2]}[axis]
        first, size = np.zeros(3, int), np.asarray(self.size).copy()
        first[axis], size[axis] = index, 1
        flat = self.cropped(first, size).permuted(order)
        if axis != 2:  # z runs up in the patient and down in a picture
            corner = flat.world_mm((0, flat.size[1] - 1, 0))
            flat = replace(flat, origin_mm=_floats(corner), direction=tuple((flat.axes * (1, -1, 1)).ravel().tolist()))
        return flat.respaced((pixel_mm, pixel_mm, None))

    def slices_in(self, whole: Grid) -> tuple[slice, slice, slice]:
        """Where this block lies in the array [k, j, i] of the grid it was cropped from."""
        i, j, k = np.round(whole.index_of(np.asarray(self.origin_mm))).astype(int)
        return slice(k, k + self.size[2]), slice(j, j + self.size[1]), slice(i, i + self.size[0])


def grid_of(image: sitk.Image) -> Grid:
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def grid_of_planes(
    shape: Sequence[int], pixel_mm: tuple[float, float], step_mm: float, corner_mm: np.ndarray, axes: np.ndarray
) -> Grid:
    """Planes [k, j, i] that follow each other along their normal: `axes` (2, 3) are the directions of a row and of a
    column, `pixel_mm` the distances along them, `corner_mm` the centre of the very first pixel."""
    row, column = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    normal = np.cross(row, column)
    direction = np.stack([row, column, normal / np.linalg.norm(normal)], axis=1)
    size = _ints(np.asarray(shape)[::-1])
    return Grid(size, (*pixel_mm, step_mm), _floats(corner_mm), tuple(direction.ravel().tolist()))


def as_image(voxels: np.ndarray, grid: Grid) -> sitk.Image:
    """Attach a grid to an array; the shapes must already agree."""
    if voxels.shape != grid.array_shape:
        raise ValueError(f"array {voxels.shape} does not fill a grid of shape {grid.array_shape}")
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    return image


def resampled(
    voxels: np.ndarray, source: Grid, target: Grid, *, outside: float = 0.0, nearest: bool = False
) -> np.ndarray:
    """`voxels` moved from one grid onto another, no smoothing: linear to float32, or nearest in the type that came."""
    image = as_image(voxels, source)
    return sitk.GetArrayFromImage(
        sitk.Resample(
            image,
            target.size,
            sitk.Transform(),
            sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear,
            target.origin_mm,
            target.spacing_mm,
            target.direction,
            outside,
            image.GetPixelID() if nearest else sitk.sitkFloat32,
        )
    )


def shrunk(voxels: np.ndarray, source: Grid, target: Grid) -> tuple[np.ndarray, Grid]:
    """Averaged over whole blocks along the axes that will lose resolution, so that resampling does not alias."""
    toward = np.abs(source.axes.T @ target.axes).argmax(axis=1)
    ratio = np.asarray(target.spacing_mm)[toward] / source.spacing_mm
    factors = np.clip(np.floor(ratio + 1e-3).astype(int), 1, source.size)
    if (factors == 1).all():
        return voxels, source
    missing = -np.asarray(source.size) % factors  # a last block that is not full repeats its last voxel
    if missing.any():
        voxels = np.pad(voxels, [(0, int(n)) for n in missing[::-1]], mode="edge")
        source = source.cropped((0, 0, 0), np.asarray(source.size) + missing)
    image = sitk.BinShrink(as_image(voxels, source), [int(f) for f in factors])
    return sitk.GetArrayFromImage(image), grid_of(image)


def bounding_block(mask: np.ndarray, grid: Grid) -> Grid | None:
    """The smallest block of the grid that holds every true voxel of `mask`; None when there is none."""
    if not mask.any():
        return None
    spans = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in (2, 1, 0)]
    first = np.array([span[0] for span in spans])
    return grid.cropped(first, np.array([span[-1] + 1 for span in spans]) - first)


def ellipsoid_axes_mm(covariance_mm2: np.ndarray, spacing_mm: Sequence[float] | np.ndarray) -> np.ndarray:
    """Full axes (..., 3), shortest first, of the solid ellipsoids with the second moments of some voxels.

    `covariance_mm2` (..., 3, 3) is that of the voxels' centres along the grid's own axes, in the order of
    `spacing_mm`; a voxel is a box here, not a point.
    """
    boxes = np.diag(np.square(spacing_mm) / 12.0)
    return 2.0 * np.sqrt(5.0 * np.linalg.eigvalsh(covariance_mm2 + boxes))


def _floats(three: np.ndarray) -> Triple:
    a, b, c = (float(n) for n in three)
    return (a, b, c)


def _ints(three: np.ndarray) -> IntTriple:
    a, b, c = (int(n) for n in three)
    return (a, b, c)
