"""What the panel remembers, saved with the scene."""

from __future__ import annotations

from typing import Annotated, Any

import slicer
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class Parameters:
    """One field a parameter; a widget of the .ui whose SlicerParameterName is the field's name follows it."""

    volume: slicer.vtkMRMLScalarVolumeNode
    segmentation: slicer.vtkMRMLSegmentationNode
    reference: slicer.vtkMRMLSegmentationNode
    plane: slicer.vtkMRMLMarkupsPlaneNode
    model: str = "auto"
    quality: str = "standard"
    device: str = "auto"
    all_models: bool = False
    more_models: bool = False
    show_helpers: bool = False
    tolerance_mm: Annotated[float, WithinRange(0.1, 20.0)] = 2.0
    percentile: Annotated[float, WithinRange(50.0, 100.0)] = 95.0
    height_cm: Annotated[float, WithinRange(0.0, 250.0)] = 0.0  # 0: not given
    weight_kg: Annotated[float, WithinRange(0.0, 350.0)] = 0.0  # 0: not given
    sex: str = ""
    field_t: Annotated[float, WithinRange(0.0, 12.0)] = 0.0  # 0: as the scan tells; so are the next two
    tr_ms: Annotated[float, WithinRange(0.0, 10000.0)] = 0.0
    flip_deg: Annotated[float, WithinRange(0.0, 180.0)] = 0.0
    fat_liver: str = "segmentation"
    fat_method: str = "auto"
    fat_map: str = ""  # which one lies over the slices


def _observed(self: Any, event: Any, callback: Any, priority: float = 0.0) -> int:
    tag = self.parameterNode.AddObserver(event, callback, priority)
    self.__dict__.setdefault("tags", []).append(tag)
    return tag


Parameters.AddObserver = (
    _observed  # the wrapper observes its node and forgets the tag: the observer would outlive the panel
)


def bound(node: Any, ui: Any) -> Parameters:
    """The parameters of `node` (vtkMRMLScriptedModuleNode), tied both ways to the widgets that name one of them."""
    parameters = Parameters(node)
    named = {w.property("SlicerParameterName"): w for w in vars(ui).values() if w.property("SlicerParameterName")}
    parameters.gui_tag = parameters.connectParametersToGui(named)
    return parameters


def release(parameters: Parameters) -> None:
    """Untie the widgets and take every observer off the node."""
    parameters.disconnectGui(parameters.gui_tag)
    for tag in parameters.__dict__.pop("tags", []):
        parameters.parameterNode.RemoveObserver(tag)
