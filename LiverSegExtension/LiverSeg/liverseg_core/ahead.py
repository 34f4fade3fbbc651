"""What can begin while the scan is still being read: importing torch, loading the model and bringing it into shape."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .models import Model


class ModelAhead:
    """A model on its way into memory. What goes wrong on the way is told to whoever takes it, and to nobody before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._model: Model | None = None
        self._problem: Exception | None = None
        self._thread = Thread(target=self._load, name="model ahead")
        self._thread.start()

    def take(self, folder: Path) -> Model:
        """The model of `folder`, which the scan may have changed; raises what `load_model` raises."""
        self._thread.join()
        if folder == self._folder and self._problem is not None:
            raise self._problem
        if folder == self._folder and self._model is not None:
            return self._model
        from .models import load_model

        return ready(load_model(folder))

    def _load(self) -> None:
        try:
            from .models import load_model

            self._model = ready(load_model(self._folder))
            gc.freeze()  # torch's 200,000 objects stay to the end: looking through them for garbage takes .1 s
        except Exception as problem:
            self._problem = problem


def ready(model: Model) -> Model:
    """The model with its networks in their fast form, measured, where the CPU is the best device there is; elsewhere,
    and where memory is short (inference will say so in words), as it came."""
    import torch

    from .fastform import FastForm, half_type
    from .windows import bytes_a_voxel

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return model
    cpu, forms = torch.device("cpu"), []
    try:
        with torch.inference_mode():
            for stage, network in zip(model.card.stages, model.networks):
                form = FastForm(network, stage.dims, cpu, half_type(cpu))
                form.bytes_a_voxel = bytes_a_voxel(form, stage, cpu)
                forms.append(form)
    except (RuntimeError, MemoryError):
        return model
    return replace(model, networks=tuple(forms))
