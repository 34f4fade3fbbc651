"""The layout manager; with views shown (`desk.show_views`) its slice and 3-D widgets stand for real off-screen views."""

from __future__ import annotations

from typing import Any

import slicer

from ..standins import behaviour, emit


class SliceWidget:
    """What layoutManager().sliceWidget("Red") is to a script, on a real off-screen view."""

    def __init__(self, view: Any) -> None:
        self._view = view
        self.mrmlSliceNodeID = view.node.GetID()

    def sliceLogic(self) -> Any:
        return self._view.logic

    def mrmlSliceNode(self) -> Any:
        return self._view.node

    def mrmlSliceCompositeNode(self) -> Any:
        return self._view.logic.GetSliceCompositeNode()

    def sliceController(self) -> Any:
        return self

    def sliceView(self) -> Any:
        return self

    def fitSliceToBackground(self) -> None:
        self._view.logic.FitSliceToBackground()

    def setSliceVisible(self, on: bool) -> None:
        self._view.node.SetSliceVisible(on)

    def renderWindow(self) -> Any:
        return self._view.window

    def forceRender(self) -> None:
        self._view.window.Render()

    def scheduleRender(self) -> None:
        self._view.requests += 1


class ThreeDWidget:
    def __init__(self, view: Any) -> None:
        self._view = view

    def threeDView(self) -> Any:
        return self

    def mrmlViewNode(self) -> Any:
        return self._view.node

    def viewLogic(self) -> Any:
        return self._view.logic

    def cameraNode(self) -> Any:
        return self._view.camera()

    def renderWindow(self) -> Any:
        return self._view.window

    def resetFocalPoint(self, *_: Any) -> None:
        self._view.fit()

    def resetCamera(self, *_: Any) -> None:
        self._view.fit()

    def forceRender(self) -> None:
        self._view.window.Render()


@behaviour("qMRMLLayoutManager")
class Layout:
    """Without `_h_show` there are no views, as when Slicer runs without a main window."""

    def _h_init(self: Any) -> None:
        self._h_slices: dict[str, Any] = {}
        self._h_spaces: list[Any] = []
        self._h_layout = 3  # four-up

    def _h_show(self: Any, slices: dict[str, Any], spaces: list[Any]) -> None:
        self._h_slices = {name: SliceWidget(view) for name, view in slices.items()}
        self._h_spaces = [ThreeDWidget(view) for view in spaces]

    def sliceViewNames(self: Any) -> tuple[str, ...]:
        return tuple(self._h_slices)

    def sliceWidget(self: Any, name: str) -> Any:
        return self._h_slices.get(name)

    def threeDWidget(self: Any, which: Any) -> Any:
        return self._h_spaces[which] if isinstance(which, int) and which < len(self._h_spaces) else None

    def _get_threeDViewCount(self: Any) -> int:
        return len(self._h_spaces)

    def _get_layout(self: Any) -> int:
        return self._h_layout

    def _set_layout(self: Any, number: int) -> None:
        self._h_layout = number
        emit(self, "layoutChanged", number)

    def mrmlScene(self: Any) -> Any:
        return slicer.mrmlScene

    def mrmlSliceLogics(self: Any) -> Any:
        return slicer.app.applicationLogic().GetSliceLogics()

    def resetSliceViews(self: Any) -> None:
        for widget in self._h_slices.values():
            widget.fitSliceToBackground()

    def resetThreeDViews(self: Any) -> None:
        for widget in self._h_spaces:
            widget.resetFocalPoint()
