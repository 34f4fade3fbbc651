"""What a model expects and what it answers.

The training package writes the card beside the weights; preparation, inference,
restoration and the Slicer module obey it. Nothing about a model is written anywhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import ModelError
from .labels import LABELS
from .phases import PHASES

if TYPE_CHECKING:
    from .geometry import IntTriple

CARD = "card.json"
CROPS = ("none", "body", "previous")
POST_STEPS = ("largest", "fill_holes", "min_ml")
NOT_MEASURED = "not measured on real scans"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Stage:
    """One pass of one network. Arrays and windows are [k, j, i]; `spacing_mm` is (x, y, z)."""

    network: str  # a file of liverseg_core/networks
    labels: tuple[int, ...]  # the code of output channel 1, 2, ...; channel 0 is the background
    window: IntTriple  # the largest block the network sees at once; [1, j, i] in 2-D
    spacing_mm: tuple[float | None, float | None, float | None]  # None: the scan's own
    normalisation: Mapping[str, str]  # modality -> a row of preparation.NORMALISATIONS
    options: Mapping[str, Any] = field(default_factory=dict)
    dims: int = 3
    channels: tuple[str, ...] = ("image",)
    optional: tuple[
        str, ...
    ] = ()  # of the channels, echoes that may be missing: they are zero then, as training left them
    snap: IntTriple | None = None  # smaller regions become one window of a multiple of this; None: always `window`
    crop: str = "none"
    margin_mm: float = 0.0  # around what the previous stage found
    inside: int = 0  # a code of the stages before: this one draws into it and leaves the rest of their mask; 0: none
    reach_mm: float = 0.0  # the network sees air further than this from `inside`
    sure: float = 0.0  # a twentieth of a structure's voxels must reach this probability, or it was not found
    mirror: tuple[str, ...] = ()  # axes among "j", "k" that training flipped; quality "best" averages over them
    post: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # code -> steps, in order

    def __post_init__(self) -> None:
        _demand(self.dims in (2, 3), f"dims must be 2 or 3, not {self.dims!r}")
        _demand(len(self.spacing_mm) == 3 and all(s is None or s > 0 for s in self.spacing_mm),
                f"spacing_mm must be three positive numbers or null, not {self.spacing_mm}")  # fmt: skip
        _demand(len(self.window) == 3 and min(self.window) >= 1, f"window must be three counts, not {self.window}")
        _demand(self.dims == 3 or self.window[0] == 1, f"a 2-D stage has a window of one slice, not {self.window}")
        _demand(bool(self.labels) and set(self.labels) <= LABELS.keys(), f"labels must be codes, not {self.labels}")
        _demand(
            set(self.optional) <= set(self.channels) and all(last_echo([name]) > 1 for name in self.optional),
            f"optional may hold channels from echo:2 on, not {self.optional}",
        )
        _demand(self.crop in CROPS, f"crop must be one of {CROPS}, not {self.crop!r}")
        _demand(not self.inside or (self.crop == "previous" and self.inside in LABELS.keys() - set(self.labels)),
                f"a stage that draws inside a code crops to it and draws others; not inside {self.inside}, "
                f"crop {self.crop!r}, labels {self.labels}")  # fmt: skip
        _demand(self.reach_mm >= 0.0, f"reach_mm must not be negative, it is {self.reach_mm}")
        _demand(0.0 <= self.sure < 1.0, f"sure must be a probability below 1, not {self.sure}")
        _demand(set(self.mirror) <= {"j", "k"}, f"mirror may hold j and k (never left-right), not {self.mirror}")
        _demand(
            all(code.isdigit() and int(code) in LABELS for code in self.post),
            f"post is listed by code, not {list(self.post)}",
        )
        wrong = [step for steps in self.post.values() for step in steps if not _is_step(step)]
        _demand(not wrong, f"post may hold {POST_STEPS} (min_ml:NUMBER), not {wrong}")


@dataclass(frozen=True)
class Measured:
    """DSC of the whole liver on real scans of one phase, native grid; `dsc` is None where nobody measured."""

    dsc: float | None = None
    worst: float | None = None
    n: int = 0
    cases: str = NOT_MEASURED

    def __post_init__(self) -> None:
        _demand((self.dsc is None) == (self.n == 0), "a measured DSC needs n cases, and none needs none")


@dataclass(frozen=True)
class ModelCard:
    """A trained model, in the words of CONTRACT. `fit_phases` are those it may be run on without --allow-unfit;
    `research` marks the reproduction of a published system: a panel lists it apart."""

    name: str
    version: str
    stages: tuple[Stage, ...]
    fit_phases: tuple[str, ...]
    sha256: str = ""  # of the weights file
    licence: str = ""
    date: str = ""
    experiment: tuple[str, ...] = ()
    training_data: tuple[str, ...] = ()
    intended_use: str = ""
    known_failures: tuple[str, ...] = ()
    research: bool = False
    measured: Mapping[str, Measured] = field(default_factory=dict)  # phase key -> what was measured

    def __post_init__(self) -> None:
        _demand(bool(self.stages), f"{self.name}: a model needs at least one stage")
        _demand(self.stages[0].crop != "previous", f"{self.name}: the first stage has no previous one to crop to")
        for n, stage in enumerate(self.stages[1:], start=1):
            given = sorted({code for before in self.stages[:n] for code in before.labels})
            _demand(not stage.inside or stage.inside in given,
                    f"{self.name}: stage {n + 1} draws inside {_named([stage.inside])}, which no stage before it "
                    f"gives (they give {_named(given)}); put one that does before it")  # fmt: skip
        strange = (set(self.fit_phases) | set(self.measured)) - PHASES.keys()
        _demand(not strange, f"{self.name}: unknown phases {sorted(strange)}")

    @property
    def echoes_needed(self) -> int:
        """How many echoes an acquisition must have; 1 for a model that reads one image."""
        return max(last_echo(set(stage.channels) - set(stage.optional)) for stage in self.stages)

    @property
    def labels(self) -> tuple[int, ...]:
        """Every code the model can answer, in order."""
        return tuple(sorted({code for stage in self.stages for code in stage.labels}))

    def measured_on(self, phase: str) -> Measured:
        return self.measured.get(phase, Measured())

    @classmethod
    def load(cls, folder: Path) -> ModelCard:
        """Read strictly: ModelError for a missing or broken file and for unknown keys."""
        path = folder / CARD
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ModelError(
                f"{folder} is not a model: it has no {CARD}; a model is a folder of card and weights"
            ) from None
        except (OSError, ValueError) as problem:
            raise ModelError(f"{path} cannot be read as JSON ({problem}); copy the model again") from None
        try:
            stages = tuple(_strict(Stage, stage, f"{path}: stage {n}") for n, stage in enumerate(raw.pop("stages", ())))
            measured = {key: _strict(Measured, row, f"{path}: {key}") for key, row in raw.pop("measured", {}).items()}
            return _strict(cls, {**raw, "stages": stages, "measured": measured}, str(path))
        except (TypeError, AttributeError) as problem:
            raise ModelError(f"{path} is not a model card: {problem}") from None

    def save(self, folder: Path) -> None:
        (folder / CARD).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def last_echo(channels: Iterable[str]) -> int:
    """The largest N among the channels echo:N; 1, the scan itself, where there is none."""
    return max((int(found[1]) for name in channels if (found := re.fullmatch(r"echo:(\d+)", name))), default=1)


def _named(codes: Iterable[int]) -> str:
    return ", ".join(f"{code} {LABELS[code].name}" for code in codes if code in LABELS)


def _is_step(text: str) -> bool:
    """ "largest", "fill_holes" or "min_ml:NUMBER"."""
    name, colon, argument = text.partition(":")
    try:
        return name in POST_STEPS and (float(argument) >= 0 if name == "min_ml" else not colon)
    except ValueError:
        return False


def _strict(kind: type[_T], raw: Mapping[str, Any], where: str) -> _T:
    unknown = raw.keys() - {f.name for f in fields(kind)}  # type: ignore[arg-type]
    _demand(not unknown, f"{where}: unknown keys {sorted(unknown)}; this version of LiverSeg cannot obey them")
    return kind(**{key: frozen(value) for key, value in raw.items()})


def frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: frozen(inner) for key, inner in value.items()}
    return tuple(frozen(inner) for inner in value) if isinstance(value, list) else value


def _demand(condition: bool, sentence: str) -> None:  # noqa: FBT001
    if not condition:
        raise ModelError(sentence)
