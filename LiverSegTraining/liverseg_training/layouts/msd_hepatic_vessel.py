"""Medical Segmentation Decathlon, Task08: tumours and vessels inside the liver; the liver itself by other hands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..cases import Case
from ._files import NIFTI, files_below
from ._layout import Layout, refused
from ._volumes import Layer, Volume

_KEY = rf"hepaticvessel_(?P<key>\d+){NIFTI}"
_DRAWN = {1: 0, 2: 2}  # vessels inside the liver are liver here
_LIVER = {1: 1}


def _find(folder: Path) -> Iterator[Case]:
    """Labels of GLCUnet (liver_annotation/, same names) go below the tumours, and label the test scans, too."""
    drawn, livers = (
        {match["key"]: path for path, match in files_below(folder, rf"{place}/(?:.*/)?{_KEY}")}
        for place in ("labelsTr", "liver_annotation")
    )
    seen: dict[str, Path] = {}
    for path, match in files_below(folder, rf"images(?:Tr|Ts)/{_KEY}"):
        key, name = match["key"], f"msd_hepatic_vessel_{match['key']}"
        if key in seen:
            yield refused(
                name, "ct_portal", "case_twice", f"{name} is there twice ({seen[key]} and {path}); keep one of them"
            )
        elif path.parent.name == "imagesTr" and key not in drawn:
            yield refused(name, "ct_portal", "labels_missing", f"{path} has no labels; unpack the archive again")
        elif key in drawn or key in livers:
            yield _case(name, path, livers.get(key), drawn.get(key))
        seen.setdefault(key, path)
    for key in sorted(drawn.keys() - seen.keys()):
        text = f"{drawn[key]} has no image beside it; unpack the archive again"
        yield refused(f"msd_hepatic_vessel_{key}", "ct_portal", "image_missing", text)


def _case(name: str, image: Path, liver: Path | None, drawn: Path | None) -> Case:
    layers = [Layer(file, values) for file, values in ((liver, _LIVER), (drawn, _DRAWN)) if file is not None]
    annotated = tuple(code for code, file in ((1, liver), (2, drawn)) if file is not None)
    part = "training" if image.parent.name == "imagesTr" else "test"
    return Case(name, image, layers[-1].file, "ct_portal", annotated, name, Volume(image, tuple(layers)), part)


LAYOUT = Layout(
    title="Medical Segmentation Decathlon, Task08 HepaticVessel",
    licence="CC BY-SA 4.0; liver_annotation of GLCUnet: MIT",
    citation="Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 13 (2022) 4128; livers: Tian et al., "
    "Automatic Couinaud Segmentation from CT Volumes on Liver Using GLC-UNet, 2019",
    address="http://medicaldecathlon.com; https://github.com/GLCUnet/dataset",
    phase="CT, portal venous",
    labels={"1": 0, "2": 2, "liver_annotation 1": 1},
    split="imagesTr have vessels and tumours drawn; imagesTs none, but a liver where liver_annotation is there",
    expects="Task08_HepaticVessel/imagesTr/hepaticvessel_NNN.nii.gz and labelsTr, liver_annotation beside them if you have it",
    find=_find,
)
