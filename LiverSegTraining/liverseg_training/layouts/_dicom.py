"""Slices in DICOM folders with masks drawn slice by slice -> scan and mask. Series UIDs are not asked: in some releases
they differ within a folder or are missing. What lies on which slice is settled first, then both are sorted together."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from liverseg_core.reading import take_scan
from liverseg_core.reading.dicom.headers import Frame, frames_below, is_dicom
from liverseg_core.reading.dicom.pixels import in_units, stored_planes
from liverseg_core.reading.dicom.stack import ordered, stacked, without_copies
from liverseg_core.records import LabelMask, Notice, Scan

from ._files import litter, natural
from ._layout import UnfitError

_SAME_PLACE_MM = 0.1


@dataclass(frozen=True)
class DicomMasks:
    """The reader of a folder of slices and of one folder of mask slices a structure; either may be a zip file.

    `structures` are painted over each other in their order, whatever is above 0 in them.
    """

    images: Path
    masks: Path
    structures: Mapping[str, int]  # a folder's name below `masks` ("" for `masks` itself) -> code
    modality: str
    two_levels: bool = False  # whether more than one value above 0 is a fault

    def read(self, phase: str) -> tuple[Scan, LabelMask]:
        with unpacked(self.images) as place:
            frames = slices_in(place)
            scan, order = laid(frames, self.modality, phase, self.images)
            drawn: dict[Path, np.ndarray] = {frame.file: np.zeros(frame.shape, np.uint8) for frame in frames}
            with unpacked(self.masks, tuple(self.structures)) as root:
                for name, code in self.structures.items():
                    self._paint(drawn, frames, structure_folder(root, name), code)
            return scan, mask_on(scan, order, drawn, self.images)

    def files(self) -> tuple[Path, ...]:
        wanted = (
            (self.images, *(self.masks / name for name in self.structures))
            if self.masks.is_dir()
            else (self.images, self.masks)
        )
        return tuple(file for place in wanted for file in _files(place))

    @property
    def recipe(self) -> str:
        return f"dicom {list(self.structures.items())} {self.modality} {self.two_levels}"

    def _paint(self, drawn: dict[Path, np.ndarray], frames: Sequence[Frame], folder: Path, code: int) -> None:
        masks = slices_in(folder)
        planes = [plane > 0 for plane in self._planes(masks, folder)]
        for frame, number in zip(frames, paired(frames, masks, folder)):
            if planes[number].shape != frame.shape:
                raise UnfitError(
                    "grids_differ", f"{masks[number].file} has {planes[number].shape} pixels, its slice {frame.shape}"
                )
            drawn[frame.file][planes[number]] = code

    def _planes(self, masks: Sequence[Frame], folder: Path) -> list[np.ndarray]:
        planes = stored_planes(masks)
        levels = set().union(*(np.unique(plane).tolist() for plane in planes)) if self.two_levels else set()
        if len(levels) > 2:
            raise UnfitError(
                "labels_outside_map", f"{folder} holds the values {sorted(levels)[:8]}; known are 0 and one other"
            )
        return planes


@dataclass(frozen=True)
class Marks:
    """Names of a folder of masks, which may be zipped: structure -> how many slices."""

    place: Path
    slices: Mapping[str, int] = field(default_factory=dict)


def marks_in(place: Path) -> Marks:
    """What is drawn in a folder of one folder a structure, nested once more or not, or in such a zip file."""
    count: dict[str, int] = {}
    for parts in _members(place):
        if len(parts) >= 2:
            count[parts[-2]] = count.get(parts[-2], 0) + 1
    return Marks(place, count)


def slices_in(folder: Path) -> tuple[Frame, ...]:
    """Every slice below a folder in the natural order of the file names. UnfitError where one is unplaced or counted out."""
    frames = frames_below(folder)
    files = {frame.file for frame in frames}
    hidden = [file for file in _files(folder) if file not in files and is_dicom(file)]
    if hidden:
        raise UnfitError(
            "slices_repeated", f"{len(hidden)} slices of {folder} repeat others ({hidden[0].name}); keep each once"
        )
    if not frames:
        raise UnfitError("slices_missing", f"{folder} holds no DICOM slices; unpack the archive again")
    return tuple(sorted(frames, key=lambda frame: natural(frame.file.name)))


def laid(frames: Sequence[Frame], modality: str, phase: str, source: Path) -> tuple[Scan, tuple[Frame, ...]]:
    """The scan, and its frames in the order of its slices."""
    lost = next((frame for frame in frames if not frame.placed), None)
    if lost is not None:
        raise UnfitError(
            "slices_unplaced", f"{lost.file} does not say where it lies; masks cannot be laid on such slices"
        )
    order = ordered(frames, source)
    planes = stored_planes(order)
    order, planes, copies = without_copies(order, planes, source)
    planes, units = in_units(order, planes, modality, source)
    voxels, grid, geometry = stacked(order, planes, source)
    notices = (*copies, *units, *geometry, *_order_said(frames, order))
    return take_scan(voxels, grid, phase=phase, how="the data set", source=str(source), notices=notices), order


def mask_on(scan: Scan, order: Sequence[Frame], drawn: Mapping[Path, np.ndarray], source: Path) -> LabelMask:
    """Masks by file, laid as the slices were: what was interpolated or sheared there is so here, code by code."""
    codes = sorted({int(code) for plane in drawn.values() for code in np.unique(plane)} - {0})
    out = np.zeros(scan.grid.array_shape, np.uint8)
    for code in codes:
        volume = stacked(order, [(drawn[frame.file] == code).astype(np.uint8) for frame in order], source)[0]
        out[volume > 0] = code
    return LabelMask(out, scan.grid)


def paired(frames: Sequence[Frame], masks: Sequence[Frame], folder: Path) -> list[int]:
    """For each slice the number of its mask: by file name, else by position, else by rank in the order of names."""
    if len(frames) != len(masks):
        raise UnfitError(
            "slices_unpaired", f"{folder} holds {len(masks)} masks for {len(frames)} slices; unpack it again"
        )
    names = {mask.file.name: n for n, mask in enumerate(masks)}
    if all(frame.file.name in names for frame in frames):
        return [names[frame.file.name] for frame in frames]
    if all(mask.placed for mask in masks) and all(frame.placed for frame in frames):
        return _by_place(frames, masks, folder)
    return list(range(len(frames)))


def _by_place(frames: Sequence[Frame], masks: Sequence[Frame], folder: Path) -> list[int]:
    places = np.array([mask.position_mm for mask in masks])
    pairs = []
    for frame in frames:
        apart_mm = np.linalg.norm(places - frame.position_mm, axis=1)
        if apart_mm.min() > _SAME_PLACE_MM:
            raise UnfitError(
                "slices_unpaired", f"no mask in {folder} lies where {frame.file.name} lies; unpack it again"
            )
        pairs.append(int(apart_mm.argmin()))
    return pairs


def _order_said(frames: Sequence[Frame], order: Sequence[Frame]) -> Iterator[Notice]:
    names = [frame.file for frame in order]
    if names != [frame.file for frame in frames] and names[::-1] != [frame.file for frame in frames]:
        yield Notice("slice_order", "The file names do not follow the positions; the slices were sorted by position.")


def structure_folder(root: Path, name: str) -> Path:
    """The folder of a structure below a place that may be nested once more."""
    if not name:
        return root
    found = sorted((path for path in root.rglob(name) if path.is_dir()), key=lambda path: len(path.parts))
    if not found:
        raise UnfitError("labels_missing", f"{root} holds no {name}; unpack the archive again")
    return found[0]


@contextmanager
def unpacked(place: Path, names: Sequence[str] = ()) -> Iterator[Path]:
    """A folder as it is; of a zip file a temporary folder with those members whose folders are in `names` (all: none)."""
    if place.is_dir():
        yield place
        return
    if not place.is_file():
        raise UnfitError(
            "image_missing" if not names else "labels_missing", f"{place} is missing; unpack the archive again"
        )
    with tempfile.TemporaryDirectory(prefix="liverseg-") as room:
        try:
            with zipfile.ZipFile(place) as packed:
                for member in packed.namelist():
                    parts = Path(member).parts
                    if not member.endswith("/") and _wanted(parts, names):
                        packed.extract(member, room)
        except (zipfile.BadZipFile, EOFError, RuntimeError, zlib.error) as problem:  # a password is a RuntimeError
            raise UnfitError("unreadable", f"{place} is damaged ({problem}); copy the archive again") from None
        yield Path(room)


def _wanted(parts: Sequence[str], names: Sequence[str]) -> bool:
    return not any(litter(part) for part in parts) and (not names or (len(parts) > 1 and parts[-2] in names))


def _members(place: Path) -> Iterator[tuple[str, ...]]:
    if place.is_dir():
        for file in _files(place):
            yield file.relative_to(place).parts
        return
    try:
        with zipfile.ZipFile(place) as packed:
            for member in packed.namelist():
                parts = Path(member).parts
                if not member.endswith("/") and not any(litter(part) for part in parts):
                    yield parts
    except (OSError, zipfile.BadZipFile):
        return  # reading says what is wrong with it


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    return sorted(
        path
        for path in place.rglob("*")
        if path.is_file() and not any(litter(p) for p in path.relative_to(place).parts)
    )


def echo_of(frames: Sequence[Frame], longest: bool) -> tuple[Frame, ...]:  # noqa: FBT001
    """Of a folder with two echoes, those of the longer or of the shorter echo time."""
    times = sorted({frame.tags["EchoTime"] for frame in frames if isinstance(frame.tags.get("EchoTime"), float)})
    if len(times) != 2:
        raise UnfitError("echoes_unclear", f"{frames[0].file.parent} holds the echo times {times} ms; expected two")
    wanted = times[-1] if longest else times[0]
    return tuple(frame for frame in frames if frame.tags.get("EchoTime") == wanted)
