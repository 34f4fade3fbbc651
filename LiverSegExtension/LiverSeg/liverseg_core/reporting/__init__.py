"""Result -> files: masks, tables, pictures, a page. Written into a folder that nobody sees until it is whole."""

from __future__ import annotations

from .fat_page import Spread, fat_quantity, save_fat_page
from .maps import MAPS, save_disagreement, save_maps, save_measured
from .masks import save_masks
from .overlays import Coloured, beside_anatomy, scale_top
from .page import save_page
from .parts import document
from .pictures import montage, save_png, three_views
from .tables import save_csv, save_json, save_record, save_rows

__all__ = [
    "MAPS",
    "Coloured",
    "Spread",
    "beside_anatomy",
    "document",
    "fat_quantity",
    "montage",
    "save_csv",
    "save_disagreement",
    "save_fat_page",
    "save_json",
    "save_maps",
    "save_masks",
    "save_measured",
    "save_page",
    "save_png",
    "save_record",
    "save_rows",
    "scale_top",
    "three_views",
]
