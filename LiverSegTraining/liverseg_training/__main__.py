"""`liverseg-train`: fit, resume, validate, export, show, cache."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from liverseg_core.cli.usage import OneLineParser
from liverseg_core.errors import InputError, LiverSegError

if TYPE_CHECKING:
    from .cases import Case


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except LiverSegError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("error: cancelled; `resume` goes on from the last checkpoint", file=sys.stderr)
        return 5
    except OSError as problem:
        print(f"error: {problem.filename or 'a file'}: {problem.strerror or problem}", file=sys.stderr)
        return 6
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="liverseg-train", description="Train, validate and export models.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, run, text in (
        ("fit", _fit, "train from the beginning"),
        ("resume", _resume, "go on from the run folder's last checkpoint"),
        ("show", _show, "print the experiment as it is resolved"),
        ("cache", _cache, "prepare the training cases and stop"),
    ):
        verb = _verb(verbs, name, run, text)
        verb.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml")
    verb = _verb(verbs, "export", _export, "run folders -> one model folder")
    verb.add_argument(
        "experiments", type=Path, nargs="+", metavar="EXPERIMENT.toml", help="one for each stage, in order"
    )
    verb.add_argument("--as", required=True, dest="name", metavar="NAME")
    verb.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    verb.add_argument("--bits", type=int, choices=(8, 16, 32), default=8)
    verb.add_argument("--overwrite", action="store_true")
    verb = _verb(verbs, "validate", _validate, "score a model through the corridor, on the native grid")
    verb.add_argument("model", type=Path, metavar="EXPERIMENT.toml|FOLDER")
    verb.add_argument("--data", default="", metavar="FOLDER", help="default: $LIVERSEG_DATA")
    verb.add_argument("--cases", type=Path, metavar="SPLIT.json", help="default: split.json of the data folder")
    verb.add_argument(
        "--pair", nargs=3, action="append", default=[], metavar=("IMAGE", "MASK", "PHASE"), help="these instead"
    )
    verb.add_argument(
        "--contrast", default="", metavar="NAME", help="re-synthesise the cases in a held-out family, or `all`"
    )
    verb.add_argument("--quality", default="standard", choices=("fast", "standard", "best"))
    verb.add_argument("--device", default="auto")
    verb.add_argument("--out", type=Path, metavar="FILE.csv", help="a row for each case and structure")
    verb.add_argument(
        "--write-card", metavar="TEXT", help="write the liver's DSC into the card; TEXT says on which cases"
    )
    return parser


def _verb(
    verbs: argparse._SubParsersAction[OneLineParser],
    name: str,
    run: Callable[[argparse.Namespace], None],
    text: str,
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    verb.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="changes")
    verb.set_defaults(run=run)
    return verb


def _fit(options: argparse.Namespace) -> None:
    from .experiment import load_experiment
    from .fit import fit

    print(fit(load_experiment(options.experiment, options.changes)))


def _resume(options: argparse.Namespace) -> None:
    from .experiment import load_experiment
    from .fit import fit

    print(fit(load_experiment(options.experiment, options.changes), resume=True))


def _show(options: argparse.Namespace) -> None:
    from .experiment import load_experiment

    print(json.dumps(load_experiment(options.experiment, options.changes).as_dict(), indent=1))


def _cache(options: argparse.Namespace) -> None:
    from .experiment import load_experiment
    from .fit import training_cases

    print(f"{len(training_cases(load_experiment(options.experiment, options.changes)))} cases are cached")


def _export(options: argparse.Namespace) -> None:
    from .experiment import load_experiment
    from .export import export

    experiments = [load_experiment(path, options.changes) for path in options.experiments]
    card = export(experiments, options.name, options.out, bits=options.bits, overwrite=options.overwrite)
    size_mb = (options.out / "weights.safetensors").stat().st_size / 1e6
    print(f"{options.out}: {card.name} {card.version}, {len(card.stages)} stages, {size_mb:.2f} MB")


def _validate(options: argparse.Namespace) -> None:
    from liverseg_core.models import load_model

    from .contrast import HELD_OUT
    from .validate import pairs, save_scores, score_line, summary, summary_line, validate, written_into_card

    if options.contrast and options.write_card:
        raise InputError("--write-card is for real scans: leave out --contrast")
    folder, data, split = _model_and_data(options)
    cases = pairs(options.pair) if options.pair else _validation_cases(options, data, split)
    scores = []
    for contrast in tuple(HELD_OUT) if options.contrast == "all" else (options.contrast,):
        model = load_model(folder)
        for score in validate(model, cases, contrast=contrast, quality=options.quality, device=options.device):
            scores.append(score)
            print(score_line(score), flush=True)
    print("\nper volume, native grid")
    for row in summary(scores):
        print(summary_line(row))
    if options.out:
        save_scores(scores, options.out)
    if options.write_card:
        written_into_card(folder, scores, options.write_card)


def _validation_cases(options: argparse.Namespace, data: str, split: str) -> tuple[Case, ...]:
    from .cases import chosen_cases, data_folder, list_cases

    folder = data_folder(options.data or data)
    return chosen_cases(list_cases(folder), options.cases or folder / split)


def _model_and_data(options: argparse.Namespace) -> tuple[Path, str, str]:
    """A model folder as it is; an experiment is exported into its run folder first, and brings its data and split."""
    if options.model.is_dir():
        return Path(options.model), "", "split.json"
    from .experiment import load_experiment
    from .export import export

    experiment = load_experiment(options.model, options.changes)
    folder = experiment.out_dir / "model"
    export([experiment], experiment.experiment.name, folder, overwrite=True)
    return folder, experiment.data.folder, experiment.split.file


if __name__ == "__main__":
    sys.exit(main())
