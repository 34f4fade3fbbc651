"""Cases with labels -> cases of multi-echo MR: echoes of drawn fat and iron on their anatomy, with the maps they were made of.

The signal is the core's own (`liverseg_core.multiecho_synthetic`); what is drawn here is the patient and the protocol.
PDFF in %, R2* in 1/s at 1.5 T unless said; even between the ends unless said.

* Liver: PDFF 0 to 40, mostly low (40 u^2, u even): half below 10, which spans the grades of Tang (6.4, 17.4, 22.1;
  PMC5124376) and ends where PDFF saturates (JHEP Rep 2023). R2* 25 to 400 at the scan's own field, mostly low
  (25 * 16^(u^2)): from the normal 28.7 +- 2.7 at 1.5 T (Sci Rep 2020, 74968) to the severe bands (225 at 1.5 T, 436 at
  3 T; PMC8528353). Both uneven: smooth patches, and a slope of the fat from right to left.
* Fat 90 to 95 (it reads 80 to 100 in use), spleen 0 to 1 and R2* to 120, where iron goes first. Every other row of
  RANGES is ours: typical, not measured on anyone. R2* at 3 T rises as the rows of the core's MATTERS do.
* The light and dark inside every tissue are the scan's own, as proton density; what no label names is what its HU say.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from liverseg_core.cli.sample import save_echoes
from liverseg_core.errors import InputError
from liverseg_core.fat.spectra import DEFAULT, spectrum_named
from liverseg_core.geometry import Grid, as_image, bounding_block
from liverseg_core.labels import LESION, LIVER
from liverseg_core.multiecho_synthetic import MATTERS, SOURCE, TRAINS, Body, Liver, Truth, scanned, truth_of
from liverseg_core.multiecho_synthetic.tissues import BONE, FAT, LEAN, LUNG
from liverseg_core.output import check_output, written_whole
from liverseg_core.records import LabelMask, MultiEcho, Scan

from .cases import ECHOES, Case, data_folder, list_cases
from .diary import say
from .splits import read_split

NOTE = "simulated multi-echo signal on a label map, not of a patient"
PREFIX = "sim_"
_TOP = 4095  # scanners store 12 bits


@dataclass(frozen=True)
class Range:
    """Ends of what is drawn for a tissue: PDFF in %, R2* in 1/s at 1.5 T."""

    pdff: tuple[float, float]
    rate: tuple[float, float]


_BLOOD = Range((0.0, 0.0), (5.0, 20.0))
_KIDNEY = Range((0.0, 2.0), (12.0, 30.0))
RANGES: Mapping[int, Range] = {
    FAT: Range((90.0, 95.0), (25.0, 50.0)),
    LEAN: Range((1.0, 8.0), (25.0, 40.0)),
    BONE: Range((30.0, 60.0), (70.0, 140.0)),
    LUNG: Range((0.0, 0.0), (300.0, 700.0)),
    LESION: Range((0.0, 4.0), (12.0, 30.0)),
    3: Range((0.0, 1.0), (15.0, 120.0)),
    4: _KIDNEY,
    5: _KIDNEY,
    6: Range((0.0, 0.0), (2.0, 10.0)),
    7: Range((0.0, 5.0), (3.0, 60.0)),
    8: _BLOOD,
    9: _BLOOD,
    10: _BLOOD,
    11: Range((2.0, 25.0), (18.0, 40.0)),
    12: Range((0.0, 6.0), (25.0, 40.0)),
    13: Range((2.0, 25.0), (20.0, 40.0)),
}
_SIGNAL_SD = 0.2  # of the log of a tissue's signal beside that of the liver, which stays 1
_PDFF, _RATE, _RATIO = 40.0, 25.0, 16.0  # of the liver: its most, its least, and the most over the least
_MOST = 50.0  # no liver's PDFF comes near to it
_TEXTURE = (0.1, 0.5)  # for 100 HU
_SNR = (15.0, 80.0)  # of the liver at echo time 0; log-even
_PIXEL_MM, _SLICE_MM = (1.5, 1.8, 2.1), (4.0, 6.0, 8.0, 10.0)
_BEYOND_MM = (10.0, 60.0)  # how far the scan goes on above and below the liver


@dataclass(frozen=True)
class Draw:
    """Everything that was drawn for one simulated scan."""

    train: str  # a key of TRAINS
    liver: Liver
    body: Body
    snr: float
    spacing_mm: tuple[float, float, float]
    beyond_mm: tuple[float, float]  # below and above the liver
    seed: int


def drawn(rng: np.random.Generator) -> Draw:
    """A patient and a protocol."""
    train = str(rng.choice(sorted(TRAINS)))
    pdff, rate = _PDFF * rng.random() ** 2, _RATE * _RATIO ** (rng.random() ** 2)
    uneven = pdff * (1.0 - pdff / _MOST)
    liver = Liver(
        pdff, rate, uneven * rng.uniform(0.0, 0.25), rate * rng.uniform(0.0, 0.2), rng.uniform(15.0, 60.0),
        uneven * rng.uniform(-0.3, 0.1),
    )  # fmt: skip
    pixel_mm, slice_mm = float(rng.choice(_PIXEL_MM)), float(rng.choice(_SLICE_MM))
    below_mm, above_mm = (float(mm) for mm in rng.uniform(*_BEYOND_MM, 2))
    return Draw(
        train, liver, drawn_body(rng), float(np.exp(rng.uniform(*np.log(_SNR)))), (pixel_mm, pixel_mm, slice_mm),
        (below_mm, above_mm), int(rng.integers(2**31)),
    )  # fmt: skip


def drawn_body(rng: np.random.Generator) -> Body:
    """A row for every tissue; both kidneys are alike."""
    matters = dict(MATTERS)
    for code, span in RANGES.items():
        row = MATTERS[code]
        pdff, rate = rng.uniform(*span.pdff), rng.uniform(*span.rate)
        signal = row.signal * np.exp(rng.normal(0.0, _SIGNAL_SD))
        matters[code] = replace(row, signal=float(signal), pdff=pdff, rates=(rate, rate * row.rates[1] / row.rates[0]))
    matters[5] = matters[4]
    return Body(matters, float(rng.uniform(*_TEXTURE)))


def simulate_files(
    data: str, include: Sequence[str], out: Path, *, seed: int = 0, each: int = 1, overwrite: bool = False
) -> int:
    """`simulate` for the cases of a data folder that match, without those that its split file keeps out of training."""
    folder = data_folder(data)
    check_output(out, overwrite=overwrite, inputs=(folder,))
    never = read_split(folder / "split.json")[1] if (folder / "split.json").exists() else set()
    return simulate([case for case in list_cases(folder, include) if case.id not in never], out, seed=seed, each=each)


def simulate(cases: Sequence[Case], out: Path, *, seed: int = 0, each: int = 1) -> int:
    """Write `each` simulated scans of every case that holds a liver into OUT/cases, whole or not at all; how many."""
    able = [case for case in cases if LIVER in case.annotated]
    if not able or each < 1:
        raise InputError(f"{len(able)} cases with a liver, {each} scans of each: expected one at least of both")
    with written_whole(out) as place:
        for case in able:
            scan, labels = case.read()
            for n in range(each):
                name = f"{PREFIX}{case.id}" + (f"_{n + 1}" if n else "")
                draw = drawn(np.random.default_rng((seed, zlib.crc32(case.id.encode()), n)))
                truth, echoes = made(scan, labels, draw)
                folder = place / "cases" / name
                folder.mkdir(parents=True)
                save_case(truth, echoes, {**_told(draw, truth), "id": name, "made_from": case.id,
                                          "patient": case.patient or case.id}, folder)  # fmt: skip
                say(f"{name}: {draw.train}, PDFF {draw.liver.pdff:.1f} %, R2* {draw.liver.r2star:.0f} 1/s")
    return len(able) * each


def made(scan: Scan, labels: LabelMask, draw: Draw) -> tuple[Truth, MultiEcho]:
    """The simulated scan of one draw, axial, over the liver and some way beyond."""
    train = TRAINS[draw.train]
    target = _covered(labels, draw)
    whole = labels.grid
    first, last = whole.overlap(target, 2.0 * max(draw.spacing_mm))
    near = whole.cropped(first, last - first)
    block = near.slices_in(whole)
    truth = truth_of(
        replace(scan, voxels=scan.voxels[block], grid=near), LabelMask(labels.voxels[block], near), target, draw.liver,
        field_t=train.field_t, seed=draw.seed, body=draw.body,
    )  # fmt: skip
    echoes = scanned(truth, train, spectrum_named(DEFAULT), snr=draw.snr, seed=draw.seed + 1)
    return truth, replace(echoes, notices=())


def save_case(truth: Truth, echoes: MultiEcho, facts: Mapping[str, object], folder: Path) -> None:
    """image.nii.gz (the first echo), echoes.nii.gz (4-D, its side-car beside it), labels.nii.gz, the maps of the truth,
    and meta.json."""
    stored = np.round(echoes.magnitude * (_TOP / echoes.magnitude.max())).astype(np.int16)
    save_echoes(stored, echoes, folder / ECHOES, note=NOTE)
    kept = {
        "image": stored[0], "labels": truth.labels.voxels, "pdff_truth": truth.pdff.astype(np.float32),
        "r2star_truth": truth.r2star.astype(np.float32),
    }  # fmt: skip
    for name, voxels in kept.items():
        image = as_image(voxels, echoes.grid)
        image.SetMetaData("ITK_FileNotes", NOTE)
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"), useCompression=True)
    codes, counts = np.unique(truth.labels.voxels[truth.labels.voxels > 0], return_counts=True)
    volumes = {str(code): round(float(n * echoes.grid.voxel_ml), 1) for code, n in zip(codes, counts)}
    meta = {
        "dataset": SOURCE, "simulated": True, "modality": "MR", "phase": "multi-echo",
        "terms": "those of the scan whose labels it was made from", **facts,
        "echo_times_ms": list(echoes.te_ms), "field_t": echoes.field_t, "tr_ms": echoes.tr_ms,
        "flip_deg": echoes.flip_deg, "labels_ml": volumes,
    }  # fmt: skip
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")


def _told(draw: Draw, truth: Truth) -> dict[str, object]:
    """What was drawn, and what the voxels that are all liver hold of it."""
    held = {"pdff": truth.pdff[truth.pure], "r2star": truth.r2star[truth.pure]}
    means = {f"liver_{name}_mean": round(float(values.mean()), 3) for name, values in held.items() if values.size}
    return {"train": draw.train, "spectrum": DEFAULT, "snr": round(draw.snr, 2), "seed": draw.seed, **means}


def _covered(labels: LabelMask, draw: Draw) -> Grid:
    """The grid of the simulated scan: all of the plane; along the body the liver and what was drawn beyond it; nowhere finer
    than the labels."""
    block = bounding_block(labels.voxels == LIVER, labels.grid)
    if block is None:
        raise InputError("the label map holds no liver (code 1); expected one to simulate")
    upright = labels.grid.canonical()
    first, last = upright.overlap(block)
    low, high = (round(mm / upright.spacing_mm[2]) for mm in draw.beyond_mm)
    begin, end = max(0, int(first[2]) - low), min(upright.size[2], int(last[2]) + high)
    spacing_mm = [max(own, asked) for own, asked in zip(upright.spacing_mm, draw.spacing_mm)]
    return upright.cropped((0, 0, begin), (*upright.size[:2], end - begin)).respaced(spacing_mm)
