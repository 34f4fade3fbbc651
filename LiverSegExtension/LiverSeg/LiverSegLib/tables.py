"""What the worker wrote -> tables to show: text cells, and for each row the sentences of its tooltip. Plain Python."""

from __future__ import annotations

import csv
import io
import json
import math
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from liverseg_core.labels import LABELS, LESION, LIVER, name_of

from .controller import UserError

COLUMNS = ("Structure", "Quantity", "Value", "Unit", "Note")
MEASURED = ("structure", "quantity", "value", "unit", "reason")  # the columns of measurements.csv
FITTED = ("region", "quantity", "value", "unit", "reason")  # of fat.csv
AGREED = ("structure", "quantity", "value", "unit", "definition", "reason")  # and of agreement.csv

_DECIMALS = {
    "ml": 1,
    "mm": 2,
    "%": 1,
    "1/s": 1,
    "mg/g": 2,
    "bit": 2,
    "HU": 1,
    "ml/m2": 0,
    "ml/kg": 1,
    "m2": 2,
    "percentage points": 1,
}
_OTHER_DECIMALS = 4
_COUNTS = ("count", "lesions_", "lesion_false_positives", "voxels", "steatosis_grade", "iron_band")
_SHORT = {
    "dsc": "DSC", "iou": "IoU", "fdr": "FDR", "rvd": "RVD", "avd": "AVD", "asd": "ASD",
    "assd": "ASSD", "nsd": "NSD", "f1": "F1", "flr": "FLR", "bsa": "BSA", "iou10": "IoU > 0.1", "pred": "prediction",
    "pdff": "PDFF", "ff": "Fat fraction", "r2star": "R2*", "sd": "SD", "iqr": "IQR", "cv": "CV", "lic": "iron concentration",
    "p5": "5th percentile", "p10": "10th percentile", "p25": "25th percentile", "p75": "75th percentile",
    "p90": "90th percentile", "p95": "95th percentile", "ref": "reference", "pyradiomics": "(PyRadiomics)", "ellipsoid": "(ellipsoid)",
}  # fmt: skip
_UNITS_IN_NAMES = ("_ml", "_mm")
_FIRST = (  # what a reader looks for, before everything else
    ("liver", "volume"), ("liver_parenchyma", "volume"), ("lesion", "volume"), ("liver", "tumour_burden"),
    ("lesion", "count"), ("lesion", "largest_axial_diameter"), ("spleen", "volume"),
    ("remnant", "volume"), ("remnant", "flr"), ("remnant", "flr_standardised"), ("resected", "volume"),
    ("liver", "standard_volume"), ("liver", "volume_per_bsa"), ("remnant", "volume_per_bsa"),
    ("liver", "ff_median"), ("liver", "ff_mean"), ("liver", "ff_sd"),
    ("liver", "pdff_median"), ("liver", "pdff_mean"), ("liver", "pdff_sd"), ("liver", "r2star_median"),
    ("liver", "r2star_mean"), ("liver", "r2star_sd"), ("liver", "lic"), ("liver", "steatosis_grade"), ("liver", "iron_band"),
)  # fmt: skip
_LESION = LABELS[LESION].key
_EMPTY_LESION = "the lesion segment is empty"
_NONE_TAKEN_OFF = "Lesions are not known here: none was taken off. "  # the worker's, of a mask without lesions
_CUT = "liver_cut_by_scan"


@dataclass(frozen=True)
class Line:
    """One number of a table. Undefined is NaN, and then `reason` says why; a defined one may carry a remark."""

    structure: str  # a key, such as liver or lesion_1
    quantity: str
    value: float
    unit: str  # "1" for a number without unit
    definition: str = ""
    reason: str = ""
    name: str = ""  # what the user calls the structure, where that is not our own word

    @property
    def cells(self) -> tuple[str, ...]:
        """In the order of COLUMNS; an undefined value is an empty cell."""
        unit = "" if self.unit == "1" else self.unit
        return (self.name or name_of(self.structure), words(self.quantity), self.shown, unit, self.reason)

    @property
    def shown(self) -> str:
        if math.isnan(self.value):
            return ""
        if self.quantity.startswith(_COUNTS) and self.value == int(self.value):
            return str(int(self.value))
        return f"{self.value:.{_DECIMALS.get(self.unit, _OTHER_DECIMALS)}f}"

    @property
    def region(self) -> str:
        """What fat.csv calls the structure."""
        return self.structure

    @property
    def tip(self) -> str:
        """What the number is of, how it is defined, and what is to be known of it."""
        structure, quantity = self.cells[:2]
        return "\n".join(text for text in (f"{structure}: {quantity}", self.definition, self.reason) if text)


