"""Two structures -> where they differ: a segmentation of its own, missed in one colour, false in another."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import slicer

from ..controller import UserError
from .export import scan_of
from .labelmaps import LABELMAP, Lattice, box_of, codes_of, covering, demand_labelmaps, image_of
from .transforms import parent_matrix
from .volumes import place_beside
from .words import _

MISSED, FALSE = "missed", "false"
# dark against light, so that they differ in grey and for colour-blind readers: reference only, prediction only
COLOURS = {MISSED: (0.0, 0.24, 0.51), FALSE: (0.94, 0.59, 0.16)}


def error_overlay(
    prediction: Any, prediction_ids: Collection[str], reference: Any, reference_ids: Collection[str], name: str
) -> Any:
    """A new segmentation node with the segments "missed" (reference only) and "false" (prediction only).

    Several segments of one side count as one structure, called `name`: a liver is its parenchyma and its lesions. The node
    has the voxels of the prediction and observes its transform; a reference of another geometry takes the nearest voxel.
    UserError where both are empty, or where the two do not lie in the same place.
    """
    demand_labelmaps(prediction)
    demand_labelmaps(reference)
    lattice = _lattice_for(prediction, prediction_ids, reference, reference_ids)
    drawn = codes_of(prediction, dict.fromkeys(prediction_ids, 1), lattice)
    errors = codes_of(reference, dict.fromkeys(reference_ids, 1), lattice)
    for true, held in zip(errors, drawn):  # a slice at a time: the panel waits for this
        true[...] = (true > held).view(np.uint8) | (held > true).view(np.uint8) << 1
    own = Lattice(np.linalg.inv(parent_matrix(prediction)) @ lattice.matrix, lattice.extent)
    return _node(prediction, name, image_of(errors, own))


def _node(prediction: Any, name: str, errors: Any) -> Any:
    scene = prediction.GetScene()
    title = scene.GetUniqueNameByString(_("Errors of {name}").format(name=name))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", title)
    node.CreateDefaultDisplayNodes()
    volume = scan_of(prediction)
    node.SetAndObserveTransformNodeID(prediction.GetTransformNodeID())
    if volume is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        place_beside(node, volume)
    titles = {MISSED: _("Missed (in the reference only)"), FALSE: _("False (in the prediction only)")}
    for label, (key, colour) in enumerate(COLOURS.items(), start=1):
        segment = slicer.vtkSegment()
        segment.SetName(titles[key])
        segment.SetColor(colour)
        segment.SetLabelValue(label)
        segment.AddRepresentation(LABELMAP, errors)
        node.GetSegmentation().AddSegment(segment, key)
    return node


def _lattice_for(
    prediction: Any, prediction_ids: Collection[str], reference: Any, reference_ids: Collection[str]
) -> Lattice:
    """The prediction's voxels (the reference's where nothing is predicted), wherever one of the two holds something."""
    boxes = [box_of(prediction, prediction_ids), box_of(reference, reference_ids)]
    there = [box for box in boxes if box is not None]
    if not there:
        raise UserError(_("Both sides are empty: there is nothing to compare."))
    whole = covering(there)
    if len(there) == 2 and _far_apart(*there, whole):
        raise UserError(
            _(
                "{one} and {other} do not lie in the same place; expected two segmentations of one scan or patient."
            ).format(one=prediction.GetName(), other=reference.GetName())
        )
    return whole


def _far_apart(one: Lattice, other: Lattice, whole: Lattice) -> bool:
    """Two drawings of one organ may miss each other, but not by more than both are long."""
    sides_mm = [np.ptp(box.corners[:3], axis=1) for box in (one, other, whole)]
    return bool((sides_mm[2] > 2 * (sides_mm[0] + sides_mm[1])).any())
