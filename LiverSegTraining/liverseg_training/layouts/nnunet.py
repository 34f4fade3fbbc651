"""nnU-Net raw data sets, version 2 and version 1, and those that `dataset convert --to nnunet` writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from liverseg_core.errors import InputError
from liverseg_core.phases import PHASES

from ..cases import Case
from ._files import files_below, rows_of
from ._layout import Layout, refused
from ._names import code_named
from ._volumes import Layer, Volume, annotated_by

MANIFEST = "liverseg_cases.csv"  # case, phase, patient, part, source: what dataset.json has no place for
_DESCRIPTION = "dataset.json"


def _find(folder: Path) -> Iterator[Case]:
    """Every data set below the folder; a case is its file's name, its channel behind it where there are several."""
    for path, _ in files_below(folder, re.escape(_DESCRIPTION)):
        if (path.parent / "imagesTr").is_dir():
            yield from _dataset(path.parent, _described(path))


def _described(path: Path) -> Mapping[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"))
        return {**told, "labels": dict(told["labels"])}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{path} cannot be used ({problem!r}); expected the dataset.json of nnU-Net") from None


def _dataset(root: Path, told: Mapping[str, Any]) -> Iterator[Case]:
    values = _values(told["labels"], root)
    ending = str(told.get("file_ending", ".nii.gz"))
    channels = {
        f"{int(n):04d}": str(name)
        for n, name in (told.get("channel_names") or told.get("modality") or {"0": "?"}).items()
    }
    manifest = {row.get("case", ""): row for row in rows_of(root / MANIFEST)} if (root / MANIFEST).exists() else {}
    for where in ("Tr", "Ts"):
        images, labels = root / f"images{where}", root / f"labels{where}"
        drawn = {path.name.removesuffix(ending) for path in _files(labels, ending)}
        keys = {key for path in _files(images, ending) if (key := _key(path.name, ending))}
        for key in sorted(keys | drawn):
            if where == "Tr" or key in drawn:
                row = manifest.get(key, {})
                part = row.get("part") or ("training" if where == "Tr" else "test")
                for channel, spoken in channels.items():
                    name = key if len(channels) == 1 else f"{key}_{channel}"
                    files = (images / f"{key}_{channel}{ending}", labels / f"{key}{ending}")
                    yield _case(name, key, files, values, {"phase": _phase(spoken), **row, "part": part})


def _case(name: str, key: str, files: tuple[Path, Path], values: Mapping[int, int], told: Mapping[str, str]) -> Case:
    image, labels = files
    phase = told["phase"]
    if not image.exists():
        return refused(name, phase, "image_missing", f"{image} is missing; unpack the archive again")
    if not labels.exists():
        return refused(name, phase, "labels_missing", f"{labels} is missing; unpack the archive again")
    reader = Volume(image, (Layer(labels, values),))
    patient = told.get("patient") or key
    return Case(name, image, labels, phase, annotated_by(values), patient, reader, told["part"], told.get("source", ""))


def _values(labels: Mapping[str, Any], root: Path) -> dict[int, int]:
    """Value -> code by the structures' names. Version 1 turns the table round; regions list the values that they join."""
    if all(str(name).isdigit() for name in labels):
        labels = {str(name): value for value, name in labels.items()}
    codes: dict[int, tuple[int, int]] = {}  # value -> (how many values its narrowest name joins, code)
    for name, told in labels.items():
        own = [int(value) for value in (told if isinstance(told, list) else [told])]
        for value in own:
            if value not in codes or len(own) < codes[value][0]:
                codes[value] = (len(own), code_named(name))
    found = {value: code for value, (_, code) in codes.items() if value}
    if not annotated_by(found):
        raise InputError(
            f"{root / _DESCRIPTION} names none of our structures ({', '.join(labels)}); expected liver among them"
        )
    return found


def _phase(channel: str) -> str:
    """What a channel's name gives away: CT, or one of our keys."""
    if channel.lower() in PHASES:
        return channel.lower()
    return "ct_unknown" if channel.upper() == "CT" else "mr_unknown"


def _key(name: str, ending: str) -> str:
    found = re.fullmatch(rf"(.+)_\d{{4}}{re.escape(ending)}", name)
    return found[1] if found else ""


def _files(folder: Path, ending: str) -> list[Path]:
    return [path for path, _ in files_below(folder, rf"[^/]+{re.escape(ending)}")] if folder.is_dir() else []


LAYOUT = Layout(
    title="an nnU-Net raw data set",
    licence="that of its source",
    citation="that of its source; the form: Isensee et al., nnU-Net, Nature Methods 18 (2021) 203",
    address="https://github.com/MIC-DKFZ/nnUNet",
    phase="the channel's name (CT, or a phase key), or the manifest that `dataset convert` writes",
    labels={"by the names in dataset.json": 1},
    split="imagesTr train; imagesTs test, where labelsTs are there",
    expects="DatasetNNN_NAME/dataset.json, imagesTr/CASE_0000.nii.gz and labelsTr/CASE.nii.gz",
    find=_find,
)
