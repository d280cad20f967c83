"""`cachedoctor.toml`: places beyond the default ones, and versions of engines.

```
keep = ["whisper.cpp:small"]  # never chosen for removal; only in the user's own file

[[locator]]
kind = "hub-cache"            # a layout, as `cachedoctor info` lists them
path = "models"               # relative to this file's folder; `~` is the examined home
engine = "faster-whisper"     # the one that uses it; without it, every engine with this layout

[engines]
fluidaudio = "0.13.2"         # the version in use
```

Read from the project and then from the user's own configuration folder. A project's file is
untrusted: its paths must be inside the project, and its `[engines]` and `keep` are ignored. The
user's own must be a regular file that belongs to the running user and that nobody else can write;
otherwise it is not read, and every command that changes anything stops.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from cachedoctor.errors import UsageError
from cachedoctor.looking import untrusted
from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = "cachedoctor.toml"
_LIMIT_BYTES = 1 << 20
_KEYS = ("kind", "path", "engine")
_MOVED = "[[locator]]  # written by `cachedoctor move`"
_VERSION = r"v?[0-9]{1,9}(\.[0-9]{1,9})*"


class Place(NamedTuple):
    """One root added by the user."""

    kind: str
    path: str
    engine: str  # empty for every engine that uses the layout
    said_by: str  # file and line, for errors
    only: frozenset[str] | None = None  # the only names to list there, if a path was given
    by_path: bool = False  # given on the command line, so later commands do not know it


class Config(NamedTuple):
    """The content of one file."""

    places: tuple[Place, ...] = ()
    engine_versions: Mapping[str, str] = {}
    said_by: Mapping[str, str] = {}  # file and line of each engine's version, for errors
    keep: tuple[tuple[str, str], ...] = ()  # name, and its file and line, for errors
    passed_over: tuple[tuple[str, str], ...] = ()  # file, and what in it is ignored
    refused: str = ""  # why the user's own file was not read


def read(folder: str, *, home: str, confined: bool) -> Config:
    """Read the file in `folder`; return an empty configuration if there is none.

    `confined` is for a project's file: it refuses paths that point outside `folder`. Raises
    `UsageError` that names the file, line and key. A user's own file that somebody else could have
    written is not read; the result says why.
    """
    path = os.path.join(folder, NAME)
    if not os.path.lexists(path):
        closed = not confined and _closed_by_me(path)  # its settings would be ignored silently
        return Config(refused=f"`{path}` cannot be read") if closed else Config()
    try:
        with untrusted.open_regular(path) as file:
            if not confined and (why := _not_own(os.fstat(file.fileno()))):
                return Config(refused=f"`{path}` is not read: {why}")
            content = untrusted.read_open(file, _LIMIT_BYTES)
        raw, text = untrusted.parse_toml(content)
    except (FileNotFoundError, NotADirectoryError):
        return Config()
    except OSError as error:
        if not confined:
            return Config(refused=f"`{path}` is not read: {error.strerror}")
        if isinstance(error, untrusted.NotRegularError):
            return Config(passed_over=((path, f"`{path}` is not read: {error.strerror}"),))
        raise UsageError(f"`{path}` cannot be parsed: {error.strerror}") from error
    except ValueError as error:  # a syntax error names its line
        raise UsageError(f"`{path}` cannot be parsed: {error}") from error
    said = Lines(path, text)
    keep = raw.pop("keep", None) if confined else None
    for key in raw:
        if key not in ("locator", "engines", "keep"):
            raise said.wrong(key, "is not known; there are `[[locator]]`, `[engines]` and `keep`")
    rows = raw.get("locator", [])
    if not isinstance(rows, list):
        raise said.wrong("locator", "is a single table; write `[[locator]]`")
    places = tuple(
        _place(row, said, number, folder, home, confined=confined)
        for number, row in enumerate(rows)
    )
    versions = _versions(raw.get("engines", {}), said)
    lines = {name: said.at(name, 0, "engines") for name in versions}
    if not confined:
        return Config(
            places=places,
            engine_versions=versions,
            said_by=lines,
            keep=_names(raw.get("keep", []), said),
        )
    given = [key for key, value in (("`[engines]`", versions), ("`keep`", keep)) if value]
    why = f"{' and '.join(given)} of a project: ignored; put it in your own `{NAME}`"
    return Config(
        places=places,
        engine_versions={},
        said_by=lines,
        passed_over=((path, why),) if given else (),
    )


def _names(keep: object, said: Lines) -> tuple[tuple[str, str], ...]:
    if not isinstance(keep, list) or not all(isinstance(name, str) and name for name in keep):
        raise said.wrong("keep", 'is not a list of names; write `keep = ["whisper.cpp:small"]`')
    return tuple((name, said.at("keep")) for name in keep)


def _versions(versions: object, said: Lines) -> dict[str, str]:
    if not isinstance(versions, dict):
        raise said.wrong("engines", "is not a table; write `[engines]`")
    for name, version in versions.items():
        if not isinstance(version, str) or not re.fullmatch(_VERSION, version):
            why = f'must be a version such as "0.15.5", not {version!r}'
            raise said.wrong(name, why, 0, "engines")
    return versions


def _closed_by_me(path: str) -> bool:
    """Return whether a folder above `path` cannot be entered, although the user owns it.

    A folder of somebody else's holds no configuration of this user.
    """
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        try:
            found = os.lstat(path)
        except OSError:
            continue
        mine = found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode)
        return mine and not os.access(path, os.X_OK)
    return False


def _not_own(status: os.stat_result) -> str:
    """Return why somebody else could have written a file, or an empty string."""
    user = os.geteuid()
    if status.st_uid != user:
        return f"it belongs to user {status.st_uid}, not {user}"
    grouped = status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, user)
    if status.st_mode & stat.S_IWOTH or grouped:
        return f"others can write to it (mode {stat.S_IMODE(status.st_mode):o})"
    return ""


def _is_private(group: int, user: int) -> bool:
    """Return whether a group is a user's private group on Linux, with nobody else in it."""
    import grp
    import pwd

    try:
        mine, members = pwd.getpwuid(user), grp.getgrgid(group)
    except KeyError:
        return False
    own = mine.pw_gid == group and members.gr_name == mine.pw_name
    return own and set(members.gr_mem) <= {mine.pw_name}


