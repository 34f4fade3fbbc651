"""What is asked of the worker, as arguments of the command line. Pure: paths in, strings out.

Values that may begin with a minus stand behind an equals sign: the command line would take them for options.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_STOPPABLE = frozenset({"segment", "cohort"})


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
    settings = _settings(phase=phase, model=model, device=device, quality=quality)
    return ["segment", str(scan), "--out", str(out), *settings, *_path("patient", patient), *_unfit(allow=allow_unfit)]


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
