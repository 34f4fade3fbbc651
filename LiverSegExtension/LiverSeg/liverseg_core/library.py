"""Where models lie: found by name or folder, listed, verified, imported, removed. No torch here."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from .errors import ModelError, OutputError
from .model_card import CARD, ModelCard

WEIGHTS = "weights.safetensors"
DEFAULT_MODEL = "any-phase"
BUNDLE = Path(__file__).parent / "bundle"


def user_models_folder() -> Path:
    """The user's data folder of this system, where imported models are kept."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    return base / "liverseg" / "models"


def model_roots() -> tuple[Path, ...]:
    """Folders of models, in the order in which a name is looked up."""
    given = os.environ.get("LIVERSEG_MODELS", "")
    return (*(Path(p) for p in given.split(os.pathsep) if p), user_models_folder(), BUNDLE)


def installed() -> dict[str, Path]:
    """Name -> folder of every model there is; the first root wins."""
    found: dict[str, Path] = {}
    for root in model_roots():
        for card in sorted(root.glob(f"*/{CARD}")):
            found.setdefault(card.parent.name, card.parent)
    return found


def find_model(wanted: str, phase: str = "") -> Path:
    """The folder of a model: `auto`, a name, or a folder. ModelError names what there is."""
    if Path(wanted).is_dir() and (Path(wanted) / CARD).exists():
        return Path(wanted)
    have = installed()
    if wanted == "auto":
        return _best(have, phase)
    if wanted in have:
        return have[wanted]
    if any(sign in wanted for sign in ("/", "\\")):
        raise ModelError(f"{wanted} is not a model folder: it has no {CARD}; expected card and weights")
    near = get_close_matches(wanted, have, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ModelError(f"unknown model {wanted!r}; {hint}installed: {', '.join(have) or 'none'}")


def weights_digest(folder: Path) -> str:
    """SHA-256 of the weights file, read in pieces."""
    digest = hashlib.sha256()
    try:
        with (folder / WEIGHTS).open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    except FileNotFoundError:
        raise ModelError(f"{folder} has no {WEIGHTS}; copy or import the model again") from None
    return digest.hexdigest()


def verify(folder: Path) -> ModelCard:
    """The card, after its weights were found to be those it was written for."""
    card = ModelCard.load(folder)
    held = weights_digest(folder)
    if held != card.sha256:
        raise ModelError(
            f"the weights of {card.name} are not those of its card (SHA-256 {held[:12]}... instead of "
            f"{card.sha256[:12] or 'none'}...): the file is damaged or was changed; import the model again"
        )
    return card


def import_model(archive: Path) -> Path:
    """Unpack a zip of one model folder into the user's models, verified first."""
    if not archive.is_file():
        raise ModelError(f"{archive} does not exist; expected a zip that holds {CARD} and {WEIGHTS}")
    if not zipfile.is_zipfile(archive):
        raise ModelError(f"{archive} is not a zip; expected one that holds {CARD} and {WEIGHTS}")
    root = user_models_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive) as bundle, tempfile.TemporaryDirectory(dir=root) as room:
            for part, entry in _entries(bundle, archive):
                (Path(room) / part).write_bytes(bundle.read(entry))
            card = verify(Path(room))
            target = root / _plain(card.name)
            if target.exists():
                raise ModelError(f"a model named {card.name!r} is already imported; remove it first")
            shutil.copytree(room, target.with_suffix(".part"))
        target.with_suffix(".part").rename(target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as problem:
        raise ModelError(f"{archive} is a damaged zip ({problem}); copy it again") from None
    except OSError as problem:
        raise OutputError(f"the model cannot be kept in {root}: {problem.strerror}") from None
    return target


def remove_model(name: str) -> Path:
    """Delete a model that was imported; what ships with LiverSeg stays."""
    folder = user_models_folder() / _plain(name)
    if not (folder / CARD).exists():
        mine = ", ".join(sorted(p.parent.name for p in user_models_folder().glob(f"*/{CARD}"))) or "none"
        raise ModelError(f"{name!r} is not an imported model; imported: {mine}")
    shutil.rmtree(folder)
    return folder


def _best(have: dict[str, Path], phase: str) -> Path:
    """Fit for the phase first, then the best measured; the default one where nobody measured."""
    if not have:
        raise ModelError("no model is installed; import one with `liverseg models import FILE`")
    ranked = [
        (phase in card.fit_phases, card.measured_on(phase).dsc or 0.0, folder.name == DEFAULT_MODEL, folder)
        for card, folder in _cards(have)
    ]
    if not ranked:
        raise ModelError("no installed model has a card that this version can read; see `liverseg models list`")
    return max(ranked, key=lambda row: row[:3])[3]


def _cards(have: dict[str, Path]) -> Iterator[tuple[ModelCard, Path]]:
    """Every model with a readable card; one damaged folder must not take the others along."""
    for folder in have.values():
        try:
            yield ModelCard.load(folder), folder
        except ModelError:
            continue


def _entries(bundle: zipfile.ZipFile, archive: Path) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Card and weights wherever they lie in the zip; nothing else is unpacked."""
    for part in (CARD, WEIGHTS):
        fitting = [entry for entry in bundle.infolist() if Path(entry.filename).name == part]
        if len(fitting) != 1:
            raise ModelError(f"{archive} holds {len(fitting)} files named {part}; expected exactly one")
        yield part, fitting[0]


def _plain(name: str) -> str:
    if not name or name != Path(name).name or name.startswith("."):
        raise ModelError(f"{name!r} cannot be the name of a folder")
    return name
