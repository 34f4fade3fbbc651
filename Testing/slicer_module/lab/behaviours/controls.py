"""Numbers: ctkSliderWidget, ctkDoubleSpinBox, ctkDoubleSlider, ctkRangeWidget; and ctkCheckableComboBox."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from PySide6 import QtCore, QtWidgets

from ..standins import behaviour, emit
from .frames import follow, tight

STEPS = 1000  # of the slider, whatever the range


class Number:
    """value, minimum, maximum, singleStep and decimals; assign `minimum` and `maximum`, for the setters are C++ only."""

    _h_defaults: ClassVar = {
        "minimum": 0.0,
        "maximum": 100.0,
        "singleStep": 1.0,
        "pageStep": 10.0,
        "decimals": 2,
        "tracking": True,
    }
    _h_parts = (True, True)  # slider, spin box

    def _h_init(self: Any) -> None:
        row, self._h_busy, self._h_value = tight(self), False, 0.0
        self._h_slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal) if self._h_parts[0] else None
        self._h_spin = QtWidgets.QDoubleSpinBox() if self._h_parts[1] else None
        if self._h_slider is not None:
            self._h_slider.setRange(0, STEPS)
            row.addWidget(self._h_slider, 1)
            follow(self._h_slider.valueChanged, self._h_slid)
        if self._h_spin is not None:
            row.addWidget(self._h_spin)
            follow(self._h_spin.valueChanged, self._h_typed)
        self._h_show()

    def _h_slid(self: Any, step: int) -> None:
        if not self._h_busy and math.isfinite(self.maximum - self.minimum):
            self.value = self.minimum + (self.maximum - self.minimum) * step / STEPS

    def _h_typed(self: Any, value: float) -> None:
        if not self._h_busy:
            self.value = value

    def _get_value(self: Any) -> float:
        return self._h_value

    def _set_value(self: Any, value: float) -> None:
        if math.isfinite(value):
            value = round(value, self.decimals)
        value, before = min(max(value, self.minimum), self.maximum), self._h_value
        self._h_value = value
        self._h_show()
        if value != before:
            emit(self, "valueChanged", value)

    def _set_minimum(self: Any, value: float) -> None:
        self._h_p_minimum = value
        self._h_p_maximum = max(self.maximum, value)
        self._set_value(self._h_value)

    def _set_maximum(self: Any, value: float) -> None:
        self._h_p_maximum = value
        self._h_p_minimum = min(self.minimum, value)
        self._set_value(self._h_value)

    def _set_decimals(self: Any, count: int) -> None:
        self._h_p_decimals = count
        self._set_value(self._h_value)

    def _h_show(self: Any) -> None:
        if self._h_busy:
            return
        self._h_busy = True
        width = self.maximum - self.minimum
        if self._h_spin is not None:
            self._h_spin.setDecimals(max(0, self.decimals))
            self._h_spin.setRange(max(self.minimum, -1e9), min(self.maximum, 1e9))
            self._h_spin.setSingleStep(self.singleStep)
            self._h_spin.setSuffix(getattr(self, "suffix", ""))
            self._h_spin.setValue(self._h_value)
        if self._h_slider is not None and math.isfinite(width) and width > 0:
            self._h_slider.setValue(round(STEPS * (self._h_value - self.minimum) / width))
        self._h_busy = False


behaviour("ctkSliderWidget")(Number)


@behaviour("ctkDoubleSlider")
class Slider(Number):
    _h_parts = (True, False)


@behaviour("ctkDoubleSpinBox")
class SpinBox(Number):
    _h_parts = (False, True)


@behaviour("ctkRangeWidget")
class Range:
    _h_defaults: ClassVar = {
        "minimum": 0.0,
        "maximum": 99.0,
        "minimumValue": 0.0,
        "maximumValue": 99.0,
        "decimals": 2,
        "singleStep": 1.0,
    }

    def setRange(self: Any, low: float, high: float) -> None:
        self._h_p_minimum, self._h_p_maximum = float(low), float(high)
        emit(self, "rangeChanged", float(low), float(high))
        self.setValues(self.minimumValue, self.maximumValue)

    def setValues(self: Any, low: float, high: float) -> None:
        low, high = sorted(min(max(float(value), self.minimum), self.maximum) for value in (low, high))
        before = (self.minimumValue, self.maximumValue)
        self._h_p_minimumValue, self._h_p_maximumValue = low, high
        if low != before[0]:
            emit(self, "minimumValueChanged", low)
        if high != before[1]:
            emit(self, "maximumValueChanged", high)
        if (low, high) != before:
            emit(self, "valuesChanged", low, high)

    def _set_minimumValue(self: Any, value: float) -> None:
        self.setValues(value, max(value, self.maximumValue))

    def _set_maximumValue(self: Any, value: float) -> None:
        self.setValues(min(value, self.minimumValue), value)

    def _set_minimum(self: Any, value: float) -> None:
        self.setRange(value, max(value, self.maximum))

    def _set_maximum(self: Any, value: float) -> None:
        self.setRange(min(value, self.minimum), value)


@behaviour("ctkCheckableComboBox")
class CheckableComboBox:
    def _h_checked(self: Any) -> list[int]:
        role, checked = QtCore.Qt.ItemDataRole.CheckStateRole, (QtCore.Qt.CheckState.Checked, 2)
        return [row for row in range(self.count) if self.itemData(row, role) in checked]

    def checkedIndexes(self: Any) -> list[Any]:
        return [self.model().index(row, 0) for row in self._h_checked()]

    def allChecked(self: Any) -> bool:
        return len(self._h_checked()) == self.count

    def noneChecked(self: Any) -> bool:
        return not self._h_checked()

    def checkState(self: Any, index: Any) -> Any:
        return self.itemData(index.row(), QtCore.Qt.ItemDataRole.CheckStateRole) or QtCore.Qt.CheckState.Unchecked

    def setCheckState(self: Any, index: Any, state: Any) -> None:
        self.setItemData(index.row(), state, QtCore.Qt.ItemDataRole.CheckStateRole)
        emit(self, "checkedIndexesChanged")
