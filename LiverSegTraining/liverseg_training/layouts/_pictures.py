"""DICOM slices with masks drawn into pictures (PNG), which carry no geometry -> scan and mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from liverseg_core.reading.dicom.headers import Frame
from liverseg_core.records import LabelMask, Scan

from ._dicom import echo_of, laid, mask_on, slices_in
from ._files import files_below, natural
from ._layout import UnfitError
from ._volumes import as_codes


@dataclass(frozen=True)
class Pictures:
    """The reader of a folder of slices and a folder of pictures. `echo` chooses where a folder holds both of a dual echo."""

    slices: Path
    ground: Path
    values: Mapping[int, int]
    modality: str
    echo: str = ""  # "" | "in" | "opposed"

    def read(self, phase: str) -> tuple[Scan, LabelMask]:
        """A mask belongs to the slice of its name where names agree, else to that of its rank; then both are sorted."""
        frames = slices_in(self.slices)
        if self.echo:
            frames = echo_of(frames, longest=self.echo == "in")
        pictures = pictures_in(self.ground)
        scan, order = laid(frames, self.modality, phase, self.slices)
        drawn = {frame.file: self._codes(pictures[n], frame) for frame, n in zip(frames, matched(frames, pictures))}
        return scan, mask_on(scan, order, drawn, self.slices)

    def files(self) -> tuple[Path, ...]:
        return (*(path for path, _ in files_below(self.slices, r"[^/]+")), *pictures_in(self.ground))

    @property
    def recipe(self) -> str:
        return f"pictures {sorted(self.values.items())} {self.modality} {self.echo}"

    def _codes(self, picture: Path, frame: Frame) -> np.ndarray:
        values = picture_of(picture)
        if values.shape != frame.shape:
            raise UnfitError(
                "grids_differ", f"{picture} has {values.shape} pixels, its slice {frame.file.name} {frame.shape}"
            )
        return as_codes(values[None], self.values, picture)[0]


def pictures_in(folder: Path) -> list[Path]:
    """In the natural order of their names; UnfitError where there is none."""
    found = sorted((path for path, _ in files_below(folder, r"[^/]+\.png")), key=lambda path: natural(path.name))
    if not found:
        raise UnfitError("labels_missing", f"{folder} holds no masks (PNG); unpack the archive again")
    return found


def matched(frames: Sequence[Frame], pictures: Sequence[Path]) -> list[int]:
    """For each slice, in the order of the file names, the number of its picture."""
    if len(frames) != len(pictures):
        raise UnfitError(
            "slices_unpaired",
            f"{pictures[0].parent} holds {len(pictures)} masks for {len(frames)} slices; unpack the archive again",
        )
    stems = {picture.stem: n for n, picture in enumerate(pictures)}
    own = [stems.get(frame.file.stem) for frame in frames]
    if all(n is not None for n in own):
        return [n for n in own if n is not None]
    if any(n is not None for n in own):
        raise UnfitError(
            "slices_unpaired", f"only some masks in {pictures[0].parent} are called as their slices; unpack it again"
        )
    return list(range(len(frames)))


def picture_of(path: Path) -> np.ndarray:
    """Grey values [j, i] of a picture; a colour picture counts where its channels agree."""
    try:
        pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError:
        raise UnfitError("unreadable", f"{path} is not a PNG picture or is damaged; copy it again") from None
    pixels = pixels[0] if pixels.ndim > 2 and pixels.shape[0] == 1 else pixels
    if pixels.ndim == 3 and (pixels[..., :3] == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    if pixels.ndim != 2:
        raise UnfitError("unreadable", f"{path} is a colour picture; expected grey values")
    return pixels
