"""Inside a real Slicer: `Slicer --testing --no-splash --additional-module-paths MODULE --python-script run.py`.

Runs the module's own test and ends the application with its verdict.
"""

import sys
import traceback

import slicer

try:
    slicer.util.selectModule("LiverSeg")
    slicer.modules.liverseg.widgetRepresentation().self()  # the panel stands before the test begins
    from LiverSeg import LiverSegTest

    LiverSegTest().runTest()
except Exception:
    traceback.print_exc()
    slicer.util.exit(1)
else:
    sys.stderr.write("LiverSeg: the test inside Slicer passed\n")
    slicer.util.exit(0)
