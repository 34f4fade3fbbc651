"""A CSV or a folder of studies -> Cases. Only the form is judged here: a file that is missing is its case's own error."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from ..errors import InputError
from .records import Acquisition, Case

COLUMNS: Mapping[str, str] = {
    "case": "its name, that of its folder of results",
    "scan": "a file or a DICOM folder",
    "phase": "a key of `liverseg phases`, or auto",
    "reference": "a mask to compare with",
    "prediction": "a mask that is there already: nothing is segmented",
    "echoes": "of fat and iron, instead of a scan: a 4-D file or a DICOM folder, or files with ; between them",
    "phase_image": "the phases of the same echoes",
    "mask": "the liver on the echoes; without it a model draws it",
    "echo_times_ms": "with ; between them, where the files do not say them",
    "field_t": "field strength in tesla, where the files do not say it",
    "tr_ms": "repetition time of the echoes, where the files do not say it",
    "flip_deg": "flip angle of the echoes, where the files do not say it",
    "model": "who draws the prediction, or drew it; a case may stand on a line for each model",
    "patient": "lines of one patient are resampled together; without it every case is a patient",
    "series": "UID of a DICOM series",
    "volume": "which volume of a 4-D file, counted from 0",
    "height_cm": "of the patient",
    "weight_kg": "of the patient",
    "age_years": "of the patient",
    "sex": "of the patient",
}
_BODY = {"height_cm": float, "weight_kg": float, "age_years": float, "sex": str}
_PROTOCOL = ("field_t", "tr_ms", "flip_deg")
_WITH_ECHOES = ("phase_image", "mask", "echo_times_ms", *_PROTOCOL)
_WITHOUT_ECHOES = ("scan", "prediction", "reference", "phase", "series", "volume")
_SUFFIXES = (".nii.gz", ".seg.nrrd", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_STUDY = {  # the files of a study's folder, by the names that data sets give them
    "scan": ("image", "scan"),
    "reference": ("labels", "reference"),
    "prediction": ("prediction", "segmentation"),
}
_FAT_STUDY = {"echoes": ("magnitude", "echoes"), "phase_image": ("phase", "phase_rad"), "mask": ("mask", "labels")}
_FORBIDDEN = set('/\\:*?"<>|')
_TAKEN = {"cohort.csv", "cohort_wide.csv", "cohort.html"}
_LONGEST = 100


def read_cases(place: Path) -> tuple[Case, ...]:
    """Every case of a table or a folder. InputError for what is not a table of cases, naming the line."""
    try:
        cases = _of_folder(place) if place.is_dir() else _of_table(place)
    except OSError as problem:
        raise InputError(f"{place} cannot be read: {problem.strerror or problem}") from None
    if not cases:
        raise InputError(f"{place} holds no case; expected a table with a line, or a folder with a study, for each")
    return cases


def _of_table(path: Path) -> tuple[Case, ...]:
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a table (.csv) of cases, or a folder of studies")
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True))
    except (UnicodeDecodeError, csv.Error) as problem:
        raise InputError(f"{path} is not a table ({problem}); expected CSV in UTF-8") from None
    numbered = [(n, line) for n, line in enumerate(lines, start=1) if any(cell.strip() for cell in line)]
    if not numbered:
        return ()
    columns = _columns([cell.strip().casefold() for cell in numbered[0][1]], path)
    base = path.resolve().parent
    cases: list[Case] = []
    seen: dict[str, int] = {}
    for n, line in numbered[1:]:
        case = _case(_cells(line, columns, path, n), base, f"{path}, line {n}")
        _refuse_twice(case, seen, n, path)
        cases.append(case)
    return tuple(cases)


def _delimiter(text: str) -> str:
    """Spreadsheets of some countries write semicolons."""
    first = text.partition("\n")[0]
    return ";" if ";" in first and "," not in first else ","


def _columns(names: list[str], path: Path) -> list[str]:
    for name in names:
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, 1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(f"{path} has an unknown column {name!r}; {hint}known: {', '.join(COLUMNS)}")
        if names.count(name) > 1:
            raise InputError(f"{path} has the column {name!r} twice; expected each once")
    if "case" not in names:
        raise InputError(f"{path} has no column 'case'; expected one that names each case")
    if not {"scan", "prediction", "echoes"} & set(names):
        raise InputError(f"{path} has neither a column 'scan' nor 'prediction' nor 'echoes'; expected one of them")
    return names


def _cells(line: list[str], columns: list[str], path: Path, n: int) -> dict[str, str]:
    if len(line) > len(columns) and any(cell.strip() for cell in line[len(columns) :]):
        raise InputError(f"{path}, line {n} has {len(line)} cells, the heading {len(columns)}; quote cells with commas")
    return {name: cell.strip() for name, cell in zip(columns, line) if cell.strip()}


def _case(cells: dict[str, str], base: Path, where: str) -> Case:
    name = _folder_name(cells.get("case", ""), where)
    problems: list[str] = []
    fat = _acquisition(cells, base, problems)
    if "scan" not in cells and "prediction" not in cells and fat is None:
        problems.append("neither a scan nor a prediction nor echoes are named")
    body = {key: _number(cells, key, kind, problems) for key, kind in _BODY.items() if key in cells}
    volume = _number(cells, "volume", int, problems) if "volume" in cells else None
    paths = {key: _path(cells[key], base) for key in ("scan", "reference", "prediction") if key in cells}
    model = cells.get("model", "")
    if model:
        _folder_name(Path(model).name, where)
    if any(sign in model for sign in "/\\") or (model and (base / model).is_dir()):
        model = str(_path(model, base))
    return Case(
        name, paths.get("scan"), cells.get("phase", "auto"), paths.get("reference"), paths.get("prediction"), model,
        cells.get("patient", ""), cells.get("series"), int(volume) if isinstance(volume, (int, float)) else None, body,
        f"{where}: {'; '.join(problems)}" if problems else "", fat,
    )  # fmt: skip


def _acquisition(cells: dict[str, str], base: Path, problems: list[str]) -> Acquisition | None:
    """What a line says of echoes; None where it names none."""
    wrong = _WITHOUT_ECHOES if "echoes" in cells else _WITH_ECHOES
    strange = [name for name in wrong if name in cells]
    if strange:
        problems.append(f"{', '.join(strange)} {'does' if len(strange) == 1 else 'do'} not go "
                        f"{'with' if 'echoes' in cells else 'without'} echoes")  # fmt: skip
    if ("tr_ms" in cells) != ("flip_deg" in cells):
        problems.append("tr_ms and flip_deg belong together")
    if "echoes" not in cells:
        return None
    told = {name: _number(cells, name, float, problems) for name in _PROTOCOL if name in cells}
    times = [
        _number({"echo_times_ms": one}, "echo_times_ms", float, problems) for one in _listed(cells, "echo_times_ms")
    ]
    paths = {name: tuple(_path(one, base) for one in _listed(cells, name)) for name in ("echoes", "phase_image")}
    return Acquisition(
        paths["echoes"], paths["phase_image"], _path(cells["mask"], base) if "mask" in cells else None,
        tuple(t for t in times if isinstance(t, float)), **{name: t for name, t in told.items() if isinstance(t, float)},
    )  # fmt: skip


def _listed(cells: dict[str, str], name: str) -> list[str]:
    return [one.strip() for one in cells.get(name, "").split(";") if one.strip()]


def _number(cells: dict[str, str], key: str, kind: type, problems: list[str]) -> float | str:
    try:
        value: float | str = kind(cells[key])
        return value
    except ValueError:
        problems.append(f"{key} is {cells[key]!r}, expected a {'whole number' if kind is int else 'number'}")
        return cells[key]


def _path(text: str, base: Path) -> Path:
    """Relative to the table's folder; absolute ones stay."""
    return Path(os.path.normpath(base / Path(text).expanduser()))


