"""Every architecture through one interface; the published ones against their published counts and known answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from liverseg_core import networks
from liverseg_core.errors import ModelError
from liverseg_core.networks._efficientnet import EfficientNetB0
from liverseg_core.networks._resnet import ResNet50
from liverseg_core.networks.psp_msff import PyramidPooling
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

CORE = Path(networks.__file__).parents[2]
BUILDS = [(name, dims) for name in networks.names() for dims in networks.dims_of(name)]
SHAPES = {3: (32, 32, 32), 2: (1, 48, 32)}
BIASED = ("attention_unet", "dynunet", "segresnet", "stunet")  # biases before a norm that takes them away
SMALL = {
    "unet3d": {"widths": (8, 16, 32), "heads": 2},
    "stunet": {"shrink": 8},
    "mecse_unet": {"widths": (4, 8, 8)},
    "elanres_msca": {"widths": (8, 8, 16)},
    "dynunet": {"widths": (8, 16, 32)},
    "segresnet": {"width": 8},
    "ensemble": {"of": "mecse_unet", "options": {"widths": (4, 8, 8)}},
}


def built(name: str, dims: int, *, channels: int = 2, labels: int = 3) -> nn.Module:
    levels = {"levels": list(np.linspace(0.1, 0.9, labels - 1))} if name == "threshold" else {}
    return networks.build(name, channels=channels, labels=labels, dims=dims, **SMALL.get(name, {}), **levels)


def counted(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("name", "dims"), BUILDS)
def test_a_network_maps_channels_to_labels_and_every_parameter_learns(name: str, dims: int) -> None:
    network = built(name, dims).train()
    answers = network(torch.randn(2, 2, *SHAPES[dims]))
    assert answers[0].shape == (2, 3, *SHAPES[dims])
    sum((answer * torch.randn_like(answer)).sum() for answer in answers).backward()
    still = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [key for key in still if name not in BIASED or not key.endswith("bias")] == []


@pytest.mark.parametrize(("name", "dims"), BUILDS)
def test_a_network_in_use_answers_once_and_survives_saving(name: str, dims: int) -> None:
    one, two = (built(name, dims).eval() for _ in range(2))
    two.load_state_dict(one.state_dict())
    x = torch.randn(1, 2, *SHAPES[dims])
    with torch.no_grad():
        assert len(one(x)) == 1
        torch.testing.assert_close(one(x)[0], two(x)[0], rtol=0, atol=0)


@pytest.mark.parametrize(("name", "dims"), BUILDS)
def test_a_network_is_the_same_under_the_same_seed(name: str, dims: int) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(built(name, dims).state_dict())
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values()))


@pytest.mark.parametrize("name", ["psp_msff", "r50_unet", "mecse_unet", "attention_unet", "segresnet", "dynunet"])
def test_a_network_of_slices_never_looks_at_a_neighbour(name: str) -> None:
    network = built(name, 2).eval()
    x = torch.randn(1, 2, 3, 32, 32)
    with torch.no_grad():
        apart = torch.cat([network(x[:, :, k : k + 1])[0] for k in range(3)], dim=2)
        torch.testing.assert_close(network(x)[0], apart, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "dims"), [(n, d) for n, d in BUILDS if n not in ("threshold", "unet3d")])
def test_a_size_that_the_strides_do_not_divide_comes_back_whole(name: str, dims: int) -> None:
    shape = (17, 19, 35)[-dims:] if dims == 3 else (1, 35, 51)
    with torch.no_grad():
        assert built(name, dims).eval()(torch.randn(1, 2, *shape))[0].shape[2:] == shape


def test_an_unknown_network_names_its_neighbour_and_a_wrong_option_is_refused() -> None:
    with pytest.raises(ModelError, match="did you mean 'unet3d'"):
        networks.build("unet3", channels=1, labels=2)
    with pytest.raises(ModelError, match="refuses its options"):
        networks.build("unet3d", channels=1, labels=2, depth=5)


@pytest.mark.parametrize("name", ["psp_msff", "r50_unet"])
def test_a_network_of_slices_refuses_volumes(name: str) -> None:
    with pytest.raises(ModelError, match="dims must be 2"):
        networks.build(name, channels=1, labels=2, dims=3)


def test_only_the_network_that_was_asked_for_is_imported() -> None:
    code = (
        "import sys\nfrom liverseg_core import networks\n"
        "networks.build('r50_unet', channels=1, labels=2, dims=2)\n"
        "assert not any(n in sys.modules for n in ('monai', 'liverseg_core.networks.psp_msff'))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CORE, capture_output=True)


@pytest.mark.parametrize(
    ("name", "size", "parameters", "gmac", "tolerance"),
    [
        ("psp_msff", 256, 7_475_710, 4.71, 0),
        ("psp_msff", 320, 7_475_710, 7.35, 0),
        ("r50_unet", 128, 40_919_206, 4.10, 0.001),  # the sheet's own rows sum to 40,919,010
        ("r50_unet", 256, 40_919_206, 16.4, 0.001),
    ],
)
def test_a_published_network_costs_what_was_counted(name, size, parameters, gmac, tolerance) -> None:
    """Multiply-adds, one image with 3 channels and 2 labels; counted without memory for the weights."""
    with torch.device("meta"), FlopCounterMode(display=False) as flops:
        network = networks.build(name, channels=3, labels=2, dims=2).eval()
        network(torch.empty(1, 3, 1, size, size))
    assert counted(network) == pytest.approx(parameters, rel=tolerance, abs=0)
    assert flops.get_total_flops() / 2e9 == pytest.approx(gmac, rel=0.002)


def test_the_trunks_have_their_taps_and_counts() -> None:
    x = torch.zeros(1, 3, 128, 128)
    with torch.no_grad():
        shapes = [tuple(tap.shape[1:]) for tap in EfficientNetB0().eval()(x)]
        assert shapes == [(24, 32, 32), (40, 16, 16), (112, 8, 8), (320, 8, 8)]
        assert EfficientNetB0(output_stride=32).eval()(x)[-1].shape[2:] == (4, 4)
        taps = [tuple(tap.shape[1:]) for tap in ResNet50().eval()(x)]
        assert taps == [(64, 64, 64), (256, 32, 32), (512, 16, 16), (1024, 8, 8), (2048, 4, 4)]
    assert counted(EfficientNetB0()) == 3_595_388
    assert counted(ResNet50()) == 23_508_032


def test_the_trunks_are_named_as_the_checkpoints_that_people_have() -> None:
    """Names of torchvision's files, a few of each kind."""
    names = EfficientNetB0().state_dict().keys()
    assert {
        "features.0.0.weight", "features.0.1.running_mean", "features.1.0.block.0.0.weight",
        "features.1.0.block.1.fc1.weight", "features.2.0.block.2.fc2.bias", "features.7.0.block.3.1.weight",
    } <= names  # fmt: skip
    assert {
        "conv1.weight", "bn1.bias", "layer1.0.downsample.0.weight", "layer1.0.downsample.1.running_var",
        "layer4.2.conv3.weight",
    } <= ResNet50().state_dict().keys()  # fmt: skip


