"""Off-screen slice and 3-D views: real view nodes, logics and displayable managers on a plain render window.

The image actor alone is ours; in the application CTK's light box draws the blended image of the slice logic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

SLICE_MANAGERS = (
    "VolumeGlyphSliceDisplayableManager", "ModelSliceDisplayableManager", "CrosshairDisplayableManager",
    "OrientationMarkerDisplayableManager", "RulerDisplayableManager", "ScalarBarDisplayableManager",
    "SegmentationsDisplayableManager2D", "MarkupsDisplayableManager", "TransformsDisplayableManager2D",
    "ColorLegendDisplayableManager",
)  # fmt: skip
SPACE_MANAGERS = (
    "CameraDisplayableManager", "ViewDisplayableManager", "ModelDisplayableManager", "CrosshairDisplayableManager3D",
    "ThreeDReformatDisplayableManager", "OrientationMarkerDisplayableManager", "RulerDisplayableManager",
    "SegmentationsDisplayableManager3D", "MarkupsDisplayableManager", "TransformsDisplayableManager3D",
    "VolumeRenderingDisplayableManager", "ColorLegendDisplayableManager",
)  # fmt: skip
Size = tuple[int, int]


class View:
    """A render window with the displayable managers of one kind of view; `requests` counts asked-for renders."""

    logic: Any
    node: Any

    def __init__(self, size: Size, factory: Any, managers: tuple[str, ...]) -> None:
        self.renderer, self.window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.ShowWindowOff()
        self.window.SetSize(*size)
        self.window.SetMultiSamples(4)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.Initialize()
        self.interactor.UpdateSize(*size)
        self.application = slicer.app.applicationLogic()
        instance = factory.GetInstance()
        instance.SetMRMLApplicationLogic(self.application)
        for name in (f"vtkMRML{manager}" for manager in managers):
            if not instance.IsDisplayableManagerRegistered(name):
                instance.RegisterDisplayableManager(name)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.SetRenderer(self.renderer)
        self.group.Initialize(instance, self.renderer)
        self.requests = 0
        self.group.AddObserver(vtk.vtkCommand.UpdateEvent, self._asked)

    def _asked(self, *_: Any) -> None:
        self.requests += 1  # the application schedules a render here

    def picture(self) -> np.ndarray:
        """What the view shows now, [row, column, RGB], first row on top."""
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].copy()

    def close(self) -> None:
        """The view's node goes, too: it is a singleton that would come back with the next view of its name."""
        self.group.SetMRMLDisplayableNode(None)
        self.window.Finalize()
        self.logic.SetMRMLScene(None)
        slicer.mrmlScene.RemoveNode(self.node)


class SliceView(View):
    """A slice view, for example SliceView("Red", "Axial")."""

    def __init__(self, name: str = "Red", orientation: str = "Axial", size: Size = (400, 400)) -> None:
        super().__init__(size, slicer.vtkMRMLSliceViewDisplayableManagerFactory, SLICE_MANAGERS)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.mapper = vtk.vtkImageMapper()
        self.mapper.SetColorWindow(255)
        self.mapper.SetColorLevel(127.5)
        self.actor = vtk.vtkActor2D()
        self.actor.SetMapper(self.mapper)
        self.actor.GetProperty().SetDisplayLocationToBackground()
        self.actor.VisibilityOff()
        self.renderer.AddViewProp(self.actor)
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(self.application)
        self.application.GetSliceLogics().AddItem(self.logic)
        self.logic.AddObserver(vtk.vtkCommand.ModifiedEvent, self._connect)
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.node = self.logic.AddSliceNode(name)
        self.group.SetMRMLDisplayableNode(self.node)
        self.node.SetOrientation(orientation)
        self.logic.ResizeSliceNode(*size)

    def _connect(self, *_: Any) -> None:
        connection = self.logic.GetImageDataConnection()
        self.mapper.SetInputConnection(connection)
        self.actor.SetVisibility(bool(connection))

    def show(self, volume: Any, foreground: Any = None, opacity: float = 0.5) -> None:
        composite = self.logic.GetSliceCompositeNode()
        composite.SetBackgroundVolumeID(volume.GetID() if volume else None)
        composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)
        composite.SetForegroundOpacity(opacity)
        self.logic.FitSliceToBackground()
        self.logic.SnapSliceOffsetToIJK()

    def close(self) -> None:
        composite = self.logic.GetSliceCompositeNode()
        self.application.GetSliceLogics().RemoveItem(self.logic)
        super().close()
        slicer.mrmlScene.RemoveNode(composite)


class SpaceView(View):
    """A 3-D view."""

    def __init__(self, name: str = "1", size: Size = (400, 400)) -> None:
        super().__init__(size, slicer.vtkMRMLThreeDViewDisplayableManagerFactory, SPACE_MANAGERS)
        self.renderer.SetUseDepthPeeling(True)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(self.application)
        self.application.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.node = self.logic.AddViewNode(name)
        self.group.SetMRMLDisplayableNode(self.node)
        self.renderer.SetBackground(*self.node.GetBackgroundColor())
        self.renderer.SetBackground2(*self.node.GetBackgroundColor2())
        self.renderer.GradientBackgroundOn()

    def camera(self) -> Any:
        return self.group.GetDisplayableManagerByClassName("vtkMRMLCameraDisplayableManager").GetCameraNode()

    def fit(self) -> None:
        """The camera sees everything but the box and its letters."""
        box, letters = self.node.GetBoxVisible(), self.node.GetAxisLabelsVisible()
        self.node.SetBoxVisible(0)
        self.node.SetAxisLabelsVisible(0)
        self.renderer.ResetCamera()
        self.node.SetBoxVisible(box)
        self.node.SetAxisLabelsVisible(letters)
        self.node.InvokeEvent(slicer.vtkMRMLViewNode.ResetFocalPointRequestedEvent)
        self.renderer.ResetCamera()
        self.renderer.ResetCameraClippingRange()

    def close(self) -> None:
        self.application.GetViewLogics().RemoveItem(self.logic)
        super().close()
