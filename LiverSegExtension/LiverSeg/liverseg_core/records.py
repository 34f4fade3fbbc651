"""The states of one datum, in the order it passes through them.

Read this file first. Each room of the package turns one record into the next;
:mod:`liverseg_core.pipeline` walks through the rooms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .geometry import Grid

if TYPE_CHECKING:  # Slicer imports this file before torch is installed
    import torch


SYNTHETIC_NOTE = "synthetic abdomen, no patient"  # written into the header of a made-up scan, at most 79 letters


@dataclass(frozen=True)
class Notice:
    """Something the reader of a result must know: a code of CONTRACT and a sentence."""

    code: str
    text: str


SYNTHETIC = Notice("synthetic", "This scan is synthetic: shapes from formulas, no patient.")


@dataclass(frozen=True, eq=False)
class Scan:
    """A volume as acquired: raw intensities on the scanner's own grid, every voxel finite."""

    voxels: np.ndarray  # any real type, [k, j, i]
    grid: Grid
    phase: str  # a key of phases.PHASES
    source: str  # where it came from, for the report
    phase_how: str = ""  # who said so, in words
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, eq=False)
class MultiEcho:
    """The echoes of one gradient echo acquisition, the shortest first, all on one grid."""

    magnitude: np.ndarray  # float32 [n, k, j, i], any unit, the same for all echoes; zero where nothing was measured
    phase_rad: np.ndarray | None  # float32 [n, k, j, i], -pi to pi; None where there is none that can be used
    te_ms: tuple[float, ...]
    field_t: float  # from the imaging frequency where that is known
    tr_ms: float | None
    flip_deg: float | None
    grid: Grid
    source: str
    notices: tuple[Notice, ...] = ()

    def echo(self, i: int) -> Scan:
        """The magnitude of one echo, counted from 0."""
        how = f"echo {i + 1} of {len(self.te_ms)}, {self.te_ms[i]:g} ms"
        return Scan(self.magnitude[i], self.grid, "mr_multiecho", self.source, how, self.notices)


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """What the network sees: normalised, on the grid the stage asks for."""

    tensor: torch.Tensor  # float32 [1, channel, k, j, i]
    grid: Grid


@dataclass(frozen=True, eq=False)
class Logits:
    """What the network says, still on the prepared grid; channel 0 is the background."""

    tensor: torch.Tensor  # float32 [1 + labels, k, j, i]
    grid: Grid
    labels: tuple[int, ...]  # the code of channel 1, 2, ...
    apart: torch.Tensor | None = None  # of several networks: how far they are apart, float32 [k, j, i] from 0 to 1


@dataclass(frozen=True, eq=False)
class LabelMask:
    """One code of labels.LABELS per voxel."""

    voxels: np.ndarray  # uint8 [k, j, i]
    grid: Grid


@dataclass(frozen=True, eq=False)
class Segment:
    """One named structure: the voxels of one or several codes of a mask."""

    key: str  # "liver", "liver_parenchyma", "lesion", "lesion_1", "spleen", ...
    name: str
    mask: np.ndarray  # bool [k, j, i]
    grid: Grid


@dataclass(frozen=True)
class Measurement:
    """One number about one segment. Undefined is NaN, and then `reason` says why; otherwise it may hold a remark."""

    structure: str
    quantity: str
    value: float
    unit: str
    reason: str = ""
    definition: str = ""  # formula, source, and when it is undefined: for a tooltip


@dataclass(frozen=True)
class ScanFacts:
    """What a report says about the scan."""

    path: str
    size: tuple[int, int, int]  # (i, j, k)
    spacing_mm: tuple[float, float, float]

    def lattice(self) -> str:
        return f"{' x '.join(map(str, self.size))} voxels of {' x '.join(f'{s:.2f}' for s in self.spacing_mm)} mm"


@dataclass(frozen=True)
class Report:
    """Everything a reader needs to trust or repeat the result. JSON and HTML are written from it alone."""

    version: str
    model: dict[str, str]  # name, version, sha256, licence
    phase: dict[str, str]  # used, how
    device: str
    scan: ScanFacts
    measurements: tuple[Measurement, ...]
    warnings: tuple[Notice, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory_mb: float = float("nan")
    quality: str = ""  # how thoroughly was drawn; "" where nothing was
    agreement: tuple[Measurement, ...] | None = None  # with a reference: its structures and, of lesions, each by itself
    confidence: dict[str, float] = field(default_factory=dict)  # doubt, voxel_mm, accord of the network that drew
