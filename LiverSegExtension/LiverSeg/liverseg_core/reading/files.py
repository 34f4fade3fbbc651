"""Image files: what SimpleITK reads, after the checks that it does not make."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..memory import demand_memory
from . import nifti

_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_EXPECTED = nifti.EXPECTED
_MET_BYTES = {
    f"MET_{sign}{name}": size
    for sign in ("", "U")
    for name, size in (("CHAR", 1), ("SHORT", 2), ("INT", 4), ("LONG", 4), ("LONG_LONG", 8))
} | {"MET_FLOAT": 4, "MET_DOUBLE": 8}


def read_image(
    path: Path, volume: int | None, *, chooser: str = "choose one with --volume 0 to --volume {last}"
) -> sitk.Image:
    """A 3-D image. `volume` picks one from a 4-D file, counted from 0; without it, `chooser` says what to do."""
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy the file again")
    name = path.name.lower()
    if not name.endswith(_SUFFIXES):
        raise InputError(f"{path.name} is not a format LiverSeg reads; {_EXPECTED}")
    if name.endswith((".nii", ".nii.gz")):
        nifti.check(path)
    elif name.endswith((".mha", ".mhd")):
        _check_metaimage(path)
    else:
        check_nrrd(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _choose(reader, path, volume, chooser)
        demand_memory(_bytes_of(reader), f"{path}, {' x '.join(map(str, reader.GetSize()[:3]))} voxels,")
        image = reader.Execute()
    except RuntimeError as problem:
        raise InputError(f"{path} cannot be read: {core_of(problem)}; {_EXPECTED}") from None
    return _three_dimensional(image, path)


def voxels_of(image: sitk.Image, path: Path, volume: int | None = None) -> np.ndarray:
    """The array [k, j, i] of a scalar image, NaN where the file says so; refuses colours and complex numbers.

    It is read only: it shows the image's own memory, for a copy of a large scan costs a tenth of a second.
    """
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(
            f"{path} holds {image.GetNumberOfComponentsPerPixel()} values a voxel (colours or vectors); expected one"
        )
    voxels = np.asarray(_Held(image))
    if voxels.dtype.kind == "c":
        raise InputError(f"{path} holds complex numbers; expected magnitudes")
    if voxels.dtype.kind == "f" and path.name.lower().endswith((".nii", ".nii.gz")):
        lost = nifti.not_finite(path, voxels.shape, volume or 0)
        if lost is not None and lost.any():
            voxels = np.where(lost, np.array(np.nan, voxels.dtype), voxels)
    return voxels


class _Held:
    """An image as an array that keeps it alive; SimpleITK's own view does not."""

    def __init__(self, image: sitk.Image) -> None:
        self.image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def note_of(image: sitk.Image) -> str:
    """The free text of a NIfTI header."""
    return image.GetMetaData("descrip").strip() if image.HasMetaDataKey("descrip") else ""


def _choose(reader: sitk.ImageFileReader, path: Path, volume: int | None, chooser: str) -> None:
    size = list(reader.GetSize())
    if len(size) == 2:
        raise InputError(f"{path} is a 2-D picture ({size[0]} x {size[1]}); {_EXPECTED}")
    if len(size) > 4:
        raise InputError(f"{path} has {len(size)} dimensions; {_EXPECTED}")
    count = size[3] if len(size) == 4 else 1
    if len(size) == 4 and count > 1 and volume is None:
        raise InputError(f"{path} holds {count} volumes; {chooser.format(last=count - 1)}")
    if volume is not None and not 0 <= volume < count:
        raise InputError(f"--volume {volume} is not in {path}, which holds {count} (counted from 0)")
    if len(size) == 4:
        reader.SetExtractIndex([0, 0, 0, volume or 0])
        reader.SetExtractSize([*size[:3], 0])


def _bytes_of(reader: sitk.ImageFileReader) -> float:
    """Of one volume as SimpleITK reads it and as NumPy gets it."""
    each = 8 if reader.GetPixelID() in (sitk.sitkFloat64, sitk.sitkInt64, sitk.sitkUInt64) else 4
    return 2.0 * each * math.prod(reader.GetSize()[:3]) * reader.GetNumberOfComponents()


def _three_dimensional(image: sitk.Image, path: Path) -> sitk.Image:
    axes = np.reshape(image.GetDirection(), (3, 3)) if image.GetDimension() == 3 else None
    if axes is None:
        raise InputError(f"{path} is not a 3-D image; {_EXPECTED}")
    spacing = image.GetSpacing()
    if not all(math.isfinite(s) and s > 0 for s in spacing) or not np.isfinite(image.GetOrigin()).all():
        raise InputError(f"{path} has the spacing {spacing} mm; expected three positive numbers")
    if not np.isfinite(axes).all() or abs(np.linalg.det(axes)) < 0.999:
        raise InputError(
            f"{path} has axes that are not at right angles (determinant {np.linalg.det(axes):.3f}); resample it first"
        )
    return image


