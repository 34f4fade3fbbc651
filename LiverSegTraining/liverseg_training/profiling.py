"""What a network costs: parameters, multiply-adds, memory and time, beside what the papers print."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from liverseg_core.fastform import laid_out
from liverseg_core.inference import device_named
from liverseg_core.memory import spelled
from liverseg_core.windows import bytes_a_voxel
from torch.utils.flop_counter import FlopCounterMode

from .budget import network_of, training_bytes
from .experiment import Experiment
from .looks import ready

CONVENTION = "1 GMAC is 1e9 multiply-adds, half of what torch and some papers count as FLOP"
_REPEATS = 3


@dataclass(frozen=True)
class Row:
    """One figure, and what a paper says of it ("" where it says nothing)."""

    quantity: str
    value: str
    paper: str = ""


# network -> quantity -> what its paper prints, and what it leaves open
PAPERS = {
    "psp_msff": {"multiply-adds": "14.91 GFLOPs (input size and convention not given; 14.70 at 320 x 320 when halved)"},
    "r50_unet": {"training": "5 min 51 s an epoch of 5 (GPU not named)"},
}


def profile(experiment: Experiment, slices: int = 100) -> Iterator[Row]:
    """Rows for one window of the stage; 2-D networks see one slice, and a case is taken to have `slices` of them."""
    paper = PAPERS.get(experiment.network.kind, {})
    window = experiment.infer.window
    size = " x ".join(map(str, window))
    with torch.device("meta"):
        network = network_of(experiment).eval()
        x = torch.zeros(1, len(experiment.preprocess.channels), *window)
    yield Row("parameters", f"{sum(p.numel() for p in network.parameters()):,}", paper.get("parameters", ""))
    yield Row("multiply-adds", f"{gmac(network, x):.3f} GMAC for {size} ({CONVENTION})", paper.get("multiply-adds", ""))
    need = training_bytes(experiment, experiment.sampler.batch, window)
    yield Row("training memory", f"{spelled(need)} by estimate for batches of {experiment.sampler.batch}")
    device, stage = device_named(experiment.experiment.device), experiment.stage()
    form = ready(network_of(experiment), stage, device)
    with torch.inference_mode():
        each = bytes_a_voxel(form, stage, device) * window[0] * window[1] * window[2]
    yield Row("inference memory", f"{spelled(each)} for {size}, beside the weights")
    seconds = _seconds(form, torch.zeros(x.shape), device)
    where = f"{device}, {torch.get_num_threads()} threads, least of {_REPEATS}"
    yield Row("time", f"{seconds:.3f} s for {size} ({where})", paper.get("time", ""))
    if stage.dims == 2:
        yield Row("time a case", f"{seconds * slices / window[0]:.1f} s for {slices} slices, one after the other")
    if "training" in paper:
        yield Row("training", "", paper["training"])


def gmac(network: torch.nn.Module, x: torch.Tensor) -> float:
    """Multiply-adds of one forward pass in units of 1e9, counted by torch for convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    return counter.get_total_flops() / 2e9


def _seconds(form: torch.nn.Module, x: torch.Tensor, device: torch.device) -> float:
    taken = []
    with torch.inference_mode():
        for _ in range(_REPEATS + 1):
            began = time.perf_counter()
            form(laid_out(x, device)).cpu()
            taken.append(time.perf_counter() - began)
    return min(taken[1:])
