"""faster-whisper: CTranslate2 models from the hub cache.

Source: faster-whisper 1.2.1 `utils.py` `_MODELS`, `download_model`; `transcribe.py`
`WhisperModel.__init__`.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from cachedoctor import catalog
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
        named = {model.former[0]: model for model in models if model.former[0]}
        return named | {model.repository: model for model in models}

    def places(self, model: Model) -> tuple[str, ...]:
        """Name the model's repositories, the newest first."""
        return tuple(name for name in (model.repository, model.former[0]) if name)

    def model_at(self, entry: Entry, host: Host) -> Model | None:
        """Find the model whose name means this repository to the assumed version."""
        model = self._by_repository.get(entry.name) if "/models--" in entry.path else None
        version = host.engine_versions.get(self.name, "")
        return model if model and catalog.repository_of(model, version) == entry.name else None

    def home(self, model: Model, host: Host) -> str:
        """Return the folder of the model's repository in the hub cache."""
        version = host.engine_versions.get(self.name, "")
        return os.path.join(host.hub_cache, folder_name(catalog.repository_of(model, version)))


ENGINE = FasterWhisper()
