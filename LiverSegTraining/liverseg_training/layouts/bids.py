"""BIDS: images by subject, masks among the derivatives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..cases import Case
from ._files import NIFTI, files_below, rows_of
from ._layout import Layout, UnfitError, refused
from ._names import code_named
from ._volumes import Layer, Volume, annotated_by

_SUFFIXES = {"T1w": "mr_t1_native", "T2w": "mr_t2", "dwi": "mr_dwi", "ct": "ct_unknown", "CT": "ct_unknown"}
_IMAGE = rf"(?P<key>sub-[^/]+?)_(?P<suffix>{'|'.join(_SUFFIXES)}){NIFTI}"
_MASK = rf"(?P<key>sub-[^/]+?)_(?P<kind>dseg|mask){NIFTI}"
_OF_MASKS = re.compile(r"_(?:label|desc|space|res)-[^_]+")  # entities that a mask has and its image has not


def _find(folder: Path) -> Iterator[Case]:
    """A case for each mask of a derivative whose entities name one image; images without masks are no fault."""
    images: dict[str, list[tuple[Path, str]]] = {}
    masks: dict[str, list[Path]] = {}
    for path, match in files_below(folder, _IMAGE):
        if "derivatives" not in path.relative_to(folder).parts:
            images.setdefault(match["key"], []).append((path, match["suffix"]))
    for path, match in files_below(folder, rf"derivatives/(?:.*/)?{_MASK}"):
        masks.setdefault(_OF_MASKS.sub("", match["key"]), []).append(path)
    for key, files in masks.items():
        bare, _, suffix = key.rpartition("_")
        own = images.get(key) or [image for image in images.get(bare, []) if image[1] == suffix]
        if len(own) == 1:
            yield _case(key, *own[0], files)
        elif own:
            listed = " and ".join(path.name for path, _ in own)
            yield refused(
                key, "mr_unknown", "image_ambiguous", f"{files[0].name} may belong to {listed}; name its suffix"
            )
        else:
            yield refused(key, "mr_unknown", "image_missing", f"{files[0]} has no image with the entities {key}")


def _case(key: str, image: Path, suffix: str, files: list[Path]) -> Case:
    phase = "mr_unknown" if suffix == "T1w" and "_ce-" in key else _SUFFIXES[suffix]
    name = key if key.endswith(f"_{suffix}") else f"{key}_{suffix}"
    try:
        layers = tuple(sorted((_layer(file) for file in files), key=lambda layer: max(layer.values.values()) == 2))
    except UnfitError as problem:
        return refused(name, phase, problem.code, str(problem))
    codes = annotated_by({code: code for layer in layers for code in layer.values.values()})
    return Case(name, image, files[0], phase, codes, key.partition("_")[0], Volume(image, layers))


def _layer(mask: Path) -> Layer:
    """A mask says what it shows in its name, a segmentation in a table beside it or at the derivative's root."""
    named = re.search(r"_label-([^_]+)_", mask.name)
    if "_mask." in mask.name:
        code = code_named(named[1]) if named else 1
        if code == 0:
            raise UnfitError(
                "label_unknown", f"{mask.name} shows {named and named[1]!r}, which is none of our structures"
            )
        return Layer(mask, dict.fromkeys(range(1, 256), code))
    table = next(_tables(mask), None)
    rows = [row for row in rows_of(table) if row.get("index", "").isdigit()] if table is not None else []
    values = {int(row["index"]): code_named(row.get("name", "")) for row in rows if int(row["index"])} or {1: 1}
    if not annotated_by(values):
        raise UnfitError(
            "label_unknown", f"the table of {mask.name} names none of our structures; expected liver among them"
        )
    return Layer(mask, values)


def _tables(mask: Path) -> Iterator[Path]:
    """The nearest *_dseg.tsv or dseg.tsv, from the mask's folder up to the derivative's root."""
    for place in (mask.parent, *mask.parent.parents):
        own = place / f"{mask.name.partition('.')[0]}.tsv"
        yield from (path for path in (own, *sorted(place.glob("*dseg.tsv"))) if path.exists())
        if place.parent.name == "derivatives":
            return


LAYOUT = Layout(
    title="a BIDS data set with derivatives",
    licence="that of its source",
    citation="that of its source; the form: Gorgolewski et al., Scientific Data 3 (2016) 160044",
    address="https://bids-specification.readthedocs.io",
    phase="T1w is taken for native, unless it has the entity ce-; T2w, dwi; ct, which is not official",
    labels={"by the names in *_dseg.tsv, or by label-NAME": 1},
    split="none",
    expects="sub-X/anat/sub-X_T1w.nii.gz and derivatives/NAME/sub-X/anat/sub-X_dseg.nii.gz or sub-X_label-liver_mask.nii.gz",
    find=_find,
)
