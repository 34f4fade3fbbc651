"""The MRML scene <-> files and numbers. Nothing here knows Qt, and nothing computes; every refusal is a UserError."""

from __future__ import annotations

from .echoes import candidates_in, look_of, place_of_echoes, write_echoes
from .edits import EditWatch, Undo, compare_with_ai, restore_ai
from .export import scan_of, segments_on, write_segments, write_volume
from .maps import add_map, load_below, show_map
from .overlay import error_overlay
from .plane import make_plane, move_plane, plane_argument, reach_mm
from .provenance import Provenance, read_provenance, set_status, status_of
from .result import baseline_of, remove_orphans, show_result
from .table import fill_table
from .terminology import code_of, codes_in, facts_of, helper_ids, load_terminology, term_json
from .transforms import hardened_copy, world_matrix
from .volumes import checked, file_of, tags_of

__all__ = [
    "EditWatch",
    "Provenance",
    "Undo",
    "add_map",
    "baseline_of",
    "candidates_in",
    "checked",
    "code_of",
    "codes_in",
    "compare_with_ai",
    "error_overlay",
    "facts_of",
    "file_of",
    "fill_table",
    "hardened_copy",
    "helper_ids",
    "load_below",
    "load_terminology",
    "look_of",
    "make_plane",
    "move_plane",
    "place_of_echoes",
    "plane_argument",
    "reach_mm",
    "read_provenance",
    "remove_orphans",
    "restore_ai",
    "scan_of",
    "segments_on",
    "set_status",
    "show_map",
    "show_result",
    "status_of",
    "tags_of",
    "term_json",
    "world_matrix",
    "write_echoes",
    "write_segments",
    "write_volume",
]  # fmt: skip
