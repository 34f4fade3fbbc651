"""What is asked of the worker, as arguments of the command line. Pure: paths in, strings out.

Values that may begin with a minus stand behind an equals sign: the command line would take them for options.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_STOPPABLE = frozenset({"segment", "cohort", "fat"})


def takes_stop_file(arguments: Sequence[str]) -> bool:
    """The other commands are over in seconds and write only into the folder of their run: they are killed at once."""
    return bool(arguments) and arguments[0] in _STOPPABLE


def segment_arguments(  # noqa: PLR0913 - one keyword an option of the command
    scan: Path,
    out: Path,
    *,
    phase: str = "auto",
    model: str = "auto",
    device: str = "auto",
    quality: str = "standard",
    patient: Path | None = None,
    allow_unfit: bool = False,
) -> list[str]:
    """Without the page for people: nobody sees it here, and drawing it takes a second."""
    settings = _settings(phase=phase, model=model, device=device, quality=quality)
    options = [*settings, *_path("patient", patient), *_unfit(allow=allow_unfit)]
    return ["segment", str(scan), "--out", str(out), "--no-report", *options]


def measure_arguments(
    mask: Path,
    out: Path,
    *,
    scan: Path | None = None,
    patient: Path | None = None,
    remnant: Sequence[int] = (),
    plane: str = "",
) -> list[str]:
    """`remnant`: codes of a mask of parts that stay; `plane`: x,y,z,nx,ny,nz in LPS mm. One of the two, or none."""
    arguments = ["measure", str(mask), "--out", str(out), *_path("scan", scan), *_path("patient", patient)]
    if remnant:
        arguments.append(f"--remnant={','.join(map(str, remnant))}")
    if plane:
        arguments.append(f"--plane={plane}")
    return arguments


def compare_arguments(
    prediction: Path, reference: Path, out: Path, *, tolerance_mm: float = 2.0, percentile: float = 95.0
) -> list[str]:
    return [
        "compare", str(prediction), str(reference), "--out", str(out), f"--tolerance-mm={tolerance_mm:g}",
        f"--percentile={percentile:g}",
    ]  # fmt: skip


def fat_arguments(  # noqa: PLR0913 - one keyword an option of the command
    echoes: Sequence[Path],
    out: Path,
    *,
    phase: Sequence[Path] = (),
    mask: Path | None = None,
    model: str = "auto",
    te_ms: Sequence[float] = (),
    field_t: float | None = None,
    tr_ms: float | None = None,
    flip_deg: float | None = None,
    method: str = "auto",
    device: str = "auto",
) -> list[str]:
    """With a `mask` no model is asked; times and field that are not given are left to the files, as are TR and flip angle.

    Without the page for people, as in segment_arguments.
    """
    settings = _settings(method=method, device=device)
    arguments = ["fat", *map(str, echoes), "--out", str(out), "--no-report", *settings]
    arguments += _settings(model=model) if mask is None else _path("mask", mask)
    if phase:
        arguments += ["--phase-image", *map(str, phase)]
    if te_ms:
        arguments.append(f"--echo-times-ms={','.join(f'{time:.9g}' for time in te_ms)}")
    numbers = {"field-t": field_t}
    if tr_ms and flip_deg:
        numbers |= {"tr-ms": tr_ms, "flip-deg": flip_deg}
    return arguments + [f"--{name}={number:g}" for name, number in numbers.items() if number]


def cohort_arguments(
    table: Path,
    out: Path,
    *,
    model: str = "auto",
    device: str = "auto",
    quality: str = "standard",
    resume: bool = True,
    allow_unfit: bool = False,
) -> list[str]:
    settings = _settings(model=model, device=device, quality=quality)
    again = ["--resume"] if resume else []
    return ["cohort", str(table), "--out", str(out), *settings, *again, *_unfit(allow=allow_unfit)]


def doctor_arguments() -> list[str]:
    return ["doctor", "--json"]


def models_arguments(action: str, name: str = "") -> list[str]:
    """`action`: list, show, verify, import or remove; `name`: a model, or the file to import."""
    return ["models", action, *([name] if name else [])]


def sample_arguments(kind: str, out: Path, *, contrast: str = "t1") -> list[str]:
    return ["sample", kind, str(out), f"--contrast={contrast}", "--overwrite"]


def _settings(**values: str) -> list[str]:
    return [word for name, value in values.items() for word in (f"--{name}", value)]


def _path(option: str, path: Path | None) -> list[str]:
    return [] if path is None else [f"--{option}", str(path)]


def _unfit(*, allow: bool) -> list[str]:
    return ["--allow-unfit"] if allow else []
