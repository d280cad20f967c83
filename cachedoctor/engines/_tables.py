"""The content of a table as values: its rows, and which of them apply to an engine's version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.errors import UsageError
from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import Claim, Digest, FileSet, Requirement, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.version import Version


class Model(NamedTuple):
    """One row: a model as its engine names it."""

    name: str
    sets: tuple[FileSet, ...]  # newest first
    sizes: tuple[str, ...]
    repository: str = ""
    former: tuple[str, str] = ("", "")  # the repository used by versions up to this one
    prefix: str = ""
    url: str = ""
    bytes: int = 0  # approximate download size
    revision: str = ""  # the commit of the repository to which `published` applies
    published: Mapping[str, tuple[int, Digest]] = {}
    tokenizer: str = ""  # the repository of its tokenizer, if not its own
    by_path: bool = False  # the engine has no name for it
    known_by: str = "name"
    marker: tuple[str, str, str] = ("", "", "")  # name, commit, the first version that requires it

    @property
    def download_bytes(self) -> int:
        """Return the approximate download size, or 0 if unknown."""
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
    package: str = ""  # that installs the engine in a Python, empty for linked frameworks
    module: str = ""  # the module to import
    bridge: str = ""  # the program that loads models for us if the engine is a framework
    former_aliases: Mapping[str, tuple[str, str]] = {}  # name to model, last version
    snapshot: tuple[str, ...] = ()  # patterns it fetches with `snapshot_download`
    heeds_absence: bool = False
    shape: tuple[FileSet, ...] = ()  # the files of a model recognised only by its shape

    def model(self, name: str, version: str = "") -> Model:
        """Return the model called `name` by the engine; raises `UsageError` with the nearest names.

        A repository's name is accepted too.
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
        """Return the model that `word` means: a name, or any repository, even one without a row.

        Raises `UsageError` for any other word.
        """
        organisation, slash, name = word.partition("/")
        try:
            return self.model(word, version)
        except UsageError:
            repository = bool(organisation and slash and name) and "/" not in name
            if repository and self.shape and not word.startswith((".", "~", "/")):
                return self.shaped(word, word)
            raise

    @property
    def by_repository(self) -> Mapping[str, str]:
        """Return the name of each model by repository, for repositories with a single model."""
        named: dict[str, str] = {}
        for model in self.models.values():
            if model.repository and not model.prefix:
                named.setdefault(model.repository, model.name)
        return named

    def shaped(self, name: str, repository: str = "") -> Model:
        """Return a row for a model recognised by its shape, not listed in any table."""
        return Model(name=name, sets=self.shape, sizes=(), repository=repository, known_by="shape")

    def answers(self, size: str) -> tuple[Model, ...]:
        """Return the models for `size`, in order; raises `UsageError` with the nearest names."""
        if size not in self.sizes:
            raise UsageError(
                f"no size `{size}`{nearest(size, tuple(self.sizes))}",
                hint=f"the sizes are {', '.join(self.sizes)}",
            )
        return tuple(self.models[name] for name in self.sizes[size])

    def claim(self, model: Model, version: str) -> Claim:
        """Return the claim that an entry is `model` for `version` of the engine; empty: newest."""
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
    """Return the repository that a model's name resolves to in `version`, empty for newest."""
    former, until = model.former
    return former if former and version and ordinal(version) <= ordinal(until) else model.repository


def holds(files: FileSet, version: str) -> bool:
    """Return whether `version` is in the range of a file set; empty means newest."""
    if not version:
        return not files.until
    here = ordinal(version)
    after = not files.since or here >= ordinal(files.since)
    return after and (not files.until or here <= ordinal(files.until))


def ordinal(version: str) -> Version:
    """Parse a version for comparison; raises `UsageError` if it is not one."""
    from packaging.version import InvalidVersion, Version  # slow to import, and rarely needed

    try:
        return Version(version)
    except InvalidVersion as error:
        raise UsageError(f"no version number: `{version}`", hint="write it as `0.15.5`") from error
