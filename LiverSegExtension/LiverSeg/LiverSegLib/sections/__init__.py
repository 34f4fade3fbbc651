"""The sections of the panel, one file each: a section draws what is so and hands on what was clicked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slicer.util import VTKObservationMixin

WRONG = "color: #c0392b"  # of a sentence that tells of a failure; readable on Slicer's light and dark style


class Section(VTKObservationMixin):
    """What every section can do. Observers added with `addObserver` and connections made with `on` end with `close`."""

    lane = ""  # the controller whose every word redraws this section; "" for none

    def __init__(self, ui: Any, panel: Any) -> None:
        super().__init__()
        self.ui = ui
        self.panel = panel
        self._connections: list[tuple[Any, str, Callable[..., None]]] = []

    def on(self, widget: Any, signal: str, handler: Callable[..., Any]) -> None:
        """Connect `signal` ("clicked()") to `handler`, whose errors become a sentence above the section."""
        guarded = self.panel.guarded(handler)

        def slot(*arguments: Any) -> None:
            if signal.startswith("clicked"):  # what was said of another button is over
                self.panel.say("")
                self.panel.listens_to(self)
            guarded(*arguments)

        widget.connect(signal, slot)
        self._connections.append((widget, signal, slot))

    def off(self, widgets: Sequence[Any]) -> None:
        """Undo the connections of widgets that are about to go: what they hold on to would stay with them."""
        gone = [held for held in self._connections if any(held[0] is widget for widget in widgets)]
        self._connections = [held for held in self._connections if held not in gone]
        for widget, signal, slot in gone:
            widget.disconnect(signal, slot)

    def draw(self) -> None:
        """Show what is so: cheap, called often, with a parameter node or without one (`panel.parameters` is None)."""

    def enter(self) -> None:
        """The module came to the front."""

    def exit(self) -> None:
        """The module was left: give back effects and shortcuts."""

    def edited(self) -> None:
        """Voxels of the chosen segmentation have changed, or a segment came or went."""

    def scene_closing(self) -> None:
        """The scene is about to be emptied: forget every node."""

    def close(self) -> None:
        """The module is unloaded or reloaded."""
        self.removeObservers()
        for widget, signal, slot in self._connections:
            widget.disconnect(signal, slot)
        self._connections.clear()


def fill(combo: Any, rows: Sequence[tuple[str, str]], chosen: str = "") -> None:
    """Rows (key, text) into a combo box, `chosen` current where it is a key (else the first); no signal is sent."""
    blocked = combo.blockSignals(True)
    if [(combo.itemData(n), combo.itemText(n)) for n in range(combo.count)] != list(rows):
        combo.clear()
        for key, text in rows:
            combo.addItem(text, key)
    keys = [key for key, _text in rows]
    combo.currentIndex = keys.index(chosen) if chosen in keys else min(0, len(keys) - 1)
    combo.blockSignals(blocked)


def chosen(combo: Any) -> str:
    """The key of the current row; "" where there is none."""
    return combo.itemData(combo.currentIndex) or ""
