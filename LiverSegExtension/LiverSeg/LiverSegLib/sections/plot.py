"""Volumes as a bar plot in Slicer's plot view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer

from ..scene.table import fill_table

_ROLES = {  # role of the reference of the parameter node -> class
    "LiverSeg.plotTable": "vtkMRMLTableNode",
    "LiverSeg.plotSeries": "vtkMRMLPlotSeriesNode",
    "LiverSeg.plotChart": "vtkMRMLPlotChartNode",
}


def show_bars(owner: Any, title: str, axis: str, bars: Sequence[tuple[str, float]]) -> Any:
    """One bar a row (name, value); the nodes are those that `owner` (a node) refers to, made once. The chart node."""
    table, series, chart = (_node_of(owner, role, kind, title) for role, kind in _ROLES.items())
    fill_table(table, ("name", axis), bars)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetPlotType(series.PlotTypeBar)
    series.SetYColumnName(axis)
    series.SetLabelColumnName("name")
    series.SetUniqueColor()
    chart.RemoveAllPlotSeriesNodeIDs()
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetTitle(title)
    chart.SetYAxisTitle(axis)
    chart.SetLegendVisibility(False)
    slicer.modules.plots.logic().ShowChartInLayout(chart)
    return chart


def _node_of(owner: Any, role: str, kind: str, name: str) -> Any:
    node = owner.GetNodeReference(role)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass(kind, name)
        owner.SetNodeReferenceID(role, node.GetID())
    return node
