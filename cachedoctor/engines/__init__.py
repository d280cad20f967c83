"""What each engine would load: one module per engine, resolving names and places by its table.

Each module defines `ENGINE: Engine`. An engine knows the locators it uses, but no rules.
"""

from __future__ import annotations

import importlib
import os
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from cachedoctor import locators
from cachedoctor.engines import catalog
from cachedoctor.engines.catalog import Model
from cachedoctor.errors import UsageError
from cachedoctor.locators import hub_cache, openai_cdn
from cachedoctor.vocabulary import WEIGHTS, FileSet, Requirement, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from cachedoctor.engines.catalog import Table
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Claim, Entry


class Engine(Protocol):
    """One program that loads models."""

    name: str
    locators: tuple[str, ...]

    @property
    def table(self) -> Table:
        """The engine's models, read from the catalogue on first use."""
        ...

    def places(self, model: Model) -> tuple[str, ...]:
        """Return the repositories, folders or files that can hold `model`, newest first."""
        ...

    def claim(self, entry: Entry, host: Host) -> Claim | None:
        """Return the claim on `entry` as one of this engine's models, or `None`."""
        ...

    def claimed(self, model: Model, entry: Entry, host: Host) -> Claim:
        """Return the claim that `entry` is `model`."""
        ...

    def home(self, model: Model, host: Host) -> str:
        """Return the path at which the engine looks for `model` first."""
        ...

    def retired(self, entry: Entry) -> str:
        """Return the last version that read `entry` if none does now, else an empty string."""
        ...

    def instead(self, model: Model | None, word: str, host: Host) -> str:
        """Return what the engine loads in preference to `model` when it is given `word`."""
        ...

    @property
    def named_offline(self) -> bool:
        """Return whether the engine can load by name without any network."""
        ...

    @property
    def takes_repositories(self) -> bool:
        """Return whether the engine accepts a repository's name in place of a model's."""
        ...


class CatalogEngine:
    """The common part of all engines: a catalogue table, and claims made from its rows."""

    name: str
    locators: tuple[str, ...]
    named_offline = True
    takes_repositories = True

    @cached_property
    def table(self) -> Table:
        """The engine's models, read from the catalogue on first use."""
        return catalog.read(self.name)

    def claim(self, entry: Entry, host: Host) -> Claim | None:
        """Return the claim on `entry` as one of this engine's models, or `None`."""
        if not self._may_have(entry, host):
            return None
        model = self.model_at(entry, host)
        return self.claimed(model, entry, host) if model is not None else None

    def _may_have(self, entry: Entry, host: Host) -> bool:
        """Return whether this engine looks in the root of `entry`."""
        uses = entry.locator in self.locators
        given = locators.given(entry, host) if host.places else None
        if given is None or self.name in given:
            return uses or given is not None
        return uses and (not given or locators.is_usual(entry, host))

    def claimed(self, model: Model, entry: Entry, host: Host) -> Claim:
        """Return the claim that `entry` is `model`."""
        return self.table.claim(model, self.version(host))

    def model_at(self, entry: Entry, host: Host) -> Model | None:
        """Return the model that this engine would find in `entry`."""
        raise NotImplementedError

    def fits(self, entry: Entry) -> bool:
        """Return whether an entry that no table names has the shape of this engine's models.

        Reads its configuration and 64 bytes.
        """
        return False

    def version(self, host: Host) -> str:
        """Return the assumed version, empty for the newest."""
        return host.engine_versions.get(self.name, "")

    def retired(self, entry: Entry) -> str:
        """Return the last version that read `entry` if none does now, else an empty string."""
        return ""

    def instead(self, model: Model | None, word: str, host: Host) -> str:
        """Return `word` as a path, if it names no model and the path exists."""
        path = host.absolute(host.expand(word))
        return path if model is None and os.path.exists(path) else ""


class HubEngine(CatalogEngine):
    """Loads a repository from the hub cache; a name resolves to the branch `main`.

    In a root added by the user, a model is recognised by its folder's name.
    """

    locators: tuple[str, ...] = ("hub-cache",)

    def claim(self, entry: Entry, host: Host) -> Claim | None:
        """Return the claim on `entry`, recognised by name or else by its shape."""
        if not self._may_have(entry, host):
            return None
        model = self.model_at(entry, host)
        if model is not None:
            return self.claimed(model, entry, host)
        if self._is_known(entry, host) or not self.fits(entry):
            return None
        repository = entry.name if locators.of(entry).has_revisions else ""
        return self.claimed(self.table.shaped(entry.name, repository), entry, host)

    def _is_known(self, entry: Entry, host: Host) -> bool:
        """Return whether a name of the assumed version resolves to this repository."""
        model = self._by_repository.get(entry.name)
        return model is not None and catalog.repository_of(model, self.version(host)) == entry.name

    @cached_property
    def _by_repository(self) -> dict[str, Model]:
        models = self.table.models.values()
        named = {model.former[0]: model for model in models if model.former[0]}
        return named | {model.repository: model for model in models}

    def places(self, model: Model) -> tuple[str, ...]:
        """Return the model's repositories, newest first."""
        return tuple(name for name in (model.repository, model.former[0]) if name)

    def model_at(self, entry: Entry, host: Host) -> Model | None:
        """Return the model whose name resolves to this repository in the assumed version."""
        if not locators.of(entry).has_revisions:
            last = entry.name.rpartition("/")[2]
            by_name = {
                name.rpartition("/")[2]: model for name, model in self._by_repository.items()
            }
            return self.table.models.get(last) or by_name.get(last)
        model = self._by_repository.get(entry.name) if "/models--" in entry.path else None
        if model is None or catalog.repository_of(model, self.version(host)) != entry.name:
            return None
        return None if _is_part(entry, model) else model

    def home(self, model: Model, host: Host) -> str:
        """Return the folder of the model's repository in the hub cache."""
        repository = catalog.repository_of(model, self.version(host))
        return os.path.join(host.hub_cache, hub_cache.folder_name(repository))


