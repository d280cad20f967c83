"""WhisperKit: one folder per variant in the Swift Hub's layout, with OpenAI's tokenizer beside it.

Apps link the framework, so nothing on disk reveals its version; the newest is assumed.
Source: argmaxinc/argmax-oss-swift 1.0.0 `Sources/WhisperKit/Core/WhisperKit.swift`,
`Utilities/ModelUtilities.swift`, 1.1.0 `PyannoteModelManager.swift`; v0.9.0 to v0.18.0 for the
tokenizer's place.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import TYPE_CHECKING

from cachedoctor import locators
from cachedoctor.engines import CatalogEngine, bundled, catalog

if TYPE_CHECKING:
    from cachedoctor.engines.catalog import Model
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Claim, Entry, FileSet

_IN_THE_MODEL = "0.13.1"  # the one version that kept the tokenizer inside the model's folder
_BESIDE_THE_BASE = "0.13.0"  # up to here always in Documents, wherever the models were
# SpeakerKit and TTSKit, which are in the same package
_KITS = ("argmaxinc/speakerkit-coreml", "argmaxinc/ttskit-coreml")
_VARIANT = {"MelSpectrogram.mlmodelc", "AudioEncoder.mlmodelc", "TextDecoder.mlmodelc"}
_KIT = r"(?:^|/)(?:Speaker(?:Segmenter|Embedder\w*)|PldaProjector)\.mlmodelc$"
_SIZE = r"(?:tiny|base|small|medium)(?:\.en)?|large-v[23]"


def _without_tokenizer(files: FileSet) -> FileSet:
    """Require no tokenizer if a name does not reveal whose it is."""
    return files._replace(
        requirements=tuple(need for need in files.requirements if not need.tokenizer)
    )


class WhisperKit(CatalogEngine):
    """Looks for a tokenizer in several places, then silently uses the network."""

    name = "whisperkit"
    named_offline = False  # `WhisperKit(model:)` always asks the hub for its list of files
    locators = ("documents",)

    @cached_property
    def _by_folder(self) -> dict[str, Model]:
        return {files.folder: m for m in self.table.models.values() for files in m.sets}

    def places(self, model: Model) -> tuple[str, ...]:
        """Return the variant's folder."""
        return (f"{model.repository}/{model.sets[0].folder}",)

    def model_at(self, entry: Entry, host: Host) -> Model | None:
        """Return the model with the folder's name."""
        repository, _, folder = entry.name.rpartition("/")
        model = self._by_folder.get(folder)
        if model and repository in ("", model.repository):
            return model
        return self._shaped(entry)

    def fits(self, entry: Entry) -> bool:
        """Look for two of a variant's bundles."""
        return len(_VARIANT.intersection(entry.names)) > 1

    def _shaped(self, entry: Entry) -> Model | None:
        """Return a row for an unlisted variant, or for another of Argmax's models."""
        above, _, folder = entry.name.rpartition("/")
        repository = above if "/" in above else ""
        if self.fits(entry):
            size = re.search(_SIZE, folder)
            files = self.table.shaped(folder, repository)
            if size:
                return files._replace(tokenizer=f"openai/whisper-{size[0]}")
            return files._replace(sets=tuple(map(_without_tokenizer, files.sets)))
        if entry.name.startswith(_KITS) or _is_argmax(entry):
            return bundled(entry)
        return None

    def claimed(self, model: Model, entry: Entry, host: Host) -> Claim:
        """Add the folders in which the assumed version looks for the tokenizer."""
        version = self.version(host)
        base = entry.root
        above = os.path.dirname(entry.path)
        if locators.of(entry).named_only and above.endswith(f"/{model.repository}"):
            base = above.removesuffix(f"/{model.repository}")  # its base, where it lies in one
        usual = os.path.join(base, model.tokenizer)
        within = os.path.join(entry.path, "models", model.tokenizer)
        folders: tuple[str, ...] = (usual, entry.path, within)
        if version and catalog.ordinal(version) == catalog.ordinal(_IN_THE_MODEL):
            folders = (within,)
        elif version and catalog.ordinal(version) <= catalog.ordinal(_BESIDE_THE_BASE):
            folders = (usual,)
        claim = super().claimed(model, entry, host)
        return claim._replace(
            tokenizer_folders=folders,
            needs=claim.needs._replace(folder=entry.name),
            others=tuple(files._replace(folder=entry.name) for files in claim.others),
        )

    def home(self, model: Model, host: Host) -> str:
        """Return the variant's folder in Documents."""
        base = os.path.join(host.home, "Documents", "huggingface", "models")
        return os.path.join(base, model.repository, model.sets[0].folder)


ENGINE = WhisperKit()


def _is_argmax(entry: Entry) -> bool:
    """Return whether an entry holds bundles of SpeakerKit or TTSKit."""
    return any(re.search(_KIT, name) or "code_decoder/" in name for name in entry.names)
