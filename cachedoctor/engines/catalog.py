"""What each engine calls its models and which files they need: one TOML table per engine.

```
engine = "faster-whisper"
package = "faster-whisper"            # the package to install, and the module to import;
module = "faster_whisper"             # or `bridge`, the program that loads a framework for us
versions = ["1.2.1"]                  # the releases these rows were taken from
source = "…"                          # for every row without a source of its own
sizes = { tiny = ["tiny"], … }        # the first model that is ready answers a size
aliases = { large = "large-v3" }      # names the engine itself accepts
words = "mlx-community/whisper-{}"    # the engine's name for a model, if it is more than the row's
snapshot = ["*"]                      # patterns of files it fetches with `snapshot_download`
heeds_absence = true                  # it trusts the client's record of files that do not exist
most_trailing = 11                    # extra bytes it tolerates at the end of a single-file model
shape = "whisper"                     # the set of an unlisted model that the engine recognises

[[sets.whisper]]                      # what a model needs; sets of one name differ by version
files = [
  { any = ["model.bin"], format = "ctranslate2" },
  { any = ["w.safetensors", "w.npz"], format = ["safetensors", "npz"] },   # one per name
  { any = ["tokenizer.json"], tokenizer = true },   # without it the engine uses the network
  { any = ["encoder.mlmodelc"], format = "coreml", optional = true },   # used if present
  { any = ["added.json"], format = "json_text", optional = true, opened = true },   # always read
  { any = ["config.json"], format = "json_text", keys = ["n_mels", "model_type"] },   # one of them
  { any = ["pre.json"], format = "json_text", values = { feature_size = 128 } },      # all of them
  { any = ["a.json"], needed = { "a.json" = ["a.b|c"] }, only = ["a", "c"] },   # all, and no others
  { any = ["vocabulary.txt"], speaks = true },   # contains `<|startoftranscript|>`
  { any = ["a.json"], among = { tokenizer_class = ["WhisperTokenizer"] } },    # if it has the key
  { any = ["a.json"], agrees = { n_vocab = "decoder.token_embedding.weight 0" } },   # an axis of a
                                       # tensor in the weights, or the number of `decoder.blocks.*`
  { any = ["a.json", "b.json"], beside = { "b.json" = ["b.txt"] } },   # b.json only with b.txt
  { any = ["w.pt"], format = "torch_zip", most_trailing = 0 },   # rejects bytes after its end
  { any = ["w.st", "w.bin"], most_trailing = 0, bears = ["w.bin"] },   # except in w.bin
]

[[model]]
name = "tiny"
set = "whisper"                       # or its own [[model.set]], oldest first
folder = "tiny"                       # if each model has a folder, for all its sets
file = "tiny.pt"                      # instead of a set, with format, bytes, sha256, url; `also`
                                      # lists further files like a set does
tokenizer = "openai/whisper-tiny"     # if the tokenizer comes from another repository
repository = "Systran/faster-whisper-tiny"
former = { repository = "guillaumekln/faster-whisper-tiny", until = "0.9.0" }
bytes = 78203619                      # approximate download size
revision = "d90ca5fe…"                # the commit to which the published digests apply
published = [{ name = "model.bin", bytes = 75538270, sha256 = "dcb76c65…" }]
by_path = true                        # no version knows it by name
marker = { name = ".revision", commit = "df2625ac…", since = "0.17.0" }   # a file that states a
                                      # folder's commit, required since a version

[[former_alias]]                      # what a name meant up to a version
name = "large"
model = "large-v2"
until = "0.9.0"

[[removed]]                           # a folder that no version reads any longer
folder = "magpie-tts"
until = "0.15.2"
```
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from cachedoctor.engines._tables import Model, Table, holds, ordinal, repository_of
from cachedoctor.errors import CacheDoctorError
from cachedoctor.system import shipped
from cachedoctor.vocabulary import Digest, FileSet, Requirement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Model",
    "Table",
    "holds",
    "module_of",
    "names",
    "ordinal",
    "read",
    "repository_of",
]

_Made = TypeVar("_Made")


_PACKAGE = "cachedoctor.engines"
_NAMED = re.compile(r'^engine = "(.+)"$', re.MULTILINE)


@cache
def names() -> tuple[str, ...]:
    """Return the name of every engine: the modules of this folder with a table beside them."""
    there = set(shipped.names(_PACKAGE))
    modules = [name for name in shipped.modules(_PACKAGE) if f"{name}.toml" in there]
    named = map(_NAMED.search, map(_source, modules))
    return tuple(sorted(found[1] for found in named if found))


def module_of(engine: str) -> str:
    """Return the name of an engine's module, which is also its table's."""
    return engine.replace("-", "_").replace(".", "_")


def read(engine: str) -> Table:
    """Read the table of `engine`; takes about 1 ms for 20 models.

    Raises `CacheDoctorError` that names the file, line, row and key of a mistake.
    """
    path = f"engines/{module_of(engine)}.toml"
    try:
        rows = shipped.rows(_PACKAGE, module_of(engine))
    except ValueError as error:  # the message includes the line
        raise CacheDoctorError(f"the catalogue `{path}` is not TOML: {error}") from error
    try:
        return _table(rows)
    except _RowError as error:
        text = _source(module_of(engine))
        line = _line_of(text, f"[[{error.header}]]", error.number)
        row = f"[[{error.header}]] {error.name}".rstrip()
        raise CacheDoctorError(f"the catalogue `{path}:{line}`: {row}: {error}") from error
    except _MISTAKES as error:
        text = _source(module_of(engine))
        key, what = _told(error)
        raise CacheDoctorError(f"the catalogue `{path}:{_line_of(text, key)}`: {what}") from error


def _source(module: str) -> str:
    """Return the text of a table, even from a zip; raises `OSError` if it does not exist."""
    return shipped.read(_PACKAGE, f"{module}.toml").decode()


_MISTAKES = (AttributeError, KeyError, TypeError, ValueError)  # raised for a bad row


class _RowError(Exception):
    """Report a mistake in row `number`, counted from 0, under one header."""

    def __init__(self, header: str, number: int, name: str, cause: Exception) -> None:
        super().__init__(_told(cause)[1])
        self.header = header
        self.number = number
        self.name = name


def _each(header: str, rows: list[Any], make: Callable[[Any], _Made]) -> list[_Made]:
    """Convert every row; a mistake is raised with the row it is in."""
    made = []
    for number, row in enumerate(rows):
        try:
            made.append(make(row))
        except _MISTAKES as error:
            name = str(row.get("name", "")) if isinstance(row, dict) else ""
            raise _RowError(header, number, name, error) from error
    return made


def _told(error: Exception) -> tuple[str, str]:
    """Return the key that a mistake is about, and its message."""
    if isinstance(error, KeyError):
        return str(error.args[0]), f"no key `{error.args[0]}`"
    return str(error).partition(":")[0], str(error)


def _line_of(text: str, start: str, number: int = 0) -> int:
    """Return the line on which `start` begins for the `number`th time; 1 if it never does."""
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
                raise ValueError(f"sizes: `{size}` names `{name}`, but no model has that name")
    return Table(
        engine=raw["engine"],
        models=models,
        aliases=raw.get("aliases", {}),
        sizes=sizes,
        versions=tuple(raw["versions"]),
        source=raw["source"],
        platforms=tuple(raw.get("platforms", ("darwin", "linux", "windows"))),
        removed=dict(
            _each("removed", raw.get("removed", []), lambda row: (row["folder"], row["until"]))
        ),
        package=raw.get("package", ""),
        module=raw.get("module", ""),
        bridge=raw.get("bridge", ""),
        former_aliases={
            row["name"]: (row["model"], row["until"])
            for row in _each("former_alias", raw.get("former_alias", []), dict)
        },
        snapshot=tuple(raw.get("snapshot", ())),
        heeds_absence=raw.get("heeds_absence", False),
        shape=sets[raw["shape"]] if "shape" in raw else (),
    )


def _model(
    row: dict[str, Any],
    sets: Mapping[str, tuple[FileSet, ...]],
    sizes: Mapping[str, tuple[str, ...]],
    most_trailing: int | None,
) -> Model:
    digest = Digest("sha256", row["sha256"]) if "sha256" in row else None
    if "file" in row:  # a CDN file is its model's only file
        whole = Requirement(
            names=(row["file"],),
            formats=(row["format"],),
            bytes=row["bytes"],
            digest=digest,
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
        name=row["name"],
        sets=files,
        sizes=tuple(size for size, names in sizes.items() if row["name"] in names),
        repository=row.get("repository", ""),
        former=(row["former"]["repository"], row["former"]["until"])
        if "former" in row
        else ("", ""),
        prefix=row.get("prefix", ""),
        url=row.get("url", ""),
        bytes=row.get("bytes", 0),
        revision=row.get("revision", ""),
        published=published,
        tokenizer=row.get("tokenizer", ""),
        by_path=row.get("by_path", False),
        marker=tuple(row["marker"][key] for key in ("name", "commit", "since"))
        if "marker" in row
        else ("", "", ""),
    )


def _agreed(key: str, told: str) -> tuple[str, str, int, int]:
    """Parse `tensor axis/share`, which a key must agree with."""
    tensor, _, axis = told.partition(" ")
    number, _, share = axis.partition("/")
    return key, tensor, int(number or 0), int(share or 1)


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
        agrees=tuple(_agreed(key, tensor) for key, tensor in row.get("agrees", {}).items()),
        most_trailing=row.get("most_trailing"),
        bears=tuple(row.get("bears", ())),
    )
