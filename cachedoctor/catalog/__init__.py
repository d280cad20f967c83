"""What each engine calls its models and which files they need: one TOML an engine.

```
engine = "faster-whisper"
versions = ["1.2.1"]                  # the releases the rows were read in
source = "…"                          # where, for every row that names no source of its own
sizes = { tiny = ["tiny"], … }        # a size is answered by the first model that is ready
aliases = { large = "large-v3" }      # names the engine itself accepts

[[sets.whisper]]                      # what a model needs; several of one name differ by version
files = [
  { any = ["model.bin"], format = "ctranslate2" },
  { any = ["w.safetensors", "w.npz"], format = ["safetensors", "npz"] },   # one for each name
  { any = ["tokenizer.json"], tokenizer = true },   # without it the engine asks the network
  { any = ["encoder.mlmodelc"], format = "coreml", optional = true },   # read, but not missed
]

[[model]]
name = "tiny"
set = "whisper"                       # or its own [[model.set]], oldest first
folder = "tiny"                       # where each model has a folder, for all its sets
file = "tiny.pt"                      # in place of a set, with format, bytes, sha256, url; `also`
                                      # lists further files as a set does
tokenizer = "openai/whisper-tiny"     # where the tokenizer comes from another repository
repository = "Systran/faster-whisper-tiny"
former = { repository = "guillaumekln/faster-whisper-tiny", until = "0.9.0" }
bytes = 78203619                      # about what a download costs
revision = "d90ca5fe…"                # the commit for which the published digests hold
published = [{ name = "model.bin", bytes = 75538270, sha256 = "dcb76c65…" }]

[[removed]]                           # a folder that no version reads any more
folder = "magpie-tts"
until = "0.15.2"
```
"""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor.errors import CacheDoctorError, UsageError
from cachedoctor.vocabulary import Claim, Digest, FileSet, Requirement, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping


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


class Table(NamedTuple):
    """One engine's models."""

    engine: str
    models: Mapping[str, Model]
    aliases: Mapping[str, str]
    sizes: Mapping[str, tuple[str, ...]]
    versions: tuple[str, ...]
    source: str
    platforms: tuple[str, ...] = ("darwin", "linux")
    removed: Mapping[str, str] = {}  # folder to the last version that read it

    def model(self, name: str) -> Model:
        """Return the model that the engine calls `name`; raises `UsageError` with the nearest."""
        known = self.aliases.get(name, name)
        if known not in self.models:
            names = (*self.models, *self.aliases)
            raise UsageError(
                f"no model `{name}` for {self.engine}{nearest(name, names)}",
                hint=f"it has {', '.join(self.models)}",
            )
        return self.models[known]

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
        return Claim(
            self.engine,
            model.name,
            model.sizes,
            current,
            tuple(files for files in model.sets if files is not current),
            repository=repository_of(model, version),
            prefix=model.prefix,
            url=model.url,
            version=version,
            revision=model.revision,
            published=model.published,
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


def ordinal(version: str) -> tuple[int, ...]:
    """Return a version in the order of its numbers; raises `UsageError` for another word."""
    try:
        return tuple(int(part) for part in version.removeprefix("v").split("."))
    except ValueError as error:
        raise UsageError(f"no version number: `{version}`", hint="write it as `0.15.5`") from error


def read(engine: str) -> Table:
    """Read the table of `engine`; about 1 ms for 20 models.

    Raises `CacheDoctorError` that names the file and the key when a row is wrong.
    """
    path = os.path.join(os.path.dirname(__file__), f"{engine}.toml")
    try:
        with open(path, "rb") as file:
            return _table(tomllib.load(file))
    except KeyError as error:
        raise CacheDoctorError(f"the catalogue `{path}` lacks the key {error}") from error
    except (TypeError, ValueError) as error:
        raise CacheDoctorError(f"the catalogue `{path}` has a mistake: {error}") from error


def _table(raw: dict[str, Any]) -> Table:
    sets = {name: _sets(rows) for name, rows in raw.get("sets", {}).items()}
    sizes = {size: tuple(names) for size, names in raw["sizes"].items()}
    models = {row["name"]: _model(row, sets, sizes) for row in raw["model"]}
    for names in sizes.values():
        for name in names:
            if name not in models:
                raise KeyError(f"sizes: {name}")
    return Table(
        raw["engine"],
        models,
        raw.get("aliases", {}),
        sizes,
        tuple(raw["versions"]),
        raw["source"],
        tuple(raw.get("platforms", ("darwin", "linux"))),
        {row["folder"]: row["until"] for row in raw.get("removed", ())},
    )


def _model(
    row: dict[str, Any],
    sets: Mapping[str, tuple[FileSet, ...]],
    sizes: Mapping[str, tuple[str, ...]],
) -> Model:
    digest = Digest("sha256", row["sha256"]) if "sha256" in row else None
    if "file" in row:  # a CDN file is its model's whole set
        whole = Requirement((row["file"],), (row["format"],), row["bytes"], digest)
        also = tuple(_requirement(file) for file in row.get("also", ()))
        files: tuple[FileSet, ...] = (FileSet((whole, *also)),)
    else:
        files = sets[row["set"]] if isinstance(row["set"], str) else _sets(row["set"])
        if "folder" in row:
            files = tuple(known._replace(folder=row["folder"]) for known in files)
    published = {
        file["name"]: (file["bytes"], Digest("sha256", file["sha256"]))
        for file in row.get("published", ())
    }
    return Model(
        row["name"],
        files,
        tuple(size for size, names in sizes.items() if row["name"] in names),
        row.get("repository", ""),
        (row["former"]["repository"], row["former"]["until"]) if "former" in row else ("", ""),
        row.get("prefix", ""),
        row.get("url", ""),
        row.get("bytes", 0),
        row.get("revision", ""),
        published,
        row.get("tokenizer", ""),
    )


def _sets(rows: list[dict[str, Any]]) -> tuple[FileSet, ...]:
    """Return the file sets newest first; the table lists them oldest first."""
    return tuple(
        FileSet(
            tuple(_requirement(file) for file in row["files"]),
            row.get("since", ""),
            row.get("until", ""),
            row.get("folder", ""),
        )
        for row in reversed(rows)
    )


def _requirement(row: dict[str, Any]) -> Requirement:
    names = tuple(row["any"])
    format_ = row.get("format")
    formats = tuple(format_) if isinstance(format_, list) else (format_,) * len(names)
    if len(formats) != len(names):
        raise ValueError(f"`format` of {', '.join(names)}: {len(formats)} for {len(names)} names")
    return Requirement(
        names,
        formats,
        tokenizer=row.get("tokenizer", False),
        optional=row.get("optional", False),
    )
