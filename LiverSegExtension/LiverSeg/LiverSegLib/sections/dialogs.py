"""File dialogs that do not stop the panel: they open, and tell later what was chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer


def ask_file(title: str, patterns: str, then: Callable[..., None]) -> None:
    """`patterns`: "Scans (*.nii *.nrrd);;All files (*)"; `then` gets the chosen path, or is never called."""
    dialog = _dialog(title, then)
    dialog.setNameFilters(patterns.split(";;"))
    dialog.setFileMode(qt.QFileDialog.ExistingFile)
    dialog.open()


def ask_folder(title: str, then: Callable[..., None]) -> None:
    dialog = _dialog(title, then)
    dialog.setFileMode(qt.QFileDialog.Directory)
    dialog.open()


def ask_save(title: str, patterns: str, name: str, then: Callable[..., None]) -> None:
    """`name` is proposed; its suffix is added where none is typed."""
    dialog = _dialog(title, then)
    dialog.setNameFilters(patterns.split(";;"))
    dialog.setAcceptMode(qt.QFileDialog.AcceptSave)
    dialog.setDefaultSuffix(Path(name).suffix.lstrip("."))
    dialog.selectFile(name)
    dialog.open()


def _dialog(title: str, then: Callable[..., None]) -> Any:
    dialog = qt.QFileDialog(slicer.util.mainWindow(), title)
    dialog.setAttribute(qt.Qt.WA_DeleteOnClose)
    dialog.connect("fileSelected(QString)", then)
    return dialog
