"""What SimpleITK passes over in silence in a NIfTI file: impossible headers, files cut off, values that are no numbers."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..memory import demand_memory

EXPECTED = "expected a 3-D scan (.nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd) or a folder of DICOM files"
_FLOATS = {16: "f4", 64: "f8"}  # NIfTI datatype codes
_KNOWN = (2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280, 32, 1792, 128, 2304)  # the last four are refused by name later


@dataclass(frozen=True)
class Header:
    """The fields of a NIfTI-1 header that decide whether the file can be trusted."""

    order: str  # "<" | ">"
    axes: tuple[int, ...]
    datatype: int
    bits: int
    spacing_mm: tuple[float, ...]
    offset: int
    sform: np.ndarray | None  # 3x3


def check(path: Path) -> None:
    """InputError for a header that cannot be, or for a file that holds less than its header promises."""
    header = _header(path)
    if header is None:
        return  # NIfTI-2: rare, and SimpleITK refuses what it cannot read
    _demand_possible(path, header)
    wanted = header.offset + math.prod(header.axes) * header.bits // 8
    if _zipped(path):  # unpacking to count would take as long as its header promises
        demand_memory(math.prod(header.axes[:3]) * header.bits // 8, f"{path}, {list(header.axes)} voxels,")
    held = _unpacked_length(path, wanted) if _zipped(path) else path.stat().st_size
    if held < wanted:  # SimpleITK fills the rest with zeros: a scan cut off would look like one that ends early
        raise InputError(f"{path} is cut off: its header promises {wanted} bytes, it holds {held}; copy it again")


def _demand_possible(path: Path, header: Header) -> None:
    if not header.axes or min(header.axes) < 1:
        raise InputError(f"{path} has the size {list(header.axes)} in its header; expected three positive counts")
    if header.datatype not in _KNOWN:
        raise InputError(f"{path} holds voxels of the NIfTI type {header.datatype}; expected whole or floating numbers")
    if not all(math.isfinite(s) and s > 0 for s in header.spacing_mm):
        raise InputError(
            f"{path} has the spacing {header.spacing_mm} mm in its header; expected three positive numbers"
        )
    if header.sform is not None:
        volume = abs(np.linalg.det(header.sform)) if np.isfinite(header.sform).all() else 0.0
        if volume < 1e-6 * math.prod(header.spacing_mm):
            raise InputError(
                f"{path} has a singular direction matrix (its sform maps the volume onto a plane); repair the header"
            )


def not_finite(path: Path, shape: tuple[int, ...], volume: int) -> np.ndarray | None:
    """Where a file of floats holds NaN or infinity, bool [k, j, i]: the reader makes zeros of them without a word."""
    header = _header(path)
    if header is None or header.datatype not in _FLOATS:
        return None
    kind = np.dtype(header.order + _FLOATS[header.datatype])
    count = math.prod(shape)
    with _opened(path) as file:
        file.seek(header.offset + volume * count * kind.itemsize)
        values = np.frombuffer(file.read(count * kind.itemsize), kind)
    return ~np.isfinite(values).reshape(shape)


def _header(path: Path) -> Header | None:
    try:
        with _opened(path) as file:
            head = file.read(348)
    except (OSError, EOFError, zlib.error):
        raise InputError(f"{path} is not a gzip file or is damaged; copy it again") from None
    if head[:4] in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c"):
        return None
    order = {b"\x5c\x01\x00\x00": "<", b"\x00\x00\x01\x5c": ">"}.get(head[:4])
    if order is None or len(head) < 348:
        raise InputError(f"{path} is not a NIfTI file (its first bytes are no NIfTI header); {EXPECTED}")
    dim = struct.unpack(order + "8h", head[40:56])
    axes = dim[1 : 1 + min(max(dim[0], 0), 7)]
    datatype, bits = struct.unpack(order + "2h", head[70:74])
    pixdim = struct.unpack(order + "8f", head[76:108])
    (offset,) = struct.unpack(order + "f", head[108:112])
    (sform_code,) = struct.unpack(order + "h", head[254:256])
    rows = np.reshape(struct.unpack(order + "12f", head[280:328]), (3, 4))[:, :3]
    start = int(offset) if math.isfinite(offset) and 0 <= offset < 2**31 else 0
    return Header(
        order, axes, datatype, bits, pixdim[1 : 1 + min(3, len(axes))], start, rows if sform_code > 0 else None
    )


def _zipped(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _opened(path: Path) -> gzip.GzipFile:
    return gzip.open(path, "rb") if _zipped(path) else path.open("rb")  # type: ignore[return-value]


def _unpacked_length(path: Path, wanted: int) -> int:
    """From the gzip trailer, which is cheap; by unpacking where the trailer disagrees (several members, or cut off)."""
    with path.open("rb") as file:
        file.seek(-4, 2)
        if struct.unpack("<I", file.read(4))[0] == wanted % 2**32:
            return wanted
    held = 0
    try:
        with gzip.open(path, "rb") as file:
            while part := file.read(1 << 24):
                held += len(part)
    except (OSError, EOFError, zlib.error):
        return min(held, wanted - 1)
    return held
