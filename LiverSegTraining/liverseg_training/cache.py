"""Case -> CachedCase: `prepare`'s first step done once, memory-mapped, keyed by what it was made from."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from liverseg_core.errors import InputError
from liverseg_core.geometry import Grid, resampled
from liverseg_core.labels import LESION
from liverseg_core.model_card import Stage, last_echo
from liverseg_core.preparation import lay, region_of, stage_grid
from liverseg_core.reading.echoes import read_echoes
from liverseg_core.records import LabelMask, Scan

from .cases import Case
from .lesions import stray_lesions
from .organ import organ_codes
from .sections import Preprocess

_RECIPE = "4"  # raised when laying changes, so that old caches are not taken for new ones
_OUTSIDE = -1e-6
_PARTS = ("image.npy", "labels.npy", "json", "others.npy")


@dataclass(frozen=True, eq=False)
class CachedCase:
    """A case on the stage's lattice: all of it, or the body where the stage crops to the body. `labels` holds every code
    of the reference, merged codes applied."""

    case: Case
    image: np.ndarray  # float16 [k, j, i]
    labels: np.ndarray  # uint8 [k, j, i]
    spacing_mm: tuple[float, float, float]
    first: np.ndarray  # where the scan has data: first and one past the last voxel, (k, j, i)
    last: np.ndarray
    digest: str  # of the image's voxels
    others: tuple[np.ndarray | None, ...] = ()  # later echoes that channels ask for; None: there is none

    @property
    def modality(self) -> str:
        return self.case.modality

    @property
    def volumes(self) -> tuple[np.ndarray | None, ...]:
        """The image and the others: as many as the channels of the stage ask for."""
        return (self.image, *self.others)


def cached(case: Case, stage: Stage, preprocess: Preprocess, merge: Mapping[str, int], folder: Path) -> CachedCase:
    """Open the cache of one case, and make it first where it is missing."""
    stem = folder / f"{case.id}-{_key(case, stage, preprocess, merge)}"
    image, labels, facts, others = (stem.with_name(f"{stem.name}.{part}") for part in _PARTS)
    if not facts.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _make(case, stage, preprocess, merge, (image, labels, facts, others))
    told = json.loads(facts.read_text(encoding="utf-8"))
    first, last = np.array(told["first"], float), np.array(told["last"], float)
    kept = [*np.load(others, mmap_mode="r")] if others.exists() else []
    absent = last_echo(stage.channels) - 1 - len(kept)
    _demand_echoes(case, 1 + len(kept), stage)
    return CachedCase(
        case, np.load(image, mmap_mode="r"), np.load(labels, mmap_mode="r"), tuple(told["spacing_mm"]), first, last,
        told["digest"], (*kept, *[None] * absent),
    )  # fmt: skip


def _make(
    case: Case, stage: Stage, preprocess: Preprocess, merge: Mapping[str, int], files: tuple[Path, Path, Path, Path]
) -> None:
    scan, mask = case.read()
    _refuse_unfit(case, scan, mask, stage, merge)
    voxels = mask.voxels.copy()
    for code, into in merge.items():
        voxels[voxels == int(code)] = into
    region = _region(scan, stage, preprocess)
    image = lay(scan, region).astype(np.float16)
    first, last = _held(region, scan.grid)
    facts = {
        "spacing_mm": region.spacing_mm, "first": first.tolist(), "last": last.tolist(),
        "digest": hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest(),
    }  # fmt: skip
    _write(files[0], image)
    _write(files[1], _labels_on(voxels, mask.grid, region))
    others = later_echoes(case, scan, stage)
    if others:
        _write(files[3], np.stack([lay(echo, region).astype(np.float16) for echo in others]))
    _write(files[2], facts)  # last: its presence says that the others are whole


def later_echoes(case: Case, scan: Scan, *stages: Stage) -> list[Scan]:
    """The echoes after the first that the stages ask for, as far as the case has them; InputError where one is missing
    that they cannot do without."""
    wanted = max(last_echo(stage.channels) for stage in stages)
    if wanted == 1:
        return []
    echoes = read_echoes([case.echoes]) if case.echoes is not None else None
    count = len(echoes.te_ms) if echoes is not None else 1
    _demand_echoes(case, count, *stages)
    if echoes is None:
        return []
    if not echoes.grid.matches(scan.grid, tolerance_mm=0.1):
        raise InputError(f"{case.id}: image {scan.grid.size} and echoes {echoes.grid.size} do not lie on the same grid")
    return [echoes.echo(n) for n in range(1, min(count, wanted))]


def _demand_echoes(case: Case, count: int, *stages: Stage) -> None:
    needed = max(last_echo(set(stage.channels) - set(stage.optional)) for stage in stages)
    if count < needed:
        raise InputError(
            f"{case.id} has {count} of the {needed} echoes that the channels ask for; leave it out, or train with "
            "augment.echo_dropout, which makes later echoes optional"
        )


def _refuse_unfit(case: Case, scan: Scan, mask: LabelMask, stage: Stage, merge: Mapping[str, int]) -> None:
    """InputError for a case that would teach something wrong."""
    if not mask.grid.matches(scan.grid, tolerance_mm=0.1):
        raise InputError(f"{case.id}: image {scan.grid.size} and labels {mask.grid.size} do not lie on the same grid")
    for notice in scan.notices:
        if notice.code == "identity_affine":
            raise InputError(f"{case.id}: {notice.text} Leave it out: split.exclude = [{case.id!r}]")
        if notice.code == "nan_voxels":
            raise InputError(
                f"{case.id}: {notice.text[:-1]} in use, but do not train; repair or leave out {case.image}"
            )
    codes = {int(code) for code in np.unique(mask.voxels)} - {0}
    if LESION in stage.labels and (stray := stray_lesions(mask.voxels)):
        ml = sum(stray) * mask.grid.voxel_ml
        raise InputError(
            f"{case.id}: {len(stray)} lesions of the reference ({ml:.1f} ml) touch no liver; correct it, or leave it out"
        )
    if not {int(merge.get(str(code), code)) for code in codes} & set(organ_codes(stage)):
        raise InputError(f"{case.id}: the reference holds none of the codes {list(stage.labels)}; leave the case out")


def _region(scan: Scan, stage: Stage, preprocess: Preprocess) -> Grid:
    """What is kept of a case: what `prepare` would crop to, or the whole lattice where it waits for a stage before."""
    lattice = stage_grid(scan.grid, stage)
    if preprocess.zoom:
        lattice = lattice.respaced([s / z for s, z in zip(lattice.spacing_mm, preprocess.zoom)])
    if preprocess.resize:
        wanted = (*preprocess.resize[::-1], lattice.size[2])
        lattice = lattice.respaced([s * n / w for s, n, w in zip(lattice.spacing_mm, lattice.size, wanted)])
    return region_of(lattice, scan, stage, None) if stage.crop == "body" else lattice


def _held(region: Grid, scan_grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last voxel (k, j, i) of the region where the scan has data."""
    index = region.index_of(scan_grid.corners_mm())[:, ::-1]
    first, last = np.ceil(index.min(axis=0) + _OUTSIDE), np.floor(index.max(axis=0) - _OUTSIDE) + 1
    shape = np.asarray(region.array_shape)
    return np.clip(first, 0, shape), np.clip(last, 0, shape)


