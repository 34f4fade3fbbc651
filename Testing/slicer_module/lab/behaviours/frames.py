"""ctkCollapsibleButton, ctkCollapsibleGroupBox, ctkPathLineEdit and other frames and fields of CTK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from PySide6 import QtCore, QtGui, QtWidgets

from ..standins import behaviour, emit

NO_LIMIT = 16777215  # QWIDGETSIZE_MAX


def tight(widget: Any, layout: Any = QtWidgets.QHBoxLayout) -> Any:
    """A layout without margins on the widget."""
    made = layout(widget)
    made.setContentsMargins(0, 0, 0, 0)
    return made


def follow(signal: Any, method: Callable[..., None]) -> None:
    """Connects without a slot in Qt's sense: PySide can add none to an object that QUiLoader is just making."""
    signal.connect(lambda *arguments: method(*arguments))  # noqa: PLW0108 (the method itself would become a slot)


@behaviour("ctkCollapsibleButton")
class CollapsibleButton:
    """Checked = open. The children of a closed one are hidden."""

    def _h_init(self: Any) -> None:
        self._h_closed = False
        self.setCheckable(True)
        self.setChecked(True)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Minimum, policy.Preferred)
        self.setContentsMargins(0, self._h_header(), 0, 0)
        self.toggled.connect(lambda on: self._h_close(not on))

    def _h_header(self: Any) -> int:
        return self.fontMetrics().height() + 10

    def _get_collapsed(self: Any) -> bool:
        return self._h_closed

    def _set_collapsed(self: Any, closed: bool) -> None:
        if self.isCheckable():
            self.setChecked(not closed)
        else:
            self._h_close(closed)

    def _h_close(self: Any, closed: bool) -> None:
        if closed == self._h_closed:
            return
        self._h_closed = closed
        self._h_show_children()
        self.setMaximumHeight(self._h_header() if closed else NO_LIMIT)
        self.updateGeometry()
        emit(self, "contentsCollapsed", closed)

    def _h_show_children(self: Any) -> None:
        """A child that its owner hid itself stays hidden when the frame opens."""
        if self._h_closed:
            shown = [
                child for child in self.children() if isinstance(child, QtWidgets.QWidget) and not child.isHidden()
            ]
            self._h_hidden = [*getattr(self, "_h_hidden", ()), *shown]
            for child in shown:
                child.setVisible(False)
        else:
            for child in getattr(self, "_h_hidden", ()):
                child.setVisible(True)
            self._h_hidden = []

    def hitButton(self: Any, position: Any) -> bool:
        return position.y() < self._h_header()

    def paintEvent(self: Any, event: Any) -> None:
        painter, option, arrow = QtGui.QPainter(self), QtWidgets.QStyleOptionButton(), QtWidgets.QStyleOption()
        style, height = QtWidgets.QStyle, self._h_header()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width, height)
        self.style().drawControl(style.ControlElement.CE_PushButtonBevel, option, painter, self)
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(6, (height - 10) // 2, 10, 10)
        right, down = style.PrimitiveElement.PE_IndicatorArrowRight, style.PrimitiveElement.PE_IndicatorArrowDown
        self.style().drawPrimitive(right if self._h_closed else down, arrow, painter, self)
        middle = QtCore.Qt.AlignmentFlag.AlignVCenter | QtCore.Qt.AlignmentFlag.AlignLeft
        painter.drawText(QtCore.QRect(22, 0, self.width - 24, height), middle, self.text.replace("&&", "&"))
        painter.end()

    def sizeHint(self: Any) -> Any:
        inside = self.layout().sizeHint() if self.layout() and not self._h_closed else QtCore.QSize(100, 0)
        header = self.fontMetrics().horizontalAdvance(self.text) + 40
        return QtCore.QSize(max(inside.width(), header), inside.height() + self._h_header())

    def minimumSizeHint(self: Any) -> Any:
        if self._h_closed or not self.layout():
            return QtCore.QSize(0, self._h_header())
        return self.layout().minimumSize() + QtCore.QSize(0, self._h_header())


@behaviour("ctkCollapsibleGroupBox")
class CollapsibleGroupBox:
    """A QGroupBox whose check box opens and closes it."""

    def _h_init(self: Any) -> None:
        self.setCheckable(True)
        self.setChecked(True)
        follow(self.toggled, self._h_open)

    def _get_collapsed(self: Any) -> bool:
        return not self.isChecked()

    def _set_collapsed(self: Any, closed: bool) -> None:
        self.setChecked(not closed)
        self._h_open(not closed)

    def _h_open(self: Any, on: bool) -> None:
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(on)
        self.setMaximumHeight(NO_LIMIT if on else self.fontMetrics().height() + 10)


@behaviour("ctkPathLineEdit")
class PathLineEdit:
    _h_defaults: ClassVar = {"showBrowseButton": True, "showHistoryButton": True}

    def _h_init(self: Any) -> None:
        row = tight(self)
        self._h_text, browse, self._h_history = QtWidgets.QLineEdit(), QtWidgets.QToolButton(), []
        browse.setText("...")
        row.addWidget(self._h_text, 1)
        row.addWidget(browse)
        follow(self._h_text.textChanged, self._h_changed)

    def _h_changed(self: Any, text: str) -> None:
        emit(self, "currentPathChanged", text)
        emit(self, "validInputChanged", bool(text))

    def _get_currentPath(self: Any) -> str:
        return self._h_text.text

    def _set_currentPath(self: Any, path: str) -> None:
        self._h_text.setText(path)

    def setCurrentPath(self: Any, path: str) -> None:
        self._h_text.setText(path)

    def addCurrentPathToHistory(self: Any) -> None:
        if self.currentPath and self.currentPath not in self._h_history:
            self._h_history.append(self.currentPath)


@behaviour("ctkDirectoryButton")
class DirectoryButton:
    def _h_init(self: Any) -> None:
        self._h_folder, self._h_button = ".", QtWidgets.QPushButton()
        tight(self).addWidget(self._h_button)

    def _get_directory(self: Any) -> str:
        return self._h_folder

    def _set_directory(self: Any, folder: str) -> None:
        folder = QtCore.QDir(folder).absolutePath()
        if folder != self._h_folder:
            self._h_folder = folder
            self._h_button.setText(folder)
            emit(self, "directoryChanged", folder)
        emit(self, "directorySelected", folder)
