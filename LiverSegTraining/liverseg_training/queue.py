"""Scans without a full reference -> the order in which a person should look at them, the most doubtful one first.

Each is drawn as a case of a cohort is, into the folder that the Slicer panel shows results from; what lies there already
from the same weights is not drawn again.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from liverseg_core.agreement import dsc
from liverseg_core.case_folder import FACTS, QUEUE
from liverseg_core.cohort.case import work_on
from liverseg_core.cohort.ledger import verified
from liverseg_core.cohort.pools import on_processes
from liverseg_core.cohort.records import Case, Settings
from liverseg_core.cohort.table import read_cases
from liverseg_core.cohort.tables import number, replace_text
from liverseg_core.errors import InputError, LiverSegError, OutputError
from liverseg_core.labels import LESION, LIVER
from liverseg_core.library import find_model, verify
from liverseg_core.measurements.flags import LIMITS
from liverseg_core.model_card import ModelCard
from liverseg_core.output import discard_unfinished
from liverseg_core.reading import read_mask

from .cases import META, case_in

TABLE = "queue.csv"
FLAGS: Mapping[
    str, float
] = {  # a warning of the report -> what it adds; one that the numbers hold already adds nothing
    "no_liver_found": 2.0,
    "implausible_volume": 1.0,
    "islands": 1.0,
    "holes": 0.5,
    "model_unfit": 0.5,
}
_COLUMNS = ("rank", "case", "score", "doubt", "accord", "disagreement", "flags", "phase", "model", "error")


@dataclass(frozen=True)
class QueueOrder:
    """What `queue` was asked for. Of several models the first draws what is shown, and the others are held against it."""

    folder: Path
    out: Path | None = None  # default: where the panel looks, FOLDER-liverseg beside the folder
    models: tuple[str, ...] = ("auto",)
    device: str = "auto"
    quality: str = "standard"
    allow_unfit: bool = False
    workers: int = 1  # a network uses every core itself

    @property
    def scans(self) -> Path:
        """The folder of the cases themselves."""
        inner = self.folder / "cases"
        return (inner if inner.is_dir() else self.folder).resolve()

    def results(self, model: str) -> Path:
        own = (self.out or self.scans.parent / f"{self.scans.name}-liverseg").resolve()
        return own if model == self.models[0] else own.with_name(f"{own.name}-{Path(model).name}")


@dataclass(frozen=True)
class Queued:
    """One case and why it stands where it stands. What nobody can say is NaN; an `error` says why there is no answer."""

    case: str
    doubt: float = math.nan  # of the network, as a share of what begins to be reported (1)
    accord: float = math.nan  # DSC of the coarse and the fine stage
    disagreement: float = math.nan  # 1 - DSC of two models' livers, mean over pairs; or of an ensemble's own members
    flags: tuple[str, ...] = ()
    phase: str = ""
    model: str = ""
    error: str = ""

    @property
    def score(self) -> float:
        """Doubt, discord of the stages and disagreement, each 1 where it would be reported, and FLAGS: all together."""
        if self.error:
            return math.nan
        most = 1.0 - LIMITS["accord"].value
        shares = (self.doubt, (1.0 - self.accord) / most, self.disagreement / most)
        return sum(share for share in shares if not math.isnan(share)) + sum(FLAGS.get(f, 0.0) for f in self.flags)

    @property
    def why(self) -> str:
        if self.error:
            return self.error
        told = [f"doubt {self.doubt:.2f} of the limit"] if not math.isnan(self.doubt) else []
        told += [f"stages agree to {self.accord:.2f}"] if not math.isnan(self.accord) else []
        told += [f"models differ by {self.disagreement:.2f}"] if not math.isnan(self.disagreement) else []
        return ", ".join([*told, *self.flags]) or "nothing speaks against it"

    def row(self, rank: int) -> tuple[str, ...]:
        figures = (number(value) for value in (self.score, self.doubt, self.accord, self.disagreement))
        return (str(rank), self.case, *figures, " ".join(self.flags), self.phase, self.model, self.error)


def queue(order: QueueOrder, tell: Callable[[str, int, int], None] = lambda *_: None) -> tuple[Queued, ...]:
    """Rank the cases, and write queue.csv and queue.json beside their results. `tell` hears of each drawing as it is done.

    A case that cannot be read is a row with its sentence, at the end. InputError where there is none to rank.
    """
    _check(order)
    wanted, errors = _unlabelled(order)
    for n, model in enumerate(order.models):
        failed = _drawn(order, model, wanted, tell)
        errors |= {name: f"{model}: {error}" if n else error for name, error in failed.items() if name not in errors}
    ranked = ordered([_queued(order, case.case, errors.get(case.case, "")) for case in wanted])
    ranked += tuple(Queued(name, error=error) for name, error in errors.items() if name not in {q.case for q in ranked})
    _save(ranked, order)
    if all(queued.error for queued in ranked):
        raise InputError(f"none of the {len(ranked)} cases could be drawn; the first: {ranked[0].error}")
    return ranked


def ordered(cases: Sequence[Queued]) -> tuple[Queued, ...]:
    """The highest score first, equal ones by name; cases without an answer at the end."""
    return tuple(sorted(cases, key=lambda q: (bool(q.error), -q.score if not q.error else 0.0, q.case)))


def _check(order: QueueOrder) -> None:
    """Refuse before any work what would spoil all of it."""
    if order.workers < 1:
        raise InputError(f"--workers {order.workers}; expected 1 or more")
    places = {order.results(model) for model in order.models}
    if len(places) != len(order.models) or not places:
        raise InputError(f"--model {','.join(order.models)}; expected one model, or several of different names")
    for model in order.models:
        verify(find_model(model))
        out = order.results(model)
        if out.is_relative_to(order.scans):
            raise OutputError(f"{out} lies inside {order.scans} and would become a case; choose another --out")


def _unlabelled(order: QueueOrder) -> tuple[list[Case], dict[str, str]]:
    """Cases whose reference does not hold everything that the model draws, and what is wrong with others."""
    codes = set(ModelCard.load(find_model(order.models[0])).labels)
    wanted, errors = [], {}
    for case in read_cases(order.scans):
        try:
            if case.scan is not None and not codes <= _annotated(case, codes):
                wanted.append(case)
        except InputError as problem:
            errors[case.case] = str(problem)
    if not wanted and not errors:
        raise InputError(f"every case of {order.scans} has a full reference; there is nothing to queue")
    return wanted, errors


def _annotated(case: Case, codes: set[int]) -> set[int]:
    """The codes that a person has drawn there. A mask whose case says nothing of codes is taken for whole."""
    if case.reference is None or case.scan is None:
        return set()
    place = case.scan.parent
    told = any((place / name).exists() for name in (FACTS, META))
    return set(case_in(place).annotated) if told else codes


def _drawn(
    order: QueueOrder, model: str, cases: Sequence[Case], tell: Callable[[str, int, int], None]
) -> dict[str, str]:
    """Draw what is not there yet. Case -> the sentence of one that failed."""
    settings = Settings(model, order.device, order.quality, allow_unfit=order.allow_unfit)
    out = order.results(model)
    left = [case for case in cases if not _answered(case, settings, out)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OutputError(f"{out} cannot be used for the results: {problem.strerror}") from None
    work = partial(work_on, settings=settings, out=out)
    errors = {}
    for done, (case, error) in enumerate(on_processes(left, work, order.workers, discard_unfinished), start=1):
        if error:
            errors[case.case] = error
        tell(f"{case.case}: {error}" if error else case.case, done, len(left))
    return errors


def _answered(case: Case, settings: Settings, out: Path) -> bool:
    """Whether its results are whole, answer this question, and come from the weights that would draw it now."""
    if verified(case, settings, out / case.folder) is None:
        return False
    told = _report(out / case.folder)
    try:
        now = ModelCard.load(find_model(settings.model, told["phase"]["used"]))
        return bool(told["model"]["sha256"] == now.sha256 and "confidence" in told)
    except (LiverSegError, KeyError, TypeError):
        return False


def _queued(order: QueueOrder, name: str, error: str) -> Queued:
    if error:
        return Queued(name, error=error)
    told = _report(order.results(order.models[0]) / name)
    sure = {key: math.nan if value is None else float(value) for key, value in told["confidence"].items()}
    flags = tuple(sorted({notice["code"] for notice in told["warnings"]} & (FLAGS.keys() | {"low_confidence"})))
    between = _disagreement([order.results(model) / name for model in order.models])
    return Queued(
        name,
        100.0 * sure["doubt"] / (LIMITS["doubt"].value * sure["voxel_mm"]),
        sure["accord"],
        sure.get("apart", math.nan) if math.isnan(between) else between,
        flags,
        told["phase"]["used"],
        told["model"]["name"],
    )


def _disagreement(folders: Sequence[Path]) -> float:
    """1 - DSC of the livers (lesions belong to them); NaN for one model alone, and where neither of two found any."""
    livers = []
    for folder in folders if len(folders) > 1 else ():
        voxels = read_mask(folder / "segmentation.nii.gz").voxels
        livers.append((voxels == LIVER) | (voxels == LESION))
    apart = [1.0 - float(dsc(one, other)) for one, other in combinations(livers, 2) if (one | other).any()]
    return sum(apart) / len(apart) if apart else math.nan


def _report(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return told


def _save(ranked: Sequence[Queued], order: QueueOrder) -> None:
    out = order.results(order.models[0])
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    writer.writerows(queued.row(rank) for rank, queued in enumerate(ranked, start=1))
    replace_text(out / TABLE, text.getvalue())
    cases = [{"case": queued.case, "why": queued.why} for queued in ranked]
    replace_text(out / QUEUE, json.dumps({"cases": cases}, indent=1, ensure_ascii=False) + "\n")
