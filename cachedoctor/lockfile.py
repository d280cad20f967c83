"""A lock file: the exact bytes of chosen models, as TOML that is easy to review and merge.

```toml
version = 1

[[model]]
engine = "faster-whisper"
name = "tiny.en"
repository = "Systran/faster-whisper-tiny.en"
revision = "0d3d19a32d3338f10357c0889762bd8d64bbdeba"
files."config.json" = {bytes = 2128, git-sha1 = "…", sha256 = "…"}
files."model.bin" = {bytes = 75537502, sha256 = "…"}
```

One line per file; models are sorted by engine and name, files by path. `repository` with
`revision`, or `url`, says where the files come from; a model with neither can be checked but not
fetched. Unknown keys are refused, not ignored: a lock that is only partly read protects nothing.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.config import Lines
from cachedoctor.errors import CannotLookError, UsageError
from cachedoctor.looking import untrusted
from cachedoctor.vocabulary import Digest, Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cachedoctor.vocabulary import Artifact, Claim, Entry

VERSION = 1
_LIMIT_BYTES = 16 << 20
_HEX_LENGTHS = {"sha256": 64, "git-sha1": 40}
_HEX = re.compile(r"[0-9a-f]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_TEXTS = ("engine", "name", "repository", "revision", "url")


class LockedFile(NamedTuple):
    """One file: its length, and its digests by algorithm."""

    bytes: int  # its length
    digests: Mapping[str, str]  # by algorithm: `sha256`, `git-sha1`

    def expect(self, artifact: Artifact, engine: str) -> Artifact:
        """Return `artifact` with the lock's requirements, in the layout's own digest algorithm."""
        known = artifact.digest.algorithm if artifact.digest else ""
        algorithm = known if known in self.digests else max(self.digests)
        return artifact._replace(
            expected_bytes=self.bytes,
            digest=Digest(algorithm, self.digests[algorithm]),
            evidence=Evidence.LOCK,
            required_by=artifact.required_by or (engine,),
        )


class LockedModel(NamedTuple):
    """One model of one engine."""

    engine: str  # name of the engine
    name: str  # the model, as its engine names it
    files: Mapping[str, LockedFile]  # by path within the entry
    repository: str = ""  # its repository on the hub, or empty
    revision: str = ""  # the commit, or empty
    url: str = ""  # address of a single-file model, or empty
    said_by: str = ""  # file and line, for errors

    def demanded(self, claim: Claim) -> Claim:
        """Return the claim on a single-file model with the lock's requirements for that file."""
        need, *others = claim.needs.requirements
        file = self.files.get(need.names[0])
        if file is None:
            return claim
        algorithm = max(file.digests)
        need = need._replace(bytes=file.bytes, digest=Digest(algorithm, file.digests[algorithm]))
        return claim._replace(needs=claim.needs._replace(requirements=(need, *others)))


class Lock(NamedTuple):
    """The content of one lock file."""

    path: str  # the lock file
    models: tuple[LockedModel, ...]  # in file order

    def of(self, entry: Entry) -> LockedModel | None:
        """Return the locked model for `entry`, if it is at the locked revision."""
        for claim in entry.claims:
            model = self.find(claim.engine, claim.model)
            if model and (not model.revision or entry.revision in (None, model.revision)):
                return model
        return None

    def find(self, engine: str, name: str) -> LockedModel | None:
        """Return the locked model with this name, for an engine."""
        return next((m for m in self.models if (m.engine, m.name) == (engine, name)), None)


def read(path: str) -> Lock:
    """Read a lock file.

    Raises `CannotLookError` if it cannot be read, and `UsageError` with the file, line and key if
    it cannot be parsed.
    """
    try:
        raw, text = untrusted.read_toml(path, _LIMIT_BYTES)
    except OSError as error:
        raise CannotLookError(f"`{path}` cannot be read: {error.strerror}") from error
    except ValueError as error:  # a syntax error names its line
        if merged := _conflict(path):
            raise UsageError(
                f"`{path}` holds a merge conflict in {merged}",
                hint="keep one side of each model, or write the file again with `cachedoctor lock`",
            ) from error
        raise UsageError(f"`{path}` is not a lock file: {error}") from error
    said = Lines(path, text)
    version = raw.pop("version", None)
    if version != VERSION or isinstance(version, bool):
        why = f"is {version!r}; this cachedoctor reads version {VERSION}"
        raise said.wrong("version", "is missing" if version is None else why)
    rows = raw.pop("model", [])
    if raw:
        raise said.wrong(next(iter(raw)), "is not known; there are `version` and `[[model]]`")
    if not isinstance(rows, list):
        raise said.wrong("model", "is a single table; write `[[model]]`")
    models: dict[tuple[str, str], LockedModel] = {}
    for number, row in enumerate(rows):
        model = _model(row, said, number)
        if (model.engine, model.name) in models:
            raise said.wrong(
                "name", f"`{model.engine} {model.name}` appears twice", number, "model"
            )
        models[model.engine, model.name] = model
    return Lock(path, tuple(models.values()))


