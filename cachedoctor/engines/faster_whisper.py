"""faster-whisper: CTranslate2 models from the hub cache.

Source: faster-whisper 1.2.1 `utils.py` `_MODELS`, `download_model`; `transcribe.py`
`WhisperModel.__init__`.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from cachedoctor.engines import CatalogEngine
from cachedoctor.locators.hub_cache import folder_name

if TYPE_CHECKING:
    from cachedoctor.catalog import Model
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Entry


class FasterWhisper(CatalogEngine):
    """One repository a model; the branch `main` is what a name resolves to."""

    name = "faster-whisper"
    locators = ("hub-cache",)

    @cached_property
    def _by_repository(self) -> dict[str, Model]:
        models = self.table.models.values()
        return {repository: model for model in models for repository in model.repositories}

    def places(self, model: Model) -> tuple[str, ...]:
        """Name the model's repositories, the one that is fetched today first."""
        return model.repositories

    def model_at(self, entry: Entry, host: Host) -> Model | None:
        """Find the model of a repository; every revision of it counts."""
        return self._by_repository.get(entry.name) if "/models--" in entry.path else None

    def home(self, model: Model, host: Host) -> str:
        """Return the folder of the model's repository in the hub cache."""
        return os.path.join(host.hub_cache, folder_name(model.repositories[0]))


ENGINE = FasterWhisper()
