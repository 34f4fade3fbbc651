"""`liverseg models`: list, show, verify, import, remove."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ..errors import InputError, ModelError
from ..library import find_model, import_model, installed, remove_model, verify
from ..model_card import ModelCard
from ..phases import PHASES
from .events import Terminal


def run(options: argparse.Namespace, terminal: Terminal) -> None:
    action, name = options.action, options.name
    if action in ("import", "remove", "show") and name is None:
        raise InputError(f"`models {action}` needs a {'FILE' if action == 'import' else 'NAME'}")
    if action == "list":
        _list(terminal)
    elif action == "show":
        _show(ModelCard.load(find_model(name)), terminal)
    elif action == "verify":
        folders = [find_model(name)] if name else list(installed().values())
        for folder in folders:
            card = verify(folder)
            terminal.say(
                f"{card.name} {card.version}: the weights are those of the card (SHA-256 {card.sha256[:12]}...)"
            )
    elif action == "import":
        terminal.say(f"imported into {import_model(Path(name))}")
    else:
        terminal.say(f"removed {remove_model(name)}")


def _list(terminal: Terminal) -> None:
    for name, folder in installed().items():
        try:
            card = ModelCard.load(folder)
        except ModelError as problem:
            terminal.say(f"{name}: unusable: {problem}")
            continue
        measured = [f"{key} {row.dsc:.3f} (n={row.n})" for key, row in card.measured.items() if row.dsc is not None]
        size_mb = sum(f.stat().st_size for f in folder.iterdir()) / 1e6
        terminal.say(f"{name} {card.version}  {size_mb:.1f} MB  {card.licence}")
        terminal.say(f"  DSC of the liver: {', '.join(measured) or 'not measured on real scans'}")


def _show(card: ModelCard, terminal: Terminal) -> None:
    for key, value in asdict(card).items():
        if key not in ("stages", "measured"):
            terminal.say(f"{key:16s} {', '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}")
    for n, stage in enumerate(card.stages):
        terminal.say(
            f"stage {n}          {stage.network}, {stage.dims}-D, labels {stage.labels}, {stage.spacing_mm} mm, crop {stage.crop}"
        )
    for key in PHASES:
        row = card.measured_on(key)
        told = row.cases if row.dsc is None else f"DSC {row.dsc:.3f}, worst {row.worst:.3f}, n = {row.n} ({row.cases})"
        terminal.say(f"  {key:16s} {'fit  ' if key in card.fit_phases else 'unfit'}  {told}")
