"""openai-whisper: one `.pt` a model, below `XDG_CACHE_HOME` when that is set.

Source: openai-whisper 20250625 `__init__.py` `_MODELS`, `load_model`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.engines import CatalogEngine
from cachedoctor.locators import openai_cdn

if TYPE_CHECKING:
    from cachedoctor.catalog import Model
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Entry


class OpenAIWhisper(CatalogEngine):
    """Shares its files with whisper-mps wherever both look in the same folder."""

    name = "openai-whisper"
    locators = ("openai-cdn",)

    def places(self, model: Model) -> tuple[str, ...]:
        """Name the model's file."""
        return (f"{model.name}.pt",)

    def model_at(self, entry: Entry, host: Host) -> Model | None:
        """Find the model by the file's name, in the folders that this engine reads."""
        model = self.table.models.get(entry.name.removesuffix(".pt"))
        if model is None:
            return None
        usual = entry.root == os.path.realpath(openai_cdn.xdg_folder(host))
        return model if usual or openai_cdn.in_project(entry, host, model.bytes) else None

    def home(self, model: Model, host: Host) -> str:
        """Return the file's place in the default folder."""
        return os.path.join(openai_cdn.xdg_folder(host), f"{model.name}.pt")


ENGINE = OpenAIWhisper()
