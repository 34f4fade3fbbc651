"""The states of a case in a cohort: what was asked for (Case, Settings), what came of it (Outcome and its rows)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MEASURED, EXPECTED, AGREEMENT, NOTICE = "prediction", "reference", "agreement", "notice"  # where a row comes from


@dataclass(frozen=True)
class Acquisition:
    """The echoes of a case of fat and iron. What the table says of the protocol counts more than the files."""

    echoes: tuple[Path, ...]  # a 4-D file, one file an echo, or DICOM folders
    phase_image: tuple[Path, ...] = ()
    mask: Path | None = None  # the liver; without it a model draws it
    echo_times_ms: tuple[float, ...] = ()
    field_t: float | None = None
    tr_ms: float | None = None
    flip_deg: float | None = None


@dataclass(frozen=True)
class Case:
    """A line of the table. Paths are absolute; `problem` is what is wrong with the line, told when its turn comes."""

    case: str
    scan: Path | None = None
    phase: str = "auto"
    reference: Path | None = None
    prediction: Path | None = None
    model: str = ""  # name or folder; beside a prediction only the name of who drew it
    patient: str = ""  # cases of one patient are resampled together
    series: str | None = None
    volume: int | None = None
    body: Mapping[str, float | str] = field(default_factory=dict)  # height_cm, weight_kg, sex, age_years
    problem: str = ""
    fat: Acquisition | None = None  # a case of fat and iron has this instead of a scan

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file and folder that it is read from."""
        fat = () if self.fat is None else (*self.fat.echoes, *self.fat.phase_image, self.fat.mask)
        return tuple(path for path in (self.scan, self.reference, self.prediction, *fat) if path is not None)

    @property
    def group(self) -> str:
        """The model as readers know it."""
        return Path(self.model).name

    @property
    def folder(self) -> str:
        """Where its results lie below the cohort's folder: the case, or the case and the model where one is named."""
        return f"{self.case}/{self.group}" if self.group else self.case

    @property
    def person(self) -> str:
        return self.patient or self.case

    @property
    def needs_network(self) -> bool:
        return self.prediction is None and (self.fat is None or self.fat.mask is None)


@dataclass(frozen=True)
class Settings:
    """What holds for every case."""

    model: str = "auto"  # where the table names none
    device: str = "auto"
    quality: str = "standard"
    tolerance_mm: float = 2.0
    allow_unfit: bool = False


@dataclass(frozen=True)
class Row:
    """One number about one structure of a case. Undefined is NaN, and then `reason` says why."""

    source: str  # MEASURED, EXPECTED, AGREEMENT or NOTICE
    structure: str
    quantity: str
    value: float
    unit: str
    reason: str = ""
    definition: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a case: rows, or an error."""

    case: str
    folder: str
    person: str
    group: str = ""  # the model as the table names it
    model: str = ""  # the one that drew the prediction, where LiverSeg drew it
    phase: str = ""
    body: Mapping[str, float | str] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    picture: str = ""  # a file in the case's folder
    error: str = ""

    def value(self, source: str, structure: str, quantity: str) -> Row | None:
        wanted = (source, structure, quantity)
        return next((row for row in self.rows if (row.source, row.structure, row.quantity) == wanted), None)
