"""`liverseg-train queue`: scans without a full reference, in the order in which a person should look at them."""

from __future__ import annotations

import argparse
from pathlib import Path

from liverseg_core.cli.usage import OneLineParser


def add_queue(verbs: argparse._SubParsersAction[OneLineParser]) -> None:
    text = "rank scans without a full reference: what the model doubts most comes first"
    verb = verbs.add_parser("queue", help=text, description=f"{text[0].upper()}{text[1:]}.")
    verb.add_argument("folder", type=Path, metavar="FOLDER", help="a scan, or a folder with one, for each case")
    verb.add_argument(
        "--model",
        default="auto",
        metavar="NAME,...",
        help="of several, the first is shown and the others held against it",
    )
    verb.add_argument("--out", type=Path, metavar="DIR", help="default: FOLDER-liverseg, where the Slicer panel looks")
    verb.add_argument("--device", default="auto")
    verb.add_argument("--quality", default="standard", choices=("fast", "standard", "best"))
    verb.add_argument("--allow-unfit", action="store_true", help="also where the model is not fit for the phase")
    verb.add_argument("--workers", type=int, default=1, metavar="N", help="processes; default: one, on every core")
    verb.set_defaults(run=_queue)


def _queue(options: argparse.Namespace) -> None:
    from ..queue import TABLE, QueueOrder, queue

    models = tuple(name.strip() for name in options.model.split(",") if name.strip())
    order = QueueOrder(
        options.folder, options.out, models, options.device, options.quality, options.allow_unfit, options.workers
    )
    ranked = queue(order, lambda told, done, total: print(f"[{done}/{total}] {told}", flush=True))
    for rank, queued in enumerate(ranked, start=1):
        print(f"{rank:4d}  {'failed' if queued.error else f'{queued.score:6.2f}'}  {queued.case:28s} {queued.why}")
    lost = sum(bool(queued.error) for queued in ranked)
    print(f"{len(ranked) - lost} cases ranked, {lost} failed: {order.results(models[0]) / TABLE}")
