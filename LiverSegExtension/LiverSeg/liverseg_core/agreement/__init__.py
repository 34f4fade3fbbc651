"""Two masks -> how well they agree. One implementation for `compare`, `--reference`, validation and the Slicer panel."""

from __future__ import annotations

from .comparison import COLUMNS, Comparison, compare, measurements_of, rows_of
from .identities import check_identities
from .pairs import Pair, dsc, pair_of, structure
from .placement import on_grid_of, placed
from .quantities import QUANTITIES, agreement_of
from .results import Agreement, Figure, Options

__all__ = [
    "COLUMNS",
    "QUANTITIES",
    "Agreement",
    "Comparison",
    "Figure",
    "Options",
    "Pair",
    "agreement_of",
    "check_identities",
    "compare",
    "dsc",
    "measurements_of",
    "on_grid_of",
    "pair_of",
    "placed",
    "rows_of",
    "structure",
]
