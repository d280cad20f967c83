"""One change of the disk: making it, recognising it afterwards, and recording what it left."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.looking import quietly
from cachedoctor.system import disk, sharing
from cachedoctor.vocabulary import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cachedoctor.system.ground import Ground

_LITTER = (".DS_Store", ".localized", "Thumbs.db", "desktop.ini", "Icon\r", "@eaDir")


class Move(NamedTuple):
    """One change of the disk, as recorded in the journal: what a step amounts to, and its inverse.

    `kind` is `rename` from `source` to `target`, `link` or `folder` at `target`, or `share`, which
    lets `target` use the blocks of `source`.
    """

    kind: str
    source: str
    target: str
    folders: tuple[tuple[str, int, int], ...]  # the folders it changes: path, mode, mtime_ns before
    inode: int = 0  # of the renamed item

    @property
    def ends(self) -> tuple[str, ...]:
        """Return the paths it changes."""
        return (self.source, self.target) if self.kind == "rename" else (self.target,)


class Row(NamedTuple):
    """One file, symlink or folder that was staged or placed; `name` is empty for the item itself.

    For a folder only the name counts: files that systems leave in it change its times.
    """

    name: str
    folder: bool
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    digest: Digest | None = None


def perform(move: Move, grounds: Sequence[Ground]) -> None:
    """Change the disk as `move` says."""
    if move.kind == "rename":
        disk.rename(move.source, move.target, grounds)
    elif move.kind == "link":
        disk.link(move.target, move.source, grounds)
    elif move.kind == "share":
        sharing.share(move.source, move.target, grounds)
    elif not move.source:
        disk.make_folder(move.target, grounds=grounds)


def happened(move: Move) -> bool:
    """Return whether a move happened, judging by the disk, if only its intent is recorded."""
    if move.kind == "rename":
        there = disk.stamp(move.target)
        mine = there is not None and move.inode in (0, there.inode)
        return mine and not os.path.lexists(move.source)
    if move.kind == "share":
        return False  # nothing shows it, and doing it again is harmless
    if move.kind == "link":
        return os.path.islink(move.target) and os.readlink(move.target) == move.source
    return os.path.isdir(move.target)


def times(path: str) -> tuple[str, int, int]:
    """Return what an undo restores on a folder: its path, mode and modification time."""
    status = os.stat(path)
    return path, stat.S_IMODE(status.st_mode), status.st_mtime_ns


def inventory(path: str, digests: Mapping[str, Digest] | None = None) -> tuple[Row, ...]:
    """Return rows for `path` and everything below it, with the digests known by name."""
    known = digests or {}
    found = []
    for name, file in _everything(path):
        status = os.lstat(file)
        folder = stat.S_ISDIR(status.st_mode)
        found.append(
            Row(
                name=name,
                folder=folder,
                inode=status.st_ino,
                size_bytes=0 if folder else status.st_size,
                mtime_ns=0 if folder else status.st_mtime_ns,
                ctime_ns=0 if folder else status.st_ctime_ns,
                digest=known.get(name),
            )
        )
    return tuple(found)


def stamps_of(path: str) -> str:
    """Return one digest of the names, kinds, inodes, lengths and times of everything below a path.

    Any change to a file changes it; files that systems leave in folders do not.
    """
    import hashlib

    state = hashlib.sha256()
    for name, file in sorted(_everything(path)):
        status = os.lstat(file)
        folder = stat.S_ISDIR(status.st_mode)
        row = (status.st_ino,) if folder else (status.st_ino, status.st_size, status.st_mtime_ns)
        if not is_litter(name):
            state.update(os.fsencode(name) + repr((status.st_mode, row)).encode())
    return state.hexdigest()


def difference(rows: Sequence[Row], path: str, ignored: Sequence[str] = ()) -> str:
    """Return what has changed in a placed item, or an empty string.

    Files that systems leave in folders do not count, nor does another ctime with the same content.
    `ignored` are names that the run itself changed later.
    """
    before = {row.name: row for row in rows}
    now = {row.name: row for row in inventory(path)}
    for name in sorted(before.keys() | now.keys()):
        if is_litter(name) or any(name == each or name.startswith(f"{each}/") for each in ignored):
            continue
        where = os.path.join(path, name) if name else path
        if name not in before:
            return f"`{where}` was added"
        if name not in now:
            return f"`{where}` was removed"
        if _changed(before[name], now[name], where):
            return f"`{where}` was changed"
    return ""


def is_litter(name: str) -> bool:
    """Return whether a system, not a person, left this file in a folder."""
    parts = name.split("/")
    return any(part in _LITTER or part.startswith(("._", ".nfs")) for part in parts)


def _changed(before: Row, now: Row, path: str) -> bool:
    if before.folder or now.folder:
        return before.folder != now.folder
    if before[2:5] != now[2:5]:
        return True
    if before.ctime_ns == now.ctime_ns or before.digest is None or os.path.islink(path):
        return False
    from cachedoctor.system import digest
    from cachedoctor.vocabulary import SILENT

    algorithm = before.digest.algorithm
    return digest.of_file(path, frozenset((algorithm,)), SILENT)[algorithm] != before.digest.hex


def _everything(path: str) -> Iterator[tuple[str, str]]:
    """Yield a path and everything below it; an unlistable folder counts as empty."""
    yield "", path
    stack = [path] if os.path.isdir(path) and not os.path.islink(path) else []
    while stack:
        with contextlib.suppress(OSError):
            for entry in quietly.listed(stack.pop()):
                yield os.path.relpath(entry.path, path), entry.path
                if entry.folder:
                    stack.append(entry.path)
