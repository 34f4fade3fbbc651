"""Sample data: the synthetic abdomen in CT and MR, made by the worker where it is asked for; nothing is downloaded.

Slicer's own CTLiver is a real portal venous CT and needs no entry of ours.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import slicer

from .commands import sample_arguments
from .controller import UserError
from .scene.words import _

CATEGORY = "LiverSeg"
NAMES = {"ct": "LiverSegSyntheticCT", "mr": "LiverSegSyntheticMR"}
_ICONS = Path(__file__).parents[1] / "Resources" / "Icons"


def register() -> None:
    """Two entries of the Sample Data module. Called when Slicer has started; without that module nothing happens."""
    try:
        import SampleData
    except ImportError:
        return
    for kind, name in NAMES.items():
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=name,
            thumbnailFileName=str(_ICONS / f"{name}.png"),
            customDownloader=_maker(kind),
        )


def make(kind: str) -> Any:
    """The volume node of a synthetic abdomen (`kind`: ct or mr). UserError where the worker could not make it."""
    from .logic import run_worker

    with tempfile.TemporaryDirectory(prefix="liverseg-", ignore_cleanup_errors=True) as room:
        out = Path(room) / "sample"
        run_worker(sample_arguments(kind, out), Path(room))
        return slicer.util.loadVolume(str(out / "image.nii.gz"), {"name": NAMES[kind]})


def _maker(kind: str) -> Any:
    """Slicer hands the entry over, and asks for the nodes."""

    def made(_source: Any = None) -> list[Any]:
        try:
            with slicer.util.WaitCursor():
                return [make(kind)]
        except UserError as problem:
            slicer.util.errorDisplay(_("The sample could not be made: {reason}").format(reason=problem))
            return []

    return made
