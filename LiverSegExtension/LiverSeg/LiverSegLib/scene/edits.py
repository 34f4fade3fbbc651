"""Edits are sacred: they are noticed and marked, and the AI result they began from can be had back or compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from ..controller import UserError
from .labelmaps import LABELMAP, Extent, array_of, recoded, window
from .provenance import ALGORITHM_NAME, mark_automatic, mark_edited
from .result import baseline_of
from .terminology import tag_of
from .words import _

SURFACE = "Closed surface"


@dataclass(frozen=True, eq=False)
class _Layer:
    """A segment's image as it was when it was last looked at."""

    image: Any
    changed_at: int  # the modification time of VTK
    extent: Extent
    voxels: np.ndarray


class EditWatch:
    """Calls `on_edit` after voxels of a segmentation have changed, or a segment came or went; and marks what was changed.

    Visibility, names, colours and surfaces are no edits: the voxels are compared, because undo tells nothing else apart.
    `close` removes every observer; a watch that is closed does nothing.
    """

    def __init__(self, segmentation: Any, on_edit: Callable[[], None]) -> None:
        self._on_edit = on_edit
        self._inner = inner = segmentation.GetSegmentation()
        self._seen = self._look()
        events = (
            inner.SourceRepresentationModified, inner.RepresentationModified, inner.SegmentModified,
            inner.SegmentAdded, inner.SegmentRemoved,
        )  # fmt: skip
        self._tags = [inner.AddObserver(event, self._check) for event in events]

    def close(self) -> None:
        for tag in self._tags:
            self._inner.RemoveObserver(tag)
        self._tags, self._seen = [], {}

    def _check(self, _caller: Any, _event: str) -> None:
        if not self._tags:
            return
        before, self._seen = self._seen, self._look(self._seen)
        now = self._seen
        edited = _changed(before, now)
        for segment_id in edited:  # marking tells of a change once more; by then there is none
            segment = self._inner.GetSegment(segment_id)
            if segment is not None:
                mark_edited(segment)
        if edited or before.keys() != now.keys():
            self._on_edit()

    def _look(self, known: dict[str, tuple[_Layer, int]] | None = None) -> dict[str, tuple[_Layer, int]]:
        """Segment id -> its layer and its label there; layers that have not changed are not copied again."""
        held = {(layer.image, layer.changed_at): layer for layer, _label in (known or {}).values()}
        found: dict[str, tuple[_Layer, int]] = {}
        for segment_id in self._inner.GetSegmentIDs():
            segment = self._inner.GetSegment(segment_id)
            image = segment.GetRepresentation(LABELMAP)
            if image is None:
                continue
            key = image, image.GetMTime()
            if key not in held:
                held[key] = _Layer(*key, tuple(image.GetExtent()), array_of(image).copy())
            found[segment_id] = held[key], segment.GetLabelValue()
        return found


def _changed(before: dict[str, tuple[_Layer, int]], now: dict[str, tuple[_Layer, int]]) -> list[str]:
    """Ids in both whose voxels differ, and ids that are gone. Two layers are compared once for all their segments."""
    pairs: dict[tuple[int, int], list[str]] = {}
    for segment_id, (layer, label) in before.items():
        if segment_id in now and (now[segment_id][0] is not layer or now[segment_id][1] != label):
            pairs.setdefault((id(layer), id(now[segment_id][0])), []).append(segment_id)
    different = [id_ for id_ in before if id_ not in now]
    for ids in pairs.values():
        old, new = ({side[id_][1]: n for n, id_ in enumerate(ids, start=1)} for side in (before, now))
        found = _differing(before[ids[0]][0], old, now[ids[0]][0], new)
        different += [ids[n - 1] for n in found]
    return different


