"""Arguments -> one command. Commands are imported when they are chosen, so that --help needs nothing heavy."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from .. import QUALITIES, __version__
from ..case_folder import STATUSES
from ..errors import LiverSegError
from .events import Terminal, guard
from .usage import OneLineParser

_PATIENT = "JSON with height_cm, weight_kg, sex, age_years: for body surface area and standard liver volume"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the answer is the exit code of CONTRACT."""
    options = _parser().parse_args(arguments)
    terminal = Terminal(json_lines=options.json_lines)
    began = time.perf_counter()
    try:
        with guard(terminal, getattr(options, "stop_file", None)):
            terminal.started()
            out = import_module(f"{__package__}.{options.module}").run(options, terminal)
            terminal.done(out, time.perf_counter() - began)
    except LiverSegError as problem:
        if options.debug:
            traceback.print_exc()
        terminal.error(problem.kind, str(problem))
        return problem.exit_code
    except MemoryError:
        terminal.error("memory", "not enough memory for this scan; use --quality fast, or a machine with more")
        return 4
    except BrokenPipeError:
        sys.stdout = None  # whoever read our output left; nothing more can be said to them
        return 6
    except Exception:
        return _own_fault(terminal, debug=options.debug)
    return 0


def _own_fault(terminal: Terminal, *, debug: bool) -> int:
    """The traceback goes to a file; the terminal gets a sentence."""
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".log", prefix="liverseg-", delete=False, encoding="utf-8") as log:
        log.write(traceback.format_exc())
    if debug:
        traceback.print_exc()
    terminal.error("internal", f"LiverSeg itself failed; please report it with the log {log.name}")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="liverseg",
        description="Segment and measure the liver on CT and MR. Research software, not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"liverseg {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    _segment(_verb(verbs, "segment", "a scan -> masks, volumes and a report"))
    _measure(_verb(verbs, "measure", "a mask -> volumes and a report"))
    _compare(_verb(verbs, "compare", "two masks -> how well they agree"))
    _fat(_verb(verbs, "fat", "the echoes of an MR -> maps and numbers of fat and iron, and a report"))
    _cohort(_verb(verbs, "cohort", "a table of cases -> results for each, tables and a page"))
    _case(_verb(verbs, "case", "a scan and its corrected mask -> a case to train on"))
    _models(_verb(verbs, "models", "the models there are"))
    _verb(verbs, "phases", "the scans that LiverSeg knows")
    doctor = _verb(verbs, "doctor", "what runs here and why")
    doctor.add_argument("--json", action="store_true", help="for machines")
    _sample(_verb(verbs, "sample", "a synthetic scan with its truth"))
    return parser


def _verb(verbs: argparse._SubParsersAction[OneLineParser], name: str, text: str) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    verb.set_defaults(module=name)
    verb.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verb.add_argument("--json-lines", action="store_true", help="events on stdout, one JSON object a line")
    return verb


def _segment(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("scan", type=Path, metavar="SCAN", help="a NIfTI, NRRD or MetaImage file, or a DICOM folder")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    verb.add_argument("--phase", default="auto", metavar="auto|KEY", help="a key of `liverseg phases` (default: auto)")
    verb.add_argument(
        "--model", default="auto", metavar="auto|NAME|FOLDER", help="default: the best measured one for the phase"
    )
    verb.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda[:N]|mps", help="default: a GPU where there is one"
    )
    verb.add_argument(
        "--quality",
        choices=QUALITIES,
        default="standard",
        help="fast: coarse stage alone; best: averages mirrored passes",
    )
    verb.add_argument("--reference", type=Path, metavar="MASK", help="report the agreement with this mask")
    verb.add_argument("--patient", type=Path, metavar="FILE", help=_PATIENT)
    verb.add_argument("--series", metavar="UID", help="which series of a DICOM folder")
    verb.add_argument("--volume", type=int, metavar="N", help="which volume of a 4-D file, counted from 0")
    verb.add_argument("--allow-unfit", action="store_true", help="run a model on a phase it is not fit for")
    verb.add_argument("--no-report", dest="report", action="store_false", help="no report.html and no preview.png")
    verb.add_argument("--overwrite", action="store_true", help="replace what DIR holds")
    verb.add_argument("--stop-file", type=Path, metavar="F", help="stop when this file appears")


def _measure(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("mask", type=Path, metavar="MASK", help="label codes: NIfTI, NRRD, MetaImage or .seg.nrrd")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    verb.add_argument("--scan", type=Path, metavar="SCAN", help="the scan that the mask was drawn on, for the pictures")
    verb.add_argument("--patient", type=Path, metavar="FILE", help=_PATIENT)
    cut = verb.add_mutually_exclusive_group()
    cut.add_argument("--remnant", metavar="CODES", help="parts that stay, by the codes of a mask of parts, such as 2,3")
    cut.add_argument("--plane", metavar="x,y,z,nx,ny,nz", help="a cut, LPS mm: what its normal points to stays")
    verb.add_argument("--overwrite", action="store_true", help="replace what DIR holds")


def _compare(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("prediction", type=Path, metavar="PREDICTION", help="the mask that is judged")
    verb.add_argument("reference", type=Path, metavar="REFERENCE", help="the mask that counts as true")
    verb.add_argument("--out", type=Path, metavar="DIR", help="folder for agreement.csv and agreement.json")
    verb.add_argument(
        "--tolerance-mm", type=float, default=2.0, metavar="MM", help="surfaces this close agree (NSD; default: 2)"
    )
    verb.add_argument(
        "--percentile", type=float, default=95.0, metavar="P", help="of the surface distances, beside 95 (default: 95)"
    )
    verb.add_argument("--overwrite", action="store_true", help="replace what DIR holds")


def _fat(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "echoes", type=Path, nargs="+", metavar="ECHOES", help="a 4-D file, one file an echo, or DICOM folders"
    )
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    verb.add_argument(
        "--phase-image", type=Path, nargs="+", default=[], metavar="F", help="the phases of the same echoes"
    )
    verb.add_argument("--mask", type=Path, metavar="MASK", help="the liver; without it a model draws it on the echoes")
    verb.add_argument("--model", default="auto", metavar="auto|NAME|FOLDER", help="which model draws the liver")
    verb.add_argument("--echo-times-ms", metavar="T,T,...", help="such as 1.2,3.2,5.2, where the files do not say them")
    verb.add_argument(
        "--field-t", type=float, metavar="F", help="field strength in tesla, where the files do not say it"
    )
    verb.add_argument("--tr-ms", type=float, metavar="T", help="repetition time, to judge the T1-weighting")
    verb.add_argument("--flip-deg", type=float, metavar="A", help="flip angle, to judge the T1-weighting")
    verb.add_argument("--spectrum", metavar="NAME", help="of fat, such as ismrm6 (the default) or hamilton9")
    verb.add_argument("--calibration", metavar="NAME", help="of R2* to iron, such as hernando2023 (the default)")
    verb.add_argument(
        "--method", choices=("auto", "magnitude", "complex"), default="auto", help="default: complex where phases agree"
    )
    verb.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda[:N]|mps", help="default: a GPU where there is one"
    )
    verb.add_argument("--no-report", dest="report", action="store_false", help="no report.html and no preview.png")
    verb.add_argument("--overwrite", action="store_true", help="replace what DIR holds")
    verb.add_argument("--stop-file", type=Path, metavar="F", help="stop when this file appears")


def _cohort(verb: argparse.ArgumentParser) -> None:
    from ..cohort.table import COLUMNS

    verb.formatter_class = argparse.RawDescriptionHelpFormatter
    columns = "\n".join(f"  {name:14s} {meaning}" for name, meaning in COLUMNS.items())
    verb.epilog = f"columns of the table, in any order; all but case may be missing:\n{columns}"
    verb.add_argument("table", type=Path, metavar="TABLE.csv|FOLDER", help="a line a case, or a study a sub-folder")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    verb.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one for a network, else one a core)"
    )
    verb.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster, such as tcp://host:8786")
    verb.add_argument("--resume", action="store_true", help="keep what is done and verified in DIR")
    verb.add_argument("--model", default="auto", metavar="auto|NAME|FOLDER", help="where the table names none")
    verb.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda[:N]|mps", help="default: a GPU where there is one"
    )
    verb.add_argument("--quality", choices=QUALITIES, default="standard", help="as for segment")
    verb.add_argument(
        "--tolerance-mm", type=float, default=2.0, metavar="MM", help="surfaces this close agree (NSD; default: 2)"
    )
    verb.add_argument("--allow-unfit", action="store_true", help="run a model on a phase it is not fit for")
    verb.add_argument("--stop-file", type=Path, metavar="F", help="stop when this file appears")


