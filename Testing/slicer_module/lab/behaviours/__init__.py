"""Hand-written behaviour of the stand-ins that the panel needs; everything else stays a stub that counts its calls."""

from . import application, controls, dicom, editor, frames, layout, modules, nodes, segments, tables

__all__ = ["application", "controls", "dicom", "editor", "frames", "layout", "modules", "nodes", "segments", "tables"]
