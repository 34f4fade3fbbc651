"""Echoes of known fat and iron as nodes of a scene, and the files of the worker as a test makes them up."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import slicer
import slicer.util
from dicom_files import write_series
from liverseg_core.fat.spectra import DEFAULT, spectrum_named
from liverseg_core.geometry import Grid, as_image, grid_of
from liverseg_core.multiecho_synthetic import Liver, scanned, train_named, truth_of
from liverseg_core.records import MultiEcho, Scan
from liverseg_core.synthetic import abdomen
from slicer_module.lab import volumes
from slicer_module.panel_desk import SMALL

PDFF, R2STAR = 12.0, 60.0
_SLICES = slice(9, 14)


def small_echoes() -> tuple[MultiEcho, np.ndarray]:
    """What `liverseg sample multiecho` makes, on few voxels; and where its liver is [k, j, i]."""
    return echoes_on(SMALL, 12.0)


@cache
def echoes_on(grid: Grid, slice_mm: float) -> tuple[MultiEcho, np.ndarray]:
    train = train_named("3t")
    scan, labels, _volumes = abdomen("ct", grid=grid, noise=0.0)
    truth = truth_of(
        scan,
        labels,
        grid.respaced((None, None, slice_mm)),
        Liver(PDFF, R2STAR, 3.0, 8.0, left_minus_right=-2.0),
        field_t=train.field_t,
    )
    return scanned(truth, train, spectrum_named(DEFAULT), snr=50.0), truth.labels.voxels == 1


def echo_nodes(count: int = 6) -> list[Any]:
    """A volume an echo, as Slicer's DICOM reader leaves them; nothing says their times."""
    echoes, _liver = small_echoes()
    scans = [Scan(1000 * voxels, echoes.grid, "mr_multiecho", "synthetic") for voxels in echoes.magnitude[:count]]
    return [volumes.volume_node(scan, f"mag echo {n}", np.float32) for n, scan in enumerate(scans, start=1)]


def sequence(
    name: str,
    count: int = 6,
    *,
    phase: bool = False,
    times: bool = True,
    shown: bool = True,
    of: Callable[[], tuple[MultiEcho, np.ndarray]] = small_echoes,
) -> Any:
    """The echoes as one sequence, ordered by their times where those are known, with a node that shows it."""
    echoes, _liver = of()
    node = slicer.vtkMRMLSequenceNode()
    node.SetName(name)
    node.SetIndexName("EchoTime" if times else "frame")
    node.SetIndexUnit("ms" if times else "")
    for n in range(count):
        voxels = echoes.phase_rad[n] if phase and echoes.phase_rad is not None else 1000 * echoes.magnitude[n]
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetName(f"{name} {n}")
        volume.SetIJKToRASMatrix(volumes.ras_matrix(echoes.grid))
        slicer.util.updateVolumeFromArray(volume, voxels.astype(np.float32))
        node.SetDataNodeAtValue(volume, f"{echoes.te_ms[n]:g}" if times else str(n))
    slicer.mrmlScene.AddNode(node)
    if shown:
        browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
        browser.SetAndObserveMasterSequenceNodeID(node.GetID())
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return node


def dicom_folder(folder: Path, count: int = 6) -> Any:
    """The echoes as DICOM files, magnitudes alone, in some slices through the liver; the liver there as a segmentation."""
    echoes, liver = small_echoes()
    width, height, _slices = echoes.grid.size
    grid = echoes.grid.cropped((0, 0, _SLICES.start), (width, height, _SLICES.stop - _SLICES.start))
    for n, te_ms in enumerate(echoes.te_ms[:count]):
        stored = np.round(2000 * echoes.magnitude[n, _SLICES]).astype(np.uint16)
        write_series(
            folder, stored, grid, modality="MR", name=lambda k, n=n: f"{n}-{k}", SeriesInstanceUID="1.2.3", EchoTime=te_ms,
            MagneticFieldStrength=3.0, RepetitionTime=8.5, FlipAngle=3.0,
        )  # fmt: skip
    place = volumes.volume_node(Scan(echoes.magnitude[0, _SLICES], grid, "mr_multiecho", "synthetic"), "drawn on")
    return volumes.segmentation_node(place, {"Liver": liver[_SLICES]}, "drawn liver")


def liver_of(volume: Any, of: Callable[[], tuple[MultiEcho, np.ndarray]] = small_echoes) -> Any:
    return volumes.segmentation_node(volume, {"Liver": of()[1]}, "drawn liver")


ROWS = [
    {"structure": "liver", "quantity": f"{kind}_{name}", "value": value, "unit": unit, "reason": "", "definition": ""}
    for kind, unit, values in (("pdff", "%", (12.0, 12.1, 3.2, 17.4)), ("r2star", "1/s", (59.9, 60.1, 10.8, 78.3)))
    for name, value in zip(("median", "mean", "sd", "p95"), values)
]


def write_results(
    out: Path, scan: Path, rows: list[dict[str, Any]] | None = None, *, maps: tuple[str, ...] = ("pdff", "r2star")
) -> np.ndarray:
    """What the worker leaves of the echo in `scan`: PDFF counts the voxels, R2* is ten times that. Returns PDFF [k, j, i]."""
    out.mkdir(parents=True)
    grid = grid_of(sitk.ReadImage(str(scan)))
    values = np.arange(np.prod(grid.array_shape), dtype=np.float32).reshape(grid.array_shape) / 100
    measured = np.zeros(grid.array_shape, np.uint8)
    measured[2:5, 3:9, 4:12] = 1
    if maps:
        images = {"pdff": values, "ff": values, "r2star": 10 * values, "water": values, "measured": measured}
        for name, image in images.items():
            if not maps or (name in ("pdff", "ff", "r2star") and name not in maps):
                continue
            sitk.WriteImage(as_image(image, grid), str(out / f"{name}.nii.gz"))
    histograms = {
        "pdff": {"edges": [-1, 0, 1, 2, 3], "counts": [0, 5, 7, 0]},
        "r2star": {"edges": [0, 5], "counts": [3]},
        "ff": {"edges": [0, 1, 2], "counts": [4, 6]},
    }
    report = {
        "version": "0", "device": "cpu", "measurements": ROWS if rows is None else rows, "warnings": [],
        "model": {"name": "x", "sha256": "", "licence": ""}, "phase": {"used": "mr_multiecho", "how": "given"},
        "fat": {"histograms": {name: histograms[name] for name in maps}},
    }  # fmt: skip
    (out / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return values
