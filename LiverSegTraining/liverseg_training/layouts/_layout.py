"""What is known of a data set before one file of it is opened, and the ways in which a case of it cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from liverseg_core.errors import InputError
from liverseg_core.records import LabelMask, Scan

from ..cases import Case

LIVER_HU = (0.0, 200.0)  # the mean in a liver: fatty without contrast agent to bright with it


@dataclass(frozen=True)
class Layout:
    """One data set: its terms, and how its folder becomes cases. The docs and the provenance of a conversion repeat it."""

    title: str
    licence: str
    citation: str
    address: str
    phase: str  # in words; every case carries its key
    labels: Mapping[str, int]  # what the data set calls it (a value or a name) -> our code; 0: drawn, and none of ours
    split: str  # in words; every case carries its part
    expects: str  # what a folder must hold, for whoever named another one
    find: Callable[[Path], Iterable[Case]]
    liver_hu: tuple[float, float] = LIVER_HU  # CT: where the mean inside the liver must lie


class UnfitError(InputError):
    """A case that cannot be used; `code` names the kind of fault in the tables of `dataset check`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code

    def __reduce__(self) -> tuple[type[UnfitError], tuple[str, str]]:
        return UnfitError, (self.code, str(self))


@dataclass(frozen=True)
class Refused:
    """The reader of a case of which it is known before reading that it cannot be used."""

    code: str
    text: str

    def read(self, phase: str) -> tuple[Scan, LabelMask]:  # noqa: ARG002
        self._refuse()

    def files(self) -> tuple[Path, ...]:
        self._refuse()

    @property
    def recipe(self) -> str:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UnfitError(self.code, self.text)


def refused(name: str, phase: str, code: str, text: str) -> Case:
    """A case that is listed, so that nobody misses it, and cannot be read."""
    nowhere = Path()
    return Case(name, nowhere, nowhere, phase, (), reader=Refused(code, text))
