"""The module opened on the stand-ins, and a worker that says what a test lets it say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
from liverseg_core.geometry import Grid
from liverseg_core.synthetic import abdomen

DOOR = Path(__file__).resolve().parents[2] / "LiverSegExtension" / "LiverSeg" / "LiverSeg.py"
SMALL = Grid((68, 48, 42), (5.2, 5.2, 6.0), (-174.0, -122.0, -130.0))  # the synthetic abdomen, coarse: seconds on a CPU


@cache
def small_abdomen() -> Any:
    """Scan and truth; half a second of computing, once."""
    return abdomen("ct", grid=SMALL)[:2]


class SlowJob:
    """A worker that says what a test lets it say."""

    made: ClassVar[list[SlowJob]] = []

    def start(self, arguments: Sequence[str], told: Callable[..., None], ended: Callable[..., None]) -> None:
        self.arguments, self.told, self.ended, self.cancels = list(arguments), told, ended, 0
        SlowJob.made.append(self)

    def cancel(self) -> None:
        self.cancels += 1

    def says(self, event: str, **facts: Any) -> None:
        from LiverSegLib.events import Event

        self.told(Event(event, facts))

    def ends(self, code: int, text: str = "") -> None:
        from LiverSegLib.controller import Ending

        self.ended(Ending(code, False, text))


@pytest.fixture
def module(desk: Any, scene: Any) -> Iterator[Any]:
    """The module as Slicer loads it; closed afterwards."""
    module = desk.open_module(DOOR)
    yield module
    module.widgetRepresentation().self().cleanup()


@pytest.fixture
def panel(module: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The panel in front, with jobs that do nothing by themselves."""
    SlowJob.made.clear()
    page = module.widgetRepresentation()
    panel = page.self().panel
    panel.new_job = SlowJob
    panel.sections["setup"]._asked = True  # no look at this computer unless a test wants one
    page.enter()
    return panel


@pytest.fixture
def chosen(panel: Any) -> Any:
    """The small synthetic CT, chosen by the selector."""
    from slicer_module.lab import volumes

    node = volumes.volume_node(small_abdomen()[0], "abdomen")
    panel.ui.volumeSelector.setCurrentNode(node)
    return node


def wait(panel: Any, lane: str, longest_s: float = 90.0) -> Any:
    """The state in which the lane comes to rest."""
    import slicer

    end = time.monotonic() + longest_s
    while panel.controllers[lane].state.busy:
        slicer.app.processEvents()
        time.sleep(0.005)
        assert time.monotonic() < end, f"{lane} is not over"
    return panel.controllers[lane].state


def status(panel: Any, lane: str = "segment") -> str:
    return panel.controllers[lane].state.status.name


def rows(combo: Any) -> list[str]:
    return [combo.itemText(n) for n in range(combo.count)]


def pick(combo: Any, key: str) -> None:
    combo.currentIndex = [combo.itemData(n) for n in range(combo.count)].index(key)