def _labels_on(voxels: np.ndarray, grid: Grid, lattice: Grid) -> np.ndarray:
    """Each voxel's likeliest code: linear interpolation of every code's membership, then the winner."""
    best = np.full(lattice.array_shape, 0.5, np.float32)
    best = np.minimum(best, resampled((voxels == 0).astype(np.uint8), grid, lattice, outside=1.0))
    out = np.zeros(lattice.array_shape, np.uint8)
    for code in np.unique(voxels[voxels > 0]):
        share = resampled((voxels == code).astype(np.uint8), grid, lattice)
        out[share > best] = code
        np.maximum(best, share, out=best)
    return out


def _key(case: Case, stage: Stage, preprocess: Preprocess, merge: Mapping[str, int]) -> str:
    crop = (stage.crop, stage.margin_mm, stage.snap, stage.window) if stage.crop == "body" else ()
    made = (stage.spacing_mm, stage.dims, sorted(merge.items()), case.phase, preprocess.resize, preprocess.zoom, crop)
    digest = hashlib.sha256(f"{_RECIPE}|{made}".encode())
    if case.reader is not None:
        digest.update(case.reader.recipe.encode())
    files = [*case.files()]
    if last_echo(stage.channels) > 1 and case.echoes is not None:
        digest.update(f"{last_echo(stage.channels)} echoes".encode())
        files.append(case.echoes)
    for path in files:
        try:
            digest.update(path.read_bytes())
        except OSError as problem:
            raise InputError(
                f"{case.id}: {path} cannot be read ({problem.strerror}); a case needs image and labels"
            ) from None
    return digest.hexdigest()[:16]


def _write(path: Path, content: np.ndarray | Mapping[str, object]) -> None:
    """Beside, then renamed: a file that exists is whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            if isinstance(content, np.ndarray):
                np.save(file, content)
            else:
                file.write(json.dumps(content).encode())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
