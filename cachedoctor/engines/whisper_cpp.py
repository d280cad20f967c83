"""whisper.cpp: one GGML file a model, in the folder that a binding or a script chose.

The program itself has no cache; pywhispercpp's folder counts as the first place.
Source: pywhispercpp 1.5.1 `constants.py`, `utils.py`; ggml-org/whisper.cpp v1.9.3 `models/`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.engines import CatalogEngine
from cachedoctor.locators.ggml_folder import pywhispercpp_folder

if TYPE_CHECKING:
    from cachedoctor.engines.catalog import Model
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Claim, Entry


class WhisperCpp(CatalogEngine):
    """Takes a file in the current folder that is called like a model for the model itself."""

    name = "whisper.cpp"
    locators = ("ggml-folder",)

    def places(self, model: Model) -> tuple[str, ...]:
        """Name the model's file."""
        return (f"ggml-{model.name}.bin",)

    def model_at(self, entry: Entry, host: Host) -> Model | None:
        """Find the model by the file's name."""
        return self.table.models.get(entry.name.removeprefix("ggml-").removesuffix(".bin"))

    def claimed(self, model: Model, entry: Entry, host: Host) -> Claim:
        """Add the repository of the file, and what would be loaded in place of it."""
        path = os.path.join(host.project or host.cwd, model.name)
        shadows = (path,) if os.path.lexists(path) else ()
        repository = "/".join(model.url.split("/")[3:5])  # of https://<hub>/<org>/<name>/resolve/…
        claim = super().claimed(model, entry, host)
        return claim._replace(shadows=shadows, repository=repository)

    def home(self, model: Model, host: Host) -> str:
        """Return the file's place in pywhispercpp's folder."""
        return os.path.join(pywhispercpp_folder(host), f"ggml-{model.name}.bin")


ENGINE = WhisperCpp()
