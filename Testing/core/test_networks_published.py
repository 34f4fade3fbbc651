"""The three further published networks against their counts and known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from liverseg_core import networks
from liverseg_core.errors import ModelError
from liverseg_core.networks._reparameterised import Rep, fused
from liverseg_core.networks.elanres_msca import Msca
from liverseg_core.networks.stunet import _Upsample
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

ANISOTROPIC = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
SMALL = {"widths": (8, 16, 24)}


def cost(name: str, shape: tuple[int, ...], *, dims: int = 3, labels: int = 2, **options: object) -> tuple[int, float]:
    """Parameters and 1e9 multiply-adds of one image, counted without memory for the weights."""
    with torch.device("meta"), FlopCounterMode(display=False) as flops:
        network = networks.build(name, channels=1, labels=labels, dims=dims, **options).eval()
        network(torch.empty(1, 1, *shape))
    return sum(p.numel() for p in network.parameters()), flops.get_total_flops() / 2e9


def settled(network: nn.Module) -> nn.Module:
    """With statistics and affine parts that are not those of a fresh network."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            for value, low in (
                (module.running_var, 0.5),
                (module.weight.data, 0.5),
                (module.running_mean, -0.5),
                (module.bias.data, -0.5),
            ):
                value.copy_(low + torch.rand(value.shape, generator=generator))
    return network.eval()


@pytest.mark.parametrize(
    ("size", "parameters", "two_labels"),
    [("S", 14_596_941, 14_545_338), ("B", 58_262_669, 58_159_978), ("L", 440_302_605, 440_097_738),
     ("H", 1_457_326_221, 1_457_019_178)],
)  # fmt: skip
def test_stunet_has_its_published_counts(size, parameters, two_labels) -> None:
    with torch.device("meta"):
        for labels, expected in ((105, parameters), (2, two_labels)):
            network = networks.build("stunet", channels=1, labels=labels, size=size)
            assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize(
    ("name", "shape", "options", "parameters", "gmac"),
    [
        ("mecse_unet", (1, 256, 256), {"dims": 2, "labels": 1}, 7_762_916, 12.04),
        ("mecse_unet", (32, 192, 192), {"labels": 1, "widths": (16, 32, 64, 128, 256)}, 5_646_612, 67.2),
        ("stunet", (48, 192, 192), {"size": "B", "strides": ANISOTROPIC}, 58_159_978, 636),
        ("elanres_msca", (48, 256, 256), {}, 4_960_936, 112.8),
        ("elanres_msca", (48, 256, 256), {"attention": False}, 3_924_776, 102.1),
        ("elanres_msca", (48, 256, 256), {"block": "double", "attention": False}, 5_821_176, 180.6),
        ("elanres_msca", (48, 256, 256), {"block": "double"}, 6_857_336, 191.3),
        ("elanres_msca", (48, 128, 128), {"widths": (32, 64, 128, 256, 512)}, 19_663_688, 111.5),
    ],
)
def test_a_published_network_costs_what_was_counted(name, shape, options, parameters, gmac) -> None:
    found = cost(name, shape, **options)
    assert found[0] == parameters
    assert found[1] == pytest.approx(gmac, rel=0.002)


def test_stunet_is_named_as_its_checkpoints() -> None:
    with torch.device("meta"):
        names = networks.build("stunet", channels=1, labels=105, size="L").state_dict().keys()
    assert {
        "conv_blocks_context.0.0.conv1.weight", "conv_blocks_context.5.1.norm2.bias", "conv_blocks_context.1.0.conv3.weight",
        "upsample_layers.0.conv.weight", "conv_blocks_localization.4.0.conv3.bias", "seg_outputs.0.weight",
    } <= names  # fmt: skip
    assert "conv_blocks_context.5.1.conv3.weight" not in names


def test_nearest_and_pointwise_commute_and_keep_a_constant() -> None:
    torch.manual_seed(0)
    up, x = _Upsample(4, 3), torch.randn(1, 4, 2, 3, 2)
    there = up(x, (4, 6, 4))
    torch.testing.assert_close(there, nn.functional.interpolate(up.conv(x), size=(4, 6, 4), mode="nearest"))
    flat = up(torch.ones(1, 4, 2, 2, 2), (5, 3, 4))
    assert float(flat.detach().std(dim=(2, 3, 4)).max()) < 1e-6


@pytest.mark.parametrize("shape", [(32, 32, 32), (5, 40, 33), (1, 1, 1)])
def test_small_volumes_are_padded_for_the_norm_and_cut_again(shape) -> None:
    network = networks.build("stunet", channels=1, labels=2, shrink=8).eval()
    with torch.no_grad():
        answer = network(torch.randn(1, 1, *shape))[0]
    assert answer.shape == (1, 2, *shape)
    assert torch.isfinite(answer).all()


