"""`liverseg sample`: the synthetic abdomen and its truth, as files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import SimpleITK as sitk

from ..geometry import as_image
from ..output import check_output, written_whole
from ..records import SYNTHETIC_NOTE
from ..synthetic import SOURCE, abdomen, truth_rows
from .events import Terminal


def run(options: argparse.Namespace, terminal: Terminal) -> Path:
    check_output(options.out, overwrite=options.overwrite)
    with written_whole(options.out) as folder:
        volumes = write_sample("ct" if options.kind == "ct" else options.contrast, folder)
    terminal.say(f"{options.out / 'image.nii.gz'}: {SOURCE}, liver {volumes['liver']:.0f} ml")
    return Path(options.out)


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
