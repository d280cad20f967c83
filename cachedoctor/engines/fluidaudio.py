"""FluidAudio: folders of Core ML bundles below Application Support, one name per model.

Apps link the framework, so nothing on disk reveals its version; the newest is assumed.
Source: FluidInference/FluidAudio `ModelNames.swift`, `AsrModels.swift`, v0.1.0 to v0.15.6.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import TYPE_CHECKING

from cachedoctor.engines import CatalogEngine, bundled

if TYPE_CHECKING:
    from cachedoctor.engines.catalog import Model
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Entry

_OWN = ("/FluidAudio/Models", "/.cache/fluidaudio/Models")  # the second holds speech synthesis
_PART = r"(?i)(?:^|/)(Preprocessor|Encoder|Decoder|Projection)\w*\.mlmodelc$"
_BUNDLE = (
    r"(?i)(?:^|/)(?:joint|parakeet|nemotron|streaming_encoder|silero|sortformer|ls_eend|wespeaker|canary"
    r"|pyannote|paraformer|sensevoice|campplus|fsmn|cohere|ctchead|kokoro)[\w.-]*\.mlmodelc$"
)


class FluidAudio(CatalogEngine):
    """Loads folders whose names lost `-coreml` in 0.13.4, without a migration."""

    name = "fluidaudio"
    locators = ("application-support",)

    @cached_property
    def _by_folder(self) -> dict[str, list[Model]]:
        found: dict[str, list[Model]] = {}
        for model in self.table.models.values():
            for folder in self.places(model):
                found.setdefault(folder, []).append(model)
        return found

    def places(self, model: Model) -> tuple[str, ...]:
        """Return the model's folders, newest first."""
        return tuple(dict.fromkeys(files.folder for files in model.sets))

    def model_at(self, entry: Entry, host: Host) -> Model | None:
        """Return the model of a folder, by any name that some version gave it.

        If two models share a folder, the one with more of its bundles there wins.
        """
        there = {artifact.name for artifact in entry.artifacts}
        rows = [
            model
            for model in self._by_folder.get(entry.name, ())
            if self.version(host) or not model.sets[0].until  # superseded
        ]

        def present(model: Model) -> int:
            return max(
                sum(
                    not n.optional and bool(there.intersection(n.names)) for n in files.requirements
                )
                for files in model.sets
            )

        return max(rows, key=present, default=None) or self._shaped(entry)

    def fits(self, entry: Entry) -> bool:
        """Look for the name of a bundle in speech models, or for three parts of one."""
        if any(re.search(_BUNDLE, name) for name in entry.names):
            return True
        parts = {found[1] for name in entry.names if (found := re.search(_PART, name))}
        return len(parts) > 2  # of an encoder, a decoder and what comes before or after

    def _shaped(self, entry: Entry) -> Model | None:
        """Return a row for an unlisted folder; in the framework's own root each one is a model."""
        if entry.name in self._by_folder or self.retired(entry):
            return None
        own = entry.root.endswith(_OWN)
        if not (own or self.fits(entry)):
            return None
        there = {artifact.name for artifact in entry.artifacts}
        for files in self.table.shape:
            needs = files.requirements
            if sum(bool(there.intersection(need.names)) for need in needs) >= len(needs) - 1:
                return self.table.shaped(entry.name)
        return bundled(entry)

    def retired(self, entry: Entry) -> str:
        """Return the last version that had a folder of this name."""
        if entry.locator not in self.locators or entry.root.rpartition("/")[2] != "Models":
            return ""
        given_up = next((model.sets[0].until for model in self._by_folder.get(entry.name, ())), "")
        return self.table.removed.get(entry.name, given_up)

    def home(self, model: Model, host: Host) -> str:
        """Return the folder in which the assumed version looks."""
        files = self.table.claim(model, host.engine_versions.get(self.name, "")).needs
        folder = "Library/Application Support/FluidAudio/Models"
        return os.path.join(host.home, folder, files.folder or model.name)


ENGINE = FluidAudio()
