"""Volumes and sequences of the scene -> what may be an echo, and the files that the worker fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import slicer

from ..controller import UserError
from ..echoes import Candidate, Echo, Facts, facts_beside, facts_of_tags
from .export import write_volume
from .maps import MAP
from .volumes import file_of, tags_of
from .words import _

_SEQUENCE, _VOLUME = "vtkMRMLSequenceNode", "vtkMRMLScalarVolumeNode"
_ALONE = frozenset(
    {_VOLUME, "vtkMRMLVectorVolumeNode", "vtkMRMLMultiVolumeNode"}
)  # the last two: several volumes in one
_COLOURS = (3, 4)  # values of 8 bit in a voxel of a picture
_NEGATIVE = 0.02  # of the largest value: what interpolation leaves in a magnitude


def candidates_in(scene: Any) -> list[Candidate]:
    """Sequences of volumes first, then volumes; none that is shown for a sequence, is hidden, or came from a fit. Several
    values in a voxel are as many volumes, unless they are colours."""
    found = []
    for node in (*_nodes(scene, _SEQUENCE), *_nodes(scene, _VOLUME)):
        volumes = volumes_of(node)
        if volumes and all(volume.GetImageData() is not None for volume in volumes):
            sizes = tuple(tuple(volume.GetImageData().GetDimensions()) for volume in volumes)
            found.append(Candidate(node.GetID(), node.GetName(), sizes, _facts(node, volumes)))
    return found


def look_of(scene: Any) -> list[tuple[str, str, int]]:
    """What candidates depend on, without reading anything: (id, name, volumes)."""
    nodes = (*_nodes(scene, _SEQUENCE), *_nodes(scene, _VOLUME))
    return [(node.GetID(), node.GetName(), len(volumes_of(node))) for node in nodes]


def volumes_of(node: Any) -> list[Any]:
    """Of a sequence its scalar volumes, none where it holds something else; of a volume itself, for each value of a voxel."""
    if not node.IsA(_SEQUENCE):
        return [] if _is_picture(node) else [node] * _values(node)
    held = [node.GetNthDataNode(n) for n in range(node.GetNumberOfDataNodes())]
    return held if all(one.GetClassName() == _VOLUME for one in held) else []


def place_of_echoes(scene: Any, echoes: Sequence[Echo]) -> Any:
    """The volume of the scene on whose voxels they lie: the first itself, or what shows its sequence; None without."""
    node = scene.GetNodeByID(echoes[0].id)
    return _proxy(node) if node is not None and node.IsA(_SEQUENCE) else node


def write_echoes(scene: Any, echoes: Sequence[Echo], folder: Path, name: str) -> list[Path]:
    """A file an echo, where it lies in the world. UserError as for write_volume, and for a node that has gone."""
    paths = []
    for n, echo in enumerate(echoes, start=1):
        node = scene.GetNodeByID(echo.id)
        if node is None:
            raise UserError(_("An echo was deleted meanwhile; choose the echoes again."))
        shown = _proxy(node) if node.IsA(_SEQUENCE) else None
        paths.append(folder / f"{name}_{n}.nrrd")
        volume = volumes_of(node)[echo.index]
        write_volume(volume, paths[-1], shown, component=_component(node, echo))
    return paths


def demand_magnitudes(scene: Any, echoes: Sequence[Echo]) -> None:
    """UserError where one of them falls below zero, as phases and parts of a signal do and magnitudes do not."""
    for echo in echoes:
        node = scene.GetNodeByID(echo.id)
        image = volumes_of(node)[echo.index].GetImageData() if node is not None else None
        scalars = image.GetPointData().GetScalars() if image is not None else None
        if scalars is None:  # what lacks is told when it is written
            continue
        low, high = scalars.GetRange(_component(node, echo) or 0)
        if low < -_NEGATIVE * max(high, 0.0):
            text = _(
                "{name} holds values down to {low:g}: it is a phase, or a real or imaginary part, and no magnitude."
            )
            rest = _("Set phases to phase; of real and imaginary parts name the DICOM folder.")
            raise UserError(f"{text.format(name=node.GetName(), low=low)} {rest}")


def _nodes(scene: Any, kind: str) -> list[Any]:
    held = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
    fit = {_SEQUENCE} if kind == _SEQUENCE else _ALONE
    return [node for node in held if node.GetClassName() in fit and not _left_out(node)]


def _component(node: Any, echo: Echo) -> int | None:
    """Which of several values in a voxel is the echo; None where there is one."""
    return echo.index if not node.IsA(_SEQUENCE) and _values(node) > 1 else None


def _values(volume: Any) -> int:
    """In each voxel; 1 where there is no voxel yet."""
    image = volume.GetImageData()
    return max(image.GetNumberOfScalarComponents(), 1) if image is not None else 1


def _is_picture(volume: Any) -> bool:
    image = volume.GetImageData()
    return image is not None and _values(volume) in _COLOURS and image.GetScalarSize() == 1


def _left_out(node: Any) -> bool:
    shown = slicer.modules.sequences.logic().GetFirstBrowserNodeForProxyNode(node)
    return shown is not None or bool(node.GetHideFromEditors()) or node.GetAttribute(MAP) is not None


def _proxy(sequence: Any) -> Any:
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequence)
    return browser.GetProxyNode(sequence) if browser is not None else None


def _facts(node: Any, volumes: Sequence[Any]) -> Facts:
    """The index of a sequence of echo times, then DICOM, then what lies beside the file."""
    tagged = [facts_of_tags(tags_of(volume)) for volume in volumes]
    times = tuple(time for facts in tagged for time in facts.te_ms)
    if len(set(times)) < len(times):  # the headers of the first volume alone
        times = ()
    own = replace(tagged[0], te_ms=times)
    return Facts(_indexed(node)).or_else(own).or_else(facts_beside(file_of(node)))


def _indexed(node: Any) -> tuple[float, ...]:
    """Echo times by which a sequence, or the frames of a multi-volume, are ordered, ms."""
    if node.IsA(_SEQUENCE):
        name, unit = node.GetIndexName(), node.GetIndexUnit()
        said = [node.GetNthIndexValue(n) for n in range(node.GetNumberOfDataNodes())]
    else:
        name, unit, labels = (
            node.GetAttribute(f"MultiVolume.{what}")
            for what in ("FrameIdentifyingDICOMTagName", "FrameIdentifyingDICOMTagUnits", "FrameLabels")
        )
        said = (labels or "").split(",")
    if "echo" not in (name or "").casefold():
        return ()
    try:
        return tuple((1000.0 if unit == "s" else 1.0) * float(value) for value in said)
    except ValueError:
        return ()
