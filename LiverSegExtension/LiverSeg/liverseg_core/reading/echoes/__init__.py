"""Disk -> MultiEcho: the echoes of one acquisition, sorted by time, on one grid, their phases in radians.

images.py reads NIfTI and its like, with BIDS side-cars; scanner.py reads DICOM, where vendors.py says what each plane is
and acquisition.py which planes belong together; radians.py finds the unit of a phase, checks.py what is wrong with the voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...records import MultiEcho, Notice
from .. import _readable, dicom, geometry_notices
from .checks import usable
from .images import read_images
from .parts import Part, Told
from .radians import as_radians
from .scanner import read_scanner

__all__ = ["Told", "read_echoes"]

_NO_PHASE = Notice("phase_missing", "There are no phase images: the magnitudes alone tell fat from water.")
_SAME_GRID_MM = 0.05
_SAME_FIELD = 0.05  # relative: a scanner called 3 T works at 2.89


def read_echoes(paths: Sequence[Path], phase_paths: Sequence[Path] = (), told: Told | None = None) -> MultiEcho:
    """Echoes from a 4-D file, from one file an echo, or from DICOM folders that hold one multi-echo acquisition.

    What the user has `told` counts more than tags and side-cars. Raises InputError for what cannot be used; what was
    converted or left out is a notice.
    """
    told = told or Told()
    if not paths:
        raise InputError("no echoes were named; expected a 4-D file, one file an echo, or a DICOM folder")
    with _readable(paths[0]):
        for path in (*paths, *phase_paths):
            if not path.exists():
                raise InputError(f"{path} does not exist; expected echoes (NIfTI, NRRD, MetaImage) or a DICOM folder")
        if len({_is_dicom(path) for path in (*paths, *phase_paths)}) > 1:
            raise InputError("some of the echoes are DICOM and some are image files; expected all of one kind")
        if _is_dicom(paths[0]):
            told = replace(told, te_ms=tuple(sorted(told.te_ms)))  # the order of files says nothing there
            magnitude, phase = read_scanner(paths, phase_paths, told.te_ms)
        else:
            magnitude = read_images(paths)
            phase = read_images(phase_paths) if phase_paths else None
    return _joined(magnitude, phase, told, str(paths[0]))


def _is_dicom(path: Path) -> bool:
    return path.is_dir() or dicom.is_dicom(path)


def _joined(magnitude: Part, phase: Part | None, told: Told, source: str) -> MultiEcho:
    count = len(magnitude.voxels)
    if count < 2:
        raise InputError(f"{source} holds one echo; expected two at least, better six, of one acquisition")
    te_ms, about_times = _times(magnitude, told, source)
    phase = None if phase is None else _beside(phase, magnitude, te_ms, source)
    order = np.argsort(te_ms, kind="stable")
    voxels, about_voxels = usable(magnitude.voxels[order], source)
    radians, about_phase = _radians(phase, order, source)
    if any(notice.code == "phase_unusable" for notice in magnitude.notices):  # there were some: that was said
        about_phase = ()
    notices = (*magnitude.notices, *about_times, *about_voxels, *about_phase, *geometry_notices(magnitude.grid))
    return MultiEcho(
        magnitude=voxels,
        phase_rad=radians,
        te_ms=tuple(float(te_ms[n]) for n in order),
        field_t=_field_t(magnitude, told, source),
        tr_ms=magnitude.tr_ms if told.tr_ms is None else told.tr_ms,
        flip_deg=magnitude.flip_deg if told.flip_deg is None else told.flip_deg,
        grid=magnitude.grid,
        source=source,
        notices=tuple(dict.fromkeys(notices)),
    )


def _times(magnitude: Part, told: Told, source: str) -> tuple[np.ndarray, tuple[Notice, ...]]:
    """In ms, one an echo, as the files follow each other."""
    count = len(magnitude.voxels)
    if not told.te_ms:
        if magnitude.te_ms is None:
            raise InputError(
                f"nothing says the echo times of {source}; give them with --echo-times-ms, such as 1.15,2.1,3.05"
            )
        return _all_different(np.array(magnitude.te_ms), source), ()
    if len(told.te_ms) != count:
        raise InputError(
            f"{len(told.te_ms)} echo times were given for the {count} echoes of {source}; expected {count}"
        )
    given = _all_different(np.array(told.te_ms), source)
    if magnitude.te_ms is None or np.allclose(given, magnitude.te_ms, atol=0.06):
        return given, ()
    own = ", ".join(f"{t:g}" for t in magnitude.te_ms)
    return given, (Notice("echo_times_given", f"The echo times given were used; the files say {own} ms."),)


def _all_different(te_ms: np.ndarray, source: str) -> np.ndarray:
    if len(np.unique(te_ms)) < len(te_ms):
        times = ", ".join(f"{t:g}" for t in te_ms)
        raise InputError(f"two echoes of {source} share a time ({times} ms); expected all different: --echo-times-ms")
    return te_ms


def _beside(phase: Part, magnitude: Part, te_ms: np.ndarray, source: str) -> Part:
    """The phases in the order of the magnitudes; InputError where they are not of the same echoes."""
    if phase.voxels.shape != magnitude.voxels.shape:
        one, other = (
            f"{len(p.voxels)} echoes of {' x '.join(map(str, p.voxels.shape[:0:-1]))}" for p in (phase, magnitude)
        )
        raise InputError(f"the phase images ({one}) are not those of {source} ({other}); expected one phase an echo")
    if not phase.grid.matches(magnitude.grid, tolerance_mm=_SAME_GRID_MM):
        raise InputError(f"the phase images lie in another place than {source}; expected them on its grid")
    if phase.te_ms is None:
        return phase
    order = np.abs(np.subtract.outer(te_ms, phase.te_ms)).argmin(axis=1)
    if len(np.unique(order)) < len(order):
        raise InputError(f"the echo times of the phase images are not those of {source}; expected one phase an echo")
    return replace(phase, voxels=phase.voxels[order])


def _radians(phase: Part | None, order: np.ndarray, source: str) -> tuple[np.ndarray | None, tuple[Notice, ...]]:
    if phase is None:
        return None, (_NO_PHASE,)
    radians, notices = as_radians(phase.voxels[order], source)
    return radians, (*phase.notices, *notices)


def _field_t(magnitude: Part, told: Told, source: str) -> float:
    if told.field_t is None and magnitude.field_t is None:
        raise InputError(f"nothing says the field strength of {source}; give it with --field-t, such as 1.5 or 3")
    if told.field_t is None or magnitude.field_t is None:
        return float(told.field_t or magnitude.field_t or 0.0)
    if abs(told.field_t / magnitude.field_t - 1) > _SAME_FIELD:
        raise InputError(
            f"--field-t {told.field_t:g} contradicts {source}, which says {magnitude.field_t:.4g} T; leave it out, or "
            "correct one of them"
        )
    return told.field_t