def _folder_name(name: str, where: str) -> str:
    """What can be the name of a folder on every system."""
    if not name:
        raise InputError(f"{where} names no case; expected a name for each")
    unfit = _FORBIDDEN & set(name) or not name.isprintable() or name.startswith(".") or name.endswith((".", " "))
    if unfit or len(name) > _LONGEST or name.casefold() in _TAKEN:
        raise InputError(
            f"{where}: {name!r} cannot be the name of a folder; expected letters, digits, - and _, at most {_LONGEST}"
        )
    return name


def _refuse_twice(case: Case, seen: dict[str, int], line: int, path: Path) -> None:
    """Letters of two sizes are one name on some systems."""
    key = case.folder.casefold()
    if key in seen:
        model = f" with the model {case.group!r}" if case.group else ""
        raise InputError(
            f"{path}, line {line}: the case {case.case!r}{model} stands on line {seen[key]} already; expected each once"
        )
    if case.case.casefold() in seen if case.group else any(other.startswith(f"{key}/") for other in seen):
        raise InputError(f"{path}, line {line}: the case {case.case!r} stands there with and without a model")
    seen[key] = line


def _of_folder(folder: Path) -> tuple[Case, ...]:
    """Every sub-folder and every image file is a study; hidden ones are left out."""
    cases: dict[str, Case] = {}
    for entry in sorted(folder.resolve().iterdir()):
        name = _stem(entry.name) if entry.is_file() else entry.name
        if entry.name.startswith(".") or not name:
            continue
        case = Case(_folder_name(name, str(folder)), entry) if entry.is_file() else _study(entry)
        if name.casefold() in cases:
            raise InputError(f"{folder} holds two studies named {name!r}; rename one, or write a table")
        cases[name.casefold()] = case
    return tuple(cases.values())


def _study(folder: Path) -> Case:
    """A folder with image files, told apart by their names, or else one of DICOM files."""
    case = Case(_folder_name(folder.name, str(folder.parent)), folder)
    files = {stem: file for file in sorted(folder.iterdir()) if file.is_file() and (stem := _stem(file.name))}
    if not files:
        return case
    known = {role: _first(files, names) for role, names in _STUDY.items()}
    fat = {role: _first(files, names) for role, names in _FAT_STUDY.items()}
    if known["scan"] is None and known["prediction"] is None and fat["echoes"] is not None:
        phases = () if fat["phase_image"] is None else (fat["phase_image"],)
        return replace(case, scan=None, fat=Acquisition((fat["echoes"],), phases, fat["mask"]))
    if known["scan"] is None and known["prediction"] is None:
        if len(files) > 1:
            names = " or ".join(_STUDY["scan"])
            return replace(case, problem=f"{folder} holds {len(files)} images, none named {names}; write a table")
        known["scan"] = next(iter(files.values()))
    return replace(case, **known)  # type: ignore[arg-type]


def _first(files: Mapping[str, Path], names: Iterable[str]) -> Path | None:
    return next((files[name] for name in names if name in files), None)


def _stem(name: str) -> str:
    """Without the suffix of an image file; nothing for other files."""
    suffix = next((s for s in _SUFFIXES if name.lower().endswith(s)), None)
    return name[: -len(suffix)] if suffix else ""
