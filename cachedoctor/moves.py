"""One change of the disk: made, recognised when it was made, and written as a journal's line."""

from __future__ import annotations

import json
import os
import stat
from typing import Any, NamedTuple

from cachedoctor import disk, findings
from cachedoctor.findings import Safety
from cachedoctor.vocabulary import Digest, Stamp


class Move(NamedTuple):
    """One change of the disk, as the journal knows it: what a step comes down to, and its inverse.

    `kind` is `rename` from `source` to `target`, `link` or `folder` at `target`.
    """

    kind: str
    source: str
    target: str
    folders: tuple[tuple[str, int, int], ...]  # folders it changes: path, mode, mtime_ns before

    @property
    def ends(self) -> tuple[str, ...]:
        """Name what it changes."""
        return (self.source, self.target) if self.kind == "rename" else (self.target,)


def perform(move: Move) -> None:
    """Change the disk as `move` says."""
    if move.kind == "rename":
        disk.rename(move.source, move.target)
    elif move.kind == "link":
        disk.link(move.target, move.source)
    elif not move.source:
        disk.make_folder(move.target)


def happened(move: Move) -> bool:
    """Tell from the disk whether a move was made."""
    if move.kind == "rename":
        return os.path.lexists(move.target) and not os.path.lexists(move.source)
    if move.kind == "link":
        return os.path.islink(move.target) and os.readlink(move.target) == move.source
    return os.path.isdir(move.target)


def times(path: str) -> tuple[str, int, int]:
    """Return what undoing gives a folder back: its path, mode and modification time."""
    status = os.stat(path)
    return path, stat.S_IMODE(status.st_mode), status.st_mtime_ns


def line(value: dict[str, Any]) -> bytes:
    """Return a journal's line; names that are no UTF-8 survive as escapes."""
    return json.dumps(value).encode() + b"\n"


_VALUES = {
    kind.__name__: kind
    for kind in (*vars(findings).values(), Digest, Stamp)
    if isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")
}


def to_json(value: Any) -> Any:
    """Write a value with the name of its type, so that a run can be finished by another process."""
    if hasattr(value, "_fields"):
        fields = {name: to_json(item) for name, item in value._asdict().items()}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    return value


def from_json(value: Any) -> Any:
    """Read back what `to_json` wrote; raises `KeyError` for another type."""
    if isinstance(value, dict):
        fields = {name: from_json(item) for name, item in value.items() if name != "type"}
        if "safety" in fields:
            fields["safety"] = Safety(fields["safety"])
        return _VALUES[value["type"]](**fields)
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    return value
