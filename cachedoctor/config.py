"""`cachedoctor.toml`: places that we would not look in by ourselves, and versions of engines.

```
[[locator]]
kind = "hub-cache"            # a layout, as `cachedoctor info` lists them
path = "models"               # from this file's folder; `~` is the home that is looked at
engine = "faster-whisper"     # whose it is; without it, of every engine that uses the layout

[engines]
fluidaudio = "0.13.2"         # the version that is in use
```

Read from the project and from the user's own configuration folder, the project's first. A project's
file is foreign input: its paths must lie inside the project.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "cachedoctor.toml"
_LIMIT_BYTES = 1 << 20
_KEYS = ("kind", "path", "engine")


class Place(NamedTuple):
    """One root that somebody added."""

    kind: str
    path: str
    engine: str  # empty for every engine that uses the layout
    said_by: str  # file and line, for errors


class Config(NamedTuple):
    """What one file says."""

    places: tuple[Place, ...] = ()
    engine_versions: Mapping[str, str] = {}
    said_by: Mapping[str, str] = {}  # file and line of each engine's version, for errors


def read(folder: str, *, home: str, confined: bool) -> Config:
    """Read the file in `folder`; an empty configuration where there is none.

    `confined` refuses paths that lead out of `folder`. Raises `UsageError` that names the file, the
    line and the key.
    """
    path = os.path.join(folder, NAME)
    if not os.path.isfile(path):
        return Config()
    import tomllib

    try:
        with open(path, "rb") as file:
            text = file.read(_LIMIT_BYTES).decode()
        raw = tomllib.loads(text)
    except (OSError, ValueError) as error:  # a syntax error says its line
        raise UsageError(f"`{path}` cannot be understood: {error}") from error
    said = _Lines(path, text)
    for key in raw:
        if key not in ("locator", "engines"):
            raise said.wrong(key, "is not known; there are `[[locator]]` and `[engines]`")
    rows = raw.get("locator", [])
    if not isinstance(rows, list):
        raise said.wrong("locator", "is one table; write `[[locator]]`")
    places = tuple(
        _place(row, said, number, folder, home, confined=confined)
        for number, row in enumerate(rows)
    )
    versions = raw.get("engines", {})
    if not isinstance(versions, dict):
        raise said.wrong("engines", "is no table; write `[engines]`")
    for name, version in versions.items():
        if not isinstance(version, str) or not re.fullmatch(r"v?\d+(\.\d+)*", version):
            raise said.wrong(name, f'must be a version such as "0.15.5", not {version!r}')
    return Config(places, versions, {name: said.at(name) for name in versions})


def _place(
    row: object, said: _Lines, number: int, folder: str, home: str, *, confined: bool
) -> Place:
    if not isinstance(row, dict):
        raise said.wrong("locator", "holds something that is no table")
    for key, value in row.items():
        if key not in _KEYS:
            raise said.wrong(key, f"is not known; a locator has {', '.join(_KEYS)}", number)
        if not isinstance(value, str) or not value or "\0" in value:
            raise said.wrong(key, "must be a text that is not empty", number)
    for key in ("kind", "path"):
        if key not in row:
            raise said.wrong("[[locator]]", f"lacks the key `{key}`", number)
    given = row["path"]
    expanded = home + given[1:] if given == "~" or given.startswith("~/") else given
    path = os.path.normpath(os.path.join(folder, expanded))
    if confined:
        inside, real = os.path.realpath(folder), os.path.realpath(path)
        if real != inside and not real.startswith(inside.rstrip("/") + "/"):
            raise said.wrong("path", f"leads out of the project, to `{real}`", number)
    return Place(row["kind"], path, row.get("engine", ""), said.at("kind", number))


class _Lines:
    """Finds the line of a key, which the parser does not tell."""

    def __init__(self, path: str, text: str) -> None:
        """Take the file's name and text."""
        self._path = path
        self._lines = text.splitlines()

    def at(self, key: str, number: int | None = None) -> str:
        """Return `file, line n` of a key; `number` counts the `[[locator]]` tables."""
        start = 0
        if number is not None:
            heads = [n for n, line in enumerate(self._lines) if line.strip() == "[[locator]]"]
            start = heads[number] if number < len(heads) else 0
        found = start
        for place, line in enumerate(self._lines[start:], start):
            if re.match(rf"\s*\[*[\"']?{re.escape(key.strip('[]'))}\b", line):
                found = place
                break
        return f"`{self._path}`, line {found + 1}"

    def wrong(self, key: str, why: str, number: int | None = None) -> UsageError:
        """Return the error about one key."""
        return UsageError(f"{self.at(key, number)}: `{key}` {why}")
