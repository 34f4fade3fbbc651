"""`liverseg sample`: the synthetic abdomen and its truth, as files; as a scan, or as echoes of known fat and iron."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .. import multiecho_synthetic
from ..fat.spectra import DEFAULT, spectrum_named
from ..geometry import Grid, as_image
from ..multiecho_synthetic import Liver, Truth, scanned, train_named, truth_of
from ..output import check_output, written_whole
from ..records import SYNTHETIC_NOTE, MultiEcho
from ..synthetic import GRID, SOURCE, abdomen, truth_rows
from .events import Terminal

_TRAIN, _SNR, _SLICE_MM = "3t", 50.0, 6.0
_LIVER = Liver(pdff=12.0, r2star=60.0, pdff_sd=3.0, r2star_sd=8.0, left_minus_right=-2.0)


def run(options: argparse.Namespace, terminal: Terminal) -> Path:
    check_output(options.out, overwrite=options.overwrite)
    if options.kind == "multiecho":
        return _run_multiecho(options, terminal)
    with written_whole(options.out) as folder:
        volumes = write_sample("ct" if options.kind == "ct" else options.contrast, folder)
    terminal.say(f"{options.out / 'image.nii.gz'}: {SOURCE}, liver {volumes['liver']:.0f} ml")
    return Path(options.out)


def _run_multiecho(options: argparse.Namespace, terminal: Terminal) -> Path:
    with written_whole(options.out) as folder:
        facts = write_multiecho(folder)
    out = Path(options.out)
    terminal.say(
        f"{out / 'magnitude.nii.gz'}: {facts['what']}, liver PDFF {facts['pdff_mean']} %, R2* {facts['r2star_mean']} 1/s"
    )
    return out


def write_multiecho(folder: Path, grid: Grid = GRID) -> dict[str, object]:
    """magnitude.nii.gz and phase.nii.gz (4-D, side-cars beside them), labels.nii.gz, the maps that they were made of as
    pdff_truth.nii.gz and r2star_truth.nii.gz, and truth.json: protocol, and the means over voxels that are all liver."""
    train = train_named(_TRAIN)
    scan, labels, _ = abdomen("ct", grid=grid, noise=0.0)
    truth = truth_of(scan, labels, grid.respaced((None, None, _SLICE_MM)), _LIVER, field_t=train.field_t)
    echoes = scanned(truth, train, spectrum_named(DEFAULT), snr=_SNR)
    assert echoes.phase_rad is not None
    save_echoes(echoes.magnitude, echoes, folder / "magnitude.nii.gz")
    save_echoes(echoes.phase_rad, echoes, folder / "phase.nii.gz")
    for name, values in {"labels": truth.labels.voxels, "pdff_truth": truth.pdff, "r2star_truth": truth.r2star}.items():
        _save(values if values.dtype == np.uint8 else values.astype(np.float32), echoes.grid, folder / f"{name}.nii.gz")
    facts = {
        "what": multiecho_synthetic.SOURCE,
        "phase": "mr_multiecho",
        "spectrum": DEFAULT,
        "snr": _SNR,
        **_told(echoes, truth),
    }
    (folder / "truth.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return facts


def save_echoes(voxels: np.ndarray, echoes: MultiEcho, path: Path, note: str = SYNTHETIC_NOTE) -> None:
    """A 4-D file [n, k, j, i], marked with the `note` (79 letters), and its BIDS side-car, which speaks in seconds."""
    image = sitk.JoinSeries([as_image(volume, echoes.grid) for volume in voxels])
    image.SetMetaData("ITK_FileNotes", note)
    sitk.WriteImage(image, str(path), useCompression=True)
    car = {"EchoTime": [round(t / 1000, 6) for t in echoes.te_ms], "MagneticFieldStrength": echoes.field_t}
    if echoes.tr_ms is not None:
        car |= {"RepetitionTime": echoes.tr_ms / 1000, "FlipAngle": echoes.flip_deg}
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(car) + "\n", encoding="utf-8")


def _save(voxels: np.ndarray, grid: Grid, path: Path) -> None:
    sitk.WriteImage(as_image(voxels, grid), str(path), useCompression=True)


def _told(echoes: MultiEcho, truth: Truth) -> dict[str, object]:
    values = {"pdff": truth.pdff[truth.pure], "r2star": truth.r2star[truth.pure]}
    means = {f"{name}_mean": round(float(held.mean()), 3) for name, held in values.items()}
    medians = {f"{name}_median": round(float(np.median(held)), 3) for name, held in values.items()}
    return {
        "echo_times_ms": list(echoes.te_ms),
        "field_t": echoes.field_t,
        **means,
        **medians,
        "voxels": int(truth.pure.sum()),
    }


def write_sample(contrast: str, folder: Path) -> dict[str, float]:
    """image.nii.gz, labels.nii.gz and truth.json (phase, volumes in ml)."""
    scan, truth, volumes = abdomen(contrast)
    rows = truth_rows(volumes)
    image = as_image(scan.voxels, scan.grid)
    image.SetMetaData("ITK_FileNotes", SYNTHETIC_NOTE)
    sitk.WriteImage(image, str(folder / "image.nii.gz"), useCompression=True)
    sitk.WriteImage(as_image(truth.voxels, truth.grid), str(folder / "labels.nii.gz"), useCompression=True)
    facts = {"what": SOURCE, "phase": scan.phase, "volumes_ml": rows}
    (folder / "truth.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return rows
