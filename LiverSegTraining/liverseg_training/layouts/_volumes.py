"""Volume files -> cases: an image and one or several masks beside it, in the values of their data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from liverseg_core.errors import InputError
from liverseg_core.geometry import Grid, grid_of
from liverseg_core.labels import LESION, LIVER
from liverseg_core.reading import read_scan
from liverseg_core.reading.files import read_image, voxels_of
from liverseg_core.records import LabelMask, Notice, Scan

from ..cases import Case
from ._files import files_below, plain
from ._layout import UnfitError, refused

_STRANGE = 255  # of a table of codes: a value that the data set does not know
_SAME_MM = 0.1


@dataclass(frozen=True)
class Layer:
    """A mask file, and what its values mean. A value that is not listed is refused; 0 is background."""

    file: Path
    values: Mapping[int, int]


@dataclass(frozen=True)
class Volume:
    """The reader of an image file and of layers that are painted over each other, the last on top."""

    image: Path
    layers: tuple[Layer, ...]
    image_rules: bool = False  # where the masks' headers are known to be wrong: the image's geometry counts for both

    def read(self, phase: str) -> tuple[Scan, LabelMask]:
        """UnfitError for masks that do not fit the image, or hold values that the data set does not know."""
        for code, path in (("image_missing", self.image), *(("labels_missing", layer.file) for layer in self.layers)):
            if not path.is_file():
                raise UnfitError(
                    code, f"{path} is missing; a case needs its image and its labels: unpack the archive again"
                )
        scan = read_scan(self.image, phase)
        notices = list(unplaced(scan.grid))
        out = None if len(self.layers) == 1 else np.zeros(scan.grid.array_shape, np.uint8)
        for layer in self.layers:
            codes, grid = _codes_in(layer)
            notices += self._demand_grid(layer.file, grid, scan.grid)
            if out is None:
                out = codes
            else:
                np.copyto(out, codes, where=codes > 0)
        assert out is not None
        return replace(scan, notices=(*scan.notices, *notices)), LabelMask(out, scan.grid)

    def files(self) -> tuple[Path, ...]:
        return (self.image, *(layer.file for layer in self.layers))

    @property
    def as_stored(self) -> bool:
        """Whether a mask of bytes holds our codes as it lies on the disk: then there is no second copy of it."""
        return len(self.layers) == 1 and _same(self.layers[0].values)

    @property
    def recipe(self) -> str:
        return f"volume {[sorted(layer.values.items()) for layer in self.layers]} {self.image_rules}"

    def _demand_grid(self, file: Path, grid: Grid, wanted: Grid) -> Iterator[Notice]:
        if grid.matches(wanted, _SAME_MM):
            return
        if grid.size != wanted.size or not self.image_rules:
            raise UnfitError(
                "grids_differ",
                f"{file} ({grid.size_text} voxels of {_mm(grid)}) does not lie on the grid of its image ({wanted.size_text} of {_mm(wanted)})",
            )
        text = f"The header of {file.name} places the mask elsewhere ({_mm(grid)}): the image's geometry was taken."
        yield Notice("label_geometry", text)


@dataclass(frozen=True)
class Volumes:
    """How a data set names its volumes. In the expressions over paths, `key` is what an image shares with its labels.

    The functions take the image's path below the folder. `labelled` tells images that must have labels from those that
    never had any; labels without an image are always a fault.
    """

    name: str  # the beginning of a case's id
    images: str
    labels: str
    values: Mapping[int, int]
    phase: Callable[[str, str], str]  # (key, path) -> key of phases.PHASES
    part: Callable[[str], str] = lambda _: ""
    patient: Callable[[str, str], str] = lambda key, _: plain(key)
    source: Callable[[str], str] = lambda _: ""
    labelled: Callable[[str], bool] = lambda _: True
    group: Callable[[str], str] = lambda _: ""  # parts of a data set that number anew, in the id and in the pairing
    image_rules: bool = False


@dataclass
class _Found:
    images: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)
    key: str = ""


def volume_cases(folder: Path, row: Volumes) -> Iterator[Case]:
    """A case for every image that should have labels, and for labels without an image; twice the same is one, refused."""
    found: dict[tuple[str, str], _Found] = {}
    for pattern, images in ((row.images, True), (row.labels, False)):
        for path, match in files_below(folder, pattern):
            key = match["key"]
            here = found.setdefault((row.group(_below(path, folder)), plain(key)), _Found(key=key))
            (here.images if images else here.labels).append(path)
    for (group, _), pair in found.items():
        if pair.labels or row.labelled(_below(pair.images[0], folder)):
            yield _case(folder, row, group, pair)


def _case(folder: Path, row: Volumes, group: str, pair: _Found) -> Case:
    path = _below((pair.images or pair.labels)[0], folder)
    phase, name = row.phase(pair.key, path), "_".join(part for part in (row.name, group, pair.key) if part)
    for places in (pair.images, pair.labels):
        if len(places) > 1:
            lying = " and ".join(_below(place, folder) for place in places[:2])
            return refused(name, phase, "case_twice", f"{name} is there twice ({lying}); keep one of them")
    if not pair.images:
        return refused(
            name, phase, "image_missing", f"{pair.labels[0]} has no image beside it; unpack the archive again"
        )
    if not pair.labels:
        text = f"{pair.images[0]} has no labels; unpack the archive again, or leave {name} out"
        return refused(name, phase, "labels_missing", text)
    reader = Volume(pair.images[0], (Layer(pair.labels[0], row.values),), row.image_rules)
    return Case(
        name, pair.images[0], pair.labels[0], phase, annotated_by(row.values), f"{row.name}_{row.patient(pair.key, path)}",
        reader, row.part(path), row.source(plain(pair.key)),
    )  # fmt: skip


def annotated_by(values: Mapping[int, int] | Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sorted(set(values.values()) - {0}))


def painted_order(codes: Sequence[int]) -> list[int]:
    """The liver over vessels that run through it, lesions over the liver: `liver` is 1 + 2 in every number."""
    return sorted(codes, key=lambda code: (code == LESION, code == LIVER, code))


def unplaced(grid: Grid) -> Iterator[Notice]:
    """LiTS 28 to 47, and whatever was made of them: a matrix of 512 in voxels of exactly 1 mm at the origin."""
    if grid.size[:2] == (512, 512) and np.allclose(grid.spacing_mm, 1.0) and np.allclose(grid.origin_mm, 0.0):
        text = "512 x 512 voxels of 1 x 1 x 1 mm at the origin: an identity affine, the true spacing is lost."
        yield Notice("identity_affine", text)


def as_codes(planes: np.ndarray, values: Mapping[int, int], where: object) -> np.ndarray:
    """uint8 codes of voxels [k, j, i]; UnfitError for fractions and for values that the data set does not know. They are
    `planes` itself, which may be read only, where those are bytes that hold our codes."""
    table = np.full(256, _STRANGE, np.uint8)
    table[0] = 0
    for value, code in values.items():
        table[value] = code
    as_stored = planes.dtype == np.uint8 and _same(values)
    out = planes if as_stored else np.empty(planes.shape, np.uint8)
    strange: set[float] = set()
    for plane, drawn in zip(planes, out):  # one after another: a mask of a large CT in double precision is a gigabyte
        if plane.dtype == np.uint8:
            codes = table[plane]
            strange |= {float(value) for value in np.unique(plane[codes == _STRANGE])[:8]}
            if not as_stored:
                drawn[...] = codes
            continue
        whole = np.clip(np.nan_to_num(plane, nan=-1.0), -1, 256).astype(np.int16)
        odd = (whole != plane) | (whole < 0) | (whole > 255)
        drawn[...] = table[np.where(odd, 0, whole)]
        odd |= drawn == _STRANGE
        if odd.any():
            strange |= {float(value) for value in np.unique(plane[odd])[:8]}
    if strange:
        listed = ", ".join(f"{value:g}" for value in sorted(strange)[:8])
        raise UnfitError("labels_outside_map", f"{where} holds the values {listed}; known are 0 and {_spans(values)}")
    return out


def _codes_in(layer: Layer) -> tuple[np.ndarray, Grid]:
    try:
        image = read_image(layer.file, None, chooser="expected one 3-D mask")
    except OSError as problem:
        raise InputError(f"{layer.file} cannot be read: {problem.strerror or problem}") from None
    return as_codes(voxels_of(image, layer.file), layer.values, layer.file), grid_of(image)


def _same(values: Mapping[int, int]) -> bool:
    return all(value == code for value, code in values.items())


def _spans(values: Mapping[int, int]) -> str:
    known = sorted(values)
    return f"{known[0]} to {known[-1]}" if len(known) > 12 else ", ".join(map(str, known))


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _mm(grid: Grid) -> str:
    return " x ".join(f"{s:.3g}" for s in grid.spacing_mm) + " mm at " + ", ".join(f"{o:.4g}" for o in grid.origin_mm)
