"""What can begin while the scan is still being read: importing torch and loading the model, which take a second."""

from __future__ import annotations

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

        return load_model(folder)

    def _load(self) -> None:
        try:
            from .models import load_model

            self._model = load_model(self._folder)
        except Exception as problem:
            self._problem = problem
