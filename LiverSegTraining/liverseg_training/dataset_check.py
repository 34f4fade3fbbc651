"""Folders -> a verdict: every case looked at, then compared with every other; a table, and a page with pictures."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path

from liverseg_core.output import check_output, written_whole
from liverseg_core.reporting import save_rows

from . import pages
from .cases import Case
from .dataset_across import between
from .dataset_findings import FAULTS, Finding, Looked
from .dataset_look import look_at
from .dataset_work import MEMORY_GB, worked
from .layouts import cases_below, layout_named


@dataclass(frozen=True)
class Asked:
    """A folder and its layout."""

    folder: Path
    layout: str
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """All cases after their check, findings between them included."""

    cases: tuple[Looked, ...]

    @property
    def unfit(self) -> tuple[Looked, ...]:
        return tuple(looked for looked in self.cases if looked.faults)

    @property
    def sound(self) -> bool:
        return not self.unfit

    def sentence(self) -> str:
        count = sum(len(looked.faults) for looked in self.unfit)
        if self.sound:
            return f"{len(self.cases)} cases, nothing wrong"
        return f"{count} faults in {len(self.unfit)} of {len(self.cases)} cases"


def check(
    asked: Sequence[Asked],
    *,
    workers: int = 1,
    memory_gb: float = MEMORY_GB,
    picture: bool = True,
    tell: Callable[[Looked, int, int], None] = lambda *_: None,
) -> Verdict:
    """Look at every case of the first data set and of those that it is held against. `tell` hears of each as it is done."""
    looked: list[Looked] = []
    lists = _listed(asked)
    total = sum(len(cases) for _, cases in lists)
    for data, cases in lists:
        work = partial(look_at, layout=data.layout, picture=picture)
        for one in worked(work, cases, partial(_lost, layout=data.layout), workers=workers, memory_gb=memory_gb):
            looked.append(one)
            tell(one, len(looked), total)
    order = {case.id: n for n, case in enumerate(case for _, cases in lists for case in cases)}
    looked.sort(key=lambda one: order[one.case])
    return Verdict(_with(looked, tuple(between(looked))))


def save_verdict(verdict: Verdict, asked: Sequence[Asked], out: Path, *, overwrite: bool = False) -> None:
    """cases.csv, findings.csv and check.html, all of them or none."""
    check_output(out, overwrite=overwrite)
    with written_whole(out) as room:
        save_rows([looked.row() for looked in verdict.cases], room / "cases.csv")
        found = _rows(verdict)
        if found:
            save_rows(found, room / "findings.csv")
        else:
            (room / "findings.csv").write_text("case,kind,fault,text\n", encoding="utf-8")
        pages.save(room / "check.html", _page(verdict, asked))


def _listed(asked: Sequence[Asked]) -> list[tuple[Asked, tuple[Case, ...]]]:
    """A name that an earlier data set has already is told apart by its folder."""
    lists: list[tuple[Asked, tuple[Case, ...]]] = []
    taken: set[str] = set()
    for data in asked:
        cases = cases_below(data.folder, data.layout, data.include, data.exclude)
        own = tuple(replace(case, id=f"{data.folder.name}/{case.id}") if case.id in taken else case for case in cases)
        lists.append((data, own))
        taken |= {case.id for case in own}
    return lists


def _lost(case: Case, layout: str) -> Looked:
    looked = Looked(case.id, layout, case.phase, case.part, case.patient, case.source, annotated=case.annotated)
    text = "The process that worked on it ended without a word (out of memory?); try --workers 1."
    return replace(looked, findings=(Finding(case.id, "died", text),))


def _with(cases: Sequence[Looked], found: Sequence[Finding]) -> tuple[Looked, ...]:
    return tuple(
        replace(looked, findings=(*looked.findings, *(finding for finding in found if finding.case == looked.case)))
        for looked in cases
    )


def _rows(verdict: Verdict) -> list[dict[str, str | float]]:
    return [
        {"case": f.case, "kind": f.kind, "fault": "fault" if f.fault else "remark", "text": f.text}
        for looked in verdict.cases
        for f in looked.findings
    ]


def _page(verdict: Verdict, asked: Sequence[Asked]) -> str:
    kinds = Counter(f.kind for looked in verdict.cases for f in looked.findings)
    counted = [
        {"kind": kind, "cases": count, "what": FAULTS.get(kind, "seen through, or odd and no fault")}
        for kind, count in sorted(kinds.items(), key=lambda item: (item[0] not in FAULTS, item[0]))
    ]
    rows = [{key: value for key, value in looked.row().items() if key != "digest"} for looked in verdict.cases]
    data = " ".join(f"<p>{_terms(one)}</p>" for one in asked)
    sections = [
        ("Data", data),
        ("Findings by kind", pages.table(counted)),
        ("Findings", pages.table(_rows(verdict))),
        ("Cases", pages.table(rows)),
        ("Pictures", "".join(_figure(looked) for looked in verdict.cases if looked.thumbnail)),
    ]
    names = ", ".join(layout_named(one.layout).title for one in asked)
    return pages.page(f"Check of {names}", verdict.sentence(), sections)


def _terms(asked: Asked) -> str:
    row = layout_named(asked.layout)
    return escape(f"{row.title}. Licence: {row.licence}. {row.phase}. Split: {row.split}. {row.citation}")


def _figure(looked: Looked) -> str:
    said = "; ".join(f.kind for f in looked.faults) or "sound"
    picture = base64.b64encode(looked.thumbnail).decode("ascii")
    return (
        f'<figure><div class="picture"><img alt="{escape(looked.case)}" src="data:image/png;base64,{picture}"></div>'
        f"<figcaption>{escape(looked.case)}: {escape(said)}</figcaption></figure>"
    )
