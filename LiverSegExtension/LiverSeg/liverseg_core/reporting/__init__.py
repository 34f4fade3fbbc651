"""Result -> files: masks, tables, pictures, a page. Written into a folder that nobody sees until it is whole."""

from __future__ import annotations

from .masks import save_masks
from .page import save_page
from .pictures import montage, save_png, three_views
from .tables import save_csv, save_json, save_record, save_rows

__all__ = [
    "montage",
    "save_csv",
    "save_json",
    "save_masks",
    "save_page",
    "save_png",
    "save_record",
    "save_rows",
    "three_views",
]
