#!/usr/bin/env python3
"""Cuts Testing/slicer_module/lab/slicer_api.json out of the list of all classes of Slicer, CTK and Qt.

python scripts/reduce_api.py FULL_LIST.json [--add CLASS ...]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / "Testing" / "slicer_module" / "lab"


def main() -> None:
    sys.path.insert(0, str(LAB))
    import reduce

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("full_list", type=Path)
    parser.add_argument(
        "--add", nargs="*", default=[], metavar="CLASS", help="classes to take in besides those in the list"
    )
    parser.add_argument("--fresh", action="store_true", help="forget what was added before")
    options = parser.parse_args()
    file = LAB / "slicer_api.json"
    before = set() if options.fresh else reduce.added_before(file)
    full = json.loads(options.full_list.read_text(encoding="utf-8"))
    short = reduce.reduced(full, sorted(before | set(options.add)))
    reduce.write(short, file)
    print(f"{file.relative_to(ROOT)}: {len(short['classes'])} classes, {file.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
