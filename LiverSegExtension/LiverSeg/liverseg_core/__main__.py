"""`python -m liverseg_core`: the command line, and the process that Slicer starts."""

from __future__ import annotations

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
