"""A worker that a machine starts leads a group of its own; a person's command stays with its terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import liverseg_core
import pytest

CORE = Path(liverseg_core.__file__).parents[1]
SPY = "import os, runpy, sys\nsys.argv = ['liverseg', *{arguments!r}]\n{how}\n"
AS_COMMAND = "try: runpy.run_module('liverseg_core', run_name='__main__', alter_sys=True)\nexcept SystemExit: pass"
AS_LIBRARY = "from liverseg_core.cli import main\nmain(sys.argv[1:])"


@pytest.mark.skipif(os.name == "nt", reason="sessions of POSIX")
@pytest.mark.parametrize(
    ("how", "arguments", "leads"),
    [
        (AS_COMMAND, ["phases", "--json-lines"], True),
        (AS_COMMAND, ["phases"], False),
        (AS_LIBRARY, ["phases", "--json-lines"], False),  # a program that calls main() keeps its terminal
    ],
)
@pytest.mark.parametrize("leader_already", [False, True])
def test_a_machine_s_worker_leads_its_own_group(
    how: str, arguments: list[str], leads: bool, leader_already: bool
) -> None:
    code = SPY.format(arguments=arguments, how=how) + "print('leads', os.getpgrp() == os.getpid())\n"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CORE,
        capture_output=True,
        text=True,
        check=True,
        start_new_session=leader_already,
    )
    assert "mr_t1_hbp" in told.stdout
    assert told.stdout.splitlines()[-1] == f"leads {leads or leader_already}"
