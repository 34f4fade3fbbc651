"""The walk from LiTS to a model in Slicer, command by command as its page has them, on a tiny LiTS."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import layout_folders as tiny
import pytest
from liverseg_core.cli import main as liverseg
from liverseg_core.model_card import ModelCard
from liverseg_core.records import Scan
from liverseg_training.__main__ import main as liverseg_train
from phantoms import saved_scan

PAGE = Path(__file__).resolve().parents[2] / "LiverSegTraining" / "datasets" / "lits_to_slicer.md"
COMMANDS = {"liverseg": liverseg, "liverseg-train": liverseg_train}
TINY = {  # what makes the page's experiment one of seconds
    "experiment.max_steps": "2", "experiment.amp": "off", "experiment.device": "cpu", "preprocess.spacing_mm": "[14.0, 14.0, 16.0]",
    "infer.window": "[16, 16, 16]", "sampler.batch": "1", "eval.every": "1",
    "schedule.warmup": "1",
}  # fmt: skip
LEARNING = ("show", "fit", "resume", "validate", "export")


def commands() -> list[list[str]]:
    """Every line of a code block that calls one of ours, in order."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    plain = [block for language, block in blocks if not language]
    lines = [shlex.split(line, comments=True) for block in plain for line in block.splitlines()]
    return [line for line in lines if line and line[0] in COMMANDS]


@pytest.mark.slow
def test_the_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.lits(tmp_path / "LiTS", (0, 1, 2, 3, 4, 30))
    tiny.ircadb(tmp_path / "3Dircadb1", patient=9)
    saved_scan(tmp_path / "SCAN.nii.gz", Scan(tiny.scan(7), tiny.GRID, "ct_portal", "tiny"))
    (recipe,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "lits.toml").write_text(recipe, encoding="utf-8")
    verbs = []
    for program, *arguments in commands():
        told = ["SCAN.nii.gz" if word == "SCAN" else word for word in arguments]
        if told[0] in LEARNING and "lits.toml" in told:
            changes = {**TINY, **({"experiment.max_steps": "3"} if told[0] != "fit" else {})}
            told += [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
        assert COMMANDS[program](told) == 0, (program, told)
        verbs.append(told[0])
    assert verbs == ["dataset", "dataset", "fit", "resume", "validate", "export", "segment"]
    assert (tmp_path / "lits_check" / "check.html").is_file()
    assert (tmp_path / "runs" / "lits" / "training.html").is_file()
    assert ModelCard.load(tmp_path / "lits-liver").fit_phases == ("ct_portal", "ct_unknown")
    assert (tmp_path / "result" / "measurements.csv").is_file()
