"""The journal of one run: one JSON object per line, synced before and after each step.

```
<state folder>/runs/<id>/journal.jsonl   a header with every repair; intent and done of each step
```

A journal can move files, so it is read only from the running user's own state folder, which nobody
else can write, and any defect in it is a `RepairError` that explains itself. A folder beside a
cache holds only bytes: the copy of a journal there is read only if the user names it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from typing import TYPE_CHECKING, Any

from cachedoctor import findings
from cachedoctor.errors import RepairError
from cachedoctor.findings import Safety
from cachedoctor.system import disk, own
from cachedoctor.system.moves import Row
from cachedoctor.vocabulary import Digest, Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VERSION = 2
NAME = "journal.jsonl"
BESIDE = ".cachedoctor"
_MOST_BYTES = 64 << 20
_MOST_LINES = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}", re.ASCII)

Line = dict[str, Any]


def is_id(name: str) -> bool:
    """Return whether a folder is named like a run."""
    return bool(_ID.fullmatch(name))


def runs_of(state: str) -> str:
    """Return the folder of the running user's journals."""
    return os.path.join(state, "runs")


def lock_file(state: str) -> str:
    """Return the path of the lock file held by a fix or an undo while it works."""
    return os.path.join(runs_of(state), "lock")


def each(state: str) -> Iterator[tuple[str, list[Line]]]:
    """Yield the folder and the lines of every journal that can be trusted.

    Skips anything that somebody else could have written, that is not a regular file or that cannot
    be read.
    """
    owner = own.owner_of(state)
    try:
        if own.refused(os.stat(state), owner):
            return
        opened = os.open(runs_of(state), _FOLDER)
    except OSError:
        return
    try:
        if own.refused(os.fstat(opened), owner):
            return
        for name in sorted(filter(is_id, os.listdir(opened))):
            with contextlib.suppress(RepairError, OSError):
                yield os.path.join(runs_of(state), name), _read_in(opened, name, owner)
    finally:
        os.close(opened)


def read_named(path: str) -> list[Line]:
    """Read a journal named by the user; the caller must check its lines against this machine.

    Raises `RepairError` if it is not a regular file or cannot be parsed.
    """
    try:
        return _parsed(_content(os.open(path, _FILE), path), path)
    except OSError as error:
        raise RepairError(f"`{path}` cannot be read: {error.strerror}") from error


def line(value: Line) -> bytes:
    """Return a line of a journal; names that are not UTF-8 survive as escapes."""
    return json.dumps(value).encode() + b"\n"


def create(state: str, folder: str, *lines: Line) -> None:
    """Begin a journal in a new folder of its own; it appears whole or not at all."""
    own.make_folder(runs_of(state))
    own.with_reserve(state, lambda: own.make_folder(folder))
    path = os.path.join(folder, NAME)
    begun = f"{path}.new"
    disk.remove_tree(begun)
    try:
        own.with_reserve(state, lambda: own.write(begun, b"".join(map(line, lines))))
        disk.rename(begun, path)
    except OSError:
        with contextlib.suppress(OSError):
            disk.remove_folder(folder)
        raise


def append(state: str, folder: str, value: Line, copies: Sequence[str] = ()) -> None:
    """Append a line and sync it; the copies beside the bytes follow on a best-effort basis."""
    data = line(value)
    own.with_reserve(state, lambda: disk.append(os.path.join(folder, NAME), data))
    for place in copies:
        with contextlib.suppress(OSError):
            disk.append(os.path.join(place, NAME), data)


_VALUES = {
    kind.__name__: kind
    for kind in (*vars(findings).values(), Digest, Stamp, Row)
    if isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")
}


def to_json(value: Any) -> Any:
    """Encode a value with its type's name, so that another process can finish the run."""
    if hasattr(value, "_fields"):
        fields = {name: to_json(item) for name, item in value._asdict().items()}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    return value


def from_json(value: Any) -> Any:
    """Decode what `to_json` encoded; raises `KeyError` for any other type."""
    if isinstance(value, dict):
        fields = {name: from_json(item) for name, item in value.items() if name != "type"}
        if "safety" in fields:
            fields["safety"] = Safety(fields["safety"])
        return _VALUES[value["type"]](**fields)
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    return value


def _read_in(runs: int, name: str, owner: int) -> list[Line]:
    folder = os.open(name, _FOLDER, dir_fd=runs)
    try:
        if why := own.refused(os.fstat(folder), owner):
            raise RepairError(f"the run folder `{name}` {why}")
        return _parsed(_content(os.open(NAME, _FILE, dir_fd=folder), name, owner), name)
    finally:
        os.close(folder)


def _content(descriptor: int, where: str, owner: int | None = None) -> bytes:
    """Read an open journal and close it."""
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise RepairError(f"the journal of `{where}` is not a regular file")
        if owner is not None and (why := own.refused(found, owner)):
            raise RepairError(f"the journal of `{where}` {why}")
        content = file.read(_MOST_BYTES + 1) if found.st_size <= _MOST_BYTES else b""
        if not 0 < len(content) <= _MOST_BYTES:
            raise RepairError(f"the journal of `{where}` is {found.st_size} bytes long")
        return content


def _parsed(content: bytes, where: str) -> list[Line]:
    """Return the lines; skip a torn one, because it was never acted on."""
    if content.count(b"\n") > _MOST_LINES:
        raise RepairError(f"the journal of `{where}` has too many lines")
    lines: list[Line] = []
    try:
        for raw in content.split(b"\n"):
            with contextlib.suppress(ValueError):
                lines.append(json.loads(raw))
    except RecursionError as error:
        raise RepairError(f"the journal of `{where}` is nested too deep") from error
    if not lines or not all(isinstance(each, dict) for each in lines):
        raise RepairError(f"the journal of `{where}` cannot be parsed")
    if lines[0].get("journal") not in (1, VERSION) or lines[0].get("journal") is True:
        raise RepairError(f"the journal of `{where}` has an unknown version")
    return lines