@dataclass(frozen=True)
class Table:
    """Lines in the order in which they are shown."""

    lines: tuple[Line, ...] = ()

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return [line.cells for line in self.lines]

    @property
    def tips(self) -> list[str]:
        return [line.tip for line in self.lines]

    def value(self, structure: str, quantity: str) -> float:
        """NaN where the table has no such row."""
        found = (line.value for line in self.lines if (line.structure, line.quantity) == (structure, quantity))
        return next(found, math.nan)

    def joined(self, other: Table) -> Table:
        """With the other's lines behind; where both speak of one number, this one's stands."""
        held = {(line.structure, line.quantity) for line in self.lines}
        more = (line for line in other.lines if (line.structure, line.quantity) not in held)
        return Table((*self.lines, *more))

    def kept(self) -> str:
        """As text from which `restored` makes the same table: letters and digits alone, so that any file can hold it."""
        return b64encode(json.dumps([asdict(line) for line in self.lines]).encode()).decode()

    @classmethod
    def restored(cls, text: str) -> Table:
        """Empty for a text that `kept` did not write."""
        try:
            return cls(tuple(Line(**line) for line in json.loads(b64decode(text))))
        except (ValueError, TypeError):
            return cls()

    def tabbed(self) -> str:
        """For the clipboard: a spreadsheet takes tabs."""
        return "\n".join("\t".join(row) for row in (COLUMNS, *self.rows)) + "\n"

    def csv(self, columns: Sequence[str] = AGREED) -> str:
        """As the worker writes it: keys instead of words, all the digits, an undefined value as an empty cell."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(columns)
        for line in self.lines:
            value = "" if math.isnan(line.value) else repr(line.value)
            writer.writerow(value if column == "value" else getattr(line, column) for column in columns)
        return out.getvalue()


def words(quantity: str) -> str:
    """A quantity's key as a reader calls it; its unit has a column of its own."""
    stem = next((quantity.removesuffix(unit) for unit in _UNITS_IN_NAMES if quantity.endswith(unit)), quantity)
    parts = [_SHORT.get(part, part.upper() if part[:2] == "hd" else part) for part in stem.split("_")]
    return " ".join([parts[0][:1].upper() + parts[0][1:], *parts[1:]])


def agreement_table(path: Path, names: Mapping[str, str] | None = None) -> Table:
    """agreement.csv as a table; `names` says how the user calls a structure's key. UserError for another file."""
    lines = [_line(row, names or {}) for row in _records(path, AGREED)]
    return Table(tuple(lines))


def measurements_table(path: Path, known: Collection[str] = (), model: str = "") -> Table:
    """report.json of `segment` or `measure` as a table, what a reader looks for first. UserError for another file.

    `known` are the keys of the structures that were looked for: an empty lesion segment means that there is no lesion,
    and without that segment lesions are unknown, because `model` has no label for them.
    """
    report = _report(path)
    lines = [_line(row, {}) for row in report["measurements"]]
    if known:
        cut = any(notice.get("code") == _CUT for notice in report.get("warnings", []))
        lines = _with_lesions(lines, lesions_known=_LESION in known, model=model, cut=cut)
    return Table(tuple(sorted(lines, key=_rank)))


def parts_table(path: Path, names: Mapping[int, str]) -> Table:
    """report.json of a mask of parts, which leaves the lesions out: the remnant, and each part by the user's name."""
    wanted = {f"part_{code}": name for code, name in names.items()}
    lines = [_line(row, wanted) for row in _report(path)["measurements"]]
    kept = [line for line in lines if line.structure == "remnant" or line.structure in wanted]
    told = [replace(line, reason=line.reason.removeprefix(_NONE_TAKEN_OFF)) for line in kept]
    return Table(tuple(sorted(told, key=_rank)))


def fat_table(path: Path) -> Table:
    """report.json of `fat` as a table, the liver's medians first. UserError for another file."""
    return Table(tuple(sorted((_line(row, {}) for row in _report(path)["measurements"]), key=_rank)))


def notices(path: Path) -> list[str]:
    """The sentences that a reader of report.json or agreement.json must know."""
    return [str(notice["text"]) for notice in _json(path).get("warnings", []) if "text" in notice]


def bars(table: Table) -> list[tuple[str, float]]:
    """(name, ml) of every volume that is defined, single lesions left out: what the plot shows."""
    return [
        (line.cells[0], line.value)
        for line in table.lines
        if line.quantity == "volume" and not math.isnan(line.value) and not line.structure.startswith(f"{_LESION}_")
    ]


def _with_lesions(lines: list[Line], *, lesions_known: bool, model: str, cut: bool) -> list[Line]:
    """The worker sees voxels alone. Whether lesions were looked for is known here: that is said of both numbers."""
    if any(line.structure == _LESION for line in lines):
        return lines
    absent = f"the model {model} has no lesion label" if model else "the segmentation has no lesion segment"
    reason = _EMPTY_LESION if lesions_known else absent
    nothing = 0.0 if lesions_known else math.nan
    volume = Line(_LESION, "volume", nothing, "ml", "voxels x voxel volume", reason)
    burden = math.nan if cut or not _volume_of_liver(lines) > 0 else nothing
    why = "the scan ends inside the liver: its volume is a part" if cut and lesions_known else reason
    told = [replace(line, value=burden, reason=why) if line.quantity == "tumour_burden" else line for line in lines]
    return [*told, volume]


def _volume_of_liver(lines: Iterable[Line]) -> float:
    return Table(tuple(lines)).value(LABELS[LIVER].key, "volume")


def _rank(line: Line) -> int:
    key = (line.structure, line.quantity)
    return _FIRST.index(key) if key in _FIRST else len(_FIRST)


def _line(row: Mapping[str, Any], names: Mapping[str, str]) -> Line:
    value = row["value"]
    number = math.nan if value in (None, "") else float(value)
    structure = str(row["structure"])
    unit, definition, reason = (str(row[key] or "") for key in ("unit", "definition", "reason"))
    return Line(structure, str(row["quantity"]), number, unit, definition, reason, names.get(structure, ""))


def _records(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            held, rows = reader.fieldnames or (), list(reader)
    except (OSError, ValueError) as problem:
        raise UserError(f"{path.name} cannot be read: {problem}.") from None
    uneven = any(None in row or None in row.values() for row in rows)  # longer or shorter than the heading
    if uneven or not {*columns} <= {*held}:
        raise UserError(f"{path.name} is no table of the worker: expected the columns {', '.join(columns)}.")
    return rows


def _report(path: Path) -> dict[str, Any]:
    report = _json(path)
    rows = report.get("measurements")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() >= {*AGREED} for row in rows):
        raise UserError(f"{path.name} is no report of the worker: it holds no list of measurements.")
    return report


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UserError(f"{path.name} cannot be read: {problem}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path.name} is no report of the worker.")
    return content
