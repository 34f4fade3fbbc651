"""NIfTI, NRRD and MetaImage -> the echoes of one kind: a 4-D file, or one file an echo, with BIDS side-cars where they lie."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ...errors import InputError
from ...geometry import Grid, grid_of
from ...memory import demand_memory
from ...records import SYNTHETIC, SYNTHETIC_NOTE, Notice
from .. import files, nifti
from .parts import Part, field_t_of

_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_LONGEST_S = 0.2  # an echo time that is larger is not in seconds


def read_images(paths: Sequence[Path]) -> Part:
    """The volumes of all files, one after the other. InputError where they differ in size or place."""
    volumes: list[np.ndarray] = []
    grids: list[Grid] = []
    cars = [side_car(path) for path in paths]
    notices: list[Notice] = []
    for path in paths:
        voxels, grid, synthetic = _volumes(path)
        if grids and not grid.matches(grids[0], tolerance_mm=0.05):
            one, other = grids[0].size_text, grid.size_text
            raise InputError(
                f"the echoes differ in size or place: {paths[0]} ({one}) and {path} ({other}); expected one grid"
            )
        volumes.append(voxels)
        grids.append(grid)
        notices += [SYNTHETIC] if synthetic and SYNTHETIC not in notices else []
    te_ms, about_times = _echo_times_ms(cars, [len(v) for v in volumes], paths)
    return Part(
        np.concatenate(volumes), grids[0], te_ms,
        field_t_of(_numbers(cars, "ImagingFrequency"), _numbers(cars, "MagneticFieldStrength"), str(paths[0])),
        _milliseconds(_one(cars, "RepetitionTimeExcitation", "RepetitionTime")), _one(cars, "FlipAngle"),
        (*notices, *about_times),
    )  # fmt: skip


def side_car(path: Path) -> Mapping[str, Any]:
    """The BIDS record beside an image; empty where there is none."""
    suffix = next((s for s in _SUFFIXES if path.name.lower().endswith(s)), "")
    beside = path.with_name(f"{path.name[: len(path.name) - len(suffix)]}.json")
    if not suffix or not beside.is_file():
        return {}
    try:
        content = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise InputError(f"{beside} is no JSON ({problem}); correct it, or remove it") from None
    if not isinstance(content, dict):
        raise InputError(f"{beside} holds no record; expected keys such as EchoTime")
    return content


def _volumes(path: Path) -> tuple[np.ndarray, Grid, bool]:
    """[n, k, j, i] of one file, NaN where it says so, and whether it calls itself synthetic."""
    first = files.read_image(path, 0)
    files.voxels_of(first, path)  # refuses colours and complex numbers
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size = reader.GetSize()
    if len(size) == 4:
        demand_memory(8.0 * float(np.prod(size)), f"{path}, {' x '.join(map(str, size))} voxels,")
    voxels = sitk.GetArrayFromImage(reader.Execute())
    voxels = voxels if voxels.ndim == 4 else voxels[None]
    if voxels.dtype.kind == "f" and path.name.lower().endswith((".nii", ".nii.gz")):
        lost = nifti.not_finite(path, voxels.shape, 0)
        if lost is not None and lost.any():
            voxels[lost] = np.nan
    return voxels, grid_of(first), files.note_of(first) == SYNTHETIC_NOTE


def _echo_times_ms(
    cars: Sequence[Mapping[str, Any]], counts: Sequence[int], paths: Sequence[Path]
) -> tuple[tuple[float, ...] | None, tuple[Notice, ...]]:
    """From the side-cars, where each says one time an echo; in seconds there, and in milliseconds by mistake."""
    times: list[float] = []
    for car, count, path in zip(cars, counts, paths):
        said = car.get("EchoTime")
        own = _as_numbers(said if isinstance(said, list) else [said])
        if not own:
            return None, ()
        if len(own) != count:
            raise InputError(f"the side-car of {path} has {len(own)} echo times for {count} echoes; expected {count}")
        times += own
    if max(times) < _LONGEST_S:
        return tuple(round(1000.0 * t, 6) for t in times), ()
    text = f"The side-car says echo times of {min(times):g} to {max(times):g} s: they were taken for milliseconds."
    return tuple(times), (Notice("echo_times_unit", text),)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1000.0 * seconds


def _one(cars: Sequence[Mapping[str, Any]], *names: str) -> float | None:
    return next((values[0] for name in names if (values := _numbers(cars, name))), None)


def _numbers(cars: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return _as_numbers([car.get(name) for car in cars])


def _as_numbers(values: Sequence[Any]) -> list[float]:
    return [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool) and np.isfinite(v)]
