"""A data set in any layout -> nnU-Net raw, or one folder a case. What is done is kept, so that a stopped run goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import liverseg_core
from liverseg_core.errors import InputError, LiverSegError, OutputError
from liverseg_core.labels import LABELS

from . import dataset_forms as forms
from .cases import Case
from .dataset_work import MEMORY_GB, worked
from .layouts import cases_below, layout_named

FORMS = ("cases", "nnunet")
PROVENANCE = "provenance.json"


@dataclass(frozen=True)
class Order:
    """Everything `dataset convert` was asked for."""

    folder: Path
    layout: str
    form: str  # of FORMS
    out: Path
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    workers: int = 1
    memory_gb: float = MEMORY_GB


@dataclass(frozen=True)
class Done:
    """How the conversion of one case ended. `record` is what provenance keeps of it."""

    case: str
    error: str = ""
    full: bool = False  # whether the disk, and not the case, is to blame
    kept: bool = False  # done before this run
    record: dict[str, Any] | None = None


@dataclass(frozen=True)
class Tally:
    """How a conversion ended."""

    done: int
    kept: int
    failed: tuple[Done, ...]
    codes: tuple[int, ...]
    dropped: tuple[int, ...]  # codes that not every case annotated, which nnU-Net has no word for

    def sentence(self) -> str:
        kept = f", {self.kept} of them before" if self.kept else ""
        lost = f"; left out, for not every case annotated them: {_named(self.dropped)}" if self.dropped else ""
        return f"{self.done} cases converted{kept}, {len(self.failed)} failed{lost}"


def convert(order: Order, tell: Callable[[Done, int, int], None] = lambda *_: None) -> Tally:
    """Write every case; OutputError as soon as the disk is to blame, and what was written until then is whole."""
    if order.form not in FORMS:
        raise InputError(f"--to {order.form!r}; expected one of: {', '.join(FORMS)}")
    cases = cases_below(order.folder, order.layout, order.include, order.exclude)
    codes = _codes(cases) if order.form == "nnunet" else tuple(sorted({c for case in cases for c in case.annotated}))
    dropped = tuple(sorted({c for case in cases for c in case.annotated} - set(codes)))
    _begin(order, codes)
    work = partial(_converted, layout=order.layout, form=order.form, codes=codes, out=order.out.resolve())
    answers: list[Done] = []
    for one in worked(work, cases, _lost, workers=order.workers, memory_gb=order.memory_gb):
        if one.full:
            raise OutputError(f"{one.error}; what is done is whole: run again when there is room")
        answers.append(one)
        tell(one, len(answers), len(cases))
    failed = tuple(one for one in answers if one.error)
    written = sorted((one for one in answers if not one.error), key=lambda one: one.case)
    _finish(order, codes, [one.record for one in written if one.record is not None])
    return Tally(len(written), sum(one.kept for one in written), failed, codes, dropped)


def _codes(cases: Sequence[Case]) -> tuple[int, ...]:
    """What every case annotated: nnU-Net takes all else for background, which it need not be."""
    readable = [case for case in cases if case.annotated]
    common = set.intersection(*(set(case.annotated) for case in readable)) if readable else set()
    if not common:
        raise InputError("no structure was annotated in every case; convert them apart with --include, or to cases")
    return tuple(sorted(common))


def _begin(order: Order, codes: Sequence[int]) -> None:
    """Refuse a folder that something else was written to."""
    terms = {"layout": order.layout, "form": order.form, "codes": [int(code) for code in codes]}
    begun = order.out / forms.BEGUN
    try:
        order.out.mkdir(parents=True, exist_ok=True)
        if begun.exists() and json.loads(begun.read_text(encoding="utf-8")) != terms:
            raise OutputError(f"{order.out} holds another conversion; choose another --out")
        if not begun.exists() and any(order.out.iterdir()):
            raise OutputError(f"{order.out} already holds files; choose another --out")
        forms.save_text(begun, json.dumps(terms))
        for half in order.out.iterdir():  # of a run that was killed
            if half.is_dir() and half.name.startswith("."):
                shutil.rmtree(half, ignore_errors=True)
    except OSError as problem:
        raise OutputError(f"{order.out} cannot be used: {problem.strerror or problem}") from None
    except ValueError:
        raise OutputError(f"{begun} is damaged; choose another --out") from None


def _converted(case: Case, *, layout: str, form: str, codes: tuple[int, ...], out: Path) -> Done:
    """One case, in a worker process: read, written beside, renamed."""
    try:
        key = _key(case, codes)
        kept = forms.kept(case.id, form, out, key)
        if kept is not None:
            return Done(case.id, kept=True, record=kept)
        scan, mask = case.read()
        if not mask.grid.matches(scan.grid, 0.1):
            raise InputError(
                f"{case.id}: image {scan.grid.size} and labels {mask.grid.size} do not lie on the same grid"
            )
        if any(notice.code == "identity_affine" for notice in scan.notices):
            raise InputError(f"{case.id}: an identity affine, the true spacing is lost")
        record = forms.record_of(case, scan, mask, layout_named(layout), key)
        write = forms.write_case if form == "cases" else partial(forms.write_nnunet, codes=codes)
        write(case.id, scan, mask, record, out)
    except OutputError as problem:
        return Done(case.id, str(problem), full=True)
    except (LiverSegError, OSError, RuntimeError) as problem:
        return Done(case.id, str(problem))
    return Done(case.id, record=record)


def _key(case: Case, codes: tuple[int, ...]) -> str:
    """Of the files by name, size and time, and of what is made of them: a case is converted anew when one changes."""
    recipe = case.reader.recipe if case.reader is not None else ""
    told = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in case.files()]
    facts = (told, recipe, codes, case.phase, case.annotated, case.patient, case.part, case.source)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _lost(case: Case) -> Done:
    return Done(case.id, "the process that worked on it ended without a word (out of memory?); try --workers 1")


def _finish(order: Order, codes: Sequence[int], records: Sequence[dict[str, Any]]) -> None:
    """What holds for all: descriptions, splits and provenance, from the cases that are done."""
    row = layout_named(order.layout)
    head = {
        "layout": order.layout, "title": row.title, "licence": row.licence, "citation": row.citation, "address": row.address,
        "split": row.split, "software": f"LiverSeg {liverseg_core.__version__}", "codes": list(codes),
    }  # fmt: skip
    try:
        forms.save_text(order.out / PROVENANCE, json.dumps({**head, "cases": list(records)}, indent=1))
        finish = forms.finish_cases if order.form == "cases" else forms.finish_nnunet
        finish(order.out, row, tuple(codes), records)
    except OSError as problem:
        raise OutputError(f"{order.out} cannot be written: {problem.strerror or problem}") from None


def _named(codes: Sequence[int]) -> str:
    return ", ".join(LABELS[code].key for code in codes)
