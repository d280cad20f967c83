"""What a table says, as values: the rows, and which of them an engine's version means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.errors import UsageError
from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import Claim, Digest, FileSet, Requirement, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.version import Version


class Model(NamedTuple):
    """One row: a model in its engine's own language."""

    name: str
    sets: tuple[FileSet, ...]  # newest first
    sizes: tuple[str, ...]
    repository: str = ""
    former: tuple[str, str] = ("", "")  # the repository of versions up to this one
    prefix: str = ""
    url: str = ""
    bytes: int = 0  # about what a download costs
    revision: str = ""  # of the repository, for which `published` holds
    published: Mapping[str, tuple[int, Digest]] = {}
    tokenizer: str = ""  # the repository that its tokenizer comes from, where that is another
    by_path: bool = False  # the engine has no name for it
    known_by: str = "name"
    marker: tuple[str, str, str] = ("", "", "")  # name, commit, the first version that misses it

    @property
    def download_bytes(self) -> int:
        """Return about what a download costs, or 0 where that is not known."""
        return self.bytes or sum(length for length, _ in self.published.values())


class Table(NamedTuple):
    """One engine's models."""

    engine: str
    models: Mapping[str, Model]
    aliases: Mapping[str, str]
    sizes: Mapping[str, tuple[str, ...]]
    versions: tuple[str, ...]
    source: str
    platforms: tuple[str, ...] = ("darwin", "linux", "windows")
    removed: Mapping[str, str] = {}  # folder to the last version that read it
    package: str = ""  # that brings the engine into a Python, empty where programs are linked
    module: str = ""  # that is imported
    bridge: str = ""  # the program that loads models for us where the engine is linked
    former_aliases: Mapping[str, tuple[str, str]] = {}  # name to model, and the last version
    snapshot: tuple[str, ...] = ()  # patterns of what is asked of the hub's client as a whole
    heeds_absence: bool = False
    shape: tuple[str, tuple[FileSet, ...]] = ("", ())  # kind, and the files of such a model

    def model(self, name: str, version: str = "") -> Model:
        """Return the model that the engine calls `name`; raises `UsageError` with the nearest.

        A repository's name is one too.
        """
        former, until = self.former_aliases.get(name, ("", ""))
        if former and version and ordinal(version) <= ordinal(until):
            name = former
        known = self.aliases.get(name, name)
        if known not in self.models and "/" in known:
            known = self.by_repository.get(known, known)
        if known not in self.models:
            names = (*self.models, *self.aliases)
            raise UsageError(
                f"no model `{name}` for {self.engine}{nearest(name, names)}",
                hint=f"it has {', '.join(self.models)}",
            )
        return self.models[known]

    def row(self, word: str, version: str = "") -> Model:
        """Return the model that a word means: a name, a repository, also one that no row has.

        Raises `UsageError` for any other word.
        """
        organisation, slash, name = word.partition("/")
        try:
            return self.model(word, version)
        except UsageError:
            repository = bool(organisation and slash and name) and "/" not in name
            if repository and self.shape[0] and not word.startswith((".", "~", "/")):
                return self.shaped(word, word)
            raise

    @property
    def by_repository(self) -> Mapping[str, str]:
        """Return the name of the model by each repository that is its own alone."""
        named: dict[str, str] = {}
        for model in self.models.values():
            if model.repository and not model.prefix:
                named.setdefault(model.repository, model.name)
        return named

    def shaped(self, name: str, repository: str = "") -> Model:
        """Return the row of a model that no table has, known by its shape."""
        return Model(
            name=name, sets=self.shape[1], sizes=(), repository=repository, known_by="shape"
        )

    def answers(self, size: str) -> tuple[Model, ...]:
        """Return the models that answer `size`, in order; raises `UsageError` with the nearest."""
        if size not in self.sizes:
            raise UsageError(
                f"no size `{size}`{nearest(size, tuple(self.sizes))}",
                hint=f"the sizes are {', '.join(self.sizes)}",
            )
        return tuple(self.models[name] for name in self.sizes[size])

    def claim(self, model: Model, version: str) -> Claim:
        """Say that an entry is `model`, as `version` of the engine sees it; empty is the newest."""
        current = next((files for files in model.sets if holds(files, version)), model.sets[0])
        marker, commit, since = model.marker
        needs = current
        if marker and version and ordinal(version) >= ordinal(since):
            also = Requirement((marker,), (None,))
            needs = current._replace(requirements=(*current.requirements, also))
        return Claim(
            engine=self.engine,
            model=model.name,
            sizes=model.sizes,
            needs=needs,
            others=tuple(files for files in model.sets if files is not current),
            repository=repository_of(model, version),
            prefix=model.prefix,
            url=model.url,
            version=version,
            revision=model.revision,
            published=model.published,
            tokenizer=model.tokenizer,
            known_by=model.known_by,
            by_path=model.by_path,
            snapshot=self.snapshot,
            heeds_absence=self.heeds_absence,
            marker=(marker, commit),
        )


def repository_of(model: Model, version: str) -> str:
    """Return the repository that a model's name means to `version`; empty is the newest."""
    former, until = model.former
    return former if former and version and ordinal(version) <= ordinal(until) else model.repository


def holds(files: FileSet, version: str) -> bool:
    """Say whether `version` is in the range of a file set; the empty version is the newest."""
    if not version:
        return not files.until
    here = ordinal(version)
    after = not files.since or here >= ordinal(files.since)
    return after and (not files.until or here <= ordinal(files.until))


def ordinal(version: str) -> Version:
    """Return a version in its order among others; raises `UsageError` for another word."""
    from packaging.version import InvalidVersion, Version  # slow to import, and seldom needed

    try:
        return Version(version)
    except InvalidVersion as error:
        raise UsageError(f"no version number: `{version}`", hint="write it as `0.15.5`") from error
