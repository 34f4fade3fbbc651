"""A trained model is a folder: what its card promises, what its weights weigh, where it is found."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import pytest
import torch
from liverseg_core import library, networks
from liverseg_core.cli import main
from liverseg_core.errors import ModelError
from liverseg_core.model_card import Measured, ModelCard, Stage
from liverseg_core.models import load_model, save_model
from liverseg_core.pipeline import segment_scan
from phantoms import GRIDS, bright_liver, known_model, known_stage, saved_model


def test_a_card_comes_back_as_it_was_written(tmp_path) -> None:
    card = ModelCard(
        "m", "1", (known_stage(), known_stage(crop="previous", margin_mm=5.0, mirror=("k",), snap=None)), ("ct_portal",),
        training_data=("a", "b"), measured={"ct_portal": Measured(0.95, 0.9, 5, "five")},
    )  # fmt: skip
    card.save(tmp_path)
    assert ModelCard.load(tmp_path) == card
    assert card.measured_on("mr_t2").cases == "not measured on real scans"
    assert card.measured_on("mr_t2").dsc is None


@pytest.mark.parametrize(
    "change",
    [
        {"dims": 4}, {"dims": 2}, {"window": (0, 8, 8)}, {"spacing_mm": (1.0, -1.0, 1.0)}, {"labels": ()}, {"labels": (99,)},
        {"crop": "organ"}, {"mirror": ("i",)}, {"sure": 1.0}, {"post": {"1": ("polish",)}},
        {"post": {"1": ("min_ml:x",)}}, {"post": {"liver": ("largest",)}}, {"post": {"1": ("largest:2",)}},
    ],
    ids=str,
)  # fmt: skip
def test_a_stage_that_cannot_be_is_refused(change: dict) -> None:
    with pytest.raises(ModelError):
        known_stage(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"stages": ()},
        {"stages": (known_stage(crop="previous"),)},
        {"fit_phases": ("venous",)},
        {"measured": {"x": Measured()}},
    ],
    ids=["no stage", "first crops to previous", "unknown phase", "unknown measured phase"],
)
def test_a_card_that_cannot_be_is_refused(change: dict) -> None:
    with pytest.raises(ModelError):
        replace(known_model().card, **change)


@pytest.mark.parametrize("where", ["card", "stage", "measured"])
def test_unknown_keys_are_refused_wherever_they_stand(tmp_path, where: str) -> None:
    raw = json.loads((saved_model(tmp_path / "m") / "card.json").read_text())
    raw["measured"] = {"ct_portal": {"dsc": 0.9, "worst": 0.8, "n": 3, "cases": "three"}}
    {"card": raw, "stage": raw["stages"][0], "measured": raw["measured"]["ct_portal"]}[where]["spelling"] = 1
    (tmp_path / "m" / "card.json").write_text(json.dumps(raw))
    with pytest.raises(ModelError, match="spelling"):
        ModelCard.load(tmp_path / "m")


def unet_stage() -> Stage:
    return known_stage(network="unet3d", options={"widths": (8, 16, 32), "heads": 2}, labels=(1, 3))


def unet_card() -> ModelCard:
    return ModelCard("u", "1", (unet_stage(), replace(unet_stage(), crop="previous")), ("ct_portal",))


def random_states() -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    return [networks.build("unet3d", channels=1, labels=3, widths=(8, 16, 32), heads=2).state_dict() for _ in range(2)]


def test_eight_bit_weights_are_a_quarter_and_close(tmp_path) -> None:
    states = random_states()
    for bits in (8, 32):
        save_model(unet_card(), states, tmp_path / str(bits), bits=bits)
    size = {bits: (tmp_path / str(bits) / "weights.safetensors").stat().st_size for bits in (8, 32)}
    assert size[8] < 0.4 * size[32]  # a network this small is half headers and norms
    loaded = load_model(tmp_path / "8")
    for network, state in zip(loaded.networks, states):
        for name, tensor in network.state_dict().items():
            span = state[name].abs().flatten(1).amax(dim=1).max() if state[name].ndim > 1 else state[name].abs().max()
            assert float((tensor - state[name]).abs().max()) <= float(span) / 127 * 0.51 + 1e-9
    exact = load_model(tmp_path / "32")
    assert all(torch.equal(a, b) for a, b in zip(exact.networks[1].state_dict().values(), states[1].values()))


def test_weights_of_another_network_are_refused(tmp_path) -> None:
    card = save_model(unet_card(), random_states(), tmp_path / "m")
    wider = replace(card, stages=(replace(card.stages[0], options={"widths": (8, 16, 64), "heads": 2}), card.stages[1]))
    wider.save(tmp_path / "m")
    with pytest.raises(ModelError, match="do not fit"):
        load_model(tmp_path / "m")


def test_models_are_found_by_folder_then_environment_then_user_then_bundle(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(library, "BUNDLE", tmp_path / "bundle")
    monkeypatch.setattr(library, "user_models_folder", lambda: tmp_path / "user")
    for root in ("bundle", "user", "env"):
        saved_model(tmp_path / root / "known-answer")
    assert library.find_model("known-answer") == tmp_path / "user" / "known-answer"
    monkeypatch.setenv("LIVERSEG_MODELS", str(tmp_path / "env"))
    assert library.find_model("known-answer") == tmp_path / "env" / "known-answer"
    assert library.find_model(str(tmp_path / "bundle" / "known-answer")) == tmp_path / "bundle" / "known-answer"
    with pytest.raises(ModelError, match="did you mean 'known-answer'"):
        library.find_model("known-anser")


def test_auto_takes_the_best_measured_model_for_the_phase(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(library, "model_roots", lambda: (tmp_path,))
    for name, dsc in (("any-phase", 0.90), ("sharper", 0.95)):
        card = ModelCard.load(saved_model(tmp_path / name))
        replace(card, name=name, measured={"ct_portal": Measured(dsc, dsc, 5, "five")}).save(tmp_path / name)
    assert library.find_model("auto", "ct_portal").name == "sharper"
    assert library.find_model("auto", "mr_unknown").name == "any-phase"  # nobody measured: the default


def test_one_damaged_card_does_not_take_the_other_models_along(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(library, "model_roots", lambda: (tmp_path,))
    saved_model(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "card.json").write_text("{")
    assert library.find_model("auto", "ct_portal").name == "good"
    assert main(["models", "list"]) == 0
    assert "bad: unusable" in capsys.readouterr().out


def test_a_fit_model_is_taken_before_an_unfit_default(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(library, "model_roots", lambda: (tmp_path,))
    for name, phases in (("any-phase", ("mr_t2",)), ("ct-only", ("ct_portal",))):
        card = ModelCard.load(saved_model(tmp_path / name))
        replace(card, name=name, fit_phases=phases).save(tmp_path / name)
    assert library.find_model("auto", "ct_portal").name == "ct-only"


def test_a_model_that_asks_for_what_is_not_there_is_a_model_error() -> None:
    scan = bright_liver(GRIDS["plain"])
    for change in (
        {"normalisation": {"CT": "sepia"}},
        {"normalisation": {"MR": "body_zscore"}},
        {"channels": ("echo:2",)},
        {"channels": ("hue",)},
    ):
        with pytest.raises(ModelError):
            segment_scan(scan, known_model(known_stage(**change)), device="cpu")


def test_a_model_is_imported_once_verified_and_removed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(library, "user_models_folder", lambda: tmp_path / "user")
    folder = saved_model(tmp_path / "m")
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        for file in folder.iterdir():
            bundle.write(file, f"m/{file.name}")
    kept = library.import_model(archive)
    assert load_model(kept).card.name == "known-answer"
    with pytest.raises(ModelError, match="already imported"):
        library.import_model(archive)
    assert library.remove_model("known-answer") == kept
    assert not kept.exists()
    for name in ("known-answer", "../m", ""):
        with pytest.raises(ModelError):
            library.remove_model(name)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2] + bytes(40) + whole[len(whole) // 2 + 40 :])
    with pytest.raises(ModelError):
        library.import_model(archive)
    archive.write_bytes(whole)
    with zipfile.ZipFile(archive, "a") as bundle:
        bundle.writestr("again/card.json", "{}")
    with pytest.raises(ModelError, match=r"2 files named card\.json"):
        library.import_model(archive)
    assert list((tmp_path / "user").iterdir()) == []