def _conflict(path: str) -> str:
    """Return the lines and branch names of a merge conflict that git left, or an empty string."""
    try:
        rows = untrusted.read(path, _LIMIT_BYTES).decode(errors="replace").splitlines()
    except (OSError, ValueError):  # already reported
        return ""
    begun = next((n for n, row in enumerate(rows, 1) if row.startswith("<<<<<<< ")), 0)
    ended = next(
        (n for n, row in enumerate(rows, 1) if row.startswith(">>>>>>> ") and n > begun), 0
    )
    if not (begun and ended):
        return ""
    mine, theirs = rows[begun - 1][8:].strip(), rows[ended - 1][8:].strip()
    return f"lines {begun} to {ended}: `{mine}` against `{theirs}`"


def text(models: Iterable[LockedModel], tool: str) -> str:
    """Return the text of a lock file; its first line names `tool`."""
    lines = [f"# Exact bytes of speech models, written by {tool}.", f"version = {VERSION}"]
    for model in sorted(models, key=lambda m: (m.engine, m.name)):
        lines += ["", "[[model]]"]
        lines += [
            f"{key} = {_quoted(getattr(model, key))}" for key in _TEXTS if getattr(model, key)
        ]
        for name, file in sorted(model.files.items()):
            digests = "".join(f', {key} = "{value}"' for key, value in sorted(file.digests.items()))
            lines.append(f"files.{_quoted(name)} = {{bytes = {file.bytes}{digests}}}")
    return "\n".join(lines) + "\n"


def _model(row: object, said: Lines, number: int) -> LockedModel:
    if not isinstance(row, dict):
        raise said.wrong("model", "has a row that is not a table")
    for key in row:
        if key not in (*_TEXTS, "files"):
            known = ", ".join((*_TEXTS, "files"))
            raise said.wrong(key, f"is not known; a model has {known}", number, "model")
    for key in ("engine", "name", "files"):
        if key not in row:
            raise said.wrong("[[model]]", f"lacks the key `{key}`", number, "model")
    for key in _TEXTS:
        value = row.get(key, "-")
        if not isinstance(value, str) or not value.isprintable() or not value:
            raise said.wrong(key, "must be a non-empty string", number, "model")
    revision, repository = row.get("revision", ""), row.get("repository", "")
    if revision and not _COMMIT.fullmatch(revision):
        raise said.wrong("revision", "must be a commit of 40 hex digits", number, "model")
    if repository and not _REPOSITORY.fullmatch(repository):
        raise said.wrong("repository", "must be `owner/name`", number, "model")
    if not isinstance(row["files"], dict) or not row["files"]:
        raise said.wrong("files", "must be a table with a row for each file", number, "model")
    files = {name: _file(name, value, said, number) for name, value in row["files"].items()}
    texts = {key: row[key] for key in _TEXTS if key in row}
    return LockedModel(files=files, said_by=said.at("engine", number, "model"), **texts)


def _file(name: str, row: object, said: Lines, number: int) -> LockedFile:
    parts = name.split("/")
    outside = os.path.isabs(name) or not name.isprintable() or "\\" in name
    if outside or any(part in ("", ".", "..") for part in parts):
        raise said.wrong("files", f"`{name}` is not a path within a model", number, "model")
    if not isinstance(row, dict):
        raise said.wrong("files", f"`{name}` must be a table", number, "model")
    size = row.get("bytes")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise said.wrong("files", f"`{name}` lacks its `bytes`", number, "model")
    digests = {key: value for key, value in row.items() if key != "bytes"}
    if not digests:
        raise said.wrong("files", f"`{name}` lacks its `sha256`", number, "model")
    for key, value in digests.items():
        length = _HEX_LENGTHS.get(key)
        if length is None:
            raise said.wrong("files", f"`{name}`: `{key}` is not known", number, "model")
        if not isinstance(value, str) or len(value) != length or not _HEX.fullmatch(value):
            why = f"`{name}`: `{key}` must be {length} hex digits"
            raise said.wrong("files", why, number, "model")
    return LockedFile(size, digests)


def _quoted(value: str) -> str:
    """Quote a text for TOML; names have already been checked to be printable."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
