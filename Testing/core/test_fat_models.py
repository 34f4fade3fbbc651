"""Models that read several echoes at once: each channel is its echo, what is missing is zero or refused, and both commands run them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from liverseg_core.cli import main
from liverseg_core.cli.sample import save_echoes
from liverseg_core.errors import ModelError
from liverseg_core.geometry import Grid, as_image
from liverseg_core.model_card import ModelCard
from liverseg_core.models import Model
from liverseg_core.networks.mecse_unet import MecseUnet
from liverseg_core.pipeline import segment_scan
from liverseg_core.records import MultiEcho
from phantoms import ellipsoid, known_model, known_stage, saved_model

GRID = Grid((32, 32, 3), (2.0, 2.0, 6.0))
TE_MS = (1.15, 2.1, 3.05, 4.0, 4.95, 5.9)
SIX = tuple(f"echo:{n}" for n in range(1, 7))
FIT = ("mr_multiecho", "mr_t2fs")


def several(channels: tuple[str, ...] = SIX, optional: tuple[str, ...] = ()) -> Model:
    """An untrained network of slices on the scan's own pixels."""
    torch.manual_seed(0)
    stage = known_stage(
        network="mecse_unet", options={"widths": (4, 8, 8)}, dims=2, window=(1, 32, 32), snap=(1, 4, 4),
        spacing_mm=(None, None, None), channels=channels, optional=optional, normalisation={"MR": "body_zscore"}, post={},
    )  # fmt: skip
    model = known_model(stage)
    return replace(model, card=replace(model.card, name="several", fit_phases=FIT))


def marked(count: int = 6) -> MultiEcho:
    """A body in which echo n is bright in a square of its own: columns 4 n + 4 to 4 n + 7."""
    images = np.repeat(100.0 * ellipsoid(GRID, (30.0, 30.0, 50.0))[None], count, axis=0).astype(np.float32)
    for n in range(count):
        images[n, :, 14:18, 4 * n + 4 : 4 * n + 8] = 200.0
    return MultiEcho(images, None, TE_MS[:count], 3.0, None, None, GRID, "marked")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.Tensor]]:
    """What the network is given, [slices, channels, j, i] each time."""
    kept: list[torch.Tensor] = []
    forward = MecseUnet.forward

    def looked(self: MecseUnet, x: torch.Tensor) -> list[torch.Tensor]:
        if bool(x.any()):  # not the block of zeros that its memory is measured with
            kept.append(x.float().clone())
        return forward(self, x)

    monkeypatch.setattr(MecseUnet, "forward", looked)
    yield kept
    assert kept, "the network saw nothing"


def places(x: torch.Tensor) -> list[int | None]:
    """Of each channel, the number of the echo that is bright there; None where all is zero."""
    columns = x[0].amax(dim=1)
    return [int((row.argmax() - 4) // 4) if bool(plane.any()) else None for row, plane in zip(columns, x[0])]


def drawn(echoes: MultiEcho, model: Model) -> None:
    first, *others = (echoes.echo(n) for n in range(len(echoes.te_ms)))
    segment_scan(first, model, device="cpu", others=others)


@pytest.mark.parametrize(
    ("channels", "count", "expected"),
    [
        (SIX, 6, [0, 1, 2, 3, 4, 5]),
        (("echo:3", "echo:1", "echo:2"), 6, [2, 0, 1]),
        (("image", "echo:4"), 4, [0, 3]),
        (SIX, 2, [0, 1, None, None, None, None]),
        (SIX, 1, [0, None, None, None, None, None]),
    ],
)
def test_every_channel_is_its_echo_and_what_is_missing_is_zero(seen, channels, count, expected) -> None:
    optional = tuple(name for name, place in zip(channels, expected) if place is None)
    drawn(marked(count), several(channels, optional))
    assert all(places(x) == expected for x in seen)


def test_an_echo_that_the_model_needs_is_not_made_up() -> None:
    with pytest.raises(ModelError, match="several reads 6 echoes, this is an acquisition of 5; give `liverseg fat`"):
        drawn(marked(5), several())
    with pytest.raises(ModelError, match="reads 3 echoes, this is a single scan"):
        drawn(marked(1), several(optional=SIX[3:]))


@pytest.mark.parametrize("optional", [("echo:1",), ("image",), ("echo:7",)])
def test_a_card_cannot_leave_out_the_scan_itself(optional: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match="optional may hold channels from echo:2 on"):
        several(("image", *SIX), optional)


def test_the_card_on_the_disk_says_what_may_be_missing(tmp_path: Path) -> None:
    card = ModelCard.load(saved_model(tmp_path / "model", several(optional=SIX[2:])))
    assert (card.stages[0].optional, card.echoes_needed) == (SIX[2:], 2)


def test_fat_gives_the_model_every_echo(tmp_path: Path, seen: list[torch.Tensor]) -> None:
    model, out = saved_model(tmp_path / "model", several()), tmp_path / "out"
    save_echoes(marked().magnitude, marked(), tmp_path / "echoes.nii.gz")
    assert main(["fat", str(tmp_path / "echoes.nii.gz"), "--model", str(model), "--out", str(out)]) == 0
    assert all(places(x) == [0, 1, 2, 3, 4, 5] for x in seen)
    assert json.loads((out / "report.json").read_text())["model"]["name"] == "several"
    assert (out / "segmentation.nii.gz").exists()


def test_fat_refuses_an_acquisition_of_too_few_echoes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved_model(tmp_path / "model", several())
    save_echoes(marked(4).magnitude, marked(4), tmp_path / "echoes.nii.gz")
    arguments = ["fat", str(tmp_path / "echoes.nii.gz"), "--model", str(model), "--out", str(tmp_path / "out")]
    assert main(arguments) == 3
    assert "reads 6 echoes, this is an acquisition of 4" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_segment_runs_it_on_a_single_volume_of_a_phase_it_is_fit_for(tmp_path: Path, seen: list[torch.Tensor]) -> None:
    model, out = saved_model(tmp_path / "model", several(optional=SIX[1:])), tmp_path / "out"
    sitk.WriteImage(as_image(marked().magnitude[2], GRID), str(tmp_path / "t2spir.nii.gz"))
    arguments = [
        "segment",
        str(tmp_path / "t2spir.nii.gz"),
        "--model",
        str(model),
        "--device",
        "cpu",
        "--out",
        str(out),
    ]
    assert main([*arguments, "--phase", "mr_t2fs"]) == 0
    assert all(places(x) == [2, None, None, None, None, None] for x in seen)
    assert main([*arguments, "--overwrite", "--phase", "mr_t1_hbp"]) == 3


def test_segment_refuses_a_model_that_needs_echoes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved_model(tmp_path / "model", several())
    sitk.WriteImage(as_image(marked().magnitude[0], GRID), str(tmp_path / "one.nii.gz"))
    arguments = [
        str(tmp_path / "one.nii.gz"),
        "--phase",
        "mr_t2fs",
        "--model",
        str(model),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["segment", *arguments]) == 3
    assert "reads 6 echoes, this is a single scan" in capsys.readouterr().err
