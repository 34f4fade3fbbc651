"""The table of volumes that may be echoes: what each is for, and when it was taken."""

from __future__ import annotations

from functools import partial
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..echoes import ROLES, Candidate, Row, guessed_roles, spelled_times
from ..scene.echoes import candidates_in, look_of
from . import Section, chosen, fill

_COLUMNS = ("Volume", "Use", "Echo times (ms)")
_TIMES = 2


class EchoTable:
    """Roles are guessed where nobody chose one; what was chosen or typed stays as long as its node."""

    def __init__(self, section: Section) -> None:
        self._section, self._table = section, section.ui.echoTable
        self._look: list[tuple[str, str, int]] = []
        self._candidates: list[Candidate] = []
        self._roles: dict[str, str] = {}  # by hand
        self._typed: dict[str, str] = {}
        self._combos: list[Any] = []
        self._table.setColumnCount(len(_COLUMNS))
        self._table.setHorizontalHeaderLabels([_(title) for title in _COLUMNS])
        section.on(self._table, "cellChanged(int,int)", self._cell_changed)

    def draw(self) -> None:
        """The scene is looked through only where it has changed: headers are read."""
        look = look_of(slicer.mrmlScene)
        if look != self._look:
            self._look, self._candidates = look, candidates_in(slicer.mrmlScene)
            self._fill()

    def rows(self) -> list[Row]:
        """Every volume, used or not."""
        guessed = guessed_roles(self._candidates)
        roles = guessed if not self._roles.keys() & {one.id for one in self._candidates} else {}
        return [
            Row(one, self._roles.get(one.id, roles.get(one.id, "")), self._typed.get(one.id, spelled_times(one.te_ms)))
            for one in self._candidates
        ]

    def forget(self) -> None:
        self._section.off(self._combos)
        self._look, self._candidates, self._combos = [], [], []
        self._roles.clear()
        self._typed.clear()
        self._table.setRowCount(0)

    def _fill(self) -> None:
        table, rows = self._table, self.rows()
        self._section.off(self._combos)
        blocked = table.blockSignals(True)
        table.setRowCount(len(rows))
        self._combos = [self._combo(row) for row in rows]
        for n, row in enumerate(rows):
            name = qt.QTableWidgetItem(row.candidate.name)
            name.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            count = len(row.candidate.sizes)
            size = " x ".join(map(str, row.candidate.sizes[0]))
            name.setToolTip(_("{0}: {1} volumes of {2} voxels").format(row.candidate.name, count, size))
            table.setItem(n, 0, name)
            table.setCellWidget(n, 1, self._combos[n])
            times = qt.QTableWidgetItem(row.times)
            times.setToolTip(
                _("Milliseconds, one for each volume, such as 1.15, 2.1, 3.05; double-click to change them.")
            )
            table.setItem(n, _TIMES, times)
        table.blockSignals(blocked)
        table.setColumnWidth(0, 130)
        table.setColumnWidth(1, 100)

    def _combo(self, row: Row) -> Any:
        combo = qt.QComboBox()
        fill(combo, [(key, _(text)) for key, text in ROLES.items()], row.role)
        combo.toolTip = _("What {0} is used for.").format(row.candidate.name)
        self._section.on(combo, "currentIndexChanged(int)", partial(self._choose, row.candidate.id, combo))
        return combo

    def _choose(self, node_id: str, combo: Any) -> None:
        """From now on nothing is guessed: what the others show was meant, too."""
        self._roles = {row.candidate.id: row.role for row in self.rows()} | {node_id: chosen(combo)}
        self._section.panel.changed()

    def _cell_changed(self, row: int, column: int) -> None:
        if column == _TIMES:
            self._typed[self._candidates[row].id] = self._table.item(row, column).text()
