"""Volumes and sequences of the scene -> what may be an echo, and the files that the worker fits."""

from __future__ import annotations

from collections.abc import Sequence
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


def candidates_in(scene: Any) -> list[Candidate]:
    """Sequences of volumes first, then volumes; none that is shown for a sequence, is hidden, or came from a fit."""
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
    """Of a sequence its scalar volumes, none where it holds something else; of a volume itself."""
    if not node.IsA(_SEQUENCE):
        return [node]
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
        write_volume(volumes_of(node)[echo.index], paths[-1], shown)
    return paths


def _nodes(scene: Any, kind: str) -> list[Any]:
    held = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
    return [node for node in held if node.GetClassName() == kind and not _left_out(node)]


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
    first = tagged[0]
    own = Facts(times, first.field_t, first.tr_ms, first.flip_deg, first.is_phase)
    return Facts(_indexed(node)).or_else(own).or_else(facts_beside(file_of(node)))


def _indexed(node: Any) -> tuple[float, ...]:
    """Echo times by which a sequence is ordered, ms."""
    if not node.IsA(_SEQUENCE) or "echo" not in (node.GetIndexName() or "").casefold():
        return ()
    factor = 1000.0 if node.GetIndexUnit() == "s" else 1.0
    try:
        return tuple(factor * float(node.GetNthIndexValue(n)) for n in range(node.GetNumberOfDataNodes()))
    except ValueError:
        return ()
