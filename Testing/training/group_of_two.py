"""Run by torchrun: one run after another in a group of processes, some with a mishap; `codes_RANK.json` says how each ended."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from liverseg_core.errors import InputError
from liverseg_training import fit as room
from liverseg_training.experiment import load_experiment
from liverseg_training.losses import SegmentationLoss
from liverseg_training.together import joined


def no_number_in_the_second(rank: int) -> tuple[object, str, Callable[..., object]]:
    whole = SegmentationLoss.forward
    return SegmentationLoss, "forward", lambda *a: whole(*a) * (float("nan") if rank == 1 else 1.0)


def nothing_to_train_on_in_the_first(rank: int) -> tuple[object, str, Callable[..., object]]:
    whole = room.cached_sides

    def refuse(experiment: object) -> object:
        if rank == 0:
            raise InputError("no such data")
        return whole(experiment)

    return room, "cached_sides", refuse


def a_signal_to_the_second(rank: int) -> tuple[object, str, Callable[..., object]]:
    turn = room.turn
    kill = lambda at: rank == 1 and at.step == 1 and os.kill(os.getpid(), signal.SIGTERM)
    return room, "turn", lambda *a: (kill(a[1]), turn(*a))[1]


def late_for_the_first(rank: int) -> tuple[object, str, Callable[..., object]]:
    return room, "_late", lambda *_: "0 minutes are over" if rank == 0 else ""


MISHAPS: Mapping[str, Callable[[int], tuple[object, str, Callable[..., object]]]] = {
    f.__name__: f
    for f in (no_number_in_the_second, nothing_to_train_on_in_the_first, a_signal_to_the_second, late_for_the_first)
}


def work(folder: Path) -> None:
    codes = {}
    with joined() as group:
        for name, run in json.loads((folder / "runs.json").read_text()).items():
            sys.stdout.write(f"== {name}\n")
            with ExitStack() as stack:
                for mishap in run.get("mishap", ()):
                    stack.enter_context(patch.object(*MISHAPS[mishap](group.rank)))
                try:
                    room.fit(load_experiment(Path(run["file"]), run.get("changes", ())), resume=run.get("resume", False), group=group)  # fmt: skip
                    codes[name] = 0
                except SystemExit as end:
                    codes[name] = end.code
            group.stops.clear()
            (folder / f"codes_{group.rank}.json").write_text(json.dumps(codes))


if __name__ == "__main__":
    sys.stderr = sys.stdout
    work(Path(sys.argv[1]))