class RepositoryEngine(HubEngine):
    """Loads whatever has the repository's name in the current folder, in place of the model."""

    def instead(self, model: Model | None, word: str, host: Host) -> str:
        """Return whatever has the repository's name in the current folder."""
        asked = model.repository if model is not None else host.expand(word)
        path = host.here(asked or word)
        return path if os.path.exists(path) else ""


def _is_part(entry: Entry, model: Model) -> bool:
    """Return whether another program fetched only a tokenizer or processor of this repository.

    faster-whisper does so with `openai/whisper-tiny`. A download of the whole repository leaves a
    manifest.
    """
    if entry.promises or not entry.artifacts:
        return False
    own = {
        name
        for files in model.sets
        for need in files.requirements
        if not (need.tokenizer or need.optional)
        for name in need.names
    }
    telling = {n for n in own if n == "config.json" or n.endswith((*WEIGHTS, ".index.json"))}
    return (telling or own).isdisjoint(artifact.name for artifact in entry.artifacts)


# What is read of a checkpoint that is named, and the axes of tensors that its sizes must be.
# Source: openai-whisper 20250625 `__init__.py` `load_model`, `model.py` `ModelDimensions`.
_CHECKPOINT = ("dims", "model_state_dict")
_AGREE = (
    ("n_mels", "encoder.conv1.weight", 1, 1),
    ("n_audio_state", "encoder.conv1.weight", 0, 1),
    ("n_audio_head", "encoder.conv1.weight", 0, 64),
    ("n_audio_layer", "encoder.blocks.*", 0, 1),
    ("n_vocab", "decoder.token_embedding.weight", 0, 1),
    ("n_text_ctx", "decoder.positional_embedding", 0, 1),
    ("n_text_state", "decoder.positional_embedding", 1, 1),
    ("n_text_head", "decoder.positional_embedding", 1, 64),
    ("n_text_layer", "decoder.blocks.*", 0, 1),
)
_DIMS = (*(key for key, *_ in _AGREE), "n_audio_ctx")


_NONE = Model(name="", sets=(), sizes=())


class CdnEngine(CatalogEngine):
    """Loads OpenAI's `.pt` files; two engines share them in every folder both read."""

    locators: tuple[str, ...] = ("openai-cdn",)

    def __init__(
        self, name: str, usual: Callable[[Host], str], *, takes_paths: bool = False
    ) -> None:
        """Take the engine's name and the function that returns its default folder.

        An engine that takes no paths must be given the folder and a name that it knows.
        """
        self.name = name
        self._usual = usual
        self._takes_paths = takes_paths

    def places(self, model: Model) -> tuple[str, ...]:
        """Return the model's file name."""
        return (f"{model.name}.pt",)

    def model_at(self, entry: Entry, host: Host) -> Model | None:
        """Return the model with the file's name, in the folders that this engine reads."""
        model = self.table.models.get(entry.name.removesuffix(".pt"))
        if locators.of(entry).named_only and not self._takes_paths:
            return model if entry.name in self.places(model or _NONE) else None
        if locators.of(entry).named_only:  # no digest is required of a path
            row = (model or next(iter(self.table.models.values()))).sets[0].requirements[0]
            if model is not None and entry.artifacts[0].size_bytes == model.bytes:
                files = FileSet((row._replace(names=(entry.name,), most_trailing=None),))
                return model._replace(sets=(files,))
            need = Requirement(
                names=(entry.name,),
                formats=row.formats,
                keys=_CHECKPOINT,
                only=_DIMS,
                agrees=_AGREE,
            )
            files = FileSet((need._replace(needed=((entry.name, _DIMS),)),))
            return Model(name=entry.name, sets=(files,), sizes=(), known_by="shape")
        if model is None:
            return None
        if entry.root == os.path.realpath(self._usual(host)):
            return model
        if locators.given(entry, host) is not None:
            return model
        return model if openai_cdn.in_project(entry, host, model.bytes) else None

    def home(self, model: Model, host: Host) -> str:
        """Return the file's path in the default folder."""
        return os.path.join(self._usual(host), f"{model.name}.pt")


def bundled(entry: Entry) -> Model | None:
    """Return a row for an unlisted folder of Core ML bundles, each of which is required."""
    found = sorted(a.name for a in entry.artifacts if a.bundle and a.name.endswith(".mlmodelc"))
    whole = (name for name in found if ".mlmodelc/" not in name)  # not inside another
    needs = tuple(Requirement((name,), ("coreml",)) for name in whole)
    if not needs:
        return None
    return Model(name=entry.name, sets=(FileSet(needs),), sizes=(), known_by="shape")


def names() -> tuple[str, ...]:
    """Return the name of every engine, as its table spells it."""
    return catalog.names()


def find(name: str) -> Engine:
    """Return the engine called `name`; raises `UsageError` that suggests the nearest names."""
    known = names()
    if name not in known:
        raise UsageError(
            f"no engine `{name}`{nearest(name, known)}", hint=f"the engines are {', '.join(known)}"
        )
    engine: Engine = importlib.import_module(f"{__name__}.{catalog.module_of(name)}").ENGINE
    return engine


def published() -> dict[str, str]:
    """Return the model's name, by digest, for every file in a table; reads all tables."""
    found: dict[str, str] = {}
    for engine in map(find, names()):
        for model in engine.table.models.values():
            known = [digest for _, digest in model.published.values()]
            known += [n.digest for files in model.sets for n in files.requirements if n.digest]
            found.update({d.hex: f"{engine.name}'s `{model.name}`" for d in known})
    return found
