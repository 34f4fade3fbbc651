"""`liverseg-train`: fit, resume, show, cache, export, validate, profile, simulate, dataset, plan, results, leaderboard,
queue, finetune."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from liverseg_core.cli.usage import OneLineParser
from liverseg_core.errors import InputError, LiverSegError

from .cli.dataset import add_dataset
from .cli.finetune import add_finetune
from .cli.fit import add_fit, runs
from .cli.leaderboard import add_leaderboard
from .cli.plan import add_plan
from .cli.queue import add_queue
from .cli.results import add_results

if TYPE_CHECKING:
    from .cases import Case
    from .experiment import Experiment
    from .validate import Score


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
    add_fit(verbs)
    for name, run, text in (
        ("show", _show, "print the experiment as it is resolved"),
        ("cache", _cache, "prepare the training cases and stop"),
    ):
        verb = _verb(verbs, name, run, text)
        verb.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml")
    _add_export(verbs)
    _add_validate(verbs)
    verb = _verb(verbs, "profile", _profile, "parameters, multiply-adds, memory and time, beside the papers' figures")
    verb.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml")
    _add_simulate(verbs)
    add_plan(verbs)
    add_results(verbs)
    add_dataset(verbs)
    add_leaderboard(verbs)
    add_queue(verbs)
    add_finetune(verbs)
    return parser


def _add_export(verbs: argparse._SubParsersAction[OneLineParser]) -> None:
    verb = _verb(verbs, "export", _export, "run folders -> one model folder")
    verb.add_argument(
        "experiments", type=Path, nargs="+", metavar="EXPERIMENT.toml", help="one for each stage, in order"
    )
    verb.add_argument("--as", required=True, dest="name", metavar="NAME")
    verb.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    verb.add_argument("--bits", type=int, choices=(8, 16, 32), default=8)
    verb.add_argument("--overwrite", action="store_true")
    verb.add_argument("--onnx", action="store_true", help="also write each stage as ONNX, if it agrees to 1e-3")


def _add_validate(verbs: argparse._SubParsersAction[OneLineParser]) -> None:
    verb = _verb(verbs, "validate", _validate, "score a model through the corridor, on the native grid")
    verb.add_argument("model", type=Path, metavar="EXPERIMENT.toml|FOLDER")
    verb.add_argument("--data", default="", metavar="FOLDER", help="default: $LIVERSEG_DATA")
    verb.add_argument("--cases", type=Path, metavar="SPLIT.json", help="default: split.json of the data folder")
    verb.add_argument(
        "--pair", nargs=3, action="append", default=[], metavar=("IMAGE", "MASK", "PHASE"), help="these instead"
    )
    verb.add_argument(
        "--contrast",
        default="",
        metavar="NAME",
        help="re-synthesise the cases in a held-out family, `all` of them, or as `imitated` phases",
    )
    verb.add_argument("--quality", default="standard", choices=("fast", "standard", "best"))
    verb.add_argument("--device", default="auto")
    verb.add_argument("--folds", default="", metavar="all", help="every fold's own cases by its own model, pooled")
    verb.add_argument(
        "--out",
        type=Path,
        metavar="FILE.csv",
        help="a row for each case and structure; FILE.html and FILE.json beside it",
    )
    verb.add_argument(
        "--write-card", metavar="TEXT", help="write the liver's DSC into the card; TEXT says on which cases"
    )


def _add_simulate(verbs: argparse._SubParsersAction[OneLineParser]) -> None:
    verb = _verb(
        verbs, "simulate", _simulate, "labelled scans -> cases of a kind of scan that few have, marked as simulated"
    )
    verb.add_argument("kind", choices=("multiecho", "lesions"))
    verb.add_argument("out", type=Path, metavar="OUT", help="a new data folder; name it in data.also")
    verb.add_argument("--data", default="", metavar="FOLDER", help="default: $LIVERSEG_DATA")
    verb.add_argument(
        "--cases", default="*", metavar="ID,...", help="whose labels to use, with wildcards; default: all"
    )
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--each", type=int, default=1, metavar="N", help="simulated scans of every case")
    verb.add_argument("--overwrite", action="store_true")


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


def _show(options: argparse.Namespace) -> None:
    from .experiment import load_experiment

    print(json.dumps(load_experiment(options.experiment, options.changes).as_dict(), indent=1))


def _cache(options: argparse.Namespace) -> None:
    from .experiment import load_experiment
    from .fit import cached_sides

    sides = cached_sides(load_experiment(options.experiment, options.changes))
    print(f"{len(sides.training)} training and {len(sides.validation)} validation cases are cached")


def _export(options: argparse.Namespace) -> None:
    from .experiment import load_experiment
    from .export import export

    experiments = [load_experiment(path, options.changes) for path in options.experiments]
    card = export(experiments, options.name, options.out, bits=options.bits, overwrite=options.overwrite)
    size_mb = (options.out / "weights.safetensors").stat().st_size / 1e6
    print(f"{options.out}: {card.name} {card.version}, {len(card.stages)} stages, {size_mb:.2f} MB")
    if options.onnx:
        from .export import filled_network
        from .onnx_form import save_onnx

        for n, experiment in enumerate(experiments):
            difference = save_onnx(filled_network(experiment), experiment.stage(), options.out / f"stage{n}.onnx")
            print(f"stage{n}.onnx differs by at most {difference:.2g}")


def _validate(options: argparse.Namespace) -> None:
    from .tables import NATIVE, NETWORK, save_validation
    from .validate import score_line, summary, summary_line, written_into_card

    if options.contrast and options.write_card:
        raise InputError("--write-card is for real scans: leave out --contrast")
    given = not options.model.is_dir()
    experiments = runs(options) if given else ()
    recipe = bool(experiments) and experiments[0].eval.grid == "network"
    scores = []
    for score in _scores(options, experiments):
        scores.append(score)
        print(score_line(score), flush=True)
    grid = NETWORK if recipe else NATIVE
    print(f"\n{grid}")
    for row in summary(scores):
        print(summary_line(row))
    ids = sorted({score.case for score in scores})
    cases = options.write_card or f"{len(ids)} validation cases: {', '.join(ids)}"
    if given and not options.contrast and not options.pair:
        save_validation(scores, experiments[0].experiment.name, grid, cases, _run_folder(options) / "validation.csv")
    if options.out:
        save_validation(scores, options.model.stem, grid, cases, options.out)
    if options.write_card or (given and not recipe and not options.folds and not options.contrast and not options.pair):
        written_into_card(_model_folder(options, experiments), scores, cases)


def _scores(options: argparse.Namespace, experiments: Sequence[Experiment]) -> Iterator[Score]:
    """Of a model folder; of an experiment, which is exported into its run folder first; of every fold by its model."""
    from liverseg_core.models import load_model

    from .export import export
    from .validate import contrasts, pairs, validate, validate_at_network_grid

    for experiment in experiments or (None,):
        if experiment is not None and experiment.eval.grid == "network":
            yield from validate_at_network_grid(experiment, options.device)
            continue
        folder = Path(options.model)
        if experiment is not None:
            folder = experiment.out_dir / "model"
            export([experiment], experiment.experiment.name, folder, overwrite=True, measure=False)
        cases = pairs(options.pair) if options.pair else _validation_cases(options, experiment)
        for contrast in contrasts(options.contrast):
            yield from validate(
                load_model(folder), cases, contrast=contrast, quality=options.quality, device=options.device
            )


def _validation_cases(options: argparse.Namespace, experiment: Experiment | None) -> tuple[Case, ...]:
    from .cases import data_folder, list_cases
    from .layouts import cases_of
    from .splits import chosen_cases, split_cases

    folder = data_folder(options.data or (experiment.data.folder if experiment else ""))
    if experiment is None or options.cases:
        return chosen_cases(list_cases(folder), options.cases or folder / "split.json")
    every = cases_of(folder, experiment.data)
    cases = split_cases(every, experiment.split, folder).validation
    if not cases:
        raise InputError("the split leaves no validation case; name some with --cases SPLIT.json")
    return cases


def _run_folder(options: argparse.Namespace) -> Path:
    from .experiment import load_experiment

    return load_experiment(options.model, options.changes).out_dir


def _model_folder(options: argparse.Namespace, experiments: Sequence[Experiment]) -> Path:
    return experiments[0].out_dir / "model" if experiments else Path(options.model)


def _profile(options: argparse.Namespace) -> None:
    from .experiment import load_experiment
    from .profiling import profile

    for row in profile(load_experiment(options.experiment, options.changes)):
        print(f"{row.quantity:18s} {row.value}" + (f"   paper: {row.paper}" if row.paper else ""), flush=True)


def _simulate(options: argparse.Namespace) -> None:
    from . import lesion_cases, multiecho

    simulate = {"multiecho": multiecho.simulate_files, "lesions": lesion_cases.simulate_files}[options.kind]
    made = simulate(
        options.data, options.cases.split(","), options.out,
        seed=options.seed, each=options.each, overwrite=options.overwrite,
    )  # fmt: skip
    print(f"{options.out}: {made} simulated cases ({options.kind})")


if __name__ == "__main__":
    sys.exit(main())