def _case(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("scan", type=Path, metavar="SCAN", help="the scan; nothing but voxels and geometry is kept of it")
    verb.add_argument("mask", type=Path, metavar="MASK", help="the corrected label codes, on the grid of the scan")
    verb.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="where the cases are collected")
    verb.add_argument("--phase", required=True, metavar="KEY", help="a key of `liverseg phases`")
    verb.add_argument(
        "--annotated", required=True, metavar="CODES", help="what was looked at, such as 1,3; else unknown"
    )
    verb.add_argument("--ai", type=Path, metavar="MASK", help="what the model had drawn")
    verb.add_argument("--status", choices=STATUSES, default="completed", help="how far the correction is")
    verb.add_argument("--model", default="", metavar="NAME", help="which model had drawn it")
    verb.add_argument("--patient-key", default="", metavar="KEY", help="tells patients apart without naming them")


def _models(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("action", choices=("list", "show", "verify", "import", "remove"))
    verb.add_argument("name", nargs="?", metavar="NAME|FILE", help="a model, or the zip to import")


def _sample(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("kind", choices=("ct", "mr", "multiecho"))
    verb.add_argument("out", type=Path, metavar="OUT", help="folder for the images, labels.nii.gz and truth.json")
    verb.add_argument("--contrast", choices=("t1", "t2"), default="t1", help="of the MR (default: t1)")
    verb.add_argument("--overwrite", action="store_true", help="replace what OUT holds")