@pytest.mark.parametrize(
    ("name", "dims", "options", "sizes"),
    [
        ("stunet", 3, {"shrink": 8}, [32, 16, 8, 4, 2]),
        ("mecse_unet", 2, {"widths": (4, 8, 8, 8, 8)}, [32, 16, 8, 4]),
        ("elanres_msca", 3, {"widths": (8, 8, 8, 8, 8)}, [32, 32, 32, 32]),
    ],
)
def test_heads_come_finest_first_and_the_first_is_the_one_in_use(name, dims, options, sizes) -> None:
    torch.manual_seed(0)
    network = networks.build(name, channels=1, labels=2, dims=dims, **options)
    x = torch.randn(2, 1, *(((1,) if dims == 2 else (32,)) + (32, 32)))
    assert [answer.shape[-1] for answer in network.train()(x)] == sizes
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d, nn.Dropout)):
            module.eval()
    first = network(x)[0]
    torch.testing.assert_close(network.eval()(x)[0], first)


def test_a_fused_block_answers_as_it_did_in_training_form() -> None:
    torch.manual_seed(0)
    block, x = settled(Rep(6)), torch.randn(2, 6, 5, 7, 6)
    with torch.no_grad():
        assert float((block.single()(x) - block(x)).abs().max()) < 1e-5


def test_a_fused_network_answers_the_same_with_fewer_parameters_and_twice_is_once() -> None:
    torch.manual_seed(0)
    network = settled(networks.build("elanres_msca", channels=1, labels=2, **SMALL))
    once = fused(network)
    twice = fused(once)
    x = torch.randn(1, 1, 8, 16, 16)
    with torch.no_grad():
        assert float((once(x)[0] - network(x)[0]).abs().max()) < 1e-5
        assert torch.equal(once(x)[0], twice(x)[0])
    assert not any(isinstance(module, Rep) for module in once.modules())
    assert any(isinstance(module, Rep) for module in network.modules())
    built = networks.build("elanres_msca", channels=1, labels=2, fused=True, **SMALL)
    built.load_state_dict(once.state_dict())
    with pytest.raises(ModelError, match="evaluation mode"):
        fused(network.train())


def test_the_fused_form_has_its_published_count() -> None:
    network = networks.build("elanres_msca", channels=1, labels=2, fused=True)
    assert sum(p.numel() for p in network.parameters()) == 3_429_000


def test_attention_sees_25_by_25_of_its_own_slice() -> None:
    torch.manual_seed(0)
    block = Msca(2).eval()
    u = torch.zeros(1, 2, 41, 41, requires_grad=True)
    block.mix.weight.data = torch.eye(2)[:, :, None, None]
    block.gate(u)[0, 0, 20, 20].backward()
    seen = u.grad[0].abs() > 0
    assert not seen[1].any()
    at = seen[0].nonzero()
    assert (at.amin(0).tolist(), at.amax(0).tolist()) == ([8, 8], [32, 32])
    assert int(seen[0].sum()) == 625


def test_strips_are_a_square_and_slices_do_not_mix() -> None:
    torch.manual_seed(0)
    block = Msca(1).eval()
    across, down = block.across[0], block.down[0]
    outer = torch.outer(down.weight[0, 0, :, 0], across.weight[0, 0, 0])[None, None]
    x = torch.randn(1, 1, 20, 20)
    both = down(across(x) - across.bias.view(1, -1, 1, 1)) - down.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(both, nn.functional.conv2d(x, outer, padding=3), atol=1e-6, rtol=1e-5)
    volume = torch.randn(1, 1, 4, 12, 12, requires_grad=True)
    block(volume)[0, 0, 2].sum().backward()
    touched = volume.grad[0, 0].abs().sum((1, 2)) > 0
    assert touched.tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("stunet", {"size": "XL"}, "size must be one of"), ("stunet", {"strides": [[2, 2, 2]]}, "5 rows"),
        ("stunet", {"dims": 2}, "dims must be 3"), ("elanres_msca", {"block": "elan"}, "block must be one of"),
        ("elanres_msca", {"dims": 2}, "dims must be 3"), ("mecse_unet", {"widths": (4, 8)}, "three levels"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(name, options, words) -> None:
    with pytest.raises(ModelError, match=words):
        networks.build(name, channels=1, labels=2, **options)


def test_odd_sizes_come_back_whole() -> None:
    for name, dims, options in (("mecse_unet", 2, {"widths": (4, 8, 8)}), ("elanres_msca", 3, SMALL)):
        shape = (1, 21, 35) if dims == 2 else (5, 21, 19)
        network = networks.build(name, channels=1, labels=2, dims=dims, **options).eval()
        with torch.no_grad():
            assert network(torch.from_numpy(np.zeros((1, 1, *shape), np.float32)))[0].shape[2:] == shape
