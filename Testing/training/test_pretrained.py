"""Pre-trained trunks from made-up checkpoints: everything that fits comes in, nothing else does."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from liverseg_core import networks
from liverseg_core.errors import ModelError
from liverseg_training.pretrained import load_pretrained
from safetensors.torch import save_file
from torch import nn

HEADS = {
    "psp_msff": {"features.8.0.weight": torch.ones(1280, 320, 1, 1), "classifier.1.bias": torch.ones(1000)},
    "r50_unet": {"fc.weight": torch.ones(1000, 2048), "fc.bias": torch.ones(1000)},
}


def built(name: str, channels: int = 3) -> nn.Module:
    torch.manual_seed(channels)
    return networks.build(name, channels=channels, labels=2, dims=2)


def checkpoint(name: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(9)
    return {
        key: torch.randn_like(v) if v.is_floating_point() else v for key, v in built(name).encoder.state_dict().items()
    }


@pytest.mark.parametrize(
    ("name", "wrapped"),
    [("psp_msff", how) for how in ("plain", "safetensors", "module", "state_dict")] + [("r50_unet", "plain")],
)
def test_every_tensor_of_the_trunk_comes_in_and_the_head_stays_out(name, wrapped, tmp_path) -> None:
    made = checkpoint(name)
    whole = {**made, **HEADS[name]}
    file = tmp_path / ("trunk.safetensors" if wrapped == "safetensors" else "trunk.pth")
    if wrapped == "safetensors":
        save_file(whole, file)
    else:
        content = {f"module.{key}": value for key, value in whole.items()} if wrapped == "module" else whole
        torch.save({"state_dict": content, "epoch": 3} if wrapped == "state_dict" else content, file)
    network = built(name)
    loaded = load_pretrained(network, file)
    assert loaded.tensors == len([key for key in made if not key.endswith("num_batches_tracked")])
    assert set(loaded.left_out) == set(HEADS[name])
    assert not loaded.adapted
    assert all(torch.equal(value, made[key]) for key, value in network.encoder.state_dict().items())


def test_another_number_of_channels_keeps_the_answer_to_a_grey_image(tmp_path) -> None:
    torch.save(checkpoint("psp_msff"), tmp_path / "trunk.pth")
    three, one = built("psp_msff", 3).eval(), built("psp_msff", 1).eval()
    assert not load_pretrained(three, tmp_path / "trunk.pth").adapted
    assert load_pretrained(one, tmp_path / "trunk.pth").adapted
    grey = torch.rand(1, 1, 32, 32)
    first = [network.encoder.features[0][0] for network in (three, one)]
    torch.testing.assert_close(first[0](grey.expand(1, 3, 32, 32)), first[1](grey), rtol=1e-4, atol=1e-4)


def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path) -> None:
    made = checkpoint("psp_msff")
    missing = {key: value for key, value in made.items() if key != "features.3.0.block.0.0.weight"}
    strange = {**made, "features.9.weight": torch.ones(1)}
    reshaped = {**made, "features.1.0.block.0.0.weight": torch.ones(16, 1, 3, 3)}
    for content, words in ((missing, "1 tensors are missing"), (strange, "1 are strange"), (reshaped, "has the shape")):
        torch.save(content, tmp_path / "trunk.pth")
        network = built("psp_msff")
        with pytest.raises(ModelError, match=words):
            load_pretrained(network, tmp_path / "trunk.pth")
        assert all(
            torch.equal(a, b) for a, b in zip(network.state_dict().values(), built("psp_msff").state_dict().values())
        )


def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "pickled.pth").write_bytes(pickle.dumps({"weight": Evil()}, protocol=2))
    (tmp_path / "text.safetensors").write_text("no tensors here", encoding="utf-8")
    torch.save([1, 2, 3], tmp_path / "list.pth")
    for name, words in (
        ("nowhere.pth", "does not exist"), ("pickled.pth", "tensors"), ("text.safetensors", "cannot be read"),
        ("list.pth", "no plain table of tensors"),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=words):
            load_pretrained(built("psp_msff"), tmp_path / name)
    assert not (tmp_path / "ran").exists()
    torch.save({"weight": torch.ones(1, 1, 1, 1)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"1 tensors are missing \(bias"):
        load_pretrained(nn.Conv2d(1, 1, 1), tmp_path / "other.pth")


def stunet(labels: int = 2) -> nn.Module:
    torch.manual_seed(labels)
    return networks.build("stunet", channels=1, labels=labels, shrink=8)


def published(labels: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    return {key: torch.randn_like(value) for key, value in stunet(labels).state_dict().items()}


@pytest.mark.parametrize("labels", [105, 2])
def test_a_published_stunet_fills_everything_but_heads_of_other_labels(labels: int, tmp_path: Path) -> None:
    """As nnU-Net keeps it: below `state_dict`, names prefixed, numbers of NumPy beside the tensors."""
    made = published(labels)
    content = {"state_dict": {f"module.{k}": v for k, v in made.items()}, "epoch": 4000, "best": np.float64(0.5)}
    torch.save(content, tmp_path / "small_ep4k.model")
    network, fresh = stunet(), stunet().state_dict()
    loaded = load_pretrained(network, tmp_path / "small_ep4k.model")
    heads = {key for key in made if key.startswith("seg_outputs.")} if labels != 2 else set()
    assert len(heads) == (10 if labels != 2 else 0)
    assert set(loaded.left_out) == heads
    assert loaded.tensors == len(made) - len(heads)
    for key, value in network.state_dict().items():
        assert torch.equal(value, fresh[key] if key in heads else made[key])


def test_a_second_network_takes_the_encoder_alone(tmp_path: Path) -> None:
    torch.save({"averages": [published(2)], "networks": [stunet().state_dict()]}, tmp_path / "best.pt")
    network, fresh = stunet(), stunet().state_dict()
    load_pretrained(network, tmp_path / "best.pt", encoder=True)
    for key, value in network.state_dict().items():
        assert torch.equal(value, published(2)[key] if key.startswith("conv_blocks_context.") else fresh[key])
    whole = networks.build("unet3d", channels=1, labels=2, widths=(4, 8))
    torch.save(whole.state_dict(), tmp_path / "whole.pt")
    assert load_pretrained(whole, tmp_path / "whole.pt").left_out == ()
    plain = nn.Conv3d(1, 1, 1)
    torch.save(plain.state_dict(), tmp_path / "plain.pt")
    with pytest.raises(ModelError, match="has no encoder that a second network could share"):
        load_pretrained(plain, tmp_path / "plain.pt", encoder=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda made: made.pop("conv_blocks_localization.2.0.norm1.weight"), "1 tensors are missing"),
        (lambda made: made.pop("seg_outputs.3.bias"), "1 tensors are missing"),
        (lambda made: made.update({"decoder.weight": torch.ones(2)}), "1 are strange"),
        (lambda made: made.update({"upsample_layers.0.conv.bias": torch.ones(3)}), "has the shape"),
    ],
)
def test_a_stunet_that_lacks_one_tensor_is_refused_and_changes_nothing(change, words, tmp_path: Path) -> None:
    made = published(105)
    change(made)
    torch.save(made, tmp_path / "x.pth")
    network = stunet()
    with pytest.raises(ModelError, match=words):
        load_pretrained(network, tmp_path / "x.pth")
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), stunet().state_dict().values()))
