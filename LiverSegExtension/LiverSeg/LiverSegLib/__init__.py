"""Qt and MRML glue of the Slicer module; nothing here computes. LiverSeg.py is the door, widget.py draws, controller.py
decides, job.py runs the worker, scene/ knows MRML."""