def _place(
    row: object, said: Lines, number: int, folder: str, home: str, *, confined: bool
) -> Place:
    if not isinstance(row, dict):
        raise said.wrong("locator", "has a row that is not a table")
    for key, value in row.items():
        if key not in _KEYS:
            raise said.wrong(key, f"is not known; a locator has {', '.join(_KEYS)}", number)
        if not isinstance(value, str) or not value or "\0" in value:
            raise said.wrong(key, "must be a non-empty string", number)
    for key in ("kind", "path"):
        if key not in row:
            raise said.wrong("[[locator]]", f"lacks the key `{key}`", number)
    given = row["path"]
    expanded = home + given[1:] if given == "~" or given.startswith("~/") else given
    path = os.path.normpath(os.path.join(folder, expanded))
    if confined:
        inside, real = os.path.realpath(folder), os.path.realpath(path)
        if real != inside and not real.startswith(inside.rstrip("/") + "/"):
            raise said.wrong("path", f"points outside the project, to `{real}`", number)
    return Place(
        kind=row["kind"], path=path, engine=row.get("engine", ""), said_by=said.at("kind", number)
    )


def with_places(text: str, rows: Sequence[tuple[str, str]], *, without: Sequence[str]) -> str:
    """Return a file's text with these kinds and paths added, replacing our own earlier rows.

    Keeps everything that people wrote, including comments. Raises `UsageError` if rows cannot be
    added.
    """
    import json
    import tomllib

    def row(kind: str, path: str) -> str:
        return (
            f"{_MOVED}\nkind = {json.dumps(kind)}\npath = {json.dumps(path, ensure_ascii=False)}\n"
        )

    for found in re.findall(rf"{re.escape(_MOVED)}\nkind = .*\npath = (.*)\n", text):
        path = json.loads(found)
        if any(path == each or path.startswith(f"{each}/") for each in without):
            mine = rf"\n?{re.escape(_MOVED)}\nkind = .*\npath = {re.escape(found)}\n"
            text = re.sub(mine, "", text)
    if text and not text.endswith("\n"):
        text += "\n"
    try:
        known = tomllib.loads(text).get("locator", [])
        there = {(each["kind"], each["path"]) for each in known}
        for kind, path in rows:
            if (kind, path) not in there:
                text += ("\n" if text else "") + row(kind, path)
        tomllib.loads(text)
        text.encode()
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"`[[locator]]` cannot be added to the configuration: {error}",
            hint="add it yourself",
        ) from error
    return text


class Lines:
    """Finds the line of a key, which the parser does not report."""

    def __init__(self, path: str, text: str) -> None:
        """Take the file's name and text."""
        self._path = path
        self._lines = text.split("\n")  # split as the parser counts lines

    def at(self, key: str, number: int | None = None, table: str = "locator") -> str:
        """Return `file, line n` for a key; `number` counts the tables with that name."""
        start, end, nth = 0, len(self._lines), 0
        if number is not None:
            head = re.compile(rf"\s*\[+\s*[\"']?{table}[\"']?\s*[\].]")
            heads = [place for place, line in enumerate(self._lines) if head.match(line)]
            if number < len(heads):
                start = heads[number]
                later = range(start + 1, end)
                end = next((n for n in later if self._lines[n].lstrip().startswith("[")), end)
            else:  # inline tables: `locator = [{…}, {…}]`
                nth = number
        name = rf"[\"']?{re.escape(key.strip('[]'))}[\"']?\s*[=.\]]"
        places: list[int] = []
        for before in (r"\s*\[*\s*", r"[^#]*[.{,]\s*"):  # on its own line, or inline
            seen = re.compile(before + name)
            places = places or [n for n in range(start, end) if seen.match(self._lines[n])]
        found = places[min(nth, len(places) - 1)] if places else start
        return f"`{self._path}`, line {found + 1}"

    def wrong(
        self, key: str, why: str, number: int | None = None, table: str = "locator"
    ) -> UsageError:
        """Return the error about one key."""
        return UsageError(f"{self.at(key, number, table)}: `{key}` {why}")
