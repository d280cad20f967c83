"""What each engine calls its models and which files they need: one TOML an engine.

```
engine = "faster-whisper"
package = "faster-whisper"            # what brings it into a Python, and what to import;
module = "faster_whisper"             # or `bridge`, the program that speaks for a framework
versions = ["1.2.1"]                  # the releases the rows were read in
source = "…"                          # where, for every row that names no source of its own
sizes = { tiny = ["tiny"], … }        # a size is answered by the first model that is ready
aliases = { large = "large-v3" }      # names the engine itself accepts
words = "mlx-community/whisper-{}"    # how it names a model where that is more than the row's name
snapshot = ["*"]                      # what it asks the hub's client for as a whole: patterns
heeds_absence = true                  # it believes the client's notes of files that are not there
most_trailing = 11                    # bytes after the end of a row's one file that it bears
shape = { kind = "ctranslate2", set = "whisper" }   # how what no row names is known, and its files

[[sets.whisper]]                      # what a model needs; several of one name differ by version
files = [
  { any = ["model.bin"], format = "ctranslate2" },
  { any = ["w.safetensors", "w.npz"], format = ["safetensors", "npz"] },   # one for each name
  { any = ["tokenizer.json"], tokenizer = true },   # without it the engine asks the network
  { any = ["encoder.mlmodelc"], format = "coreml", optional = true },   # read, but not missed
  { any = ["added.json"], format = "json_text", optional = true, opened = true },   # always read
  { any = ["config.json"], format = "json_text", keys = ["n_mels", "model_type"] },   # one of them
  { any = ["pre.json"], format = "json_text", values = { feature_size = 128 } },      # all of them
  { any = ["a.json"], needed = { "a.json" = ["a.b|c"] }, only = ["a", "c"] },   # all; no others
  { any = ["vocabulary.txt"], speaks = true },   # has `<|startoftranscript|>`
  { any = ["a.json"], among = { tokenizer_class = ["WhisperTokenizer"] } },    # where it says one
  { any = ["a.json"], agrees = { n_vocab = "decoder.token_embedding.weight 0" } },   # an axis of a
                                       # tensor in the weights; how many with `decoder.blocks.*`
  { any = ["a.json", "b.json"], beside = { "b.json" = ["b.txt"] } },   # b.json only with b.txt
  { any = ["w.pt"], format = "torch_zip", most_trailing = 0 },   # refused with bytes after its end
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
by_path = true                        # no version knows it by name
marker = { name = ".revision", commit = "df2625ac…", since = "0.17.0" }   # a file that says which
                                      # commit a folder holds: missed from a version on

[[former_alias]]                      # what a name meant up to a version
name = "large"
model = "large-v2"
until = "0.9.0"

[[removed]]                           # a folder that no version reads any more
folder = "magpie-tts"
until = "0.15.2"
```
"""

from __future__ import annotations

import contextlib
import pkgutil
import re
import tomllib
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cachedoctor.errors import CacheDoctorError, UsageError
from cachedoctor.vocabulary import Claim, Digest, FileSet, Requirement, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Made = TypeVar("_Made")


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
        return Model(name, self.shape[1], (), repository, known_by="shape")

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
            self.engine,
            model.name,
            model.sizes,
            needs,
            tuple(files for files in model.sets if files is not current),
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


def ordinal(version: str) -> tuple[int, ...]:
    """Return a version in the order of its numbers; raises `UsageError` for another word."""
    try:
        return tuple(int(part) for part in version.removeprefix("v").split("."))
    except ValueError as error:
        raise UsageError(f"no version number: `{version}`", hint="write it as `0.15.5`") from error


_PACKAGE = "cachedoctor.engines"
_NAMED = re.compile(r'^engine = "(.+)"$', re.MULTILINE)


@cache
def names() -> tuple[str, ...]:
    """Name every engine: the modules of this folder that have a table beside them."""
    import cachedoctor.engines

    found = []
    for module in pkgutil.iter_modules(cachedoctor.engines.__path__):
        with contextlib.suppress(OSError):
            named = _NAMED.search(_source(module.name))
            found += [named[1]] if named else []
    return tuple(sorted(found))


def module_of(engine: str) -> str:
    """Name the module of an engine, and its table."""
    return engine.replace("-", "_").replace(".", "_")