@pytest.mark.parametrize("size", [(16, 16), (17, 19)])
def test_pyramid_pooling_returns_a_constant_in_every_branch(size: tuple[int, int]) -> None:
    pyramid = PyramidPooling(32).eval()
    x = torch.full((1, 32, *size), 2.5)
    for way in pyramid.ways:
        pooled = way[0](x)
        torch.testing.assert_close(pooled, torch.full_like(pooled, 2.5))
    assert pyramid(x).shape == (1, 64, *size)
    noise = torch.randn(1, 32, *size)
    torch.testing.assert_close(pyramid.ways[0][0](noise)[..., 0, 0], noise.mean((2, 3)))


def test_six_cells_on_a_ramp_of_sixteen() -> None:
    ramp = torch.arange(16.0).expand(1, 32, 16, 16)
    cells = PyramidPooling(32).ways[3][0](ramp)[0, 0, 0]
    torch.testing.assert_close(cells, torch.tensor([1.0, 3.5, 6.0, 9.0, 11.5, 14.0]))


def test_one_slice_can_train_with_group_normalisation_and_not_with_batch_normalisation() -> None:
    x = torch.randn(1, 1, 1, 32, 32)
    with pytest.raises(ValueError, match="more than 1 value"):
        networks.build("psp_msff", channels=1, labels=2, dims=2).train()(x)
    network = networks.build("psp_msff", channels=1, labels=2, dims=2, ppm_norm="group").train()
    assert torch.isfinite(network(x)[0]).all()


def test_a_shift_by_the_output_stride_shifts_the_answer() -> None:
    """Away from the borders, and with the pyramid, which sees the whole plane, switched off."""
    torch.manual_seed(0)
    network = networks.build("psp_msff", channels=1, labels=2, dims=2).eval()
    network.plane.pyramid.ways = nn.ModuleList()
    network.plane.pyramid.forward = lambda x: torch.cat([x, torch.zeros_like(x)], dim=1)
    tile = torch.randn(1, 1, 1, 64, 64)
    x = tile.repeat(1, 1, 1, 6, 6)
    with torch.no_grad():
        still, moved = network(x)[0], network(x.roll(16, dims=-1))[0]
    middle = slice(160, 224)
    assert (still[..., middle, middle] - moved[..., middle, 176:240]).abs().max() < 0.02 * still.std()