def _check_metaimage(path: Path) -> None:
    """MetaIO turns a zero spacing into 1, and a missing direction into any."""
    fields = _text_fields(path, "=", until="elementdatafile")
    lacks = [name for name in ("NDims", "DimSize", "ElementType", "ElementDataFile") if name.lower() not in fields]
    if lacks:
        raise InputError(f"{path} is not a MetaImage file (no {lacks[0]} in its header); {_EXPECTED}")
    if list(fields).index("ndims") > list(fields).index("dimsize"):
        raise InputError(f"{path} is not a MetaImage file (NDims must come before DimSize); {_EXPECTED}")
    if fields["elementtype"].upper() not in _MET_BYTES:
        raise InputError(f"{path} holds voxels of the type {fields['elementtype']}; expected numbers")
    spacing = _numbers(fields.get("elementspacing", "1 1 1"))
    _demand_spacing(path, spacing[:3])
    for key in ("transformmatrix", "rotation", "orientation"):
        _demand_direction(path, _numbers(fields.get(key, "1 0 0 0 1 0 0 0 1")))
    if fields.get("elementdatafile", "").upper() == "LOCAL":
        _check_metaimage_data(path, fields)


def _check_metaimage_data(path: Path, fields: dict[str, str]) -> None:
    """MetaIO reads a damaged or cut block as zeros, and says so on stderr at most."""
    bits = _MET_BYTES.get(fields.get("elementtype", "").upper())
    sizes = _numbers(fields.get("dimsize", ""))
    if bits is None or not sizes or math.isnan(sum(sizes)):
        return  # SimpleITK refuses what it does not know
    wanted = int(math.prod(sizes)) * bits * int(_numbers(fields.get("elementnumberofchannels", "1"))[0])
    content = path.read_bytes()
    data = content[content.lower().index(b"elementdatafile") :].partition(b"\n")[2]
    if fields.get("compresseddata", "").lower() == "true":
        try:
            data = zlib.decompress(data)
        except zlib.error as problem:
            raise InputError(f"{path} is damaged or cut off ({problem}); copy it again") from None
    if len(data) < wanted:
        raise InputError(
            f"{path} is cut off: its header promises {wanted} bytes of voxels, it holds {len(data)}; copy it again"
        )


def check_nrrd(path: Path) -> None:
    """The NRRD reader passes over NaN and zero vectors."""
    with path.open("rb") as file:
        if file.read(4) != b"NRRD":
            raise InputError(f"{path} is not a NRRD file (its first bytes are not NRRD); {_EXPECTED}")
    fields = _text_fields(path, ":")
    if "spacings" in fields:
        _demand_spacing(path, [s for s in _numbers(fields["spacings"]) if not math.isnan(s)] or [math.nan])
    if "space directions" in fields:
        vectors = fields["space directions"].replace("none", " ").replace("(", " ").replace(")", " ").replace(",", " ")
        numbers = _numbers(vectors)
        if len(numbers) == 9:
            _demand_spacing(path, list(np.linalg.norm(np.reshape(numbers, (3, 3)), axis=1)))
            _demand_direction(path, numbers)


def _text_fields(path: Path, sign: str, until: str = "") -> dict[str, str]:
    """The header lines `key sign value` before the first empty line, keys in lower case."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for line in file.read(1 << 16).split(b"\n"):
            text = line.decode("latin-1").strip()
            if not text:
                break
            key, found, value = text.partition(sign)
            if found:
                fields[key.strip().lower()] = value.strip()
            if until and key.strip().lower() == until:
                break
    return fields


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        return [math.nan]


def _demand_spacing(path: Path, spacing: list[float]) -> None:
    if not all(math.isfinite(s) and s > 0 for s in spacing):
        raise InputError(f"{path} has the spacing {tuple(spacing)} mm in its header; expected three positive numbers")


def _demand_direction(path: Path, numbers: list[float]) -> None:
    if len(numbers) == 9:
        rows = np.reshape(numbers, (3, 3))
        size = float(np.prod(np.linalg.norm(rows, axis=1)))
        if not np.isfinite(rows).all() or abs(np.linalg.det(rows)) < 1e-3 * max(size, 1e-12):
            raise InputError(f"{path} has a singular direction matrix; repair the header")


def core_of(problem: RuntimeError) -> str:
    """The last line of an ITK exception, which says what happened."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return lines[-1].removeprefix("ITK ERROR: ")[:200] if lines else "unknown reason"
