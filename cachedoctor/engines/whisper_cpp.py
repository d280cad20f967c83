"""whisper.cpp: one GGML file per model, in the folder that a binding or a script chose.

The program itself has no cache; pywhispercpp's folder is checked first.
Source: pywhispercpp 1.5.1 `constants.py`, `utils.py`; ggml-org/whisper.cpp v1.9.3 `models/`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import locators
from cachedoctor.engines import CatalogEngine, _shapes
from cachedoctor.engines.catalog import Model
from cachedoctor.locators.ggml_folder import begins_a_model, pywhispercpp_folder
from cachedoctor.vocabulary import FileSet

if TYPE_CHECKING:
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Claim, Entry

_NONE = Model(name="", sets=(), sizes=())


class WhisperCpp(CatalogEngine):
    """Loads a file in the current folder that is named like a model, in place of the model."""

    name = "whisper.cpp"
    locators = ("ggml-folder",)

    def instead(self, model: Model | None, word: str, host: Host) -> str:
        """Return what pywhispercpp finds first: a file here, or one so named in its folder."""
        name = word if model is None or word.startswith(("/", "~", ".")) else model.name
        folder = pywhispercpp_folder(host)
        here = host.here(host.expand(name))
        tried = (here, os.path.join(folder, name), os.path.join(folder, f"{name}.bin"))
        return next((path for path in tried if os.path.isfile(path)), "")

    def places(self, model: Model) -> tuple[str, ...]:
        """Return the model's file name."""
        return (f"ggml-{model.name}.bin",)

    def model_at(self, entry: Entry, host: Host) -> Model | None:
        """Return the model with the file's name."""
        known = self.table.models.get(entry.name.removeprefix("ggml-").removesuffix(".bin"))
        named = locators.of(entry).named_only and entry.name not in self.places(known or _NONE)
        if named or (known is None and self.fits(entry)):
            row = next(iter(self.table.models.values())).sets[0].requirements[0]
            mine = row._replace(names=(entry.name,), bytes=None, digest=None)
            return Model(name=entry.name, sets=(FileSet((mine,)),), sizes=(), known_by="shape")
        return known

    def fits(self, entry: Entry) -> bool:
        """Check a file in a flat folder; an encoder can be beside it."""
        files = map(entry.find, (name for name in entry.names if name.endswith(".bin")))
        return any(begins_a_model(_shapes.head(one)) for one in files if one is not None)

    def claimed(self, model: Model, entry: Entry, host: Host) -> Claim:
        """Add the file's repository, and what would be loaded in its place."""
        path = self.instead(model, model.name, host)
        itself = not path or os.path.realpath(path) == os.path.realpath(entry.path)
        shadows = () if itself or locators.of(entry).named_only else (path,)
        repository = "/".join(model.url.split("/")[3:5])  # of https://<hub>/<org>/<name>/resolve/…
        claim = super().claimed(model, entry, host)
        return claim._replace(shadows=shadows, repository=repository)

    def home(self, model: Model, host: Host) -> str:
        """Return the file's path in pywhispercpp's folder."""
        return os.path.join(pywhispercpp_folder(host), f"ggml-{model.name}.bin")


ENGINE = WhisperCpp()
