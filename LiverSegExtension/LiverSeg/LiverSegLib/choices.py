"""What the panel offers: phases, models and devices, each with the words that stand beside it. No Qt, no MRML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from liverseg_core.errors import LiverSegError
from liverseg_core.library import DEFAULT_MODEL, WEIGHTS, installed
from liverseg_core.model_card import CARD, NOT_MEASURED, ModelCard
from liverseg_core.phases import PHASES
from liverseg_core.recognition import recognise

if TYPE_CHECKING:
    import numpy as np

QUALITY_TEXTS = {
    "fast": "Fast (coarse outline)",
    "standard": "Standard",
    "best": "Best (mirrored passes averaged)",
}
_START_S, _S_A_VOXEL = (
    2.5,
    3.0e-8,
)  # `segment` on two cores of a CPU with 16-bit arithmetic: 5.9 and 78.6 million voxels
_SHARE = {"fast": 0.8, "standard": 1.0, "best": 1.4}  # of that time


@dataclass(frozen=True)
class ModelChoice:
    """One row of the model combo. `sentence` says why it does not fit the phase, "" where it does."""

    name: str
    text: str
    fit: bool
    measured: str
    licence: str
    size_mb: float
    folder: Path
    research: bool
    knows_lesions: bool
    sentence: str = ""

    @property
    def facts(self) -> str:
        """The line below the combo."""
        return f"{self.measured} · {self.size_mb:.0f} MB · {self.licence or 'licence not stated'}"


@dataclass(frozen=True)
class DeviceChoice:
    """One row of the device combo: `key` is what --device takes."""

    key: str
    text: str


@dataclass(frozen=True)
class Detected:
    """The phase a volume seems to have, and why."""

    phase: str
    why: str

    @property
    def sentence(self) -> str:
        return self.why if self.phase else f"Phase not known: {self.why}"


@dataclass(frozen=True)
class Past:
    """What an earlier run took here."""

    device: str
    quality: str
    voxels: int
    seconds: float


def phase_choices() -> list[tuple[str, str]]:
    """("auto", ...) first, then every row of PHASES."""
    return [("auto", "Detect from the scan"), *((key, row.meaning) for key, row in PHASES.items())]


def model_choices(phase: str, *, more: bool = False) -> list[ModelChoice]:
    """Every installed model that can be read: fit ones first, then the best measured, the default one before others.

    `more` adds the reproductions of published systems and the models that do not fit `phase` ("auto" fits none badly).
    """
    choices = [choice for folder in installed().values() if (choice := _choice(folder, phase)) is not None]
    if not more:
        choices = [choice for choice in choices if not choice.research and (choice.fit or phase == "auto")]
    return sorted(choices, key=lambda c: (not c.fit, c.research, c.name != DEFAULT_MODEL, c.name))


def card_of(folder: Path) -> ModelCard:
    """Of a model; read again only where the file has changed, for the panel draws itself often. Raises as ModelCard.load."""
    try:
        modified_ns = (folder / CARD).stat().st_mtime_ns
    except OSError:
        return ModelCard.load(folder)  # it says what is missing
    return _read_card(folder, modified_ns)


def device_choices(
    doctor: Mapping[str, Any] | None, voxels: int = 0, past: Sequence[Past] = (), quality: str = "standard"
) -> list[DeviceChoice]:
    """What `liverseg doctor --json` found; before it answered, what always can be asked for. The time beside the CPU is
    that of `quality`."""
    found = ((doctor or {}).get("torch") or {}).get("devices") or [{"key": "cpu"}]
    gpus = [device for device in found if device["key"] != "cpu"]
    cpu = f"CPU, {spelled(seconds_expected(voxels, 'cpu', quality, doctor, past))}" if voxels else "CPU"
    automatic = f"Automatic ({gpus[0].get('name', gpus[0]['key'])})" if gpus else f"Automatic ({cpu})"
    return [DeviceChoice("auto", automatic), *(DeviceChoice(g["key"], _gpu(g)) for g in gpus), DeviceChoice("cpu", cpu)]


def seconds_expected(
    voxels: int, device: str, quality: str, doctor: Mapping[str, Any] | None = None, past: Sequence[Past] = ()
) -> float:
    """How long `segment` will take, in seconds: a line through what was measured, bent to what earlier runs took here."""
    expected = _line(voxels, quality) * (1.0 if past else _slower(doctor))
    ratios = [run.seconds / _line(run.voxels, run.quality) for run in past if run.device == device]
    return expected * median(ratios) if ratios else expected


def spelled(seconds: float) -> str:
    """ "about 40 s", "about 3 min"."""
    if seconds < 10:
        return f"about {max(1, round(seconds))} s"
    return f"about {5 * round(seconds / 5)} s" if seconds < 100 else f"about {round(seconds / 60)} min"


def detected(tags: Mapping[str, object], values: np.ndarray | None = None) -> Detected:
    """From the DICOM tags where there are any, else CT or MR from the intensities (an array of them, any shape)."""
    if tags.get("Modality"):
        try:
            found = recognise(tags)
        except LiverSegError as problem:
            return Detected("", str(problem))
        return Detected(found.phase, found.how)
    if values is None or values.size == 0:
        return Detected("", "the volume has no DICOM tags and no voxels")
    from liverseg_core.recognition.intensities import guess_modality

    guess = guess_modality(values)
    return Detected(f"{guess.modality.lower()}_unknown", f"{guess.sentence}; the volume has no DICOM tags")


def unfit(choice: ModelChoice | None, phase: str) -> str:
    """The warning beside the phase, or ""."""
    return "" if choice is None or phase == "auto" else choice.sentence


@lru_cache(maxsize=64)
def _read_card(folder: Path, _modified_ns: int) -> ModelCard:
    return ModelCard.load(folder)


def _choice(folder: Path, phase: str) -> ModelChoice | None:
    try:
        card = card_of(folder)
        size_mb = (folder / WEIGHTS).stat().st_size / 1e6
    except (LiverSegError, OSError):
        return None  # `models verify` and the table of models tell what is wrong with it
    fit = phase in card.fit_phases
    text = f"{card.name} {card.version}" + (" (default)" if card.name == DEFAULT_MODEL else "")
    sentence = ""
    if not fit and phase in PHASES:
        sentence = f"{card.name} was not made for {PHASES[phase].meaning}: the result may be wrong."
    return ModelChoice(
        card.name, text, fit or phase == "auto", _measured(card, phase), card.licence, size_mb, folder, card.research,
        2 in card.labels, sentence,
    )  # fmt: skip


def _measured(card: ModelCard, phase: str) -> str:
    if phase == "auto":
        rows = [f"{_meaning(key)} {row.dsc:.3f}" for key, row in card.measured.items() if row.dsc is not None]
        return f"Mean DSC on real scans: {'; '.join(rows)}" if rows else NOT_MEASURED.capitalize()
    row = card.measured_on(phase)
    if row.dsc is None:
        return NOT_MEASURED.capitalize()
    return f"Mean DSC {row.dsc:.3f} on {row.n} real scans ({row.cases})"


def _meaning(phase: str) -> str:
    return PHASES[phase].meaning if phase in PHASES else phase


def _gpu(device: Mapping[str, Any]) -> str:
    name = f"{device['key']}: {device.get('name', 'GPU')}"
    return f"{name}, {device['free_gb']:g} of {device['total_gb']:g} GB free" if "free_gb" in device else name


def _line(voxels: int, quality: str) -> float:
    return _SHARE[quality] * (_START_S + _S_A_VOXEL * voxels)


def _slower(doctor: Mapping[str, Any] | None) -> float:
    """Without 16-bit arithmetic, and on one core, the CPU takes longer than where the line was measured."""
    told = doctor or {}
    half = str((told.get("torch") or {}).get("16 bits", "")).startswith("used")
    return (1.0 if half else 2.0) * (2.0 if told.get("processors") == 1 else 1.0)
