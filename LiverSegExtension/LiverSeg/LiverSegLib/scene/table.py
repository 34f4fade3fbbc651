"""Rows of text and numbers -> a table node."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import vtk


def fill_table(node: Any, columns: Sequence[str], rows: Sequence[Sequence[str | float]]) -> None:
    """Replace what the table holds. A column of numbers can be plotted; in one of text an undefined number is an empty cell."""
    was_modifying = node.StartModify()
    node.RemoveAllColumns()
    for n, title in enumerate(columns):
        cells = [row[n] for row in rows]
        column = _numbers(cells) if cells and not any(isinstance(cell, str) for cell in cells) else _texts(cells)
        column.SetName(title)
        node.AddColumn(column)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.EndModify(was_modifying)


def _numbers(cells: Sequence[Any]) -> vtk.vtkDoubleArray:
    column = vtk.vtkDoubleArray()
    for cell in cells:
        column.InsertNextValue(float(cell))
    return column


def _texts(cells: Sequence[Any]) -> vtk.vtkStringArray:
    column = vtk.vtkStringArray()
    for cell in cells:
        column.InsertNextValue("" if isinstance(cell, float) and math.isnan(cell) else str(cell))
    return column