def _differing(before: _Layer, old: dict[int, int], now: _Layer, new: dict[int, int]) -> list[int]:
    """Numbers that do not lie in the same voxels before and now; `old` and `new`: label -> number.

    Segments that kept their labels need no renumbering of all voxels, only of those that differ.
    """
    whole = tuple(f(before.extent[n], now.extent[n]) for n, f in enumerate((min, max) * 3))
    one, other = _grown(before.voxels, before.extent, whole), _grown(now.voxels, now.extent, whole)
    if old != new:
        one, other, old, new = recoded(one, old), recoded(other, new), {}, {}
    where = one != other
    slices = where.any(axis=(1, 2))
    where = where[slices]
    values = [(one[slices][where], old), (other[slices][where], new)]
    numbered = [np.unique(recoded(voxels, numbers) if numbers else voxels) for voxels, numbers in values]
    return [int(n) for n in np.union1d(*numbered) if n]


def _grown(voxels: np.ndarray, extent: Extent, whole: Extent) -> np.ndarray:
    if extent == whole:
        return voxels
    out = np.zeros([whole[2 * n + 1] - whole[2 * n] + 1 for n in (2, 1, 0)], voxels.dtype)
    if voxels.size:
        out[window(whole, extent)] = voxels
    return out


class Undo:
    """Takes back one step. Called twice it does nothing the second time."""

    def __init__(self, segmentation: Any) -> None:
        self._history = slicer.vtkSegmentationHistory()
        self._history.SetSegmentation(segmentation.GetSegmentation())
        self._history.SaveState()

    def __call__(self) -> None:
        if self._history is not None:
            self._history.RestorePreviousState()
            self._history = None


def restore_ai(segmentation: Any, segment_id: str | None = None) -> Undo:
    """The voxels of one segment (None: of all that the AI drew) as the AI drew them; deleted ones come back.

    Segments that a person added stay as they are. The segment counts as automatic and not started again. UserError where
    there is no AI result, or none of this segment.
    """
    baseline = baseline_of(segmentation).GetSegmentation()
    inner = segmentation.GetSegmentation()
    ids = list(baseline.GetSegmentIDs()) if segment_id is None else [segment_id]
    if segment_id is not None and baseline.GetSegment(segment_id) is None:
        name = inner.GetSegment(segment_id).GetName() if inner.GetSegment(segment_id) is not None else segment_id
        raise UserError(_("{name} was not drawn by the AI: there is nothing to restore.").format(name=name))
    undo = Undo(segmentation)
    for id_ in ids:
        if inner.GetSegment(id_) is None:
            inner.CopySegmentFromSegmentation(baseline, id_)
    if segment_id is None:
        _share_again(inner, baseline, ids)
    else:
        _replace(segmentation, baseline, segment_id)
    for id_ in ids:
        mark_automatic(inner.GetSegment(id_), tag_of(baseline.GetSegment(id_), ALGORITHM_NAME) or "LiverSeg")
    if inner.ContainsRepresentation(SURFACE):
        inner.CreateRepresentation(SURFACE, True)
    return undo


def compare_with_ai(segmentation: Any) -> tuple[Any, Any]:
    """The segmentation and the AI result it came from, as prediction and reference of a comparison."""
    return segmentation, baseline_of(segmentation)


def _share_again(inner: Any, baseline: Any, ids: list[str]) -> None:
    """All of them in one layer, as they came."""
    layers: dict[str, Any] = {}
    for id_ in ids:
        source = baseline.GetSegment(id_)
        image = source.GetRepresentation(LABELMAP)
        copy = layers.get(image.GetAddressAsString(""))
        if copy is None:
            copy = layers[image.GetAddressAsString("")] = slicer.vtkOrientedImageData()
            copy.DeepCopy(image)
        segment = inner.GetSegment(id_)
        segment.SetLabelValue(source.GetLabelValue())
        segment.AddRepresentation(LABELMAP, copy)


def _replace(segmentation: Any, baseline: Any, segment_id: str) -> None:
    """One segment alone; where others lie in its way now, it gets a layer of its own and they stay."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    image = slicer.vtkOrientedImageData()
    segment = baseline.GetSegment(segment_id)
    image.DeepCopy(segment.GetRepresentation(LABELMAP))
    array_of(image)[...] = array_of(image) == segment.GetLabelValue()
    logic.SetBinaryLabelmapToSegment(image, segmentation, segment_id, logic.MODE_REPLACE)
