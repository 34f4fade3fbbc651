"""Multi-echo signals whose answer is known: the signal model written once more, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from liverseg_core.fat.magnitude import Echoes
from liverseg_core.fat.protocol import Protocol
from liverseg_core.fat.spectra import SPECTRA

TE_MS = {3.0: tuple(1.15 + 0.95 * n for n in range(6)), 1.5: tuple(1.2 + 1.9 * n for n in range(6))}


@dataclass(frozen=True)
class Tissue:
    """Of one kind: PDFF in per cent, R2* in 1/s, field in Hz, phases in radians; a signal of 100 at once."""

    pdff: float = 5.0
    rate: float = 40.0
    field_hz: float = 0.0
    phase: float = 0.0
    alternation: float = 0.0


def protocol(field_t: float = 3.0, **tags: float) -> Protocol:
    return Protocol(TE_MS[field_t], field_t, **tags)


def echoes_of(protocol: Protocol, spectrum: str = "ismrm6") -> Echoes:
    c = SPECTRA[spectrum].phasor(protocol.te_ms, protocol.field_t)
    return Echoes(torch.tensor(protocol.te_ms, dtype=torch.float64) / 1e3, torch.tensor(c.real), torch.tensor(c.imag))


def signal(tissue: Tissue, protocol: Protocol, spectrum: str = "ismrm6", precession: int = 1) -> np.ndarray:
    """Complex [n], from the formula with plain sums."""
    t = np.array(protocol.te_ms) / 1e3
    row = SPECTRA[spectrum]
    c = np.zeros(len(t), complex)
    for shift, weight in zip(row.shifts_ppm, row.weights):
        c += weight / sum(row.weights) * np.exp(precession * 2j * np.pi * 42.577478518 * protocol.field_t * shift * t)
    turn = tissue.phase + 2 * np.pi * tissue.field_hz * t + tissue.alternation * (-1.0) ** np.arange(len(t))
    return ((100 - tissue.pdff) + tissue.pdff * c) * np.exp(1j * turn - tissue.rate * t)


def noisy(clean: np.ndarray, voxels: int, sigma: float, seed: int = 0) -> torch.Tensor:
    """Complex [n, voxels]."""
    rng = np.random.default_rng(seed)
    shape = (len(clean), voxels)
    return torch.from_numpy(clean[:, None] + sigma * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)))
