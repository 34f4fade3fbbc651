"""One command from a bare clone to a tested one: `python3 scripts/test.py [--constraint FILE] [pytest arguments]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from _environment import CONSTRAINTS, ROOT, ready, stop


def main() -> int:
    parser = argparse.ArgumentParser(
        allow_abbrev=False, description="Install LiverSeg and its test packages into .venv, then run the suite."
    )
    parser.add_argument(
        "--constraint",
        default=str(CONSTRAINTS),
        metavar="FILE",
        help="versions for pip (default: constraints.txt; none: free)",
    )
    parser.add_argument(
        "--torch", choices=("cpu", "default"), default="default", help="which build of torch to install"
    )
    options, arguments = parser.parse_known_args()
    constraint = None if options.constraint == "none" else Path(options.constraint)
    if constraint is not None and not constraint.is_file():
        stop(f"the constraint file {constraint} does not exist")
    python = ready("test", constraint=constraint, torch=options.torch)
    return subprocess.run([str(python), "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
