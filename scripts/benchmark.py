"""What LiverSeg costs against its peers: `python scripts/benchmark.py inference [--quick] [--json FILE]`.

Every row is measured in the same run, each way in a process of its own. A peer that is not installed is named, and
its row says nothing. Exit 0 when no row misses what is wanted, 1 when one does.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One comparison. `ok` is None where there is nothing to judge by, because a peer or a device is not here."""

    name: str
    ours: float | None
    peer: float | None
    ratio: float | None
    want: str
    ok: bool | None


@dataclass(frozen=True)
class Options:
    quick: bool
    peer_python: Path


SUBJECTS = {path.stem.removeprefix("_benchmark_") for path in Path(__file__).parent.glob("_benchmark_*.py")}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure LiverSeg against its peers.")
    parser.add_argument("subject", choices=sorted(SUBJECTS))
    parser.add_argument("--quick", action="store_true", help="the small case alone, few windows, no accuracy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    parser.add_argument(
        "--peer-python",
        type=Path,
        default=Path(sys.executable),
        metavar="PATH",
        help="a Python with nnunetv2, monai, SimpleITK, scipy and safetensors (default: this one)",
    )
    chosen = parser.parse_args()
    measured: list[Row] = []
    for row in import_module(f"_benchmark_{chosen.subject}").rows(Options(chosen.quick, chosen.peer_python)):
        print(_line(row), flush=True)
        measured.append(row)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([asdict(row) for row in measured], indent=1) + "\n", encoding="utf-8")
    return int(any(row.ok is False for row in measured))


def _line(row: Row) -> str:
    verdict = {True: "ok", False: "MISSED", None: "-"}[row.ok]
    ours, peer, ratio = ("" if n is None else f"{n:.4g}" for n in (row.ours, row.peer, row.ratio))
    return f"{verdict:7s}{ours:>10s}{peer:>10s}{ratio:>9s}  {row.want:12s} {row.name}"


if __name__ == "__main__":
    sys.exit(main())
