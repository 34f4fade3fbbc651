"""Scans whose right answer is a formula, a model of known answer, and the family of grids."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from liverseg_core.geometry import Grid, as_image
from liverseg_core.model_card import ModelCard, Stage
from liverseg_core.models import Model, empty_network, save_model
from liverseg_core.records import Scan

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
OBLIQUE = tuple(np.linalg.qr(np.array([[0.9, -0.3, 0.2], [0.3, 0.9, -0.1], [-0.2, 0.2, 0.95]]))[0].ravel())
GRIDS = {
    "plain": Grid((48, 40, 32), (2.0, 2.0, 2.0)),
    "thick slices": Grid((80, 72, 20), (1.2, 1.2, 4.0), (-50.0, -40.0, 900.0)),
    "flipped": Grid((48, 40, 32), (2.0, 2.0, 2.0), (40.0, 30.0, -10.0), (-1, 0, 0, 0, -1, 0, 0, 0, 1)),
    "sagittal": Grid((40, 48, 32), (2.0, 2.0, 2.5), (0.0, 5.0, 10.0), (0, 0, -1, 1, 0, 0, 0, -1, 0)),
    "left-handed": Grid((40, 48, 32), (2.0, 2.0, 2.5), (0.0, 5.0, 10.0), (0, 0, 1, 1, 0, 0, 0, -1, 0)),
    "oblique": Grid((56, 48, 36), (1.6, 1.8, 2.4), (11.0, -7.0, 3.0), OBLIQUE),
    "single slice": Grid((64, 56, 1), (1.5, 1.5, 5.0), (0.0, 0.0, 50.0)),
}
RADII_MM = (28.0, 22.0, 20.0)
LIVER_HU, BODY_HU = 250.0, -100.0


def ellipsoid(grid: Grid, radii_mm: tuple[float, float, float] = RADII_MM) -> np.ndarray:
    """True inside an ellipsoid with patient-aligned axes, centred in the grid."""
    k, j, i = np.indices(grid.array_shape)
    index = np.stack([i, j, k], axis=-1) - (np.asarray(grid.size) - 1) / 2
    offset_mm = (index * grid.spacing_mm) @ grid.axes.T
    return ((offset_mm / radii_mm) ** 2).sum(axis=-1) <= 1.0


def ellipsoid_ml(radii_mm: tuple[float, float, float] = RADII_MM) -> float:
    return 4.0 / 3.0 * np.pi * float(np.prod(radii_mm)) / 1000.0


def bright_liver(grid: Grid) -> Scan:
    """A liver at 250 HU in a body at -100 HU: half-way between them `threshold` draws the border exactly."""
    voxels = np.where(ellipsoid(grid), LIVER_HU, BODY_HU).astype(np.float32)
    return Scan(voxels, grid, "ct_portal", "phantom", "made so")


def known_stage(**changes: object) -> Stage:
    """Brighter than the mean of liver and body is liver: a network whose answer is known."""
    stage = Stage(
        network="threshold", options={"levels": (0.25,)}, labels=(1,), window=(64, 64, 64), snap=(8, 8, 8),
        spacing_mm=(2.0, 2.0, 2.0), normalisation={"CT": "ct_fixed", "MR": "body_zscore"}, post={"1": ("largest",)},
    )  # fmt: skip
    return replace(stage, **changes)


def known_model(*stages: Stage) -> Model:
    card = ModelCard("known-answer", "1", stages or (known_stage(),), ("ct_portal", "ct_unknown", "mr_unknown"))
    return Model(card, tuple(empty_network(stage).eval() for stage in card.stages))


def saved_model(folder: Path, model: Model | None = None) -> Path:
    model = model or known_model()
    save_model(model.card, [network.state_dict() for network in model.networks], folder)
    return folder


def saved_scan(path: Path, scan: Scan) -> Path:
    sitk.WriteImage(as_image(scan.voxels, scan.grid), str(path))
    return path


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """DSC, written again so that a test does not trust what it tests."""
    return 2.0 * float((one & other).sum()) / float(one.sum() + other.sum())