def read(engine: str) -> Table:
    """Read the table of `engine`; about 1 ms for 20 models.

    Raises `CacheDoctorError` that names the file, the line, the row and the key that is wrong.
    """
    path = f"engines/{module_of(engine)}.toml"
    text = _source(module_of(engine))
    try:
        return _table(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:  # says the line itself
        raise CacheDoctorError(f"the catalogue `{path}` is no TOML: {error}") from error
    except _RowError as error:
        line = _line_of(text, f"[[{error.header}]]", error.number)
        row = f"[[{error.header}]] {error.name}".rstrip()
        raise CacheDoctorError(f"the catalogue `{path}:{line}`: {row}: {error}") from error
    except _MISTAKES as error:
        key, what = _told(error)
        raise CacheDoctorError(f"the catalogue `{path}:{_line_of(text, key)}`: {what}") from error


def _source(module: str) -> str:
    """Return the text of a table, also out of a zip; raises `OSError` where there is none."""
    data = pkgutil.get_data(_PACKAGE, f"{module}.toml")
    if data is None:
        raise FileNotFoundError(module)
    return data.decode()


_MISTAKES = (AttributeError, KeyError, TypeError, ValueError)  # what a wrong row is met with


class _RowError(Exception):
    """Say what is wrong with the row `number`, counted from 0, of those under one header."""

    def __init__(self, header: str, number: int, name: str, cause: Exception) -> None:
        super().__init__(_told(cause)[1])
        self.header = header
        self.number = number
        self.name = name


def _each(header: str, rows: list[Any], make: Callable[[Any], _Made]) -> list[_Made]:
    """Make something of every row; a mistake is raised with the row it is in."""
    made = []
    for number, row in enumerate(rows):
        try:
            made.append(make(row))
        except _MISTAKES as error:
            name = str(row.get("name", "")) if isinstance(row, dict) else ""
            raise _RowError(header, number, name, error) from error
    return made


def _told(error: Exception) -> tuple[str, str]:
    """Return the key that a mistake is about, and what is said of it."""
    if isinstance(error, KeyError):
        return str(error.args[0]), f"no key `{error.args[0]}`"
    return str(error).partition(":")[0], str(error)


def _line_of(text: str, start: str, number: int = 0) -> int:
    """Return the line on which something begins for the `number`th time; 1 where it never does."""
    lines = [n for n, line in enumerate(text.splitlines(), 1) if line.startswith(start)]
    return lines[number] if number < len(lines) else 1


def _table(raw: dict[str, Any]) -> Table:
    sets = {
        name: tuple(_each(f"sets.{name}", rows, _set)[::-1])
        for name, rows in raw.get("sets", {}).items()
    }
    sizes = {size: tuple(names) for size, names in raw["sizes"].items()}
    most = raw.get("most_trailing")
    rows = _each("model", raw["model"], lambda row: _model(row, sets, sizes, most))
    models = {model.name: model for model in rows}
    for size, models_of in sizes.items():
        for name in models_of:
            if name not in models:
                raise ValueError(f"sizes: `{size}` names `{name}`, and no model is called so")
    return Table(
        raw["engine"],
        models,
        raw.get("aliases", {}),
        sizes,
        tuple(raw["versions"]),
        raw["source"],
        tuple(raw.get("platforms", ("darwin", "linux", "windows"))),
        dict(_each("removed", raw.get("removed", []), lambda row: (row["folder"], row["until"]))),
        raw.get("package", ""),
        raw.get("module", ""),
        raw.get("bridge", ""),
        {
            row["name"]: (row["model"], row["until"])
            for row in _each("former_alias", raw.get("former_alias", []), dict)
        },
        tuple(raw.get("snapshot", ())),
        raw.get("heeds_absence", False),
        (raw["shape"]["kind"], sets[raw["shape"]["set"]]) if "shape" in raw else ("", ()),
    )


def _model(
    row: dict[str, Any],
    sets: Mapping[str, tuple[FileSet, ...]],
    sizes: Mapping[str, tuple[str, ...]],
    most_trailing: int | None,
) -> Model:
    digest = Digest("sha256", row["sha256"]) if "sha256" in row else None
    if "file" in row:  # a CDN file is its model's whole set
        whole = Requirement(
            (row["file"],),
            (row["format"],),
            row["bytes"],
            digest,
            most_trailing=most_trailing,
        )
        also = tuple(_requirement(file) for file in row.get("also", ()))
        files: tuple[FileSet, ...] = (FileSet((whole, *also)),)
    else:
        if isinstance(row["set"], str) and row["set"] not in sets:
            raise ValueError(f"set: there is no `[[sets.{row['set']}]]`")
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
        row.get("by_path", False),
        marker=tuple(row["marker"][key] for key in ("name", "commit", "since"))
        if "marker" in row
        else ("", "", ""),
    )


def _sets(rows: list[dict[str, Any]]) -> tuple[FileSet, ...]:
    """Return the file sets newest first; the table lists them oldest first."""
    return tuple(_set(row) for row in reversed(rows))


def _set(row: dict[str, Any]) -> FileSet:
    return FileSet(
        tuple(_requirement(file) for file in row["files"]),
        row.get("since", ""),
        row.get("until", ""),
        row.get("folder", ""),
    )


def _requirement(row: dict[str, Any]) -> Requirement:
    names = tuple(row["any"])
    format_ = row.get("format")
    formats = (
        tuple(one or None for one in format_)
        if isinstance(format_, list)
        else (format_,) * len(names)
    )
    if len(formats) != len(names):
        raise ValueError(f"format: {len(formats)} for the {len(names)} of {', '.join(names)}")
    return Requirement(
        names,
        formats,
        tokenizer=row.get("tokenizer", False),
        optional=row.get("optional", False),
        opened=row.get("opened", False),
        keys=tuple(row.get("keys", ())),
        values=tuple(row.get("values", {}).items()),
        beside=tuple((name, tuple(with_it)) for name, with_it in row.get("beside", {}).items()),
        needed=tuple((name, tuple(keys)) for name, keys in row.get("needed", {}).items()),
        only=tuple(row.get("only", ())),
        speaks=row.get("speaks", False),
        among=tuple((key, tuple(words)) for key, words in row.get("among", {}).items()),
        agrees=tuple(
            (key, tensor.partition(" ")[0], int(tensor.partition(" ")[2] or 0))
            for key, tensor in row.get("agrees", {}).items()
        ),
        most_trailing=row.get("most_trailing"),
    )
