"""One command from a bare clone to a measured liver: `python3 scripts/demo.py [SCAN]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from _environment import ROOT, ready, stop

OUT = ROOT / "runs" / "demo"


def main() -> int:
    parser = argparse.ArgumentParser(description="Install LiverSeg into .venv, segment a scan and measure its liver.")
    parser.add_argument(
        "scan", nargs="?", type=Path, metavar="SCAN", help="a file or a DICOM folder; without it a synthetic abdomen"
    )
    parser.add_argument(
        "--torch", choices=("cpu", "default"), default="default", help="which build of torch to install"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results (default: runs/demo)")
    options = parser.parse_args()
    if options.scan is not None and not options.scan.exists():
        stop(
            f"{options.scan} does not exist; expected a scan (file or DICOM folder), or nothing for the synthetic abdomen"
        )
    python = ready(torch=options.torch)
    liverseg = [str(python), "-m", "liverseg_core"]
    scan = options.scan
    chosen: list[str] = []
    if scan is None:
        sample = OUT.with_name("synthetic-abdomen")
        if subprocess.run([*liverseg, "sample", "ct", str(sample), "--overwrite"], check=False).returncode != 0:
            return 1
        scan, chosen = sample / "image.nii.gz", ["--phase", "ct_portal", "--reference", str(sample / "labels.nii.gz")]
        print("no scan was named: this is a SYNTHETIC abdomen, not a patient")
    out = [str(options.out)] if options.out else [str(OUT), "--overwrite"]  # only our own folder is replaced unasked
    return subprocess.run([*liverseg, "segment", str(scan), *chosen, "--out", *out], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
